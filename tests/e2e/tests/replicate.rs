//! Policies between repositories, with the real binary over folders: plan, run, status, and what they refuse.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use credenza_e2e::relay::{Relay, Strike};
use credenza_e2e::s3::{Endpoint, S3};
use credenza_e2e::{Outcome, Report, Setup, memory_server, number};
use rustix::process::Signal;
use serde_json::Value;

/// A repository with two snapshots of a folder, a target that was made like it, one that was not, and a policy with these lines.
struct Copies {
    setup: Setup,
}

impl Copies {
    fn new(policy: &str, paris: &str, london: &str) -> Result<Self> {
        let copies = Self { setup: Setup::with_local_repository()? };
        fs::create_dir(copies.setup.path("source"))?;
        let (main, path) = (copies.text("repository"), copies.text("paris"));
        copies.setup.credenza.ok(["at", &path, "create", "--like", &main])?;
        copies.setup.credenza.ok(["at", &copies.text("london"), "create"])?;
        copies.write(policy, paris, london)?;
        copies.back_up("first")?;
        copies.back_up("second")?;
        Ok(copies)
    }

    fn text(&self, name: &str) -> String {
        self.setup.path(name).to_string_lossy().into_owned()
    }

    fn write(&self, policy: &str, paris: &str, london: &str) -> Result<()> {
        let [main, at_paris, at_london] = ["repository", "paris", "london"].map(|name| self.text(name));
        let text = format!(
            "version = 1\n[replicate.main]\nfrom = \"{main}\"\n{policy}\n[[replicate.main.to]]\ntarget = \"{at_paris}\"\n{paris}\n[[replicate.main.to]]\ntarget = \"{at_london}\"\n{london}\n"
        );
        Ok(fs::write(self.setup.path("jobs.toml"), text)?)
    }

    fn back_up(&self, name: &str) -> Result<()> {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(self.setup.path("source").join(name), [name.as_bytes(), &bytes].concat())?;
        let main = self.text("repository");
        self.setup.credenza.ok(["at", &main, "backup", &self.text("source")]).map(drop)
    }

    fn run(&self, words: &[&str]) -> Result<Outcome> {
        let file = self.text("jobs.toml");
        self.setup.credenza.run([&["--json"], words, &["--jobs", &file]].concat())
    }

    fn replicate(&self, words: &[&str]) -> Result<Outcome> {
        self.run(&[&["replicate"], words].concat())
    }

    /// What a command prints of each target: Paris, then London.
    fn targets(&self, words: &[&str], code: i32) -> Result<[Value; 2]> {
        let status = self.replicate(words)?.expect_code(code)?.lines_of("replication")?;
        let targets = status.first().and_then(|status| status["targets"].as_array()).context("no status")?;
        let [paris, london] = targets.as_slice() else { anyhow::bail!("{targets:?}") };
        Ok([paris.clone(), london.clone()])
    }

    fn packs(&self, repository: &str) -> Result<Vec<PathBuf>> {
        let mut packs = Vec::new();
        let mut folders = vec![self.setup.path(repository).join("data")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { packs.push(path) }
            }
        }
        Ok(packs)
    }
}

impl Copies {
    /// Turns a bit in the midst of each pack.
    fn spoil(&self, repository: &str) -> Result<()> {
        for pack in self.packs(repository)? {
            let mut bytes = fs::read(&pack)?;
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle).context("an empty pack")? ^= 1;
            fs::remove_file(&pack)?;
            fs::write(&pack, bytes)?;
        }
        Ok(())
    }
}

fn steps(outcome: &Outcome, did: &str) -> Result<Vec<Value>> {
    Ok(outcome.lines_of("step")?.into_iter().filter(|step| step["did"] == did).collect())
}

#[test]
fn copies_are_planned_carried_and_proven_and_the_lag_is_what_the_run_moves() {
    let mut report = Report::default();
    report.scenario("the plan names the bytes that the run adds, and the status says when there are none", || {
        let copies = Copies::new("", "prove = \"audit\"\nrpo = \"1h\"", "keep = { last = 1 }")?;
        copies.run(&["jobs", "check"])?.expect_code(0)?;
        let [paris, london] = copies.targets(&["status"], 0)?;
        ensure!(number(&paris, &["missing"])? == 2 && number(&london, &["missing"])? == 1, "{paris} {london}");
        ensure!(number(&london, &["spared"])? == 1 && paris["verified_until"].is_null());
        let lag = number(&paris, &["lag", "bytes"])?;
        let planned = copies.replicate(&["plan", "main"])?.expect_code(0)?;
        let plans = planned.lines_of("planned")?;
        ensure!(plans.len() == 2 && number(&plans[0], &["bytes"])? == lag && plans[0]["is_exact"] == true, "{plans:?}");
        ensure!(plans[1]["is_exact"] == false && plans[0]["estimate"]["places"].is_array(), "{plans:?}");
        let ran = copies.replicate(&["run", "main"])?.expect_code(0)?;
        let carried = steps(&ran, "replicated")?;
        ensure!(number(&carried[0], &["bytes"])? == lag && lag > 0, "{carried:?}");
        ensure!(number(&carried[0], &["copied"])? == 2 && number(&carried[1], &["copied"])? == 1, "{carried:?}");
        ensure!(steps(&ran, "proven")?.iter().all(|step| step["until"].is_string()), "{}", ran.whole());
        for target in copies.targets(&["status", "main"], 0)? {
            ensure!(number(&target, &["missing"])? == 0 && number(&target, &["lag", "bytes"])? == 0, "{target}");
            ensure!(target["verified_until"].is_string() && target["lag_seconds"] == 0, "{target}");
        }
        let again = copies.replicate(&["run", "main"])?.expect_code(0)?;
        ensure!(steps(&again, "replicated")?.iter().all(|step| step["copied"] == 0 && step["bytes"] == 0));
        ensure!(steps(&again, "proven")?.is_empty(), "what is proven is not proven again");
        // What London's retention drops goes when something newer has come, and does not come again.
        copies.back_up("third")?;
        let third = copies.replicate(&["run", "main"])?.expect_code(0)?;
        ensure!(steps(&third, "pruned")?.len() == 1 && steps(&third, "maintained")?.len() == 1, "{}", third.whole());
        let last = copies.replicate(&["run", "main"])?.expect_code(0)?;
        ensure!(steps(&last, "replicated")?.iter().all(|step| step["copied"] == 0), "{}", last.whole());
        for repository in ["paris", "london"] {
            copies.setup.credenza.ok(["at", &copies.text(repository), "check", "--read-data"])?;
        }
        let history = copies.run(&["jobs", "history", "replicate.main"])?.expect_code(0)?.lines_of("run")?;
        ensure!(history.len() == 4 && history.iter().all(|run| run["ending"] == "done"), "{history:?}");
        Ok(())
    });
    report.scenario("a target that is not there keeps no other from its copies, and is named", || {
        let copies = Copies::new("", "", "")?;
        fs::rename(copies.setup.path("paris"), copies.setup.path("away"))?;
        let ran = copies.replicate(&["run", "main"])?.expect_code(1)?.expect_message(&["replicating to", "paris"])?;
        let carried = steps(&ran, "replicated")?;
        ensure!(carried.len() == 1 && carried[0]["copied"] == 2, "{}", ran.whole());
        let [paris, london] = copies.targets(&["status"], 1)?;
        ensure!(paris["unknown"].as_str().is_some_and(|why| why.contains("no repository")), "{paris}");
        ensure!(london["missing"] == 0, "{london}");
        fs::rename(copies.setup.path("away"), copies.setup.path("paris"))?;
        copies.replicate(&["run", "main"])?.expect_code(0)?;
        Ok(())
    });
    report.finish();
}

#[test]
fn a_copy_that_lost_a_pack_is_not_proven_and_what_vanishes_is_held() {
    let mut report = Report::default();
    report.scenario("a pack that is gone or changed at the target is found by its proof", || {
        let copies = Copies::new("", "prove = \"audit\"", "")?;
        copies.replicate(&["run", "main"])?.expect_code(0)?;
        for pack in copies.packs("london")? {
            fs::remove_file(pack)?;
        }
        let [paris, london] = copies.targets(&["status"], 0)?;
        ensure!(paris["verified_until"].is_string() && london["verified_until"].is_null(), "{paris} {london}");
        copies.back_up("third")?;
        copies.setup.credenza.ok(["at", &copies.text("paris"), "sync", "from", &copies.text("repository")])?;
        copies.spoil("paris")?;
        let ran = copies.replicate(&["run", "main"])?.expect_code(20)?;
        let proven = steps(&ran, "proven")?;
        ensure!(
            proven.iter().any(|step| step["damages"].as_u64().is_some_and(|damages| damages > 0)),
            "{}",
            ran.whole()
        );
        Ok(())
    });
    report.scenario(
        "where too many snapshots vanish at the origin, nothing is removed at a target until it is meant",
        || {
            let copies = Copies::new("guard = { vanish_max = 0 }", "keep = { last = 2 }", "keep = { last = 1 }")?;
            copies.replicate(&["run", "main"])?.expect_code(0)?;
            let main = copies.text("repository");
            let listed = copies.setup.credenza.ok(["--json", "at", &main, "ls"])?.lines_of("snapshot")?;
            let first = listed.first().and_then(|line| line["id"].as_str()).context("no id")?.to_owned();
            copies.setup.credenza.ok(["at", &main, "rm", &first])?;
            copies.back_up("third")?;
            for _ in 0..2 {
                let held = copies.replicate(&["run", "main"])?.expect_code(3)?;
                let vanished = steps(&held, "vanished")?;
                ensure!(vanished.len() == 2 && vanished[0]["gone"] == 1, "{}", held.whole());
                ensure!(steps(&held, "pruned")?.is_empty(), "{}", held.whole());
            }
            let meant = copies.replicate(&["run", "main", "--accept-vanished"])?.expect_code(0)?;
            ensure!(steps(&meant, "pruned")?.len() == 2, "{}", meant.whole());
            copies.replicate(&["run", "main"])?.expect_code(0)?;
            Ok(())
        },
    );
    report.finish();
}

#[test]
fn a_policy_rests_belongs_to_a_machine_and_refuses_what_cannot_be_meant() {
    let mut report = Report::default();
    report.scenario("it rests when it is paused, and goes on", || {
        let copies = Copies::new("", "", "")?;
        copies.replicate(&["pause", "main"])?.expect_code(0)?;
        let listed = copies.run(&["jobs", "list"])?.expect_code(0)?.lines_of("job")?;
        ensure!(listed[0]["name"] == "replicate.main" && listed[0]["paused"] == true, "{listed:?}");
        let due = copies.run(&["jobs", "run", "replicate.main", "--due"])?.expect_code(0)?;
        ensure!(steps(&due, "replicated")?.is_empty());
        copies.replicate(&["resume", "main"])?.expect_code(0)?;
        let ran = copies.run(&["jobs", "run", "replicate.main", "--due"])?.expect_code(0)?;
        ensure!(steps(&ran, "replicated")?.len() == 2, "{}", ran.whole());
        Ok(())
    });
    report.scenario("a machine beside a target carries to it with rights to read the origin alone", || {
        let copies = Copies::new("", "run = \"target\"", "run = \"target\"")?;
        let paris = copies.text("paris");
        let elsewhere = copies.replicate(&["run", "main"])?.expect_code(1)?;
        elsewhere.expect_message(&["carries to no target of `main`", "--beside"])?;
        let before = fs::read_dir(copies.setup.path("repository"))?.count();
        let ran = copies.replicate(&["run", "main", "--beside", &paris])?.expect_code(0)?;
        let carried = steps(&ran, "replicated")?;
        ensure!(carried.len() == 1 && carried[0]["target"] == *paris && carried[0]["copied"] == 2, "{}", ran.whole());
        ensure!(fs::read_dir(copies.setup.path("repository"))?.count() == before, "nothing is put into the origin");
        Ok(())
    });
    report.scenario("the same repository by another name, and a policy that is none, are refused", || {
        let copies = Copies::new("", "", "")?;
        let text = fs::read_to_string(copies.setup.path("jobs.toml"))?;
        let round = format!("{}/../repository", copies.text("paris"));
        fs::write(copies.setup.path("jobs.toml"), text.replace(&copies.text("london"), &round))?;
        copies.replicate(&["run", "main"])?.expect_code(1)?.expect_message(&["that the snapshots come from"])?;
        copies.replicate(&["run", "mian"])?.expect_code(2)?.expect_message(&["replicate.mian", "main"])?;
        copies.write("", "keep = \"same\"", "lock = \"14d\"")?;
        let same = copies.replicate(&["run", "main"])?.expect_code(1)?;
        same.expect_message(&["has no policy of its own", "policy set"])?;
        let [_, london] = copies.targets(&["status"], 1)?;
        ensure!(london["lock_days"].is_null() && london["lock_days_asked"] == 14, "{london}");
        Ok(())
    });
    report.finish();
}

#[test]
fn a_copy_is_proven_by_a_restore_for_trial_where_the_policy_says_so() {
    let mut report = Report::default();
    report.scenario("what has arrived is restored for trial as often as it is said, and damage is told", || {
        let copies = Copies::new("", "", "prove = \"drill:30d\"")?;
        let ran = copies.replicate(&["run", "main"])?.expect_code(0)?;
        let drilled = steps(&ran, "drilled")?;
        ensure!(drilled.len() == 1 && drilled[0]["errors"] == 0, "{}", ran.whole());
        ensure!(number(&drilled[0], &["entries"])? > 0, "{drilled:?}");
        let [paris, london] = copies.targets(&["status"], 0)?;
        ensure!(paris["drilled"].is_null() && london["drilled"].is_string(), "{paris} {london}");
        let again = copies.replicate(&["run", "main"])?.expect_code(0)?;
        ensure!(steps(&again, "drilled")?.is_empty(), "it is done again in 30 days: {}", again.whole());
        // In its size each pack is as it was.
        copies.spoil("london")?;
        copies.write("", "", "prove = \"drill:1s\"")?;
        let found = copies.replicate(&["run", "main"])?.expect_code(20)?;
        let drilled = steps(&found, "drilled")?;
        ensure!(drilled.len() == 1 && number(&drilled[0], &["errors"])? > 0, "{}", found.whole());
        let [_, london] = copies.targets(&["status"], 0)?;
        ensure!(london["drilled"].is_null(), "{london}");
        Ok(())
    });
    report.finish();
}

#[test]
fn a_machine_beside_a_target_needs_to_read_the_origin_alone() {
    let mut report = Report::default();
    report.scenario("it pulls from a bucket whose credential allows nothing else", || {
        let copies = Copies::new("", "", "")?;
        let (_server, endpoint) = memory_server()?;
        S3::new(endpoint.clone())?.create_bucket("origin")?;
        let relay = Relay::start(endpoint.url.trim_start_matches("http://"))?;
        let behind = Endpoint { url: format!("http://{}", relay.host), ..endpoint.clone() };
        let credenza = &copies.setup.credenza;
        copies.setup.add("repository", "writes", &endpoint, "origin")?;
        copies.setup.add("repository", "reads", &behind, "origin")?;
        credenza.ok(["at", "@writes", "create", "--like", &copies.text("repository")])?;
        credenza.ok(["at", "@writes", "backup", &copies.text("source")])?;
        let paris = copies.text("paris");
        let text = format!(
            "version = 1\n[defaults]\nbeside = \"{paris}\"\n[replicate.main]\nfrom = \"@reads\"\n[[replicate.main.to]]\ntarget = \"{paris}\"\nrun = \"target\"\nprove = \"audit\"\n"
        );
        fs::write(copies.setup.path("jobs.toml"), text)?;
        for method in ["PUT", "POST", "DELETE"] {
            relay.strike(Strike::Status(403), &[method], 1);
        }
        let ran = copies.replicate(&["run", "main"])?.expect_code(0)?;
        let carried = steps(&ran, "replicated")?;
        ensure!(carried.len() == 1 && carried[0]["copied"] == 1, "{}", ran.whole());
        ensure!(copies.run(&["replicate", "status"])?.expect_code(0)?.lines_of("replication")?.len() == 1);
        ensure!(relay.struck() == 0 && relay.lines().len() > 3, "{:?}", relay.lines());
        credenza.ok(["at", &paris, "check", "--read-data"])?;
        Ok(())
    });
    report.finish();
}

#[test]
fn a_daemon_carries_what_a_job_has_backed_up() {
    let mut report = Report::default();
    report.scenario("a policy that says nothing of its times follows each backup into its origin", || {
        let copies = Copies::new("", "", "")?;
        let mut text = fs::read_to_string(copies.setup.path("jobs.toml"))?;
        let (source, main) = (copies.text("source"), copies.text("repository"));
        text.push_str(&format!("[job.a]\nbackup = \"{source}\"\nto = \"{main}\"\nevery = \"10s\"\n"));
        fs::write(copies.setup.path("jobs.toml"), text)?;
        let mut daemon = copies.setup.credenza.start(["daemon", "--jobs", &copies.text("jobs.toml")])?;
        daemon.printed("replicate.main: done")?;
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?;
        for target in ["paris", "london"] {
            let listed = copies.setup.credenza.ok(["--json", "at", &copies.text(target), "ls"])?;
            ensure!(listed.lines_of("snapshot")?.len() >= 3, "{target}: {}", listed.whole());
        }
        Ok(())
    });
    report.finish();
}

#[test]
fn a_target_that_was_promoted_is_told_with_what_either_side_has_alone() {
    let mut report = Report::default();
    report.scenario("both sides were written to, and the command that is printed brings them together", || {
        let copies = Copies::new("", "", "")?;
        copies.replicate(&["run", "main"])?.expect_code(0)?;
        let (paris, credenza) = (copies.text("paris"), &copies.setup.credenza);
        credenza.ok(["at", &paris, "promote", "--yes"])?;
        let alone = |target: &Value| {
            ["at_target", "at_origin"].map(|side| target["divided"][side].as_array().map_or(9, Vec::len))
        };
        let [at_paris, at_london] = copies.targets(&["status"], 1)?;
        ensure!(at_paris["promoted"].is_string() && alone(&at_paris) == [0, 0], "{at_paris}");
        ensure!(at_london["promoted"].is_null() && at_london["divided"].is_null(), "{at_london}");
        credenza.ok(["at", &paris, "backup", &copies.text("source")])?;
        copies.back_up("third")?;
        let [at_paris, _] = copies.targets(&["status"], 1)?;
        ensure!(alone(&at_paris) == [1, 1], "{at_paris}");
        let file = copies.text("jobs.toml");
        let told = credenza.run(["replicate", "status", "--jobs", &file])?.expect_code(1)?.stdout;
        ensure!(told.contains("PROMOTED") && told.contains("BOTH SIDES WERE WRITTEN TO"), "{told}");
        let command = told.split("credenza ").nth(1).and_then(|rest| rest.lines().next()).context("a command")?;
        credenza.ok(command.split_whitespace())?;
        let [at_paris, _] = copies.targets(&["status"], 1)?;
        ensure!(alone(&at_paris) == [0, 1], "{at_paris}");
        Ok(())
    });
    report.finish();
}
