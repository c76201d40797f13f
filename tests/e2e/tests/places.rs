//! Words that name places, what lies there already, and how fast bytes may pass to them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use credenza_e2e::{Outcome, Report, Setup, memory_server, snapshot_of, tree};
use credenza_s3_server::Attributes;

/// The names in a folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let items = fs::read_dir(folder)?.map(|item| Ok(item?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = items.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn hint_of(outcome: &Outcome) -> &str {
    outcome.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default()
}

#[test]
fn a_word_that_means_something_else_becomes_no_folder() {
    let mut report = Report::default();
    report.scenario("of a repository, a source and a destination, and nothing is made", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir(&source)?;
        fs::write(source.join("a"), "a")?;
        setup.backup(&source.to_string_lossy())?;
        for kind in ["repository", "source", "destination"] {
            setup.credenza.ok([kind, "add", "elsewhere", &setup.path("elsewhere").to_string_lossy()])?;
        }
        let here = setup.path("user");
        let before = names(&here)?;
        for (word, meant) in [
            ("s3", "s3://"),
            ("s3:http://host:9000/bucket", "s3://host:9000/bucket with the setting use_tls=false"),
            ("s3:host/bucket", "s3://host/bucket"),
            ("S3://host/bucket", "s3://host/bucket"),
            ("elsewhere", "@elsewhere"),
        ] {
            for words in [
                &["at", word, "create"] as &[&str],
                &["at", word, "ls"],
                &["backup", word],
                &["restore", "latest", "--to", word],
                &["browse", word],
            ] {
                let refused = setup.credenza.run(words)?.expect_code(2)?;
                let hint = hint_of(&refused);
                ensure!(hint.contains("did you mean ") && hint.contains(meant), "{}", refused.whole());
                ensure!(hint.contains(&format!("./{word}")), "{}", refused.whole());
            }
        }
        ensure!(names(&here)? == before, "{:?}", names(&here)?);
        Ok(())
    });
    report.scenario("a name that is not there, and a scheme that nothing serves", || {
        let setup = Setup::with_local_repository()?;
        for word in ["s3", "s3:host/bucket", "S3://host/bucket"] {
            setup.credenza.run(["source", "add", "new", word])?.expect_code(2)?.expect_message(&["did you mean"])?;
            ensure!(!setup.credenza.ok(["source", "list"])?.stdout.contains("new"), "{word} is kept");
        }
        setup.credenza.ok(["source", "add", "letters", "letters"])?;
        setup.credenza.ok(["repository", "add", "backups", &setup.path("b").to_string_lossy()])?;
        setup.credenza.run(["at", "@bakups", "ls"])?.expect_code(2)?.expect_message(&["did you mean `backups`"])?;
        setup
            .credenza
            .run(["at", "s33://host/bucket", "ls"])?
            .expect_code(1)?
            .expect_message(&["did you mean s3://"])?;
        let unserved = setup.credenza.run(["at", "ftp://host/folder", "ls"])?.expect_code(1)?;
        unserved.expect_message(&["served here: azure://, gs://, s3://"])?;
        Ok(())
    });
    report.scenario("what is written as a path, and what exists, is a folder", || {
        let setup = Setup::new()?;
        setup.credenza.ok(["at", "./s3", "create"])?;
        setup.credenza.ok(["at", "s3", "ls"])?;
        setup.credenza.ok(["at", "backups", "create"])?;
        ensure!(setup.path("user/s3/config").is_file() && setup.path("user/backups/config").is_file());
        Ok(())
    });
    report.finish();
}

#[test]
fn a_repository_is_made_among_other_things_only_where_that_is_meant() {
    let mut report = Report::default();
    report.scenario("in a folder", || {
        let setup = Setup::new()?;
        let folder = setup.path("disk");
        fs::create_dir_all(folder.join("lost+found"))?;
        fs::create_dir(folder.join("Pictures"))?;
        let at = folder.to_string_lossy().into_owned();
        let refused = setup.credenza.run(["at", &at, "create"])?.expect_code(1)?;
        ensure!(refused.stderr.contains("Pictures") && !refused.stderr.contains("lost+found"), "{}", refused.whole());
        ensure!(hint_of(&refused).contains("--beside-others"), "{}", refused.whole());
        ensure!(names(&folder)? == ["Pictures", "lost+found"], "{:?}", names(&folder)?);
        setup.credenza.ok(["at", &at, "create", "--beside-others"])?;
        let again = setup.credenza.run(["at", &at, "create"])?.expect_code(1)?;
        again.expect_message(&["there is a repository", "already"])?;
        let empty = setup.path("empty");
        fs::create_dir_all(empty.join("lost+found"))?;
        setup.credenza.ok(["at", &empty.to_string_lossy(), "create"])?;
        Ok(())
    });
    report.scenario("in a bucket, where a prefix of its own is free", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("bucket");
        server.buckets.put_object("bucket", "photos/1.jpg", "x", Attributes::default());
        let setup = Setup::new()?;
        setup.add("repository", "whole", &endpoint, "bucket")?;
        setup.add("repository", "part", &endpoint, "bucket/backups")?;
        let refused = setup.credenza.run(["at", "@whole", "create"])?.expect_code(1)?;
        ensure!(refused.stderr.contains("photos/1.jpg"), "{}", refused.whole());
        ensure!(server.buckets.keys("bucket") == ["photos/1.jpg"]);
        setup.credenza.ok(["at", "@part", "create"])?;
        Ok(())
    });
    report.finish();
}

#[test]
fn bytes_pass_no_faster_than_they_may() {
    let mut report = Report::default();
    report.scenario("up and down, to a bucket and to a folder", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("bucket");
        let setup = Setup::with_local_repository()?;
        setup.add("repository", "store", &endpoint, "bucket")?;
        setup.credenza.ok(["at", "@store", "create"])?;
        let source = setup.path("source");
        fs::create_dir(&source)?;
        fs::write(source.join("large"), tree::noise(1, 300_000))?;
        let source_word = source.to_string_lossy().into_owned();
        // It can only take longer than the rate says.
        let at_least = Duration::from_secs(1);
        for (round, at) in ["@store", &setup.path("repository").to_string_lossy()].into_iter().enumerate() {
            let begin = Instant::now();
            setup.credenza.ok(["at", at, "backup", &source_word, "--limit-upload", "200KiB"])?;
            ensure!(begin.elapsed() >= at_least, "backup to {at}: {:?}", begin.elapsed());
            let target = setup.path(&format!("target{round}"));
            let begin = Instant::now();
            let to = target.to_string_lossy().into_owned();
            let words = ["--limit-download", "200KiB/s", "at", at, "restore", "latest", "--accept-loss", "--to", &to];
            setup.credenza.ok(words)?;
            ensure!(begin.elapsed() >= at_least, "restore from {at}: {:?}", begin.elapsed());
            tree::compare(&source, &target)?;
        }
        setup.credenza.run(["ls", "--limit-upload", "10"])?.expect_code(2)?.expect_message(&["at least 1024"])?;
        Ok(())
    });
    report.finish();
}

#[test]
fn one_backup_compresses_as_it_is_told() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let mut added = Vec::new();
    for (number, level) in ["none", "default", "19"].into_iter().enumerate() {
        let source = setup.path(&format!("source{number}"));
        fs::create_dir(&source)?;
        fs::write(source.join("text"), format!("{number} and so on. ").repeat(50_000))?;
        let words = ["--json", "backup", "--compression", level, &source.to_string_lossy()];
        let summary = setup.credenza.ok(words)?.summary()?;
        added.push(summary["bytes_added"].as_u64().unwrap_or_default());
        setup.restore(&snapshot_of(&summary)?, &format!("target{number}"))?;
    }
    ensure!(matches!(added[..], [none, one, _] if none > 10 * one), "{added:?}");
    for wrong in ["0", "20", "best"] {
        setup.credenza.run(["backup", "--compression", wrong])?.expect_code(2)?.expect_message(&["from 1 to 19"])?;
    }
    Ok(())
}
