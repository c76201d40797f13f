//! Buckets that somebody writes to while they are backed up: no object is torn, what could not be had as it was listed is marked, and a bucket
//! that keeps versions is taken as it was at the start.

use anyhow::{Context, Result, bail, ensure};
use credenza_e2e::s3::S3;
use credenza_e2e::servers::{Kind, RealServer};
use credenza_e2e::{Setup, memory_server_of_pages, tree};
use credenza_s3_server::{Attributes, Fault, Hold, Operation, Rule, Server};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const OBJECTS: u64 = 300;

fn key(number: u64) -> String {
    format!("folder-{}/object-{number:04}", number % 7)
}

/// A body that tells what it is of: torn ones, and those of another object, are neither.
fn body(key: &str, generation: u64) -> Vec<u8> {
    let seed = key.bytes().fold(generation, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    [format!("{key} {generation}\n").into_bytes(), tree::noise(seed, 30_000 + generation % 1000)].concat()
}

/// Which generation a body is of.
fn generation_of(key: &str, bytes: &[u8]) -> Result<u64> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let reported =
        std::str::from_utf8(line)?.strip_prefix(key).with_context(|| format!("{key} holds another object"))?;
    let generation = reported.trim().parse()?;
    ensure!(bytes == body(key, generation), "{key} is torn: it begins with generation {generation}");
    Ok(generation)
}

/// The generations of all files in a restored folder.
fn generations(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for number in 0..2 * OBJECTS {
        let key = key(number);
        if let Ok(bytes) = fs::read(folder.join(&key)) {
            found.insert(key.clone(), generation_of(&key, &bytes)?);
        }
    }
    Ok(found)
}

/// What a backup of a bucket that is written to told, after its exit code was held against it.
fn backup(setup: &Setup) -> Result<Vec<Value>> {
    let outcome = setup.credenza.run(["--json", "backup", "@live"])?;
    let failed = outcome.lines_of("entry_failed")?;
    outcome.expect_code(if failed.is_empty() { 0 } else { 3 })?;
    Ok(failed)
}

/// The keys of a snapshot whose status is that.
fn keys_that(setup: &Setup, status: &str) -> Result<BTreeSet<String>> {
    let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
    let of_status = entries.iter().filter(|entry| entry["status"].as_str() == Some(status));
    Ok(of_status.filter_map(|entry| entry["key"].as_str()).map(str::to_owned).collect())
}

/// Steps of the writer for which a run is held.
const STEPS: u64 = 100;

/// Between one step of the writer and the next, and between two looks whether a run is held.
const STEP: Duration = Duration::from_millis(1);

/// Runs `work` while `write` is called with 1, 2, 3 and so on. With a gate, that begins when `work` is held at it, which goes on after [`STEPS`].
fn beside<T>(
    hold: Option<&Hold>,
    write: impl Fn(u64) -> Result<()> + Sync,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let done = AtomicBool::new(false);
    let is_done = || done.load(Ordering::Relaxed);
    let release = || {
        if let Some(hold) = hold {
            hold.release();
        }
    };
    let write_on = || -> Result<()> {
        while hold.is_some_and(|hold| hold.held() == 0) {
            ensure!(!is_done(), "the run ended without being held");
            std::thread::sleep(STEP);
        }
        for step in 1.. {
            if is_done() {
                break;
            }
            write(step)?;
            if step == STEPS {
                release();
            }
            std::thread::sleep(STEP);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let written = write_on();
            // A writer that has failed holds up nobody.
            release();
            written
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        // A run that has failed says more than a writer that waited for it.
        let outcome = outcome?;
        written?;
        Ok(outcome)
    })
}

#[test]
fn a_run_that_fails_before_it_is_held_is_told_as_that() {
    let failed: Result<()> = beside(Some(&Hold::default()), |_| Ok(()), || bail!("no such bucket"));
    assert_eq!(failed.unwrap_err().to_string(), "no such bucket");
}

#[test]
fn a_run_that_is_never_held_is_told_as_well() {
    let ended = beside(Some(&Hold::default()), |_| Ok(()), || Ok(()));
    assert_eq!(ended.unwrap_err().to_string(), "the run ended without being held");
}

/// The object at whose read a run waits until enough was written beside it.
fn held() -> String {
    key(7)
}

fn start(create: impl FnOnce(&Server)) -> Result<(Server, S3, Setup, Hold)> {
    let (server, endpoint) = memory_server_of_pages(600)?;
    create(&server);
    for number in 0..OBJECTS {
        let key = key(number);
        server.buckets.put_object("source", &key, body(&key, 0), Attributes::default());
    }
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", &endpoint, "source")?;
    let gets = |fault| Rule::new(fault).in_bucket("source").on(&[Operation::GetObject]);
    let hold = Hold::default();
    server.faults().add(gets(Fault::Held(hold.clone())).under(&held()).next(1));
    // Bodies break off, so that their rest is asked for when the object may be another already; and there is time to write.
    server.faults().add(gets(Fault::Truncated { keep_bytes: 20_000 }).every(9));
    server.faults().add(gets(Fault::Late { ms: 200 }));
    Ok((server, S3::new(endpoint)?, setup, hold))
}

/// Overwrites objects from the end, which are read late; deletes some, adds others.
fn change(server: &Server, s3: &S3, step: u64) -> Result<()> {
    let number = OBJECTS - 1 - step.wrapping_mul(7) % OBJECTS;
    let put = |key: &str| server.buckets.put_object("source", key, body(key, step), Attributes::default());
    match step % 5 {
        0 => s3.delete("source", &key(number))?,
        1 => put(&key(OBJECTS + number)),
        _ => put(&key(number)),
    }
    Ok(())
}

#[test]
fn a_bucket_without_versions_that_is_written_to_yields_no_torn_object_and_marks_what_vanished() -> Result<()> {
    let (server, s3, setup, hold) = start(|server| server.buckets.create("source"))?;
    let write = |step| {
        if step == 1 {
            // It is listed, and not read.
            s3.delete("source", &held())?;
        }
        change(&server, &s3, step)
    };
    let failed = beside(Some(&hold), write, || backup(&setup))?;
    server.faults().clear();
    let (changed, vanished) = (keys_that(&setup, "changed")?, keys_that(&setup, "vanished")?);
    ensure!(changed.is_empty() && vanished.contains(&held()), "torn: {changed:?}, vanished: {vanished:?}");
    let reported: BTreeSet<String> = failed.iter().filter_map(|line| line["key"].as_str()).map(str::to_owned).collect();
    ensure!(reported == vanished, "told {reported:?}, marked {vanished:?}");
    let target = setup.path("target");
    setup.credenza.run(["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()])?.expect_code(3)?;
    let restored = generations(&target)?;
    let lost = |key: &&String| !restored.contains_key(*key);
    ensure!(vanished.iter().all(|key| lost(&key)), "something was restored that was never read");
    ensure!((0..OBJECTS).map(key).all(|key| restored.contains_key(&key)
        || vanished.contains(&key)
        || server.buckets.get("source", &key).is_none()));
    setup.check()?.expect_code(0)?;
    // What was marked is read again; nobody writes now.
    ensure!(backup(&setup)?.is_empty() && keys_that(&setup, "vanished")?.is_empty(), "marks stay");
    let target = setup.restore("latest", "again")?;
    let now = server.buckets.keys("source");
    ensure!(generations(&target)?.into_keys().eq(now), "other keys");
    Ok(())
}

#[test]
fn a_bucket_with_versions_that_is_written_to_is_taken_as_it_was_at_the_start() -> Result<()> {
    let (server, s3, setup, hold) = start(|server| server.buckets.create_versioned("source"))?;
    // A server's clock counts seconds: what is written within that of the start is of it or not.
    let write = |step| {
        if step == 1 {
            std::thread::sleep(Duration::from_millis(1100));
        }
        change(&server, &s3, step)
    };
    std::thread::sleep(Duration::from_millis(1100));
    let failed = beside(Some(&hold), write, || backup(&setup))?;
    server.faults().clear();
    ensure!(failed.is_empty(), "{failed:?}");
    let others = (0..OBJECTS).map(key).filter(|key| server.buckets.versions("source", key).len() > 1);
    ensure!(others.count() > 10, "nobody wrote");
    let target = setup.restore("latest", "target")?;
    let restored = generations(&target)?;
    let expected: BTreeMap<String, u64> = (0..OBJECTS).map(|number| (key(number), 0)).collect();
    ensure!(restored == expected, "not the bucket of the start: {restored:?}");
    Ok(())
}

#[test]
fn a_real_server_that_is_written_to_yields_no_torn_object() -> Result<()> {
    let server = RealServer::start(Kind::SeaweedFs)?;
    server.s3.create_bucket("source")?;
    for number in 0..OBJECTS {
        server.s3.put("source", &key(number), body(&key(number), 0), &[])?;
    }
    let setup = Setup::with_local_repository()?;
    setup.add("source", "live", server.s3.endpoint(), "source")?;
    let write = |step: u64| {
        let key = key(step.wrapping_mul(7) % OBJECTS);
        if step.is_multiple_of(5) {
            server.s3.delete("source", &key)
        } else {
            server.s3.put("source", &key, body(&key, step), &[])
        }
    };
    for round in 0..3 {
        beside(None, write, || backup(&setup))?;
        let target = setup.path(&format!("target-{round}"));
        setup.credenza.run(["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()])?;
        ensure!(generations(&target)?.len() > 200, "too much is missing");
    }
    setup.check()?.expect_code(0)?;
    Ok(())
}
