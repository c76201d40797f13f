//! What was there when, what differs, what takes the space, and what sources hold now.

use std::fs;

use anyhow::{Result, ensure};

use crate::stand::{MANY, NAMES, STORE, Stand, VAULT};

pub(crate) fn versions_lead_to_the_one_that_is_wanted(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&stand.in_snapshot("/file?key=letters/to-anna.txt"))?;
    browser.click("Versions")?;
    browser.expect("Versions of letters/to-anna.txt")?;
    browser.find("tbody tr:nth-child(2) th a")?.click()?;
    browser.expect("Dear Anna,")?;
    browser.refuse("it has begun to snow")
}

pub(crate) fn snapshots_and_sources_are_compared(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&stand.in_snapshot(""))?;
    browser.click("Changes since the snapshot before")?;
    browser.expect("letters/to-bert.txt")?;
    for (name, how) in [("to-anna.txt", "Other content"), ("to-bert.txt", "Gone"), ("to-carl.txt", "New")] {
        let row = browser.find(&format!("tbody tr:has(a[href*='{name}'])"))?.text()?;
        ensure!(row.contains(how), "{row}");
    }
    fs::write(stand.home.join("letters/now.txt"), "just now")?;
    browser.find("#after")?.choose("home as it is now")?;
    browser.click("Compare")?;
    browser.expect("letters/now.txt")?;
    fs::remove_file(stand.home.join("letters/now.txt"))?;
    browser.find("#before")?.choose("home as it is now")?;
    browser.click("Compare")?;
    browser.expect("Nothing differs")
}

pub(crate) fn a_source_is_looked_into_checked_and_backed_up(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show("/")?;
    browser.click("Sources")?;
    browser.click("home")?;
    browser.click("letters/")?;
    browser.expect("to-anna.txt")?;
    browser.click("home")?;
    browser.click("Check")?;
    browser.expect("What the check has found")?;
    browser.expect("works")?;
    stand.show("/sources/home")?;
    fs::write(stand.home.join("letters/to-emma.txt"), "Dear Emma")?;
    browser.click(&format!("Back up into {STORE}"))?;
    browser.expect("Done.")?;
    let text = stand.setup.credenza.ok(["cat", "latest:letters/to-emma.txt"])?;
    ensure!(text.stdout == "Dear Emma");
    // A bucket that does not answer is said to be none that does.
    stand.show("/sources/nowhere")?;
    browser.expect("It cannot be listed.")?;
    browser.click("Check")?;
    browser.expect("Correct the settings")
}

pub(crate) fn what_takes_the_space_leads_to_the_file(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&stand.in_snapshot(""))?;
    browser.click("What takes the space")?;
    browser.expect("largest first")?;
    browser.find("svg a[aria-label^='music/'] rect")?.click()?;
    browser.find("svg a[aria-label^='song.flac'] rect")?.click()?;
    browser.expect("music/song.flac")?;
    browser.control("Download").map(drop)
}

pub(crate) fn growth_is_drawn(stand: &mut Stand) -> Result<()> {
    stand.show(&format!("/r/{STORE}/growth"))?;
    stand.browser.expect("on 1 day")?;
    let bars = stand.browser.run("return document.querySelectorAll('.bar').length")?;
    let rows = stand.browser.run("return document.querySelectorAll('tbody tr').length")?;
    ensure!(bars.as_u64() == rows.as_u64().map(|rows| 2 * rows), "{bars} bars, {rows} rows");
    Ok(())
}

pub(crate) fn a_file_is_found_by_its_size(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&format!("/r/{STORE}/find"))?;
    browser.click("Size and time")?;
    browser.find("#larger")?.fill("1MiB")?;
    browser.click("Find")?;
    browser.expect("music/song.flac")?;
    browser.refuse("to-anna.txt")?;
    browser.find("#newer")?.fill("yesterday")?;
    browser.click("Find")?;
    browser.expect("write a day (2026-01-31)")
}

pub(crate) fn a_picture_is_shown(stand: &mut Stand) -> Result<()> {
    stand.show(&stand.in_snapshot("/file?key=pictures/2026/snow.png"))?;
    stand.browser.expect("Picture, 320 × 200")?;
    let width = stand.browser.run("return document.querySelector('.raster img').naturalWidth")?;
    ensure!(width == 320, "{width}");
    stand.show(&stand.in_snapshot("/file?key=pictures/2026/raw.dng"))?;
    stand.browser.expect("nor a picture that is shown here")
}

pub(crate) fn a_folder_of_many_names_is_gone_through(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.unlock()?;
    browser.find("tbody th a")?.click()?;
    browser.click(&format!("{MANY}/"))?;
    browser.expect("name-000000")?;
    browser.click("Next")?;
    browser.expect("name-000200")?;
    let last = NAMES - 1;
    stand.show(&format!("/r/{VAULT}/find?name=name-{last:06}"))?;
    browser.click(&format!("{MANY}/name-{last:06}"))?;
    browser.expect("It is empty.")?;
    stand.lock()
}

/// Each line has a button that copies it.
pub(crate) fn a_line_to_type_is_copied(stand: &mut Stand) -> Result<()> {
    stand.show(&stand.in_snapshot("/about"))?;
    for way in ["a mount", "S3", "WebDAV", "HTTP"] {
        stand.browser.control(&format!("Copy the line for {way}"))?;
    }
    stand.browser.click("Copy the line for S3")?;
    stand.browser.expect("Copied.")
}
