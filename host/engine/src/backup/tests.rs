//! Whole runs over a source in memory: contents of any size, and metadata that costs a request of its own.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use credenza_connect::ErrorClass;
use credenza_connect::file::FileSource;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Permute, Retry, RetryPolicy, call};
use credenza_connect::{Body, ByteRange, Check, Opened, Result as Answer, ScanOptions, Scanner, SourceDocument};
use credenza_model::{Attribute, AttributeValue, Checksum, Entry, EntryKind, Key, Timestamp};

use super::*;
use crate::testing::{Reading, TestClock, contents, handle, noise, open, recorded, repository, secret};
use crate::{Repository, RunContext};

/// Orders of calls and answers that each run of the tests tries.
const PERMUTATIONS: u64 = 40;

fn tag(value: &str) -> Attribute {
    ("s3.tag.team".to_owned(), AttributeValue::Text(value.to_owned()))
}

/// A bucket with a tagged object and a plain one.
fn tagged() -> MemorySource {
    let source = MemorySource::new();
    source.put("plain", b"p".to_vec());
    source.put("tagged", vec![1; 1000]);
    source.set_costly("tagged", vec![tag("blue")]);
    source
}

async fn backed_up(repository: &Repository, source: Arc<dyn Source>, metadata_of_all: bool) -> BackupReport {
    let options = BackupOptions { metadata_of_all, ..BackupOptions::default() };
    run(repository, source, &options, &RunContext::default()).await.unwrap()
}

/// The attributes of the tagged object in the snapshot that a run made.
async fn tags(repository: &Repository, report: &BackupReport) -> Vec<Attribute> {
    let snapshot = handle(repository, report.snapshot.unwrap()).await.snapshot;
    let loader = repository.loader(Arc::new(repository.index_for_writing().await.unwrap()));
    let records = repository.walk(&loader, &snapshot.tree, b"tagged").next_batch().await.unwrap();
    let record = records.iter().find(|record| record.entry.key.as_bytes() == b"tagged").unwrap();
    assert_eq!(record.entry.size, Some(1000));
    record.entry.attributes.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_kept_and_those_of_unchanged_objects_are_read_again_when_asked() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = tagged();
    let first = backed_up(&repository, Arc::new(source.clone()), false).await;
    assert_eq!(tags(&repository, &first).await, [tag("blue")]);
    source.set_costly("tagged", vec![tag("red")]);
    let listed = backed_up(&repository, Arc::new(source.clone()), false).await;
    assert_eq!(tags(&repository, &listed).await, [tag("blue")], "the listing shows no change");
    let full = backed_up(&repository, Arc::new(source.clone()), true).await;
    assert_eq!(tags(&repository, &full).await, [tag("red")]);
    assert_eq!((full.read, full.unchanged, full.bytes_read), (0, 2, 0), "contents are not read again");
    source.set_costly("tagged", Vec::new());
    let untagged = backed_up(&repository, Arc::new(source), true).await;
    assert_eq!(tags(&repository, &untagged).await, [], "a tag that is gone does not stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_tags_may_not_be_read_keeps_its_content_and_is_named() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let denied = Fault::new(Arc::new(tagged()), 1).one_in(call::DESCRIBE, 1, FaultKind::Fail(ErrorClass::Denied));
    let report = backed_up(&repository, Arc::new(denied), false).await;
    assert_eq!((report.errors, report.read), (2, 2));
    assert_eq!(tags(&repository, &report).await, []);
    let problems = handle(&repository, report.snapshot.unwrap()).await.snapshot.problems;
    assert_eq!(problems.iter().map(|problem| problem.key.to_string()).collect::<Vec<_>>(), ["plain", "tagged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_behind_large_ones_are_read_whole() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    let large = load::SMALL_BYTES_MAX as usize + 1;
    for (number, length) in [large, 10, large, 20, 30, large, 40].into_iter().enumerate() {
        source.put(format!("{number}").as_str(), noise(number as u64, length));
    }
    let report = backed_up(&repository, Arc::new(source), false).await;
    assert_eq!((report.errors, report.read), (0, 7));
    for (key, (_, bytes)) in contents(&repository, report.snapshot.unwrap()).await {
        let number: u64 = key.to_string().parse().unwrap();
        assert!(bytes == noise(number, bytes.len()) && bytes.len() >= 10, "{key}");
    }
}

/// An object with the CRC-32 of these bytes, which need not be its own.
fn stated(key: &str, crc32: u32) -> Entry {
    let checksum = Checksum { algorithm: "crc32".to_owned(), value: crc32.to_be_bytes().to_vec() };
    Entry { checksums: vec![checksum], ..Entry::new(key.into(), EntryKind::File) }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// A small object and one that is read as a stream, each with its CRC-32.
fn checked() -> MemorySource {
    let source = MemorySource::new();
    source.insert(stated("large", 0xe50c_cb56), noise(1, 3 * load::SMALL_BYTES_MAX as usize));
    source.insert(stated("small", 0xcbf4_3926), b"123456789".to_vec());
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_turned_on_the_way_are_noticed_by_the_checksum_and_read_again() {
    for unlucky in [1, 2] {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let turned = Fault::new(Arc::new(checked()), 1).at(call::READ, unlucky, FaultKind::Flip);
        let report = backed_up(&repository, Arc::new(turned), false).await;
        assert_eq!(report.errors, 0);
        let kept: Vec<_> =
            contents(&repository, report.snapshot.unwrap()).await.into_values().map(|kept| kept.1).collect();
        assert!(kept == [noise(1, 3 * load::SMALL_BYTES_MAX as usize), b"123456789".to_vec()]);
    }
}

/// Contents that share their chunks, several of them in flight, each read of which may be turned, torn or fail on its way.
fn troubled(seed: u64) -> (impl Source, std::collections::BTreeMap<String, Vec<u8>>) {
    let source = MemorySource::new();
    let large = noise(1, 3 * load::SMALL_BYTES_MAX as usize);
    let mut all = std::collections::BTreeMap::new();
    for number in 0..4 {
        let key = format!("large/{number}");
        source.insert(stated(&key, 0xe50c_cb56), large.clone());
        all.insert(key, large.clone());
    }
    for number in 0..40 {
        let (key, bytes) = (format!("small/{number:02}"), noise(number % 7, 3000));
        source.insert(stated(&key, crc32(&bytes)), bytes.clone());
        all.insert(key, bytes);
    }
    let faulty = Fault::new(Arc::new(source), seed)
        .at(call::READ, 1 + seed % 4, FaultKind::Flip)
        .at(call::READ, 5 + seed % 40, FaultKind::Tear)
        .one_in(call::READ, 12, FaultKind::Fail(ErrorClass::Transient));
    let policy = RetryPolicy { pause_min: Duration::ZERO, pause_max: Duration::ZERO, ..RetryPolicy::default() };
    (Retry::new(Arc::new(faulty), policy), all)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_calls_are_answered_a_snapshot_is_whole() {
    for seed in 0..PERMUTATIONS {
        let store = MemoryStore::new();
        repository(Arc::new(store.clone()), secret(), None).await;
        let permuted = open(Arc::new(Permute::new(Arc::new(store.clone()), seed)), secret()).await;
        let (source, all) = troubled(seed);
        let report = backed_up(&permuted, Arc::new(Permute::new(Arc::new(source), seed)), false).await;
        assert_eq!(report.errors, 0, "seed {seed}");
        let kept = contents(&open(Arc::new(store), secret()).await, report.snapshot.unwrap()).await;
        let kept: std::collections::BTreeMap<String, Vec<u8>> =
            kept.into_iter().map(|(key, (_, bytes))| (key.to_string(), bytes)).collect();
        assert!(kept == all, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_rotted_at_its_source_is_kept_as_it_is_and_named() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = checked();
    source.insert(stated("large", 1), noise(1, 3 * load::SMALL_BYTES_MAX as usize));
    source.insert(stated("small", 1), b"rotten".to_vec());
    let report = backed_up(&repository, Arc::new(source), false).await;
    assert_eq!((report.errors, report.read), (2, 2));
    let snapshot = handle(&repository, report.snapshot.unwrap()).await.snapshot;
    let mut problems: Vec<_> = snapshot.problems.iter().map(|problem| problem.to_owned()).collect();
    problems.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(problems.iter().map(|problem| problem.key.to_string()).collect::<Vec<_>>(), ["large", "small"]);
    assert!(problems[0].reason.contains("checksum"), "{}", problems[0].reason);
    assert_eq!(contents(&repository, snapshot.id).await[&"small".into()].1, b"rotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_never_handed_out_as_it_is_listed_is_kept_as_it_comes_and_named() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let inner = MemorySource::new();
    inner.put("decoded", b"other bytes".to_vec());
    let reads = std::sync::atomic::AtomicUsize::new(0);
    let decoded = || credenza_connect::Error::new(ErrorClass::Precondition, "s3.decoded", "it is decoded");
    let read = move |opened| match reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Err(decoded()),
        _ => opened,
    };
    let source = Reading { inner, local: false, listings: usize::MAX.into(), read };
    let report = backed_up(&repository, Arc::new(source), false).await;
    assert_eq!((report.errors, report.changed, report.read), (1, 0, 1));
    let snapshot = handle(&repository, report.snapshot.unwrap()).await.snapshot;
    assert!(snapshot.problems[0].reason.contains("other bytes"), "{}", snapshot.problems[0].reason);
    assert_eq!(contents(&repository, snapshot.id).await[&"decoded".into()].1, b"other bytes");
}

/// A local folder with a small and a large file, of which the first reads of each find that they were written to meanwhile. What is read at
/// the n-th time is all of the digit n.
fn restless(torn_reads: u8) -> impl Source {
    let inner = MemorySource::new();
    inner.put("large", vec![0; 3 * load::SMALL_BYTES_MAX as usize]);
    inner.put("small", vec![0; 3000]);
    let reads = std::sync::Mutex::new(std::collections::BTreeMap::<String, u8>::new());
    let read = move |opened: credenza_connect::Result<Opened>| {
        let opened = opened?;
        let mut reads = reads.lock().unwrap();
        let number = reads.entry(opened.entry.key.to_string()).or_default();
        *number += 1;
        let bytes = std::io::Cursor::new(vec![*number; opened.entry.size.unwrap() as usize]);
        let torn = *number <= torn_reads;
        Ok(Opened { body: Body::from_reader(None, Torn { bytes, torn }), ..opened })
    };
    Reading { inner, local: true, listings: usize::MAX.into(), read }
}

/// A reader whose file turns out to have changed after its last byte.
struct Torn {
    bytes: std::io::Cursor<Vec<u8>>,
    torn: bool,
}

impl std::io::Read for Torn {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.bytes.read(buffer)? {
            0 if self.torn && !buffer.is_empty() => Err(std::io::Error::other(credenza_connect::Error::new(
                ErrorClass::Precondition,
                "file.changed",
                "it was changed while it was being read",
            ))),
            count => Ok(count),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_to_while_it_is_read_is_read_again_whatever_its_size() {
    for torn_reads in [0, 1, 3] {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let report = backed_up(&repository, Arc::new(restless(torn_reads)), false).await;
        assert_eq!((report.errors, report.changed, report.read), (0, 0, 2), "{torn_reads}");
        let kept = contents(&repository, report.snapshot.unwrap()).await;
        for (key, size) in [("large", 3 * load::SMALL_BYTES_MAX as usize), ("small", 3000)] {
            assert!(kept[&key.into()].1 == vec![torn_reads + 1; size], "{key}, {torn_reads}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_to_at_each_read_is_kept_as_it_was_read_last_and_counted() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = Arc::new(restless(u8::MAX));
    let report = backed_up(&repository, source.clone(), false).await;
    assert_eq!((report.errors, report.changed, report.read), (2, 2, 2));
    let kept = contents(&repository, report.snapshot.unwrap()).await;
    assert!(kept[&"large".into()].1 == vec![4; 3 * load::SMALL_BYTES_MAX as usize]);
    assert!(kept[&"small".into()].1 == vec![4; 3000]);
    let problems = handle(&repository, report.snapshot.unwrap()).await.snapshot.problems;
    assert_eq!(problems.iter().map(|problem| problem.key.to_string()).collect::<Vec<_>>(), ["large", "small"]);
    let again = backed_up(&repository, source, false).await;
    assert_eq!((again.read, again.unchanged), (2, 0), "what may be torn is not taken over");
}

/// A bucket of so many objects of which all fail whenever they are read but one in so many; each failure takes two minutes.
fn ailing(objects: usize, well: usize, reason: &'static str, listings: usize) -> (impl Source, Arc<TestClock>) {
    let inner = MemorySource::new();
    for number in 0..objects {
        let state = if number % well == well - 1 { "well" } else { "ailing" };
        inner.put(format!("{number:05}/{state}").as_str(), b"some".to_vec());
    }
    let clock = Arc::new(TestClock::default());
    let hands = Arc::clone(&clock);
    let read = move |opened: credenza_connect::Result<Opened>| {
        if opened.as_ref().is_ok_and(|opened| opened.entry.key.as_bytes().ends_with(b"well")) {
            return opened;
        }
        hands.pass(Duration::from_mins(2));
        Err(credenza_connect::Error::new(ErrorClass::Transient, reason, "it fails again and again"))
    };
    (Reading { inner, local: false, listings: listings.into(), read }, clock)
}

async fn ailing_backed_up(
    (source, clock): (impl Source + 'static, Arc<TestClock>),
) -> (Repository, crate::Result<BackupReport>) {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await.with_clock(clock);
    let report = run(&repository, Arc::new(source), &BackupOptions::default(), &RunContext::default()).await;
    (repository, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_fail_whenever_they_are_read_cost_only_themselves_however_many_they_are() {
    for (objects, reason) in [(20, "s3.unavailable"), (2000, "s3.unavailable"), (2000, "http.timeout")] {
        let (_, report) = ailing_backed_up(ailing(objects, 20, reason, usize::MAX)).await;
        let report = report.unwrap();
        assert_eq!((report.errors, report.entries), (objects as u64 * 19 / 20, objects as u64), "{reason}");
        assert_eq!((report.read, report.unchanged), (objects as u64 / 20, 0), "what failed is not unchanged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_nothing_for_minutes_ends_the_run() {
    let (_, ended) = ailing_backed_up(ailing(100, usize::MAX, "connect", 1)).await;
    assert!(matches!(&ended, Err(Error::Unanswered { side: "source", seconds, .. }) if *seconds >= 300), "{ended:?}");
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_a_history_is_backed_up_as_it_was_when_the_run_began() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    for (key, seconds) in [("before", 5), ("during", 11)] {
        source.insert(Entry { modified: Some(at(seconds)), ..Entry::new(key.into(), EntryKind::File) }, b"x".to_vec());
    }
    source.set_now(at(10));
    let report = backed_up(&repository, Arc::new(source), false).await;
    let snapshot = handle(&repository, report.snapshot.unwrap()).await.snapshot;
    assert_eq!(snapshot.source.as_of, Some(at(10)));
    let kept: Vec<String> = contents(&repository, snapshot.id).await.into_keys().map(|key| key.to_string()).collect();
    assert_eq!(kept, ["before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_for_a_source_is_read_by_its_first_run_and_with_all_metadata() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = tagged();
    let document = |name: &str, content| SourceDocument { name: name.to_owned(), content };
    source.set_document(document("s3.policy", Ok("{}".to_owned())));
    let names = |documents: &[credenza_format::SourceDocument]| -> Vec<(String, bool)> {
        documents.iter().map(|document| (document.name.clone(), document.text.is_some())).collect()
    };
    let first = backed_up(&repository, Arc::new(source.clone()), false).await;
    let kept = handle(&repository, first.snapshot.unwrap()).await.snapshot.source.documents;
    assert_eq!(names(&kept), [("s3.policy".to_owned(), true)]);
    source.set_document(document("s3.cors", Ok("<x/>".to_owned())));
    let second = backed_up(&repository, Arc::new(source.clone()), false).await;
    assert_eq!(handle(&repository, second.snapshot.unwrap()).await.snapshot.source.documents, kept);
    source.set_document(document("s3.website", Ok("w".repeat(300_000))));
    let full = backed_up(&repository, Arc::new(source), true).await;
    let kept = handle(&repository, full.snapshot.unwrap()).await.snapshot.source.documents;
    assert_eq!(names(&kept[1..]), [("s3.cors".to_owned(), true), ("s3.website".to_owned(), false)], "too long to keep");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_for_a_source_and_could_not_be_read_is_asked_for_by_the_next_run() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let failing = MemorySource::new();
    failing.set_document(SourceDocument { name: "s3.acl".to_owned(), content: Err(transient("s3.unavailable")) });
    let first = backed_up(&repository, Arc::new(failing), false).await;
    let kept = handle(&repository, first.snapshot.unwrap()).await.snapshot.source.documents;
    assert_eq!(kept[0].error.as_deref(), Some("it failed"));
    let mended = MemorySource::new();
    mended.set_document(SourceDocument { name: "s3.acl".to_owned(), content: Ok("<x/>".to_owned()) });
    let second = backed_up(&repository, Arc::new(mended), false).await;
    let kept = handle(&repository, second.snapshot.unwrap()).await.snapshot.source.documents;
    assert_eq!((kept[0].text.as_deref(), kept[0].error.as_deref()), (Some("<x/>"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_rereads_trusts_no_listing_and_finds_what_changed_behind_it() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    let unchanging = || Entry { fingerprint: Some("f".to_owned()), ..Entry::new("mapped".into(), EntryKind::File) };
    source.insert(unchanging(), b"before".to_vec());
    backed_up(&repository, Arc::new(source.clone()), false).await;
    source.insert(unchanging(), b"behind".to_vec());
    let trusting = backed_up(&repository, Arc::new(source.clone()), true).await;
    assert_eq!((trusting.read, trusting.unchanged), (0, 1), "nothing shows it");
    let options = BackupOptions { reread: true, ..BackupOptions::default() };
    let dry = BackupOptions { dry_run: true, ..options.clone() };
    assert_eq!(run(&repository, Arc::new(source.clone()), &dry, &RunContext::default()).await.unwrap().read, 1);
    let reread = run(&repository, Arc::new(source), &options, &RunContext::default()).await.unwrap();
    assert_eq!((reread.read, reread.unchanged), (1, 0));
    assert_eq!(contents(&repository, reread.snapshot.unwrap()).await[&"mapped".into()].1, b"behind");
}

/// A clock that stands still.
struct FixedClock(i64);

impl crate::Clock for FixedClock {
    fn now(&self) -> crate::Moment {
        crate::Moment { monotonic: std::time::Duration::ZERO, wall: at(self.0) }
    }
}

/// A folder with one file, and when that was changed.
fn folder_of_one() -> (tempfile::TempDir, i64) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let changed = std::os::unix::fs::MetadataExt::ctime(&std::fs::metadata(folder.path().join("file")).unwrap());
    (folder, changed)
}

async fn folder_read(repository: &Repository, source: FileSource, options: &BackupOptions) -> BackupReport {
    let options = BackupOptions { location: "/place".to_owned(), ..options.clone() };
    let report = run(repository, Arc::new(source), &options, &RunContext::default()).await.unwrap();
    assert_eq!((report.errors, report.read + report.unchanged), (0, 1));
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_as_young_as_the_start_of_the_run_before_is_read_once_more() {
    let (folder, changed) = folder_of_one();
    for (began, expected) in [(-60, [1, 1, 0]), (60, [1, 0, 0])] {
        let mut repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let mut read = Vec::new();
        for begins in [changed + began, changed + 120, changed + 180] {
            repository = repository.with_clock(Arc::new(FixedClock(begins)));
            let source = FileSource::new(folder.path()).unwrap();
            read.push(folder_read(&repository, source, &BackupOptions::default()).await.read);
        }
        assert_eq!(read, expected, "the first run began {began} seconds after the change");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_under_another_host_name_is_not_read_again_and_the_history_it_leaves_is_named() {
    let (folder, changed) = folder_of_one();
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let repository = repository.with_clock(Arc::new(FixedClock(changed + 60)));
    let plain = BackupOptions::default();
    let of = |host: &str| FileSource::new(folder.path()).unwrap().of_host(host.to_owned());
    assert_eq!(folder_read(&repository, of("a"), &plain).await.compared_with, None);
    let named = BackupOptions { host_as: Some("a".to_owned()), ..plain.clone() };
    let continued = folder_read(&repository, of("a"), &named).await;
    assert_eq!((continued.read, continued.compared_with), (0, None));
    let other = folder_read(&repository, of("b"), &plain).await;
    assert_eq!(other.read, 0);
    let identity = |host: &str| format!("file://{host}{}", std::fs::canonicalize(folder.path()).unwrap().display());
    let expected = OtherSource { identity: identity("a"), host: "a".to_owned(), instead: identity("b") };
    assert_eq!(other.compared_with, Some(expected));
    assert_eq!(folder_read(&repository, of("b"), &plain).await.compared_with, None);
    let snapshots = repository.snapshots().await.unwrap().whole;
    let writers: std::collections::BTreeSet<_> = snapshots.iter().map(|handle| handle.snapshot.writer.0).collect();
    assert_eq!(writers.len(), 1, "a name for the record makes no other writer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_a_name_of_its_own_goes_on_where_it_was_moved_to() {
    let (folder, changed) = folder_of_one();
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let repository = repository.with_clock(Arc::new(FixedClock(changed + 60)));
    let options = BackupOptions { source_as: Some("letters".to_owned()), ..BackupOptions::default() };
    let first = folder_read(&repository, FileSource::new(folder.path()).unwrap(), &options).await;
    let moved = folder.path().with_extension("moved");
    std::fs::rename(folder.path(), &moved).unwrap();
    let elsewhere = BackupOptions { host: "other".to_owned(), ..options };
    let second = folder_read(&repository, FileSource::new(&moved).unwrap(), &elsewhere).await;
    std::fs::rename(&moved, folder.path()).unwrap();
    assert_eq!((first.read, second.read, second.compared_with), (1, 0, None));
    let snapshot = handle(&repository, second.snapshot.unwrap()).await.snapshot;
    assert_eq!((snapshot.source.identity.as_str(), snapshot.parent), ("letters", first.snapshot));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_is_left_out_of_any_source_and_recorded() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    for key in ["a/keep", "cache/keep", "cache/x", "z.tmp"] {
        source.put(key, b"x".to_vec());
    }
    source.skip("cache/closed", "denied");
    let excludes = credenza_connect::Patterns::new(["cache/", "!cache/keep", "*.tmp"]).unwrap();
    let options = BackupOptions { excludes, ..BackupOptions::default() };
    let report = run(&repository, Arc::new(source), &options, &RunContext::default()).await.unwrap();
    assert_eq!(report.errors, 0);
    let snapshot = handle(&repository, report.snapshot.unwrap()).await.snapshot;
    assert_eq!(snapshot.excluded, ["cache/", "!cache/keep", "*.tmp"]);
    assert_eq!(contents(&repository, snapshot.id).await.into_keys().collect::<Vec<_>>(), ["a/keep".into()]);
}

/// How many more listings of a source fail because nobody is there.
#[derive(Clone, Default)]
struct Away(Arc<AtomicUsize>);

impl Away {
    fn leave(&self, listings: usize) {
        self.0.store(listings, SeqCst);
    }
}

/// A source that goes away and comes back, and has a say in what becomes of the n-th read of a key, from 1.
struct Moody<F> {
    inner: MemorySource,
    away: Away,
    reads: std::sync::Mutex<std::collections::BTreeMap<Key, usize>>,
    read: F,
}

fn moody<F: Fn(usize, Opened) -> Answer<Opened> + Send + Sync>(
    inner: MemorySource,
    away: &Away,
    read: F,
) -> Arc<Moody<F>> {
    Arc::new(Moody { inner, away: away.clone(), reads: std::sync::Mutex::default(), read })
}

fn transient(reason: &str) -> credenza_connect::Error {
    credenza_connect::Error::new(ErrorClass::Transient, reason, "it failed")
}

#[async_trait::async_trait]
impl<F: Fn(usize, Opened) -> Answer<Opened> + Send + Sync> Source for Moody<F> {
    async fn info(&self) -> Answer<SourceInfo> {
        self.inner.info().await
    }

    async fn now(&self) -> Answer<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Answer<Box<dyn Scanner>> {
        match self.away.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(transient("connect")),
            Err(_) => self.inner.scan(options).await,
        }
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Answer<Opened> {
        let opened = self.inner.read(entry, range, if_match).await?;
        let number = {
            let mut reads = self.reads.lock().unwrap();
            let number = reads.entry(entry.key.clone()).or_default();
            *number += 1;
            *number
        };
        (self.read)(number, opened)
    }

    async fn describe(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<Attribute>>>> {
        match self.away.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Ok(entries.iter().map(|_| Err(transient("connect"))).collect()),
            Err(_) => self.inner.describe(entries).await,
        }
    }

    async fn documents(&self) -> Answer<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}

/// The same, with a body that breaks off in its middle.
fn broken_off(opened: Opened, reason: &str) -> Opened {
    let length = opened.body.length;
    let half = usize::try_from(length.unwrap() / 2).unwrap();
    let pieces = [Ok(bytes::Bytes::from(vec![0; half])), Err(transient(reason))];
    Opened { body: Body::from_stream(length, futures_util::stream::iter(pieces)), ..opened }
}

/// A small object and one that is read as a stream.
fn small_and_large() -> MemorySource {
    let inner = MemorySource::new();
    inner.put("large", noise(1, 3 * load::SMALL_BYTES_MAX as usize));
    inner.put("small", noise(2, 3000));
    inner
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_being_read_while_the_source_went_away_is_read_again_when_it_is_back() {
    for reason in ["http.idle", "http.interrupted", "connect"] {
        let away = Away::default();
        let leaves = away.clone();
        let read = move |number: usize, opened: Opened| {
            if number > 1 {
                return Ok(opened);
            }
            leaves.leave(3);
            Ok(broken_off(opened, reason))
        };
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let report = backed_up(&repository, moody(small_and_large(), &away, read), false).await;
        assert_eq!((report.errors, report.read), (0, 2), "{reason}");
        let kept = contents(&repository, report.snapshot.unwrap()).await;
        assert!(kept[&"large".into()].1 == noise(1, 3 * load::SMALL_BYTES_MAX as usize), "{reason}");
        assert!(kept[&"small".into()].1 == noise(2, 3000), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_before_the_source_went_away_is_opened_again_and_described() {
    let away = Away::default();
    let leaves = away.clone();
    let read = move |number: usize, opened: Opened| match (opened.entry.key.as_bytes(), number) {
        (b"tagged", 1) => {
            leaves.leave(2);
            Ok(broken_off(opened, "http.interrupted"))
        }
        _ => Ok(opened),
    };
    let source = tagged();
    source.remove(&"plain".into());
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let report = backed_up(&repository, moody(source, &away, read), false).await;
    assert_eq!((report.errors, report.read), (0, 1));
    assert_eq!(tags(&repository, &report).await, [tag("blue")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_breaks_off_while_the_source_answers_is_left_out_and_named() {
    let read = |_: usize, opened: Opened| match opened.entry.key.as_bytes() {
        b"small" => Ok(opened),
        _ => Ok(broken_off(opened, "http.interrupted")),
    };
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let report = backed_up(&repository, moody(small_and_large(), &Away::default(), read), false).await;
    assert_eq!((report.errors, report.entries), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_takes_its_source_down_whenever_it_is_read_is_left_out_after_some_tries() {
    let away = Away::default();
    let leaves = away.clone();
    let read = move |_: usize, opened: Opened| match opened.entry.key.as_bytes() {
        b"small" => Ok(opened),
        _ => {
            leaves.leave(1);
            Ok(broken_off(opened, "http.interrupted"))
        }
    };
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let report = backed_up(&repository, moody(small_and_large(), &away, read), false).await;
    assert_eq!((report.errors, report.entries), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_which_no_object_can_be_read_ends_the_run() {
    // As soon as that takes long, however many they are.
    for (objects, seconds) in [(300, 10), (80, 120)] {
        let clock = Arc::new(TestClock::default());
        let hands = Arc::clone(&clock);
        let inner = MemorySource::new();
        for number in 0..objects {
            inner.put(format!("{number:05}").as_str(), b"never read".to_vec());
        }
        let read = move |_: usize, _: Opened| {
            hands.pass(Duration::from_secs(seconds));
            Err(transient("s3.unavailable"))
        };
        let store = MemoryStore::new();
        let repository = repository(Arc::new(store.clone()), secret(), None).await.with_clock(clock);
        let source = moody(inner, &Away::default(), read);
        let ended = run(&repository, source, &BackupOptions::default(), &RunContext::default()).await;
        assert!(matches!(&ended, Err(Error::Fruitless { side: "source", .. })), "{objects}: {ended:?}");
        assert!(repository.snapshots().await.unwrap().whole.is_empty(), "nothing is committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_neighbours_that_fail_fast_keep_nobody_from_those_behind_them() {
    let inner = MemorySource::new();
    (0..1010).for_each(|number| inner.put(format!("{number:05}").as_str(), b"some".to_vec()));
    let read = |_: usize, opened: Opened| match opened.entry.key.as_bytes() {
        key if key < b"01000".as_slice() => Err(transient("s3.unavailable")),
        _ => Ok(opened),
    };
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let report = backed_up(&repository, moody(inner, &Away::default(), read), false).await;
    assert_eq!((report.entries, report.errors, report.read), (1010, 1000, 10));
}

/// Tells its entries in this order, one a page.
struct Disordered {
    inner: Fault<MemorySource>,
    order: Vec<&'static str>,
}

struct OneByOne(Vec<credenza_connect::Found>);

#[async_trait::async_trait]
impl Scanner for OneByOne {
    async fn next(&mut self, _: usize) -> Answer<credenza_connect::Batch> {
        let found = self.0.pop().into_iter().collect();
        Ok(credenza_connect::Batch { found, more: !self.0.is_empty() })
    }
}

#[async_trait::async_trait]
impl Source for Disordered {
    async fn info(&self) -> Answer<SourceInfo> {
        self.inner.info().await
    }

    async fn now(&self) -> Answer<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Answer<Box<dyn Scanner>> {
        let mut found = self.inner.scan(options).await?.next(1000).await?.found;
        let place = |found: &credenza_connect::Found| {
            self.order.iter().position(|key| found.key().as_bytes() == key.as_bytes()).unwrap()
        };
        found.sort_by_key(|found| std::cmp::Reverse(place(found)));
        Ok(Box::new(OneByOne(found)))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Answer<Opened> {
        self.inner.read(entry, range, if_match).await
    }

    async fn describe(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<Attribute>>>> {
        self.inner.describe(entries).await
    }

    async fn documents(&self) -> Answer<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_amiss_with_entries_that_were_read_before_a_listing_turned_out_of_order_is_still_told() {
    let denied = FaultKind::Fail(ErrorClass::Denied);
    let source = tagged();
    source.put("b", b"read before the listing goes back to a".to_vec());
    source.put("a", b"a".to_vec());
    source.insert(stated("c", 1), b"rotten".to_vec());
    let inner = Fault::new(Arc::new(source), 1).one_in(call::DESCRIBE, 1, denied);
    let source = Disordered { inner, order: vec!["b", "c", "plain", "a", "tagged"] };
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let report = backed_up(&repository, Arc::new(source), false).await;
    assert_eq!((report.entries, report.errors), (5, 5));
    let snapshot = handle(&repository, report.snapshot.unwrap()).await.snapshot;
    let named: Vec<_> = snapshot.problems.iter().map(|problem| problem.key.to_string()).collect();
    assert_eq!(named, ["a", "b", "c", "plain", "tagged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_could_not_be_read_is_read_by_the_next_run_without_the_content() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let denied = || {
        let denied = FaultKind::Fail(ErrorClass::Denied);
        Arc::new(Fault::new(Arc::new(tagged()), 1).one_in(call::DESCRIBE, 1, denied))
    };
    let first = backed_up(&repository, denied(), false).await;
    assert_eq!((first.errors, first.read), (2, 2));
    let still = backed_up(&repository, denied(), false).await;
    assert_eq!((still.errors, still.read, still.bytes_read), (2, 0, 0), "it is reported until it is mended");
    let mended = backed_up(&repository, Arc::new(tagged()), false).await;
    assert_eq!((mended.errors, mended.read, mended.bytes_read), (0, 0, 0));
    assert_eq!(tags(&repository, &mended).await, [tag("blue")]);
    let denied_again = backed_up(&repository, denied(), false).await;
    assert_eq!((denied_again.errors, denied_again.unchanged), (0, 2), "what was described is not asked for again");
    let full = backed_up(&repository, denied(), true).await;
    assert_eq!(full.errors, 2);
    assert_eq!(tags(&repository, &full).await, [tag("blue")], "what was known before stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_read_of_a_local_file_missed_is_read_by_the_next_run_without_the_content() {
    let (folder, changed) = folder_of_one();
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let repository = repository.with_clock(Arc::new(FixedClock(changed + 60)));
    let source = || Arc::new(FileSource::new(folder.path()).unwrap());
    let withheld = || {
        let denied = FaultKind::Fail(ErrorClass::Denied);
        Arc::new(Fault::new(source(), 1).one_in(call::DESCRIBE, 1, denied))
    };
    let first = backed_up(&repository, withheld(), false).await;
    assert_eq!((first.errors, first.read), (1, 1));
    let still = backed_up(&repository, withheld(), false).await;
    assert_eq!((still.errors, still.read, still.bytes_read), (1, 0, 0), "it is reported until it is mended");
    let mended = backed_up(&repository, source(), false).await;
    assert_eq!((mended.errors, mended.read, mended.bytes_read), (0, 0, 0));
    let unchanged = backed_up(&repository, withheld(), false).await;
    assert_eq!((unchanged.errors, unchanged.unchanged), (0, 1), "what was told whole is not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_rotted_is_told_by_each_run_and_not_read_again() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    source.insert(stated("small", 1), b"rotten".to_vec());
    let first = backed_up(&repository, Arc::new(source.clone()), false).await;
    let second = backed_up(&repository, Arc::new(source), true).await;
    assert_eq!((first.errors, first.read), (1, 1));
    assert_eq!((second.errors, second.read), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_grew_after_it_was_listed_is_kept_as_it_is_now() {
    for metadata_of_all in [true, false] {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let source = tagged();
        backed_up(&repository, Arc::new(source.clone()), false).await;
        if !metadata_of_all {
            source.put("tagged", vec![2; 1000]);
        }
        let grown = source.clone();
        let size = 3 * load::SMALL_BYTES_MAX as usize;
        let read = move |number: usize, opened: Opened| {
            if opened.entry.key.as_bytes() == b"tagged" && number == 1 {
                grown.put("tagged", noise(3, size));
                return Err(credenza_connect::Error::new(ErrorClass::Precondition, "memory.changed", "it grew"));
            }
            Ok(opened)
        };
        let report = backed_up(&repository, moody(source, &Away::default(), read), metadata_of_all).await;
        assert_eq!((report.errors, report.read), (0, 1), "{metadata_of_all}");
        let kept = contents(&repository, report.snapshot.unwrap()).await;
        assert!(kept[&"tagged".into()].1 == noise(3, size));
    }
}

/// A source of two objects, each as large as a pack, of which the second never comes to its end.
fn stuck(inner: &MemorySource) -> impl Source + 'static {
    let reads = AtomicUsize::new(0);
    let read = move |answer: Answer<Opened>| {
        let mut opened = answer?;
        if reads.fetch_add(1, SeqCst) == 1 {
            let begun = futures_util::stream::iter([Ok(vec![7; 1 << 20].into())]);
            opened.body = Body::from_stream(None, begun.chain(futures_util::stream::pending()));
        }
        Ok(opened)
    };
    Reading { inner: inner.clone(), local: false, listings: AtomicUsize::new(usize::MAX), read }
}

/// Bytes of data packs that were put.
fn data_bytes(store: &crate::testing::CountedStore) -> u64 {
    let puts = store.calls().into_iter().filter(|made| made.name == call::PUT && made.key.starts_with("data/"));
    puts.map(|made| made.bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_its_source_is_slow_loses_at_most_the_packs_of_two_minutes() {
    let (store, repository) = recorded().await;
    let clock = Arc::new(TestClock::default());
    let repository = repository.with_clock(Arc::clone(&clock) as Arc<dyn crate::Clock>);
    let source = MemorySource::new();
    let pack = credenza_model::limits::DATA_PACK_BYTES as usize;
    source.put("a", noise(1, pack + (1 << 20)));
    source.put("b", noise(2, pack / 4));
    store.clear();
    let (options, context) = (BackupOptions::default(), RunContext::default());
    {
        let mut running = std::pin::pin!(run(&repository, Arc::new(stuck(&source)), &options, &context));
        let is_put =
            |folder: &str| store.calls().iter().any(|made| made.name == call::PUT && made.key.starts_with(folder));
        let described = async {
            while !is_put("data/") {
                tokio::task::yield_now().await;
            }
            assert!(!is_put("index/"), "no time has passed");
            while !is_put("index/") {
                clock.pass(Duration::from_mins(2));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            done = &mut running => panic!("it ended: {done:?}"),
            () = described => {}
        }
        // Dropped here, as if it was killed.
    }
    store.clear();
    backed_up(&repository, Arc::new(source), false).await;
    let sent = data_bytes(&store);
    assert!(sent < pack as u64 / 2, "{sent} bytes were sent once more");
}

/// Keeps what it hears.
#[derive(Default)]
struct Heard(std::sync::Mutex<Vec<Event>>);

impl Heard {
    fn has_heard_what_to_expect(&self) -> bool {
        self.0.lock().unwrap().iter().any(|event| matches!(event, Event::Expected { .. }))
    }
}

impl Listener for Heard {
    fn on(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_move_while_one_large_object_is_read_and_are_told_once() {
    const LARGE: u64 = 100 << 20;
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let inner = MemorySource::new();
    inner.put("large", vec![1; LARGE as usize]);
    inner.put("small", noise(1, 100));
    // As it comes over a network, in pieces.
    let read = |answer: Answer<Opened>| {
        let mut opened = answer?;
        if opened.body.length == Some(LARGE) {
            let pieces = (0..LARGE >> 20).map(|_| Ok(vec![1; 1 << 20].into()));
            opened.body = Body::from_stream(Some(LARGE), futures_util::stream::iter(pieces));
        }
        Ok(opened)
    };
    let source = Reading { inner, local: false, listings: AtomicUsize::new(usize::MAX), read };
    let heard = Arc::new(Heard::default());
    let context = RunContext::telling(Arc::clone(&heard) as Arc<dyn Listener>);
    run(&repository, Arc::new(source), &BackupOptions::default(), &context).await.unwrap();
    let heard = heard.0.lock().unwrap();
    let moves = heard.iter().filter_map(|event| match event {
        Event::Progress { entries, bytes } => Some((*entries, *bytes)),
        _ => None,
    });
    let moves: Vec<(u64, u64)> = moves.collect();
    let before_it_was_whole: u64 = moves.iter().take_while(|(entries, _)| *entries == 0).map(|(_, bytes)| bytes).sum();
    assert!(before_it_was_whole > LARGE * 9 / 10, "{before_it_was_whole}");
    assert!(moves.iter().all(|(_, bytes)| *bytes <= LARGE / 10), "in steps");
    assert_eq!(moves.iter().map(|(_, bytes)| bytes).sum::<u64>(), LARGE + 100);
    assert_eq!(moves.iter().map(|(entries, _)| entries).sum::<u64>(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_local_source_holds_is_counted_when_no_parent_tells_it() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let inner = MemorySource::new();
    (0..10_u64).for_each(|number| inner.put(format!("{number}").as_str(), noise(number, 1000)));
    for local in [true, false] {
        let listings = AtomicUsize::new(usize::MAX);
        let (heard, options) = (Arc::new(Heard::default()), BackupOptions::default());
        let reported = Arc::clone(&heard);
        // A local source is read by threads of its own, which may wait for the count.
        let read = move |answer| {
            while local && !reported.has_heard_what_to_expect() {
                std::thread::yield_now();
            }
            answer
        };
        let source = Reading { inner: inner.clone(), local, listings, read };
        let context = RunContext::telling(Arc::clone(&heard) as Arc<dyn Listener>);
        let session = BackupOptions { source_as: Some(format!("local {local}")), ..options };
        run(&repository, Arc::new(source), &session, &context).await.unwrap();
        let heard = heard.0.lock().unwrap();
        let reported = heard.iter().filter_map(|event| match event {
            Event::Expected { entries, bytes } => Some((*entries, *bytes)),
            _ => None,
        });
        let counted = local.then_some((10, 10_000));
        assert_eq!(reported.collect::<Vec<_>>(), Vec::from_iter(counted), "for others a listing costs requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_that_nobody_is_shown() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let inner = MemorySource::new();
    inner.put("a", noise(1, 1000));
    let source = Reading { inner, local: true, listings: AtomicUsize::new(1), read: |answer| answer };
    run(&repository, Arc::new(source), &BackupOptions::default(), &RunContext::default()).await.unwrap();
}
