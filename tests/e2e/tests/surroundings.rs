//! Nothing around a run decides over it: where its messages go, which signals come, what others put where a repository was, how a
//! passphrase was saved, and who else may write where.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{PASSPHRASE, Precious, Report, Run, Setup, binary, memory_server, tree};
use credenza_s3_server::{Fault, Hold, Operation, Rule, Server};
use rustix::fs::{CWD, FileType, mknodat};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// A run whose standard streams go where a test wants them.
fn run(setup: &Setup, words: &[&str], stdout: Stdio, stderr: Stdio) -> Result<ExitStatus> {
    Ok(command(setup, binary().as_os_str(), words).stdout(stdout).stderr(stderr).status()?)
}

fn command(setup: &Setup, program: &std::ffi::OsStr, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    let folder = |name: &str| setup.path("user").join(name);
    command.args(words).env_clear().stdin(Stdio::null());
    command.env("HOME", folder("home")).env("CREDENZA_CONFIG", folder("config")).env("CREDENZA_CACHE", folder("cache"));
    command.env("CREDENZA_PASSPHRASE", PASSPHRASE).env("CREDENZA_REPOSITORY", setup.path("repository"));
    command.env("PATH", "/usr/bin:/bin");
    command
}

fn full() -> Result<Stdio> {
    Ok(File::options().write(true).open("/dev/full")?.into())
}

/// A pipe that nobody reads.
fn unread() -> Result<Stdio> {
    let (_, writer) = std::io::pipe()?;
    Ok(writer.into())
}

/// A repository with one snapshot, and a configuration that every run has something to say about.
fn talkative() -> Result<(Setup, String)> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    fs::create_dir(&source)?;
    fs::write(source.join("file"), "content")?;
    let source = source.to_string_lossy().into_owned();
    setup.credenza.ok(["source", "add", "mine", &source])?;
    fs::set_permissions(setup.path("user/config/config.toml"), fs::Permissions::from_mode(0o644))?;
    setup.credenza.ok(["backup", &source])?.expect_message(&["chmod 600"])?;
    Ok((setup, source))
}

fn snapshots(setup: &Setup) -> Result<usize> {
    Ok(setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len())
}

#[test]
fn a_message_that_nobody_hears_decides_nothing() {
    let mut report = Report::default();
    for (name, stderr) in [("a full disk", full as fn() -> Result<Stdio>), ("a closed pipe", unread)] {
        report.scenario(name, || {
            let (setup, source) = talkative()?;
            let code =
                |words: &[&str]| -> Result<Option<i32>> { Ok(run(&setup, words, Stdio::null(), stderr()?)?.code()) };
            assert_eq!(code(&["backup", &source])?, Some(0));
            assert_eq!(snapshots(&setup)?, 2);
            assert_eq!(code(&["-vv", "check"])?, Some(0));
            assert_eq!(code(&["at", "/nowhere/at/all", "ls"])?, Some(10));
            assert_eq!(code(&["--no-such-option"])?, Some(2));
            let new = setup.path("new");
            assert_eq!(code(&["at", &new.to_string_lossy(), "create"])?, Some(0));
            setup.credenza.ok(["at", &new.to_string_lossy(), "ls"]).map(drop)
        });
    }
    report.finish();
}

#[test]
fn what_was_done_is_done_although_it_cannot_be_printed_and_what_was_asked_for_has_failed() {
    let mut report = Report::default();
    for (name, stdout, is_silent) in
        [("a full disk", full as fn() -> Result<Stdio>, false), ("a closed pipe", unread, true)]
    {
        report.scenario(name, || {
            let (setup, source) = talkative()?;
            let output = |words: &[&str]| -> Result<(Option<i32>, String)> {
                let mut child =
                    command(&setup, binary().as_os_str(), words).stdout(stdout()?).stderr(Stdio::piped()).spawn()?;
                let mut said = String::new();
                child.stderr.take().context("a pipe")?.read_to_string(&mut said)?;
                Ok((child.wait()?.code(), said))
            };
            let (code, said) = output(&["backup", &source])?;
            assert_eq!(code, Some(0), "{said}");
            ensure!(said.contains("could not be printed"), "{said}");
            assert_eq!(snapshots(&setup)?, 2);
            assert_eq!(output(&["check"])?.0, Some(0));
            let target = setup.path("target");
            assert_eq!(output(&["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()])?.0, Some(0));
            for asked in [["ls"].as_slice(), &["cat", "latest:file"], &["backup", "--dry-run", &source]] {
                let (code, said) = output(asked)?;
                assert_eq!(code, Some(1), "{asked:?}: {said}");
                ensure!(said.contains("standard output cannot be written") != is_silent, "{asked:?}: {said}");
            }
            Ok(())
        });
    }
    report.finish();
}

/// A repository in a bucket and a folder that takes some packs to back up, of which a run has confirmed one write at most until the hold is released.
fn large() -> Result<(Server, Hold, Precious, String)> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("repository");
    let precious = Precious::new(Setup::with_s3_repository(&endpoint, "repository")?)?;
    let large = precious.setup.path("large");
    fs::create_dir_all(&large)?;
    for seed in 0..5 {
        fs::write(large.join(seed.to_string()), tree::noise(seed, 32 * 1024 * 1024))?;
    }
    let hold = Hold::default();
    let writes = Rule::new(Fault::AnswerHeld(hold.clone())).in_bucket("repository").on(&[Operation::PutObject]);
    server.faults().add(writes.after(1));
    let large = large.to_string_lossy().into_owned();
    Ok((server, hold, precious, large))
}

#[test]
fn every_signal_that_means_the_end_ends_a_run_in_good_order() {
    let mut report = Report::default();
    for (name, signal) in [("SIGHUP", Signal::HUP), ("SIGQUIT", Signal::QUIT), ("SIGXCPU", Signal::XCPU)] {
        report.scenario(name, || {
            let (_server, hold, precious, large) = large()?;
            let mut run = precious.setup.credenza.start(["backup", &large])?;
            run.held(&hold, 1)?;
            run.signal(signal)?;
            hold.release();
            run.wait()?.expect_code(130)?.expect_message(&["interrupted"])?;
            precious.expect_only_snapshot()?;
            precious.setup.check()?.expect_code(0).map(drop)
        });
    }
    report.finish();
}

#[test]
fn files_that_may_not_grow_end_a_run_with_an_error() -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    fs::create_dir_all(&source)?;
    fs::write(source.join("large"), tree::noise(7, 40 * 1024 * 1024))?;
    let script = "ulimit -f 4000; exec \"$0\" at \"$1\" backup \"$2\"";
    let (binary, repository) = (binary(), setup.path("repository"));
    let words = ["-c", script, &binary.to_string_lossy(), &repository.to_string_lossy(), &source.to_string_lossy()];
    let run = Run::of(command(&setup, "/bin/sh".as_ref(), &words))?;
    run.wait()?.expect_code(1)?.expect_message(&["cannot write", "too large"])?;
    setup.check()?.expect_code(0).map(drop)
}

#[test]
fn a_run_that_was_started_by_nohup_outlives_its_terminal() -> Result<()> {
    let (_server, hold, precious, large) = large()?;
    let script = "trap '' HUP; exec \"$0\" at @store backup \"$1\"";
    let binary = binary();
    let words = ["-c", script, &binary.to_string_lossy(), &large];
    let mut run = Run::of(command(&precious.setup, "/bin/sh".as_ref(), &words))?;
    run.held(&hold, 1)?;
    run.signal(Signal::HUP)?;
    hold.release();
    run.wait()?.expect_code(0)?;
    assert_eq!(precious.setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?.len(), 2);
    Ok(())
}

/// Puts another repository where this one was.
fn swap(setup: &Setup, create: &[&str]) -> Result<()> {
    let other = setup.path("other");
    let stranger = Setup::new()?;
    stranger.credenza.ok(["at", &other.to_string_lossy()].iter().chain(create))?;
    fs::remove_dir_all(setup.path("repository"))?;
    Ok(fs::rename(other, setup.path("repository"))?)
}

#[test]
fn a_repository_is_known_by_whatever_spelling_of_its_folder() -> Result<()> {
    let (mut setup, source) = talkative()?;
    setup.credenza.ok(["backup", &source])?;
    swap(&setup, &["create", "--plaintext"])?;
    std::os::unix::fs::symlink("repository", setup.path("link"))?;
    fs::create_dir(setup.path("a"))?;
    setup.credenza.unset("CREDENZA_PASSPHRASE");
    for spelling in ["repository", "link", "a/../repository", "repository/"] {
        let location = setup.path(spelling).to_string_lossy().into_owned();
        for command in [&["backup", "--plaintext", &source][..], &["ls"]] {
            let refused = setup.credenza.run([&["at", &location], command].concat())?.expect_code(12)?;
            refused.expect_message(&["not the repository that was there before"])?;
        }
    }
    setup.credenza.ok(["repository", "forget", &setup.path("link").to_string_lossy()])?;
    setup.credenza.ok(["at", &setup.path("repository").to_string_lossy(), "ls"]).map(drop)
}

#[test]
fn another_repository_in_the_place_of_one_that_is_known_is_refused() {
    let mut report = Report::default();
    report.scenario("one without encryption, to somebody who types the passphrase", || {
        let (mut setup, source) = talkative()?;
        swap(&setup, &["create", "--plaintext"])?;
        setup.credenza.unset("CREDENZA_PASSPHRASE");
        for words in [
            ["backup", &source].as_slice(),
            &["backup", "--plaintext", &source],
            &["ls"],
            &["prune", "--keep-last", "1"],
        ] {
            let refused = setup.credenza.run(words)?.expect_code(12)?;
            refused.expect_message(&["not the repository that was there before"])?;
        }
        let written =
            fs::read_dir(setup.path("repository"))?.filter_map(|item| item.ok()?.file_name().into_string().ok());
        ensure!(!written.into_iter().any(|name| name == "data" || name == "snapshot"), "something was written");
        let place = setup.path("repository");
        setup.credenza.ok(["repository", "forget", &place.to_string_lossy()])?;
        setup.credenza.run(["backup", &source])?.expect_code(12)?.expect_message(&["--plaintext"])?;
        setup.credenza.ok(["backup", "--plaintext", &source])?;
        setup.credenza.ok(["backup", &source]).map(drop)
    });
    report.scenario("one without encryption, to somebody whose secret is at hand", || {
        let (setup, source) = talkative()?;
        swap(&setup, &["create", "--plaintext"])?;
        setup.credenza.run(["backup", &source])?.expect_code(12).map(drop)
    });
    report.scenario("another with the same passphrase", || {
        let (setup, source) = talkative()?;
        swap(&setup, &["create"])?;
        let refused = setup.credenza.run(["backup", &source])?.expect_code(12)?;
        refused.expect_message(&["credenza repository forget"])?;
        let place = setup.path("repository");
        setup.credenza.ok(["repository", "forget", &place.to_string_lossy()])?;
        setup.credenza.ok(["backup", &source]).map(drop)
    });
    report.scenario("its keys were rotated, its passphrase changed: it is the same", || {
        let (mut setup, source) = talkative()?;
        setup.credenza.ok(["key", "rotate"])?;
        setup.credenza.ok(["backup", &source])?;
        setup.credenza.set("CREDENZA_NEW_PASSPHRASE", "another long passphrase, 0815");
        setup.credenza.ok(["key", "passwd"])?;
        setup.credenza.set("CREDENZA_PASSPHRASE", "another long passphrase, 0815");
        setup.credenza.ok(["backup", &source]).map(drop)
    });
    report.scenario("it was made again here", || {
        let (setup, source) = talkative()?;
        fs::remove_dir_all(setup.path("repository"))?;
        setup.credenza.ok(["create"])?;
        setup.credenza.ok(["backup", &source]).map(drop)
    });
    report.scenario("the configuration says which it must be", || {
        let (setup, source) = talkative()?;
        let place = setup.path("repository");
        let id = format!("repository_id={}", "0".repeat(32));
        setup.credenza.ok(["repository", "add", "pinned", &place.to_string_lossy(), &id])?;
        let refused = setup.credenza.run(["at", "@pinned", "backup", &source])?.expect_code(12)?;
        refused.expect_message(&["repository_id"]).map(drop)
    });
    report.scenario("a memory that cannot be kept is reported and stops nothing", || {
        let (setup, source) = talkative()?;
        let memory = setup.path("user/config/known-repositories.toml");
        fs::remove_file(&memory)?;
        fs::create_dir(setup.path("elsewhere"))?;
        let _ = source;
        let mut other = credenza_e2e::Credenza::new(&setup.path("elsewhere"))?;
        other.set("CREDENZA_CONFIG", "/proc/none");
        let place = setup.path("repository");
        other.ok(["at", &place.to_string_lossy(), "ls"])?.expect_message(&["is not remembered"]).map(drop)
    });
    report.finish();
}

/// Runs a command that a message suggests, as a person would who copies it: from its beginning to the end of the line, or to a mark.
fn as_printed(setup: &Setup, message: &str, beginning: &str) -> Result<()> {
    let (_, rest) = message.split_once(beginning).with_context(|| format!("no `{beginning}` in {message}"))?;
    let line = format!("{beginning}{}", rest.lines().next().unwrap_or_default());
    let words = line.split(';').next().unwrap_or_default();
    let script = match words.strip_prefix("credenza") {
        Some(rest) => format!("'{}'{rest}", binary().display()),
        None => words.to_owned(),
    };
    let done = command(setup, "/bin/sh".as_ref(), &["-c", &script]).output()?;
    ensure!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// A user whose repository is in a folder that a shell reads as more than one word.
fn user_with_a_disk() -> Result<(Setup, String)> {
    let (mut setup, source) = talkative()?;
    let disk = setup.path("it's a disk/repository");
    fs::create_dir(setup.path("it's a disk"))?;
    setup.credenza.set("CREDENZA_REPOSITORY", &disk.to_string_lossy());
    setup.credenza.ok(["create"])?;
    Ok((setup, source))
}

#[test]
fn whoever_is_right_to_use_what_is_there_is_told_a_command_that_works_as_printed() {
    let mut report = Report::default();
    report.scenario("disks that take turns are both taken, and a third is not", || {
        let (setup, source) = user_with_a_disk()?;
        let (here, away) = (setup.path("it's a disk/repository"), setup.path("away"));
        for round in 0..2 {
            fs::rename(&here, &away)?;
            setup.credenza.ok(["at", &setup.path("new").to_string_lossy(), "create"])?;
            fs::rename(setup.path("new"), &here)?;
            let refused = setup.credenza.run(["backup", &source])?.expect_code(12)?;
            if round == 0 {
                as_printed(&setup, &refused.stderr, "credenza -o repository_id=")?;
                setup.credenza.ok(["backup", &source])?;
                fs::remove_dir_all(&here)?;
                fs::rename(&away, &here)?;
                setup.credenza.ok(["backup", &source])?;
            }
        }
        Ok(())
    });
    report.scenario("one without encryption is never taken beside another", || {
        let (setup, source) = talkative()?;
        let place = setup.path("repository");
        swap(&setup, &["create", "--plaintext"])?;
        let mut open = credenza_e2e::Credenza::new(&setup.path("user"))?;
        open.unset("CREDENZA_PASSPHRASE");
        let at = place.to_string_lossy();
        let id = |outcome: &credenza_e2e::Outcome| {
            let found = outcome.stderr.split("and it is ").nth(1).and_then(|rest| rest.split(' ').next());
            found.map(str::to_owned).with_context(|| outcome.whole())
        };
        let refused = open.run(["at", &at, "ls"])?.expect_code(12)?;
        ensure!(!refused.stderr.contains("credenza -o repository_id="), "{}", refused.whole());
        let reported = format!("repository_id={}", id(&refused)?);
        open.run(["-o", &reported, "at", &at, "backup", &source])?.expect_code(12).map(drop)
    });
    report.scenario("it was put there on purpose", || {
        let (setup, source) = user_with_a_disk()?;
        let here = setup.path("it's a disk/repository");
        setup.credenza.ok(["at", &setup.path("new").to_string_lossy(), "create"])?;
        fs::remove_dir_all(&here)?;
        fs::rename(setup.path("new"), &here)?;
        let refused = setup.credenza.run(["backup", &source])?.expect_code(12)?;
        as_printed(&setup, &refused.stderr, "credenza repository forget")?;
        setup.credenza.ok(["backup", &source]).map(drop)
    });
    report.finish();
}

#[test]
fn whoever_has_lost_or_mistaken_a_repository_is_told_a_command_that_works_as_printed() {
    let mut report = Report::default();
    report.scenario("the configuration names another", || {
        let (setup, source) = talkative()?;
        let (place, id) = (setup.path("repository"), format!("repository_id={}", "0".repeat(32)));
        setup.credenza.ok(["repository", "add", "pinned", &place.to_string_lossy(), &id])?;
        let refused = setup.credenza.run(["at", "@pinned", "backup", &source])?.expect_code(12)?;
        as_printed(&setup, &refused.stderr, "credenza repository set pinned")?;
        setup.credenza.ok(["at", "@pinned", "backup", &source]).map(drop)
    });
    report.scenario("the disk is not there", || {
        let (setup, source) = user_with_a_disk()?;
        fs::rename(setup.path("it's a disk/repository"), setup.path("away"))?;
        let missed = setup.credenza.run(["backup", &source])?.expect_code(10)?;
        ensure!(missed.stderr.contains("this machine knows one there"), "{}", missed.whole());
        as_printed(&setup, &missed.stderr, "credenza at ").map(drop)
    });
    report.scenario("two servers have a bucket of one name", || {
        let mut setup = Setup::new()?;
        let mut servers = Vec::new();
        for name in ["one", "two"] {
            let (server, endpoint) = memory_server()?;
            server.buckets.create("backups");
            let host = endpoint.url.strip_prefix("http://").context("an address")?;
            let settings = [
                format!("host={host}"),
                format!("access_key={}", endpoint.access_key),
                format!("secret_access_key={}", endpoint.secret_key),
                "use_tls=false".to_owned(),
            ];
            let words = ["repository", "add", name, "s3://backups"].map(str::to_owned);
            setup.credenza.ok(words.into_iter().chain(settings))?;
            servers.push(server);
        }
        for name in ["@one", "@two"] {
            setup.credenza.ok(["at", name, "create"])?;
        }
        for name in ["@one", "@two", "@one"] {
            setup.credenza.ok(["at", name, "ls"])?;
        }
        setup.credenza.set("CREDENZA_PASSPHRASE", "not that one, not at all 4712");
        let wrong = setup.credenza.run(["at", "@one", "ls"])?.expect_code(12)?;
        as_printed(&setup, &wrong.stderr, "credenza at @one key list")
    });
    report.scenario("the memory is broken", || {
        let (setup, source) = talkative()?;
        fs::write(setup.path("user/config/known-repositories.toml"), "[\"/a")?;
        let refused = setup.credenza.run(["backup", &source])?.expect_code(1)?;
        as_printed(&setup, &refused.stderr, "mv ")?;
        setup.credenza.ok(["backup", &source]).map(drop)
    });
    report.finish();
}

#[test]
fn a_passphrase_opens_however_an_editor_saved_it() -> Result<()> {
    let mut setup = Setup::new()?;
    setup.credenza.unset("CREDENZA_PASSPHRASE");
    let composed = "\u{fc}ber gr\u{f6}\u{df}e na\u{ef}ve caf\u{e9} 42";
    let decomposed = "u\u{308}ber gro\u{308}\u{df}e nai\u{308}ve cafe\u{301} 42";
    let forms = [
        ("composed", composed.to_owned()),
        ("line", format!("{composed}\n")),
        ("windows", format!("\u{feff}{composed}\r\n")),
        ("decomposed", decomposed.to_owned()),
    ];
    for (name, text) in &forms {
        fs::write(setup.path(name), text)?;
    }
    let with = |file: &str, place: &Path, command: &str| {
        let file = setup.path(file);
        setup.credenza.run([
            "--passphrase-file".as_ref(),
            file.as_os_str(),
            "at".as_ref(),
            place.as_os_str(),
            command.as_ref(),
        ])
    };
    for (made_with, _) in &forms {
        let place = setup.path(&format!("repository of {made_with}"));
        let made = with(made_with, &place, "create")?.expect_code(0)?;
        let is_told = matches!(*made_with, "windows" | "decomposed");
        ensure!(made.stderr.contains("NFC") == is_told, "{}", made.whole());
        for (name, _) in &forms {
            with(name, &place, "ls")?.expect_code(0)?;
        }
    }
    Ok(())
}

#[test]
fn commands_that_are_run_for_us_inherit_no_secret() -> Result<()> {
    let mut setup = Setup::with_local_repository()?;
    let seen = setup.path("seen");
    setup.credenza.set("CREDENZA_RECOVERY_CODE", "not for you");
    let command = format!("env > '{}'; printf '%s' '{PASSPHRASE}'", seen.display());
    setup.credenza.ok(["--passphrase-cmd", &command, "ls"])?;
    let seen = fs::read_to_string(seen)?;
    ensure!(seen.contains("CREDENZA_CONFIG=") && !seen.contains("CREDENZA_PASSPHRASE"), "{seen}");
    ensure!(!seen.contains("not for you"), "{seen}");
    Ok(())
}

#[test]
fn a_configuration_that_others_can_write_runs_no_commands() -> Result<()> {
    let mut setup = Setup::with_local_repository()?;
    let (place, ran) = (setup.path("repository"), setup.path("ran"));
    let command = format!("passphrase_cmd=touch '{}'; printf '%s' '{PASSPHRASE}'", ran.display());
    setup.credenza.ok(["repository", "add", "r", &place.to_string_lossy(), &command])?;
    setup.credenza.unset("CREDENZA_PASSPHRASE");
    let (file, folder) = (setup.path("user/config/config.toml"), setup.path("user/config"));
    for (open, closed, path) in [(0o664, 0o600, &file), (0o602, 0o600, &file), (0o777, 0o700, &folder)] {
        fs::set_permissions(path, fs::Permissions::from_mode(open))?;
        let refused = setup.credenza.run(["at", "@r", "ls"])?.expect_code(1)?;
        refused.expect_message(&[&format!("chmod go-w {}", path.display())])?;
        ensure!(!ran.exists(), "it ran");
        fs::set_permissions(path, fs::Permissions::from_mode(closed))?;
    }
    setup.credenza.ok(["at", "@r", "ls"])?;
    ensure!(ran.exists(), "a configuration of one's own runs its command");
    Ok(())
}

#[test]
fn jobs_that_others_can_write_run_no_commands() -> Result<()> {
    let (setup, source) = talkative()?;
    let (file, folder, ran) = (setup.path("user/config/jobs.toml"), setup.path("user/config"), setup.path("ran"));
    setup.credenza.ok(["source", "add", "s", &source])?;
    setup.credenza.ok(["repository", "add", "r", &setup.path("repository").to_string_lossy()])?;
    let (ran_text, job) =
        (ran.to_string_lossy(), "version = 1\n[job.a]\nbackup = [\"@s\"]\nto = \"@r\"\nevery = \"1h\"\n");
    let hooks = format!("hooks = [{{ before = \"backup\", run = [\"touch\", \"{ran_text}\"] }}]\n");
    fs::write(&file, format!("{job}{hooks}"))?;
    for (open, closed, path) in [(0o664, 0o600, &file), (0o602, 0o600, &file), (0o777, 0o700, &folder)] {
        fs::set_permissions(path, fs::Permissions::from_mode(open))?;
        let refused = setup.credenza.run(["jobs", "run", "a"])?.expect_code(1)?;
        refused.expect_message(&[&format!("chmod go-w {}", path.display())])?;
        ensure!(!ran.exists(), "it ran");
        fs::set_permissions(path, fs::Permissions::from_mode(closed))?;
    }
    setup.credenza.ok(["jobs", "run", "a"])?;
    ensure!(ran.exists(), "a file of one's own runs its hook");
    fs::write(&file, job)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664))?;
    setup.credenza.ok(["jobs", "run", "a"])?;
    Ok(())
}

/// A process that must not be dumped belongs to root in `/proc`, whoever runs it.
#[test]
fn nobody_else_of_the_same_user_looks_into_a_run() -> Result<()> {
    let setup = Setup::new()?;
    let fifo = setup.path("fifo");
    ensure!(Command::new("mkfifo").arg(&fifo).status()?.success(), "no fifo");
    fs::set_permissions(setup.path(""), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&fifo, fs::Permissions::from_mode(0o666))?;
    let words = ["--passphrase-file", &fifo.to_string_lossy(), "ls"];
    let mut command = command(&setup, binary().as_os_str(), &words);
    command.env("CREDENZA_CONFIG", setup.path("none")).stdout(Stdio::null());
    if rustix::process::getuid().is_root() {
        command.uid(65534);
    }
    // Where nobody may run what is built here, there is nothing to see.
    let Ok(mut child) = command.spawn() else { return Ok(()) };
    // Opened once the other side reads, which is long after the program has begun.
    let mut writer = File::options().write(true).open(&fifo)?;
    let owner = fs::metadata(format!("/proc/{}/environ", child.id()))?.uid();
    writer.write_all(PASSPHRASE.as_bytes())?;
    drop(writer);
    child.wait()?;
    assert_eq!(owner, 0);
    Ok(())
}

#[test]
fn a_newest_snapshot_that_cannot_be_read_is_named_and_an_older_one_is_taken_on_demand() -> Result<()> {
    let (setup, source) = talkative()?;
    fs::write(setup.path("source/file"), "newer")?;
    let newest = setup.credenza.ok(["--json", "backup", &source])?.summary()?;
    let id = newest["snapshot"].as_str().context("an id")?.to_owned();
    let object = setup.path("repository/snapshot").join(&id);
    let (modified, mut bytes) = (fs::metadata(&object)?.modified()?, fs::read(&object)?);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&object)?;
    fs::write(&object, bytes)?;
    File::options().write(true).open(&object)?.set_modified(modified)?;
    let target = setup.path("target");
    let target = target.to_string_lossy();
    for words in [
        ["ls", "latest"].as_slice(),
        &["cat", "latest:file"],
        &["info", "latest"],
        &["digest", "latest"],
        &["diff", "latest", "latest"],
        &["restore", "latest", "--accept-loss", "--to", &target],
    ] {
        let refused = setup.credenza.run(words)?.expect_code(20)?;
        refused.expect_message(&[&format!("snapshot/{id}")])?.expect_message(&["--or-older"])?;
        let words: Vec<&str> = words.iter().copied().chain(["--or-older"]).collect();
        setup.credenza.ok(&words)?.expect_message(&[&format!("snapshot/{id}")])?;
    }
    assert_eq!(fs::read_to_string(setup.path("target/file"))?, "content");
    Ok(())
}

#[test]
fn a_snapshot_from_the_future_is_named_by_the_next_backup_with_the_command_that_removes_it() -> Result<()> {
    let (setup, source) = talkative()?;
    let future = setup.credenza.ok(["--json", "backup", &source])?.summary()?["snapshot"].clone();
    let id = future.as_str().context("an id")?;
    let object = setup.path("repository/snapshot").join(id);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(4000 * 86_400);
    File::options().write(true).open(object)?.set_modified(later)?;
    setup.credenza.ok(["ls"])?.expect_message(&[id, "is dated", "by the clock of this machine"])?;
    let next = setup.credenza.ok(["--json", "backup", &source])?.summary()?;
    ensure!(next["ahead"][0]["id"] == future, "{next}");
    let reported = setup.credenza.ok(["backup", &source])?;
    let command = reported.stdout.split('`').find(|text| text.contains(" rm ")).context("a command")?.to_owned();
    ensure!(command.ends_with(&format!("rm {id}")), "{command}");
    let words: Vec<&str> = command.split(' ').skip_while(|word| *word != "rm").collect();
    setup.credenza.ok(&words)?;
    let after = setup.credenza.ok(["--json", "backup", &source])?.summary()?;
    ensure!(after["ahead"].as_array().is_some_and(Vec::is_empty), "{after}");
    Ok(())
}

#[test]
fn what_stands_in_place_of_a_snapshot_is_damage_and_none_of_its_data_is_deleted() -> Result<()> {
    let (setup, source) = talkative()?;
    let repository = setup.path("repository");
    fs::write(Path::new(&source).join("precious"), tree::noise(7, 1 << 20))?;
    let id = credenza_e2e::snapshot_of(&setup.backup(&source)?)?;
    let object = fs::read_dir(repository.join("snapshot"))?
        .filter_map(|item| Some(item.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&id)))
        .context("the snapshot has an object")?;
    let elsewhere = setup.path("elsewhere");
    fs::rename(&object, &elsewhere)?;
    for put in [
        |object: &Path, elsewhere: &Path| Ok(symlink(elsewhere, object)?),
        |object: &Path, _: &Path| Ok(mknodat(CWD, object, FileType::Fifo, 0o600.into(), 0)?),
    ] as [fn(&Path, &Path) -> Result<()>; 2]
    {
        put(&object, &elsewhere)?;
        let target = setup.path("target").to_string_lossy().into_owned();
        for words in [["ls"].as_slice(), &["check"], &["restore", "latest", "--to", &target], &["maintain"]] {
            // Another machine, which remembers nothing.
            setup.credenza.forget_cache()?;
            let named = setup.credenza.run(words)?.expect_code(20)?;
            ensure!(named.whole().contains("is no file but"), "{}", named.whole());
        }
        fs::remove_file(&object)?;
    }
    fs::rename(&elsewhere, &object)?;
    setup.credenza.ok(["check", "--read-data"])?;
    Ok(())
}

#[test]
fn strays_in_a_folder_store_are_named_and_stop_nothing() -> Result<()> {
    let (setup, source) = talkative()?;
    let repository = setup.path("repository");
    for folder in ["snapshot/folder", "MY FOLDER"] {
        fs::create_dir(repository.join(folder))?;
    }
    for name in ["snapshot/.DS_Store", "index/x", "notes.txt", "key/desktop.ini", "snapshot/folder/x", "MY FOLDER/x"] {
        fs::write(repository.join(name), "not mine")?;
    }
    fs::write(repository.join(OsStr::from_bytes(b"snapshot/\xff\x1b[2J")), "not mine")?;
    symlink("nowhere", repository.join("snapshot/link"))?;
    mknodat(CWD, repository.join("meta/pipe"), FileType::Fifo, 0o600.into(), 0)?;
    let expected = [
        "MY FOLDER/",
        "meta/pipe",
        "index/x",
        "key/desktop.ini",
        "notes.txt",
        "snapshot/.DS_Store",
        "snapshot/folder/x",
        "snapshot/link",
        r"snapshot/\xff\x1b[2J",
    ];
    setup.credenza.ok(["backup", &source])?;
    for words in [["--json", "check"], ["--json", "audit"]] {
        let reported = setup.credenza.ok(words)?;
        let lines = reported.lines_of("stray")?;
        let named: BTreeSet<&str> = lines.iter().filter_map(|line| line["object"].as_str()).collect();
        ensure!(named == BTreeSet::from(expected), "{named:?}");
        ensure!(reported.summary()?["strays"] == expected.len(), "{}", reported.whole());
    }
    for number in 0..600 {
        fs::write(repository.join(format!("usage/~{number}")), "not mine")?;
    }
    for words in [["--json", "check"], ["--json", "audit"]] {
        let reported = setup.credenza.ok(words)?;
        ensure!(reported.lines_of("stray")?.len() == 100, "{}", reported.whole());
        ensure!(reported.summary()?["strays"] == expected.len() + 600, "{}", reported.whole());
    }
    for words in [
        ["ls"].as_slice(),
        &["audit"],
        &["maintain"],
        &["key", "list"],
        &["prune", "--keep-last", "1", "--apply"],
        &["repair"],
    ] {
        setup.credenza.ok(words)?;
    }
    Ok(())
}

#[test]
fn what_consoles_leave_in_a_bucket_stops_nothing() -> Result<()> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create("repository");
    let precious = Precious::new(Setup::with_s3_repository(&endpoint, "repository")?)?;
    let left = [
        "data/",
        "index/",
        "index/X",
        "key/Thumbs.db",
        "notes of mine.txt",
        "snapshot/",
        "snapshot/.DS_Store",
        "x\u{1}",
    ];
    for name in left {
        server.buckets.put_object("repository", name, "", credenza_s3_server::Attributes::default());
    }
    let source = precious.source().to_string_lossy().into_owned();
    precious.setup.credenza.ok(["backup", &source])?;
    for words in [["--json", "check"], ["--json", "audit"]] {
        let reported = precious.setup.credenza.ok(words)?;
        let lines = reported.lines_of("stray")?;
        let named: BTreeSet<&str> = lines.iter().filter_map(|line| line["object"].as_str()).collect();
        let expected = left.map(|name| if name.starts_with('x') { r"x\x01" } else { name });
        ensure!(named == BTreeSet::from(expected), "{named:?}");
    }
    for words in [["ls"].as_slice(), &["audit"], &["maintain"], &["key", "list"], &["repair"]] {
        precious.setup.credenza.ok(words)?;
    }
    precious.setup.restore("latest", "target").map(drop)
}
