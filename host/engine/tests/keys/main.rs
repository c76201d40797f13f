//! Key slots, rotation and writers, on a repository in memory.

mod rotate;
mod slots;
mod writer;

use std::sync::Arc;

use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::check::{self, CheckOptions};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{CreateOptions, Error, Repository, Secret, Silent, SnapshotName};
use credenza_format::ChunkerParams;
use credenza_model::{Key, StoreKey};

/// Key files cost nothing to try, so most tests use them.
fn key_file(byte: u8) -> Secret {
    Secret::KeyFile(vec![byte; 32].into())
}

async fn create(store: &MemoryStore, secret: Secret) {
    let options =
        CreateOptions { secret, label: "first".to_owned(), chunker: ChunkerParams::default(), compression: 1 };
    Repository::create(Arc::new(store.clone()), &options).await.unwrap();
}

async fn open(store: &MemoryStore, secret: &Secret) -> Result<Repository, Error> {
    Repository::open(Arc::new(store.clone()), secret, None).await
}

/// A source with one small and one large object that depend on the seed.
fn source(seed: u8) -> MemorySource {
    let source = MemorySource::new();
    source.put("small", vec![seed; 300]);
    source.put(
        "large",
        (0..700_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed).collect::<Vec<_>>(),
    );
    source
}

async fn back_up(repository: &Repository, source: &MemorySource) -> backup::BackupReport {
    let options = BackupOptions { host: "host".to_owned(), user: "user".to_owned(), ..BackupOptions::default() };
    let report = backup::run(repository, Arc::new(source.clone()), &options, &Told).await.unwrap();
    assert_eq!(report.errors, 0);
    report
}

/// Restores the snapshot of that id and compares it with what was backed up.
async fn expect_restored(repository: &Repository, snapshot: &str, seed: u8) {
    let snapshot = repository.find(&SnapshotName(snapshot.to_owned())).await.unwrap();
    let destination = MemoryDestination::new();
    let report =
        restore::run(repository, &snapshot, Arc::new(destination.clone()), &RestoreOptions::default(), &Silent).await;
    let report = report.unwrap();
    assert_eq!((report.damaged, report.failed), (0, 0));
    let expected = source(seed);
    for (key, restored) in destination.restored() {
        assert_eq!(restored.bytes, content(&expected, &key).await, "{key}");
    }
    assert_eq!(report.entries, 2);
}

async fn content(source: &MemorySource, key: &Key) -> bytes::Bytes {
    use credenza_connect::Source;
    let entry = credenza_model::Entry::new(key.clone(), credenza_model::EntryKind::File);
    source.read(&entry, None, None).await.unwrap().body.read_all(1 << 20).await.unwrap()
}

async fn expect_whole(repository: &Repository) {
    let report = check::run(repository, &CheckOptions { read_data: true }, &Silent).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// The names under a prefix.
fn names(store: &MemoryStore, prefix: &str) -> Vec<StoreKey> {
    store.keys().into_iter().filter(|key| key.as_str().starts_with(prefix)).collect()
}

/// A store with the same objects that goes its own way from now on.
async fn copy(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    for key in store.keys() {
        let bytes = store.bytes(&key).unwrap();
        copy.put(&key, Payload::from(bytes.to_vec()), &PutOptions::default()).await.unwrap();
    }
    copy
}

struct Told;
impl credenza_engine::Listener for Told {
    fn on(&self, event: credenza_engine::Event) {
        eprintln!("EVENT {event:?}");
    }
}
