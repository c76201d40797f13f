//! What runs by itself: seen, run, paused, and by a daemon that serves the page.

#![allow(clippy::indexing_slicing, reason = "what fails here is a failed test")]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use credenza_e2e::browser::{Browser, ENTER, Scheme, Ui, View};

use crate::stand::{JOB, STORE, Stand};

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Loads a page again until it says this.
fn expect_by_and_by(browser: &Browser, text: &str) -> Result<()> {
    let begun = Instant::now();
    while !browser.text()?.contains(text) {
        ensure!(begun.elapsed() < PATIENCE, "{text:?} does not come:\n{}", browser.text()?);
        sleep(Duration::from_millis(100));
        browser.reload()?;
    }
    Ok(())
}

pub(crate) fn a_job_is_run_to_its_record(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show("/")?;
    browser.click("Jobs")?;
    browser.expect("What runs by itself")?;
    browser.expect("Has not run yet")?;
    browser.click(JOB)?;
    browser.expect("the newest good snapshot is never older than 26 hours")?;
    browser.click("Run now")?;
    browser.expect("The job did all that it is to do.")?;
    browser.expect("Ran the hook echo: all is quiet")?;
    let listed = stand.setup.credenza.ok(["--json", "jobs", "history", JOB])?.lines_of("run")?;
    ensure!(listed.len() == 1 && listed[0]["ending"] == "done", "{listed:?}");
    stand.show(&format!("/jobs/{JOB}"))?;
    browser.find("section[aria-labelledby=history] tbody th a")?.click()?;
    browser.expect("What it did")?;
    stand.show(&format!("/jobs/{JOB}"))?;
    browser.click("Snapshots in the repository")?;
    browser.find("section[aria-labelledby=history] tbody th a")?.click()?;
    browser.expect("letters/")?;
    stand.show("/")?;
    browser.expect("the job nightly promises one in 26 hours")?;
    stand.show("/promises")?;
    browser.expect("Protected")?;
    stand.show("/calendar")?;
    browser.expect("1 day with a run in half a year")
}

pub(crate) fn a_job_is_paused_by_keyboard_and_resumed(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    stand.show(&format!("/jobs/{JOB}"))?;
    browser.find("#for")?.choose("for 8 hours")?;
    browser.tab_to("Day and time")?;
    // The field has stops of its own: day, month, year, hour, minute, half of the day, calendar.
    browser.tab_to("Pause")?;
    browser.keys(&ENTER.to_string())?;
    browser.expect("Paused until")?;
    let listed = stand.setup.credenza.ok(["--json", "jobs", "list"])?.lines_of("job")?;
    ensure!(listed.iter().any(|job| job["name"] == JOB && job["paused"] == true), "{listed:?}");
    browser.click("Resume")?;
    browser.refuse("Paused until")?;
    let listed = stand.setup.credenza.ok(["--json", "jobs", "list"])?.lines_of("job")?;
    ensure!(listed.iter().all(|job| job["paused"] == false), "{listed:?}");
    Ok(())
}

pub(crate) fn a_job_is_run_and_cancelled_without_scripts(stand: &mut Stand) -> Result<()> {
    let browser = &stand.browser;
    browser.set_scripts(false)?;
    let went = (|| {
        stand.cancel_slow()?;
        stand.show("/jobs")?;
        browser.expect("Cancelled")
    })();
    browser.set_scripts(true)?;
    went
}

/// A daemon of its own file shows its runs as they go, and the page ends them.
pub(crate) fn a_daemon_serves_the_page(stand: &mut Stand) -> Result<()> {
    let text = format!(
        "version = 1\n[job.hangs]\nbackup = \"@home\"\nto = \"@{STORE}\"\nevery = \"10s\"\n\
         hooks = [ {{ before = \"backup\", run = [\"sleep\", \"1000\"] }} ]\n"
    );
    let file = stand.setup.path("daemon.toml");
    fs::write(&file, text)?;
    let ui = Ui::of_daemon(&stand.setup.credenza, &["--jobs", &file.to_string_lossy()], &stand.browser)?;
    let browser = &stand.browser;
    browser.open(&ui.at("/jobs"))?;
    ensure!(!browser.text()?.contains("No daemon runs these jobs"));
    expect_by_and_by(browser, "Running")?;
    browser.click("hangs")?;
    browser.click("how far it is, and cancel")?;
    browser.expect("by the schedule")?;
    browser.click("Cancel")?;
    browser.expect("Cancelled.")?;
    ui.end()?.expect_code(0)?;
    stand.ui.let_in(&stand.browser)
}

pub(crate) fn a_file_with_faults_and_none_teach_what_to_do(stand: &mut Stand) -> Result<()> {
    let path = stand.setup.path("user/config/jobs.toml");
    let text = fs::read_to_string(&path)?;
    let went = (|| {
        for (text, said) in [
            (Some("version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/b\"\nevry = \"1h\"\n"), "Did you mean `every`?"),
            (None, "Nothing runs by itself yet."),
        ] {
            match text {
                Some(text) => fs::write(&path, text)?,
                None => fs::remove_file(&path)?,
            }
            stand.show("/jobs")?;
            stand.browser.expect(said)?;
            for scheme in [Scheme::Dark, Scheme::Light] {
                stand.browser.set_scheme(scheme)?;
                stand.browser.expect_accessible()?;
            }
            stand.browser.set_view(View::NARROW)?;
            stand.browser.expect_no_sideways_scrolling()?;
            stand.browser.set_view(View::DESKTOP)?;
        }
        Ok(())
    })();
    fs::write(&path, text)?;
    went
}
