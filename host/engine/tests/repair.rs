//! Repair: what is mended from what is left, what is named as lost, and that nothing else changes.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use common::*;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::repair::{self, Mend, RepairOptions, RepairReport, SnapshotLoss};
use credenza_engine::{Repository, Silent, SnapshotName};
use credenza_model::{SnapshotId, StoreKey};

/// Snapshots of a repository with the files that each holds.
type Kept = Vec<(SnapshotId, Files)>;

/// Three snapshots that share most of their files.
async fn three_snapshots() -> (MemoryStore, Kept) {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let mut kept = Kept::new();
    for files in [files(0..20), files(0..30), files(10..40)] {
        kept.push((backup(&repository, "a", &files).await.unwrap(), files));
    }
    (store, kept)
}

async fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    copy.set_clock(at(BEGIN));
    for key in store.keys() {
        let bytes = store.bytes(&key).unwrap();
        copy.put(&key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
    }
    copy
}

fn all_bytes(store: &MemoryStore) -> Vec<(StoreKey, Bytes)> {
    store.keys().into_iter().map(|key| (key.clone(), store.bytes(&key).unwrap())).collect()
}

const APPLY: fn() -> RepairOptions = || RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };

async fn run(repository: &Repository, options: RepairOptions) -> RepairReport {
    repair::run(repository, &options, &Silent).await.unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Remove,
    Flip,
    Cut,
}

fn harm(store: &MemoryStore, key: &StoreKey, harm: Harm) {
    let mut bytes = store.bytes(key).unwrap().to_vec();
    let middle = bytes.len() / 2;
    match harm {
        Harm::Remove => return store.tamper(key, None),
        Harm::Flip => bytes[middle] ^= 1,
        Harm::Cut => bytes.truncate(middle),
    }
    store.tamper(key, Some(bytes.into()));
}

/// Snapshots that restore to what they were made of.
async fn whole(repository: &Repository, kept: &Kept) -> BTreeSet<SnapshotId> {
    let mut whole = BTreeSet::new();
    for (snapshot, files) in kept {
        if restores(repository, *snapshot, files).await.is_ok() {
            whole.insert(*snapshot);
        }
    }
    whole
}

/// Snapshots with the keys that each lost.
fn keys_of(losses: &[SnapshotLoss]) -> Vec<(SnapshotId, u64, Vec<String>)> {
    let keys = |loss: &SnapshotLoss| loss.problems.iter().map(|problem| problem.key.to_string()).collect();
    losses.iter().map(|loss| (loss.snapshot, loss.entries, keys(loss))).collect()
}

/// Every object of a repository, harmed in every way: the plan is what is done, what is done is all that can be, and what is lost is named.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_harmed_is_mended_or_named_and_mended_once() {
    let (store, kept) = three_snapshots().await;
    for key in
        store.keys().iter().filter(|key| !key.as_str().starts_with("config") && !key.as_str().starts_with("key/"))
    {
        for how in [Harm::Remove, Harm::Flip, Harm::Cut] {
            let case = format!("{how:?} of {key}");
            let harmed = copy_of(&store).await;
            harm(&harmed, key, how);
            let before = all_bytes(&harmed);
            let repository = open(Arc::new(harmed.clone()), &key_file()).await;
            let whole_before =
                if key.as_str().starts_with("index/") { BTreeSet::new() } else { whole(&repository, &kept).await };
            let plan = run(&repository, RepairOptions { apply: false, ..APPLY() }).await;
            assert_eq!(all_bytes(&harmed), before, "{case}: a plan changes nothing");
            let done = run(&repository, APPLY()).await;
            assert_eq!((&done.mends, &done.losses), (&plan.mends, &plan.losses), "{case}");
            let damages = damages(&repository).await;
            assert_eq!(damages.is_empty(), done.lost.is_empty(), "{case}: {damages:?} against {:?}", done.lost);
            let lossy: BTreeSet<SnapshotId> = done.losses.iter().map(|loss| loss.snapshot).collect();
            let whole_now = whole(&repository, &kept).await;
            assert!(whole_now.is_superset(&whole_before), "{case}");
            assert!(
                kept.iter().all(
                    |(id, _)| whole_now.contains(id) != lossy.contains(id) || key.as_str().starts_with("snapshot/")
                ),
                "{case}: {lossy:?}"
            );
            match key.as_str().split('/').next().unwrap() {
                "index" | "usage" => assert!(done.lost.is_empty() && !done.mends.is_empty(), "{case}: {done:?}"),
                "data" | "meta" => assert!(!done.mends.is_empty() && !lossy.is_empty(), "{case}: {done:?}"),
                "snapshot" => {
                    assert_eq!((done.mends.len(), done.lost.len()), (0, usize::from(how != Harm::Remove)), "{case}")
                }
                other => panic!("{other}"),
            }
            let again = run(&repository, APPLY()).await;
            assert_eq!(
                (again.mends.len(), keys_of(&again.losses)),
                (0, keys_of(&done.losses)),
                "{case}: {:?}",
                again.mends
            );
        }
    }
}

#[tokio::test]
async fn a_healthy_repository_has_an_empty_plan_also_beside_what_interrupted_runs_left_and_collectors_moved() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let whole = backup(&repository, "a", &files(0..20)).await.unwrap();
    backup(&repository, "b", &files(0..4)).await.unwrap();
    rm(&repository, whole).await;
    assert!(collect(&repository).await.unwrap().repacked > 0);
    // A run that died before it put its index segment.
    let described = keys(&store, "index/");
    let died = backup(&repository, "c", &files(50..60)).await.unwrap();
    rm(&repository, died).await;
    keys(&store, "index/").iter().filter(|key| !described.contains(key)).for_each(|key| store.tamper(key, None));
    let before = all_bytes(&store);
    let report = run(&repository, APPLY()).await;
    assert!(report.mends.is_empty() && report.losses.is_empty() && report.lost.is_empty(), "{report:?}");
    assert_eq!(all_bytes(&store), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_index_packs_tell_what_they_hold() {
    let (store, kept) = three_snapshots().await;
    keys(&store, "index/").iter().for_each(|key| store.tamper(key, None));
    let repository = open(Arc::new(store.clone()), &key_file()).await;
    let report = run(&repository, RepairOptions { apply: true, ..RepairOptions::default() }).await;
    assert_eq!(report.mends.len(), keys(&store, "data/").len() + keys(&store, "meta/").len());
    assert_eq!(whole(&repository, &kept).await.len(), 3);
    assert_eq!(damages(&repository).await, [""; 0]);
    assert_eq!(keys(&store, "intent/"), []);
    collect(&repository).await.unwrap();
    assert_eq!(whole(&repository, &kept).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_index_and_usage_lists_trees_and_packs_tell_everything() {
    let (store, kept) = three_snapshots().await;
    [keys(&store, "index/"), keys(&store, "usage/")].concat().iter().for_each(|key| store.tamper(key, None));
    let repository = open(Arc::new(store.clone()), &key_file()).await;
    run(&repository, APPLY()).await;
    assert_eq!(whole(&repository, &kept).await.len(), 3);
    assert_eq!(damages(&repository).await, [""; 0]);
    collect(&repository).await.unwrap();
    assert_eq!(whole(&repository, &kept).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_finds_what_was_lost_makes_every_snapshot_whole_again() {
    for (prefix, how) in [("data/", Harm::Flip), ("data/", Harm::Remove), ("data/", Harm::Cut), ("meta/", Harm::Remove)]
    {
        let (store, kept) = three_snapshots().await;
        let repository = open(Arc::new(store.clone()), &key_file()).await;
        for key in keys(&store, prefix) {
            harm(&store, &key, how);
        }
        run(&repository, APPLY()).await;
        assert!(whole(&repository, &kept).await.len() < 3);
        for (_, files) in &kept {
            backup(&repository, "a", files).await.unwrap();
        }
        assert_eq!(whole(&repository, &kept).await.len(), 3, "{prefix} {how:?}");
        assert_eq!(damages(&repository).await, [""; 0], "{prefix} {how:?}");
        collect(&repository).await.unwrap();
        assert_eq!(whole(&repository, &kept).await.len(), 3, "{prefix} {how:?}");
        assert_eq!(damages(&repository).await, [""; 0], "{prefix} {how:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_holds_what_is_left_and_frees_the_repository_of_its_damage() {
    for prefix in ["data/", "meta/"] {
        for how in [Harm::Flip, Harm::Remove] {
            let (store, kept) = three_snapshots().await;
            let repository = open(Arc::new(store.clone()), &key_file()).await;
            harm(&store, &keys(&store, prefix)[0], how);
            let options = || RepairOptions { replace_snapshots: true, ..APPLY() };
            let report = run(&repository, options()).await;
            let beside = report.mends.iter().filter_map(|mend| match mend {
                Mend::Beside { snapshot, replacement } => Some((*snapshot, replacement.unwrap())),
                _ => None,
            });
            let beside: Vec<(SnapshotId, SnapshotId)> = beside.collect();
            let lossy: Vec<SnapshotId> = report.losses.iter().map(|loss| loss.snapshot).collect();
            assert_eq!(beside.iter().map(|(old, _)| *old).collect::<Vec<_>>(), lossy, "{prefix} {how:?}");
            assert!(!lossy.is_empty());
            let again = run(&repository, options()).await;
            assert_eq!(again.mends, [], "{prefix} {how:?}: what is replaced is not replaced again");
            for (old, new) in &beside {
                let loss = report.losses.iter().find(|loss| loss.snapshot == *old).unwrap();
                let handle = repository.find(&SnapshotName(new.to_string())).await.unwrap();
                assert_eq!(handle.snapshot.replaces, Some(*old));
                assert_eq!(handle.snapshot.statistics.errors, loss.entries);
                assert_eq!(handle.stored, repository.find(&SnapshotName(old.to_string())).await.unwrap().stored);
                rm(&repository, *old).await;
            }
            assert_eq!(damages(&repository).await, [""; 0], "{prefix} {how:?}");
            collect(&repository).await.unwrap();
            assert_eq!(damages(&repository).await, [""; 0], "{prefix} {how:?}");
            let still_whole = kept.iter().filter(|(id, _)| !lossy.contains(id)).count();
            assert_eq!(whole(&repository, &kept).await.len(), still_whole, "{prefix} {how:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_stays_the_newest_when_an_older_snapshot_is_replaced() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    backup(&repository, "a", &files(0..5)).await.unwrap();
    let pack = keys(&store, "data/").remove(0);
    store.set_clock(at(BEGIN + DAY));
    let newest = backup(&repository, "a", &files(10..15)).await.unwrap();
    store.set_clock(at(BEGIN + 2 * DAY));
    harm(&store, &pack, Harm::Remove);
    let report = run(&repository, RepairOptions { replace_snapshots: true, ..APPLY() }).await;
    assert!(report.mends.iter().any(|mend| matches!(mend, Mend::Beside { replacement: Some(_), .. })));
    let latest = repository.find(&SnapshotName("latest".to_owned())).await.unwrap();
    assert_eq!(latest.snapshot.id, newest);
}
