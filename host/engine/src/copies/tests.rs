//! Copies between repositories in memory: what is selected, what it weighs, and what proves it.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_connect::Store;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Record, call};
use credenza_format::Policy;
use credenza_model::{ObjectId, SnapshotId, StoreKey, Timestamp};

use super::*;
use crate::gc::{self, GcOptions};
use crate::repository::{DamagedSnapshot, Repository, SnapshotHandle, SnapshotName, Snapshots};
use crate::retention::{self, Bucket, Plan};
use crate::sync::{self, Order, SyncOptions};
use crate::testing::{contents, expect_whole, handle, noise, open, repository, secret, snapshot, unsealed};
use crate::{Damage, DamageKind, Error, RunContext, Secret, SnapshotFilter, Stop, remove};

const DAY: i64 = 86_400;

fn of_days(days: &[u8]) -> Snapshots {
    let whole = days.iter().map(|day| unsealed(*day, "h", i64::from(*day) * DAY)).collect();
    Snapshots { whole, now: credenza_model::Timestamp { seconds: 300 * DAY, nanoseconds: 0 }, ..Snapshots::default() }
}

fn days(handles: &[SnapshotHandle]) -> Vec<u64> {
    handles.iter().map(|handle| handle.snapshot.sequence).collect()
}

#[test]
fn what_is_missing_comes_newest_first_and_what_the_targets_policy_drops_is_not_missing() {
    let (origin, target) = (of_days(&[1, 2, 3, 4, 5]), of_days(&[2]));
    let all = select(&origin, &target, &Meant::default(), None);
    assert_eq!((days(&all.missing), days(&all.shared), all.spared), (vec![5, 4, 3, 1], vec![2], 0));
    let seconds = |time: Option<credenza_model::Timestamp>| time.map(|time| time.seconds / DAY);
    assert_eq!(
        (seconds(all.newest_there), seconds(all.newest_here), seconds(all.behind_since)),
        (Some(5), Some(2), Some(3))
    );
    let policy = Policy { last: 2, ..Policy::default() };
    let two = select(&origin, &target, &Meant::default(), Some(&policy));
    assert_eq!((days(&two.missing), two.spared), (vec![5, 4], 2));
    // The same as the target's own retention: nothing goes to and fro.
    let after = select(&origin, &of_days(&[4, 5]), &Meant::default(), Some(&policy));
    assert_eq!((days(&after.missing), seconds(after.behind_since)), (Vec::new(), None));
    // What the target alone still has takes its place.
    let daily = Policy { daily: 1, ..Policy::default() };
    let mut later = unsealed(9, "h", 5 * DAY + 3600);
    later.snapshot.sequence = 9;
    let target = Snapshots { whole: vec![later], ..of_days(&[]) };
    assert_eq!(days(&select(&origin, &target, &Meant::default(), Some(&daily)).missing), Vec::<u64>::new());
}

#[test]
fn a_source_that_never_arrives_is_behind_whatever_arrives_of_the_others() {
    let mut origin = of_days(&[1, 2, 3, 4, 5]);
    // The second and the third are of another source, of which the target has the second alone, and the fourth is of another machine.
    origin.whole[1].snapshot.source.identity = "mail".to_owned();
    origin.whole[2].snapshot.source.identity = "mail".to_owned();
    origin.whole[3].snapshot.host = "other".to_owned();
    let since = |target: &[u8]| {
        let selection = select(&origin, &of_days(target), &Meant::default(), None);
        selection.behind_since.map(|time| time.seconds / DAY)
    };
    assert_eq!(since(&[1, 2, 5]), Some(3));
    assert_eq!(since(&[1, 2, 3, 5]), Some(4));
    assert_eq!(since(&[2, 3, 4, 5]), None, "what is missing is older than what is there of its source");
}

#[test]
fn sources_hosts_and_tags_say_which_snapshots_are_meant() {
    let mut handle = unsealed(1, "web-1", 0);
    handle.snapshot.source.location = "/srv/shop".to_owned();
    handle.snapshot.tags = vec!["nightly".to_owned()];
    let text = |text: &str| vec![text.to_owned()];
    for (meant, is_meant) in [
        (Meant::default(), true),
        (Meant { sources: text("/srv/*"), ..Meant::default() }, true),
        (Meant { sources: text("/home/*"), ..Meant::default() }, false),
        (Meant { hosts: text("web-*"), tags: text("nightly"), ..Meant::default() }, true),
        (Meant { hosts: text("db-*"), ..Meant::default() }, false),
        (Meant { tags_left_out: text("nightly"), ..Meant::default() }, false),
        (Meant { tags_left_out: text("scratch"), ..Meant::default() }, true),
    ] {
        assert_eq!(meant.matches(&handle), is_meant, "{meant:?}");
    }
}

#[test]
fn what_was_seen_and_is_gone_has_vanished() {
    let seen: BTreeSet<SnapshotId> = of_days(&[1, 2, 3]).whole.iter().map(|handle| handle.snapshot.id).collect();
    assert_eq!((vanished(&seen, &of_days(&[1, 2, 3, 4])), vanished(&seen, &of_days(&[3]))), (0, 2));
    // One that is damaged is there; one that was never seen, or is damaged for long, makes up for none.
    let damaged = |number: u8| {
        let object = format!("snapshot/{}", SnapshotId::new([number; 16]));
        let damage = Damage { object, kind: DamageKind::Invalid, chunk: None, detail: "it cannot be read".to_owned() };
        DamagedSnapshot { damage, place: None }
    };
    let one = Snapshots { damaged: vec![damaged(2), damaged(8), damaged(9)], ..of_days(&[3]) };
    assert_eq!(vanished(&seen, &one), 1);
}

/// Three snapshots that differ by little.
async fn three(origin: &Repository, objects: u64) -> Vec<SnapshotId> {
    let source = MemorySource::new();
    for number in 0..objects {
        source.put(format!("many/{number:06}").as_str(), noise(number, 300));
    }
    let mut ids = vec![snapshot(origin, &source).await];
    for change in 0..2_u64 {
        source.put(format!("many/{:06}", change * 99).as_str(), noise(change + objects, 4000));
        ids.push(snapshot(origin, &source).await);
    }
    ids
}

async fn selected(origin: &Repository, target: &Repository) -> Selection {
    let (there, here) = (origin.snapshots().await.unwrap(), target.snapshots().await.unwrap());
    select(&there, &here, &Meant::default(), None)
}

fn named(handles: &[SnapshotHandle]) -> SyncOptions {
    let snapshots = handles.iter().map(|handle| SnapshotName(handle.snapshot.id.to_string())).collect();
    SyncOptions { snapshots, order: Order::NewestFirst, ..SyncOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_in_bytes_is_what_the_next_run_adds() {
    let run = RunContext::default();
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), Some(&origin)).await;
    let ids = three(&origin, 400).await;
    let first = selected(&origin, &target).await;
    // The newest alone, then what lies behind it.
    for missing in [&first.missing[..1], &first.missing[1..]] {
        let before = lag(&origin, &target, (missing, &[]), &run).await.unwrap();
        let report = sync::run(&origin, &target, &named(missing), &run).await.unwrap();
        assert!(before.is_exact && before.bytes > 0);
        assert_eq!((before.bytes, before.chunks), (report.chunk_bytes, report.chunks));
        assert_eq!(report.copied.len(), missing.len());
    }
    assert_eq!(first.missing[0].snapshot.id, ids[2]);
    let after = selected(&origin, &target).await;
    assert_eq!(after.missing.len(), 0);
    let none = lag(&origin, &target, (&after.missing, &after.shared), &run).await.unwrap();
    assert_eq!((none.bytes, none.chunks, none.snapshots), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_arrives_first_and_what_lies_behind_it_is_joined_with_it_whatever_the_keys() {
    let run = RunContext::default();
    for alike in [true, false] {
        let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let ids = three(&origin, 400).await;
        let target = repository(Arc::new(MemoryStore::new()), secret(), alike.then_some(&origin)).await;
        let missing = selected(&origin, &target).await.missing;
        let report = sync::run(&origin, &target, &named(&missing), &run).await.unwrap();
        assert_eq!(report.copied, [ids[2], ids[1], ids[0]], "alike: {alike}");
        // The two behind it add what they do not share, and no more.
        assert!(report.bytes < 400 * 300 + 150_000, "alike: {alike}, {} bytes", report.bytes);
        for id in ids {
            assert!(contents(&origin, id).await == contents(&target, id).await);
        }
        expect_whole(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_make_the_lag_an_estimate_that_says_so() {
    let run = RunContext::default();
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    three(&origin, 400).await;
    let first = selected(&origin, &target).await.missing;
    let before = lag(&origin, &target, (&first, &[]), &run).await.unwrap();
    let report = sync::run(&origin, &target, &named(&first), &run).await.unwrap();
    assert!(!before.is_exact);
    // Small chunks share frames with others there.
    assert!(before.bytes.abs_diff(report.chunk_bytes) < report.chunk_bytes / 4, "{before:?}, {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_proven_when_its_packs_are_listed_in_their_size_or_were_read() {
    let run = RunContext::default();
    let store = Arc::new(MemoryStore::new());
    let origin = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let target = repository(store.clone(), secret(), Some(&origin)).await;
    three(&origin, 50).await;
    sync::run(&origin, &target, &SyncOptions::default(), &run).await.unwrap();
    let handles = target.snapshots().await.unwrap().whole;
    let is_proven = async |prove: Prove| {
        let proofs = Proofs::load(&target, prove).await.unwrap();
        proofs.proven(&target, &handles).await.unwrap().until.map(|handle| handle.snapshot.id)
    };
    let newest = handles.last().unwrap().snapshot.id;
    assert_eq!((is_proven(Prove::List).await, is_proven(Prove::Read).await), (Some(newest), None));
    let proof = read_new(&target, &handles, &run).await.unwrap();
    assert!(proof.packs > 0 && proof.findings.is_empty());
    assert_eq!(is_proven(Prove::Read).await, Some(newest));
    assert_eq!(read_new(&target, &handles, &run).await.unwrap().packs, 0, "what was read is not read again");
    // A pack that is gone proves nothing any more.
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    store.tamper(&pack, None);
    assert_ne!(is_proven(Prove::List).await, Some(newest));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_that_lost_a_pack_is_not_proven_though_the_newest_is() {
    let store = Arc::new(MemoryStore::new());
    let target = repository(store.clone(), secret(), None).await;
    let source = MemorySource::new();
    source.put("a", noise(1, 9000));
    snapshot(&target, &source).await;
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    source.put("a", noise(2, 9000));
    let newest = snapshot(&target, &source).await;
    let handles = target.snapshots().await.unwrap().whole;
    let proven = async || {
        let proofs = Proofs::load(&target, Prove::List).await.unwrap();
        let proven = proofs.proven(&target, &handles).await.unwrap();
        (proven.until.map(|handle| handle.snapshot.id), proven.unproven)
    };
    assert_eq!(proven().await, (Some(newest), 0));
    store.tamper(&pack, None);
    assert_eq!(proven().await, (None, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_proving_finds_is_on_record_and_the_copy_counts_no_more() {
    let run = RunContext::default();
    let store = Arc::new(MemoryStore::new());
    let target = repository(store.clone(), secret(), None).await;
    three(&target, 50).await;
    let handles = target.snapshots().await.unwrap().whole;
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    let proof = read_new(&target, &handles, &run).await.unwrap();
    assert_eq!(proof.findings.len(), 1);
    let proofs = Proofs::load(&target, Prove::Read).await.unwrap();
    let affected = &proof.findings[0].affects;
    for handle in &handles {
        let is_affected = affected.contains(&handle.snapshot.id);
        assert_eq!(proofs.cover(&target, handle).await.unwrap(), !is_affected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_lacks_nothing_costs_few_requests_and_a_copy_of_many_small_objects_few_more() {
    let run = RunContext::default();
    let there = Record::new(Arc::new(MemoryStore::new()));
    let origin = repository(Arc::new(there.clone()), secret(), None).await;
    three(&origin, 20_000).await;
    let here = Record::new(Arc::new(MemoryStore::new()));
    let target = repository(Arc::new(here.clone()), secret(), Some(&origin)).await;
    let missing = selected(&origin, &target).await.missing;
    let packs = origin.index_for_reading().await.unwrap().packs().len();
    here.clear();
    there.clear();
    sync::run(&origin, &target, &named(&missing), &run).await.unwrap();
    let (read, written) = (there.calls().len(), here.calls().len());
    let made = target.index_for_reading().await.unwrap().packs().len();
    println!(
        "3 snapshots of 20,000 objects alike: {read} requests at the origin with {packs} packs, {written} at the target for {made}"
    );
    // A pack whose blobs are wanted at two moments is asked for twice: which are hangs on who is done first.
    assert!(read <= 2 * packs + 20, "{read} requests at the origin, {packs} packs");
    assert!(written <= made + 20, "{written} requests at the target, {made} packs: {:#?}", here.calls());
    here.clear();
    let target = Repository::open(Arc::new(here.clone()), &secret(), None).await.unwrap();
    let selection = selected(&origin, &target).await;
    assert_eq!(selection.missing.len(), 0);
    sync::run(&origin, &target, &named(&selection.shared), &run).await.unwrap();
    let asked: Vec<String> = here.calls().iter().map(|call| format!("{} {}", call.name, call.key)).collect();
    println!("unchanged, at the target: {asked:#?}");
    let gets = here.count(call::GET);
    assert!(asked.len() - gets <= 6, "{asked:?}");
}

#[tokio::test]
async fn what_is_in_plain_text_is_alike_to_nothing_encrypted() {
    let origin = repository(Arc::new(MemoryStore::new()), Secret::None, None).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let none = lag(&origin, &target, (&[], &[]), &RunContext::default()).await.unwrap();
    assert!(!none.is_exact && none.bytes == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_keeps_is_locked_for_longer_with_all_that_it_stands_on() {
    let store = MemoryStore::versioned();
    store.set_clock(at(0));
    let target = locking(&store).await;
    let source = MemorySource::new();
    source.put("shared", noise(1, 9000));
    source.put("only in November", noise(2, 9000));
    let november = snapshot(&target, &source).await;
    let held = contents(&target, november).await;
    // The next comes in December.
    store.set_clock(at(20));
    source.remove(&"only in November".into());
    source.put("only in December", noise(3, 9000));
    let december = snapshot(&target, &source).await;
    let plan = || monthly(&target, at(20));
    let stop = Stop::default();
    let before = locked(&target, (&plan().await, at(20)), &MONTHS).await.unwrap();
    assert_eq!((before[0].class, before[0].snapshots, before[0].days), ("monthly", 1, Some(30)));
    assert_eq!(before[0].locked, 0, "30 days are no 400");
    assert_eq!(lock(&target, (&plan().await, at(20)), &MONTHS, &stop).await.unwrap(), 1);
    assert_eq!(lock(&target, (&plan().await, at(20)), &MONTHS, &stop).await.unwrap(), 0, "it is locked");
    let after = locked(&target, (&plan().await, at(20)), &MONTHS).await.unwrap();
    assert_eq!((after[0].snapshots, after[0].days), (1, Some(400)), "the month of the other is not over");
    assert_eq!(after[0].locked, 1);
    // Somebody with every right comes when all else may be deleted.
    let left = left_at(&store, at(399)).await;
    let ids: Vec<SnapshotId> = left.snapshots().await.unwrap().whole.iter().map(|handle| handle.snapshot.id).collect();
    assert_eq!(ids, [november], "{december} was locked for 30 days");
    assert!(contents(&left, november).await == held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_locked_where_it_lies_since_a_collector_moved_it() {
    let store = MemoryStore::versioned();
    store.set_clock(at(0));
    let target = locking(&store).await;
    let source = MemorySource::new();
    source.put("kept", noise(1, 300_000));
    source.put("gone", noise(2, 4_000_000));
    let first = snapshot(&target, &source).await;
    source.remove(&"gone".into());
    let second = snapshot(&target, &source).await;
    let held = contents(&target, second).await;
    let before = in_folder(&store, "data/");
    // The locks of the repository are over: the pack may be moved, and is.
    store.set_clock(at(40));
    remove::run(&target, &[handle(&target, first).await], None).await.unwrap();
    let report = gc::run(&target, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert!(report.repacked > 0 && report.deleted > 0, "{report:?}");
    let after = in_folder(&store, "data/");
    assert!(!after.is_empty() && after.iter().all(|pack| !before.contains(pack)), "{before:?}, {after:?}");
    let plan = monthly(&target, at(40)).await;
    assert_eq!(lock(&target, (&plan, at(40)), &MONTHS, &Stop::default()).await.unwrap(), 1);
    assert_eq!(lock(&target, (&plan, at(40)), &MONTHS, &Stop::default()).await.unwrap(), 0, "it is locked");
    let left = left_at(&store, at(399)).await;
    let there = in_folder(&store, "data/");
    assert!(after.iter().all(|pack| there.contains(pack)), "{after:?}, {there:?}");
    assert!(contents(&left, second).await == held);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_snapshot_that_is_damaged_keeps_no_other_from_being_locked() {
    for (folder, told) in [("usage/", "usage/"), ("index/", "index of pack ")] {
        let store = MemoryStore::versioned();
        store.set_clock(at(0));
        let target = locking(&store).await;
        let source = MemorySource::new();
        source.put("only in November", noise(1, 9000));
        let november = snapshot(&target, &source).await;
        let of_november = in_folder(&store, folder);
        store.set_clock(at(20));
        source.remove(&"only in November".into());
        source.put("only in December", noise(2, 9000));
        let december = snapshot(&target, &source).await;
        let held = contents(&target, december).await;
        // It is January.
        store.set_clock(at(50));
        of_november.iter().for_each(|key| store.tamper(key, Some(noise(3, 200).into())));
        let target = open(Arc::new(store.clone()), secret()).await;
        let plan = monthly(&target, at(50)).await;
        let failed = lock(&target, (&plan, at(50)), &MONTHS, &Stop::default()).await;
        let is_told = matches!(&failed, Err(Error::Damage(damage)) if damage.object.starts_with(told));
        assert!(is_told, "{folder}: {failed:?}");
        let index = target.index_for_reading().await.unwrap();
        let until = |id: SnapshotId| index.locked_until(&ObjectId::new(*id.as_bytes()));
        assert!(until(december) >= Some(at(420)) && until(november) < Some(at(400)), "{folder}");
        let left = left_at(&store, at(419)).await;
        assert!(contents(&left, december).await == held, "{folder}");
    }
}

/// What is kept of a month is locked for more than a year.
const MONTHS: [ClassLock; 1] = [ClassLock { class: Bucket::Month, days: 400 }];

/// So many days after a day in November.
fn at(day: i64) -> Timestamp {
    Timestamp { seconds: 1_700_000_000 + day * DAY, nanoseconds: 0 }
}

/// Which snapshots are kept when one of each month is.
async fn monthly(target: &Repository, now: Timestamp) -> Plan {
    let here = Snapshots { now, ..target.snapshots().await.unwrap() };
    retention::plan(here, &Policy { monthly: 12, ..Policy::default() }, &SnapshotFilter::default())
}

fn in_folder(store: &MemoryStore, folder: &str) -> Vec<StoreKey> {
    store.keys().into_iter().filter(|key| key.as_str().starts_with(folder)).collect()
}

/// What is left when somebody with every right comes then, and the owner afterwards.
async fn left_at(store: &MemoryStore, time: Timestamp) -> Repository {
    store.set_clock(time);
    store.delete(&store.keys()).await.unwrap();
    store.destroy_unlocked();
    store.reveal();
    open(Arc::new(store.clone()), secret()).await
}

/// A repository that locks for 30 days.
async fn locking(store: &MemoryStore) -> Repository {
    let options = crate::CreateOptions {
        secret: secret(),
        like: None,
        label: String::new(),
        chunker: credenza_format::ChunkerParams::default(),
        compression: 1,
        retain_days: Some(30),
        parity: None,
    };
    Repository::create(Arc::new(store.clone()), &options).await.unwrap();
    open(Arc::new(store.clone()), secret()).await
}
