//! Find and have back: by the keyboard alone, and with scripts off.

use std::fs;

use anyhow::{Result, ensure};
use credenza_e2e::browser::{ENTER, TAB};

use crate::stand::{STORE, Stand};

pub(crate) fn a_file_is_found_by_keyboard(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show("/")?;
    browser.keys(&TAB.to_string())?;
    ensure!(browser.focused()?.name()? == "To the content", "the first stop leads past what all pages have");
    browser.tab_to(STORE)?;
    browser.keys(&ENTER.to_string())?;
    browser.expect("snapshots, newest first")?;
    browser.tab_to("Find by a part of a name")?;
    browser.keys("song")?;
    browser.keys(&ENTER.to_string())?;
    browser.expect("music/song.flac")?;
    browser.tab_to("music/song.flac")?;
    browser.keys(&ENTER.to_string())?;
    browser.tab_to("Download")?;
    browser.keys(&ENTER.to_string())?;
    expect_song(stand, "song.flac")
}

pub(crate) fn a_file_is_found_without_scripts(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    browser.set_scripts(false)?;
    let went = (|| {
        stand.show(&format!("/r/{STORE}"))?;
        browser.find("#find")?.fill("song")?;
        browser.click("Find")?;
        browser.click("music/song.flac")?;
        browser.click("Download")?;
        expect_song(stand, "song (1).flac")?;
        // A run is followed all the same.
        stand.show(&format!("/r/{STORE}"))?;
        browser.click("Check now")?;
        browser.expect("no damage found")
    })();
    browser.set_scripts(true)?;
    went
}

fn expect_song(stand: &Stand, name: &str) -> Result<()> {
    ensure!(stand.browser.downloaded(name)? == fs::read(stand.home.join("music/song.flac"))?, "other bytes came back");
    Ok(())
}
