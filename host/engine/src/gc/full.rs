//! A store that is full: what makes room is done all the same, and nothing that is needed goes.

use std::sync::Arc;

use credenza_connect::ErrorClass;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_model::SnapshotId;

use super::*;
use crate::backup::{self, BackupOptions};
use crate::repair::{self, RepairOptions};
use crate::repository::SnapshotHandle;
use crate::shards::{MergeOptions, Shard, drop_parts, group_of};
use crate::testing::{contents, expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{RunContext, remove};

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
async fn parts_that_are_given_up_without_a_record_are_told() {
    let (store, _) = filled().await;
    let calm = open(Arc::new(store.clone()), secret()).await;
    let source = MemorySource::new();
    source.put("part", noise(98, 2000));
    let shard = Some(Shard { group: group_of("night"), number: 0, of: 2 });
    let options = BackupOptions { shard, ..BackupOptions::default() };
    backup::run(&calm, Arc::new(source), &options, &RunContext::default()).await.unwrap();
    let full = full(&store, &[1, 2]).await;
    let named = MergeOptions { group: Some("night".to_owned()), ..MergeOptions::default() };
    let dropped = drop_parts(&full, &named, &RunContext::default()).await.unwrap();
    assert!(dropped.removed == 1 && dropped.unrecorded.is_some(), "{dropped:?}");
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
    let report = run(&full(&store, &[1]).await, &GcOptions::default(), &RunContext::default()).await.unwrap();
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
        let report = run(&full(&store, &[put]).await, &GcOptions::default(), &RunContext::default()).await;
        match report {
            Ok(report) => assert!(report.full && report.repacked == 0, "{put}: {report:?}"),
            Err(cause) => assert!(cause.is_full(), "{put}: {cause}"),
        }
        assert_eq!(contents(&open, kept).await, before, "{put}");
        let again = run(&open, &GcOptions::default(), &RunContext::default()).await.unwrap();
        assert!(!again.full);
        assert_eq!(contents(&open, kept).await, before, "{put}");
        expect_whole(&open).await;
    }
}

/// Three snapshots of one writer.
async fn three() -> (MemoryStore, [SnapshotId; 3]) {
    let (store, [first, second]) = filled().await;
    let source = MemorySource::new();
    source.put("last", noise(99, 2000));
    let repository = open(Arc::new(store.clone()), secret()).await;
    let third = snapshot(&repository, &source).await;
    (store, [first, second, third])
}

async fn handles(repository: &Repository, ids: &[SnapshotId]) -> Vec<SnapshotHandle> {
    let mut handles = Vec::new();
    for id in ids {
        handles.push(handle(repository, *id).await);
    }
    handles
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_goes_from_a_full_store_without_a_record_than_makes_room_for_it() {
    for short in 1..=2 {
        let (store, [first, second, kept]) = three().await;
        // The document, its copy once there is room for one of both, then both: as many tries as snapshots.
        let puts: Vec<u64> = (1..=short).collect();
        let full = full(&store, &puts).await;
        let doomed = handles(&full, &[first, second]).await;
        let report = remove::run(&full, &doomed, None).await.unwrap();
        assert_eq!((report.removed, report.unrecorded), (vec![first, second], None), "{short}");
        assert_eq!((keys(&store, "removed/"), keys(&store, "copy/removed/"), keys(&store, "snapshot/")), (1, 1, 1));
        let calm = open(Arc::new(store.clone()), secret()).await;
        run(&calm, &GcOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!(contents(&calm, kept).await.len(), 1);
        expect_whole(&calm).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_record_takes_up_no_room_in_a_full_store() {
    let (store, [first, second, _]) = three().await;
    // Its document fits, its copy does not.
    let full = full(&store, &[2]).await;
    let doomed = handles(&full, &[first, second]).await;
    let report = remove::run(&full, &doomed, None).await.unwrap();
    assert_eq!((report.removed.len(), report.unrecorded), (2, None));
    assert_eq!((keys(&store, "removed/"), keys(&store, "copy/removed/")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_from_a_full_store_that_is_cut_off_leaves_what_a_repair_and_a_second_removal_complete() {
    let (store, [first, second, kept]) = three().await;
    let cut = Fault::new(Arc::new(store.clone()), 1);
    let cut = cut.at(call::PUT, 1, FaultKind::Fail(ErrorClass::Exhausted));
    let cut = open(Arc::new(cut.at(call::PUT, 2, FaultKind::Fail(ErrorClass::Denied))), secret()).await;
    let report = remove::run(&cut, &handles(&cut, &[first, second]).await, None).await.unwrap();
    assert_eq!(report.removed, [first], "the rest waits for its record");
    assert!(report.unrecorded.is_some());
    let calm = open(Arc::new(store.clone()), secret()).await;
    let refused = run(&calm, &GcOptions::default(), &RunContext::default()).await;
    assert!(matches!(refused, Err(crate::Error::MissingSnapshots(_))), "{refused:?}");
    let options = RepairOptions { apply: true, drop_snapshots: true, ..RepairOptions::default() };
    repair::run(&calm, &options, &RunContext::default()).await.unwrap();
    remove::run(&calm, &handles(&calm, &[second]).await, None).await.unwrap();
    run(&calm, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!(contents(&calm, kept).await.len(), 1);
    expect_whole(&calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_too_full_to_be_asked_for_its_time_is_pruned_by_the_time_that_it_has_reached() {
    let (store, [first, second, third]) = three().await;
    let full = full(&store, &[1]).await;
    let snapshots = full.snapshots_by_store_time().await.unwrap();
    let ids: Vec<SnapshotId> = snapshots.whole.iter().map(|handle| handle.snapshot.id).collect();
    assert_eq!(ids, [first, second, third]);
    assert!(snapshots.ahead.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_store_holds_grows_older_by_the_clock_of_this_machine() {
    let (store, _) = three().await;
    let full = full(&store, &[1, 2]).await;
    let before = full.clock().now().wall;
    let [aged, reached] = [full.snapshots_by_age().await.unwrap().now, full.time().await.unwrap().unwrap()];
    assert!(aged >= before, "{aged} is the time that the store has reached, {reached}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_from_the_future_does_not_make_a_full_store_take_what_is_young_for_expired() {
    let (store, _) = filled().await;
    let calm = open(Arc::new(store.clone()), secret()).await;
    let here = calm.clock().now().wall;
    store.set_clock(Timestamp { seconds: here.seconds + 4000 * 86_400, nanoseconds: 0 });
    snapshot(&calm, &MemorySource::new()).await;
    let reached = full(&store, &[1]).await.time().await.unwrap().unwrap();
    assert!(reached.seconds <= here.seconds + 3600, "{reached} is not reached at {here}");
}
