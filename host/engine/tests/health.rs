//! The record of what was found damaged and of what was read: who is believed, how long, and what others do by it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::*;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_engine::check::{self, CheckOptions, CheckReport, Sample};
use credenza_engine::repair::{self, Mend, RepairOptions, RepairReport};
use credenza_engine::{DamageKind, Repository, RunContext, Secret};
use credenza_format::{Access, DamagedObject, Fact, Hex, Note, ObjectKind, ReadPack, seal_document};
use credenza_model::{ObjectId, StoreKey};

const STRUCTURE: CheckOptions = CheckOptions { read_data: None, one_by_one: false };
const ALL: CheckOptions = CheckOptions::reading(Sample::All);

async fn check(repository: &Repository, options: CheckOptions) -> CheckReport {
    check::run(repository, &options, &RunContext::default()).await.unwrap()
}

async fn repair(repository: &Repository, apply: bool) -> RepairReport {
    let options = RepairOptions { apply, ..RepairOptions::default() };
    repair::run(repository, &options, &RunContext::default()).await.unwrap()
}

/// The objects that a check of the structure names.
async fn named(repository: &Repository) -> Vec<String> {
    check(repository, STRUCTURE).await.findings.into_iter().map(|finding| finding.damage.object).collect()
}

/// Turns one bit of an object; what it was.
fn rot(store: &MemoryStore, key: &StoreKey) -> Bytes {
    let whole = store.bytes(key).unwrap();
    let mut rotten = whole.to_vec();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 1;
    store.tamper(key, Some(rotten.into()));
    whole
}

/// A repository with one snapshot, and its data pack.
async fn one_snapshot() -> (MemoryStore, Repository, StoreKey) {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    backup(&repository, "a", &files(0..20)).await.unwrap();
    let pack = keys(&store, "data/").remove(0);
    (store, repository, pack)
}

fn id_of(key: &StoreKey) -> ObjectId {
    ObjectKind::parse(key).unwrap().1
}

async fn put_back(store: &MemoryStore, key: &StoreKey, bytes: Bytes) {
    store.put(key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
}

/// Puts a note sealed with the keys of a repository.
async fn leave(store: &MemoryStore, repository: &Repository, fact: Fact) {
    let note = Note { created: at(BEGIN), writer: Hex([1; 16]), fact };
    let id = ObjectId::new([7; 16]);
    let sealed = seal_document(&repository.content_keys(), ObjectKind::Note, id, &note.encode().unwrap()).unwrap();
    let key = sealed.key().clone();
    store.put(&key, Payload::new(sealed.into_pieces()), &PutOptions::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_once_found_is_named_by_check_repair_and_maintain_until_it_is_mended() {
    let (store, repository, pack) = one_snapshot().await;
    let other = open(Arc::new(store.clone()), &key_file()).await;
    rot(&store, &pack);
    assert_eq!(named(&repository).await, [""; 0], "nobody has read it");
    check(&repository, ALL).await;
    assert_eq!(named(&other).await, [pack.to_string()]);
    let plan = repair(&other, false).await;
    assert!(matches!(&plan.mends[..], [Mend::Replaced { pack: planned, .. }] if *planned == pack), "{plan:?}");
    let collected = collect(&other).await.unwrap();
    let damages: Vec<&str> = collected.damages.iter().map(|damage| damage.object.as_str()).collect();
    assert_eq!((damages, collected.deleted), (vec![pack.as_str()], 0));
    let done = repair(&other, true).await;
    assert_eq!(done.mends, plan.mends);
    assert!(!done.lost.is_empty() && named(&repository).await == [pack.to_string()], "what is lost is named");
    backup(&repository, "a", &files(0..20)).await.unwrap();
    assert_eq!(named(&other).await, [""; 0], "a backup brought it back");
    let collected = collect(&other).await.unwrap();
    assert_eq!((collected.damages.len(), collected.damaged_deleted), (0, 1));
    assert_eq!(damages_of(&check(&other, ALL).await), 0);
}

fn damages_of(report: &CheckReport) -> usize {
    report.findings.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_note_is_checked_and_repaired_all_the_same_and_that_is_said() {
    let (store, _, pack) = one_snapshot().await;
    rot(&store, &pack);
    let closed = Fault::new(Arc::new(store.clone()), 1).one_in(call::PUT, 1, FaultKind::Fail(ErrorClass::Denied));
    let closed = Repository::open(Arc::new(closed), &key_file(), None).await.unwrap();
    let report = check(&closed, ALL).await;
    assert_eq!(damages_of(&report), 1);
    assert!(report.unrecorded.is_some_and(|why| why.contains("note/")));
    let options = RepairOptions { read_data: true, ..RepairOptions::default() };
    let plan = repair::run(&closed, &options, &RunContext::default()).await.unwrap();
    assert!(plan.unrecorded.is_some() && plan.mends.len() == 1, "{plan:?}");
    assert!(check(&closed, STRUCTURE).await.unrecorded.is_none(), "there is nothing to put on record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_who_may_add_notes_hides_no_damage_and_brands_no_pack() {
    let (store, repository, pack) = one_snapshot().await;
    let secret = Secret::KeyFile(vec![2; 32].into());
    repository.add_slot(&secret.lock().unwrap(), Access::Writer, "server").await.unwrap();
    let writer = open(Arc::new(store.clone()), &secret).await;
    rot(&store, &pack);
    check(&repository, ALL).await;
    let healthy = keys(&store, "meta/").remove(0);
    let damaged = DamagedObject { object: healthy.to_string(), kind: "corrupt".into(), found: at(BEGIN * 2) };
    let read = ReadPack { pack: id_of(&pack), at: at(BEGIN * 2) };
    leave(&store, &writer, Fact::Health { damaged: vec![damaged], read: vec![read] }).await;
    assert_eq!(named(&repository).await, [pack.to_string()]);
    let collected = collect(&repository).await.unwrap();
    assert_eq!((collected.damages.len(), collected.deleted), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_claim_of_damage_costs_a_reading_and_no_pack() {
    let store = MemoryStore::new();
    let plain = create(&store, Secret::None).await;
    backup(&plain, "a", &files(0..20)).await.unwrap();
    let pack = keys(&store, "data/").remove(0);
    let damaged = DamagedObject { object: pack.to_string(), kind: "corrupt".into(), found: at(BEGIN * 2) };
    leave(&store, &plain, Fact::Health { damaged: vec![damaged], read: Vec::new() }).await;
    assert_eq!(named(&plain).await, [pack.to_string()]);
    assert_eq!(collect(&plain).await.unwrap().deleted, 0);
    let done = repair(&plain, true).await;
    assert_eq!((done.mends.len(), done.lost.len()), (0, 0), "{done:?}");
    assert_eq!(named(&plain).await, [""; 0]);
    assert!(store.bytes(&pack).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_note_that_is_put_back_hides_nothing() {
    let (store, repository, pack) = one_snapshot().await;
    check(&repository, ALL).await;
    let note = keys(&store, "note/").remove(0);
    let old = store.bytes(&note).unwrap();
    store.tamper(&note, None);
    rot(&store, &pack);
    check(&repository, ALL).await;
    put_back(&store, &note, old).await;
    assert_eq!(named(&repository).await, [pack.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_somebody_ruined_is_named_until_everything_was_read() {
    let (store, repository, pack) = one_snapshot().await;
    rot(&store, &pack);
    check(&repository, ALL).await;
    let note = keys(&store, "note/").remove(0);
    store.tamper(&note, Some(Bytes::from_static(b"ruined")));
    assert_eq!(named(&repository).await, [note.to_string()]);
    assert_eq!(collect(&repository).await.unwrap().damages.len(), 1);
    assert_eq!(repair(&repository, true).await.lost.len(), 1, "what it said is unknown");
    let options = RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };
    let done = repair::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert!(done.mends.contains(&Mend::Dropped { object: note }), "{done:?}");
    assert_eq!(named(&repository).await, [pack.to_string()], "its damage was found again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_pack_that_is_gone_is_passed_over_and_goes_when_notes_are_merged() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let gone = backup(&repository, "a", &files(0..20)).await.unwrap();
    let pack = keys(&store, "data/").remove(0);
    backup(&repository, "a", &files(50..60)).await.unwrap();
    rot(&store, &pack);
    for _ in 0..20 {
        check(&repository, ALL).await;
    }
    assert_eq!(keys(&store, "note/").len(), 20);
    rm(&repository, gone).await;
    store.set_clock(at(BEGIN + 10 * DAY));
    let collected = collect(&repository).await.unwrap();
    assert_eq!((collected.damages.len(), collected.damaged_deleted, collected.notes_merged), (0, 1, 20));
    assert_eq!(keys(&store, "note/").len(), 1);
    let report = check(&repository, STRUCTURE).await;
    assert_eq!((damages_of(&report), report.packs_never_read), (0, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_machines_that_check_at_once_both_are_heard() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    for number in 0..4 {
        backup(&repository, "a", &files(number * 10..number * 10 + 10)).await.unwrap();
    }
    let packs = keys(&store, "data/");
    let other = open(Arc::new(store.clone()), &key_file()).await;
    rot(&store, &packs[0]);
    rot(&store, &packs[1]);
    let (one, two) = tokio::join!(check(&repository, ALL), check(&other, ALL));
    assert_eq!((damages_of(&one), damages_of(&two)), (2, 2));
    assert_eq!(named(&repository).await, [packs[0].to_string(), packs[1].to_string()]);
    let read = check(&other, STRUCTURE).await;
    assert_eq!(read.packs_never_read, 2);
}

/// Two packs hold the same chunks, one of them for no snapshot: it is the only whole one when the other rots.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_whole_copy_of_what_is_on_record_as_damaged_is_kept_and_mends_it() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let files = files(0..20);
    let kept = backup(&repository, "a", &files).await.unwrap();
    let pack = keys(&store, "data/").remove(0);
    let hidden: Vec<(StoreKey, Bytes)> =
        keys(&store, "index/").into_iter().map(|key| (key.clone(), store.bytes(&key).unwrap())).collect();
    hidden.iter().for_each(|(key, _)| store.tamper(key, None));
    let twin = backup(&open(Arc::new(store.clone()), &key_file()).await, "b", &files).await.unwrap();
    for (key, bytes) in hidden {
        put_back(&store, &key, bytes).await;
    }
    assert_eq!(keys(&store, "data/").len(), 2);
    rm(&repository, twin).await;
    rot(&store, &pack);
    let found = check(&repository, ALL).await.findings;
    assert_eq!(found.iter().map(|found| found.damage.kind).collect::<Vec<_>>(), [DamageKind::Corrupt], "{found:?}");
    store.set_clock(at(BEGIN + 10 * DAY));
    assert_eq!(collect(&repository).await.unwrap().damages.len(), 1);
    assert_eq!(keys(&store, "data/").len(), 2, "the twin is kept");
    let done = repair(&repository, true).await;
    assert!(done.lost.is_empty() && !done.mends.is_empty(), "{done:?}");
    restores(&repository, kept, &files).await.unwrap();
    assert_eq!(named(&repository).await, [""; 0]);
}
