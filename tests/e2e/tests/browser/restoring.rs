//! What was picked comes back: by mouse, by the keyboard alone, with scripts off; and what a repository needs beside that.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use credenza_e2e::PASSPHRASE;
use credenza_e2e::browser::{ENTER, SPACE};

use crate::stand::{STORE, Stand};

/// The button of an offer.
pub(crate) const OFFER: &str = ".offer button.main";
/// What the page says at the end of a restore.
pub(crate) const RESTORED: &str = "Restored ";
/// Where a restore writes.
const TO: &str = "A folder of this machine, or a location such as s3://host/bucket";

pub(crate) fn a_basket_of_two_snapshots_is_previewed_and_restored(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    let first = stand.snapshots.first().map(String::as_str).unwrap_or_default();
    stand.show(&format!("/r/{STORE}/s/{first}?key=letters/"))?;
    browser.find("input[aria-label='Pick to-bert.txt']")?.click()?;
    browser.click("Add what is picked to restore")?;
    browser.expect("letters/to-bert.txt")?;
    stand.show(&stand.in_snapshot("?key=music/"))?;
    browser.click("Add all of it to restore")?;
    browser.expect("music/")?;
    let target = stand.setup.path("restored by mouse");
    browser.find("#to")?.fill(&target.to_string_lossy())?;
    browser.click("Preview")?;
    browser.expect("Preview of a restore")?;
    browser.find(OFFER)?;
    ensure!(!target.exists(), "a preview writes nothing");
    browser.find(OFFER)?.click()?;
    // A preview is done, too; this is said of a restore alone.
    browser.expect(RESTORED)?;
    browser.reload()?;
    browser.expect("Lost or refused")?;
    ensure!(fs::read_to_string(target.join("letters/to-bert.txt"))? == "Dear Bert,\n");
    ensure!(fs::read(target.join("music/song.flac"))? == fs::read(stand.home.join("music/song.flac"))?);
    clear(stand)
}

pub(crate) fn a_file_is_restored_by_keyboard(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&format!("/r/{STORE}"))?;
    browser.tab_to("Find by a part of a name")?;
    browser.keys("to-carl")?;
    browser.keys(&ENTER.to_string())?;
    browser.expect("letters/to-carl.txt")?;
    let pick = browser.find("td.pick input")?.attribute("aria-label")?.unwrap_or_default();
    browser.tab_to(&pick)?;
    browser.keys(&SPACE.to_string())?;
    browser.tab_to("Add what is picked to restore")?;
    browser.keys(&ENTER.to_string())?;
    browser.expect("Where to")?;
    let target = stand.setup.path("restored-by-keyboard");
    browser.tab_to(TO)?;
    browser.keys(&target.to_string_lossy())?;
    browser.tab_to("Preview")?;
    browser.keys(&ENTER.to_string())?;
    let offer = browser.find(OFFER)?.text()?;
    browser.tab_to(&offer)?;
    browser.keys(&ENTER.to_string())?;
    browser.expect(RESTORED)?;
    expect_letter(&target)?;
    clear(stand)
}

pub(crate) fn a_file_is_restored_without_scripts(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    let target = stand.setup.path("restored-without-scripts");
    browser.set_scripts(false)?;
    let went = (|| {
        stand.show(&format!("/r/{STORE}/find?name=to-carl"))?;
        browser.find("td.pick input")?.click()?;
        browser.click("Add what is picked to restore")?;
        browser.find("#to")?.fill(&target.to_string_lossy())?;
        browser.click("Preview")?;
        browser.find(OFFER)?.click()?;
        browser.expect(RESTORED)?;
        expect_letter(&target)
    })();
    browser.set_scripts(true)?;
    went?;
    clear(stand)
}

pub(crate) fn a_tag_is_added_and_shown(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&stand.in_snapshot("/about"))?;
    browser.find("#tag")?.fill("before the move")?;
    browser.click("Add")?;
    browser.expect("Done.")?;
    stand.show(&format!("/r/{STORE}"))?;
    browser.expect("before the move")
}

pub(crate) fn snapshots_are_pruned_by_a_plan_and_the_passphrase(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    let number = || Ok::<_, anyhow::Error>(stand.setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len());
    let before = number()?;
    ensure!(before > 2, "{before} snapshots");
    stand.show(&format!("/r/{STORE}/care"))?;
    browser.find("input[name=keep_last]")?.fill("2")?;
    browser.find("section[aria-labelledby=prune] button")?.click()?;
    browser.find(OFFER)?;
    ensure!(number()? == before, "a plan removes nothing");
    browser.find(OFFER)?.click()?;
    browser.find("#confirm")?.fill("a guess")?;
    browser.find("form.stack button.main")?.click()?;
    browser.expect("This passphrase does not open the repository.")?;
    browser.find("#confirm")?.fill(PASSPHRASE)?;
    browser.find("form.stack button.main")?.click()?;
    browser.expect("Done.")?;
    ensure!(number()? == 2);
    stand.show(&format!("/r/{STORE}/care"))?;
    browser.find("section[aria-labelledby=maintain] button")?.click()?;
    browser.expect("Done.")?;
    stand.show("/activity")?;
    browser.expect("Prune")?;
    browser.expect("Restore")
}

fn expect_letter(target: &Path) -> Result<()> {
    ensure!(fs::read_to_string(target.join("letters/to-carl.txt"))? == "Dear Carl\n");
    Ok(())
}

/// Takes all out of the basket, where anything is left in it.
fn clear(stand: &Stand) -> Result<()> {
    stand.show(&format!("/r/{STORE}/restore"))?;
    if stand.browser.text()?.contains("Take all out") {
        stand.browser.click("Take all out")?;
    }
    stand.browser.expect("Nothing is picked yet")
}
