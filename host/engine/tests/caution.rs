//! What decides over deletion is never a listing alone: each that leaves something out is caught by another witness, and nothing is deleted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod common;
#[path = "common/hooked.rs"]
mod hooked;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::*;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::call;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::repair::{self, Mend, RepairOptions};
use credenza_engine::{Clock, Error, Moment, Repository, RunContext, SnapshotName};
use credenza_model::{SnapshotId, StoreKey};
use futures_util::FutureExt;
use hooked::Hooked;

/// The listings that leave an object out.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// Those of its whole folder.
    Whole,
    /// All in which it should be.
    All,
}

/// A store whose listings leave out these objects, and that has them all the same.
async fn hiding(store: &MemoryStore, cut: Cut, hidden: Vec<StoreKey>) -> Repository {
    let away: Mutex<Vec<(StoreKey, Bytes)>> = Mutex::default();
    let hooked = Hooked::new(store, move |name, prefix, store| {
        let mut away = away.lock().unwrap();
        for (key, bytes) in away.drain(..) {
            store.put(&key, Payload::from(bytes), &PutOptions::default()).now_or_never().unwrap().unwrap();
        }
        let is_cut = name == call::LIST && (cut == Cut::All || prefix.ends_with('/'));
        for key in hidden.iter().filter(|key| is_cut && key.as_str().starts_with(prefix)) {
            away.extend(store.bytes(key).map(|bytes| (key.clone(), bytes)));
            store.tamper(key, None);
        }
    });
    open(Arc::new(hooked), &key_file()).await
}

fn snapshot_key(id: SnapshotId) -> StoreKey {
    StoreKey::new(format!("snapshot/{id}")).unwrap()
}

fn usage_key(id: SnapshotId) -> StoreKey {
    StoreKey::new(format!("usage/{id}")).unwrap()
}

/// Three snapshots of one writer, each with files of its own.
async fn three() -> (MemoryStore, Repository, Vec<SnapshotId>) {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let mut snapshots = Vec::new();
    for number in 0..3 {
        snapshots.push(backup(&repository, "a", &files(number * 5..number * 5 + 5)).await.unwrap());
    }
    (store, repository, snapshots)
}

/// All that is in a store but for the marks by which it is asked for its time.
fn contents(store: &MemoryStore) -> Vec<StoreKey> {
    store.keys().into_iter().filter(|key| !key.as_str().starts_with("probe/")).collect()
}

#[tokio::test]
async fn two_listings_that_disagree_end_a_collection_and_nothing_is_deleted_or_condemned() {
    let (store, repository, snapshots) = three().await;
    rm(&repository, snapshots[1]).await;
    let before = contents(&store);
    let hidden = [snapshot_key(snapshots[0]), snapshot_key(snapshots[2]), keys(&store, "index/")[0].clone()];
    for key in hidden {
        let cut = hiding(&store, Cut::Whole, vec![key.clone()]).await;
        let refused = collect(&cut).await.unwrap_err();
        assert!(matches!(&refused, Error::ListingsDisagree { key: left_out, .. } if *left_out == key), "{refused}");
        assert_eq!(contents(&store), before);
    }
    assert!(collect(&repository).await.unwrap().deleted > 0);
}

#[tokio::test]
async fn the_newest_snapshot_of_a_writer_that_no_listing_shows_is_found_by_its_usage_list() {
    let (store, _, snapshots) = three().await;
    let (before, newest) = (contents(&store), snapshot_key(snapshots[2]));
    let cut = hiding(&store, Cut::All, vec![newest.clone()]).await;
    let refused = collect(&cut).await.unwrap_err();
    assert!(matches!(&refused, Error::ListingsDisagree { key, .. } if *key == newest), "{refused}");
    assert_eq!(contents(&store), before);
}

#[tokio::test]
async fn a_snapshot_that_no_listing_shows_is_missed_in_its_writers_chain() {
    let (store, _, snapshots) = three().await;
    let before = contents(&store);
    for number in [0, 1] {
        let hidden = vec![snapshot_key(snapshots[number]), usage_key(snapshots[number])];
        let refused = collect(&hiding(&store, Cut::All, hidden).await).await.unwrap_err();
        let next = snapshot_key(snapshots[number + 1]);
        assert!(matches!(&refused, Error::MissingSnapshots(gap) if gap.object == next.as_str()), "{refused}");
        assert_eq!(contents(&store), before);
    }
}

#[tokio::test]
async fn an_intent_that_a_listing_leaves_out_ends_a_collection() {
    let (store, _, _) = three().await;
    let seen: Arc<Mutex<Option<(StoreKey, Bytes)>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let watched = Hooked::new(&store, move |name, _, store| {
        if let Some(intent) = keys(store, "intent/").pop().filter(|_| name == call::PUT) {
            *keep.lock().unwrap() = store.bytes(&intent).map(|bytes| (intent, bytes));
        }
    });
    backup(&open(Arc::new(watched), &key_file()).await, "b", &files(20..25)).await.unwrap();
    let (intent, bytes) = seen.lock().unwrap().take().unwrap();
    store.put(&intent, Payload::from(bytes), &PutOptions::default()).await.unwrap();
    let before = contents(&store);
    let refused = collect(&hiding(&store, Cut::Whole, vec![intent]).await).await.unwrap_err();
    assert!(matches!(&refused, Error::ListingsDisagree { folder, .. } if folder == "intent/"), "{refused}");
    assert_eq!(contents(&store), before);
}

#[tokio::test]
async fn a_pack_that_the_index_describes_and_no_listing_shows_is_looked_for() {
    let (store, repository, snapshots) = three().await;
    rm(&repository, snapshots[1]).await;
    let before = contents(&store);
    for pack in [keys(&store, "data/"), keys(&store, "meta/")].concat() {
        let cut = hiding(&store, Cut::All, vec![pack.clone()]).await;
        let refused = collect(&cut).await.unwrap_err();
        assert!(matches!(&refused, Error::ListingsDisagree { key, .. } if *key == pack), "{refused}");
        let repair = RepairOptions { apply: true, ..RepairOptions::default() };
        let refused = repair::run(&cut, &repair, &RunContext::default()).await.unwrap_err();
        assert!(matches!(&refused, Error::ListingsDisagree { key, .. } if *key == pack), "{refused}");
        assert_eq!(contents(&store), before);
    }
}

#[tokio::test]
async fn what_is_removed_by_a_rule_or_as_the_latest_is_judged_by_all_snapshots() {
    let (store, repository, snapshots) = three().await;
    let cut = hiding(&store, Cut::Whole, vec![snapshot_key(snapshots[2])]).await;
    assert!(matches!(cut.all_snapshots().await, Err(Error::ListingsDisagree { .. })));
    let latest = SnapshotName("latest".to_owned());
    assert!(matches!(cut.find_for_removal(&latest).await, Err(Error::ListingsDisagree { .. })));
    let named = cut.find_for_removal(&SnapshotName(snapshots[0].to_string())).await.unwrap();
    assert_eq!(named.snapshot.id, snapshots[0]);
    assert_eq!(repository.find_for_removal(&latest).await.unwrap().snapshot.id, snapshots[2]);
}

#[tokio::test]
async fn a_snapshot_that_is_lost_ends_collections_until_somebody_gives_it_up() {
    for lost in [vec![0], vec![1], vec![0, 1]] {
        let (store, repository, snapshots) = three().await;
        lost.iter().for_each(|number: &usize| store.tamper(&snapshot_key(snapshots[*number]), None));
        assert!(matches!(collect(&repository).await, Err(Error::MissingSnapshots(_))), "{lost:?}");
        assert!(matches!(repository.all_snapshots().await, Err(Error::MissingSnapshots(_))), "{lost:?}");
        let repair = RepairOptions { apply: true, ..RepairOptions::default() };
        assert_eq!(repair::run(&repository, &repair, &RunContext::default()).await.unwrap().mends, [], "{lost:?}");
        let repair = RepairOptions { drop_snapshots: true, ..repair };
        let report = repair::run(&repository, &repair, &RunContext::default()).await.unwrap();
        let after = snapshot_key(snapshots[lost.last().unwrap() + 1]);
        assert_eq!((report.mends, report.lost.len()), (vec![Mend::Recorded { after }], 0), "{lost:?}");
        collect(&repository).await.unwrap();
        assert_eq!(damages(&repository).await, [""; 0], "{lost:?}");
        restores(&repository, snapshots[2], &files(10..15)).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_removed_on_record_is_no_gap() {
    for removed in [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 1, 2]] {
        let (_, repository, snapshots) = three().await;
        for number in &removed {
            rm(&repository, snapshots[*number]).await;
        }
        collect(&repository).await.unwrap();
        backup(&repository, "a", &files(30..35)).await.unwrap();
        collect(&repository).await.unwrap();
        assert_eq!(damages(&repository).await, [""; 0], "{removed:?}");
    }
}

/// A clock that somebody sets.
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment { monotonic: std::time::Duration::ZERO, wall: at(self.0.load(Ordering::SeqCst)) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_its_writer_took_back_leaves_no_gap_where_another_followed_it() {
    let (store, repository, _) = three().await;
    let clock = Arc::new(TestClock(AtomicI64::new(BEGIN)));
    let (hands, followed) = (Arc::clone(&clock), AtomicBool::new(false));
    let hooked = Hooked::new(&store, move |name, key, store| {
        if name == call::PUT && key.starts_with("snapshot/") {
            hands.0.fetch_add(30 * DAY, Ordering::SeqCst);
        }
        if name == call::DELETE && key.starts_with("snapshot/") && !followed.swap(true, Ordering::SeqCst) {
            let store = store.clone();
            let other = std::thread::spawn(move || {
                tokio::runtime::Runtime::new().unwrap().block_on(async {
                    let repository = open(Arc::new(store), &key_file()).await;
                    backup(&repository, "a", &files(40..45)).await.unwrap();
                });
            });
            other.join().unwrap();
        }
    });
    let late = open(Arc::new(hooked), &key_file()).await.with_clock(clock);
    assert!(matches!(backup(&late, "a", &files(30..35)).await, Err(Error::LeaseExpired { .. })));
    assert_eq!(repository.snapshots().await.unwrap().whole.len(), 4);
    assert_eq!(damages(&repository).await, [""; 0]);
    collect(&repository).await.unwrap();
}
