//! Sync between repositories in memory, with keys of every relation, faults, damage and counted requests.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Permute, Record, Retry, RetryPolicy, call};
use credenza_connect::{ErrorClass, Store};
use credenza_format::{BlobKind, Condemned, Encoding, ObjectKind, Usage, seal_document, seal_snapshot};
use credenza_model::{ChunkId, Entry, EntryKind, Key, ObjectId, SnapshotId, Version};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::audit::{self, AuditOptions};
use crate::blobs::Shares;
use crate::testing::{Hooked, TestClock, contents, expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{DamageKind, Repository, RunContext, Secret};

/// Orders of answers that are tried.
const PERMUTATIONS: u64 = 24;

/// A source with one of everything that a content can be.
fn source() -> MemorySource {
    let source = MemorySource::new();
    source.put("empty", Vec::new());
    source.put("inline", b"tiny".to_vec());
    source.put("lists", noise(1, 6_000_000));
    for number in 0..60_u64 {
        source.put(format!("small/{number:03}").as_str(), noise(100 + number, 3000 + number as usize * 97));
    }
    source.insert(Entry::new(Key::from("folder/"), EntryKind::Directory), Vec::new());
    source
}

/// Three snapshots, each with a few changes.
async fn three_snapshots(repository: &Repository) -> Vec<SnapshotId> {
    snapshots_of(repository, source()).await
}

async fn snapshots_of(repository: &Repository, source: MemorySource) -> Vec<SnapshotId> {
    let mut ids = vec![snapshot(repository, &source).await];
    source.put("small/007", noise(7, 20_000));
    source.put("new", noise(8, 50_000));
    ids.push(snapshot(repository, &source).await);
    source.remove(&Key::from("lists"));
    source.put("small/059x", noise(9, 5000));
    ids.push(snapshot(repository, &source).await);
    ids
}

async fn sync(origin: &Repository, target: &Repository) -> Result<SyncReport> {
    run(origin, target, &SyncOptions::default(), &RunContext::default()).await
}

async fn expect_equal(origin: &Repository, target: &Repository, ids: &[SnapshotId]) {
    for id in ids {
        let (there, here) = (handle(origin, *id).await, handle(target, *id).await);
        assert_eq!(here.time(), there.time(), "a copy is as old as the original");
        let (there, here) = (there.snapshot, here.snapshot);
        assert_eq!(here.tags, there.tags);
        assert_eq!((here.started, here.finished, here.statistics), (there.started, there.finished, there.statistics));
        assert_eq!((here.source, here.host, here.parent), (there.source, there.host, there.parent));
        assert!(contents(origin, *id).await == contents(target, *id).await, "{id} differs");
    }
    expect_whole(target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_arrive_whole_whatever_the_keys_and_only_once() {
    for (plain_origin, plain_target, alike) in
        [(false, false, true), (false, false, false), (true, true, false), (true, false, false), (false, true, false)]
    {
        let secret_of = |plain: bool| if plain { Secret::None } else { secret() };
        let origin = repository(Arc::new(MemoryStore::new()), secret_of(plain_origin), None).await;
        let like = alike.then_some(&origin);
        let target = repository(Arc::new(MemoryStore::new()), secret_of(plain_target), like).await;
        let ids = three_snapshots(&origin).await;
        let options = SyncOptions { allow_plaintext: true, ..SyncOptions::default() };
        let report = run(&origin, &target, &options, &RunContext::default()).await.unwrap();
        assert_eq!((&report.copied, report.skipped, report.failed), (&ids, 0, 0));
        assert!(report.chunks > 1200 && report.bytes > 6_000_000, "{report:?}");
        expect_equal(&origin, &target, &ids).await;
        let again = run(&origin, &target, &options, &RunContext::default()).await.unwrap();
        assert_eq!((again.copied.len(), again.skipped, again.bytes), (0, 3, 0));
    }
}

/// Small contents that are alike, so that they share frames.
fn texts(numbers: std::ops::Range<u64>) -> MemorySource {
    let source = MemorySource::new();
    for number in numbers {
        let text: String = (0..40).map(|line| format!("{}: as the others say\n", number * 100 + line)).collect();
        source.put(format!("text/{number:03}").as_str(), text.into_bytes());
    }
    source
}

/// Blobs in groups, and bytes that all data blobs take.
async fn grouped(repository: &Repository) -> (usize, u64) {
    let index = repository.index_for_writing().await.unwrap();
    let shares = Shares::of(&index).unwrap();
    let data: Vec<_> =
        index.iter().map(|known| known.unwrap().1).filter(|place| place.kind == BlobKind::Data).collect();
    let groups = data.iter().filter(|place| place.encoding == Encoding::Group).count();
    (groups, data.iter().map(|place| shares.share(place)).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_go_over_as_they_are_and_are_made_again_of_what_is_needed() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let few = snapshot(&origin, &texts(0..30)).await;
    let all = snapshot(&origin, &texts(0..120)).await;
    let (groups, bytes) = grouped(&origin).await;
    assert_eq!(groups, 120);
    let like = repository(Arc::new(MemoryStore::new()), secret(), Some(&origin)).await;
    sync(&origin, &like).await.unwrap();
    expect_equal(&origin, &like, &[few, all]).await;
    assert_eq!(grouped(&like).await, (groups, bytes), "as they were");
    let rekeyed = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    sync(&origin, &rekeyed).await.unwrap();
    expect_equal(&origin, &rekeyed, &[few, all]).await;
    let (again, made) = grouped(&rekeyed).await;
    assert!(again == groups && made < bytes * 5 / 4, "{again} blobs, {made} of {bytes} bytes");
    // Of one group a part alone.
    let other = repository(Arc::new(MemoryStore::new()), secret(), Some(&origin)).await;
    let later = snapshot(&origin, &texts(20..50)).await;
    let only = SyncOptions { snapshots: vec![SnapshotName(later.to_string())], ..SyncOptions::default() };
    run(&origin, &other, &only, &RunContext::default()).await.unwrap();
    expect_equal(&origin, &other, &[later]).await;
    let (part, made) = grouped(&other).await;
    assert!(part == 30 && made < bytes / 2, "{part} blobs, {made} of {bytes} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_in_plain_text_gets_no_snapshot_of_an_encrypted_one_without_leave() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let target = repository(Arc::new(MemoryStore::new()), Secret::None, None).await;
    snapshot(&origin, &source()).await;
    assert!(matches!(sync(&origin, &target).await, Err(Error::PlaintextTarget { .. })));
    assert!(target.snapshots().await.unwrap().whole.is_empty());
    sync(&target, &origin).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_snapshots_named_are_carried() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let ids = three_snapshots(&origin).await;
    let named = SyncOptions { snapshots: vec![SnapshotName(ids[1].to_string())], ..SyncOptions::default() };
    assert_eq!(run(&origin, &target, &named, &RunContext::default()).await.unwrap().copied, [ids[1]]);
    expect_equal(&origin, &target, &ids[1..2]).await;
    let unknown = SyncOptions { snapshots: vec![SnapshotName("no".to_owned())], ..SyncOptions::default() };
    assert!(matches!(run(&origin, &target, &unknown, &RunContext::default()).await, Err(Error::NoSnapshot { .. })));
}

/// Bytes that were read of packs of that folder.
fn bytes_of(store: &Record<MemoryStore>, folder: &str) -> u64 {
    store
        .calls()
        .iter()
        .filter(|call| call.name == call::GET && call.key.starts_with(folder))
        .map(|call| call.bytes)
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_later_snapshot_only_the_changes_are_read() {
    for alike in [true, false] {
        let store = Record::new(Arc::new(MemoryStore::new()));
        let origin = repository(Arc::new(store.clone()), secret(), None).await;
        let target = repository(Arc::new(MemoryStore::new()), secret(), alike.then_some(&origin)).await;
        let source = source();
        snapshot(&origin, &source).await;
        sync(&origin, &target).await.unwrap();
        source.put("new", noise(8, 50_000));
        let second = snapshot(&origin, &source).await;
        store.clear();
        let report = sync(&origin, &target).await.unwrap();
        let read = bytes_of(&store, "data/");
        assert!((50_000..400_000).contains(&read), "alike: {alike}, {read} bytes");
        assert!(report.bytes < 400_000, "{report:?}");
        expect_equal(&origin, &target, &[second]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_snapshots_of_many_small_objects_cost_few_requests() {
    let store = Record::new(Arc::new(MemoryStore::new()));
    let origin = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    for number in 0..20_000_u64 {
        source.put(format!("many/{number:06}").as_str(), noise(number, 300));
    }
    let mut ids = vec![snapshot(&origin, &source).await];
    for change in 0..2_u64 {
        source.put(format!("many/{:06}", change * 9999).as_str(), noise(change, 400));
        ids.push(snapshot(&origin, &source).await);
    }
    for alike in [true, false] {
        let target = repository(Arc::new(MemoryStore::new()), secret(), alike.then_some(&origin)).await;
        store.clear();
        assert_eq!(sync(&origin, &target).await.unwrap().copied, ids);
        let gets = store.count(call::GET);
        assert!(gets <= if alike { 40 } else { 150 }, "alike: {alike}, {gets} GETs");
        assert_eq!(store.count(call::PUT) + store.count(call::DELETE), 0);
    }
}

/// The chunks that a snapshot relies on, by its usage list.
async fn relied_on(repository: &Repository, id: SnapshotId) -> BTreeSet<ChunkId> {
    let usage = repository.usage(&handle(repository, id).await).await.unwrap().unwrap();
    let index = repository.index_for_writing().await.unwrap();
    let is_used = |place: &credenza_format::BlobPlace| {
        let pack = index.pack(place.pack).unwrap().id;
        usage.packs.iter().any(|one| one.pack == pack && one.used.get(place.position))
    };
    let all = index.iter().map(Result::unwrap);
    all.filter(|(_, place)| is_used(place)).map(|(id, _)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_go_together_have_one_intent_and_each_relies_on_its_own_chunks_alone() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let here = Arc::new(MemoryStore::new());
    let store = Record::new(here.clone());
    let target = repository(Arc::new(store.clone()), secret(), Some(&origin)).await;
    let source = source();
    let first = snapshot(&origin, &source).await;
    sync(&origin, &target).await.unwrap();
    let others = snapshots_of(&origin, source).await;
    store.clear();
    assert_eq!(sync(&origin, &target).await.unwrap().copied, others);
    let puts = |folder: &str| {
        let calls = store.calls();
        calls.iter().filter(|call| call.name == call::PUT && call.key.starts_with(folder)).count()
    };
    assert_eq!((puts("intent/"), puts("index/"), puts("usage/"), puts("snapshot/")), (1, 1, 3, 3));
    assert_eq!((puts("data/"), puts("meta/")), (1, 1), "they fill their packs together");
    for id in others.iter().chain([&first]) {
        assert_eq!(relied_on(&origin, *id).await, relied_on(&target, *id).await, "{id}");
    }
    assert!(here.list("intent/", None, 10).await.unwrap().objects.is_empty());
    expect_equal(&origin, &target, &others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_whose_packs_a_collector_takes_some_is_carried_one_by_one() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let here = Arc::new(MemoryStore::new());
    let target = repository(here.clone(), secret(), Some(&origin)).await;
    let source = source();
    snapshot(&origin, &source).await;
    sync(&origin, &target).await.unwrap();
    let others = snapshots_of(&origin, source).await;
    let packs: Vec<ObjectId> = target.index_for_writing().await.unwrap().packs().iter().map(|pack| pack.id).collect();
    let body =
        Condemned { packs: packs.clone(), connectors: Vec::new(), created: Default::default() }.encode().unwrap();
    let record = seal_document(target.keys(), ObjectKind::Condemned, ObjectId::new([7; 16]), &body).unwrap();
    let store = here.clone();
    let collector = async move { drop(crate::write::put(&*store, record, None).await.unwrap()) }.boxed();
    let overtaken = overtaken(&here, "intent/", collector);
    let report = sync(&origin, &open(overtaken, secret()).await).await.unwrap();
    assert_eq!((report.copied.as_slice(), report.failed), (others.as_slice(), 0), "{:?}", report.findings);
    for id in &others {
        let usage = target.usage(&handle(&target, *id).await).await.unwrap().unwrap();
        assert!(usage.packs.iter().all(|used| !packs.contains(&used.pack)), "{id} relies on what is condemned");
        assert!(contents(&origin, *id).await == contents(&target, *id).await, "{id} differs");
    }
    assert!(here.list("intent/", None, 10).await.unwrap().objects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_snapshot_is_committed_before_a_large_one_behind_it_is_brought() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let store = Record::new(Arc::new(MemoryStore::new()));
    let target = repository(Arc::new(store.clone()), secret(), Some(&origin)).await;
    let (source, other) = (source(), MemorySource::new());
    snapshot(&origin, &source).await;
    sync(&origin, &target).await.unwrap();
    other.put("alone", noise(77, 40_000));
    source.put("large", noise(78, 34_000_000));
    let ids = [snapshot(&origin, &other).await, snapshot(&origin, &source).await];
    store.clear();
    assert_eq!(sync(&origin, &target).await.unwrap().copied, ids);
    let calls = store.calls();
    let puts = calls.iter().filter(|call| call.name == call::PUT);
    let before = puts.take_while(|call| !call.key.starts_with("snapshot/"));
    assert_eq!(before.filter(|call| call.key.starts_with("data/")).count(), 1, "its own pack alone");
    for id in ids {
        // Nor on what the large one has at the target already.
        assert_eq!(relied_on(&origin, id).await, relied_on(&target, id).await, "{id}");
    }
    expect_equal(&origin, &target, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_relies_on_nothing_of_one_behind_it_that_is_damaged() {
    let store = Arc::new(MemoryStore::new());
    let origin = repository(store.clone(), secret(), None).await;
    let whole = snapshot(&origin, &texts(0..30)).await;
    damaged(&origin, &store).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), Some(&origin)).await;
    let report = sync(&origin, &target).await.unwrap();
    assert_eq!((report.copied.as_slice(), report.failed), (&[whole][..], 1));
    assert_eq!(relied_on(&origin, whole).await, relied_on(&target, whole).await);
    expect_equal(&origin, &target, &[whole]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_behind_which_the_origin_breaks_off_is_committed_with_its_own_chunks_alone() {
    let there = Arc::new(MemoryStore::new());
    let origin = repository(there.clone(), secret(), None).await;
    for texts in [texts(0..30), texts(100..130)] {
        snapshot(&origin, &texts).await;
    }
    let mut alone = 0;
    for number in 1..60 {
        let target = repository(Arc::new(MemoryStore::new()), secret(), Some(&origin)).await;
        let breaking = FaultKind::Fail(ErrorClass::Denied);
        let breaking = Fault::new(there.clone(), 1).at(call::GET, number, breaking);
        // It may break off while it is opened.
        let Ok(breaking) = Repository::open(Arc::new(breaking), &secret(), None).await else { continue };
        let ended = sync(&breaking, &target).await;
        let here = target.snapshots().await.unwrap().whole;
        for id in here.iter().map(|handle| handle.snapshot.id) {
            assert_eq!(relied_on(&origin, id).await, relied_on(&target, id).await, "{number}: {id}");
        }
        alone += usize::from(ended.is_err() && here.len() == 1);
        assert_eq!(sync(&origin, &target).await.unwrap().skipped as usize, here.len());
    }
    assert!(alone > 0, "it never breaks off between the two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_commits_take_long_is_announced_again() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let ids = three_snapshots(&origin).await;
    let here = Arc::new(MemoryStore::new());
    let target = repository(here.clone(), secret(), Some(&origin)).await;
    let clock = Arc::<TestClock>::default();
    let passing = Arc::clone(&clock);
    let slow = overtaken(&here, "snapshot/", async move { passing.pass(Duration::from_mins(11)) }.boxed());
    let store = Record::new(slow);
    let slow = open(Arc::new(store.clone()), secret()).await.with_clock(clock);
    assert_eq!(sync(&origin, &slow).await.unwrap().copied, ids);
    let calls = store.calls();
    let intents = calls.iter().filter(|call| call.name == call::PUT && call.key.starts_with("intent/"));
    assert_eq!(intents.count(), 2);
    assert!(here.list("intent/", None, 10).await.unwrap().objects.is_empty());
    expect_equal(&origin, &target, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_dies_at_any_put_is_taken_up_again() {
    let there = Arc::new(MemoryStore::new());
    let origin = repository(there.clone(), secret(), None).await;
    let small = MemorySource::new();
    (0..8_u64).for_each(|number| small.put(format!("{number}").as_str(), noise(number, 9000)));
    let ids = snapshots_of(&origin, small).await;
    for alike in [true, false] {
        for fault in [FaultKind::Fail(ErrorClass::Denied), FaultKind::LoseAnswer] {
            let mut died = 0;
            for number in 1.. {
                let here = Arc::new(MemoryStore::new());
                repository(here.clone(), secret(), alike.then_some(&origin)).await;
                // Nothing is tidied up by a process that is gone.
                let dying = Fault::new(here.clone(), 1).at(call::PUT, number, fault).one_in(
                    call::DELETE,
                    1,
                    FaultKind::Fail(ErrorClass::Denied),
                );
                let ended = sync(&origin, &open(Arc::new(dying), secret()).await).await;
                let target = open(here.clone(), secret()).await;
                let whole = target.snapshots().await.unwrap().whole.len();
                assert!(whole == 3 || ended.is_err(), "an incomplete sync must not say that it is done");
                expect_whole_but_for_leftovers(&target).await;
                let resumed = sync(&origin, &target).await.unwrap();
                assert_eq!(resumed.skipped as usize, whole);
                expect_equal(&origin, &target, &ids).await;
                if ended.is_ok() {
                    break;
                }
                died = number;
            }
            // Three go together where the keys are alike.
            assert!(died >= if alike { 8 } else { 12 }, "alike: {alike}, {died} puts");
        }
    }
}

/// What a dead run leaves harms nothing that was committed.
pub(super) async fn expect_whole_but_for_leftovers(target: &Repository) {
    let options = crate::check::CheckOptions::reading(crate::check::Sample::All);
    let report = crate::check::run(target, &options, &RunContext::default()).await.unwrap();
    assert!(report.findings.iter().all(|finding| finding.affects.is_empty()), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_indexed_before_a_death_is_not_uploaded_again() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    three_snapshots(&origin).await;
    let here = Arc::new(MemoryStore::new());
    repository(here.clone(), secret(), None).await;
    // Data pack, metadata pack, intent, index segment; the usage list fails.
    let dying = Fault::new(here.clone(), 1).at(call::PUT, 5, FaultKind::Fail(ErrorClass::Denied));
    sync(&origin, &open(Arc::new(dying), secret()).await).await.unwrap_err();
    let resumed = sync(&origin, &open(here, secret()).await).await.unwrap();
    assert_eq!(resumed.copied.len(), 3);
    assert!(resumed.bytes < 1_000_000, "{} bytes were uploaded again", resumed.bytes);
}

/// A snapshot of one more object, whose data is damaged, and the pack of that.
async fn damaged(origin: &Repository, store: &MemoryStore) -> (SnapshotId, credenza_model::StoreKey) {
    let (before, other) = (store.keys(), MemorySource::new());
    other.put("alone", noise(77, 40_000));
    let lone = snapshot(origin, &other).await;
    let fresh = |key: &&credenza_model::StoreKey| key.as_str().starts_with("data/") && !before.contains(key);
    let pack = store.keys().iter().find(fresh).cloned().unwrap();
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    bytes[20_000] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    (lone, pack)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_named_and_left_out_and_the_others_arrive() {
    for alike in [true, false] {
        let store = Arc::new(MemoryStore::new());
        let origin = repository(store.clone(), secret(), None).await;
        let ids = three_snapshots(&origin).await;
        let (lone, pack) = damaged(&origin, &store).await;
        let target = repository(Arc::new(MemoryStore::new()), secret(), alike.then_some(&origin)).await;
        let report = sync(&origin, &target).await.unwrap();
        assert_eq!((&report.copied, report.failed), (&ids, 1), "alike: {alike}");
        assert!(!report.findings.is_empty());
        for finding in &report.findings {
            assert_eq!((finding.damage.object.as_str(), finding.damage.kind), (pack.as_str(), DamageKind::Corrupt));
            assert!(finding.affects.contains(&lone));
        }
        expect_equal(&origin, &target, &ids).await;
        store.tamper(&pack, None);
        let report = sync(&origin, &target).await.unwrap();
        assert_eq!((report.skipped, report.failed), (3, 1));
        assert_eq!(report.findings[0].damage.kind, DamageKind::Missing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_list_that_leaves_out_what_the_tree_needs_is_no_whole_snapshot() {
    let store = Arc::new(MemoryStore::new());
    let origin = repository(store.clone(), secret(), None).await;
    let id = snapshot(&origin, &source()).await;
    let object = ObjectId::new(*id.as_bytes());
    let body = origin.body(origin.store(), ObjectKind::Usage, object).await.unwrap().unwrap().unwrap();
    let whole = Usage::decode(&body).unwrap();
    for left_out in 0..whole.packs.len() {
        let mut usage = whole.clone();
        usage.packs.remove(left_out);
        let mut lying = handle(&origin, id).await.snapshot;
        lying.usage = usage.digest().unwrap();
        let usage = seal_document(origin.keys(), ObjectKind::Usage, object, &usage.encode().unwrap()).unwrap();
        for sealed in [usage, seal_snapshot(origin.keys(), lying, None).unwrap()] {
            store.tamper(sealed.key(), None);
            crate::write::put(&*store, sealed, None).await.unwrap();
        }
        let target = repository(Arc::new(MemoryStore::new()), secret(), Some(&origin)).await;
        let report = sync(&origin, &target).await.unwrap();
        assert_eq!((report.copied.len(), report.failed), (0, 1));
        assert_eq!(report.findings[0].damage.object, ObjectKind::Usage.store_key(object).to_string());
    }
}

async fn entries(repository: &Repository, id: SnapshotId) -> Vec<Entry> {
    let snapshot = handle(repository, id).await;
    let mut records = repository.view().await.unwrap().records(&snapshot, b"");
    let mut entries = Vec::new();
    while let Some(record) = records.next().await.unwrap() {
        entries.push(record.entry);
    }
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_a_key_arrives() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    let mut ids = Vec::new();
    for number in 0..3_u64 {
        let mut entry = Entry::new(Key::from("key"), EntryKind::File);
        entry.version = Some(Version { id: format!("v{number}"), latest: true, deleted: false });
        source.insert_version(entry, noise(number, 9000));
        source.put("other", noise(50 + number, 9000));
        ids.push(snapshot(&origin, &source).await);
        sync(&origin, &target).await.unwrap();
    }
    for id in ids {
        let (there, here) = (entries(&origin, id).await, entries(&target, id).await);
        assert_eq!(there, here);
        assert!(here.len() >= 2);
    }
    expect_whole(&target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_repository_is_never_made_like_one_in_plain_text() {
    let plain = repository(Arc::new(MemoryStore::new()), Secret::None, None).await;
    let options = crate::CreateOptions {
        like: Some(plain.content_keys()),
        label: "test".to_owned(),
        chunker: plain.config().chunker.params,
        ..crate::CreateOptions::new(secret())
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    assert!(matches!(Repository::create(store, &options).await, Err(Error::NotAlike)));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_syncs_signs_at_the_target() {
    let (origin, target_store) = (repository(Arc::new(MemoryStore::new()), secret(), None).await, MemoryStore::new());
    let target = repository(Arc::new(target_store.clone()), secret(), None).await;
    three_snapshots(&origin).await;
    let key = SigningKey::from_seed(&[1; 32]);
    let options = SyncOptions { signing_key: Some(key.clone()), ..SyncOptions::default() };
    run(&origin, &target, &options, &RunContext::default()).await.unwrap();
    let trusting = AuditOptions { trusted: vec![key.public()], ..AuditOptions::default() };
    let report = audit::run(Arc::new(target_store), &trusting, &RunContext::default()).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.heads.iter().map(|head| head.sequence).collect::<Vec<u64>>(), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_calls_are_answered_a_copy_is_whole() {
    let policy = RetryPolicy { pause_min: Duration::ZERO, pause_max: Duration::ZERO, ..RetryPolicy::default() };
    let there = MemoryStore::new();
    let origin = repository(Arc::new(there.clone()), secret(), None).await;
    let ids = three_snapshots(&origin).await;
    for seed in 0..PERMUTATIONS {
        let stumbling = Fault::new(Arc::new(there.clone()), seed).one_in(call::GET, 8, FaultKind::Tear).one_in(
            call::GET,
            8,
            FaultKind::Fail(ErrorClass::Transient),
        );
        let permuted = Permute::new(Arc::new(Retry::new(Arc::new(stumbling), policy)), seed);
        let permuted_origin = open(Arc::new(permuted), secret()).await;
        let here = MemoryStore::new();
        // Every other target seals the chunks with keys of its own.
        let target = repository(Arc::new(here.clone()), secret(), (seed % 2 == 0).then_some(&origin)).await;
        let stumbling = Fault::new(Arc::new(here), !seed).one_in(call::PUT, 8, FaultKind::LoseAnswer).one_in(
            call::PUT,
            8,
            FaultKind::Fail(ErrorClass::Transient),
        );
        let permuted = Permute::new(Arc::new(Retry::new(Arc::new(stumbling), policy)), !seed);
        let permuted_target = open(Arc::new(permuted), secret()).await;
        let report = sync(&permuted_origin, &permuted_target).await.unwrap();
        assert_eq!((&report.copied, report.failed), (&ids, 0), "seed {seed}");
        expect_equal(&origin, &target, &ids).await;
    }
}

/// A store at which something happens just before the first object of a folder is put; whoever puts another there waits for it.
fn overtaken(inner: &MemoryStore, folder: &'static str, meanwhile: BoxFuture<'static, ()>) -> Arc<Hooked> {
    let meanwhile = Arc::new(tokio::sync::Mutex::new(Some(meanwhile)));
    Hooked::new(inner, move |name, key| {
        if name != call::PUT || !key.starts_with(folder) {
            return ready(Ok(())).boxed();
        }
        let waiting = Arc::clone(&meanwhile);
        async move {
            if let Some(meanwhile) = waiting.lock().await.take() {
                meanwhile.await;
            }
            Ok(())
        }
        .boxed()
    })
}

/// Another run that does all of its work.
fn other_run(origin: &Repository, target: Repository) -> BoxFuture<'static, ()> {
    let origin = origin.clone();
    async move {
        sync(&origin, &target).await.unwrap();
    }
    .boxed()
}

/// A repository of three snapshots beside an empty one in that store, which has its keys or others.
async fn three_beside(here: &Arc<MemoryStore>, alike: bool) -> (Repository, Vec<SnapshotId>) {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let ids = three_snapshots(&origin).await;
    repository(here.clone(), secret(), alike.then_some(&origin)).await;
    (origin, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_that_carry_the_same_one_commits_it_and_the_other_finds_it_there() {
    for alike in [true, false] {
        let here = Arc::new(MemoryStore::new());
        let (origin, ids) = three_beside(&here, alike).await;
        let overtaken = overtaken(&here, "usage/", other_run(&origin, open(here.clone(), secret()).await));
        let report = sync(&origin, &open(overtaken, secret()).await).await.unwrap();
        assert_eq!((report.copied.len(), report.skipped, report.failed), (0, 3, 0), "{:?}", report.findings);
        expect_equal(&origin, &open(here, secret()).await, &ids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_run_has_carried_meanwhile_is_not_put_over_where_the_store_would_let_it() {
    for alike in [true, false] {
        let here = Arc::new(MemoryStore::ignoring_conditions());
        let (origin, ids) = three_beside(&here, alike).await;
        // The other carries all while the first one is on its way with its first.
        let overtaken = overtaken(&here, "index/", other_run(&origin, open(here.clone(), secret()).await));
        let report = sync(&origin, &open(overtaken, secret()).await).await.unwrap();
        assert_eq!((report.copied.len(), report.skipped, report.failed), (0, 3, 0), "{:?}", report.findings);
        let target = open(here, secret()).await;
        expect_equal(&origin, &target, &ids).await;
        let checked = crate::check::run(&target, &crate::check::CheckOptions::default(), &RunContext::default()).await;
        assert!(checked.unwrap().findings.is_empty(), "no link is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_the_list_that_it_states_are_of_one_run_where_the_store_lets_both_be_put_over() {
    for alike in [true, false] {
        let here = Arc::new(MemoryStore::ignoring_conditions());
        let (origin, ids) = three_beside(&here, alike).await;
        let (tell, has_put_its_list) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = tokio::sync::oneshot::channel();
        // The other has put its first list and looked whether the snapshot is there; its snapshot comes when all is carried.
        let late = async move {
            tell.send(()).unwrap();
            may_go_on.await.unwrap();
        };
        let late = overtaken(&here, "snapshot/", late.boxed());
        let other = tokio::spawn(other_run(&origin, open(late, secret()).await));
        let overtaken = overtaken(&here, "usage/", async { has_put_its_list.await.unwrap() }.boxed());
        let mine = open(overtaken, secret()).await;
        sync(&origin, &mine).await.unwrap();
        go_on.send(()).unwrap();
        other.await.unwrap();
        let target = open(here, secret()).await;
        for id in &ids {
            assert_eq!(contents(&target, *id).await, contents(&origin, *id).await);
            assert!(target.usage(&handle(&target, *id).await).await.unwrap().is_some(), "alike: {alike}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_list_of_a_run_that_is_about_to_commit_is_adopted_and_not_removed() {
    for alike in [true, false] {
        let here = Arc::new(MemoryStore::new());
        let (origin, ids) = three_beside(&here, alike).await;
        let late = Record::new(here.clone());
        // The other begins when the first usage list is there and its snapshot is not.
        let other = other_run(&origin, open(Arc::new(late.clone()), secret()).await);
        let overtaken = overtaken(&here, "snapshot/", other);
        let report = sync(&origin, &open(overtaken, secret()).await).await.unwrap();
        assert_eq!((report.copied.len() as u64 + report.skipped, report.failed), (3, 0), "{:?}", report.findings);
        let calls = late.calls();
        let count =
            |name: &str| calls.iter().filter(|call| call.name == name && call.key.starts_with("usage/")).count();
        assert_eq!((count(call::DELETE), count(call::PUT)), (0, 2), "alike: {alike}");
        expect_equal(&origin, &open(here, secret()).await, &ids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_list_that_does_not_hold_the_tree_stops_a_sync_and_one_that_is_damaged_is_put_again() {
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let id = snapshot(&origin, &source()).await;
    let here = Arc::new(MemoryStore::new());
    let target = repository(here.clone(), secret(), Some(&origin)).await;
    let object = ObjectId::new(*id.as_bytes());
    let empty = Usage { packs: Vec::new() }.encode().unwrap();
    let sealed = seal_document(target.keys(), ObjectKind::Usage, object, &empty).unwrap();
    let key = sealed.key().clone();
    crate::write::put(&*here, sealed, None).await.unwrap();
    let stopped = sync(&origin, &target).await;
    assert!(matches!(stopped, Err(Error::CarriedByOther { snapshot }) if snapshot == id), "{stopped:?}");
    assert!(here.bytes(&key).is_some(), "it may be another run's");
    here.tamper(&key, Some(b"noise".to_vec().into()));
    assert_eq!(sync(&origin, &open(here, secret()).await).await.unwrap().copied, [id]);
    expect_equal(&origin, &target, &[id]).await;
}
