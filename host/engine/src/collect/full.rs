//! A store that is full: what makes room is done all the same, and nothing that is needed goes.

use std::sync::Arc;

use credenza_connect::ErrorClass;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_model::SnapshotId;

use super::*;
use crate::testing::{contents, expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{Silent, remove};

/// A repository with a snapshot of twenty files and one of four of them.
async fn filled() -> (MemoryStore, [SnapshotId; 2]) {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    (0..20_u64).for_each(|number| source.put(format!("{number:02}").as_str(), noise(number, 2000)));
    let all = snapshot(&repository, &source).await;
    (4..20).for_each(|number| source.remove(&format!("{number:02}").as_str().into()));
    (store, [all, snapshot(&repository, &source).await])
}

/// The same store, where the puts of these numbers find no room.
async fn full(store: &MemoryStore, puts: &[u64]) -> Repository {
    let full = Fault::new(Arc::new(store.clone()), 1);
    let full = puts.iter().fold(full, |full, put| full.at(call::PUT, *put, FaultKind::Fail(ErrorClass::Exhausted)));
    open(Arc::new(full), secret()).await
}

fn keys(store: &MemoryStore, prefix: &str) -> usize {
    store.keys().iter().filter(|key| key.as_str().starts_with(prefix)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_from_a_full_store_and_is_put_on_record_in_the_room_that_it_left() {
    let (store, [gone, kept]) = filled().await;
    let full = full(&store, &[1]).await;
    let report = remove::run(&full, &[handle(&full, gone).await], None).await.unwrap();
    assert_eq!((report.removed, report.unrecorded), (vec![gone], None));
    assert_eq!((keys(&store, "snapshot/"), keys(&store, "usage/"), keys(&store, "removed/")), (1, 1, 1));
    assert_eq!(contents(&full, kept).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_could_not_be_put_on_record_at_all_is_told() {
    let (store, [gone, _]) = filled().await;
    let full = full(&store, &[1, 2]).await;
    let report = remove::run(&full, &[handle(&full, gone).await], None).await.unwrap();
    assert_eq!(report.removed, [gone]);
    assert!(report.unrecorded.is_some() && keys(&store, "removed/") == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_for_another_reason_keeps_the_snapshot() {
    let (store, [all, _]) = filled().await;
    let broken = Fault::new(Arc::new(store.clone()), 1).at(call::PUT, 1, FaultKind::Fail(ErrorClass::Denied));
    let broken = open(Arc::new(broken), secret()).await;
    assert!(remove::run(&broken, &[handle(&broken, all).await], None).await.is_err());
    assert_eq!(keys(&store, "snapshot/"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_too_full_to_be_asked_for_its_time_is_collected() {
    let (store, [all, few]) = filled().await;
    let open = open(Arc::new(store.clone()), secret()).await;
    for id in [all, few] {
        remove::run(&open, &[handle(&open, id).await], None).await.unwrap();
    }
    let report = run(&full(&store, &[1]).await, &CollectOptions::default(), &Silent).await.unwrap();
    assert!(report.bytes_freed > 40_000 && !report.full, "{report:?}");
    assert_eq!((keys(&store, "data/"), keys(&store, "meta/")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_room_for_copies_loses_nothing_and_says_so() {
    // The first put asks for the time; each of the next is one of the copy: packs, announcement, description.
    for put in 2..=5 {
        let (store, [gone, kept]) = filled().await;
        let open = open(Arc::new(store.clone()), secret()).await;
        let before = contents(&open, kept).await;
        remove::run(&open, &[handle(&open, gone).await], None).await.unwrap();
        let report = run(&full(&store, &[put]).await, &CollectOptions::default(), &Silent).await;
        match report {
            Ok(report) => assert!(report.full && report.repacked == 0, "{put}: {report:?}"),
            Err(cause) => assert!(cause.is_full(), "{put}: {cause}"),
        }
        assert_eq!(contents(&open, kept).await, before, "{put}");
        let again = run(&open, &CollectOptions::default(), &Silent).await.unwrap();
        assert!(!again.full);
        assert_eq!(contents(&open, kept).await, before, "{put}");
        expect_whole(&open).await;
    }
}
