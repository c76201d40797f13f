//! What is told, with the real binary: mail to a real server of mail, figures to whoever asks, and the alert rules that come with them.

#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "what fails here is a failed test")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::servers::{self, SmtpServer};
use credenza_e2e::{Report, Setup, memory_server, workspace};
use credenza_s3_server::{Fault, Operation, Rule};
use rustix::process::Signal;
use serde_json::Value;

/// Long enough for any machine; what is waited for is there long before.
const PATIENCE: Duration = Duration::from_mins(2);

/// A repository, a folder, and a file of jobs with the job `a`, which ends with these lines.
fn with_job(lines: &str) -> Result<(Setup, String)> {
    let setup = Setup::with_local_repository()?;
    fs::create_dir(setup.path("source"))?;
    fs::write(setup.path("source").join("letter"), "dear reader")?;
    let (source, location) = (setup.path("source"), setup.path("repository"));
    let text = format!(
        "version = 1\n[job.a]\nbackup = \"{}\"\nto = \"{}\"\nat = \"02:30\"\n{lines}\n",
        source.display(),
        location.display()
    );
    let file = setup.path("jobs.toml");
    fs::write(&file, text)?;
    Ok((setup, file.to_string_lossy().into_owned()))
}

#[test]
fn mail_goes_to_a_real_server_with_tls_and_a_login() {
    let mut report = Report::default();
    report.scenario("a test and a failure arrive, and what is refused is said without the password", || {
        let server = SmtpServer::start()?;
        let (user, password) = &server.user;
        let lines = |to: &str, password: &str| -> Result<String> {
            let host = server.host.replace("127.0.0.1", "localhost");
            Ok(format!(
                "[notify.ops]\nto = [\"mail:{to}\"]\n[mail]\nserver = \"{host}\"\nfrom = \"credenza@example.org\"\nuser = \"{user}\"\npassword_cmd = \"echo {password}\"\nca_file = \"{}\"",
                server.ca_file()?
            ))
        };
        let (setup, file) = with_job(&lines("ops@example.org", password)?)?;
        setup.credenza.run(["jobs", "check", "--jobs", &file])?.expect_code(0)?;
        setup.credenza.run(["jobs", "notify", "ops", "--jobs", &file])?.expect_code(0)?;
        let letters = server.letters()?;
        ensure!(letters.len() == 1, "{letters:?}");
        for part in ["To-Box: ops@example.org", "From: credenza@example.org", "Subject: credenza on ", "This is a test"] {
            ensure!(letters[0].contains(part), "{part}: {}", letters[0]);
        }
        fs::rename(setup.path("repository"), setup.path("aside"))?;
        setup.credenza.run(["jobs", "run", "a", "--jobs", &file])?.expect_code(1)?;
        let letters = server.letters()?;
        ensure!(letters.len() == 2 && letters[1].contains("failed"), "{letters:?}");
        for (to, password) in [("nobody@example.org", password.as_str()), ("ops@example.org", "hunter2")] {
            let (setup, file) = with_job(&lines(to, password)?)?;
            let refused = setup.credenza.run(["jobs", "notify", "ops", "--jobs", &file])?.expect_code(1)?;
            let refused = refused.expect_message(&["was not told of: test", "did not take the letter"])?;
            ensure!(!refused.stderr.contains(password), "{}", refused.stderr);
        }
        ensure!(server.letters()?.len() == 2);
        Ok(())
    });
    report.scenario("a section that is not there is named with those that are", || {
        let (setup, file) = with_job("[notify.ops]\nto = \"ntfy:https://ntfy.example.org/topic\"")?;
        let refused = setup.credenza.run(["jobs", "notify", "opps", "--jobs", &file])?.expect_code(1)?;
        refused.expect_message(&["no section [notify.opps]", "there are ops"]).map(drop)
    });
    report.finish();
}

#[test]
fn figures_are_given_by_the_daemon_and_alerts_are_made_of_them() {
    let mut report = Report::default();
    let promtool = servers::program("prometheus", "promtool");
    report.scenario("the daemon answers Prometheus, which understands every line", || {
        let (setup, file) = with_job("promise = \"26h\"\n[metrics]\nlisten = \"127.0.0.1:0\"")?;
        setup.credenza.run(["jobs", "run", "a", "--jobs", &file])?.expect_code(0)?;
        let mut daemon = setup.credenza.start(["daemon", "--jobs", &file])?;
        let begun = Instant::now();
        let said = daemon.printed("/metrics")?;
        let (_, rest) = said.split_once("http://").context("it says where")?;
        let address = rest.split('/').next().unwrap_or_default().to_owned();
        let text = loop {
            let text = asked(&address)?;
            // The first look measures the promise.
            if text.contains("credenza_promise_slack_seconds{") {
                break text;
            }
            ensure!(begun.elapsed() < PATIENCE, "{text}");
            std::thread::sleep(Duration::from_millis(20));
        };
        ensure!(text.contains("credenza_job_last_outcome{job=\"a\",outcome=\"done\"} 1"), "{text}");
        let mut check =
            Command::new(&promtool).args(["check", "metrics"]).stdin(std::process::Stdio::piped()).spawn()?;
        check.stdin.take().context("it reads")?.write_all(text.as_bytes())?;
        ensure!(check.wait()?.success(), "promtool does not take {text}");
        daemon.signal(Signal::TERM)?;
        daemon.wait()?;
        Ok(())
    });
    report.scenario("the alert rules are sound and do what they say, and the dashboard asks for what there is", || {
        ensure!(promtool.exists(), "{} is not there: run tests/servers/install.sh prometheus", promtool.display());
        let folder = workspace().join("docs/monitoring");
        for words in [["check", "rules", "credenza.rules.yml"], ["test", "rules", "credenza.rules.test.yml"]] {
            let output = Command::new(&promtool).args(words).current_dir(&folder).output()?;
            ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let (setup, file) = with_job("promise = \"26h\"")?;
        let textfile = setup.path("credenza.prom");
        fs::write(&file, format!("{}[metrics]\ntextfile = \"{}\"\n", fs::read_to_string(&file)?, textfile.display()))?;
        setup.credenza.run(["jobs", "run", "a", "--jobs", &file])?.expect_code(0)?;
        let figures = fs::read_to_string(&textfile)?;
        for name in ["credenza.rules.yml", "credenza.dashboard.json"] {
            let asks = fs::read_to_string(folder.join(name))?;
            let words = asks.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for word in words.filter(|word| word.starts_with("credenza_")) {
                ensure!(figures.contains(&format!("# TYPE {word} ")), "{name} asks for {word}, which there is not");
            }
        }
        Ok(())
    });
    report.finish();
}

#[test]
fn a_bucket_that_is_full_is_told_once_and_made_up_for_and_one_that_answers_503_for_a_while_is_waited_for() {
    let mut report = Report::default();
    report.scenario("the daemon meets both, loses no run and does none twice", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("backups");
        let setup = Setup::with_s3_repository(&endpoint, "backups/main")?;
        let (ear, heard) = listening()?;
        fs::create_dir(setup.path("source"))?;
        fs::write(setup.path("source").join("letter"), "dear reader")?;
        let retry = "retry = { tries = 1, wait = \"1s..2s\" }";
        let job = format!(
            "[job.a]\nbackup = \"{}\"\nto = \"@store\"\nevery = \"10s\"\n{retry}",
            setup.path("source").display()
        );
        let file = setup.path("jobs.toml");
        fs::write(&file, format!("version = 1\n{job}\n[notify.ops]\nto = \"webhook:http://{ear}/\"\n"))?;
        let file = file.to_string_lossy();
        let mut daemon = setup.credenza.start(["daemon", "--jobs", &file])?;
        daemon.printed("a: done")?;
        server.faults().add(Rule::new(Fault::Full).on(&[Operation::PutObject, Operation::CreateMultipartUpload]));
        ensure!(heard.recv_timeout(PATIENCE)?.starts_with("failed: "), "a full bucket is told");
        server.faults().clear();
        ensure!(heard.recv_timeout(PATIENCE)?.starts_with("recovered: "), "and its end");
        server.faults().add(Rule::new(Fault::SlowDown { retry_after_s: None }).next(3));
        let begun = Instant::now();
        while server.faults().struck() < 3 {
            ensure!(begun.elapsed() < PATIENCE, "no run meets the 503");
            std::thread::sleep(Duration::from_millis(20));
        }
        let before = daemon.printed("a: done")?.matches("a: done").count();
        while daemon.printed("a: done")?.matches("a: done").count() <= before {
            ensure!(begun.elapsed() < PATIENCE, "the run that waited does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?;
        ensure!(heard.try_recv().is_err(), "what was waited for is told to nobody");
        let runs = setup.credenza.ok(["--json", "jobs", "history", "-n", "1000", "--jobs", &file])?.lines_of("run")?;
        ensure!(runs.iter().all(|run| run["ending"].is_string()), "a run has no end: {runs:?}");
        ensure!(runs.iter().any(|run| run["ending"] == "unreachable"), "{runs:?}");
        let done = runs.iter().rev().filter(|run| run["ending"] == "done");
        let dues: Vec<&str> = done.filter_map(|run| run["due"].as_str()).collect();
        ensure!(dues.is_sorted_by(|a, b| a < b), "a due time has two runs: {dues:?}");
        Ok(())
    });
    report.finish();
}

/// A service that hears, and what it hears.
fn listening() -> Result<(SocketAddr, Receiver<String>)> {
    let ear = TcpListener::bind("127.0.0.1:0")?;
    let (to, (sender, heard)) = (ear.local_addr()?, channel());
    let begun = Instant::now();
    std::thread::spawn(move || {
        for connection in ear.incoming().map_while(Result::ok) {
            let Ok(word) = hear(connection) else { continue };
            println!("{:>4} s  --> {word}", begun.elapsed().as_secs());
            if sender.send(word).is_err() {
                break;
            }
        }
    });
    Ok((to, heard))
}

/// Three sources each 20 s for ten minutes, with an outage of two: run it with
/// `cargo nextest run --workspace --test notify --run-ignored only --no-capture`.
#[test]
#[ignore = "it takes ten minutes of real time"]
fn ten_minutes_for_real() {
    let mut report = Report::default();
    report.scenario("each source every 20 s, an outage, and what is told of it", || {
        let ((to, heard), begun) = (listening()?, Instant::now());
        let setup = Setup::with_local_repository()?;
        let mut text = format!("version = 1\n[defaults]\nretry = {{ tries = 2, wait = \"10s..20s\" }}\n[notify.ops]\nto = \"webhook:http://{to}/\"\n");
        for job in ["shop", "home", "mail"] {
            let source = setup.path(job);
            fs::create_dir(&source)?;
            fs::write(source.join("letter"), "dear reader")?;
            let (source, repository) = (source.display(), setup.path("repository"));
            text.push_str(&format!(
                "[job.{job}]\nbackup = \"{source}\"\nto = \"{}\"\nevery = \"20s\"\npromise = \"90s\"\n",
                repository.display()
            ));
        }
        let file = setup.path("jobs.toml");
        fs::write(&file, text)?;
        let daemon = setup.credenza.start(["daemon", "--jobs", &file.to_string_lossy()])?;
        // No program of the tests may run for longer than ten minutes.
        std::thread::sleep(Duration::from_secs(230));
        println!("{:>4} s  *** the repository is gone", begun.elapsed().as_secs());
        fs::rename(setup.path("repository"), setup.path("aside"))?;
        std::thread::sleep(Duration::from_secs(120));
        println!("{:>4} s  *** it is back", begun.elapsed().as_secs());
        fs::rename(setup.path("aside"), setup.path("repository"))?;
        std::thread::sleep(Duration::from_secs(230));
        let memory = daemon.memory()? / 1024 / 1024;
        daemon.signal(Signal::TERM)?;
        daemon.wait()?.expect_code(0)?;
        let runs = setup.credenza.ok(["--json", "jobs", "history", "-n", "1000", "--jobs", &file.to_string_lossy()])?;
        let runs = runs.lines_of("run")?;
        let ended = |ending: &str| runs.iter().filter(|run| run["ending"] == ending).count();
        println!("{} runs: {} done, {} unreachable; {memory} MiB", runs.len(), ended("done"), ended("unreachable"));
        let heard: Vec<String> = heard.try_iter().collect();
        // What was under way when the daemon was asked to end is interrupted.
        let others = runs.len() - ended("done") - ended("unreachable");
        ensure!(ended("done") >= 3 * 20 && others == ended("interrupted") && others <= 3, "{runs:?}");
        let count = |word: &str| heard.iter().filter(|heard| heard.starts_with(word)).count();
        ensure!(count("promise-broken") == 6 && count("failed") == 1 && count("recovered") == 7, "{heard:?}");
        Ok(())
    });
    report.finish();
}

/// The word and the subject of a message.
fn hear(mut connection: TcpStream) -> Result<String> {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    let body = loop {
        let length = connection.read(&mut bytes)?;
        ensure!(length > 0, "it broke off");
        text.push_str(&String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()));
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str::<Value>(body)
        {
            break body;
        }
    };
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    let subject = &body["subject"];
    let part = |name: &str| subject[name].as_str().unwrap_or_default().to_owned();
    Ok(format!("{}: {} {}", body["word"].as_str().unwrap_or_default(), part("of"), part("job")))
}

/// What is answered at `/metrics`.
fn asked(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a body")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.to_owned())
}
