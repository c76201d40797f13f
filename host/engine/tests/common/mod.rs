//! A repository in memory, sources to back up, and the judgement whether a snapshot is whole.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
pub(crate) use credenza_connect::random::noise;
pub(crate) use credenza_connect::wrap::as_asked;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::check::{self, CheckOptions, Sample};
use credenza_engine::gc::{self, GcOptions, GcReport};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{CreateOptions, Error, Repository, RunContext, Secret, SnapshotName, remove};
use credenza_format::{ChunkerParams, ParityRate};
use credenza_model::{SnapshotId, StoreKey, Timestamp};

/// What a source holds.
pub(crate) type Files = BTreeMap<String, Bytes>;

pub(crate) const DAY: i64 = 86_400;
/// When the store's clock begins.
pub(crate) const BEGIN: i64 = 1_800_000_000;

/// The most memory that this process has held, in bytes.
pub(crate) fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    mark.and_then(|kib| kib.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}

/// A key file opens in no time, and everything is encrypted as usual.
pub(crate) fn key_file() -> Secret {
    Secret::KeyFile(vec![7; 32].into())
}

/// Makes a repository in an empty store and opens it.
pub(crate) async fn create(store: &MemoryStore, secret: Secret) -> Repository {
    create_with(store, secret, None, None).await
}

/// The same, with parity.
pub(crate) async fn create_parity(store: &MemoryStore, secret: Secret, percent: u32) -> Repository {
    create_with(store, secret, None, ParityRate::of_percent(percent)).await
}

/// The same, with locks that last for so many days.
pub(crate) async fn create_locking(store: &MemoryStore, secret: Secret, retain_days: Option<u32>) -> Repository {
    create_with(store, secret, retain_days, None).await
}

/// The same, with locks or parity, or both.
pub(crate) async fn create_with(
    store: &MemoryStore,
    secret: Secret,
    retain_days: Option<u32>,
    parity: Option<ParityRate>,
) -> Repository {
    store.set_clock(at(BEGIN));
    // Files of up to 16 KiB are one chunk, whatever the keys: what tests count hangs on it.
    let chunker = ChunkerParams::new(16 << 10, 64 << 10, 256 << 10).unwrap();
    let options = CreateOptions {
        secret: secret.clone(),
        like: None,
        label: "test".into(),
        chunker,
        compression: 1,
        retain_days,
        parity,
    };
    Repository::create(Arc::new(store.clone()), &options).await.unwrap();
    open(Arc::new(store.clone()), &secret).await
}

/// A store with the same objects that goes its own way from now on.
pub(crate) async fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    copy.set_clock(at(BEGIN));
    for key in store.keys() {
        let bytes = store.bytes(&key).unwrap();
        copy.put(&key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
    }
    copy
}

pub(crate) async fn open(store: Arc<dyn Store>, secret: &Secret) -> Repository {
    Repository::open(as_asked(store), secret, None).await.unwrap()
}

/// A file that no other file shares a byte with.
pub(crate) fn file(seed: u64) -> Bytes {
    noise(seed, 2000).into()
}

/// Files named by their numbers.
pub(crate) fn files(numbers: impl IntoIterator<Item = u64>) -> Files {
    numbers.into_iter().map(|number| (format!("file-{number:04}"), file(number))).collect()
}

pub(crate) fn source(files: &Files) -> MemorySource {
    let source = MemorySource::new();
    files.iter().for_each(|(name, bytes)| source.put(name.as_str(), bytes.clone()));
    source
}

/// Backs up files in a repository.
pub(crate) async fn backup(repository: &Repository, host: &str, files: &Files) -> Result<SnapshotId, Error> {
    let options = BackupOptions { host: host.into(), user: "u".into(), ..BackupOptions::default() };
    let report = backup::run(repository, Arc::new(source(files)), &options, &RunContext::default()).await?;
    Ok(report.snapshot.unwrap())
}

pub(crate) async fn collect(repository: &Repository) -> Result<GcReport, Error> {
    gc::run(repository, &GcOptions::default(), &RunContext::default()).await
}

pub(crate) async fn rm(repository: &Repository, snapshot: SnapshotId) {
    let handle = repository.find(&SnapshotName(snapshot.to_string())).await.unwrap();
    assert_eq!(remove::run(repository, &[handle], None).await.unwrap().removed, [snapshot]);
}

/// Why a snapshot does not restore to exactly these files, if so.
pub(crate) async fn restores(repository: &Repository, snapshot: SnapshotId, files: &Files) -> Result<(), String> {
    let handles = repository.snapshots().await.map_err(|cause| cause.to_string())?.whole;
    let handle = handles.iter().find(|handle| handle.snapshot.id == snapshot).ok_or("it is not listed")?;
    let destination = MemoryDestination::new();
    let options = RestoreOptions::default();
    let report = restore::run(repository, handle, Arc::new(destination.clone()), &options, &RunContext::default())
        .await
        .map_err(|cause| cause.to_string())?;
    let restored: Files =
        destination.restored().into_iter().map(|(key, restored)| (key.to_string(), restored.bytes)).collect();
    match restored == *files && report.damaged + report.failed == 0 {
        true => Ok(()),
        false => Err(format!("{} of {} files came back, {} damaged", restored.len(), files.len(), report.damaged)),
    }
}

/// Everything that `check` finds wrong, every byte read.
pub(crate) async fn damages(repository: &Repository) -> Vec<String> {
    let report = check::run(repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
    report.findings.into_iter().map(|finding| finding.damage.to_string()).collect()
}

/// Names of a store's objects that begin with a prefix.
pub(crate) fn keys(store: &MemoryStore, prefix: &str) -> Vec<StoreKey> {
    store.keys().into_iter().filter(|key| key.as_str().starts_with(prefix)).collect()
}
