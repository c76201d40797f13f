//! Repositories that are read again by themselves, and a machine that is set up anew by what another left in one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use credenza_e2e::{Credenza, PASSPHRASE, Report, Setup};

/// A machine with a repository of its configuration, a folder, and jobs; the passphrase is in a file, and in no variable.
fn machine() -> Result<Setup> {
    let mut setup = Setup::new()?;
    setup.credenza.unset("CREDENZA_PASSPHRASE");
    let path = |name: &str| setup.path(name).to_string_lossy().into_owned();
    fs::create_dir(setup.path("source"))?;
    fs::write(setup.path("source").join("letter"), "dear reader".repeat(10_000))?;
    fs::write(setup.path("secret"), PASSPHRASE)?;
    let secret = format!("passphrase_file={}", path("secret"));
    setup.credenza.ok(["repository", "add", "main", &path("repository"), &secret])?;
    setup.credenza.ok(["at", "@main", "create"])?;
    let jobs = format!(
        "version = 1 # by night\n[job.a]\nbackup = \"{}\"\nto = \"@main\"\nat = \"02:30\"\n[verify.main]\nread_all_within = \"30d\"\nbudget = {{ bytes = \"1GiB\" }}\ndrill = {{ every = \"7d\" }}\n",
        path("source")
    );
    fs::write(setup.path("user/config/jobs.toml"), jobs)?;
    Ok(setup)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

#[test]
fn repositories_are_read_again_and_machines_set_up_anew() {
    let mut report = Report::default();
    report.scenario("a verification is checked, listed, planned, run and shown by the repository", || {
        let setup = machine()?;
        let json = |words: &[&str]| setup.credenza.ok([&["--json"], words].concat());
        json(&["jobs", "check"])?;
        json(&["jobs", "run", "a"])?;
        let before = setup.credenza.ok(["at", "@main", "info"])?.stdout;
        ensure!(before.contains("verified     never") && before.contains("last drill   never"), "{before}");
        let steps = json(&["jobs", "run", "verify.main"])?.lines_of("step")?;
        ensure!(steps.len() == 3 && steps[0]["did"] == "verified" && steps[1]["did"] == "drilled", "{steps:?}");
        ensure!(steps[0]["packs"] == steps[0]["packs_read"] && steps[1]["entries"] != 0, "{steps:?}");
        let listed = json(&["jobs", "list"])?.lines_of("job")?;
        ensure!(listed[1]["name"] == "verify.main" && listed[1]["does"] == "verify", "{listed:?}");
        ensure!(listed[1]["last"]["ending"] == "done" && listed[1]["next"].is_string(), "{listed:?}");
        let planned = json(&["jobs", "plan", "--days", "3"])?.lines_of("planned")?;
        ensure!(planned.iter().filter(|line| line["job"] == "verify.main").count() == 3, "{planned:?}");
        let shown = setup.credenza.ok(["at", "@main", "info"])?.stdout;
        ensure!(shown.contains("verified     each of") && shown.contains("all as it was"), "{shown}");
        json(&["jobs", "pause", "verify.main"])?;
        json(&["jobs", "resume", "verify.main"])?;
        let units = setup.credenza.ok(["jobs", "units", "--timers"])?.stdout;
        ensure!(units.contains("jobs run verify.main --due"), "{units}");
        let by_hand = setup.credenza.ok(["--json", "at", "@main", "check", "--read-data=oldest:1B"])?.summary()?;
        ensure!(by_hand["packs_read"] == 1 && by_hand["behind"]["runs_for_all"].as_u64() >= Some(1), "{by_hand}");
        Ok(())
    });
    report.scenario("a verification that finds damage ends with 20 and says what to do", || {
        let setup = machine()?;
        setup.credenza.ok(["jobs", "run", "a"])?;
        for pack in files(&setup.path("repository/data"))? {
            fs::remove_file(&pack)?;
            fs::write(&pack, "rotten")?;
        }
        let failed = setup.credenza.run(["jobs", "run", "verify.main"])?.expect_code(20)?;
        ensure!(failed.whole().contains("DAMAGES"), "{}", failed.whole());
        let history = setup.credenza.ok(["jobs", "history", "verify.main"])?.stdout;
        ensure!(history.contains("credenza at @main repair"), "{history}");
        Ok(())
    });
    report.scenario("a new machine is set up by the repository, and runs what the old one ran", || {
        let setup = machine()?;
        setup.credenza.ok(["jobs", "run", "a"])?;
        let new = Credenza::new(&setup.path("new"))?;
        let repository = setup.path("repository").to_string_lossy().into_owned();
        let done = new.ok(["--json", "bootstrap", &repository])?.lines_of("bootstrap")?;
        ensure!(done[0]["written"].as_array().map(Vec::len) == Some(2), "{done:?}");
        let jobs = fs::read_to_string(setup.path("new/config/jobs.toml"))?;
        ensure!(jobs.contains("[verify.main]") && !jobs.contains("by night"), "{jobs}");
        new.run(["bootstrap", &repository])?
            .expect_code(2)?
            .expect_message(&["is there already", "nothing is overwritten"])?;
        let mut new = new;
        new.unset("CREDENZA_PASSPHRASE");
        let secret = setup.path("secret");
        fs::rename(&secret, setup.path("hidden"))?;
        new.run(["jobs", "check"])?.expect_code(1)?.expect_message(&["job.a.to", &secret.to_string_lossy()])?;
        fs::rename(setup.path("hidden"), &secret)?;
        new.ok(["jobs", "check"])?;
        let restored = setup.path("restored");
        new.ok(["at", "@main", "restore", "latest", "--accept-loss", "--to", &restored.to_string_lossy()])?;
        ensure!(fs::read(restored.join("letter"))? == fs::read(setup.path("source/letter"))?);
        new.ok(["jobs", "run", "a"])?;
        new.ok(["jobs", "run", "verify.main"])?;
        Ok(())
    });
    report.scenario("a repository without a configuration says how there would be one", || {
        let setup = Setup::with_local_repository()?;
        setup.backup(&setup.path("user").to_string_lossy())?;
        let failed = setup.credenza.run(["bootstrap"])?.expect_code(1)?;
        failed.expect_message(&["no configuration of any machine", "backs up into a repository"])?;
        Ok(())
    });
    report.finish();
}
