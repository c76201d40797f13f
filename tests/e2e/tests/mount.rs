//! Snapshots as a file system of the kernel: the real binary, mounted, read by the programs of the system.
//!
//! Where the machine has no /dev/fuse nothing is run, and it is said so.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::bucket::fill_odd;
use credenza_e2e::{Outcome, Report, Run, Setup, can_mount, memory_server, servers, tree};
use credenza_s3_server::{Fault, Rule};
use rustix::process::Signal;

/// Somebody who is not root.
const NOBODY: &str = "65534";

/// A mount that a scenario looks into; it is unmounted when dropped.
struct Mounted {
    run: Option<Run>,
    folder: PathBuf,
}

impl Mounted {
    fn start(setup: &Setup, words: &[&str]) -> Result<Self> {
        let folder = setup.path("mounted");
        // What a killed program has left cannot even be looked at.
        if !folder.try_exists().unwrap_or(true) {
            fs::create_dir(&folder)?;
        }
        let path = folder.to_string_lossy().into_owned();
        let mut run = setup.credenza.start([&["mount", &path], words].concat())?;
        let printed = run.printed("\n")?;
        ensure!(printed.starts_with(&format!("mounted; look: ls {path}")), "{printed}");
        Ok(Self { run: Some(run), folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Ends the program by a signal and demands that it ends well and leaves nothing mounted.
    fn end(mut self, signal: Signal, code: i32) -> Result<Outcome> {
        let run = self.run.take().context("it runs")?;
        run.signal(signal)?;
        let outcome = run.wait()?.expect_code(code)?;
        ensure!(!is_mounted(&self.folder)?, "{} is still mounted", self.folder.display());
        Ok(outcome)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            let _ = run.signal(Signal::TERM);
            let _ = run.wait();
        }
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
    }
}

fn is_mounted(folder: &Path) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(4) == folder.to_str()))
}

fn output(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).output().with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{program} {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

#[test]
fn a_mounted_snapshot_is_the_folder_that_was_backed_up() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("names, bytes, modes, owners, times, links and attributes are what they were", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_odd(&source)?;
        fs::write(source.join("large"), tree::noise(7, 12_000_000))?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        tree::compare(&source, &mounted.folder)?;
        tree::compare_bytes(&source, &mounted.folder)?;
        // Programs of the system: what they say of both is the same.
        let listed = |folder: &Path| output("find", &[&folder.to_string_lossy(), "-printf", "%P %y %m %T@ %l\\n"]);
        ensure!(sorted(&listed(&source)?) == sorted(&listed(&mounted.folder)?));
        for (offset, length) in [(0, 1), (65_535, 2), (1_000_000, 500_000), (11_999_999, 1), (12_000_000, 0)] {
            let mut bytes = vec![0; length];
            fs::File::open(mounted.path("large"))?.read_exact_at(&mut bytes, offset)?;
            let start = usize::try_from(offset)?;
            ensure!(bytes == tree::noise(7, 12_000_000)[start..start + length], "{length} bytes at {offset}");
        }
        mounted.end(Signal::INT, 0).map(drop)
    });
    report.scenario("names of one file are one file, and numbers of files stay what they are", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("one"), "of two names")?;
        fs::hard_link(source.join("one"), source.join("two"))?;
        fs::create_dir(source.join("below"))?;
        fs::hard_link(source.join("one"), source.join("below/three"))?;
        fs::write(source.join("other"), "of two names")?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let number = |mounted: &Mounted, name: &str| fs::metadata(mounted.path(name)).map(|status| status.ino());
        let before = [number(&mounted, "one")?, number(&mounted, "two")?, number(&mounted, "other")?];
        ensure!(before[0] == before[1] && before[1] != before[2], "{before:?}");
        // By a name alone, by a listing, and of what has one name.
        ensure!(fs::metadata(mounted.path("below/three"))?.nlink() == 3);
        let names = output("find", &[&mounted.folder.to_string_lossy(), "-links", "3", "-type", "f"])?;
        ensure!(names.lines().count() == 3, "{names}");
        ensure!(fs::metadata(mounted.path("other"))?.nlink() == 1);
        // What knows names of one file by that counts and copies it once.
        let used = |folder: &Path| output("du", &["-b", "-s", &folder.join("below/..").to_string_lossy()]);
        let bytes = |text: String| text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
        ensure!(bytes(used(&mounted.folder)?).is_some_and(|bytes| bytes < 30_000));
        let copy = setup.path("copy");
        output("cp", &["-a", &mounted.folder.to_string_lossy(), &copy.to_string_lossy()])?;
        ensure!(fs::metadata(copy.join("two"))?.nlink() == 3);
        mounted.end(Signal::TERM, 0)?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        ensure!([number(&mounted, "one")?, number(&mounted, "two")?, number(&mounted, "other")?] == before);
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.scenario("nothing can be changed or run, unless programs are allowed", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::copy("/bin/true", source.join("program"))?;
        fs::set_permissions(source.join("program"), fs::Permissions::from_mode(0o755))?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        for refused in [
            fs::write(mounted.path("new"), ""),
            fs::remove_file(mounted.path("program")),
            fs::set_permissions(mounted.path("program"), fs::Permissions::from_mode(0o777)),
            symlink("here", mounted.path("link")),
        ] {
            ensure!(refused.as_ref().is_err_and(|error| error.raw_os_error() == Some(30)), "{refused:?}");
        }
        ensure!(Command::new(mounted.path("program")).status().is_err(), "it ran");
        mounted.end(Signal::TERM, 0)?;
        let mounted = Mounted::start(&setup, &["latest", "--exec"])?;
        ensure!(Command::new(mounted.path("program")).status()?.success());
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn all_snapshots_are_mounted_and_new_ones_appear() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("by time, id, host, source and tag, and the newest as latest", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("file"), "first")?;
        setup.credenza.ok(["backup", &source.to_string_lossy(), "--tag", "nightly"])?;
        let mounted = Mounted::start(&setup, &[])?;
        ensure!(fs::read_to_string(mounted.path("latest/file"))? == "first");
        for shelf in ["snapshots", "ids", "hosts", "sources", "tags/nightly"] {
            ensure!(fs::read_dir(mounted.path(shelf))?.count() == 1, "{shelf}");
        }
        let name = fs::read_link(mounted.path("latest"))?;
        ensure!(name.starts_with("snapshots"), "{}", name.display());
        let folder = name.file_name().context("a snapshot has a name")?;
        ensure!(fs::read_to_string(mounted.path("tags/nightly").join(folder).join("file"))? == "first");
        ensure!(fs::metadata(mounted.path("latest/missing")).is_err());

        fs::write(source.join("file"), "second")?;
        setup.credenza.ok(["backup", &source.to_string_lossy()])?;
        // The list of snapshots is asked for again when it is ten seconds old.
        let appears = || fs::read_to_string(mounted.path("latest/file")).is_ok_and(|text| text == "second");
        let mut looks = 0;
        while !appears() {
            looks += 1;
            ensure!(looks < 600, "the second snapshot does not appear");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        ensure!(fs::read_dir(mounted.path("snapshots"))?.count() == 2);
        ensure!(fs::read_to_string(mounted.path("snapshots").join(folder).join("file"))? == "first");
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.scenario("the newest alone, and a newer one in its place", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("file"), "first")?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["--latest"])?;
        ensure!(fs::metadata(mounted.path("file"))?.len() == 5);
        fs::write(source.join("file"), "the second")?;
        setup.backup(&source.to_string_lossy())?;
        let mut looks = 0;
        while fs::metadata(mounted.path("file")).map_or(0, |status| status.len()) != 10 {
            looks += 1;
            ensure!(looks < 600, "the second snapshot does not appear");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        ensure!(fs::read_to_string(mounted.path("file"))? == "the second");
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn who_is_in_the_midst_of_a_snapshot_reads_on_when_it_is_shown_no_more() {
    if !can_mount() {
        return;
    }
    // In a folder that was opened before, of which nothing below was looked at.
    let below = |opened: &fs::File| fs::read_to_string(format!("/proc/self/fd/{}/deep/file", opened.as_raw_fd()));
    let wait_until = |what: &str, is_so: &dyn Fn() -> bool| -> Result<()> {
        for _ in 0..600 {
            if is_so() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        anyhow::bail!("{what}")
    };
    let mut report = Report::default();
    report.scenario("because there is a newer one", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(source.join("folder/deep"))?;
        fs::write(source.join("folder/deep/file"), "first")?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["--latest"])?;
        let opened = fs::File::open(mounted.path("folder"))?;
        fs::write(source.join("folder/deep/file"), "second")?;
        setup.backup(&source.to_string_lossy())?;
        let shown = || fs::read_to_string(mounted.path("folder/deep/file")).is_ok_and(|text| text == "second");
        wait_until("the second snapshot does not appear", &shown)?;
        ensure!(below(&opened)? == "first");
        drop(opened);
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.scenario("because it was removed, and its space is not needed meanwhile", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(source.join("folder/deep"))?;
        fs::write(source.join("folder/deep/file"), "first")?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &[])?;
        let name = fs::read_link(mounted.path("latest"))?;
        let opened = fs::File::open(mounted.path("latest/folder"))?;
        fs::write(source.join("folder/deep/file"), "second")?;
        setup.backup(&source.to_string_lossy())?;
        let id = name.to_string_lossy().rsplit('-').next().context("an id")?.to_owned();
        setup.credenza.ok(["rm", &id])?;
        wait_until("the removed snapshot stays", &|| fs::metadata(mounted.path("").join(&name)).is_err())?;
        setup.credenza.ok(["maintain"])?;
        ensure!(below(&opened)? == "first");
        drop(opened);
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn keys_of_a_bucket_are_mounted_under_names_that_lead_back() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("each object has one path, the one that a restore to a folder gives it", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("source");
        fill_odd(&server.buckets, "source");
        let setup = Setup::with_local_repository()?;
        setup.add("source", "bucket", &endpoint, "source")?;
        setup.backup("@bucket")?;
        let restored = setup.restore("latest", "restored")?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let files = |folder: &Path| output("find", &[&folder.to_string_lossy(), "-type", "f", "-printf", "%P\\0"]);
        let (there, here) = (files(&restored)?, files(&mounted.folder)?);
        let names = |text: &str| text.split('\0').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        ensure!(names(&there) == names(&here), "{:#?}", names(&there).symmetric_difference(&names(&here)));
        // And each is found by its name alone, without a listing before.
        mounted.end(Signal::TERM, 0)?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        for name in names(&there).iter().filter(|name| !name.is_empty()) {
            let (left, right) = (fs::read(restored.join(name))?, fs::read(mounted.path(name)));
            ensure!(right.as_ref().is_ok_and(|right| *right == left), "{name:?}: {right:?}");
        }
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn bad_days_of_a_mount() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("a damaged chunk is an error of its readers alone, and it is said which", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("lost"), tree::noise(1, 900_000))?;
        setup.backup(&source.to_string_lossy())?;
        let packs = output("find", &[&setup.path("repository/data").to_string_lossy(), "-type", "f"])?;
        fs::write(source.join("whole"), tree::noise(2, 900_000))?;
        setup.backup(&source.to_string_lossy())?;
        for pack in packs.lines() {
            let mut bytes = fs::read(pack)?;
            bytes.iter_mut().skip(1000).take(800_000).for_each(|byte| *byte ^= 0x55);
            fs::set_permissions(pack, fs::Permissions::from_mode(0o600))?;
            fs::write(pack, bytes)?;
        }
        let mounted = Mounted::start(&setup, &["latest"])?;
        let lost = fs::read(mounted.path("lost"));
        ensure!(lost.as_ref().is_err_and(|error| error.raw_os_error() == Some(5)), "{lost:?}");
        ensure!(fs::read(mounted.path("whole"))? == tree::noise(2, 900_000));
        let outcome = mounted.end(Signal::TERM, 0)?;
        ensure!(outcome.stderr.contains("warning: a reader was refused: "), "{}", outcome.stderr);
        // What a reader met is on record: a check that reads nothing of it names it.
        let checked = setup.credenza.run(["check"])?.expect_code(20)?;
        ensure!(checked.whole().contains("was found damaged on"), "{}", checked.whole());
        Ok(())
    });
    report.scenario("many readers at once, and an end while files are open", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, 300)?;
        fs::write(source.join("large"), tree::noise(3, 8_000_000))?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let readers: Vec<_> = (0..64_u64)
            .map(|reader| {
                let path = mounted.path("large");
                std::thread::spawn(move || -> Result<()> {
                    let mut bytes = vec![0; 100_000];
                    let offset = reader * 120_000;
                    fs::File::open(path)?.read_exact_at(&mut bytes, offset)?;
                    let start = usize::try_from(offset)?;
                    ensure!(bytes == tree::noise(3, 8_000_000)[start..start + 100_000], "at {offset}");
                    Ok(())
                })
            })
            .collect();
        for reader in readers {
            reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        }
        let open = fs::File::open(mounted.path("large"))?;
        output("grep", &["-rq", "no such text", &mounted.folder.to_string_lossy()])
            .err()
            .context("nothing is found")?;
        mounted.end(Signal::TERM, 0)?;
        drop(open);
        Ok(())
    });
    report.finish();
}

#[test]
fn who_was_refused_while_the_store_let_nobody_in_reads_on_when_it_does() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("credentials that hold no more, and hold again", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("store");
        let setup = Setup::with_s3_repository(&endpoint, "store")?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("small"), tree::noise(1, 5000))?;
        fs::write(source.join("large"), tree::noise(2, 20_000_000))?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let open = fs::File::open(mounted.path("large"))?;
        let mut bytes = vec![0; 1000];
        open.read_exact_at(&mut bytes, 0)?;
        server.faults().add(Rule::new(Fault::AccessDenied).in_bucket("store"));
        let refused = [fs::read(mounted.path("small")).map(drop), open.read_exact_at(&mut bytes, 15_000_000)];
        ensure!(
            refused.iter().all(|read| matches!(read, Err(error) if error.raw_os_error() == Some(5))),
            "{refused:?}"
        );
        server.faults().clear();
        open.read_exact_at(&mut bytes, 15_000_000)?;
        ensure!(bytes == tree::noise(2, 20_000_000)[15_000_000..15_001_000]);
        ensure!(fs::read(mounted.path("small"))? == tree::noise(1, 5000));
        drop(open);
        let outcome = mounted.end(Signal::TERM, 0)?;
        ensure!(
            outcome.stderr.contains("a reader was refused: ")
                && outcome.stderr.contains("refuses it to this access key"),
            "{}",
            outcome.stderr
        );
        // It was no damage, and nobody is told of any later.
        setup.credenza.run(["check"])?.expect_code(0).map(drop)
    });
    report.finish();
}

#[test]
fn programs_that_stop_in_the_midst_of_a_mounted_file_and_that_map_it() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("a program that stops in the midst of a file, and one that maps it", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        let bytes = tree::noise(4, 8_000_000);
        fs::write(source.join("large"), &bytes)?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        // A hundred that have begun and read no further.
        let begun = (0..100).map(|at| {
            let file = fs::File::open(mounted.path("large"))?;
            file.read_exact_at(&mut [0; 10], at * 70_000)?;
            Ok(file)
        });
        let begun: Vec<fs::File> = begun.collect::<Result<_>>()?;
        let large = mounted.path("large").to_string_lossy().into_owned();
        let script = "import mmap, sys, hashlib; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); print(m[7999999], m[1234567], hashlib.md5(m).hexdigest())";
        let mapped = output("python3", &["-c", script, &large])?;
        let sum = output("md5sum", &[&source.join("large").to_string_lossy()])?;
        let sum = sum.split_whitespace().next().context("it has a sum")?;
        ensure!(mapped.trim() == format!("{} {} {sum}", bytes[7_999_999], bytes[1_234_567]), "{mapped}");
        drop(begun);
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn a_mount_does_nothing_that_nobody_asks_for() {
    if !can_mount() {
        return;
    }
    const FILES: u64 = 5000;
    let mut report = Report::default();
    report.scenario("what the kernel was told it does not ask for again, and idle threads stay idle", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, FILES)?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let run = mounted.run.as_ref().context("it runs")?;
        let folder = mounted.folder.to_string_lossy().into_owned();
        let find = || output("find", &[&folder, "-type", "f", "-size", "-9k"]);
        ensure!(find()?.lines().count() as u64 == FILES);
        let before = run.reads()?;
        ensure!(find()?.lines().count() as u64 == FILES);
        // Each of the 52 folders is opened and let go again.
        let questions = run.reads()? - before;
        ensure!(questions < 200, "{questions} questions for a second look at {FILES} files");
        // What beats regularly would be heard in each of them.
        let mut heard = Vec::new();
        let is_idle = (0..60).any(|_| {
            let before = run.waits().unwrap_or_default();
            std::thread::sleep(std::time::Duration::from_secs(1));
            let waits = run.waits().map_or(1, |waits| waits - before);
            heard.push(waits);
            waits == 0
        });
        ensure!(is_idle, "idle threads wake up: {heard:?} times in a second each");
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn what_is_said_of_many_files_takes_few_questions_and_little_memory() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("all names of a large folder come with their attributes", || {
        const FILES: u64 = 3000;
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        build_empty(&source, FILES, FILES)?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let run = mounted.run.as_ref().context("it runs")?;
        let before = run.reads()?;
        let folder = mounted.folder.to_string_lossy().into_owned();
        ensure!(output("find", &[&folder, "-type", "f", "-size", "0"])?.lines().count() as u64 == FILES);
        // Older kernels take some 24 in one answer, and reading the snapshot is counted, too.
        let questions = run.reads()? - before;
        ensure!(questions < FILES / 6, "{questions} questions for {FILES} names");
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.scenario("a name that is not there is asked for once", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        build_empty(&source, 10, 10)?;
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let run = mounted.run.as_ref().context("it runs")?;
        let is_missing = |name: &str| {
            let looked = fs::metadata(mounted.path(name));
            looked.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let names = ["none", "0000/none", "0000/file-0000001.none"];
        ensure!(names.iter().all(|name| is_missing(name)));
        let before = run.reads()?;
        ensure!((0..100).all(|_| names.iter().all(|name| is_missing(name))));
        let questions = run.reads()? - before;
        ensure!(questions < 50, "{questions} questions for three names that are not there");
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.scenario("memory", || looked_through(40_000, 1000));
    report.finish();
}

#[test]
#[ignore = "minutes, to make a million files; run it by its name"]
fn a_million_entries_are_looked_through_in_bounded_memory() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("a thousand folders of a thousand", || looked_through(1_000_000, 1000));
    report.finish();
}

/// Empty files, so many of them in each folder.
fn build_empty(root: &Path, files: u64, in_folder: u64) -> Result<()> {
    for number in 0..files {
        let folder = root.join(format!("{:04}", number / in_folder));
        if number % in_folder == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::File::create(folder.join(format!("file-{number:07}")))?;
    }
    Ok(())
}

/// Shows so many entries to the kernel, has many read in a row meanwhile, and demands that little memory is taken for it.
fn looked_through(entries: u64, in_folder: u64) -> Result<()> {
    const LARGE: u64 = 72 << 20;
    let setup = Setup::with_local_repository()?;
    let source = setup.path("source");
    build_empty(&source, entries, in_folder)?;
    fs::write(source.join("large"), tree::noise(5, LARGE))?;
    setup.backup(&source.to_string_lossy())?;
    let mounted = Mounted::start(&setup, &["latest"])?;
    let large = mounted.path("large");
    let readers: Vec<_> = (0..8)
        .map(|reader| {
            let large = large.clone();
            std::thread::spawn(move || -> Result<()> {
                let (file, mut bytes) = (fs::File::open(large)?, vec![0; 1 << 20]);
                (0..9).try_for_each(|piece| Ok(file.read_exact_at(&mut bytes, (reader * 9 + piece) << 20)?))
            })
        })
        .collect();
    let found = output("find", &[&mounted.folder.to_string_lossy(), "-type", "f", "-size", "0"])?;
    ensure!(found.lines().count() as u64 == entries);
    for reader in readers {
        reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
    }
    // How much of itself a program maps differs between one that is tested and one that is shipped, which adds some 22 MiB.
    let own = mounted.run.as_ref().context("it runs")?.own_memory()?;
    ensure!(own < 128 << 20, "{own} bytes of memory after {entries} entries");
    mounted.end(Signal::TERM, 0).map(drop)
}

#[test]
fn what_a_sparse_file_takes_is_told_however_large_it_is() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("of small pieces in holes that are longer than a list of chunks", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        let pieces: Vec<(u64, u64)> = (0..5).map(|piece| (piece * (30 << 20) + 12_345, 100_000)).collect();
        tree::build_sparse(&source.join("image"), 160 << 20, &pieces)?;
        fs::File::open(source.join("image"))?.sync_all()?;
        let taken = fs::metadata(source.join("image"))?.blocks();
        ensure!(taken < 5000, "there are no holes here: {taken} blocks");
        setup.backup(&source.to_string_lossy())?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        let told = fs::metadata(mounted.path("image"))?;
        ensure!((told.len(), told.blocks()) == (160 << 20, taken), "{} blocks where it took {taken}", told.blocks());
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn a_mount_begins_where_it_can_and_nowhere_else() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("what a killed program leaves is taken away by the next", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("file"), "still there")?;
        setup.backup(&source.to_string_lossy())?;
        let mut killed = Mounted::start(&setup, &["latest"])?;
        let run = killed.run.take().context("it runs")?;
        run.signal(Signal::KILL)?;
        run.wait()?;
        ensure!(fs::metadata(&killed.folder).is_err_and(|error| error.raw_os_error() == Some(107)));
        let mounted = Mounted::start(&setup, &["latest"])?;
        ensure!(fs::read_to_string(mounted.path("file"))? == "still there");
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.scenario("places where nothing can be mounted are refused with what to do", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("file"), "")?;
        setup.backup(&source.to_string_lossy())?;
        let refused = |path: &Path, texts: &[&str]| {
            setup.credenza.run(["mount", &path.to_string_lossy()])?.expect_code(1)?.expect_message(texts).map(drop)
        };
        refused(&setup.path("missing"), &["is no folder", "mkdir -p"])?;
        refused(&source.join("file"), &["is no folder"])?;
        refused(&setup.path("repository"), &["lie in one another", "mktemp -d"])?;
        let mounted = Mounted::start(&setup, &["latest"])?;
        refused(&mounted.folder, &["something is mounted", "umount"])?;
        mounted.end(Signal::TERM, 0).map(drop)
    });
    report.finish();
}

#[test]
fn what_a_machine_lacks_for_a_mount_is_said() {
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("without /dev/fuse, and for a user without fusermount3, it is said what is missing", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("file"), "")?;
        setup.backup(&source.to_string_lossy())?;
        let folder = setup.path("mounted");
        fs::create_dir(&folder)?;
        let run = setup.credenza.command(["mount", &folder.to_string_lossy(), "latest"]);
        let said = |program: &str, words: &[&str], path: &Path| -> Result<String> {
            let mut command = Command::new(program);
            command.args(words).arg(path).args(run.get_args()).env_clear().current_dir(setup.path(""));
            command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", "/nowhere");
            let output = command.output()?;
            ensure!(output.status.code() == Some(1), "{output:?}");
            Ok(String::from_utf8_lossy(&output.stderr).into_owned())
        };
        // In a namespace of its own, where the folder of devices has what every program needs and no more.
        let devices = "set -e; PATH=/usr/sbin:/usr/bin:/sbin:/bin; mount -t tmpfs none /dev; mknod /dev/null c 1 3; mknod /dev/urandom c 1 9; exec \"$0\" \"$@\"";
        let text = said("/usr/bin/unshare", &["--mount", "/bin/sh", "-c", devices], Path::new(run.get_program()))?;
        ensure!(text.contains("/dev/fuse is not there") && text.contains("modprobe fuse"), "{text}");
        let all = setup.path("").to_string_lossy().into_owned();
        output("chmod", &["-R", "a+rwX", &all])?;
        output("chown", &["-R", &format!("{NOBODY}:{NOBODY}"), &all])?;
        // Where the user may go, wherever the program was built.
        let program = setup.path("credenza");
        fs::copy(run.get_program(), &program)?;
        let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"];
        let text = said("/usr/bin/setpriv", &user, &program)?;
        ensure!(text.contains("fusermount3 is not there") && text.contains("apt-get install fuse3"), "{text}");
        Ok(())
    });
    report.finish();
}

#[test]
fn a_user_mounts_what_others_cannot_see() {
    let helper = servers::program("fuse3", "fusermount3");
    if !can_mount() {
        return;
    }
    let mut report = Report::default();
    report.scenario("by fusermount3, all files whatever their modes, ended by umount", || {
        ensure!(helper.exists(), "{} is not there: run tests/servers/install.sh fuse3", helper.display());
        let mut setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("private"), "of root")?;
        fs::set_permissions(source.join("private"), fs::Permissions::from_mode(0o600))?;
        setup.backup(&source.to_string_lossy())?;
        let folder = setup.path("mounted");
        fs::create_dir(&folder)?;
        let all = setup.path("").to_string_lossy().into_owned();
        output("chmod", &["-R", "a+rwX", &all])?;
        output("chown", &["-R", &format!("{NOBODY}:{NOBODY}"), &all])?;
        // Where the user can run it, with the rights of root.
        fs::copy(&helper, setup.path("fusermount3"))?;
        fs::set_permissions(setup.path("fusermount3"), fs::Permissions::from_mode(0o4755))?;
        setup.credenza.set("PATH", &format!("{all}:/usr/bin:/bin"));
        // As every distribution makes it; some containers give it to root alone.
        fs::set_permissions("/dev/fuse", fs::Permissions::from_mode(0o666))?;
        let path = folder.to_string_lossy().into_owned();
        let run = setup.credenza.command(["mount", &path, "latest"]);
        let mut user = Command::new("setpriv");
        // Where the user may go, wherever the program was built.
        fs::copy(run.get_program(), setup.path("credenza"))?;
        user.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]).arg(setup.path("credenza"));
        user.args(run.get_args()).env_clear();
        user.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(setup.path(""));
        let mut child = user.stdout(std::process::Stdio::piped()).spawn()?;
        let mut line = String::new();
        let printed = child.stdout.take().context("it prints")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(printed), &mut line)?;
        ensure!(line.starts_with("mounted; "), "{line}");
        let as_user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "cat"];
        let text = output("setpriv", &[&as_user[..], &[&format!("{path}/private")]].concat())?;
        ensure!(text == "of root", "{text}");
        ensure!(fs::read(folder.join("private")).is_err(), "root, who did not mount, looked in");
        output("umount", &[&path])?;
        ensure!(child.wait()?.success());
        Ok(())
    });
    report.finish();
}
