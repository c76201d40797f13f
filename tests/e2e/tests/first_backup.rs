//! The source side of a backup, as a person meets it on the first day: what is left out, listed, piped in, missing, or has not changed.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Outcome, Report, Setup, memory_server, number, snapshot_of};
use credenza_s3_server::Attributes;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

/// A repository, and a folder with some files.
fn with_folder() -> Result<(Setup, PathBuf)> {
    let setup = Setup::with_local_repository()?;
    let folder = fs::canonicalize(setup.path(""))?.join("folder");
    for (name, text) in [("a", "a"), ("b.tmp", "b"), ("target/o", "object"), ("deep/target/o", "o"), ("deep/d", "d")] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(path, text)?;
    }
    Ok((setup, folder))
}

fn backup(setup: &Setup, words: &[&str]) -> Result<Outcome> {
    setup.credenza.run(["--json", "backup"].iter().chain(words))
}

/// The keys of the newest snapshot but that of its root.
fn keys(setup: &Setup) -> Result<Vec<String>> {
    let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
    let keys = entries.iter().filter_map(|entry| entry["key"].as_str());
    Ok(keys.filter(|key| !key.is_empty()).map(str::to_owned).collect())
}

fn snapshots(setup: &Setup) -> Result<usize> {
    Ok(setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len())
}

#[test]
fn a_pattern_that_excludes_nothing_does_not_pass_in_silence() {
    let mut report = Report::default();
    report.scenario("what matches nothing in any source is named once, on the command line and in files", || {
        let (setup, folder) = with_folder()?;
        let other = setup.path("other");
        fs::create_dir(&other)?;
        fs::write(other.join("x.bak"), "")?;
        fs::write(setup.path("patterns"), "*.tmp\n*.swp\n")?;
        let file = setup.path("patterns").to_string_lossy().into_owned();
        let words = ["--exclude", "*.bak", "--exclude", "/tmp/x", "--exclude-file", &file];
        let sources = [folder.to_string_lossy().into_owned(), other.to_string_lossy().into_owned()];
        let words: Vec<&str> = words.into_iter().chain(sources.iter().map(String::as_str)).collect();
        let outcome = backup(&setup, &words)?.expect_code(0)?;
        let warnings: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(
            warnings,
            [
                "warning: the pattern `/tmp/x` matched nothing (it begins at the source)",
                "warning: the pattern `*.swp` matched nothing"
            ]
        );
        let summaries = outcome.lines_of("summary")?;
        assert_eq!(summaries[0]["patterns_unmatched"], serde_json::json!(["*.bak", "/tmp/x", "*.swp"]));
        Ok(())
    });
    report.scenario("very many are reported in few lines", || {
        let (setup, folder) = with_folder()?;
        fs::write(setup.path("patterns"), (0..1000).map(|n| format!("*.{n}\n")).collect::<String>())?;
        let file = setup.path("patterns").to_string_lossy().into_owned();
        let outcome = backup(&setup, &["--exclude-file", &file, &folder.to_string_lossy()])?.expect_code(0)?;
        ensure!(outcome.stderr.lines().count() < 12 && outcome.stderr.contains("992 more"), "{}", outcome.whole());
        Ok(())
    });
    report.scenario("the absolute path of what lies in the source means it, by any spelling of the source", || {
        let (setup, folder) = with_folder()?;
        symlink(&folder, setup.path("link"))?;
        let written = setup.path("link").to_string_lossy().into_owned();
        for (pattern, source) in [
            (format!("{}/target", folder.display()), folder.to_string_lossy().into_owned()),
            (format!("{written}/target/"), written.clone()),
            (format!("{}/target", folder.display()), written.clone()),
            (format!("{}/tar*", folder.display()), format!("{}/.", folder.display())),
        ] {
            let outcome = backup(&setup, &["--exclude", &pattern, &source])?.expect_code(0)?;
            ensure!(!outcome.stderr.contains("matched nothing"), "{}", outcome.whole());
            assert_eq!(keys(&setup)?, ["a", "b.tmp", "deep/", "deep/d", "deep/target/", "deep/target/o"], "{pattern}");
        }
        Ok(())
    });
    report.scenario("what can be no pattern is refused with what is wrong", || {
        let (setup, folder) = with_folder()?;
        for (pattern, why) in
            [("[", "never closed"), ("a[", "never closed"), ("[[:no:]]", "no class"), ("a\\", "nothing follows")]
        {
            let outcome = backup(&setup, &["--exclude", pattern, &folder.to_string_lossy()])?.expect_code(2)?;
            outcome.expect_message(&[why])?;
        }
        assert_eq!(snapshots(&setup)?, 0);
        Ok(())
    });
    report.scenario("a restore that includes nothing fails, and one that includes a part ends with 3", || {
        let (setup, folder) = with_folder()?;
        setup.backup(&folder.to_string_lossy())?;
        let target = setup.path("restored").to_string_lossy().into_owned();
        let restore = ["--json", "restore", "latest", "--accept-loss", "--to", &target];
        let run = |words: &[&str]| setup.credenza.run(restore.iter().chain(words));
        let nothing = run(&["--include", "*.jpg"])?.expect_code(1)?;
        nothing.expect_message(&["matches `*.jpg`"])?;
        let part = run(&["--include", "/a", "--include", "*.jpg"])?.expect_code(3)?.summary()?;
        assert_eq!(part["include_unmatched"], serde_json::json!(["*.jpg"]));
        let whole = format!("{}/deep/d", folder.display());
        run(&["--include", &whole])?.expect_code(0)?;
        ensure!(setup.path("restored/deep/d").exists() && !setup.path("restored/b.tmp").exists());
        Ok(())
    });
    report.finish();
}

#[test]
fn a_source_that_fails_does_not_keep_the_others_from_being_backed_up() {
    let mut report = Report::default();
    report.scenario("a missing folder, a name that is none and a bucket that is not there", || {
        let (setup, folder) = with_folder()?;
        let (server, endpoint) = memory_server()?;
        server.buckets.create("there");
        server.buckets.put_object("there", "key", "x", Attributes::default());
        setup.add("source", "there", &endpoint, "there")?;
        setup.add("source", "gone", &endpoint, "gone")?;
        let (folder, missing) =
            (folder.to_string_lossy().into_owned(), setup.path("missing").to_string_lossy().into_owned());
        for (bad, said) in [(missing.as_str(), "missing"), ("@nobody", "nobody"), ("@gone", "gone")] {
            let before = snapshots(&setup)?;
            for dry_run in [&["--dry-run"][..], &[]] {
                let words: Vec<&str> = dry_run.iter().copied().chain([folder.as_str(), bad, "@there"]).collect();
                let outcome = backup(&setup, &words)?.expect_code(3)?;
                assert_eq!(outcome.lines_of("summary")?.len(), 2, "{}", outcome.whole());
                let reported: Vec<&str> =
                    outcome.stderr.lines().filter(|line| line.contains("is not backed up")).collect();
                ensure!(reported.len() == 1 && reported[0].contains(said), "{}", outcome.whole());
            }
            assert_eq!(snapshots(&setup)?, before + 2);
        }
        Ok(())
    });
    report.scenario("where all are missing the command fails as it does for one", || {
        let (setup, _) = with_folder()?;
        let missing = |name: &str| setup.path(name).to_string_lossy().into_owned();
        let one = backup(&setup, &[&missing("x")])?.expect_code(1)?;
        one.expect_message(&["No such file"])?;
        let all = backup(&setup, &[&missing("x"), &missing("y")])?.expect_code(1)?;
        assert_eq!(all.stderr.matches("is not backed up").count(), 2, "{}", all.whole());
        Ok(())
    });
    report.scenario("a repository that fails ends the command at once", || {
        let (setup, folder) = with_folder()?;
        let folder = folder.to_string_lossy().into_owned();
        fs::remove_dir_all(setup.path("repository"))?;
        let outcome = backup(&setup, &[&folder, &folder])?;
        ensure!(outcome.code != Some(0) && !outcome.stderr.contains("is not backed up"), "{}", outcome.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn what_a_list_names_is_all_that_is_backed_up() {
    let mut report = Report::default();
    report.scenario("lines and NUL bytes, absolute and relative, from a file and standard input", || {
        let (setup, folder) = with_folder()?;
        let source = folder.to_string_lossy().into_owned();
        let lines = format!("a\n./deep//target/\n{source}/deep/d\n");
        fs::write(setup.path("list"), &lines)?;
        let list = setup.path("list").to_string_lossy().into_owned();
        let expected = ["a", "deep/", "deep/d", "deep/target/", "deep/target/o"];
        backup(&setup, &["--files-from", &list, &source])?.expect_code(0)?;
        assert_eq!(keys(&setup)?, expected);
        for text in [lines.clone(), lines.replace('\n', "\0")] {
            let words = ["--json", "backup", "--files-from", "-", &source];
            setup.credenza.feed(words, text.as_bytes())?.expect_code(0)?;
            assert_eq!(keys(&setup)?, expected);
        }
        Ok(())
    });
    report.scenario("what is not there, or not in the source, is named, and the rest is kept", || {
        let (setup, folder) = with_folder()?;
        let words = ["--json", "backup", "--files-from", "-", &folder.to_string_lossy()];
        let outcome = setup.credenza.feed(words, b"a\ngone\n/etc/passwd\n../x\n")?.expect_code(3)?;
        let failed = outcome.lines_of("entry_failed")?;
        let mut named: Vec<&str> = failed.iter().filter_map(|line| line["key"].as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, ["../x", "/etc/passwd", "gone"]);
        assert_eq!((number(&outcome.summary()?, &["errors"])?, keys(&setup)?), (3, vec!["a".to_owned()]));
        Ok(())
    });
    report.scenario("a list without a path, a list that is not there, and two sources are refused", || {
        let (setup, folder) = with_folder()?;
        let source = folder.to_string_lossy().into_owned();
        setup.credenza.feed(["backup", "--files-from", "-", &source], b"\n\n")?.expect_code(2)?;
        backup(&setup, &["--files-from", "/nowhere/list", &source])?.expect_code(1)?;
        fs::write(setup.path("list"), "a\n")?;
        let list = setup.path("list").to_string_lossy().into_owned();
        backup(&setup, &["--files-from", &list, &source, &source])?.expect_code(2)?;
        assert_eq!(snapshots(&setup)?, 0);
        Ok(())
    });
    report.scenario("keys of a bucket", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("live");
        for key in ["a/b", "a/c", "z"] {
            server.buckets.put_object("live", key, key, Attributes::default());
        }
        let setup = Setup::with_local_repository()?;
        setup.add("source", "live", &endpoint, "live")?;
        setup.credenza.feed(["backup", "--files-from", "-", "@live"], b"a/\n")?.expect_code(0)?;
        assert_eq!(keys(&setup)?, ["a/b", "a/c"]);
        Ok(())
    });
    report.finish();
}

#[test]
fn a_stream_is_backed_up_as_one_file() {
    let mut report = Report::default();
    report.scenario("standard input of any length, in constant memory", || {
        let setup = Setup::with_local_repository()?;
        let bytes = credenza_e2e::tree::noise(1, 300 << 20);
        let outcome = setup.credenza.feed(["--json", "backup", "--stdin", "dump.sql"], &bytes)?.expect_code(0)?;
        let outcome = outcome.expect_memory_below(200_000_000)?;
        assert_eq!(number(&outcome.summary()?, &["bytes_read"])?, 300 << 20);
        let target = setup.restore("latest", "restored")?.join("dump.sql");
        ensure!(fs::read(&target)? == bytes);
        assert_eq!(fs::metadata(&target)?.mode() & 0o777, 0o600);
        Ok(())
    });
    report.scenario("the output of a command, which knows none of our secrets", || {
        let mut setup = Setup::with_local_repository()?;
        setup.credenza.set("ITS_OWN", "kept");
        let script = "echo \"$ITS_OWN ${CREDENZA_PASSPHRASE:-none}\"; cat";
        let words = ["--json", "backup", "--stdin-command", "out", "--", "/bin/sh", "-c", script];
        let first = setup.credenza.run(words)?.expect_code(0)?;
        assert_eq!(setup.credenza.ok(["cat", "latest:out"])?.stdout, "kept none\n");
        let same = setup.credenza.run(["--json", "backup", "--skip-if-unchanged"].iter().chain(&words[2..]))?;
        let same = same.expect_code(0)?.summary()?;
        assert_eq!(same["unchanged_since"], first.summary()?["snapshot"]);
        Ok(())
    });
    report.scenario("a command that fails or cannot be started leaves no snapshot", || {
        let setup = Setup::with_local_repository()?;
        for (command, said) in [
            (&["/bin/sh", "-c", "echo part; exit 7"][..], "exit status: 7"),
            (&["/bin/sh", "-c", "kill -9 $$"], "signal: 9"),
            (&["/nowhere/pg_dump"], "`/nowhere/pg_dump` cannot be started"),
        ] {
            let words = ["backup", "--stdin-command", "out", "--"];
            let outcome = setup.credenza.run(words.iter().chain(command))?.expect_code(1)?;
            outcome.expect_message(&[said])?;
        }
        assert_eq!(snapshots(&setup)?, 0);
        let dry = ["backup", "--dry-run", "--stdin-command", "out", "--", "/bin/sh", "-c", "exit 7"];
        setup.credenza.run(dry)?.expect_code(0)?;
        Ok(())
    });
    report.finish();
}

#[test]
fn a_stream_that_is_interrupted_or_named_wrongly_leaves_no_snapshot() {
    let mut report = Report::default();
    report.scenario("an interrupt ends the command and leaves no snapshot", || {
        let setup = Setup::with_local_repository()?;
        let pid = setup.path("pid").to_string_lossy().into_owned();
        let script = format!("echo $$ > {pid}; echo begun; exec sleep 1000");
        let words = ["backup", "--stdin-command", "out", "--", "/bin/sh", "-c", &script];
        let mut run = setup.credenza.start(words)?;
        run.until("starting the command", || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')))?;
        let child = fs::read_to_string(&pid)?.trim().to_owned();
        run.signal(Signal::TERM)?;
        run.wait()?.expect_code(130)?;
        ensure!(!PathBuf::from(format!("/proc/{child}")).exists(), "the command goes on");
        let (run, pipe) = setup.credenza.start_with(["backup", "--stdin", "out"], vec![7; 1 << 20])?;
        let pipe = pipe.join().ok().context("the input was given")?;
        run.signal(Signal::INT)?;
        run.wait()?.expect_code(130)?;
        drop(pipe);
        assert_eq!(snapshots(&setup)?, 0);
        Ok(())
    });
    report.scenario("names that are no file's, and words that contradict each other, are refused", || {
        let setup = Setup::with_local_repository()?;
        for words in [
            &["--stdin", "a/b"][..],
            &["--stdin", "x", "."],
            &["--stdin", "x", "--files-from", "-"],
            &["--stdin-command", "x"],
            &["--stdin", "x", "-o", "a=b"],
        ] {
            setup.credenza.feed(["backup"].iter().chain(words), b"")?.expect_code(2)?;
        }
        let idle = setup.credenza.feed(["backup", "--stdin", "x", "--exclude", "*", "-x"], b"")?.expect_code(0)?;
        assert_eq!(idle.stderr.matches("does nothing at stream:x").count(), 2, "{}", idle.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn caches_marked_folders_and_large_files_are_left_out_when_that_is_asked_for() {
    let mut report = Report::default();
    report.scenario("a marker stays, and what nobody may read beside it is no error", || {
        let (setup, folder) = with_folder()?;
        fs::write(folder.join("target/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n")?;
        fs::write(folder.join("deep/target/.skip"), "because")?;
        let closed = folder.join("target/closed");
        fs::create_dir(&closed)?;
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000))?;
        let words =
            ["--exclude-caches", "--exclude-if-present", ".skip:beca", &folder.to_string_lossy()].map(str::to_owned);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = backup(&setup, &words);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
        outcome?.expect_code(0)?;
        let expected =
            ["a", "b.tmp", "deep/", "deep/d", "deep/target/", "deep/target/.skip", "target/", "target/CACHEDIR.TAG"];
        assert_eq!(keys(&setup)?, expected);
        Ok(())
    });
    report.scenario("large files are left out of folders and buckets, and counted", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("live");
        server.buckets.put_object("live", "large", vec![7; 2001], Attributes::default());
        server.buckets.put_object("live", "small", vec![7; 2000], Attributes::default());
        let (setup, folder) = with_folder()?;
        setup.add("source", "live", &endpoint, "live")?;
        fs::write(folder.join("large"), vec![7; 2001])?;
        for source in [&*folder.to_string_lossy(), "@live"] {
            let outcome = backup(&setup, &["--exclude-larger-than", "2K", source])?.expect_code(0)?;
            assert_eq!(number(&outcome.summary()?, &["too_large"])?, 1);
            ensure!(!keys(&setup)?.contains(&"large".to_owned()));
        }
        backup(&setup, &["--exclude-larger-than", "many", "."])?.expect_code(2)?;
        Ok(())
    });
    report.scenario("options for folders say that they do nothing on a bucket", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("live");
        let (setup, folder) = with_folder()?;
        setup.add("source", "live", &endpoint, "live")?;
        let outcome =
            backup(&setup, &["-x", "--exclude-caches", "@live", &folder.to_string_lossy()])?.expect_code(0)?;
        assert_eq!(
            outcome.stderr.matches("is for folders and does nothing at s3://").count(),
            2,
            "{}",
            outcome.whole()
        );
        Ok(())
    });
    report.scenario("what is mounted is kept as an empty folder", || {
        let setup = Setup::with_local_repository()?;
        backup(&setup, &["-x", "--exclude", "/*", "--exclude", "!/proc", "/"])?;
        assert_eq!(keys(&setup)?, ["proc/"]);
        Ok(())
    });
    report.finish();
}

#[test]
fn no_snapshot_is_made_of_what_has_not_changed() {
    let mut report = Report::default();
    report.scenario("unchanged, changed, and in part unreadable", || {
        let (setup, folder) = with_folder()?;
        let source = folder.to_string_lossy().into_owned();
        let words = ["--skip-if-unchanged", &source];
        let first = snapshot_of(&backup(&setup, &words)?.expect_code(0)?.summary()?)?;
        let unchanged = backup(&setup, &words)?.expect_code(0)?.summary()?;
        assert_eq!(
            (&unchanged["snapshot"], unchanged["unchanged_since"].as_str()),
            (&serde_json::Value::Null, Some(&*first))
        );
        let text = setup.credenza.ok(["backup", "--skip-if-unchanged", &source])?;
        ensure!(text.stderr.contains("none made") || text.stdout.contains("none made"), "{}", text.whole());
        fs::write(folder.join("a"), "changed")?;
        ensure!(backup(&setup, &words)?.expect_code(0)?.summary()?["snapshot"].is_string());
        assert_eq!(snapshots(&setup)?, 2);
        // A list that names what is missing is a failure, which is put on record each time.
        for _ in 0..2 {
            let listed = ["--json", "backup", "--files-from", "-", "--skip-if-unchanged", &source];
            let outcome = setup.credenza.feed(listed, b"a\ngone\n")?.expect_code(3)?;
            ensure!(outcome.summary()?["snapshot"].is_string(), "{}", outcome.whole());
        }
        Ok(())
    });
    report.finish();
}
