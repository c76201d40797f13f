//! Whole runs over a source in memory: contents of any size, and metadata that costs a request of its own.

use credenza_connect::ErrorClass;
use credenza_connect::SourceDocument;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_model::{Attribute, AttributeValue, Checksum, Entry, EntryKind, Timestamp};

use super::*;
use crate::testing::{contents, handle, noise, repository, secret};
use crate::{Repository, Silent};

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
    run(repository, source, &options, &Silent).await.unwrap()
}

/// The attributes of the tagged object in the snapshot that a run made.
async fn tags(repository: &Repository, report: &BackupReport) -> Vec<Attribute> {
    let snapshot = handle(repository, report.snapshot.unwrap()).await.snapshot;
    let loader = repository.loader(Arc::new(repository.load_index().await.unwrap()));
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
    let denied = credenza_connect::Error::new(ErrorClass::Denied, "s3.access-denied", "not for you");
    source.set_document(document("s3.acl", Err(denied)));
    let names = |documents: &[credenza_format::SourceDocument]| -> Vec<(String, bool)> {
        documents.iter().map(|document| (document.name.clone(), document.text.is_some())).collect()
    };
    let first = backed_up(&repository, Arc::new(source.clone()), false).await;
    let kept = handle(&repository, first.snapshot.unwrap()).await.snapshot.source.documents;
    assert_eq!(names(&kept), [("s3.policy".to_owned(), true), ("s3.acl".to_owned(), false)]);
    assert_eq!(kept[1].error.as_deref(), Some("not for you"));
    source.set_document(document("s3.cors", Ok("<x/>".to_owned())));
    let second = backed_up(&repository, Arc::new(source.clone()), false).await;
    assert_eq!(handle(&repository, second.snapshot.unwrap()).await.snapshot.source.documents, kept);
    source.set_document(document("s3.website", Ok("w".repeat(300_000))));
    let full = backed_up(&repository, Arc::new(source), true).await;
    let kept = handle(&repository, full.snapshot.unwrap()).await.snapshot.source.documents;
    assert_eq!(names(&kept[2..]), [("s3.cors".to_owned(), true), ("s3.website".to_owned(), false)], "too long to keep");
}
