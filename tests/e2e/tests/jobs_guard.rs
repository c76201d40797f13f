//! The guard of a job over a bucket, with the real binary: attacks are suspect at the first snapshot, every command says so, and it ends when somebody looked.

use std::fs;

use anyhow::{Result, ensure};
use credenza_e2e::tree::noise;
use credenza_e2e::{Outcome, Report, Setup, memory_server};
use credenza_s3_server::{Attributes, Server};

const OBJECTS: usize = 60;

fn key(number: usize) -> String {
    format!("letters/{:02}/{number:03}.txt", number / 20)
}

/// What is done to a bucket.
type Attack = fn(&Server);

fn letter(number: usize, version: usize) -> String {
    (0..60 + number).map(|line| format!("line {line} of letter {number}, version {version}, dear reader\n")).collect()
}

fn put(server: &Server, key: &str, body: impl Into<Vec<u8>>) {
    server.buckets.put_object("source", key, body.into(), Attributes::default());
}

/// A bucket of letters, a repository, and the job `a` with a guard, after two quiet runs.
fn quiet() -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("source");
    (0..OBJECTS).for_each(|number| put(&server, &key(number), letter(number, 0)));
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", &endpoint, "source")?;
    let repository = setup.path("repository").display().to_string();
    let text = format!(
        "version = 1\n[job.a]\nbackup = \"@live\"\nto = \"{repository}\"\nat = \"02:30\"\nguard = {{}}\nkeep = {{ last = 1 }}\n"
    );
    fs::write(setup.path("jobs.toml"), text)?;
    for day in 0..2 {
        (day..OBJECTS).step_by(17).for_each(|number| put(&server, &key(number), letter(number, day + 1)));
        put(&server, &format!("pictures/{day}.jpg"), noise(day as u64, 30_000));
        jobs(&setup, &["run", "a"])?.expect_code(0)?;
    }
    Ok((server, setup))
}

fn jobs(setup: &Setup, words: &[&str]) -> Result<Outcome> {
    let file = setup.path("jobs.toml").display().to_string();
    setup.credenza.run([&["--json", "jobs"], words, &["--jobs", &file]].concat())
}

fn encrypt_in_place(server: &Server, numbers: std::ops::Range<usize>) {
    numbers
        .for_each(|number| put(server, &key(number), noise(500 + number as u64, letter(number, 0).len() as u64 + 64)));
}

fn rename_and_encrypt(server: &Server) {
    for number in 0..OBJECTS {
        put(
            server,
            &format!("{}.locked", key(number)),
            noise(500 + number as u64, letter(number, 0).len() as u64 + 64),
        );
        server.buckets.remove("source", &key(number));
    }
}

fn delete_with_a_note(server: &Server) {
    for number in 0..OBJECTS {
        server.buckets.remove("source", &key(number));
    }
    put(server, "HOW-TO-PAY.txt", "pay");
}

#[test]
fn an_attack_on_a_bucket_is_suspect_at_its_first_snapshot() {
    let mut report = Report::default();
    let attacks: [(&str, Attack, &str); 4] = [
        ("encrypted in place", |server| encrypt_in_place(server, 0..OBJECTS), "no longer compress"),
        ("encrypted and renamed", rename_and_encrypt, "no longer compress"),
        ("deleted with a note", delete_with_a_note, "files are gone"),
        ("encrypted a part at a time", |server| encrypt_in_place(server, 0..12), "no longer compress"),
    ];
    for (name, attack, said) in attacks {
        report.scenario(name, || {
            let (server, setup) = quiet()?;
            attack(&server);
            let steps = jobs(&setup, &["run", "a"])?.expect_code(3)?.lines_of("step")?;
            let suspect = steps.iter().find(|step| step["did"] == "suspect");
            let reason = suspect.and_then(|step| step["reason"].as_str()).unwrap_or_default();
            ensure!(reason.contains(said), "{steps:?}");
            ensure!(steps.iter().any(|step| step["did"] == "pruned" && step["removed"] == 0), "{steps:?}");
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_suspect_snapshot_is_named_everywhere_until_somebody_has_looked() {
    let mut report = Report::default();
    report.scenario("shown, frozen, acknowledged, and removed again", || {
        let (server, setup) = quiet()?;
        delete_with_a_note(&server);
        let file = setup.path("jobs.toml").display().to_string();
        let run = setup.credenza.run(["jobs", "run", "a", "--jobs", &file])?.expect_code(3)?;
        let said = run.whole();
        ensure!(said.contains("SUSPECT") && said.contains("files are gone"), "{said}");
        let hint = said.split("credenza jobs acknowledge ").nth(1).unwrap_or_default();
        let id = hint.split_whitespace().next().unwrap_or_default().trim_end_matches(['`', ';']).to_owned();
        let listed = setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
        ensure!(listed.len() == 2 && listed[0]["suspect"].is_null() && listed[1]["suspect"].is_string(), "{listed:?}");
        let info = setup.credenza.ok(["--json", "info", "latest"])?.lines_of("snapshot")?;
        ensure!(info[0]["flag"]["suspect"] == true, "{info:?}");
        setup.credenza.ok(["ls", "latest"])?.expect_message(&["is suspect", "`latest~1` is the one before it"])?;
        let plan = setup.credenza.ok(["--json", "prune", "--keep-last", "1"])?.lines_of("decision")?;
        ensure!(plan.iter().all(|line| line["action"] == "keep"), "{plan:?}");
        ensure!(plan.iter().any(|line| line["reasons"][0] == "its source is suspect"), "{plan:?}");
        let good = listed[0]["id"].as_str().unwrap_or_default().to_owned();
        jobs(&setup, &["acknowledge", &good])?.expect_code(1)?.expect_message(&["is not suspect"])?;
        jobs(&setup, &["acknowledge", "2020-01-01T00:00"])?
            .expect_code(1)?
            .expect_message(&["no snapshot is suspect"])?;
        jobs(&setup, &["acknowledge", "yesterday"])?.expect_code(2)?;
        ensure!(jobs(&setup, &["acknowledge"])?.expect_code(0)?.lines_of("suspect")?.len() == 1);
        let cleared = jobs(&setup, &["acknowledge", &id])?.expect_code(0)?.lines_of("suspect")?;
        ensure!(cleared.len() == 1 && cleared[0]["acknowledged"] == true, "{cleared:?}");
        let info = setup.credenza.ok(["--json", "info", "latest"])?.lines_of("snapshot")?;
        ensure!(info[0]["flag"]["suspect"] == false, "{info:?}");
        jobs(&setup, &["run", "a"])?.expect_code(0)?;
        ensure!(setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len() == 1);
        Ok(())
    });
    report.finish();
}
