//! Repair: what is mended from what is left, what is named as lost, and that nothing else changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "what fails here is a failed test")]

mod common;
#[path = "common/hooked.rs"]
mod hooked;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use common::*;
use credenza_connect::memory::{MemoryDestination, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Permute, call};
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_engine::flags::{Flags, put_flag};
use credenza_engine::repair::{self, Mend, RepairOptions, RepairReport, SnapshotLoss};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{Repository, RunContext, Secret, SnapshotName};
use credenza_format::{IndexSegment, Keyring, ObjectKind, Verdict, seal_document};
use credenza_model::{ObjectId, SnapshotId, StoreKey};
use hooked::Hooked;

/// Orders of answers that are tried.
const PERMUTATIONS: u64 = 24;

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

/// All objects but the record of what was read.
fn all_bytes(store: &MemoryStore) -> Vec<(StoreKey, Bytes)> {
    let keys = store.keys().into_iter().filter(|key| !key.as_str().starts_with("note/"));
    keys.map(|key| (key.clone(), store.bytes(&key).unwrap())).collect()
}

const APPLY: fn() -> RepairOptions = || RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };

async fn run(repository: &Repository, options: RepairOptions) -> RepairReport {
    repair::run(repository, &options, &RunContext::default()).await.unwrap()
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
    for key in &store.keys() {
        for how in [Harm::Remove, Harm::Flip, Harm::Cut] {
            let case = format!("{how:?} of {key}");
            let harmed = copy_of(&store).await;
            harm(&harmed, key, how);
            let before = all_bytes(&harmed);
            let repository = open(Arc::new(harmed.clone()), &key_file()).await;
            let whole_before =
                if key.as_str().starts_with("index/") { BTreeSet::new() } else { whole(&repository, &kept).await };
            let plan = run(&repository, RepairOptions { apply: false, ..APPLY() }).await;
            assert_eq!(all_bytes(&harmed), before, "{case}: a plan changes nothing but what is on record");
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
                    // One that is gone leaves a gap in its writer's chain, unless it was the newest.
                    assert!(done.mends.is_empty() && (how == Harm::Remove || !done.lost.is_empty()), "{case}")
                }
                "config" | "key" | "removed" | "copy" => {
                    assert!(done.lost.is_empty() && done.mends == [Mend::Restored { object: key.clone() }], "{case}")
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

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_calls_are_answered_the_same_is_mended_and_named() {
    let (store, kept) = three_snapshots().await;
    for seed in 0..PERMUTATIONS {
        let (calm, permuted) = (copy_of(&store).await, copy_of(&store).await);
        let how = [Harm::Remove, Harm::Flip, Harm::Cut][seed as usize / 3 % 3];
        for store in [&calm, &permuted] {
            for (folder, how) in [("data/", how), ("meta/", how), ("index/", Harm::Remove), ("usage/", Harm::Cut)] {
                harm(store, &keys(store, folder)[seed as usize % keys(store, folder).len()], how);
            }
        }
        let calm = open(Arc::new(calm), &key_file()).await;
        let permuted = open(Arc::new(Permute::new(Arc::new(permuted), seed)), &key_file()).await;
        let (expected, done) = (run(&calm, APPLY()).await, run(&permuted, APPLY()).await);
        assert_eq!((&done.mends, &done.losses), (&expected.mends, &expected.losses), "seed {seed}");
        assert!(!done.lost.is_empty(), "seed {seed}");
        assert_eq!(damages(&permuted).await, damages(&calm).await, "seed {seed}");
        assert_eq!(whole(&permuted, &kept).await, whole(&calm, &kept).await, "seed {seed}");
        assert_eq!(run(&permuted, APPLY()).await.mends, [], "seed {seed}");
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
                assert_eq!(handle.time(), repository.find(&SnapshotName(old.to_string())).await.unwrap().time());
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

/// A repository with one snapshot in packs of several segments.
async fn one_large_snapshot() -> (MemoryStore, Repository, SnapshotId, Files) {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let files = files(0..300);
    let snapshot = backup(&repository, "a", &files).await.unwrap();
    (store, repository, snapshot, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_segment_costs_its_own_chunks_and_no_others() {
    for how in [Harm::Flip, Harm::Cut] {
        let (store, repository, snapshot, files) = one_large_snapshot().await;
        let pack = keys(&store, "data/").remove(0);
        harm(&store, &pack, how);
        let report = run(&repository, APPLY()).await;
        let [Mend::Replaced { copied, lost, .. }] = report.mends[..] else { panic!("{how:?}: {:?}", report.mends) };
        assert_eq!((copied + lost, lost), (300, report.losses[0].entries), "{how:?}");
        let lost_max = if how == Harm::Flip { 65_536 / 2000 + 2 } else { 300 / 2 + 65_536 / 2000 + 2 };
        assert!((1..=lost_max).contains(&lost), "{how:?}: {lost} chunks");
        // What is restored now no longer touches the damaged pack but for what is lost.
        let options = RepairOptions { replace_snapshots: true, ..APPLY() };
        run(&repository, options).await;
        rm(&repository, snapshot).await;
        collect(&repository).await.unwrap();
        assert!(store.bytes(&pack).is_none(), "{how:?}: nothing needs the damaged pack any more");
        let kept: Files = files.into_iter().filter(|(name, _)| !was_lost(&report, name)).collect();
        let latest = repository.find(&SnapshotName("latest".to_owned())).await.unwrap().snapshot.id;
        restores_what_is_left(&repository, latest, &kept, lost).await;
        assert_eq!(damages(&repository).await, [""; 0], "{how:?}");
    }
}

fn was_lost(report: &RepairReport, name: &str) -> bool {
    report.losses.iter().flat_map(|loss| &loss.problems).any(|problem| problem.key.as_str() == Some(name))
}

async fn restores_what_is_left(repository: &Repository, snapshot: SnapshotId, left: &Files, lost: u64) {
    let handle = repository.find(&SnapshotName(snapshot.to_string())).await.unwrap();
    let destination = MemoryDestination::new();
    let to = Arc::new(destination.clone());
    let report =
        restore::run(repository, &handle, to, &RestoreOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!((report.entries, report.damaged, report.unread), (left.len() as u64, 0, lost));
    let restored: Files =
        destination.restored().into_iter().map(|(key, restored)| (key.to_string(), restored.bytes)).collect();
    assert!(restored == *left);
}

/// Enough entries for a tree of many leaves; their contents are in it.
fn many_files() -> Files {
    (0..3000).map(|number| (format!("folder/file-{number:05}"), file(number).slice(..200))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_leaf_costs_its_own_entries_and_the_rest_of_the_tree_can_be_restored() {
    let store = MemoryStore::new();
    // Without secrets the borders of the leaves are the same in each run.
    let repository = create(&store, Secret::None).await;
    let files = many_files();
    let snapshot = backup(&repository, "a", &files).await.unwrap();
    let pack = keys(&store, "meta/").remove(0);
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    assert!(bytes.len() > 3 * 65_536, "{} bytes", bytes.len());
    bytes[65_536 + 5000] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    assert!(restores(&repository, snapshot, &files).await.is_err());
    let report = run(&repository, RepairOptions { replace_snapshots: true, ..APPLY() }).await;
    let lost = report.losses[0].entries;
    assert!((1..1500).contains(&lost), "{lost} entries");
    let replacement = report.mends.iter().find_map(|mend| match mend {
        Mend::Beside { replacement, .. } => *replacement,
        _ => None,
    });
    let handle = repository.find(&SnapshotName(replacement.unwrap().to_string())).await.unwrap();
    assert_eq!(handle.snapshot.statistics.entries, 3000 - lost);
    assert_eq!(handle.snapshot.problems, report.losses[0].problems);
    let destination = MemoryDestination::new();
    let to = Arc::new(destination.clone());
    let restored =
        restore::run(&repository, &handle, to, &RestoreOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!((restored.entries, restored.damaged), (3000 - lost, 0));
    assert!(destination.restored().into_iter().all(|(key, restored)| files[&key.to_string()] == restored.bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_for_a_suspect_snapshot_is_as_suspect() {
    let store = MemoryStore::new();
    let repository = create(&store, Secret::None).await;
    let snapshot = backup(&repository, "a", &many_files()).await.unwrap();
    let handle = repository.find(&SnapshotName(snapshot.to_string())).await.unwrap();
    put_flag(&repository, &handle, Verdict::Suspect, "all is gone").await.unwrap();
    let pack = keys(&store, "meta/").remove(0);
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    bytes[65_536 + 5000] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    run(&repository, RepairOptions { replace_snapshots: true, ..APPLY() }).await;
    let snapshots = repository.snapshots().await.unwrap();
    let flags = Flags::load(&repository).await.unwrap();
    let suspects: Vec<bool> =
        flags.suspects(&snapshots).map(|(handle, _)| handle.snapshot.replaces.is_some()).collect();
    assert_eq!((suspects.len(), suspects.iter().filter(|is_replacement| **is_replacement).count()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_condemned_packs_that_cannot_be_read_is_replaced_and_everybody_can_work_again() {
    for how in [Harm::Flip, Harm::Cut] {
        let (store, kept) = three_snapshots().await;
        let repository = open(Arc::new(store.clone()), &key_file()).await;
        let gone = backup(&repository, "b", &files(50..60)).await.unwrap();
        rm(&repository, gone).await;
        collect(&repository).await.unwrap();
        let record = keys(&store, "condemned/").remove(0);
        harm(&store, &record, how);
        // It may condemn anything, so that nothing is relied on and all is stored again.
        let stored = backup(&repository, "b", &files(0..3)).await.unwrap();
        let report = run(&repository, APPLY()).await;
        assert_eq!((&report.mends[..], report.lost.len()), (&[Mend::Dropped { object: record.clone() }][..], 0));
        assert!(store.bytes(&record).is_none(), "{how:?}");
        assert_eq!(damages(&repository).await, [""; 0]);
        let again = backup(&repository, "b", &files(50..60)).await.unwrap();
        restores(&repository, again, &files(50..60)).await.unwrap();
        restores(&repository, stored, &files(0..3)).await.unwrap();
        collect(&repository).await.unwrap();
        assert_eq!(whole(&repository, &kept).await.len(), 3);
    }
}

/// A collector put its record and is about to delete; the record rots, and a repair replaces it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_relies_on_what_a_record_that_rots_may_have_condemned() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let kept = backup(&repository, "a", &files(0..5)).await.unwrap();
    let gone = backup(&repository, "a", &files(10..15)).await.unwrap();
    rm(&repository, gone).await;
    let pending = AtomicBool::new(true);
    let rotting = Hooked::new(&store, move |name, key, store| {
        let is_pack = key.starts_with("data/") || key.starts_with("meta/");
        if name == call::DELETE && is_pack && pending.swap(false, Ordering::SeqCst) {
            harm(store, &keys(store, "condemned/")[0], Harm::Flip);
            let store = store.clone();
            let other = std::thread::spawn(move || {
                tokio::runtime::Runtime::new().unwrap().block_on(async {
                    let repository = open(Arc::new(store), &key_file()).await;
                    run(&repository, APPLY()).await;
                    backup(&repository, "b", &files(10..15)).await.unwrap();
                });
            });
            other.join().unwrap();
        }
    });
    let collector = open(Arc::new(rotting), &key_file()).await;
    assert!(collect(&collector).await.unwrap().deleted > 0);
    restores(&repository, kept, &files(0..5)).await.unwrap();
    let snapshots = repository.snapshots().await.unwrap().whole;
    let fresh = snapshots.iter().find(|handle| handle.snapshot.host == "b").unwrap().snapshot.id;
    restores(&repository, fresh, &files(10..15)).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_list_that_names_packs_which_were_moved_since_is_written_as_it_was() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let whole = backup(&repository, "a", &files(0..20)).await.unwrap();
    let part = backup(&repository, "b", &files(0..4)).await.unwrap();
    rm(&repository, whole).await;
    assert!(collect(&repository).await.unwrap().repacked > 0);
    let usage = keys(&store, "usage/").remove(0);
    store.tamper(&usage, None);
    let report = run(&repository, APPLY()).await;
    assert_eq!((&report.mends[..], report.lost.len()), (&[Mend::Rewritten { usage }][..], 0));
    restores(&repository, part, &files(0..4)).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
    collect(&repository).await.unwrap();
    restores(&repository, part, &files(0..4)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_program_wrote_is_left_alone() {
    let store = MemoryStore::new();
    let repository = create(&store, Secret::None).await;
    backup(&repository, "a", &files(0..3)).await.unwrap();
    let (id, keys) = (ObjectId::new([9; 16]), Keyring::public().keys(repository.config().repository));
    let mut body = IndexSegment::default().encode().unwrap();
    body[0] = 2;
    let sealed = seal_document(&keys, ObjectKind::Index, id, &body).unwrap();
    let key = ObjectKind::Index.store_key(id);
    store.put(&key, Payload::new(sealed.into_pieces()), &PutOptions::default()).await.unwrap();
    let report = run(&repository, APPLY()).await;
    assert_eq!((report.mends.len(), report.lost.len()), (0, 1), "{report:?}");
    assert!(store.bytes(&key).is_some());
}

/// Two writers that did not know of each other have stored the same chunks: a list cannot be reported from the tree.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_usage_list_cannot_be_told_gets_a_replacement() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let all = files(0..5);
    let first = backup(&repository, "a", &all).await.unwrap();
    let hidden: Vec<StoreKey> = [keys(&store, "index/"), keys(&store, "snapshot/")].concat();
    let hidden: Vec<(Bytes, StoreKey)> = hidden.into_iter().map(|key| (store.bytes(&key).unwrap(), key)).collect();
    hidden.iter().for_each(|(_, key)| store.tamper(key, None));
    let second = backup(&repository, "b", &all).await.unwrap();
    for (bytes, key) in hidden {
        store.put(&key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
    }
    keys(&store, "usage/").iter().for_each(|key| store.tamper(key, None));
    let report = run(&repository, RepairOptions { replace_snapshots: true, ..APPLY() }).await;
    let beside: Vec<SnapshotId> = report
        .mends
        .iter()
        .filter_map(|mend| match mend {
            Mend::Beside { snapshot, .. } => Some(*snapshot),
            _ => None,
        })
        .collect();
    assert!(!beside.is_empty() && report.losses.is_empty(), "{report:?}");
    for snapshot in &beside {
        rm(&repository, *snapshot).await;
    }
    assert_eq!(damages(&repository).await, [""; 0]);
    collect(&repository).await.unwrap();
    for snapshot in repository.snapshots().await.unwrap().whole {
        restores(&repository, snapshot.snapshot.id, &all).await.unwrap();
    }
    let _ = (first, second);
}

/// A backup between its upload and its commit while the segment that describes its packs is lost and repaired.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_backup_has_uploaded_is_described_again_and_no_collector_takes_it() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    backup(&repository, "a", &files(0..5)).await.unwrap();
    let described = keys(&store, "index/");
    let pending = AtomicBool::new(true);
    let beside = Hooked::new(&store, move |name, key, store| {
        if name == call::PUT && key.starts_with("usage/") && pending.swap(false, Ordering::SeqCst) {
            let fresh: Vec<StoreKey> =
                keys(store, "index/").into_iter().filter(|key| !described.contains(key)).collect();
            assert_eq!(fresh.len(), 1);
            harm(store, &fresh[0], Harm::Flip);
            let store = store.clone();
            let other = std::thread::spawn(move || {
                tokio::runtime::Runtime::new().unwrap().block_on(async {
                    let repository = open(Arc::new(store), &key_file()).await;
                    let report = run(&repository, APPLY()).await;
                    assert_eq!((report.mends.len(), report.lost.len()), (3, 0), "{report:?}");
                    collect(&repository).await.unwrap();
                });
            });
            other.join().unwrap();
        }
    });
    let writer = open(Arc::new(beside), &key_file()).await;
    let snapshot = backup(&writer, "b", &files(10..15)).await.unwrap();
    restores(&repository, snapshot, &files(10..15)).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
}

/// A store that dies at any of the puts and deletes of a repair: whatever was done, a second repair completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_dies_anywhere_has_made_nothing_worse_and_the_next_completes_it() {
    for number in 1..8 {
        for call in [call::PUT, call::DELETE] {
            let (store, repository, snapshot, files) = one_large_snapshot().await;
            harm(&store, &keys(&store, "data/").remove(0), Harm::Flip);
            harm(&store, &keys(&store, "index/").remove(0), Harm::Cut);
            harm(&store, &keys(&store, "usage/").remove(0), Harm::Remove);
            let dying = Fault::new(Arc::new(store.clone()), 1).at(call, number, FaultKind::Fail(ErrorClass::Denied));
            let dying = open(Arc::new(dying), &key_file()).await;
            let _ = repair::run(&dying, &APPLY(), &RunContext::default()).await;
            let report = run(&repository, APPLY()).await;
            let lost = report.losses[0].entries;
            assert!(lost <= 65_536 / 2000 + 2, "{call} {number}: {lost} entries");
            collect(&repository).await.unwrap();
            backup(&repository, "a", &files).await.unwrap();
            restores(&repository, snapshot, &files).await.unwrap();
            assert_eq!(damages(&repository).await, [""; 0], "{call} {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_nobody_can_read_goes_only_with_leave_and_lets_the_others_be_collected() {
    let (store, kept) = three_snapshots().await;
    let repository = open(Arc::new(store.clone()), &key_file()).await;
    let ruined = ObjectKind::Snapshot.store_key(ObjectId::new(*kept[2].0.as_bytes()));
    harm(&store, &ruined, Harm::Flip);
    assert_eq!(run(&repository, APPLY()).await.mends, []);
    assert!(collect(&repository).await.is_err() && store.bytes(&ruined).is_some());
    let report = run(&repository, RepairOptions { drop_snapshots: true, ..APPLY() }).await;
    assert_eq!((&report.mends[..], report.lost.len()), (&[Mend::Dropped { object: ruined.clone() }][..], 0));
    assert!(store.bytes(&ruined).is_none());
    assert_eq!(damages(&repository).await, [""; 0]);
    collect(&repository).await.unwrap();
    assert_eq!(whole(&repository, &kept).await.len(), 2);
}
