//! A repository in which others commit all the time: a collection ends all the same, and nothing that is needed goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::{Body, ByteRange, Check, Page, Payload, PutOptions, Store, StoreInfo, Stored, StoredObject};
use credenza_model::{StoreKey, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::*;
use crate::backup::{self, BackupOptions};
use crate::testing::{expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{RunContext, remove};

/// Machines that back up.
const WRITERS: u64 = 3;

/// A store in which a snapshot is committed during each listing of segments and of snapshots: before its first page or behind it, by a seed.
struct Busy {
    store: MemoryStore,
    writers: Mutex<Repository>,
    seed: u64,
    commits: AtomicU64,
}

impl Busy {
    async fn commit(&self) {
        let writers = self.writers.lock().await;
        let number = self.commits.fetch_add(1, Relaxed);
        let source = MemorySource::new();
        source.put("file", noise(self.seed * 100_000 + number + 1, 1500));
        let options = BackupOptions { host: format!("host {}", self.roll() % WRITERS), ..BackupOptions::default() };
        let committed =
            || Handle::current().block_on(backup::run(&writers, Arc::new(source), &options, &RunContext::default()));
        tokio::task::block_in_place(committed).unwrap();
    }

    /// A number that follows from the seed and from how many commits there were.
    fn roll(&self) -> u64 {
        let bytes = noise(self.seed * 7919 + self.commits.load(Relaxed) * 2 + 1, 8);
        u64::from_le_bytes(bytes.try_into().unwrap()) >> 32
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Busy {
    async fn info(&self) -> credenza_connect::Result<StoreInfo> {
        self.store.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.store.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> credenza_connect::Result<Stored> {
        self.store.put(key, data, options).await
    }

    async fn get(
        &self,
        key: &StoreKey,
        range: Option<ByteRange>,
        version: Option<&str>,
    ) -> credenza_connect::Result<Body> {
        self.store.get(key, range, version).await
    }

    async fn stat(&self, key: &StoreKey) -> credenza_connect::Result<StoredObject> {
        self.store.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> credenza_connect::Result<Page> {
        let is_first = cursor.is_none() && (prefix.starts_with("index/") || prefix.starts_with("snapshot/"));
        let is_before = self.roll().is_multiple_of(2);
        if is_first && is_before {
            self.commit().await;
        }
        let page = self.store.list(prefix, cursor, max.min(8)).await;
        if is_first && !is_before {
            self.commit().await;
        }
        page
    }

    async fn delete(&self, keys: &[StoreKey]) -> credenza_connect::Result<Vec<credenza_connect::Result<()>>> {
        self.store.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> credenza_connect::Result<()> {
        self.store.retain(key, version, until).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_commit_during_every_listing_keep_no_collection_from_its_end() {
    for seed in 0..2 {
        let store = MemoryStore::new();
        let calm = repository(Arc::new(store.clone()), secret(), None).await;
        let source = MemorySource::new();
        source.put("gone", noise(seed + 1, 20_000));
        let gone = snapshot(&calm, &source).await;
        remove::run(&calm, &[handle(&calm, gone).await], None).await.unwrap();
        let writers = Mutex::new(open(Arc::new(store.clone()), secret()).await);
        let busy = Arc::new(Busy { store: store.clone(), writers, seed, commits: AtomicU64::new(0) });
        let repository = open(busy.clone(), secret()).await;
        let report = run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
        assert!(report.bytes_freed > 20_000, "seed {seed}: {report:?}");
        expect_whole(&calm).await;
        let commits = busy.commits.load(Relaxed);
        assert_eq!(calm.all_snapshots().await.unwrap().whole.len() as u64, commits, "seed {seed}");
    }
}
