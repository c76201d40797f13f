//! The first run as a new user goes through it, with nothing but the page: from an empty configuration to a file that came back.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use credenza_e2e::Setup;
use credenza_e2e::browser::{Browser, Ui};

use crate::restoring::{OFFER, RESTORED};
use crate::stand::{OTHER_PASSPHRASE, Stand};

/// The bucket of the first repository, and the profile that has its keys.
const BUCKET: &str = "first";
const PROFILE: &str = "backup";

pub(crate) fn from_nothing_into_a_folder(stand: &mut Stand) -> Result<()> {
    let setup = newcomer()?;
    let disk = setup.path("disk");
    let disk_text = text(&disk)?;
    let added = |browser: &Browser| {
        browser.click("Folder")?;
        field(browser, "name")?.fill("mine")?;
        // A person mistypes.
        field(browser, "setting.location")?.fill(&format!("{disk_text}-that-is-not-there/at/all"))?;
        browser.click("Add the repository")?;
        browser.click("Check it step by step")?;
        browser.expect("failed")?;
        browser.click("Other settings")?;
        field(browser, "setting.location")?.fill(&disk_text)?;
        browser.click("Keep these settings")?;
        browser.expect(&disk_text)
    };
    fs::create_dir(&disk)?;
    first_run(stand, &setup, added)?;
    ensure!(disk.join("snapshots").is_dir() || fs::read_dir(&disk)?.count() > 2, "the repository is there");
    Ok(())
}

pub(crate) fn from_nothing_into_a_bucket(stand: &mut Stand) -> Result<()> {
    let setup = newcomer()?;
    stand.server.s3.create_bucket(BUCKET)?;
    let endpoint = stand.server.s3.endpoint().clone();
    let profiles = setup.path("user/home/.aws");
    fs::create_dir_all(&profiles)?;
    let keys = format!(
        "[{PROFILE}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        endpoint.access_key, endpoint.secret_key
    );
    fs::write(profiles.join("credentials"), keys)?;
    let host = endpoint.url.rsplit('/').next().context("an endpoint has a host")?.to_owned();
    let added = |browser: &Browser| {
        browser.click("s3: s3://")?;
        field(browser, "name")?.fill("mine")?;
        for (setting, value) in
            [("host", host.as_str()), ("bucket", BUCKET), ("region", &endpoint.region), ("profile", PROFILE)]
        {
            field(browser, &format!("setting.{setting}"))?.fill(value)?;
        }
        browser.click("What few need")?;
        field(browser, "setting.use_tls")?.choose("false")?;
        browser.click("Add the repository")?;
        browser.click("Check it step by step")?;
        browser.expect("What the check has found")
    };
    first_run(stand, &setup, added)?;
    let shown = setup.credenza.ok(["repository", "show", "mine"])?.stdout;
    ensure!(shown.contains(PROFILE) && !shown.contains(&endpoint.secret_key), "{shown}");
    Ok(())
}

/// A user whose configuration is empty, and whose environment opens nothing.
fn newcomer() -> Result<Setup> {
    let mut setup = Setup::new()?;
    setup.credenza.unset("CREDENZA_PASSPHRASE");
    let home = setup.path("letters");
    fs::create_dir(&home)?;
    fs::write(home.join("to-anna.txt"), "Dear Anna,\n")?;
    Ok(setup)
}

/// What a newcomer does; `add` goes from the choice of a connector to a place that was checked.
fn first_run(stand: &Stand, setup: &Setup, add: impl FnOnce(&Browser) -> Result<()>) -> Result<()> {
    let browser = &stand.browser;
    let ui = Ui::entered(setup, browser)?;
    browser.expect("No repository is in the configuration yet")?;
    browser.click("Add a repository")?;
    browser.expect("A folder on this machine")?;
    add(browser)?;
    if !browser.text()?.contains("What the check has found") {
        browser.click("Check it step by step")?;
        browser.expect("What the check has found")?;
    }
    browser.expect("works")?;
    browser.refuse("failed")?;
    browser.click("Make a repository there")?;
    field(browser, "passphrase")?.fill(OTHER_PASSPHRASE)?;
    field(browser, "again")?.fill(OTHER_PASSPHRASE)?;
    browser.find("input[name=keep]")?.click()?;
    browser.click("Make the repository")?;
    browser.expect("It holds no snapshot yet")?;
    browser.click("Add a source, which is what is backed up")?;
    browser.click("Folder")?;
    field(browser, "name")?.fill("letters")?;
    field(browser, "setting.location")?.fill(&text(&setup.path("letters"))?)?;
    browser.click("Add the source")?;
    browser.click("Look into it, and back it up")?;
    browser.expect("to-anna.txt")?;
    browser.click("Back up into mine")?;
    browser.expect("Done.")?;
    browser.click("Look into the snapshot")?;
    browser.expect("to-anna.txt")?;
    browser.click("Add all of it to restore")?;
    let target = setup.path("restored");
    field(browser, "to")?.fill(&text(&target)?)?;
    browser.click("Preview")?;
    browser.find(OFFER)?.click()?;
    browser.expect(RESTORED)?;
    ensure!(fs::read_to_string(target.join("to-anna.txt"))? == "Dear Anna,\n");
    ensure!(!browser.source()?.contains(OTHER_PASSPHRASE), "a passphrase comes back from no page");
    ui.end().map(drop)
}

/// A field by its id, which may have a dot.
fn field<'a>(browser: &'a Browser, id: &str) -> Result<credenza_e2e::browser::Element<'a>> {
    browser.find(&format!("[id='{id}']"))
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path is text")?.to_owned())
}
