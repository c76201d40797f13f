//! Restores to where something is: what the program says and how it ends. What is fetched and written is tested in the engine.

use anyhow::{Result, ensure};
use credenza_e2e::{Report, Setup, bucket, memory_server, number, tree};
use credenza_s3_server::{Attributes, Fault, Operation, Rule, Server};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A snapshot of 700 files, and the folder it was restored to.
fn restored() -> Result<(Setup, PathBuf)> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    tree::build_many(&source, 700)?;
    setup.backup(&source.to_string_lossy())?;
    let target = setup.restore("latest", "target")?;
    Ok((setup, target))
}

#[test]
fn a_restore_to_where_something_is() {
    let mut report = Report::default();
    report.scenario("over itself it ends with 0 and says that all is there", || {
        let (setup, target) = restored()?;
        let again = setup.credenza.ok(["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()])?;
        ensure!(again.stdout.starts_with("restored 0 entries"), "{}", again.whole());
        ensure!(again.stdout.contains("entries were there as they are in the snapshot"), "{}", again.whole());
        ensure!(again.stdout.lines().count() == 2 && again.stderr.is_empty(), "{}", again.whole());
        Ok(())
    });
    report.scenario("what differs is reported in one line a kind, and in one an entry with -v", || {
        let (setup, target) = restored()?;
        for number in 100..150 {
            fs::write(target.join(format!("00/0001/file-{number:07}")), "mine")?;
        }
        let gone = target.join("00/0002");
        fs::remove_dir_all(&gone)?;
        symlink("/", &gone)?;
        let words = ["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()].map(str::to_owned);
        let reported = setup.credenza.run(&words)?.expect_code(3)?;
        ensure!(reported.stdout.lines().count() == 6 && reported.stderr.is_empty(), "{}", reported.whole());
        for line in [
            "\n50 entries differ from the snapshot and were left; --overwrite replaces them (00/0001/file-0000100, ",
            "\n1 entries were left: a file, folder or link is where the snapshot has another kind",
            "\n100 entries were left: what is above them is no folder",
        ] {
            ensure!(reported.stdout.contains(line), "{line}\n{}", reported.whole());
        }
        let each = setup.credenza.run(words.iter().map(String::as_str).chain(["-v"]))?.expect_code(3)?;
        ensure!(each.stdout.contains("left       00/0001/file-0000149: it differs\n"), "{}", each.whole());
        setup.credenza.ok(words.iter().map(String::as_str).chain(["--overwrite"]))?;
        tree::compare(&setup.path("source"), &target)
    });
    report.scenario("a trial counts and lists, and changes nothing", || {
        let (setup, target) = restored()?;
        fs::write(target.join("00/0001/file-0000100"), "mine")?;
        fs::write(target.join("strange"), "")?;
        let words = ["--json", "restore", "latest", "-n", "--overwrite", "--delete", "--to", &target.to_string_lossy()];
        let trial = setup.credenza.ok(words)?;
        let summary = trial.summary()?;
        let counts = ["entries", "replaced", "extra", "removed"].map(|name| number(&summary, &[name]).ok());
        ensure!(counts == [Some(1), Some(1), Some(1), Some(0)], "{summary}");
        let lines = trial.lines_of("compared")?;
        let is =
            |standing: &str, key: &str| lines.iter().any(|line| line["standing"] == standing && line["key"] == key);
        ensure!(is("changed", "00/0001/file-0000100") && is("extra", "strange"), "{}", trial.whole());
        ensure!(fs::read(target.join("00/0001/file-0000100"))? == b"mine" && target.join("strange").exists());
        Ok(())
    });
    report.finish();
}

#[test]
fn a_restore_removes_chooses_and_verifies_what_it_is_told_to() {
    let mut report = Report::default();
    report.scenario("what is not in the snapshot is removed, and much of it only with --force", || {
        let (setup, target) = restored()?;
        fs::write(target.join("strange"), "")?;
        let words =
            ["restore", "latest", "--accept-loss", "--delete", "--to", &target.to_string_lossy()].map(str::to_owned);
        setup.credenza.ok(&words)?;
        ensure!(!target.join("strange").exists());
        let other = setup.path("other");
        tree::build_many(&other, 3000)?;
        let to_other =
            ["restore", "latest", "--accept-loss", "--delete", "--to", &other.to_string_lossy()].map(str::to_owned);
        let refused = setup.credenza.run(&to_other)?.expect_code(1)?;
        refused.expect_message(&["are not in the snapshot and would be removed; nothing was done", "--force"])?;
        setup.credenza.ok(to_other.iter().map(String::as_str).chain(["--force", "--overwrite"]))?;
        tree::compare(&setup.path("source"), &other)
    });
    report.scenario("patterns choose, and what was written is verified", || {
        let (setup, _) = restored()?;
        let target = setup.path("part").to_string_lossy().into_owned();
        let words = [
            "--json",
            "restore",
            "latest",
            "--accept-loss",
            "--verify",
            "--include",
            "0001",
            "--exclude",
            "*5",
            "--to",
            &target,
        ];
        let summary = setup.credenza.ok(words)?.summary()?;
        ensure!(number(&summary, &["verified"])? == 90, "{summary}");
        Ok(())
    });
    report.scenario("a target in which nothing can be written fails once", || {
        let (setup, _) = restored()?;
        for target in
            ["/sys/credenza".to_owned(), setup.path("source/00/0001/file-0000100").to_string_lossy().into_owned()]
        {
            let failed = setup.credenza.run(["restore", "latest", "--to", &target])?.expect_code(1)?;
            ensure!(failed.stdout.is_empty() && failed.stderr.lines().count() <= 2, "{}", failed.whole());
        }
        Ok(())
    });
    report.finish();
}

#[test]
fn a_restore_from_a_bucket_over_itself_reads_no_pack() -> Result<()> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("repository");
    let setup = Setup::with_s3_repository(&endpoint, "repository")?;
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    fs::write(source.join("large"), tree::noise(1, 100 * 1024 * 1024))?;
    setup.backup(&source.to_string_lossy())?;
    let target = setup.restore("latest", "target")?;
    let bytes = || server.log().count("repository", Operation::GetObject).bytes_out;
    server.log().clear();
    setup.restore("latest", "target")?;
    ensure!(bytes() < 1024 * 1024, "{} bytes were read", bytes());
    let mut content = fs::read(target.join("large"))?;
    content[50_000_000] ^= 1;
    fs::write(target.join("large"), content)?;
    server.log().clear();
    setup.credenza.ok(["restore", "latest", "--accept-loss", "--overwrite", "--to", &target.to_string_lossy()])?;
    ensure!(bytes() < 16 * 1024 * 1024, "{} bytes were read for one that differs", bytes());
    tree::compare(&source, &target)
}

#[test]
fn a_restore_to_a_bucket_that_holds_something() {
    let mut report = Report::default();
    let start = || -> Result<(Server, Setup)> {
        let (server, endpoint) = memory_server()?;
        let setup = Setup::with_local_repository()?;
        setup.add("source", "live", &endpoint, "source")?;
        server.buckets.create("copy");
        setup.add("destination", "copy", &endpoint, "copy")?;
        Ok((server, setup))
    };
    report.scenario("objects with the same bytes are not written again, and one that differs is left", || {
        let (server, setup) = start()?;
        bucket::fill_many(&server.buckets, "source", 200);
        setup.backup("@live")?;
        let restore = ["--json", "restore", "latest", "--to", "@copy"];
        setup.credenza.ok(restore)?;
        server.log().clear();
        let summary = setup.credenza.ok(restore)?.summary()?;
        ensure!(number(&summary, &["identical"])? == 200 && number(&summary, &["entries"])? == 0, "{summary}");
        ensure!(server.log().count("copy", Operation::PutObject).requests == 0, "{summary}");
        server.buckets.put_object("copy", "dir-000/object-000007", b"mine".to_vec(), Attributes::default());
        let summary = setup.credenza.run(restore)?.expect_code(3)?.summary()?;
        ensure!(summary["left"]["content"] == 1, "{summary}");
        setup.credenza.ok(restore.into_iter().chain(["--overwrite"]))?;
        bucket::compare(&server.buckets, "source", "copy")
    });
    report.scenario(
        "files that were restored before are taken for equal by size and time, and that is reported",
        || {
            let (server, setup) = start()?;
            let source = setup.path("source");
            tree::build_many(&source, 50)?;
            setup.backup(&source.to_string_lossy())?;
            let restore = ["--json", "restore", "latest", "--accept-loss", "--to", "@copy"];
            setup.credenza.ok(restore)?;
            server.log().clear();
            let summary = setup.credenza.ok(restore)?.summary()?;
            let (identical, presumed) = (number(&summary, &["identical"])?, number(&summary, &["presumed"])?);
            ensure!(identical >= 50 && presumed >= 50, "{summary}");
            ensure!(server.log().count("copy", Operation::PutObject).requests == 0, "{summary}");
            Ok(())
        },
    );
    report.scenario("a bucket that may not be written to fails once", || {
        let (server, setup) = start()?;
        bucket::fill_many(&server.buckets, "source", 200);
        setup.backup("@live")?;
        server.faults().add(Rule::new(Fault::AccessDenied).on(&[Operation::PutObject]).in_bucket("copy"));
        let failed = setup.credenza.run(["restore", "latest", "--to", "@copy"])?.expect_code(1)?;
        ensure!(failed.stdout.is_empty() && failed.stderr.lines().count() <= 2, "{}", failed.whole());
        Ok(())
    });
    report.finish();
}
