//! Copies of a repository: seen, carried, and promoted when the origin is lost.

use std::fs;

use anyhow::{Result, ensure};
use credenza_e2e::PASSPHRASE;
use credenza_e2e::browser::{Scheme, View};

use crate::stand::{STORE, Stand};

/// A policy carries to a replica, which says how it stands and is promoted after the passphrase.
pub(crate) fn a_copy_is_carried_and_promoted(stand: &mut Stand) -> Result<()> {
    let path = stand.setup.path("user/config/jobs.toml");
    let text = fs::read_to_string(&path)?;
    let paris = stand.setup.path("paris").to_string_lossy().into_owned();
    stand.setup.credenza.ok(["repository", "add", "paris", &paris])?;
    stand.setup.credenza.ok(["at", "@paris", "create", "--like", &format!("@{STORE}"), "--replica"])?;
    let to = "[ { target = \"@paris\", rpo = \"24h\" } ]";
    fs::write(&path, format!("{text}[replicate.main]\nfrom = \"@{STORE}\"\nevery = \"1h\"\nto = {to}\n"))?;
    let went = carried_and_promoted(stand);
    fs::write(&path, text)?;
    went
}

fn carried_and_promoted(stand: &Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show("/jobs")?;
    browser.click("Replication")?;
    browser.expect("On its way.")?;
    looks_well(stand)?;
    browser.click("Run main now")?;
    browser.expect("Done.")?;
    stand.show("/replication")?;
    browser.expect("Complete.")?;
    browser.expect("by nothing")?;
    browser.click("Pause main until it is resumed")?;
    stand.show("/replication")?;
    browser.expect("It is paused")?;
    browser.click("Resume main")?;
    stand.show("/replication")?;
    browser.refuse("It is paused")?;
    browser.click("If the origin is lost")?;
    browser.click("Promote @paris")?;
    browser.expect("Nothing takes this back.")?;
    browser.find("#confirm")?.fill("a guess")?;
    browser.find("form.stack button.main")?.click()?;
    browser.expect("This passphrase does not open the repository.")?;
    browser.find("#confirm")?.fill(PASSPHRASE)?;
    browser.find("form.stack button.main")?.click()?;
    browser.expect("It takes backups from now on")?;
    let told = stand.setup.credenza.ok(["at", "@paris", "promote", "--yes"])?;
    ensure!(told.stdout.contains("already"), "{}", told.stdout);
    Ok(())
}

/// As every page is looked at.
fn looks_well(stand: &Stand) -> Result<()> {
    let browser = &stand.browser;
    for scheme in [Scheme::Dark, Scheme::Light] {
        browser.set_scheme(scheme)?;
        browser.expect_accessible()?;
    }
    browser.set_view(View::NARROW)?;
    let narrow = browser.expect_no_sideways_scrolling();
    browser.set_view(View::DESKTOP)?;
    narrow
}
