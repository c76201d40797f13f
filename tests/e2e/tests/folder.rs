//! Folders into a local repository and back: every attribute, unchanged runs, damage, interruption.

use anyhow::{Result, ensure};
use credenza_e2e::s3::S3;
use credenza_e2e::{Precious, Report, Setup, bucket, memory_server, number, snapshot_of, tree};
use credenza_s3_server::{Fault, Hold, Operation, Rule};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn folders_come_back() {
    let mut report = Report::default();
    report.scenario("every attribute survives the round trip", || {
        let precious = Precious::new(Setup::with_local_repository()?)?;
        precious.expect_intact()?;
        precious.setup.check()?.expect_code(0)?;
        Ok(())
    });
    report.scenario("a snapshot lists exactly the keys of the folder", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, 250)?;
        setup.backup(&source.to_string_lossy())?;
        let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
        let files = entries.iter().filter(|entry| entry["kind"] == "file");
        let keys: BTreeSet<&str> = files.filter_map(|entry| entry["key"].as_str()).collect();
        assert_eq!(keys.len(), 250);
        ensure!(keys.contains("00/0001/file-0000123"), "{:?}", keys.first());
        Ok(())
    });
    report.scenario("an unchanged folder adds next to nothing and a changed file adds that file", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, 500)?;
        fs::write(source.join("empty"), "")?;
        let first = setup.backup(&source.to_string_lossy())?;
        ensure!((number(&first, &["read"])?, number(&first, &["unchanged"])?) == (501, 0), "{first}");
        let unchanged = setup.backup(&source.to_string_lossy())?;
        ensure!(number(&first, &["bytes_added"])? > 500 * 1024, "{first}");
        ensure!(number(&unchanged, &["bytes_added"])? <= 4096, "{unchanged}");
        ensure!(number(&unchanged, &["bytes_read"])? == 0, "{unchanged}");
        fs::write(source.join("00/0001/file-0000123"), tree::noise(9, 100_000))?;
        let changed = setup.backup(&source.to_string_lossy())?;
        let added = number(&changed, &["bytes_added"])?;
        ensure!((100_000..200_000).contains(&added), "{changed}");
        let target = setup.restore("latest", "target")?;
        tree::compare(&source, &target)
    });
    report.scenario("an older snapshot keeps what later runs no longer see", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, 10)?;
        let first = snapshot_of(&setup.backup(&source.to_string_lossy())?)?;
        fs::remove_file(source.join("00/0000/file-0000003"))?;
        setup.backup(&source.to_string_lossy())?;
        let latest = setup.restore("latest", "latest")?;
        tree::compare(&source, &latest)?;
        let old = setup.restore(&first, "old")?;
        assert_eq!(fs::read(old.join("00/0000/file-0000003"))?, tree::noise(3, 1 + 3 * 7919 % 8192));
        Ok(())
    });
    report.scenario("a part of a snapshot is restored on its own", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, 250)?;
        setup.backup(&source.to_string_lossy())?;
        let target = setup.restore("latest:00/0001/", "target")?;
        let restored = walk(&target)?;
        assert_eq!(restored.len(), 100);
        let cat = setup.credenza.ok(["cat", "latest:00/0001/file-0000150"])?;
        ensure!(!cat.stdout.is_empty());
        Ok(())
    });
    report.scenario("a source that is not there is no success, even beside one that is", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("good"), "good")?;
        let gone = setup.path("not there");
        let outcome = setup.credenza.run(["backup", &source.to_string_lossy(), &gone.to_string_lossy()])?;
        ensure!(outcome.code != Some(0), "{}", outcome.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn damage_is_found_and_never_restored() -> Result<()> {
    let mut report = Report::default();
    let precious = Precious::new(Setup::with_local_repository()?)?;
    let repository = precious.setup.path("repository");
    let mut objects = walk(&repository)?;
    // What is no object: unfinished files and the reserve.
    objects
        .retain(|object| !object.strip_prefix(&repository).is_ok_and(|name| name.to_string_lossy().starts_with('~')));
    ensure!(objects.len() >= 5, "a repository holds more than {objects:?}");
    for object in &objects {
        let name = object.strip_prefix(&repository)?.to_string_lossy().into_owned();
        let healthy = fs::read(object)?;
        report.scenario(&format!("a flipped byte in {name}"), || {
            let mut damaged = healthy.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            rewrite(object, &damaged)?;
            expect_damage(&precious, &name)
        });
        report.scenario(&format!("{name} cut in half"), || {
            rewrite(object, &healthy[..healthy.len() / 2])?;
            expect_damage(&precious, &name)
        });
        report.scenario(&format!("{name} missing"), || {
            fs::remove_file(object)?;
            expect_damage(&precious, &name)
        });
        rewrite(object, &healthy)?;
    }
    report.scenario("put back, all is well", || {
        precious.setup.check()?.expect_code(0)?;
        precious.expect_intact()
    });
    report.finish();
    Ok(())
}

/// All damage is named by `check`, but for what a run that was cut off may have left: a newest snapshot or a second copy that is gone.
/// Nothing wrong is ever restored.
fn expect_damage(precious: &Precious, name: &str) -> Result<()> {
    let setup = &precious.setup;
    setup.credenza.forget_cache()?;
    let check = setup.check()?;
    let may_be_absent = name.starts_with("snapshot/") || name.starts_with("copy/");
    if may_be_absent && !setup.path("repository").join(name).exists() {
        ensure!(check.code == Some(0) || check.code == Some(20), "{}", check.whole());
    } else {
        let check = check.expect_code(20)?;
        let damage = check.lines_of("damage")?;
        // A segment that is gone cannot be named by anything but what it described.
        let name =
            if name.starts_with("index/") && !setup.path("repository").join(name).exists() { "index" } else { name };
        let named = damage.iter().any(|line| line["object"].as_str().is_some_and(|object| object.contains(name)));
        ensure!(named, "damage does not name {name}\n{}", check.whole());
    }
    let target = setup.path("from damaged");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let restore = setup.credenza.run(["restore", precious.snapshot(), "--to", &target.to_string_lossy()])?;
    if restore.code == Some(0) {
        return tree::compare(precious.source(), &target);
    }
    for file in if target.exists() { walk(&target)? } else { Vec::new() } {
        let original = precious.source().join(file.strip_prefix(&target)?);
        ensure!(fs::read(&file)? == fs::read(&original)?, "wrong bytes in {}\n{}", file.display(), restore.whole());
    }
    Ok(())
}

#[test]
fn an_interrupted_backup_leaves_the_repository_sound() {
    let mut report = Report::default();
    for (name, signal, code) in [("SIGKILL", Signal::KILL, None), ("SIGINT", Signal::INT, Some(130))] {
        report.scenario(name, || {
            let (server, endpoint) = memory_server()?;
            server.buckets.create("repository");
            let precious = Precious::new(Setup::with_s3_repository(&endpoint, "repository")?)?;
            let large = precious.setup.path("large");
            fs::create_dir_all(&large)?;
            for seed in 0..16 {
                fs::write(large.join(seed.to_string()), tree::noise(seed, 32 * 1024 * 1024))?;
            }
            server.log().clear();
            let hold = Hold::default();
            let writes = Rule::new(Fault::AnswerHeld(hold.clone())).in_bucket("repository").on(&[Operation::PutObject]);
            server.faults().add(writes.after(2));
            let mut run = precious.setup.credenza.start(["backup", &large.to_string_lossy()])?;
            run.held(&hold, 1)?;
            run.signal(signal)?;
            // What is on its way when a run is asked to end still arrives.
            hold.release();
            let outcome = run.wait()?;
            assert_eq!(outcome.code, code, "{}", outcome.whole());
            let uploaded = server.log().count("repository", Operation::PutObject).bytes_in;
            precious.expect_only_snapshot()?;
            precious.setup.check()?.expect_code(0)?;
            precious.expect_intact()?;
            server.log().clear();
            let snapshot = snapshot_of(&precious.setup.backup(&large.to_string_lossy())?)?;
            if signal == Signal::INT {
                outcome.expect_message(&["uploads the rest only"])?;
                let all = uploaded + server.log().count("repository", Operation::PutObject).bytes_in;
                let new = 16 * 32 * 1024 * 1024;
                // A request that the network made go out twice counts twice.
                ensure!(
                    all < new + uploaded / 2,
                    "{all} bytes were uploaded for {new}, {uploaded} before the interrupt"
                );
            }
            let target = precious.setup.restore(&snapshot, "large again")?;
            tree::compare(&large, &target)
        });
    }
    report.finish();
}

#[test]
fn a_killed_backup_of_a_slow_source_uploads_only_the_rest_when_it_is_run_again() -> Result<()> {
    const LARGE: u64 = 40 * 1024 * 1024;
    let (server, endpoint) = memory_server()?;
    server.buckets.create("repository");
    // Thirty-two at a time, fifteen seconds each: the run goes on for some minutes.
    bucket::fill_many(&server.buckets, "source", 600);
    let s3 = S3::new(endpoint.clone())?;
    for seed in 0..2 {
        let body = tree::noise(seed, LARGE);
        let parts: Vec<_> = body.chunks(8 * 1024 * 1024).map(bytes::Bytes::copy_from_slice).collect();
        s3.put_parts("source", format!("a-large-{seed}").as_bytes(), &parts, &[])?;
    }
    let setup = Setup::with_s3_repository(&endpoint, "repository")?;
    setup.add("source", "slow", &endpoint, "source")?;
    let slow = Rule::new(Fault::Late { ms: 15_000 }).in_bucket("source").on(&[Operation::GetObject]);
    server.faults().add(slow.under("dir-"));
    server.log().clear();
    let mut run = setup.credenza.start(["backup", "@slow"])?;
    // Every two minutes, however slow its source is. What was kept when it began to write a segment is told in it.
    let described = || server.log().lines().iter().filter(|line| line.starts_with("PUT /repository/index/")).count();
    let kept = || server.log().count("repository", Operation::PutObject).bytes_in;
    run.until("keeping most of what is large", || kept() > LARGE + LARGE / 2)?;
    let before = described();
    run.until("describing what it has kept", || described() > before)?;
    run.signal(Signal::KILL)?;
    run.wait()?;
    server.faults().clear();
    server.log().clear();
    setup.check()?.expect_code(0)?;
    setup.backup("@slow")?;
    let sent = server.log().count("repository", Operation::PutObject).bytes_in;
    ensure!(sent < LARGE, "{sent} bytes were uploaded, of {} that the killed run had read", 2 * LARGE);
    setup.check()?.expect_code(0).map(drop)
}

fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Repository files may be read-only; a vandal replaces them.
fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let _ = fs::remove_file(path);
    Ok(fs::write(path, bytes)?)
}
