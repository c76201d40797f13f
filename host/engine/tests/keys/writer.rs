//! Writers, who may add and not read.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::{
    Body, ByteRange, Check, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};
use credenza_engine::check::{self, CheckOptions};
use credenza_engine::{Error, Repository, RunContext, SnapshotName};
use credenza_format::{Access, config_key, copy_key};
use credenza_model::{StoreKey, Timestamp};

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
    refused(check::run(&writer, &CheckOptions::default(), &RunContext::default()).await.err().unwrap());
    refused(writer.add_slot(&key_file(3).lock().unwrap(), Access::Writer, "").await.err().unwrap());
    refused(writer.remove_slot("0").await.err().unwrap());
    refused(writer.rotate_keys(&key_file(2), true).await.err().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_needs_no_right_to_delete_or_to_get_what_it_cannot_open() {
    let store = with_writer().await;
    back_up(&open(&store, &key_file(1)).await.unwrap(), &source(1)).await;
    let write_only = Arc::new(WriteOnly(store.clone()));
    let mut snapshots = Vec::new();
    for seed in [2, 3] {
        let writer = Repository::open(write_only.clone(), &key_file(2), None).await.unwrap();
        snapshots.push((seed, back_up(&writer, &source(seed)).await.snapshot.unwrap().to_string()));
    }
    assert_eq!(names(&store, "intent/").len(), 2, "they stay and expire");
    let reader = open(&store, &key_file(1)).await.unwrap();
    for (seed, snapshot) in snapshots {
        expect_restored(&reader, &snapshot, seed).await;
        let found = reader.find(&SnapshotName(snapshot)).await.unwrap().snapshot;
        assert_eq!((found.sequence, found.previous), (1, None), "a chain of its own");
    }
    let whole = reader.snapshots().await.unwrap().whole;
    let writers: HashSet<_> = whole.iter().map(|handle| handle.snapshot.writer.0).collect();
    assert_eq!(writers.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_may_look_at_snapshots_goes_on_with_its_chain() {
    let store = with_writer().await;
    for secret in [key_file(2), key_file(1), key_file(2)] {
        back_up(&open(&store, &secret).await.unwrap(), &source(1)).await;
    }
    let mut whole = open(&store, &key_file(1)).await.unwrap().snapshots().await.unwrap().whole;
    whole.sort_by_key(|handle| handle.snapshot.sequence);
    assert_eq!(whole.iter().map(|handle| handle.snapshot.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    for pair in whole.windows(2) {
        assert_eq!(pair[1].snapshot.previous, Some(pair[0].digest));
    }
}

/// A store whose credentials delete nothing and get only what a writer must read.
struct WriteOnly(MemoryStore);

fn denied() -> credenza_connect::Error {
    credenza_connect::Error::new(ErrorClass::Denied, "test.denied", "these credentials may not do that")
}

#[async_trait]
impl Store for WriteOnly {
    async fn info(&self) -> Result<StoreInfo> {
        self.0.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.0.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        assert!(options.if_absent, "`{key}` could replace another object");
        self.0.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let allowed = ["config", "key/", "index/", "condemned/"];
        match allowed.iter().any(|prefix| key.as_str().starts_with(prefix)) {
            true => self.0.get(key, range, version).await,
            false => Err(denied()),
        }
    }

    async fn stat(&self, _: &StoreKey) -> Result<StoredObject> {
        Err(denied())
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.0.list(prefix, cursor, max).await
    }

    async fn delete(&self, _: &[StoreKey]) -> Result<Vec<Result<()>>> {
        Err(denied())
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.0.retain(key, version, until).await
    }
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
    let lines: String = forged.split_inclusive('\n').take(3).collect();
    let checksum = blake3::hash(lines.as_bytes());
    for key in [config_key(), copy_key(&config_key())] {
        store.tamper(&key, Some(format!("{lines}blake3 {checksum}\n").into()));
    }
    assert!(matches!(open(&store, &key_file(2)).await, Err(Error::Damage(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_with_a_readers_and_a_writers_slot_reads() {
    let store = with_writer().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "").await.unwrap();
    open(&store, &key_file(2)).await.unwrap().snapshots().await.unwrap();
}
