//! Writers, who may add and not read.

use std::sync::Arc;

use credenza_connect::ErrorClass;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Record, call};
use credenza_engine::check::{self, CheckOptions};
use credenza_engine::{Error, Repository, Silent, SnapshotName};
use credenza_format::{Access, config_key};

use crate::{back_up, create, expect_restored, expect_whole, key_file, names, open, source};

/// Opens by key file 1 for everything, by key file 2 for adding.
async fn with_writer() -> MemoryStore {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.add_slot(&key_file(2).lock().unwrap(), Access::Writer, "server").await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_writer_backed_up_readers_restore_and_find_whole() {
    let store = with_writer().await;
    let snapshot = back_up(&open(&store, &key_file(2)).await.unwrap(), &source(1)).await.snapshot.unwrap();
    let reader = open(&store, &key_file(1)).await.unwrap();
    expect_restored(&reader, &snapshot.to_string(), 1).await;
    expect_whole(&reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_and_readers_deduplicate_against_each_other() {
    let store = with_writer().await;
    let (reader, writer) = (open(&store, &key_file(1)).await.unwrap(), open(&store, &key_file(2)).await.unwrap());
    let first = back_up(&reader, &source(1)).await;
    assert!(first.bytes_added > 600_000);
    let second = back_up(&writer, &source(1)).await;
    assert_eq!((second.read, second.unchanged), (2, 0), "nothing is known of earlier runs, so all is read");
    assert!(second.bytes_added < 4096, "{}", second.bytes_added);
    let third = back_up(&writer, &source(3)).await.snapshot.unwrap().to_string();
    assert!(back_up(&reader, &source(3)).await.bytes_added < 4096, "what a writer stored serves readers");
    expect_restored(&reader, &third, 3).await;
    expect_whole(&reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_reads_no_snapshot_its_own_included() {
    let store = with_writer().await;
    let writer = open(&store, &key_file(2)).await.unwrap();
    let id = back_up(&writer, &source(1)).await.snapshot.unwrap().to_string();
    let refused = |error: Error| assert!(matches!(error, Error::NoAccess { .. }), "{error}");
    refused(writer.snapshots().await.err().unwrap());
    refused(writer.find(&SnapshotName(id)).await.err().unwrap());
    refused(check::run(&writer, &CheckOptions::default(), &Silent).await.err().unwrap());
    refused(writer.add_slot(&key_file(3).lock().unwrap(), Access::Writer, "").await.err().unwrap());
    refused(writer.remove_slot("0").await.err().unwrap());
    refused(writer.rotate_keys(&key_file(2), true).await.err().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_fetches_nothing_that_it_cannot_open_and_needs_no_right_to_delete() {
    let store = with_writer().await;
    back_up(&open(&store, &key_file(1)).await.unwrap(), &source(1)).await;
    let denied = Fault::new(Arc::new(store.clone()), 1).one_in(call::DELETE, 1, FaultKind::Fail(ErrorClass::Denied));
    let record = Record::new(Arc::new(denied));
    let writer = Repository::open(Arc::new(record.clone()), &key_file(2), None).await.unwrap();
    let snapshot = back_up(&writer, &source(2)).await.snapshot.unwrap().to_string();
    let fetched: Vec<_> =
        record.calls().into_iter().filter(|call| call.name == call::GET).map(|call| call.key).collect();
    assert!(!fetched.is_empty());
    for folder in ["snapshot/", "usage/", "data/", "meta/"] {
        assert!(fetched.iter().all(|key| !key.starts_with(folder)), "{fetched:?}");
    }
    assert_eq!(names(&store, "intent/").len(), 1, "it stays and expires");
    expect_restored(&open(&store, &key_file(1)).await.unwrap(), &snapshot, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_reads_an_unordered_source_twice_rather_than_what_it_wrote() {
    let store = with_writer().await;
    let unordered = MemorySource::unordered();
    for number in 0..200_u32 {
        unordered.put(format!("key-{number:03}").as_str(), number.to_le_bytes().repeat(500));
    }
    let report = back_up(&open(&store, &key_file(2)).await.unwrap(), &unordered).await;
    let reader = open(&store, &key_file(1)).await.unwrap();
    assert_eq!(report.entries, 200);
    expect_whole(&reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_refuses_a_config_that_is_not_the_repositorys() {
    let store = with_writer().await;
    let config = String::from_utf8(store.bytes(&config_key()).unwrap().to_vec()).unwrap();
    let forged = config.replace(r#""compression_level":1"#, r#""compression_level":9"#);
    assert_ne!(forged, config);
    store.tamper(&config_key(), Some(forged.into()));
    assert!(matches!(open(&store, &key_file(2)).await, Err(Error::Damage(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_with_a_readers_and_a_writers_slot_reads() {
    let store = with_writer().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "").await.unwrap();
    open(&store, &key_file(2)).await.unwrap().snapshots().await.unwrap();
}
