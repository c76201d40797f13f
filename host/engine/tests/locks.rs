//! Locks and versions: what somebody with every right in the store cannot take away.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use std::sync::Arc;

use common::*;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Record, call};
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::repair::{self, RepairOptions};
use credenza_engine::{CreateOptions, Error, Event, Listener, Phase, Repository, RunContext, Secret};
use credenza_format::{ChunkerParams, ObjectKind, PackKind, ParityRate, parity_key};
use credenza_model::{ObjectId, StoreKey};

/// Locks last for 30 days, so a quantum is 3.
const DAYS: i64 = 30;
const QUANTUM: i64 = 3 * DAY;

/// A repository that locks, and one handle to it that writes down what it asks of the store.
async fn repository() -> (MemoryStore, Record<MemoryStore>, Repository) {
    let store = MemoryStore::versioned();
    create_locking(&store, key_file(), Some(30)).await;
    let record = Record::new(Arc::new(store.clone()));
    let repository = open(Arc::new(record.clone()), &key_file()).await;
    (store, record, repository)
}

async fn put(store: &MemoryStore, key: &StoreKey) {
    store.put(key, Payload::from(b"junk".to_vec()), &PutOptions::default()).await.unwrap();
}

/// Hides everything, puts junk over half of it, and destroys all that is not locked.
async fn ravage(store: &MemoryStore) {
    let all = store.keys();
    store.delete(&all).await.unwrap();
    for key in all.iter().step_by(2) {
        put(store, key).await;
    }
    store.destroy_unlocked();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_outlives_whoever_may_do_everything_until_its_locks_end() {
    let (store, _, repository) = repository().await;
    let files = files(0..5);
    store.set_clock(at(BEGIN + DAY + 1));
    let snapshot = backup(&repository, "a", &files).await.unwrap();
    store.set_clock(at(BEGIN + DAY + DAYS * DAY));
    ravage(&store).await;
    store.reveal();
    let found = open(Arc::new(store.clone()), &key_file()).await;
    restores(&found, snapshot, &files).await.unwrap();
    assert_eq!(damages(&found).await, [""; 0]);
    store.set_clock(at(BEGIN + DAY + DAYS * DAY + 3 * QUANTUM));
    ravage(&store).await;
    store.reveal();
    // The check has put its note later, with a lock of its own.
    let is_note = |key: &StoreKey| key.as_str().starts_with("note/");
    let left: Vec<StoreKey> = store.keys().into_iter().filter(|key| !is_note(key)).collect();
    assert_eq!(left, [], "the end of the locks is the end of the promise");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_snapshot_takes_over_is_locked_for_as_long_as_it() {
    let (store, _, repository) = repository().await;
    let (old, new) = (files(0..5), files(0..6));
    backup(&repository, "a", &old).await.unwrap();
    for days in [10, 20, 29, 50] {
        store.set_clock(at(BEGIN + days * DAY));
        backup(&repository, "a", &new).await.unwrap();
    }
    let last = repository.snapshots().await.unwrap().whole.pop().unwrap().snapshot.id;
    store.set_clock(at(BEGIN + (50 + DAYS) * DAY - 1));
    ravage(&store).await;
    store.reveal();
    let found = open(Arc::new(store.clone()), &key_file()).await;
    restores(&found, last, &new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_is_locked_as_long_as_its_pack() {
    let store = MemoryStore::versioned();
    create_with(&store, key_file(), Some(30), ParityRate::of_percent(5)).await;
    let repository = open(Arc::new(store.clone()), &key_file()).await;
    backup(&repository, "a", &files(0..5)).await.unwrap();
    store.set_clock(at(BEGIN + 29 * DAY));
    backup(&repository, "a", &files(0..6)).await.unwrap();
    store.set_clock(at(BEGIN + (29 + DAYS) * DAY - 1));
    ravage(&store).await;
    store.reveal();
    let keys = store.keys();
    let packs = keys.iter().filter_map(ObjectKind::parse).filter(|(kind, _)| PackKind::of(*kind).is_some());
    let packs: Vec<ObjectId> = packs.map(|(_, id)| id).collect();
    assert!(packs.len() >= 3 && packs.iter().all(|pack| keys.contains(&parity_key(*pack))), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_extended_whose_lock_lasts_and_nothing_twice_in_a_quantum() {
    let (store, record, repository) = repository().await;
    for number in 0..4 {
        backup(&repository, "a", &files(number * 5..number * 5 + 5)).await.unwrap();
    }
    let all = files(0..20);
    backup(&repository, "a", &all).await.unwrap();
    let mut extensions = Vec::new();
    for hours in (0..24 * 12).step_by(12) {
        store.set_clock(at(BEGIN + hours * 3600));
        record.clear();
        backup(&repository, "a", &all).await.unwrap();
        let packs =
            record.calls().iter().filter(|call| call.name == call::RETAIN && call.key.starts_with("data/")).count();
        extensions.push((hours / 12, packs));
    }
    extensions.retain(|(_, packs)| *packs > 0);
    assert!(extensions.iter().all(|(_, packs)| *packs == 4), "all packs at once: {extensions:?}");
    assert!(extensions.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 6), "more than 3 days apart: {extensions:?}");
    assert!((1..=3).contains(&extensions.len()), "{extensions:?}");
}

/// Lets the store's clock jump when a run has read everything, long after it chose its locks.
struct Jump(MemoryStore);

impl Listener for Jump {
    fn on(&self, event: Event) {
        if matches!(event, Event::Phase { phase: Phase::Committing }) {
            self.0.set_clock(at(BEGIN + 7 * DAY));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_longer_than_a_quantum_extends_what_it_put_first() {
    let (store, record, repository) = repository().await;
    let files = files(0..5);
    let options = BackupOptions::default();
    let report = backup::run(
        &repository,
        Arc::new(source(&files)),
        &options,
        &RunContext::telling(Arc::new(Jump(store.clone()))),
    )
    .await
    .unwrap();
    assert!(record.calls().iter().any(|call| call.name == call::RETAIN && call.key.starts_with("meta/")));
    store.set_clock(at(BEGIN + (7 + DAYS) * DAY - 1));
    ravage(&store).await;
    store.reveal();
    let found = open(Arc::new(store.clone()), &key_file()).await;
    restores(&found, report.snapshot.unwrap(), &files).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_are_hidden_or_overwritten_are_read_as_they_were_written() {
    let store = MemoryStore::versioned();
    let repository = create(&store, key_file()).await;
    let files = files(0..50);
    let snapshot = backup(&repository, "a", &files).await.unwrap();
    let packs: Vec<StoreKey> = ["data/", "meta/"].iter().flat_map(|folder| keys(&store, folder)).collect();
    for (number, pack) in packs.iter().enumerate() {
        match number % 2 {
            0 => put(&store, pack).await,
            _ => drop(store.delete(std::slice::from_ref(pack)).await.unwrap()),
        }
    }
    restores(&repository, snapshot, &files).await.unwrap();
    let found = damages(&repository).await;
    assert_eq!(found.len(), packs.len(), "every byte was read and is whole; what happened is said: {found:?}");
    for pack in packs {
        let said = format!("damage in `{pack}` (hidden)");
        assert!(found.iter().any(|damage| damage.starts_with(&said)), "{pack}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_of_a_pack_survives_merging_and_repacking() {
    let store = MemoryStore::versioned();
    let repository = create(&store, key_file()).await;
    let mut snapshots = Vec::new();
    for number in 0..4 {
        snapshots.push(backup(&repository, "a", &files(number * 5..number * 5 + 10)).await.unwrap());
    }
    rm(&repository, snapshots[0]).await;
    let report = collect(&repository).await.unwrap();
    assert!(report.segments_merged > 1, "{report:?}");
    for pack in keys(&store, "data/") {
        put(&store, &pack).await;
    }
    for (number, snapshot) in (0..).zip(&snapshots).skip(1) {
        restores(&repository, *snapshot, &files(number * 5..number * 5 + 10)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repaired_in_a_store_with_locks_is_whole_locked_and_read_by_its_version_again() {
    let (store, _, repository) = repository().await;
    let files = files(0..5);
    let snapshot = backup(&repository, "a", &files).await.unwrap();
    store.delete(&[keys(&store, "index/"), keys(&store, "usage/")].concat()).await.unwrap();
    let options = RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };
    let report = repair::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!((report.mends.len(), report.lost.len()), (3, 0), "{report:?}");
    assert_eq!(damages(&repository).await, [""; 0]);
    for pack in [keys(&store, "data/"), keys(&store, "meta/")].concat() {
        put(&store, &pack).await;
    }
    restores(&repository, snapshot, &files).await.unwrap();
    store.set_clock(at(BEGIN + DAYS * DAY - 1));
    ravage(&store).await;
    store.reveal();
    restores(&open(Arc::new(store.clone()), &key_file()).await, snapshot, &files).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_is_neither_condemned_nor_repacked_before_its_time() {
    let (store, _, repository) = repository().await;
    let gone = backup(&repository, "a", &files(0..5)).await.unwrap();
    rm(&repository, gone).await;
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.condemned, report.deleted, report.locked), (0, 0, 2));
    store.set_clock(at(BEGIN + (DAYS + 7) * DAY));
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.condemned, report.deleted, report.locked), (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_of_the_index_keeps_what_is_known_of_locks_and_is_locked_itself() {
    let (store, record, repository) = repository().await;
    let all = files(0..20);
    for number in 0..4 {
        backup(&repository, "a", &files(number * 5..number * 5 + 5)).await.unwrap();
    }
    backup(&repository, "a", &all).await.unwrap();
    assert!(collect(&repository).await.unwrap().segments_merged > 1);
    record.clear();
    let snapshot = backup(&repository, "a", &all).await.unwrap();
    assert_eq!(record.count(call::RETAIN), 0);
    store.set_clock(at(BEGIN + DAYS * DAY - 1));
    ravage(&store).await;
    store.reveal();
    restores(&open(Arc::new(store.clone()), &key_file()).await, snapshot, &all).await.unwrap();
}

#[tokio::test]
async fn a_repository_that_is_to_lock_is_not_made_where_no_lock_holds() {
    let options = CreateOptions {
        secret: Secret::None,
        like: None,
        label: String::new(),
        chunker: ChunkerParams::default(),
        compression: 1,
        retain_days: Some(30),
        parity: None,
    };
    let store = MemoryStore::new();
    let refused = Repository::create(Arc::new(store.clone()), &options).await;
    assert!(matches!(refused, Err(Error::NoLock { .. })));
    assert_eq!(store.keys(), []);
}

#[tokio::test]
async fn what_a_store_can_do_is_tried_and_kept_in_the_config() {
    for (store, traits) in [
        (MemoryStore::new(), &["if-absent", "delete"][..]),
        (MemoryStore::versioned(), &["if-absent", "versions", "retention", "delete"]),
        (MemoryStore::ignoring_conditions(), &["delete"]),
    ] {
        assert_eq!(create(&store, Secret::None).await.config().store_traits, traits);
    }
}
