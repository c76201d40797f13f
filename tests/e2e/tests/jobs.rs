//! What runs by itself, with the real binary: the file of the jobs, runs, the daemon, and what signals and kills do to them.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::process::is_alive;
use credenza_e2e::{Report, Setup, number};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Long enough for any machine; what is waited for is there long before.
const PATIENCE: Duration = Duration::from_mins(2);

/// A repository, a folder, and a file of jobs with the job `a`, which has these lines.
fn with_job(lines: &str) -> Result<Setup> {
    let setup = Setup::with_local_repository()?;
    fs::create_dir(setup.path("source"))?;
    fs::write(setup.path("source").join("letter"), "dear reader")?;
    write(&setup, lines)?;
    Ok(setup)
}

fn file(setup: &Setup) -> String {
    setup.path("jobs.toml").to_string_lossy().into_owned()
}

fn write(setup: &Setup, lines: &str) -> Result<()> {
    let location = setup.path("repository").display().to_string();
    let source = setup.path("source").display().to_string();
    let text = format!("version = 1\n[job.a]\nbackup = \"{source}\"\nto = \"{location}\"\n{lines}\n");
    Ok(fs::write(setup.path("jobs.toml"), text)?)
}

fn jobs(setup: &Setup, words: &[&str]) -> Result<credenza_e2e::Outcome> {
    let file = file(setup);
    setup.credenza.run([&["--json", "jobs"], words, &["--jobs", &file]].concat())
}

/// Waits for a file, and hands back what is in it.
fn appeared(path: &Path) -> Result<String> {
    let begun = Instant::now();
    loop {
        match fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return Ok(text),
            _ => ensure!(begun.elapsed() < PATIENCE, "{} does not appear", path.display()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A hook that says its process in a file, and then hangs.
fn hanging(setup: &Setup) -> String {
    let path = setup.path("hook");
    let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000", path.display());
    format!("hooks = [ {{ before = \"backup\", run = [\"sh\", \"-c\", \"{script}\"] }} ]")
}

fn end(pid: &str) {
    if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn endings(setup: &Setup) -> Result<Vec<Value>> {
    let runs = jobs(setup, &["history"])?.expect_code(0)?.lines_of("run")?;
    Ok(runs.into_iter().map(|run| run.get("ending").cloned().unwrap_or_default()).collect())
}

#[test]
fn jobs_are_checked_planned_run_and_remembered() {
    let mut report = Report::default();
    report.scenario("a sound file is checked, listed, planned, run and measured", || {
        let setup = with_job("at = \"02:30\"\nzone = \"UTC\"\npromise = \"26h\"\nkeep = { last = 3 }")?;
        jobs(&setup, &["check"])?.expect_code(0)?;
        let plan = jobs(&setup, &["plan"])?.expect_code(0)?.lines_of("planned")?;
        ensure!(
            plan.len() == 30 && plan.iter().all(|line| line["at"].as_str().is_some_and(|at| at.contains("T02:30:00")))
        );
        let file = file(&setup);
        let broken = setup.credenza.run(["--json", "promises", "--jobs", &file])?.expect_code(1)?;
        ensure!(broken.lines_of("promise")?[0]["kept"] == "broken");
        let steps = jobs(&setup, &["run", "a"])?.expect_code(0)?.lines_of("step")?;
        ensure!(steps.iter().any(|step| step["did"] == "backedup") && steps.iter().any(|step| step["did"] == "pruned"));
        let spent = steps.iter().find(|step| step["did"] == "spent").context("nothing was spent")?;
        let sums = jobs(&setup, &["plan"])?.expect_code(0)?.lines_of("planned-cost")?;
        let bytes = |bill: &Value| number(bill, &["spent", "bytes_up"]);
        ensure!(sums.len() == 1 && sums[0]["runs"] == 30 && sums[0]["unknown"] == 0, "{sums:?}");
        ensure!(bytes(&sums[0]["cost"])? == 30 * bytes(&spent["bill"])? && bytes(&spent["bill"])? > 0, "{sums:?}");
        let kept = setup.credenza.ok(["--json", "promises", "--jobs", &file])?.lines_of("promise")?;
        ensure!(kept[0]["kept"] == "kept", "{kept:?}");
        ensure!(endings(&setup)? == ["done"]);
        let found = jobs(&setup, &["history", "a", "--from-repository"])?.expect_code(0)?.lines_of("run")?;
        ensure!(found.len() == 1, "{found:?}");
        let listed = jobs(&setup, &["list"])?.expect_code(0)?.lines_of("job")?;
        ensure!(listed[0]["last"]["ending"] == "done" && listed[0]["next"].is_string(), "{listed:?}");
        Ok(())
    });
    report.scenario("a broken file names line, key and remedy, and nothing runs", || {
        let setup = with_job("every = \"5 minutes\"")?;
        for words in [&["check"][..], &["run", "a"], &["plan"]] {
            jobs(&setup, words)?.expect_code(2)?.expect_message(&[
                "line 5",
                "job.a.every",
                "write a number and s, m, h, d or w",
            ])?;
        }
        write(&setup, "at = \"02:30\"\nhooks = [ { before = \"backup\", run = [\"no-such-program\"] } ]")?;
        jobs(&setup, &["check"])?.expect_code(1)?.expect_message(&["no program `no-such-program`", "install it"])?;
        jobs(&setup, &["run", "b"])?.expect_code(2)?.expect_message(&["there is no job `b`", "credenza jobs list"])?;
        Ok(())
    });
    report.scenario("a job rests until it is resumed", || {
        let setup = with_job("at = \"02:30\"")?;
        jobs(&setup, &["pause", "a"])?.expect_code(0)?;
        ensure!(jobs(&setup, &["list"])?.lines_of("job")?[0]["paused"] == true);
        jobs(&setup, &["run", "a", "--due"])?.expect_code(0)?;
        let left_out = jobs(&setup, &["history"])?.expect_code(0)?.lines_of("run")?;
        ensure!(left_out.len() == 1 && left_out[0]["reason"] == "left out: paused", "{left_out:?}");
        jobs(&setup, &["resume", "a"])?.expect_code(0)?;
        ensure!(jobs(&setup, &["list"])?.lines_of("job")?[0]["paused"] == false);
        Ok(())
    });
    report.finish();
}

#[test]
fn a_run_that_is_ended_or_killed_is_on_record() {
    let mut report = Report::default();
    report.scenario("SIGTERM ends a run and its hook, and the record says so", || {
        let setup = with_job("at = \"02:30\"")?;
        write(&setup, &format!("at = \"02:30\"\n{}", hanging(&setup)))?;
        let run = setup.credenza.start(["jobs", "run", "a", "--jobs", &file(&setup)])?;
        let pid = appeared(&setup.path("hook"))?;
        jobs(&setup, &["run", "a"])?.expect_code(11)?.expect_message(&["the job `a` is at work already (process "])?;
        run.signal(Signal::TERM)?;
        run.wait()?.expect_code(130)?;
        ensure!(!is_alive(&pid), "the hook lives on");
        ensure!(endings(&setup)? == ["interrupted"]);
        Ok(())
    });
    report.scenario("a run that is killed is found, put on record, and run again", || {
        let setup = with_job("at = \"02:30\"")?;
        write(&setup, &format!("at = \"02:30\"\n{}", hanging(&setup)))?;
        let run = setup.credenza.start(["jobs", "run", "a", "--jobs", &file(&setup)])?;
        let pid = appeared(&setup.path("hook"))?;
        run.signal(Signal::KILL)?;
        let _ = run.wait()?;
        end(&pid);
        write(&setup, "at = \"02:30\"")?;
        jobs(&setup, &["run", "a"])?.expect_code(0)?;
        ensure!(endings(&setup)? == ["done", "lost"]);
        Ok(())
    });
    report.scenario("however far a run has come when it is killed, the record and the repository hold", || {
        let setup = with_job("at = \"02:30\"\nkeep = { last = 2 }\nmaintain = true\nguard = {}")?;
        for number in 0..40_u32 {
            fs::write(setup.path("source").join(number.to_string()), number.to_string().repeat(5000))?;
        }
        jobs(&setup, &["run", "a"])?.expect_code(0)?;
        for kill in 0..8_u64 {
            fs::write(setup.path("source/letter"), format!("dear reader, for the {kill}th time"))?;
            let run = setup.credenza.start(["jobs", "run", "a", "--jobs", &file(&setup)])?;
            // How far it has come by then is another question on each machine: anywhere is right.
            std::thread::sleep(Duration::from_millis(kill * 40));
            run.signal(Signal::KILL)?;
            let _ = run.wait()?;
        }
        jobs(&setup, &["run", "a"])?.expect_code(0)?;
        let endings = endings(&setup)?;
        ensure!(endings.iter().all(|ending| ending == "done" || ending == "lost"), "{endings:?}");
        ensure!(endings.first().is_some_and(|ending| ending == "done"), "{endings:?}");
        setup.credenza.ok(["check", "--read-data"])?;
        let listed = setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
        ensure!(listed.len() == 2 && listed.iter().all(|line| line["suspect"].is_null()), "{listed:?}");
        Ok(())
    });
    report.finish();
}

/// A service manager that reads all that it is told as it comes, and hands it on.
fn manager(path: &Path) -> Result<Receiver<String>> {
    let socket = UnixDatagram::bind(path)?;
    let (sender, said) = channel();
    // It ends with the process, or with the first that nobody wants.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    Ok(said)
}

/// Waits until the service manager is told so.
fn hear(said: &Receiver<String>, wanted: &str) -> Result<()> {
    loop {
        if said.recv_timeout(PATIENCE).with_context(|| format!("{wanted} is not said"))?.contains(wanted) {
            return Ok(());
        }
    }
}

#[test]
fn a_daemon_does_what_its_service_manager_asks() {
    let mut report = Report::default();
    report.scenario("it says that it is ready and alive, reads its file again, and ends when it is asked to", || {
        let mut setup = with_job("every = \"10s\"")?;
        let said = manager(&setup.path("notify"))?;
        setup.credenza.set("NOTIFY_SOCKET", &setup.path("notify").to_string_lossy());
        setup.credenza.set("WATCHDOG_USEC", "2000000");
        let mut daemon = setup.credenza.start(["daemon", "--jobs", &file(&setup)])?;
        hear(&said, "READY=1")?;
        hear(&said, "WATCHDOG=1")?;
        setup.credenza.unset("NOTIFY_SOCKET");
        setup.credenza.unset("WATCHDOG_USEC");
        let second = setup.credenza.run(["daemon", "--jobs", &file(&setup)])?.expect_code(11)?;
        second.expect_message(&["another daemon runs the jobs of", "(process "])?;
        daemon.printed("a: done")?;
        write(&setup, "evry = \"10s\"")?;
        daemon.signal(Signal::HUP)?;
        hear(&said, "RELOADING=1")?;
        hear(&said, "READY=1")?;
        // By the old file.
        let begun = Instant::now();
        while daemon.printed("a: done")?.matches("a: done").count() < 2 {
            ensure!(begun.elapsed() < PATIENCE, "it does not go on by the old file");
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon.signal(Signal::TERM)?;
        hear(&said, "STOPPING=1")?;
        let outcome = daemon.wait()?.expect_code(0)?;
        outcome.expect_message(&[
            "cannot be used, and the jobs go on as before",
            "`job.a.evry`",
            "did you mean `every`?",
        ])?;
        Ok(())
    });
    report.scenario("one that has nothing to do needs little memory", || {
        let mut setup = with_job("cron = \"0 0 29 2 *\"")?;
        let said = manager(&setup.path("notify"))?;
        setup.credenza.set("NOTIFY_SOCKET", &setup.path("notify").to_string_lossy());
        let daemon = setup.credenza.start(["daemon", "--jobs", &file(&setup)])?;
        hear(&said, "READY=1")?;
        hear(&said, "WATCHDOG=1")?;
        // The pages of the program come on top, of which the development profile has three times as many as a release.
        let own = daemon.own_memory()?;
        ensure!(own <= 16 << 20, "it holds {own} bytes of its own");
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?.expect_memory_below(64 << 20)?;
        Ok(())
    });
    report.scenario("it serves the page where it is asked to, and prints another link by SIGUSR1", || {
        let setup = with_job("cron = \"0 0 29 2 *\"")?;
        let words = ["--json", "daemon", "--listen", "127.0.0.1:0", "--jobs", &file(&setup)];
        let mut daemon = setup.credenza.start(words)?;
        daemon.printed_lines(1)?;
        daemon.signal(Signal::USR1)?;
        let links = daemon.printed_lines(2)?;
        ensure!(links.iter().all(|line| line.contains("/enter?key=")) && links[0] != links[1], "{links:?}");
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?.expect_message(&["kill -USR1"])?;
        let unserved = setup.credenza.run(["daemon", "--host", "backup.example", "--behind-proxy"])?;
        unserved.expect_code(2)?.expect_message(&["add --listen ADDRESS:PORT"])?;
        Ok(())
    });
    report.scenario("SIGTERM in the midst of a run ends it in good order, and it is due again", || {
        let setup = with_job("every = \"10s\"")?;
        write(&setup, &format!("every = \"10s\"\n{}", hanging(&setup)))?;
        let daemon = setup.credenza.start(["daemon", "--jobs", &file(&setup)])?;
        let pid = appeared(&setup.path("hook"))?;
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?;
        ensure!(!is_alive(&pid), "the hook lives on");
        ensure!(endings(&setup)? == ["interrupted"]);
        write(&setup, "every = \"10s\"")?;
        let mut daemon = setup.credenza.start(["daemon", "--jobs", &file(&setup)])?;
        daemon.printed("a: done")?;
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?;
        Ok(())
    });
    report.finish();
}
