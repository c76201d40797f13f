//! Mirrors between places of every kind, with the real binary: one state of the source each time, what others change is noticed, a poisoned one is rolled back.

#![allow(clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod bad_days;
mod providers;
mod versions;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use credenza_e2e::tree::noise;
use credenza_e2e::{Outcome, Report, Setup, bucket, memory_server, number, tree};
use credenza_s3_server::{Attributes, Fault, Hold, Operation, Rule, Server};
use rustix::process::Signal;
use serde_json::Value;

const MARKER: &str = ".credenza-mirror.json";

/// The policy `a` between two places.
fn policy(setup: &Setup, from: &str, to: &str, more: &str) -> Result<()> {
    let text =
        format!("version = 1\n[replicate-bucket.a]\nfrom = \"{from}\"\nto = [\"{to}\"]\nevery = \"15m\"\n{more}\n");
    Ok(fs::write(setup.path("jobs.toml"), text)?)
}

fn mirror(setup: &Setup, words: &[&str]) -> Result<Outcome> {
    let file = setup.path("jobs.toml").display().to_string();
    setup.credenza.run([&["--json", "mirror"], words, &["--jobs", &file]].concat())
}

/// Runs the policy and hands back what was done at its target.
fn run(setup: &Setup, words: &[&str], code: i32) -> Result<Value> {
    let outcome = mirror(setup, &[&["run", "a"], words].concat())?.expect_code(code)?;
    let steps = outcome.lines_of("step")?;
    steps.into_iter().find(|step| step["did"] == "mirrored").with_context(|| outcome.whole())
}

fn figures(step: &Value, names: [&str; 4]) -> Result<[u64; 4]> {
    let mut all = [0; 4];
    for (figure, name) in all.iter_mut().zip(names) {
        *figure = number(step, &[name])?;
    }
    Ok(all)
}

fn put(server: &Server, bucket: &str, key: &str, body: impl Into<Vec<u8>>) {
    server.buckets.put_object(bucket, key, body.into(), Attributes::default());
}

/// The buckets `source` and `copy`, as the places that a policy names.
fn buckets(more: &str) -> Result<(Server, Setup)> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("source");
    server.buckets.create("copy");
    let setup = Setup::with_local_repository()?;
    setup.add("source", "a", &endpoint, "source")?;
    setup.add("destination", "b", &endpoint, "copy")?;
    policy(&setup, "@a", "@b", more)?;
    Ok((server, setup))
}

/// That a bucket is what the other is, but for the marker, which says that it is whole.
fn expect_mirrored(server: &Server) -> Result<()> {
    let marker = server.buckets.get("copy", MARKER).context("there is no marker")?;
    let marker: Value = serde_json::from_slice(&marker.body())?;
    let is_cut = marker.get("cut").is_some_and(Value::is_string);
    ensure!(is_cut && marker.get("towards") == Some(&serde_json::json!([])), "{marker}");
    server.buckets.remove("copy", MARKER);
    let compared = bucket::compare(&server.buckets, "source", "copy");
    put(server, "copy", MARKER, marker.to_string());
    compared
}

fn body(server: &Server, bucket: &str, key: &str) -> Option<Vec<u8>> {
    server.buckets.get(bucket, key).map(|stored| stored.body().to_vec())
}

const DONE: [&str; 4] = ["new", "changed", "removed", "same"];

#[test]
fn a_bucket_is_made_what_another_is() {
    let mut report = Report::default();
    report.scenario("all at first, with attributes, then what differs, then nothing", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_odd(&server.buckets, "source");
        run(&setup, &[], 0)?;
        expect_mirrored(&server)?;
        bucket::fill_many(&server.buckets, "source", 30);
        let first = run(&setup, &[], 0)?;
        ensure!(figures(&first, DONE)?[0] == 30, "{first}");
        put(&server, "source", "dir-000/object-000007", "another");
        server.buckets.remove("source", "dir-000/object-000008");
        let second = run(&setup, &[], 0)?;
        ensure!(figures(&second, DONE)?[..3] == [0, 1, 1], "{second}");
        expect_mirrored(&server)?;
        let third = run(&setup, &[], 0)?;
        ensure!(figures(&third, DONE)?[..3] == [0, 0, 0], "{third}");
        expect_mirrored(&server)
    });
    report.scenario(
        "what is there already is taken over where it is the same, and not overwritten where it is not",
        || {
            let (server, setup) = buckets("")?;
            bucket::fill_many(&server.buckets, "source", 10);
            bucket::fill_many(&server.buckets, "copy", 5);
            let first = run(&setup, &[], 0)?;
            ensure!(figures(&first, DONE)? == [5, 0, 0, 5], "{first}");
            let (server, setup) = buckets("")?;
            put(&server, "source", "a", "mine");
            put(&server, "copy", "a", "theirs");
            let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
            ensure!(body(&server, "copy", "a").as_deref() == Some(b"theirs"), "it was overwritten: {}", held.whole());
            ensure!(body(&server, "copy", MARKER).is_none(), "nothing was to be done");
            run(&setup, &["--overwrite"], 0)?;
            expect_mirrored(&server)
        },
    );
    report.scenario("what the source no longer has stays, or stays for a time", || {
        for (more, is_kept) in
            [("deletes = \"keep\"", true), ("deletes = \"after:7d\"", true), ("deletes = \"now\"", false)]
        {
            let (server, setup) = buckets(more)?;
            bucket::fill_many(&server.buckets, "source", 4);
            run(&setup, &[], 0)?;
            server.buckets.remove("source", "dir-000/object-000002");
            let step = run(&setup, &[], 0)?;
            ensure!(body(&server, "copy", "dir-000/object-000002").is_some() == is_kept, "{more}: {step}");
            ensure!(number(&step, &["kept"])? == u64::from(is_kept), "{more}: {step}");
            // It comes again as another, and is nobody else's.
            put(&server, "source", "dir-000/object-000002", "again");
            run(&setup, &[], 0)?;
            expect_mirrored(&server)?;
        }
        Ok(())
    });
    report.finish();
}

#[test]
fn nothing_is_removed_by_a_cut_for_which_not_all_could_be_read() {
    let mut report = Report::default();
    for (more, pause) in [("deletes = \"now\"", 0), ("deletes = \"after:1s\"", 2100)] {
        report.scenario(more, || {
            let pass = || std::thread::sleep(std::time::Duration::from_millis(pause));
            let (server, setup) = buckets(more)?;
            bucket::fill_many(&server.buckets, "source", 6);
            run(&setup, &[], 0)?;
            let (denied, gone) = ("dir-000/object-000001", "dir-000/object-000002");
            put(&server, "source", denied, "new");
            server.buckets.remove("source", gone);
            let rule = Rule::new(Fault::AccessDenied).in_bucket("source").under(denied);
            server.faults().add(rule.on(&[Operation::GetObject]));
            for _ in 0..2 {
                let step = run(&setup, &[], 3)?;
                ensure!(figures(&step, ["new", "removed", "kept", "extra"])? == [0, 0, 1, 0], "{step}");
                ensure!(body(&server, "copy", gone).is_some(), "it was removed: {step}");
                pass();
            }
            let file = setup.path("jobs.toml").display().to_string();
            let history = ["--json", "jobs", "history", "replicate-bucket.a", "--jobs", &file];
            let told = setup.credenza.ok(history)?;
            ensure!(told.whole().contains("nothing is removed at a target"), "{}", told.whole());
            server.faults().clear();
            run(&setup, &[], 0)?;
            // The cut that is whole has to be a second old.
            pass();
            run(&setup, &[], 0)?;
            ensure!(body(&server, "copy", gone).is_none(), "it stays for ever");
            expect_mirrored(&server)
        });
    }
    report.finish();
}

#[test]
fn what_somebody_else_does_at_the_target_is_noticed_before_it_is_overwritten() {
    let mut report = Report::default();
    report.scenario("an object that was changed there holds back a run that would replace it", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 6);
        run(&setup, &[], 0)?;
        put(&server, "copy", "dir-000/object-000003", "somebody was here");
        put(&server, "source", "dir-000/object-000005", "new");
        let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
        ensure!(held.lines_of("step")?.iter().any(|step| step["held"] == "foreign"), "{}", held.whole());
        ensure!(body(&server, "copy", "dir-000/object-000005") != Some(b"new".to_vec()), "something was done");
        let planned = mirror(&setup, &["plan", "a"])?.expect_code(0)?.lines_of("plan")?;
        ensure!(planned[0]["foreign"] == 1 && planned[0]["held"] == "foreign", "{planned:?}");
        run(&setup, &["--overwrite"], 0)?;
        expect_mirrored(&server)
    });
    report.scenario(
        "an object that was removed there comes back, and that is said; one that was added stays, and that is said",
        || {
            let (server, setup) = buckets("deletes = \"now\"")?;
            bucket::fill_many(&server.buckets, "source", 6);
            run(&setup, &[], 0)?;
            server.buckets.remove("copy", "dir-000/object-000003");
            let step = run(&setup, &[], 0)?;
            ensure!(figures(&step, ["new", "missing", "changed", "removed"])? == [1, 1, 0, 0], "{step}");
            expect_mirrored(&server)?;
            std::thread::sleep(std::time::Duration::from_millis(1100));
            put(&server, "copy", "stranger", "mine");
            let step = run(&setup, &[], 3)?;
            ensure!(number(&step, &["extra"])? == 1 && body(&server, "copy", "stranger").is_some(), "{step}");
            put(&server, "copy", "dir-000/object-000003", "somebody was here");
            put(&server, "source", "dir-000/object-000003", "new");
            let step = run(&setup, &["--overwrite"], 3)?;
            ensure!(figures(&step, ["foreign", "extra", "removed", "lacking"])? == [1, 1, 0, 0], "{step}");
            ensure!(body(&server, "copy", "dir-000/object-000003").as_deref() == Some(b"new"), "it was not replaced");
            ensure!(body(&server, "copy", "stranger").is_some(), "what nobody put here was removed");
            Ok(())
        },
    );
    report.scenario("what was there before the first run stays nobody's when the mirror has gone on", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 6);
        put(&server, "copy", "old/x", "theirs");
        for n in 0..3 {
            put(&server, "source", "dir-000/object-000005", format!("state {n}"));
            let step = run(&setup, &[], 3)?;
            ensure!(figures(&step, ["extra", "removed", "foreign", "same"])?[..3] == [1, 0, 0], "{n}: {step}");
        }
        // The source has one of that name now, and goes on having it.
        put(&server, "source", "old/x", "ours, and of another size");
        for n in 0..2 {
            put(&server, "source", "dir-000/object-000004", format!("state {n}"));
            let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
            ensure!(held.lines_of("step")?.iter().any(|step| step["held"] == "foreign"), "{n}: {}", held.whole());
            ensure!(body(&server, "copy", "old/x").as_deref() == Some(b"theirs"), "{n}: it was overwritten");
        }
        run(&setup, &["--overwrite"], 0)?;
        expect_mirrored(&server)
    });
    report.scenario("a target of another policy is not taken over", || {
        let (server, setup) = buckets("")?;
        bucket::fill_many(&server.buckets, "source", 3);
        run(&setup, &[], 0)?;
        let text = fs::read_to_string(setup.path("jobs.toml"))?.replace("bucket.a]", "bucket.other]");
        fs::write(setup.path("jobs.toml"), text)?;
        let held = mirror(&setup, &["run", "other"])?.expect_code(3)?;
        ensure!(held.lines_of("step")?.iter().any(|step| step["held"] == "other-mirror"), "{}", held.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn a_poisoned_source_is_not_mirrored_and_a_poisoned_mirror_is_rolled_back() {
    let mut report = Report::default();
    report.scenario("a suspect cut and those after it wait until somebody has looked", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 40);
        run(&setup, &[], 0)?;
        let good = server.buckets.keys("copy");
        for key in server.buckets.keys("source") {
            server.buckets.remove("source", &key);
        }
        put(&server, "source", "HOW-TO-PAY.txt", "pay");
        for _ in 0..2 {
            let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
            ensure!(held.whole().contains("suspect"), "{}", held.whole());
            ensure!(server.buckets.keys("copy") == good, "the mirror was poisoned");
            put(&server, "source", "HOW-TO-PAY-MORE.txt", "pay");
        }
        let suspects = setup.credenza.ok(["--json", "jobs", "acknowledge"])?.lines_of("suspect")?;
        let id = suspects[0]["id"].as_str().context("no id")?.to_owned();
        setup.credenza.ok(["jobs", "acknowledge", &id])?;
        // More than half would go: that is asked for by name.
        let step = mirror(&setup, &["run", "a"])?.expect_code(3)?;
        ensure!(step.whole().contains("removals"), "{}", step.whole());
        run(&setup, &["--force"], 0)?;
        expect_mirrored(&server)
    });
    report.scenario("a cut waits also where a backup of the source has seen the poison before it", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 40);
        run(&setup, &[], 0)?;
        let key = "dir-000/object-000001";
        let good = body(&server, "copy", key);
        for key in server.buckets.keys("source") {
            put(&server, "source", &key, format!("encrypted {key}"));
        }
        setup.backup("@a")?;
        for _ in 0..2 {
            let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
            ensure!(!held.lines_of("step")?.iter().any(|step| step["did"] == "mirrored"), "{}", held.whole());
            ensure!(body(&server, "copy", key) == good, "the mirror was poisoned");
        }
        let suspects = setup.credenza.ok(["--json", "jobs", "acknowledge"])?.lines_of("suspect")?;
        let id = suspects[0]["id"].as_str().context("no id")?.to_owned();
        setup.credenza.ok(["jobs", "acknowledge", &id])?;
        run(&setup, &[], 0)?;
        expect_mirrored(&server)
    });
    report.scenario("a mirror goes back to an older cut, and from there on again", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 6);
        run(&setup, &[], 0)?;
        let good = body(&server, "source", "dir-000/object-000001");
        let cuts = mirror(&setup, &["cuts", "a"])?.expect_code(0)?.lines_of("cut")?;
        let first = cuts[0]["id"].as_str().context("no id")?.to_owned();
        put(&server, "source", "dir-000/object-000001", "poison");
        put(&server, "source", "more poison", "poison");
        run(&setup, &[], 0)?;
        let step = run(&setup, &["--to", &first[..10]], 0)?;
        ensure!(step["cut"] == *first && figures(&step, DONE)? == [0, 1, 1, 5], "{step}");
        ensure!(body(&server, "copy", "dir-000/object-000001") == good, "it was not rolled back");
        let status = mirror(&setup, &["status"])?.expect_code(0)?.lines_of("target")?;
        ensure!(status[0]["marker"]["cut"] == *first && status[0]["behind"] == 1, "{status:?}");
        run(&setup, &[], 0)?;
        expect_mirrored(&server)
    });
    report.finish();
}

#[test]
fn a_folder_is_made_what_another_is() {
    let mut report = Report::default();
    report.scenario("with names, links, modes and times, and what is gone", || {
        let setup = Setup::with_local_repository()?;
        let (from, to) = (setup.path("from"), setup.path("to"));
        tree::build_odd(&from)?;
        policy(&setup, &from.to_string_lossy(), &to.to_string_lossy(), "deletes = \"now\"")?;
        let same = |to: &Path| -> Result<()> {
            let marker = fs::read(to.join(MARKER))?;
            fs::remove_file(to.join(MARKER))?;
            let compared = tree::compare(&from, to);
            fs::write(to.join(MARKER), marker)?;
            compared
        };
        mirror(&setup, &["run", "a"])?;
        same(&to)?;
        fs::write(from.join("plain.txt"), "another")?;
        fs::remove_dir_all(from.join("deep"))?;
        fs::create_dir_all(from.join("fresh/er"))?;
        fs::write(from.join("fresh/er/leaf"), noise(5, 100_000))?;
        mirror(&setup, &["run", "a"])?;
        ensure!(!to.join("deep").exists(), "what is gone is there");
        same(&to)?;
        fs::write(to.join("plain.txt"), "by somebody else")?;
        fs::write(from.join("plain.txt"), "a third")?;
        let held = mirror(&setup, &["run", "a"])?.expect_code(3)?;
        ensure!(held.whole().contains("foreign"), "{}", held.whole());
        ensure!(fs::read(to.join("plain.txt"))? == b"by somebody else");
        Ok(())
    });
    report.finish();
}

#[test]
fn a_run_that_is_killed_says_so_and_the_next_one_goes_on() {
    let mut report = Report::default();
    report.scenario("killed in the midst of its second cut", || {
        let (server, setup) = buckets("deletes = \"now\"")?;
        bucket::fill_many(&server.buckets, "source", 20);
        run(&setup, &[], 0)?;
        let before = server.buckets.keys("copy").len();
        bucket::fill_many(&server.buckets, "source", 300);
        server.buckets.remove("source", "dir-000/object-000002");
        // Its marker and some objects are written, and no other is confirmed.
        let hold = Hold::default();
        let writes = Rule::new(Fault::AnswerHeld(hold.clone())).in_bucket("copy").on(&[Operation::PutObject]);
        server.faults().add(writes.after(6));
        let file = setup.path("jobs.toml").display().to_string();
        let mut killed = setup.credenza.start(["mirror", "run", "a", "--jobs", &file])?;
        killed.held(&hold, 1)?;
        killed.signal(Signal::KILL)?;
        killed.wait()?;
        server.faults().clear();
        hold.release();
        let kept = server.buckets.keys("copy").len();
        ensure!((before + 1..300).contains(&kept), "{kept} objects are at the target, of {before} before");
        let marker: Value = serde_json::from_slice(&body(&server, "copy", MARKER).context("no marker")?)?;
        ensure!(marker["towards"].as_array().is_some_and(|cuts| cuts.len() == 1), "{marker}");
        let status = mirror(&setup, &["status", "a"])?.expect_code(0)?;
        ensure!(status.whole().contains("towards"), "{}", status.whole());
        run(&setup, &[], 0)?;
        expect_mirrored(&server)
    });
    report.finish();
}

#[test]
fn a_bucket_is_mirrored_to_a_folder_and_a_folder_to_a_bucket() {
    let mut report = Report::default();
    report.scenario("a bucket to a folder", || {
        let (server, setup) = buckets("")?;
        let to = setup.path("to");
        policy(&setup, "@a", &to.to_string_lossy(), "deletes = \"now\"")?;
        for key in ["plain", "a/b/c", "a/x", "gone/away"] {
            put(&server, "source", key, key);
        }
        mirror(&setup, &["run", "a"])?;
        put(&server, "source", "a/x", "changed");
        server.buckets.remove("source", "gone/away");
        let step = run(&setup, &[], 0)?;
        ensure!(figures(&step, DONE)? == [0, 1, 1, 2], "{step}");
        ensure!(fs::read(to.join("a/x"))? == b"changed" && fs::read(to.join("a/b/c"))? == b"a/b/c");
        ensure!(!to.join("gone/away").exists());
        Ok(())
    });
    report.scenario("a folder to a bucket", || {
        let (server, setup) = buckets("")?;
        let from = setup.path("from");
        fs::create_dir_all(from.join("sub"))?;
        fs::write(from.join("sub/one"), "one")?;
        fs::write(from.join("two"), "two")?;
        policy(&setup, &from.to_string_lossy(), "@b", "deletes = \"now\"")?;
        run(&setup, &[], 0)?;
        fs::write(from.join("two"), "two again")?;
        fs::remove_file(from.join("sub/one"))?;
        run(&setup, &[], 0)?;
        ensure!(body(&server, "copy", "two").as_deref() == Some(&b"two again"[..]));
        ensure!(body(&server, "copy", "sub/one").is_none());
        Ok(())
    });
    report.finish();
}

#[test]
fn policies_that_lead_in_a_circle_are_refused() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let [a, b] = ["a", "b"].map(|name| setup.path(name).display().to_string());
    fs::create_dir_all(&a)?;
    fs::create_dir_all(setup.path("b/deep"))?;
    let text = format!(
        "version = 1\n[replicate-bucket.there]\nfrom = \"{a}\"\nto = \"{b}\"\nevery = \"15m\"\n[replicate-bucket.back]\nfrom = \"{b}/deep\"\nto = \"{a}/below\"\nevery = \"15m\"\n"
    );
    fs::write(setup.path("jobs.toml"), text)?;
    let file = setup.path("jobs.toml").display().to_string();
    let refused = setup.credenza.run(["jobs", "check", "--jobs", &file])?.expect_code(1)?;
    refused.expect_message(&["mirrors lead in a circle", "there", "back"])?;
    let refused = mirror(&setup, &["run", "there"])?.expect_code(1)?;
    ensure!(refused.whole().contains("circle"), "{}", refused.whole());
    Ok(())
}
