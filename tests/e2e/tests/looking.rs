//! Looking into snapshots as a person does: which one is meant, what is in it, where something is, and a part of it as an archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Setup, number, snapshot_of, tree};
use serde_json::Value;

/// A folder with letters and a picture, backed up once.
fn letters() -> Result<(Setup, PathBuf, String)> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("home");
    fs::create_dir_all(source.join("letters/old"))?;
    fs::create_dir_all(source.join("empty"))?;
    for (name, text) in [("letters/a.txt", "dear a"), ("letters/old/b.txt", "dear b"), ("IMG_1.JPG", "a picture")] {
        fs::write(source.join(name), text)?;
    }
    let id = snapshot_of(&setup.backup(&source.to_string_lossy())?)?;
    Ok((setup, source, id))
}

fn keys(setup: &Setup, words: &[&str]) -> Result<Vec<String>> {
    let lines = setup.credenza.ok([&["--json"], words].concat())?.lines()?;
    Ok(lines.iter().filter_map(|line| Some(line["key"].as_str()?.to_owned())).collect())
}

/// Runs a program that reads an archive; what it printed, and whether it found the archive whole.
fn read_with(program: &str, words: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(program).args(words).output().with_context(|| format!("{program} cannot be run"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn remove_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { remove_files(&path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn snapshots_are_looked_into_as_people_type() {
    let mut report = Report::default();
    report.scenario("a list has one level unless all is asked for, and an empty one says so", || {
        let (setup, ..) = letters()?;
        ensure!(keys(&setup, &["ls", "latest"])? == ["IMG_1.JPG", "empty/", "letters/"]);
        ensure!(keys(&setup, &["ls", "latest:letters"])? == ["letters/a.txt", "letters/old/"]);
        let all = keys(&setup, &["ls", "-R", "latest:letters"])?;
        ensure!(all == ["letters/", "letters/a.txt", "letters/old/", "letters/old/b.txt"], "{all:?}");
        setup.credenza.ok(["ls", "latest:empty"])?.expect_message(&["`empty/` is an empty folder"])?;
        let long = setup.credenza.ok(["ls", "-l", "--utc", "latest:letters/a.txt"])?.stdout;
        ensure!(long.starts_with("-rw") && long.contains(" 6 B ") && long.contains(" UTC letters/a.txt"), "{long}");
        let none = Setup::with_local_repository()?;
        let outcome = none.credenza.ok(["ls"])?.expect_message(&["holds no snapshot yet"])?;
        ensure!(outcome.stdout.is_empty(), "{}", outcome.whole());
        ensure!(none.credenza.ok(["--json", "ls"])?.stdout.is_empty());
        Ok(())
    });
    report.scenario("where none of the snapshots can be read, nobody says that there are none", || {
        let (setup, _, id) = letters()?;
        fs::write(setup.path(&format!("repository/snapshot/{id}")), "no snapshot")?;
        let outcome = setup.credenza.run(["ls"])?.expect_code(20)?.expect_message(&[&id])?;
        ensure!(!outcome.whole().contains("no snapshot yet"), "{}", outcome.whole());
        Ok(())
    });
    report.scenario("a path means the same in every command and every form", || {
        let (setup, source, _) = letters()?;
        let absolute = text(&source.join("letters"));
        for path in ["letters", "letters/", "./letters", "/letters", &absolute] {
            let there = format!("latest:{path}");
            ensure!(keys(&setup, &["ls", &there])? == ["letters/a.txt", "letters/old/"], "{path}");
            let file = format!("latest:{}/a.txt", path.trim_end_matches('/'));
            ensure!(setup.credenza.ok(["cat", &file])?.stdout == "dear a", "{path}");
            ensure!(number(&setup.credenza.ok(["--json", "digest", &there])?.summary()?, &["entries"])? == 4, "{path}");
            setup.credenza.ok(["info", &there])?;
            setup.credenza.ok(["diff", &there, "latest:letters"])?;
            ensure!(keys(&setup, &["history", path])? == ["letters/"], "{path}");
            let target = setup.path("target");
            setup.credenza.ok(["restore", &there, "--to", &text(&target)])?;
            ensure!(fs::read(target.join("letters/old/b.txt"))? == b"dear b", "{path}");
            fs::remove_dir_all(target)?;
        }
        let near = setup.credenza.run(["cat", "latest:leters/a.txt"])?.expect_code(1)?;
        near.expect_message(&[":letters/?"])?;
        Ok(())
    });
    report.finish();
}

#[test]
fn what_several_snapshots_could_mean_is_said_and_what_they_hold_is_found() {
    let mut report = Report::default();
    report.scenario("what several snapshots could mean is said, and refused where it is not taken back easily", || {
        let (setup, source, first) = letters()?;
        let other = setup.path("other");
        fs::create_dir(&other)?;
        fs::write(other.join("file"), "x")?;
        let second = snapshot_of(&setup.backup(&text(&other))?)?;
        setup.credenza.ok(["ls", "latest"])?.expect_message(&["there is also"])?;
        let target = text(&setup.path("target"));
        let refused = setup.credenza.run(["restore", "latest", "--to", &target])?.expect_code(2)?;
        refused.expect_message(&[&first[..8]])?.expect_message(&[&second[..8]])?.expect_message(&["--source"])?;
        for filter in [["--source", &text(&source)], ["--path", &text(&source.join("letters"))]] {
            let words = [&["restore", "latest", "--to", &target], &filter[..]].concat();
            let summary = setup.credenza.ok([&["--json"], &words[..]].concat())?.summary()?;
            ensure!(summary["snapshot"] == first.as_str(), "{summary}");
            fs::remove_dir_all(&target)?;
            let listed = setup.credenza.ok([&["--json", "ls"], &filter[..]].concat())?.lines_of("snapshot")?;
            ensure!(listed.len() == 1 && listed[0]["id"] == first.as_str(), "{listed:?}");
            let decisions = setup.credenza.ok([&["--json", "prune", "--keep-last", "1"], &filter[..]].concat())?;
            ensure!(decisions.lines_of("decision")?.len() == 1, "{}", decisions.whole());
        }
        setup
            .credenza
            .run(["ls", "--host", "nowhere"])?
            .expect_code(1)?
            .expect_message(&["none of the 2 snapshots"])?;
        let listed = setup.credenza.ok(["ls"])?.stdout;
        ensure!(listed.contains(&format!("{}  ", &first[..8])) && !listed.contains(&first), "{listed}");
        fs::write(other.join("file"), "y")?;
        setup.backup(&text(&other))?;
        let before = ["cat", "latest~1:file", "--source", &text(&other)].map(str::to_owned);
        ensure!(setup.credenza.ok(before)?.stdout == "x");
        Ok(())
    });
    report.scenario("a name is found in all snapshots, each content once", || {
        let (setup, source, first) = letters()?;
        fs::write(source.join("letters/a.txt"), "dear a, again")?;
        let second = snapshot_of(&setup.backup(&text(&source))?)?;
        setup.credenza.run(["find", "img"])?.expect_code(1)?;
        let held = |words: &[&str]| -> Result<Vec<Value>> {
            let lines = setup.credenza.ok([&["--json", "find"], words].concat())?.lines_of("match")?;
            Ok(lines.into_iter().map(|line| line["snapshots"].clone()).collect())
        };
        ensure!(held(&["-i", "img"])? == [serde_json::json!([second, first])]);
        ensure!(held(&["a.txt"])? == [serde_json::json!([second]), serde_json::json!([first])]);
        ensure!(held(&["--kind", "file", "--larger", "7", "--snapshot", &first])?.len() == 1, "the picture");
        ensure!(held(&["--kind", "file", "--older", "1h"]).is_err(), "all is new");
        let versions = setup.credenza.ok(["history", &text(&source.join("letters/a.txt"))])?.stdout;
        ensure!(versions.lines().count() == 2 && versions.contains(&second[..8]), "{versions}");
        Ok(())
    });
}

#[test]
fn a_part_of_a_snapshot_is_dumped_as_an_archive_that_others_read() {
    let mut report = Report::default();
    report.scenario("tar and zip hold what was asked for", || {
        let (setup, source, _) = letters()?;
        fs::write(source.join("letters/large"), tree::noise(1, 3_000_000))?;
        std::os::unix::fs::symlink("a.txt", source.join("letters/link"))?;
        setup.backup(&text(&source))?;
        let (tar, zip) = (text(&setup.path("part.tar")), text(&setup.path("part.zip")));
        setup.credenza.ok(["dump", "latest:letters", "--output", &tar])?;
        setup.credenza.ok(["dump", "latest:letters", "--output", &zip])?;
        let (whole, listed) = read_with("tar", &["-tf", &tar])?;
        ensure!(whole && listed.lines().eq(["letters/", "letters/a.txt", "letters/large", "letters/link", "letters/old/", "letters/old/b.txt"]), "{listed}");
        let unpacked = setup.path("unpacked");
        fs::create_dir(&unpacked)?;
        ensure!(read_with("tar", &["-xf", &tar, "-C", &text(&unpacked)])?.0);
        tree::compare(&source.join("letters"), &unpacked.join("letters"))?;
        let (whole, tested) = read_with("python3", &["-m", "zipfile", "-t", &zip])?;
        ensure!(whole && tested.contains("Done testing") && !tested.contains("corrupt"), "{tested}");
        let read = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(len(z.read('letters/large')), z.read('letters/a.txt').decode(), z.read('letters/link').decode(), len(z.namelist()))";
        let (_, read) = read_with("python3", &["-c", read, &zip])?;
        ensure!(read.trim() == "3000000 dear a a.txt 6", "{read}");
        setup.credenza.run(["dump", "latest", "--output", &tar])?.expect_code(1)?.expect_message(&["cannot be made"])?;
        Ok(())
    });
    report.scenario("an archive of damaged data is broken for everybody", || {
        let (setup, source, _) = letters()?;
        fs::write(source.join("letters/large"), tree::noise(1, 3_000_000))?;
        setup.backup(&text(&source))?;
        remove_files(&setup.path("repository/data"))?;
        let (tar, zip) = (text(&setup.path("part.tar")), text(&setup.path("part.zip")));
        for archive in [&tar, &zip] {
            setup.credenza.run(["dump", "latest", "--output", archive])?.expect_code(20)?;
        }
        ensure!(!read_with("tar", &["-tf", &tar])?.0, "tar takes it for whole");
        ensure!(!read_with("python3", &["-c", "import sys, tarfile; tarfile.open(sys.argv[1]).getmembers()", &tar])?.0);
        ensure!(!read_with("python3", &["-m", "zipfile", "-t", &zip])?.0);
        Ok(())
    });
}
