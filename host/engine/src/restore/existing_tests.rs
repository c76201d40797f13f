//! Restores to where something is: what is fetched, written, left and removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use credenza_connect::file::{FileDestination, FileSource};
use credenza_connect::memory::{MemoryDestination, MemorySource};
use credenza_connect::wrap::{Fault, FaultKind, Record as Recorded, call};
use credenza_connect::{Body, ByteRange, Check, DestinationInfo, ErrorClass, Scanner, Source, Writer};
use tempfile::TempDir;

use super::*;
use crate::backup::BackupOptions;
use crate::testing::{CountedStore, handle, noise, recorded};
use crate::{Event, Listener, Standing};

/// What a chunk has at most in these repositories.
const CHUNK_BYTES_MAX: u64 = 16_384;

/// What is read of a pack at least: a segment, sealed.
const SEGMENT_BYTES: u64 = 64 * 1024 + 16;

/// A snapshot of a folder `source`, and the place `target` beside it.
struct Bed {
    folder: TempDir,
    store: CountedStore,
    repository: Repository,
    snapshot: SnapshotHandle,
}

impl Bed {
    async fn new(build: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        build(&source);
        let (store, repository) = recorded().await;
        let snapshot = backed_up(&repository, Arc::new(FileSource::new(&source).unwrap())).await;
        Self { folder, store, repository, snapshot }
    }

    /// Two folders, a link and files of many sizes.
    async fn usual() -> Self {
        Self::new(|source| {
            fs::create_dir_all(source.join("a/b")).unwrap();
            for (number, path) in ["a/one", "a/b/two", "three"].iter().enumerate() {
                write_at(&source.join(path), &noise(number as u64, 40_000 * (number + 1)), 1_000 + number as u64);
            }
            write_at(&source.join("tiny"), b"tiny", 2_000);
            write_at(&source.join("empty"), b"", 2_001);
            symlink("a/one", source.join("link")).unwrap();
        })
        .await
    }

    fn source(&self, path: &str) -> PathBuf {
        self.folder.path().join("source").join(path)
    }

    fn target(&self, path: &str) -> PathBuf {
        self.folder.path().join("target").join(path)
    }

    fn destination(&self) -> FileDestination {
        FileDestination::new(self.target("")).unwrap()
    }

    async fn restore(&self, options: &RestoreOptions) -> Result<RestoreReport> {
        self.restore_to(self.destination(), options).await
    }

    async fn restore_to(&self, to: impl Destination + 'static, options: &RestoreOptions) -> Result<RestoreReport> {
        self.store.clear();
        run(&self.repository, &self.snapshot, Arc::new(to), options, &RunContext::default()).await
    }

    /// Bytes of packs of content that the last restore fetched.
    fn fetched(&self) -> u64 {
        let calls = self.store.calls();
        calls.iter().filter(|call| call.name == call::GET && call.key.starts_with("data/")).map(|call| call.bytes).sum()
    }

    fn expect_equal(&self, path: &str) {
        let (from, to) = (self.source(path), self.target(path));
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap(), "{path}");
        let look = |path: &Path| {
            fs::metadata(path).map(|status| (status.mode(), status.mtime(), status.mtime_nsec())).unwrap()
        };
        assert_eq!(look(&from), look(&to), "{path}");
    }
}

async fn backed_up(repository: &Repository, source: Arc<dyn Source>) -> SnapshotHandle {
    let report =
        crate::backup::run(repository, source, &BackupOptions::default(), &RunContext::default()).await.unwrap();
    handle(repository, report.snapshot.unwrap()).await
}

fn write_at(path: &Path, bytes: &[u8], seconds: u64) {
    fs::write(path, bytes).unwrap();
    set_time(path, seconds);
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn options() -> RestoreOptions {
    RestoreOptions::default()
}

fn overwriting(overwrite: Overwrite) -> RestoreOptions {
    RestoreOptions { overwrite, ..options() }
}

fn patterns(words: &[&str]) -> Patterns {
    Patterns::new(words).unwrap()
}

/// Reasons with how often each.
fn left(report: &RestoreReport) -> Vec<(Conflict, u64)> {
    report.left.iter().map(|(conflict, left)| (*conflict, left.entries)).collect()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_over_itself_fetches_and_writes_nothing() {
    let bed = Bed::usual().await;
    let first = bed.restore(&options()).await.unwrap();
    assert_eq!((first.entries, first.identical), (9, 0));
    assert!(bed.fetched() > 0);
    let destination = Recorded::new(Arc::new(bed.destination()));
    let again = bed.restore_to(destination.clone(), &options()).await.unwrap();
    assert_eq!((again.entries, again.bytes, again.attributes, again.identical), (0, 0, 0, 9));
    assert!(again.is_whole() && left(&again).is_empty());
    assert_eq!(bed.fetched(), 0);
    let writes = [call::CREATE, call::WRITE, call::FINISH, call::SET_METADATA];
    assert!(writes.iter().all(|name| destination.count(name) == 0), "{:?}", destination.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_file_in_which_one_byte_differs_only_its_chunk_is_fetched() {
    for length in [300_000, 20_000_000_usize] {
        let bed = Bed::new(|source| write_at(&source.join("long"), &noise(1, length), 1)).await;
        bed.restore(&options()).await.unwrap();
        let mut bytes = fs::read(bed.target("long")).unwrap();
        bytes[length / 2] ^= 1;
        fs::write(bed.target("long"), &bytes).unwrap();
        let refused = bed.restore(&options()).await.unwrap();
        assert_eq!(left(&refused), [(Conflict::Content, 1)]);
        assert!(fs::read(bed.target("long")).unwrap() == bytes && bed.fetched() == 0, "left");
        let report = bed.restore(&overwriting(Overwrite::Always)).await.unwrap();
        assert_eq!((report.entries, report.replaced, report.bytes), (1, 1, length as u64));
        assert!(report.bytes - report.reused <= CHUNK_BYTES_MAX, "{report:?}");
        assert!(bed.fetched() <= 2 * SEGMENT_BYTES, "{}", bed.fetched());
        bed.expect_equal("long");
        assert_eq!(names(&bed.target("")), ["long"], "nothing unfinished");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_broken_off_goes_on() {
    let bed = Bed::new(|source| {
        (0..40).for_each(|number| write_at(&source.join(format!("{number:02}")), &noise(number, 100_000), number));
    })
    .await;
    let broken =
        Fault::new(Arc::new(bed.destination()), 1).at(call::FINISH, 25, FaultKind::Fail(ErrorClass::Exhausted));
    let ended = bed.restore_to(broken, &options()).await;
    assert!(matches!(ended, Err(Error::Connector { .. })), "{ended:?}");
    let done = names(&bed.target("")).len() as u64;
    assert!((1..40).contains(&done), "{done}");
    let rest = bed.restore(&options()).await.unwrap();
    assert!(rest.is_whole());
    assert_eq!((rest.entries, rest.bytes, rest.replaced), (40 - done, (40 - done) * 100_000, 0));
    // The chunks of a small file lie where the workers of the backup put them, each in a segment or two.
    assert!(bed.fetched() < 40 * 100_000 / 2, "{} of what is left of 40 after {done}", bed.fetched());
    (0..40).for_each(|number| bed.expect_equal(&format!("{number:02}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_times_and_modes_differ_they_are_set_and_nothing_is_fetched() {
    let bed = Bed::usual().await;
    bed.restore(&options()).await.unwrap();
    set_time(&bed.target("a/one"), 9);
    fs::set_permissions(bed.target("a/b"), fs::Permissions::from_mode(0o711)).unwrap();
    let report = bed.restore(&options()).await.unwrap();
    assert_eq!((report.entries, report.attributes, report.identical, bed.fetched()), (0, 2, 7, 0));
    bed.expect_equal("a/one");
    assert_eq!(fs::metadata(bed.target("a/b")).unwrap().mode(), fs::metadata(bed.source("a/b")).unwrap().mode());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_conflict_is_left_counted_and_named() {
    let bed = Bed::new(|source| {
        fs::create_dir_all(source.join("d/e")).unwrap();
        for path in ["d/x", "d/e/y", "file", "longer", "folder-there", "same"] {
            fs::write(source.join(path), path).unwrap();
        }
        symlink("here", source.join("link")).unwrap();
    })
    .await;
    fs::create_dir_all(bed.target("folder-there/inner")).unwrap();
    fs::create_dir_all(bed.folder.path().join("outside")).unwrap();
    symlink(bed.folder.path().join("outside"), bed.target("d")).unwrap();
    fs::write(bed.target("file"), "FILE").unwrap();
    fs::write(bed.target("longer"), "longer than it was").unwrap();
    symlink("there", bed.target("link")).unwrap();
    let report = bed.restore(&options()).await.unwrap();
    assert_eq!(left(&report), [(Conflict::Content, 3), (Conflict::Kind, 2), (Conflict::Below, 3)]);
    assert!(!report.is_whole());
    assert_eq!(report.left[&Conflict::Below].examples.len(), 3);
    assert_eq!(names(&bed.folder.path().join("outside")), [""; 0], "nothing is written through a link");
    assert_eq!(fs::read(bed.target("file")).unwrap(), b"FILE");
    bed.expect_equal("same");
    let report = bed.restore(&overwriting(Overwrite::Always)).await.unwrap();
    assert_eq!(left(&report), [(Conflict::Kind, 1)], "a folder is never replaced by a file");
    assert_eq!(names(&bed.folder.path().join("outside")), [""; 0]);
    assert!(bed.target("folder-there/inner").is_dir());
    for path in ["d/x", "d/e/y", "file", "longer", "same"] {
        bed.expect_equal(path);
    }
    assert_eq!(fs::read_link(bed.target("link")).unwrap(), Path::new("here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_above_the_part_that_is_restored_is_not_followed() {
    let bed = Bed::usual().await;
    fs::create_dir_all(bed.folder.path().join("outside")).unwrap();
    fs::create_dir(bed.target("")).unwrap();
    symlink(bed.folder.path().join("outside"), bed.target("a")).unwrap();
    let part = RestoreOptions { parts: Parts::under(Key::from("a/b/")), ..options() };
    let report = bed.restore(&part).await.unwrap();
    assert_eq!(left(&report), [(Conflict::Kind, 1), (Conflict::Below, 2)]);
    assert_eq!(names(&bed.folder.path().join("outside")), [""; 0]);
    assert_eq!(names(&bed.target("")), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_follows_the_wish() {
    let bed = Bed::new(|source| {
        write_at(&source.join("newer-here"), b"snapshot", 500);
        write_at(&source.join("newer-there"), b"snapshot", 500);
        write_at(&source.join("one-time"), b"snapshot", 500);
    })
    .await;
    let spoil = || {
        let _ = fs::create_dir(bed.target(""));
        for (path, seconds) in [("newer-here", 400), ("newer-there", 600), ("one-time", 500)] {
            write_at(&bed.target(path), b"there!!!", seconds);
        }
    };
    let read = |path: &str| String::from_utf8(fs::read(bed.target(path)).unwrap()).unwrap();
    for (wish, expected, why) in [
        (Overwrite::No, ["there!!!", "there!!!", "there!!!"], vec![(Conflict::Content, 3)]),
        (Overwrite::Always, ["snapshot", "snapshot", "snapshot"], vec![]),
        (Overwrite::IfNewer, ["snapshot", "there!!!", "there!!!"], vec![(Conflict::NotOlder, 2)]),
        (Overwrite::IfChanged, ["snapshot", "snapshot", "there!!!"], vec![]),
        (Overwrite::Never, ["there!!!", "there!!!", "there!!!"], vec![(Conflict::Kept, 3)]),
    ] {
        spoil();
        let report = bed.restore(&overwriting(wish)).await.unwrap();
        assert_eq!(["newer-here", "newer-there", "one-time"].map(read), expected, "{wish:?}");
        assert_eq!(left(&report), why, "{wish:?}");
        assert_eq!(report.is_whole(), wish != Overwrite::No, "{wish:?}");
        assert_eq!(report.presumed, u64::from(wish == Overwrite::IfChanged));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_touched_new_entries_still_come_into_folders_that_are_there() {
    let bed = Bed::usual().await;
    fs::create_dir_all(bed.target("a")).unwrap();
    fs::set_permissions(bed.target("a"), fs::Permissions::from_mode(0o700)).unwrap();
    let report = bed.restore(&overwriting(Overwrite::Never)).await.unwrap();
    assert!(report.is_whole());
    bed.expect_equal("a/one");
    assert_eq!(fs::metadata(bed.target("a")).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_choose_what_is_restored_with_the_folders_above() {
    let bed = Bed::new(|source| {
        fs::create_dir_all(source.join("a/b")).unwrap();
        fs::create_dir_all(source.join("c")).unwrap();
        for path in ["a/b/x.txt", "a/b/x.jpg", "a/y.txt", "c/z.jpg"] {
            fs::write(source.join(path), path).unwrap();
        }
        fs::set_permissions(source.join("a/b"), fs::Permissions::from_mode(0o711)).unwrap();
    })
    .await;
    let chosen =
        RestoreOptions { include: patterns(&["*.txt", "*.jpg"]), exclude: patterns(&["/c", "y.*"]), ..options() };
    let report = bed.restore(&chosen).await.unwrap();
    assert_eq!(report.entries, 5, "the root, a/, a/b/ and two files");
    assert_eq!(names(&bed.target("")), ["a"]);
    assert_eq!(
        (names(&bed.target("a")), names(&bed.target("a/b"))),
        (vec!["b".to_owned()], vec!["x.jpg".to_owned(), "x.txt".to_owned()])
    );
    assert_eq!(fs::metadata(bed.target("a/b")).unwrap().mode() & 0o777, 0o711);
}

/// Keeps what is reported of entries.
#[derive(Default)]
struct Heard(Mutex<Vec<(Standing, String)>>);

impl Listener for Heard {
    fn on(&self, event: Event) {
        if let Event::Compared { key, standing, .. } = event {
            self.0.lock().unwrap().push((standing, key.to_string()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_tells_what_a_restore_would_do_and_does_nothing() {
    let bed = Bed::usual().await;
    let trial = RestoreOptions { dry_run: true, overwrite: Overwrite::Always, ..options() };
    let report = bed.restore(&trial).await.unwrap();
    assert_eq!((report.entries, report.bytes, report.identical, bed.fetched()), (9, 240_004, 0, 0));
    assert!(!bed.target("").exists());
    bed.restore(&options()).await.unwrap();
    fs::write(bed.target("three"), "other").unwrap();
    fs::remove_file(bed.target("link")).unwrap();
    fs::write(bed.target("a/strange"), "").unwrap();
    set_time(&bed.target("empty"), 7);
    let reported = Arc::new(Heard::default());
    let context = RunContext::telling(Arc::clone(&reported) as _);
    bed.store.clear();
    let report = run(&bed.repository, &bed.snapshot, Arc::new(bed.destination()), &trial, &context).await.unwrap();
    assert_eq!((report.entries, report.replaced, report.extra, report.removed, bed.fetched()), (2, 1, 1, 0, 0));
    assert_eq!(fs::read(bed.target("three")).unwrap(), b"other");
    assert!(!bed.target("link").exists() && bed.target("a/strange").exists());
    let reported = reported.0.lock().unwrap().clone();
    for expected in [
        (Standing::New, "link"),
        (Standing::Changed, "three"),
        (Standing::Extra, "a/strange"),
        (Standing::Attributes, "empty"),
        (Standing::Identical, "a/b/two"),
    ] {
        assert!(reported.contains(&(expected.0, expected.1.to_owned())), "{expected:?} in {reported:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_again_and_what_differs_is_counted() {
    let bed = Bed::usual().await;
    let verifying = RestoreOptions { verify: true, ..options() };
    let report = bed.restore(&verifying).await.unwrap();
    assert_eq!((report.verified, report.miswritten), (5, 0));
    assert!(report.is_whole());
    fs::remove_dir_all(bed.target("")).unwrap();
    // The first reads of a restore to an empty folder are those that verify.
    let lying = Fault::new(Arc::new(bed.destination()), 1).at(call::READ, 2, FaultKind::Flip);
    let report = bed.restore_to(lying, &verifying).await.unwrap();
    assert_eq!((report.verified, report.miswritten), (5, 1));
    assert!(!report.is_whole());
    let bucket = bed.restore_to(MemoryDestination::new(), &verifying).await;
    assert!(matches!(bucket, Err(Error::NotReadable { .. })), "{bucket:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_snapshot_is_removed_and_no_link_is_followed() {
    let bed = Bed::usual().await;
    bed.restore(&options()).await.unwrap();
    let outside = bed.folder.path().join("outside");
    fs::create_dir_all(outside.join("kept")).unwrap();
    fs::create_dir_all(bed.target("a/strange/deep")).unwrap();
    fs::write(bed.target("a/strange/deep/file"), "").unwrap();
    symlink(&outside, bed.target("a/out")).unwrap();
    fs::write(bed.target("kept.log"), "").unwrap();
    let deleting = RestoreOptions { delete: Some(Deletion::Limited), exclude: patterns(&["*.log"]), ..options() };
    let trial = bed.restore(&RestoreOptions { dry_run: true, ..deleting.clone() }).await.unwrap();
    assert_eq!((trial.extra, trial.removed), (4, 0));
    assert!(bed.target("a/strange/deep/file").exists());
    let report = bed.restore(&deleting).await.unwrap();
    assert_eq!((report.extra, report.removed, report.failed), (4, 4, 0));
    assert_eq!(names(&bed.target("a")), ["b", "one"]);
    assert_eq!(names(&bed.target("")), ["a", "empty", "kept.log", "link", "three", "tiny"]);
    assert!(outside.join("kept").is_dir());
    let times = |path: PathBuf| fs::metadata(path).map(|status| (status.mtime(), status.mtime_nsec())).unwrap();
    assert_eq!(times(bed.target("a")), times(bed.source("a")), "its time is that of the snapshot again");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_outside_the_part_that_is_restored() {
    let bed = Bed::usual().await;
    bed.restore(&options()).await.unwrap();
    fs::write(bed.target("a/b/strange"), "").unwrap();
    fs::write(bed.target("a/strange"), "").unwrap();
    let part = RestoreOptions { parts: Parts::under(Key::from("a/b/")), delete: Some(Deletion::Limited), ..options() };
    let report = bed.restore(&part).await.unwrap();
    assert_eq!((report.extra, report.removed), (1, 1));
    assert_eq!(
        (names(&bed.target("a/b")), names(&bed.target("a"))),
        (vec!["two".to_owned()], vec!["b".to_owned(), "one".to_owned(), "strange".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_of_more_than_half_is_refused_before_anything_is_written_unless_it_is_meant() {
    let bed = Bed::usual().await;
    fs::create_dir(bed.target("")).unwrap();
    (0..5).for_each(|number| fs::write(bed.target(&number.to_string()), "").unwrap());
    let refused = bed.restore(&RestoreOptions { delete: Some(Deletion::Limited), ..options() }).await;
    assert!(matches!(refused, Err(Error::MuchExtra { extra: 5, all: 6, .. })), "{refused:?}");
    assert_eq!((names(&bed.target("")).len(), bed.fetched()), (5, 0));
    let report = bed.restore(&RestoreOptions { delete: Some(Deletion::All), ..options() }).await.unwrap();
    assert_eq!(report.removed, 5);
    assert_eq!(names(&bed.target("")), names(&bed.source("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_where_something_was_not_restored() {
    let bed = Bed::usual().await;
    bed.restore(&options()).await.unwrap();
    fs::write(bed.target("three"), "mine").unwrap();
    fs::write(bed.target("strange"), "").unwrap();
    let report = bed.restore(&RestoreOptions { delete: Some(Deletion::Limited), ..options() }).await.unwrap();
    assert_eq!((report.extra, report.removed), (1, 0));
    assert!(bed.target("strange").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_one_file_stay_or_become_names_of_one_file() {
    for length in [50_000, 20_000_000] {
        let bed = Bed::new(|source| {
            write_at(&source.join("a"), &noise(3, length), 5);
            ["b", "c"].iter().for_each(|name| fs::hard_link(source.join("a"), source.join(name)).unwrap());
        })
        .await;
        let first = bed.restore(&options()).await.unwrap();
        assert_eq!(first.failed, 0);
        let inode = |path: &str| fs::metadata(bed.target(path)).unwrap().ino();
        let expect_one = || {
            assert!(inode("a") == inode("b") && inode("a") == inode("c"), "{length}");
            assert!(fs::read(bed.target("c")).unwrap() == noise(3, length), "{length}");
        };
        expect_one();
        let again = bed.restore(&options()).await.unwrap();
        assert_eq!((again.identical, again.entries, again.attributes, bed.fetched()), (4, 0, 0, 0));
        fs::remove_file(bed.target("b")).unwrap();
        fs::remove_file(bed.target("c")).unwrap();
        fs::copy(bed.target("a"), bed.target("c")).unwrap();
        bed.restore(&options()).await.unwrap();
        expect_one();
        fs::remove_file(bed.target("a")).unwrap();
        write_at(&bed.target("a"), &noise(4, length), 7);
        bed.restore(&RestoreOptions { overwrite: Overwrite::Always, ..options() }).await.unwrap();
        expect_one();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_holes_is_the_same_file_without() {
    let bed = Bed::new(|source| {
        let file = fs::File::create(source.join("holes")).unwrap();
        file.set_len(3_000_000).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &noise(1, 5_000), 1_000_000).unwrap();
    })
    .await;
    bed.restore(&options()).await.unwrap();
    let bytes = fs::read(bed.target("holes")).unwrap();
    fs::remove_file(bed.target("holes")).unwrap();
    fs::write(bed.target("holes"), bytes).unwrap();
    fs::File::open(bed.target("holes"))
        .unwrap()
        .set_modified(fs::metadata(bed.source("holes")).unwrap().modified().unwrap())
        .unwrap();
    let report = bed.restore(&options()).await.unwrap();
    assert_eq!((report.entries, report.identical, bed.fetched()), (0, 1, 0));
    assert_eq!(report.attributes, 1, "the time of the folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_which_nothing_can_be_written_fails_once_and_before_anything_is_fetched() {
    let bed = Bed::usual().await;
    fs::write(bed.folder.path().join("no folder"), "").unwrap();
    let places = ["no folder", "no folder/below"].map(|place| bed.folder.path().join(place));
    let parts = [options(), RestoreOptions { parts: Parts::under(Key::from("a/b/")), ..options() }];
    let cases = places
        .into_iter()
        .chain(["/sys/credenza".into()])
        .flat_map(|place| parts.each_ref().map(|part| (place.clone(), part)));
    for (place, part) in cases {
        let reported = Arc::new(Failures::default());
        bed.store.clear();
        let destination = Arc::new(FileDestination::new(&place).unwrap());
        let context = RunContext::telling(Arc::clone(&reported) as _);
        let ended = run(&bed.repository, &bed.snapshot, destination, part, &context).await;
        assert!(matches!(ended, Err(Error::Connector { .. })), "{ended:?}");
        assert_eq!((reported.0.load(SeqCst), bed.fetched()), (0, 0), "{}", place.display());
    }
}

/// Counts entries that failed.
#[derive(Default)]
struct Failures(AtomicUsize);

impl Listener for Failures {
    fn on(&self, event: Event) {
        if let Event::EntryFailed { .. } = event {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

/// A folder in which the file `busy` is written to whenever it is opened for reading.
struct Busy {
    inner: FileDestination,
    file: PathBuf,
    /// Whether it is written to whenever it is looked for, too.
    is_early: bool,
}

impl Busy {
    /// The last bytes as they were, so that only the time tells.
    fn touch(&self) {
        let bytes = fs::read(&self.file).unwrap();
        fs::write(&self.file, bytes).unwrap();
    }
}

#[async_trait]
impl Destination for Busy {
    async fn info(&self) -> credenza_connect::Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> credenza_connect::Result<Option<Entry>> {
        let found = self.inner.stat(key).await;
        if self.is_early && key.as_bytes() == b"busy" {
            self.touch();
        }
        found
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> credenza_connect::Result<Option<Box<dyn Writer>>> {
        self.inner.create(entry, overwrite).await
    }

    async fn set_metadata(
        &self,
        entries: &[Entry],
    ) -> credenza_connect::Result<Vec<credenza_connect::Result<Vec<String>>>> {
        self.inner.set_metadata(entries).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> credenza_connect::Result<Option<Body>> {
        let body = self.inner.read(key, range, fresh).await;
        self.touch();
        body
    }

    async fn scan(&self) -> credenza_connect::Result<Option<Box<dyn Scanner>>> {
        self.inner.scan().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_to_while_it_is_compared_is_not_called_identical() {
    let bed = Bed::new(|source| write_at(&source.join("busy"), &noise(1, 100_000), 5)).await;
    bed.restore(&options()).await.unwrap();
    let busy = || Busy { inner: bed.destination(), file: bed.target("busy"), is_early: false };
    let report = bed.restore_to(busy(), &options()).await.unwrap();
    assert_eq!(left(&report), [(Conflict::Changing, 1)]);
    let report = bed.restore_to(busy(), &overwriting(Overwrite::Always)).await.unwrap();
    assert_eq!((report.replaced, left(&report)), (1, vec![]));
    bed.expect_equal("busy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_becomes_newer_while_others_are_compared_is_not_replaced() {
    let bed = Bed::new(|source| write_at(&source.join("busy"), &noise(1, 100_000), 5)).await;
    fs::create_dir(bed.target("")).unwrap();
    write_at(&bed.target("busy"), b"older when it is looked for", 4);
    let busy = Busy { inner: bed.destination(), file: bed.target("busy"), is_early: true };
    let report = bed.restore_to(busy, &overwriting(Overwrite::IfNewer)).await.unwrap();
    assert_eq!((report.replaced, left(&report)), (0, vec![(Conflict::NotOlder, 1)]));
    assert_eq!(fs::read(bed.target("busy")).unwrap(), b"older when it is looked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_asked_for_nothing_until_something_is_met_and_then_nothing_more_is_fetched() {
    let (store, repository) = recorded().await;
    let source = MemorySource::new();
    (0..60).for_each(|number| source.put(format!("{number:02}").as_str(), noise(number, 500_000)));
    let snapshot = backed_up(&repository, Arc::new(source)).await;
    let bucket = MemoryDestination::new();
    let restore = async |to: Recorded<MemoryDestination>| {
        store.clear();
        run(&repository, &snapshot, Arc::new(to), &options(), &RunContext::default()).await.unwrap()
    };
    let asked = Recorded::new(Arc::new(bucket.clone()));
    let first = restore(asked.clone()).await;
    assert_eq!((first.entries, asked.count(call::STAT)), (60, 0));
    let again = restore(Recorded::new(Arc::new(bucket.clone()))).await;
    assert!(again.is_whole());
    assert_eq!((again.entries, again.identical), (0, 60));
    let fetched = store.calls().iter().filter(|call| call.name == call::GET && call.key.starts_with("data/")).count();
    // Three packs that are read ahead, and two windows of what does not lie in a row, by how threads come by a core.
    assert!(fetched <= 5, "{fetched} requests: what was under way when something was met");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_includes_nothing_of_the_snapshot_is_told_and_nothing_else_is_restored_for_it() {
    let bed = Bed::usual().await;
    let including = |words: &[&str]| RestoreOptions { include: patterns(words), ..options() };
    let nothing = bed.restore(&including(&["*.jpg", "/b"])).await;
    assert!(
        matches!(&nothing, Err(Error::NothingIncluded { patterns, .. }) if patterns == &["*.jpg", "/b"]),
        "{nothing:?}"
    );
    assert!(!bed.target("three").exists());
    let some = RestoreOptions { exclude: patterns(&["two", "nowhere"]), ..including(&["/a/", "/a/one", "*.jpg"]) };
    let report = bed.restore(&some).await.unwrap();
    assert_eq!(report.include_unmatched, ["*.jpg"], "what lies in a folder that another includes is included by both");
    assert_eq!((report.exclude_unmatched.as_slice(), report.is_whole()), (&["nowhere".to_owned()][..], false));
    assert!(bed.target("a/one").exists() && !bed.target("a/b/two").exists());
    // What is at the destination is no match of what is restored.
    fs::write(bed.target("x.jpg"), "mine").unwrap();
    let deleting = RestoreOptions { delete: Some(Deletion::All), ..some };
    let report = bed.restore(&deleting).await.unwrap();
    assert_eq!((report.include_unmatched.as_slice(), report.removed), (&["*.jpg".to_owned()][..], 0));
    assert!(bed.target("x.jpg").exists());
}
