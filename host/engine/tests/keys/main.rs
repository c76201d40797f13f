//! Key slots, rotation and writers, on a repository in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod copies;
mod flood;
mod rotate;
mod slots;
mod writer;

use std::sync::Arc;

use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::{Payload, PutOptions, Source, Store};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::check::{self, CheckOptions, Sample};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{CreateOptions, Error, Repository, RunContext, Secret, SnapshotName};
use credenza_model::{Entry, EntryKind, Key, StoreKey};

/// Key files cost nothing to try, so most tests use them.
fn key_file(byte: u8) -> Secret {
    Secret::KeyFile(vec![byte; 32].into())
}

async fn create(store: &MemoryStore, secret: Secret) {
    let options = CreateOptions { label: "first".to_owned(), ..CreateOptions::new(secret) };
    Repository::create(Arc::new(store.clone()), &options).await.unwrap();
}

async fn open(store: &MemoryStore, secret: &Secret) -> Result<Repository, Error> {
    Repository::open(Arc::new(store.clone()), secret, None).await
}

/// A source with one small and one large object, whose bytes and fingerprints depend on the seed.
fn source(seed: u8) -> MemorySource {
    let source = MemorySource::new();
    for (key, length) in [("small", 300), ("large", 700_000)] {
        let mut bytes = vec![0; length];
        blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
        let mut entry = Entry::new(key.into(), EntryKind::File);
        entry.fingerprint = Some(format!("{key} {seed}"));
        source.insert(entry, bytes);
    }
    source
}

async fn back_up(repository: &Repository, source: &MemorySource) -> backup::BackupReport {
    let options = BackupOptions { host: "host".to_owned(), user: "user".to_owned(), ..BackupOptions::default() };
    let report = backup::run(repository, Arc::new(source.clone()), &options, &RunContext::default()).await.unwrap();
    assert_eq!(report.errors, 0);
    report
}

/// Restores the snapshot of that id and compares it with what was backed up.
async fn expect_restored(repository: &Repository, snapshot: &str, seed: u8) {
    let snapshot = repository.find(&SnapshotName(snapshot.to_owned())).await.unwrap();
    let destination = MemoryDestination::new();
    let report = restore::run(
        repository,
        &snapshot,
        Arc::new(destination.clone()),
        &RestoreOptions::default(),
        &RunContext::default(),
    )
    .await;
    let report = report.unwrap();
    assert_eq!((report.damaged, report.failed), (0, 0));
    let expected = source(seed);
    for (key, restored) in destination.restored() {
        assert!(restored.bytes == content(&expected, &key).await, "{key}");
    }
    assert_eq!(report.entries, 2);
}

async fn content(source: &MemorySource, key: &Key) -> bytes::Bytes {
    let entry = Entry::new(key.clone(), EntryKind::File);
    source.read(&entry, None, None).await.unwrap().body.read_all(1 << 20).await.unwrap()
}

async fn expect_whole(repository: &Repository) {
    let report = check::run(repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
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
