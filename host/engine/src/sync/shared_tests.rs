//! Snapshots that several processes carry together.

use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Store};
use credenza_model::StoreKey;
use futures_util::future::join_all;

use super::tests::expect_whole_but_for_leftovers;
use super::*;
use crate::testing::{contents, expect_whole, noise, open, repository, secret, snapshot};
use crate::{Repository, RunContext};

/// Snapshots with a dozen packs between them.
async fn origin(store: MemoryStore) -> (Repository, Vec<SnapshotId>) {
    let origin = repository(Arc::new(store), secret(), None).await;
    let source = MemorySource::new();
    let mut ids = Vec::new();
    for night in 0..6_u64 {
        (0..20).for_each(|number| source.put(format!("{night}/{number}").as_str(), noise(night * 100 + number, 9000)));
        ids.push(snapshot(&origin, &source).await);
    }
    (origin, ids)
}

async fn target(store: Arc<dyn Store>, origin: &Repository) -> Repository {
    repository(store, secret(), Some(origin)).await
}

async fn share(origin: &Repository, target: &Repository, number: u32, of: u32) -> Result<SyncReport> {
    let host = format!("machine {number}");
    let options = SyncOptions { share: Some(Share { number, of }), host, ..SyncOptions::default() };
    run(origin, target, &options, &RunContext::default()).await
}

async fn expect_carried(origin: &Repository, target: &Repository, ids: &[SnapshotId]) {
    expect_copied(origin, target, ids).await;
    expect_whole(target).await;
}

async fn expect_copied(origin: &Repository, target: &Repository, ids: &[SnapshotId]) {
    let here = target.snapshots().await.unwrap();
    assert_eq!((here.whole.len(), here.damaged.len()), (ids.len(), 0));
    for id in ids {
        assert!(contents(origin, *id).await == contents(target, *id).await, "{id} differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_share_commits_what_all_have_carried_in_whatever_order() {
    let (origin, ids) = origin(MemoryStore::new()).await;
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let target = target(Arc::new(MemoryStore::new()), &origin).await;
        let mut chunks = 0;
        for (place, number) in order.into_iter().enumerate() {
            let report = share(&origin, &target, number, 3).await.unwrap();
            // A snapshot whose packs are all of shares that have been is there already.
            let there = report.copied.len() as u64 + report.skipped;
            assert_eq!(there + report.waiting, ids.len() as u64, "{report:?}");
            assert_eq!(target.snapshots().await.unwrap().whole.len() as u64, there);
            assert!(place < 2 || report.waiting == 0, "{report:?}");
            chunks += report.chunks;
        }
        expect_carried(&origin, &target, &ids).await;
        let alone = target_of_one(&origin).await;
        assert_eq!(chunks, alone, "each chunk is carried once");
    }
}

/// Chunks that one process carries.
async fn target_of_one(origin: &Repository) -> u64 {
    let target = target(Arc::new(MemoryStore::new()), origin).await;
    run(origin, &target, &SyncOptions::default(), &RunContext::default()).await.unwrap().chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_at_once_carry_all_and_again_nothing() {
    let (origin, ids) = origin(MemoryStore::new()).await;
    let target = target(Arc::new(MemoryStore::new()), &origin).await;
    let reports = join_all((0..4).map(|number| share(&origin, &target, number, 4))).await;
    reports.into_iter().for_each(|report| assert_eq!(report.unwrap().failed, 0));
    expect_carried(&origin, &target, &ids).await;
    let again = share(&origin, &target, 1, 4).await.unwrap();
    assert_eq!((again.copied.len(), again.skipped, again.waiting, again.bytes), (0, ids.len() as u64, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_dies_leaves_a_valid_target_and_is_run_again_alone() {
    let (origin, ids) = origin(MemoryStore::new()).await;
    let store = MemoryStore::new();
    let whole = target(Arc::new(store.clone()), &origin).await;
    for ordinal in 1..40 {
        let broken = Fault::new(Arc::new(store.clone()), 1).at(call::PUT, ordinal, FaultKind::Fail(ErrorClass::Denied));
        let dying = open(Arc::new(broken), secret()).await;
        let died = share(&origin, &dying, 0, 2).await;
        let here = whole.snapshots().await.unwrap();
        // The other has carried nothing: only a snapshot whose packs are all its own may be there, and is whole.
        assert!(here.damaged.is_empty());
        for handle in &here.whole {
            let id = handle.snapshot.id;
            assert!(contents(&origin, id).await == contents(&whole, id).await, "{id} differs");
        }
        if died.is_ok() {
            assert!(ordinal > 2, "it was to die at some put");
            break;
        }
    }
    share(&origin, &whole, 1, 2).await.unwrap();
    expect_copied(&origin, &whole, &ids).await;
    expect_whole_but_for_leftovers(&whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_keeps_the_others_snapshots_from_nothing() {
    let store = MemoryStore::new();
    let (origin, ids) = origin(store.clone()).await;
    let (before, other) = (store.keys(), MemorySource::new());
    other.put("alone", noise(77, 40_000));
    snapshot(&origin, &other).await;
    let is_new = |key: &&StoreKey| key.as_str().starts_with("data/") && !before.contains(key);
    let pack = store.keys().iter().find(is_new).cloned().unwrap();
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    bytes[20_000] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    let target = target(Arc::new(MemoryStore::new()), &origin).await;
    let reports = [share(&origin, &target, 0, 2).await.unwrap(), share(&origin, &target, 1, 2).await.unwrap()];
    let sum = |of: fn(&SyncReport) -> u64| reports.iter().map(of).sum::<u64>();
    assert_eq!(sum(|report| report.failed), 1, "{reports:?}");
    assert_eq!(sum(|report| report.findings.len() as u64), 1, "{reports:?}");
    assert_eq!(sum(|report| report.copied.len() as u64), ids.len() as u64, "{reports:?}");
    expect_carried(&origin, &target, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_of_other_keys_are_not_shared() {
    let (origin, _) = origin(MemoryStore::new()).await;
    let other = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    assert!(matches!(share(&origin, &other, 0, 2).await, Err(Error::KeysDiffer)));
}
