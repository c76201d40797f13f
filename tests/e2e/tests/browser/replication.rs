//! Copies of a repository: seen, carried, and promoted when the origin is lost; and mirrors of folders: run, planned, and rolled back when the source was
//! poisoned.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::PASSPHRASE;
use credenza_e2e::browser::{Scheme, View};

use crate::stand::{STORE, Stand};

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_mins(5);

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
    measured(stand)?;
    browser.expect("On its way.")?;
    looks_well(stand)?;
    browser.click("Run main now")?;
    browser.expect("Done.")?;
    measured(stand)?;
    browser.expect("Complete.")?;
    browser.expect("by nothing")?;
    browser.click("Pause main until it is resumed")?;
    // The page of the policy: who leaves before it is there may be led back to it.
    browser.expect("What it does")?;
    stand.show("/replication")?;
    browser.expect("It is paused")?;
    browser.click("Resume main")?;
    browser.expect("What it does")?;
    measured(stand)?;
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

/// A folder is mirrored, its source poisoned, and the mirror rolled back after the passphrase.
pub(crate) fn a_mirror_is_run_planned_and_rolled_back(stand: &mut Stand) -> Result<()> {
    let path = stand.setup.path("user/config/jobs.toml");
    let text = fs::read_to_string(&path)?;
    let [source, copy] = ["mirrored", "mirror"].map(|name| stand.setup.path(name));
    fs::create_dir(&source)?;
    fs::create_dir(&copy)?;
    fs::write(source.join("letter"), "Dear Anna,\n")?;
    let policy = format!(
        "[replicate-bucket.letters]\nfrom = \"{}\"\nto = [\"{}\"]\nvia = \"@{STORE}\"\nevery = \"1h\"\n",
        source.display(),
        copy.display()
    );
    fs::write(&path, format!("{text}{policy}"))?;
    let went = mirrored_and_rolled_back(stand, (&source.join("letter"), &copy.join("letter")));
    fs::write(&path, text)?;
    went
}

fn mirrored_and_rolled_back(stand: &Stand, (source, copy): (&Path, &Path)) -> Result<()> {
    let browser = &stand.browser;
    measured(stand)?;
    browser.expect("Nothing was mirrored there yet.")?;
    browser.click("Run the mirror letters now")?;
    browser.expect("Done.")?;
    fs::write(source, "nothing but noise")?;
    measured(stand)?;
    browser.expect("Newest cut.")?;
    looks_well(stand)?;
    browser.click("Run the mirror letters now")?;
    browser.expect("Done.")?;
    ensure!(fs::read_to_string(copy)? == "nothing but noise");
    measured(stand)?;
    browser.click("Plan of the mirror letters")?;
    browser.expect("Nothing was written.")?;
    measured(stand)?;
    browser.click("If the source was poisoned")?;
    let cuts =
        browser.run("return [...document.querySelectorAll('select[name=cut] option')].map((cut) => cut.text)")?;
    let oldest = cuts.as_array().and_then(|cuts| cuts.last()?.as_str()).context("there are cuts")?;
    browser.find("select[name=cut]")?.choose(oldest)?;
    browser.click("Roll the mirror letters back")?;
    browser.expect("Each target becomes what the cut holds")?;
    browser.find("#confirm")?.fill(PASSPHRASE)?;
    browser.find("form.stack button.main")?.click()?;
    browser.expect("Done.")?;
    ensure!(fs::read_to_string(copy)? == "Dear Anna,\n");
    measured(stand)?;
    browser.expect("1 cut is newer.")?;
    Ok(())
}

/// Shows the screen as soon as all of it was measured, which may take longer than it waits.
fn measured(stand: &Stand) -> Result<()> {
    let begun = Instant::now();
    loop {
        stand.show("/replication")?;
        stand.browser.expect("The same on the command line")?;
        if !stand.browser.text()?.contains("look again in a while") {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "it is not measured");
        std::thread::sleep(Duration::from_millis(100));
    }
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
