//! Each screen, and each action to its lasting result.

use std::fs;

use anyhow::{Result, ensure};

use crate::stand::{OTHER_PASSPHRASE, STORE, Stand, VAULT};

pub(crate) fn a_file_is_reached_and_downloaded(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show("/")?;
    browser.expect("Kept.")?;
    browser.click(STORE)?;
    browser.expect("2 snapshots, newest first")?;
    browser.find("tbody th a")?.click()?;
    for folder in ["pictures/", "2026/", "raw.dng"] {
        browser.click(folder)?;
    }
    browser.expect("It is neither text in UTF-8")?;
    browser.click("Download")?;
    let kept = fs::read(stand.home.join("pictures/2026/raw.dng"))?;
    ensure!(browser.downloaded("raw.dng")? == kept, "other bytes came back");
    stand.show(&stand.in_snapshot("/file?key=letters/to-anna.txt"))?;
    browser.expect("it has begun to snow")
}

pub(crate) fn a_folder_is_had_as_an_archive(stand: &mut Stand) -> Result<()> {
    stand.show(&stand.in_snapshot("?key=letters/"))?;
    stand.browser.click("as zip")?;
    let zip = stand.browser.downloaded("letters.zip")?;
    let has = |name: &[u8]| zip.windows(name.len()).any(|part| part == name);
    ensure!(zip.starts_with(b"PK") && has(b"to-anna.txt") && has(b"to-carl.txt") && !has(b"song.flac"));
    Ok(())
}

pub(crate) fn a_check_runs_to_its_end(stand: &mut Stand) -> Result<()> {
    stand.show(&format!("/r/{STORE}"))?;
    stand.browser.find("input[name=read_data]")?.click()?;
    stand.browser.click("Check now")?;
    stand.browser.expect("no damage found")?;
    stand.browser.expect("Check of every byte")?;
    stand.browser.reload()?;
    stand.browser.expect("no damage found")?;
    stand.show(&format!("/r/{STORE}"))?;
    stand.browser.expect("Check of every byte: Done")
}

pub(crate) fn a_backup_makes_a_snapshot(stand: &mut Stand) -> Result<()> {
    fs::write(stand.home.join("letters/to-dora.txt"), "Dear Dora\n")?;
    stand.show(&format!("/r/{STORE}"))?;
    stand.browser.click("Back up now")?;
    stand.browser.expect("Done.")?;
    stand.browser.expect("Snapshot ")?;
    stand.show(&format!("/r/{STORE}"))?;
    stand.browser.expect("3 snapshots, newest first")?;
    let listed = stand.setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
    ensure!(listed.len() == 3, "{listed:?}");
    let text = stand.setup.credenza.ok(["cat", "latest:letters/to-dora.txt"])?;
    ensure!(text.stdout == "Dear Dora\n");
    Ok(())
}

pub(crate) fn a_repository_is_unlocked_and_locked(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show("/")?;
    browser.click(VAULT)?;
    browser.find("#passphrase")?.fill("a guess")?;
    browser.click("Open the repository")?;
    browser.expect("This passphrase does not open it.")?;
    stand.unlock()?;
    ensure!(!browser.source()?.contains(OTHER_PASSPHRASE));
    stand.lock()?;
    stand.show(&format!("/r/{VAULT}"))?;
    browser.expect("Passphrase")
}

pub(crate) fn who_leaves_sees_nothing(stand: &mut Stand) -> Result<()> {
    stand.show("/")?;
    stand.browser.click("Leave")?;
    stand.browser.expect("You have left")?;
    stand.show(&format!("/r/{STORE}"))?;
    stand.browser.expect("You have not entered yet")?;
    stand.browser.refuse("snapshots")?;
    stand.ui.let_in(&stand.browser)
}
