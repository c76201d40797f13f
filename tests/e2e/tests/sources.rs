//! How a person names a source, and what of it is to be left out: links, spellings, hosts, patterns, mounts, `~`.

use anyhow::{Result, ensure};
use credenza_e2e::{Outcome, Report, Setup, number, snapshot_of};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// A repository, and a folder with some files.
fn with_folder() -> Result<(Setup, PathBuf)> {
    let setup = Setup::with_local_repository()?;
    let folder = setup.path("folder");
    for (name, text) in [("a", "a"), ("b.tmp", "b"), ("cache/c", "c"), ("cache/keep", "k"), ("deep/d", "d")] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(path, text)?;
    }
    Ok((setup, folder))
}

fn backup(setup: &Setup, words: &[&str]) -> Result<Outcome> {
    setup.credenza.run(["--json", "backup"].iter().chain(words))
}

fn read(outcome: &Outcome) -> Result<u64> {
    number(&outcome.summary()?, &["read"])
}

/// The keys of the files in the newest snapshot.
fn files(setup: &Setup) -> Result<Vec<String>> {
    let entries = setup.credenza.ok(["--json", "ls", "-R", "latest"])?.lines_of("entry")?;
    let files = entries.iter().filter(|entry| entry["kind"] == "file");
    Ok(files.filter_map(|entry| entry["key"].as_str().map(str::to_owned)).collect())
}

#[test]
fn a_source_is_what_its_name_leads_to() {
    let mut report = Report::default();
    report.scenario("a link to a file is backed up as the file", || {
        let (setup, folder) = with_folder()?;
        symlink(folder.join("a"), setup.path("link"))?;
        setup.backup(&setup.path("link").to_string_lossy())?;
        let target = setup.restore("latest", "target")?;
        ensure!(fs::symlink_metadata(target.join("link"))?.is_file());
        assert_eq!(fs::read_to_string(target.join("link"))?, "a");
        Ok(())
    });
    report.scenario("a link to nowhere is refused and says so", || {
        let (setup, _) = with_folder()?;
        symlink("nowhere", setup.path("link"))?;
        let outcome = backup(&setup, &[&setup.path("link").to_string_lossy()])?.expect_code(1)?;
        outcome.expect_message(&["is a link to `nowhere`, and nothing is there"])?;
        Ok(())
    });
    report.scenario("another spelling of a folder is the same source", || {
        let (setup, folder) = with_folder()?;
        setup.backup(&folder.to_string_lossy())?;
        for more in ["/", "/.", "/../folder", "/deep/.."] {
            let outcome = backup(&setup, &[&format!("{}{more}", folder.display())])?.expect_code(0)?;
            ensure!(read(&outcome)? == 0 && outcome.stderr.is_empty(), "{more} {}", outcome.whole());
        }
        let plan = setup.credenza.ok(["--json", "prune", "--keep-last", "1"])?;
        ensure!(plan.lines()?.iter().filter(|line| line["action"] == "keep").count() == 1, "{}", plan.whole());
        let spelled = format!("{}/./", folder.display());
        let named = setup.credenza.ok(["--json", "prune", "--keep-last", "1", "--source", &spelled])?;
        ensure!(named.lines_of("decision")?.len() >= 3, "{}", named.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn a_history_goes_on_under_the_name_that_a_person_gives() {
    let mut report = Report::default();
    report.scenario("a host that was called otherwise reads nothing again, and the way to one history is said", || {
        let (setup, folder) = with_folder()?;
        let folder = folder.to_string_lossy();
        backup(&setup, &["--host", "container-1", &folder])?.expect_code(0)?;
        let other = backup(&setup, &["--host", "container-2", &folder])?.expect_code(0)?;
        assert_eq!(read(&other)?, 0);
        other.expect_message(&["add --host container-1 to `backup`"])?;
        let again = backup(&setup, &["--host", "container-1", &folder])?.expect_code(0)?;
        ensure!(read(&again)? == 0 && again.stderr.is_empty(), "{}", again.whole());
        let plan = setup.credenza.ok(["--json", "prune", "--keep-last", "1"])?;
        ensure!(plan.lines()?.iter().filter(|line| line["action"] == "keep").count() == 2, "{}", plan.whole());
        Ok(())
    });
    report.scenario("a source with a name goes on where it was moved to", || {
        let (setup, folder) = with_folder()?;
        let first = backup(&setup, &["--as", "letters", &folder.to_string_lossy()])?.expect_code(0)?;
        fs::rename(&folder, setup.path("moved"))?;
        let second = backup(&setup, &["--as", "letters", &setup.path("moved").to_string_lossy()])?.expect_code(0)?;
        ensure!(read(&first)? == 5 && read(&second)? == 0, "{}", second.whole());
        let info = setup.credenza.ok(["--json", "info", &snapshot_of(&second.summary()?)?])?;
        ensure!(info.stdout.contains("\"letters\""), "{}", info.whole());
        Ok(())
    });
    report.scenario("one name for two sources, and a name that is none, are refused", || {
        let (setup, folder) = with_folder()?;
        let folder = folder.to_string_lossy();
        backup(&setup, &["--as", "x", &folder, &folder])?.expect_code(2)?;
        backup(&setup, &["--as", " ", &folder])?.expect_code(2)?;
        backup(&setup, &["--host", "a/b", &folder])?.expect_code(2)?;
        Ok(())
    });
    report.scenario("all is read again when that is asked for", || {
        let (setup, folder) = with_folder()?;
        let folder = folder.to_string_lossy();
        setup.backup(&folder)?;
        assert_eq!(read(&backup(&setup, &[&folder])?)?, 0);
        assert_eq!(read(&backup(&setup, &["--reread", &folder])?)?, 5);
        Ok(())
    });
    report.finish();
}

#[test]
fn what_is_left_out_is_not_even_looked_at() {
    let mut report = Report::default();
    report.scenario("an excluded folder that nobody may read is no error", || {
        let (setup, folder) = with_folder()?;
        fs::set_permissions(folder.join("cache"), fs::Permissions::from_mode(0o000))?;
        let outcome = backup(&setup, &["--exclude", "/cache/", &folder.to_string_lossy()])?;
        fs::set_permissions(folder.join("cache"), fs::Permissions::from_mode(0o700))?;
        outcome.expect_code(0)?;
        assert_eq!(files(&setup)?, ["a", "b.tmp", "deep/d"]);
        Ok(())
    });
    report.scenario("patterns mean what git says, also in a file as editors write them", || {
        let (setup, folder) = with_folder()?;
        let patterns = setup.path("patterns");
        fs::write(&patterns, "\u{feff}# mine\r\n*.tmp  \r\ncache/*\r\n!cache/keep\r\n/deep/\r\n!deep/d")?;
        backup(&setup, &["--exclude-file", &patterns.to_string_lossy(), &folder.to_string_lossy()])?.expect_code(0)?;
        assert_eq!(files(&setup)?, ["a", "cache/keep"]);
        Ok(())
    });
    report.scenario("what can be no pattern is refused with its file and line", || {
        let (setup, folder) = with_folder()?;
        let (patterns, folder) = (setup.path("patterns"), folder.to_string_lossy().into_owned());
        fs::write(&patterns, "*.tmp\n[\n")?;
        let outcome = backup(&setup, &["--exclude-file", &patterns.to_string_lossy(), &folder])?.expect_code(2)?;
        outcome.expect_message(&["patterns, line 2: the pattern `[`"])?;
        backup(&setup, &["--exclude", "[", &folder])?.expect_code(2)?;
        fs::write(&patterns, b"\xff\xfea\0\n\0")?;
        let outcome = backup(&setup, &["--exclude-file", &patterns.to_string_lossy(), &folder])?.expect_code(2)?;
        outcome.expect_message(&["UTF-16"])?;
        Ok(())
    });
    report.finish();
}

#[test]
fn a_path_that_no_shell_has_seen_means_what_it_says() {
    let mut report = Report::default();
    report.scenario("`~` in the configuration and behind `=` is the home folder", || {
        let (setup, folder) = with_folder()?;
        setup.credenza.ok(["repository", "add", "home", "~/backups"])?;
        setup.credenza.ok(["at", "@home", "create"])?;
        setup.credenza.ok(["at", "@home", "backup", &folder.to_string_lossy()])?;
        setup.credenza.ok(["at", "@home", "restore", "latest", "--accept-loss", "--to=~/restored"])?;
        fs::write(setup.path("user/home/patterns"), "*.tmp\n")?;
        setup.credenza.ok(["at", "~/backups", "backup", "--exclude-file=~/patterns", &folder.to_string_lossy()])?;
        ensure!(setup.path("user/home/restored/a").exists() && !setup.path("user/~").exists());
        Ok(())
    });
    report.scenario("the home of another user is not guessed", || {
        let setup = Setup::new()?;
        setup.credenza.run(["at", "~nobody/x", "create"])?.expect_code(2)?;
        Ok(())
    });
    report.scenario("a location in the configuration means one folder wherever one stands", || {
        let setup = Setup::new()?;
        setup.credenza.ok(["repository", "add", "here", "relative"])?;
        let shown = setup.credenza.ok(["repository", "show", "here"])?.stdout;
        ensure!(shown.contains("location = /"), "{shown}");
        Ok(())
    });
    report.finish();
}
