//! Space: what maintenance reclaims, what it leaves, and what it refuses to touch.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;
#[path = "common/hooked.rs"]
mod hooked;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::*;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, Record, call};
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_engine::audit::{self, AuditOptions};
use credenza_engine::gc::{self, GcOptions, GcReport};
use credenza_engine::{Clock, DamageKind, Error, Moment, Repository, RunContext, Secret};
use credenza_format::{Condemned, Hex, Intent, Keyring, ObjectKind, seal_document};
use credenza_model::ObjectId;
use hooked::Hooked;

/// In plain text, so that a test can put documents as another program would.
async fn repository() -> (MemoryStore, Repository) {
    let store = MemoryStore::new();
    let repository = create(&store, Secret::None).await;
    (store, repository)
}

#[tokio::test]
async fn the_space_of_a_removed_snapshot_comes_back_and_that_of_others_stays() {
    let (store, repository) = repository().await;
    let (kept, gone) = (files(0..5), files(5..10));
    let first = backup(&repository, "a", &kept).await.unwrap();
    let second = backup(&repository, "a", &gone).await.unwrap();
    let before = keys(&store, "data/").len();
    rm(&repository, second).await;
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.snapshots, report.condemned, report.deleted, report.spared), (1, 2, 2, 0));
    assert!(report.bytes_freed > 10_000);
    assert_eq!(keys(&store, "data/").len(), before - 1);
    assert_eq!(keys(&store, "probe/"), []);
    restores(&repository, first, &kept).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
    let again = collect(&repository).await.unwrap();
    assert_eq!((again.condemned, again.deleted, again.segments_merged), (0, 0, 0), "nothing is left to do");
}

/// Before a page said itself whether there is more, a short one was the end: snapshots behind it were not seen, and their packs deleted.
#[tokio::test]
async fn whatever_the_size_of_its_pages_maintenance_sees_every_snapshot() {
    for objects in [1, 2, 5] {
        let store = MemoryStore::new().with_pages_of(objects);
        let repository = create(&store, Secret::None).await;
        let mut kept = Vec::new();
        for number in 0..8_u64 {
            let own = files(number * 5..number * 5 + 5);
            kept.push((backup(&repository, "a", &own).await.unwrap(), own));
        }
        assert_eq!(repository.snapshots().await.unwrap().whole.len(), 8, "pages of {objects}");
        let (gone, _) = kept.remove(3);
        rm(&repository, gone).await;
        let report = collect(&repository).await.unwrap();
        assert_eq!(report.snapshots, 7, "pages of {objects}");
        for (snapshot, files) in &kept {
            restores(&repository, *snapshot, files).await.unwrap();
        }
        assert_eq!(damages(&repository).await, [""; 0]);
        let audited =
            audit::run(Arc::new(store.clone()), &AuditOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!((audited.snapshots, audited.objects), (7, store.keys().len() as u64));
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let (store, repository) = repository().await;
    backup(&repository, "a", &files(0..10)).await.unwrap();
    let gone = backup(&repository, "a", &files(20..30)).await.unwrap();
    rm(&repository, gone).await;
    let before = store.keys();
    let options = GcOptions { dry_run: true, ..GcOptions::default() };
    let foreseen = gc::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!(store.keys(), before);
    let done = collect(&repository).await.unwrap();
    assert_eq!(
        (foreseen.condemned, foreseen.deleted, foreseen.bytes_freed),
        (done.condemned, done.deleted, done.bytes_freed)
    );
}

#[tokio::test]
async fn a_sparse_pack_is_repacked_and_every_snapshot_still_restores() {
    let (store, repository) = repository().await;
    let (all, few) = (files(0..20), files(0..4));
    let whole = backup(&repository, "a", &all).await.unwrap();
    let part = backup(&repository, "b", &few).await.unwrap();
    rm(&repository, whole).await;
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.repacked, 1);
    assert!((8_000..10_000).contains(&report.bytes_repacked), "{} bytes", report.bytes_repacked);
    assert!(report.bytes_freed > 30_000);
    restores(&repository, part, &few).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
    assert_eq!(collect(&repository).await.unwrap().repacked, 0, "what was moved is not moved again");
    // The copies are what later runs deduplicate against, and are reclaimed with the last snapshot that needs them.
    let packs = keys(&store, "data/");
    let again = backup(&repository, "c", &few).await.unwrap();
    assert_eq!(keys(&store, "data/"), packs);
    rm(&repository, part).await;
    collect(&repository).await.unwrap();
    restores(&repository, again, &few).await.unwrap();
    rm(&repository, again).await;
    collect(&repository).await.unwrap();
    assert_eq!(keys(&store, "data/"), []);
    assert_eq!(damages(&repository).await, [""; 0]);
}

/// Files of text that are alike, so that they share frames.
fn texts(numbers: std::ops::Range<u64>) -> Files {
    let line = |number: u64, line: u64| format!("{}: what one says, the other says too\n", number * 1000 + line * 7);
    let text = |number| Bytes::from((0..80).map(|at| line(number, at)).collect::<String>());
    numbers.map(|number| (format!("text-{number:04}"), text(number))).collect()
}

#[tokio::test]
async fn what_is_left_of_groups_is_packed_together_again() {
    let (store, repository) = repository().await;
    let (all, few) = (texts(0..200), texts(0..40));
    let whole = backup(&repository, "a", &all).await.unwrap();
    let part = backup(&repository, "b", &few).await.unwrap();
    let data_bytes = || -> u64 {
        let sizes = keys(&store, "data/").into_iter().map(|key| store.bytes(&key).map_or(0, |bytes| bytes.len() as u64));
        sizes.sum()
    };
    let before = data_bytes();
    let plain: usize = all.values().map(Bytes::len).sum();
    assert!(before * 8 < plain as u64, "{before} bytes for {plain} that are alike");
    rm(&repository, whole).await;
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.repacked, 1);
    assert!((before / 10..before / 2).contains(&report.bytes_repacked), "{} of {before}", report.bytes_repacked);
    let after = data_bytes();
    assert!(after < before / 2, "{after} of {before} bytes for a fifth of the files");
    restores(&repository, part, &few).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
}

#[tokio::test]
async fn many_small_packs_become_few_and_every_snapshot_still_restores() {
    let (store, repository) = repository().await;
    let mut snapshots = Vec::new();
    for count in 1..=20 {
        snapshots.push((backup(&repository, "a", &files(0..count)).await.unwrap(), files(0..count)));
    }
    assert_eq!(keys(&store, "data/").len(), 20);
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.repacked, 40, "data and trees");
    assert_eq!((keys(&store, "data/").len(), keys(&store, "meta/").len()), (1, 1));
    for (snapshot, files) in &snapshots {
        restores(&repository, *snapshot, files).await.unwrap();
    }
    assert_eq!(damages(&repository).await, [""; 0]);
    assert_eq!(collect(&repository).await.unwrap().repacked, 0, "few small packs stay as they are");
}

#[tokio::test]
async fn a_budget_bounds_what_is_repacked() {
    let (_, repository) = repository().await;
    let whole = backup(&repository, "a", &files(0..20)).await.unwrap();
    backup(&repository, "b", &files(0..4)).await.unwrap();
    rm(&repository, whole).await;
    let options = GcOptions { repack_bytes_max: Some(1000), ..GcOptions::default() };
    let report = gc::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!((report.repacked, report.bytes_repacked), (0, 0));
}

/// Puts a document that another program could have put.
async fn put(store: &MemoryStore, repository: &Repository, kind: ObjectKind, body: &[u8]) {
    let keys = Keyring::public().keys(repository.config().repository);
    let id = ObjectId::new([9; 16]);
    let sealed = seal_document(&keys, kind, id, body).unwrap();
    store.put(&kind.store_key(id), Payload::new(sealed.into_pieces()), &PutOptions::default()).await.unwrap();
}

/// Another collector, run to its end while the caller waits.
fn collect_beside(store: &MemoryStore) -> GcReport {
    let store = store.clone();
    let other = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let repository = open(Arc::new(store), &Secret::None).await;
            collect(&repository).await.unwrap()
        })
    });
    other.join().unwrap()
}

/// The ids of all packs.
fn packs(store: &MemoryStore) -> Vec<ObjectId> {
    let is_pack = |kind| matches!(kind, ObjectKind::DataPack | ObjectKind::MetaPack);
    store.keys().iter().filter_map(ObjectKind::parse).filter(|(kind, _)| is_pack(*kind)).map(|(_, id)| id).collect()
}

#[tokio::test]
async fn condemned_packs_are_read_by_restore_and_check_and_not_relied_on_by_backup() {
    let (store, repository) = repository().await;
    let all = files(0..5);
    let first = backup(&repository, "a", &all).await.unwrap();
    let record = Condemned { connectors: Vec::new(), packs: packs(&store), created: at(BEGIN) };
    put(&store, &repository, ObjectKind::Condemned, &record.encode().unwrap()).await;
    restores(&repository, first, &all).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
    let before = keys(&store, "data/").len();
    let second = backup(&repository, "b", &all).await.unwrap();
    assert_eq!(keys(&store, "data/").len(), before + 1, "the chunks were read and kept again");
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.spared, report.deleted), (2, 0), "the first snapshot needs them still");
    rm(&repository, first).await;
    assert_eq!(collect(&repository).await.unwrap().deleted, 2);
    restores(&repository, second, &all).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
}

#[tokio::test]
async fn packs_of_a_live_intent_stay_and_go_when_it_has_expired() {
    let (store, repository) = repository().await;
    let gone = backup(&repository, "a", &files(0..5)).await.unwrap();
    rm(&repository, gone).await;
    let intent = Intent { connectors: Vec::new(), packs: packs(&store), created: at(0), writer: Hex([1; 16]) };
    put(&store, &repository, ObjectKind::Intent, &intent.encode().unwrap()).await;
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.condemned, report.deleted, report.intents_expired), (0, 0, 0));
    store.set_clock(at(BEGIN + 6 * DAY));
    assert_eq!(collect(&repository).await.unwrap().deleted, 0);
    store.set_clock(at(BEGIN + 8 * DAY));
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.deleted, report.intents_expired), (2, 1));
    assert_eq!(keys(&store, "intent/"), []);
}

#[tokio::test]
async fn packs_that_nothing_describes_are_left_alone_as_long_as_a_writer_may_own_them() {
    let (store, repository) = repository().await;
    let kept = files(0..3);
    let snapshot = backup(&repository, "a", &kept).await.unwrap();
    store
        .put(
            &ObjectKind::DataPack.store_key(ObjectId::new([5; 16])),
            Payload::from(vec![1, 2, 3]),
            &PutOptions::default(),
        )
        .await
        .unwrap();
    store
        .put(&ObjectKind::Usage.store_key(ObjectId::new([5; 16])), Payload::from(vec![1, 2, 3]), &PutOptions::default())
        .await
        .unwrap();
    assert_eq!(collect(&repository).await.unwrap().condemned, 0);
    store.set_clock(at(BEGIN + 8 * DAY));
    let report = collect(&repository).await.unwrap();
    assert_eq!((report.condemned, report.deleted, report.usages_expired), (1, 1, 1));
    restores(&repository, snapshot, &kept).await.unwrap();
}

#[tokio::test]
async fn nothing_is_deleted_when_what_says_what_is_needed_cannot_be_read() {
    for prefix in ["usage/", "snapshot/", "index/", "condemned/", "intent/", "data/"] {
        let (store, repository) = repository().await;
        backup(&repository, "a", &files(0..20)).await.unwrap();
        let gone = backup(&repository, "b", &files(30..40)).await.unwrap();
        let intent = Intent { connectors: Vec::new(), packs: Vec::new(), created: at(0), writer: Hex([1; 16]) };
        put(&store, &repository, ObjectKind::Intent, &intent.encode().unwrap()).await;
        let record = Condemned { connectors: Vec::new(), packs: Vec::new(), created: at(0) };
        put(&store, &repository, ObjectKind::Condemned, &record.encode().unwrap()).await;
        rm(&repository, gone).await;
        let victims = keys(&store, prefix);
        for victim in &victims {
            let spoiled = (prefix != "data/").then(|| bytes::Bytes::from_static(b"rot"));
            store.tamper(victim, spoiled);
        }
        let before = keys(&store, "");
        let refused = collect(&repository).await.unwrap_err();
        let Error::Damage(damage) = refused else { panic!("{prefix}: {refused}") };
        assert!(damage.object.starts_with(prefix) || prefix == "data/", "{prefix}: {damage}");
        assert_eq!(keys(&store, ""), before, "{prefix}");
    }
}

#[tokio::test]
async fn a_missing_usage_list_stops_everything_too() {
    let (store, repository) = repository().await;
    backup(&repository, "a", &files(0..3)).await.unwrap();
    store.tamper(&keys(&store, "usage/")[0], None);
    let before = store.keys();
    assert!(matches!(collect(&repository).await, Err(Error::Damage(damage)) if damage.kind == DamageKind::Missing));
    assert_eq!(store.keys(), before);
}

#[tokio::test]
async fn many_index_segments_become_few_and_nothing_is_lost() {
    let (store, repository) = repository().await;
    let mut snapshots = Vec::new();
    for number in 0..8 {
        let files = files(number * 10..number * 10 + 5);
        snapshots.push((backup(&repository, "a", &files).await.unwrap(), files));
    }
    let (gone, _) = snapshots.remove(3);
    rm(&repository, gone).await;
    assert_eq!(keys(&store, "index/").len(), 8);
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.segments_merged, 8);
    assert_eq!(keys(&store, "index/").len(), 1);
    for (snapshot, files) in &snapshots {
        restores(&repository, *snapshot, files).await.unwrap();
    }
    assert_eq!(damages(&repository).await, [""; 0]);
    assert_eq!(collect(&repository).await.unwrap().segments_merged, 0);
}

#[tokio::test]
async fn many_old_records_of_condemned_packs_become_one() {
    let (store, repository) = repository().await;
    for number in 0..17 {
        let gone = backup(&repository, "a", &files(number..number + 1)).await.unwrap();
        rm(&repository, gone).await;
        collect(&repository).await.unwrap();
    }
    assert_eq!(keys(&store, "condemned/").len(), 17, "a writer may be reading them");
    store.set_clock(at(BEGIN + 8 * DAY));
    assert_eq!(collect(&repository).await.unwrap().records_merged, 17);
    assert_eq!(keys(&store, "condemned/").len(), 1);
}

#[tokio::test]
async fn a_reader_finds_the_merged_segment_when_the_ones_it_listed_are_gone() {
    let (store, repository) = repository().await;
    let all = files(0..5);
    let snapshot = backup(&repository, "a", &all).await.unwrap();
    backup(&repository, "b", &files(10..15)).await.unwrap();
    let pending = AtomicBool::new(true);
    let merging = Hooked::new(&store, move |name, key, store| {
        if name == call::GET && key.starts_with("index/") && pending.swap(false, Ordering::SeqCst) {
            assert!(collect_beside(store).segments_merged > 1);
        }
    });
    let reader = open(Arc::new(merging), &Secret::None).await;
    restores(&reader, snapshot, &all).await.unwrap();
    assert_eq!(keys(&store, "index/").len(), 1);
}

#[tokio::test]
async fn a_store_that_refuses_to_delete_is_reported_and_not_fatal() {
    let (store, repository) = repository().await;
    let gone = backup(&repository, "a", &files(0..5)).await.unwrap();
    rm(&repository, gone).await;
    let refusing = Fault::new(Arc::new(store.clone()), 1).one_in(call::DELETE, 1, FaultKind::Fail(ErrorClass::Denied));
    let refused = open(Arc::new(refusing), &Secret::None).await;
    let report = collect(&refused).await.unwrap();
    assert_eq!((report.condemned, report.deleted, report.refused), (2, 0, 2));
    assert_eq!(collect(&repository).await.unwrap().deleted, 2, "whoever may delete finishes it");
}

/// A clock that a test moves.
struct TestClock(Mutex<i64>);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment { monotonic: std::time::Duration::ZERO, wall: at(*self.0.lock().unwrap()) }
    }
}

#[tokio::test]
async fn a_writer_that_slept_over_its_commit_takes_the_snapshot_back() {
    for collects in [true, false] {
        let (store, _) = repository().await;
        let clock = Arc::new(TestClock(Mutex::new(BEGIN)));
        let hands = Arc::clone(&clock);
        let sleeping = Hooked::new(&store, move |name, key, store| {
            if name == call::PUT && key.starts_with("snapshot/") {
                *hands.0.lock().unwrap() += 30 * DAY;
                store.set_clock(at(BEGIN + 30 * DAY));
                assert!(!collects || collect_beside(store).deleted == 2);
            }
        });
        let writer = open(Arc::new(sleeping), &Secret::None).await.with_clock(clock);
        let committed = backup(&writer, "a", &files(0..5)).await;
        let snapshots = keys(&store, "snapshot/").len();
        assert!(matches!(committed, Err(Error::LeaseExpired { .. })) && snapshots == 0);
        let reader = open(Arc::new(store), &Secret::None).await;
        assert_eq!(damages(&reader).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_chunk_that_is_gone_from_one_condemned_pack_is_read_from_the_other() {
    for older_goes in [true, false] {
        let (store, repository) = repository().await;
        let all = files(0..5);
        // Two writers that do not know of each other put the same chunks into two packs.
        let first = backup(&repository, "a", &all).await.unwrap();
        let hidden: Vec<_> = [keys(&store, "index/"), keys(&store, "snapshot/")].concat();
        let hidden: Vec<_> = hidden.into_iter().map(|key| (store.bytes(&key).unwrap(), key)).collect();
        hidden.iter().for_each(|(_, key)| store.tamper(key, None));
        let second = backup(&repository, "b", &all).await.unwrap();
        for (bytes, key) in hidden {
            store.put(&key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
        }
        let record = Condemned { connectors: Vec::new(), packs: packs(&store), created: at(BEGIN) };
        put(&store, &repository, ObjectKind::Condemned, &record.encode().unwrap()).await;
        let (gone, kept) = if older_goes { (first, second) } else { (second, first) };
        rm(&repository, gone).await;
        assert_eq!(collect(&repository).await.unwrap().deleted, 2);
        restores(&repository, kept, &all).await.unwrap();
        assert_eq!(damages(&repository).await, [""; 0]);
    }
}

/// A snapshot of four files in a pack that holds twenty, which the next collection moves.
async fn sparse() -> (MemoryStore, Repository, credenza_model::SnapshotId) {
    let (store, repository) = repository().await;
    let whole = backup(&repository, "a", &files(0..20)).await.unwrap();
    let part = backup(&repository, "b", &files(0..4)).await.unwrap();
    rm(&repository, whole).await;
    (store, repository, part)
}

/// A store in which a collector moves and deletes packs just before the first call of that kind.
fn repacking(store: &MemoryStore, call: &'static str, prefix: &'static str) -> Hooked {
    let pending = AtomicBool::new(true);
    Hooked::new(store, move |name, key, store| {
        if name == call && key.starts_with(prefix) && pending.swap(false, Ordering::SeqCst) {
            let report = collect_beside(store);
            assert!(report.repacked > 0 && report.deleted > 0, "{report:?}");
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_finds_what_a_repack_moves_between_its_plan_and_its_fetch() {
    for prefix in ["data/", "meta/"] {
        let (store, _, part) = sparse().await;
        let reader = open(Arc::new(repacking(&store, call::GET, prefix)), &Secret::None).await;
        restores(&reader, part, &files(0..4)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_a_repack_reports_nothing() {
    for (name, prefix) in [(call::LIST, "snapshot/"), (call::LIST, "data/"), (call::GET, "meta/"), (call::GET, "data/")]
    {
        let (store, ..) = sparse().await;
        let reader = open(Arc::new(repacking(&store, name, prefix)), &Secret::None).await;
        assert_eq!(damages(&reader).await, [""; 0], "{name} {prefix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_a_commit_reports_nothing() {
    let (store, repository) = repository().await;
    backup(&repository, "a", &files(0..3)).await.unwrap();
    let pending = AtomicBool::new(true);
    let committing = Hooked::new(&store, move |name, key, store| {
        if name == call::LIST && key == "snapshot/" && pending.swap(false, Ordering::SeqCst) {
            let store = store.clone();
            let other = std::thread::spawn(move || {
                tokio::runtime::Runtime::new().unwrap().block_on(async {
                    let repository = open(Arc::new(store), &Secret::None).await;
                    backup(&repository, "b", &files(10..13)).await.unwrap();
                });
            });
            other.join().unwrap();
        }
    });
    let reader = open(Arc::new(committing), &Secret::None).await;
    assert_eq!(damages(&reader).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_takes_over_a_parent_whose_tree_a_repack_moves_meanwhile() {
    let (store, repository, part) = sparse().await;
    let reads = Record::new(Arc::new(repacking(&store, call::GET, "meta/")));
    let writer = open(Arc::new(reads), &Secret::None).await;
    let again = backup(&writer, "b", &files(0..4)).await.unwrap();
    restores(&repository, part, &files(0..4)).await.unwrap();
    restores(&repository, again, &files(0..4)).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
}

#[tokio::test]
async fn a_pack_that_is_lost_costs_no_second_look_at_the_index() {
    let (store, repository) = repository().await;
    let snapshot = backup(&repository, "a", &files(0..20)).await.unwrap();
    store.tamper(&keys(&store, "data/")[0], None);
    let recorded = Record::new(Arc::new(store.clone()));
    let reader = open(Arc::new(recorded.clone()), &Secret::None).await;
    restores(&reader, snapshot, &files(0..20)).await.unwrap_err();
    let index_reads = |calls: &[credenza_connect::wrap::Call]| {
        calls.iter().filter(|call| call.name == call::GET && call.key.starts_with("index/")).count()
    };
    assert_eq!(index_reads(&recorded.calls()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_lost_chunks_to_a_collector_before_its_commit_reads_them_again() {
    let (store, repository) = repository().await;
    let gone = backup(&repository, "a", &files(0..5)).await.unwrap();
    rm(&repository, gone).await;
    let pending = AtomicBool::new(true);
    let collecting = Hooked::new(&store, move |name, key, store| {
        if name == call::PUT && key.starts_with("intent/") && pending.swap(false, Ordering::SeqCst) {
            assert!(collect_beside(store).deleted > 0);
        }
    });
    let writer = open(Arc::new(collecting), &Secret::None).await;
    let all = files(0..8);
    let snapshot = backup(&writer, "b", &all).await.unwrap();
    restores(&repository, snapshot, &all).await.unwrap();
    assert_eq!(damages(&repository).await, [""; 0]);
}
