//! What lies in a store beside a repository stops nothing, and what somebody may put who holds no key costs only itself.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Files, at, create, file, key_file, open, restores, source};
use credenza_connect::memory::MemoryStore;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::audit::{self, AuditOptions};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use credenza_engine::check::{self, CheckOptions, Sample};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::repair::{self, RepairOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{Error, Repository, RunContext, SnapshotName, key_slots};
use credenza_model::StoreKey;

/// What consoles, file managers and people leave, where every kind of object has its place.
const STRAYS: [&str; 14] = [
    "notes.txt",
    "condemned/x",
    "config.old",
    "data/00/ds_store",
    "data/stray",
    "index/x",
    "intent/x",
    "key/x",
    "meta/x",
    "probe/x",
    "removed/x",
    "snapshot/a7",
    "snapshot/folder/x",
    "usage/x",
];
/// A name that an object could have.
const ID: &str = "a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7";

async fn put(store: &MemoryStore, name: &str, bytes: Bytes) {
    let key = StoreKey::new(name).unwrap();
    store.put(&key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
}

async fn back_up(repository: &Repository, files: &Files) -> BackupReport {
    let options = BackupOptions { host: "host".into(), user: "user".into(), ..BackupOptions::default() };
    backup::run(repository, Arc::new(source(files)), &options, &RunContext::default()).await.unwrap()
}

async fn with_two_snapshots() -> (MemoryStore, Repository, Files) {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let mut files = Files::from([("a".to_owned(), file(1)), ("b".to_owned(), file(2))]);
    back_up(&repository, &files).await;
    files.insert("c".to_owned(), file(3));
    back_up(&repository, &files).await;
    (store, repository, files)
}

#[tokio::test]
async fn strays_stop_nothing_and_are_counted_and_named() {
    let (store, _, mut files) = with_two_snapshots().await;
    for name in STRAYS {
        put(&store, name, Bytes::from_static(b"not mine")).await;
    }
    let repository = open(Arc::new(store.clone()), &key_file()).await;
    assert_eq!(key_slots(&store).await.unwrap().len(), 1);
    files.insert("d".to_owned(), file(4));
    let report = back_up(&repository, &files).await;
    assert_eq!(report.damages, []);
    assert_eq!(restores(&repository, report.snapshot.unwrap(), &files).await, Ok(()));

    let mut named: Vec<&str> = STRAYS.to_vec();
    named.sort_unstable();
    let options = CheckOptions::reading(Sample::All);
    let checked = check::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!((checked.findings, checked.strays.count()), (Vec::new(), STRAYS.len() as u64));
    assert!(checked.strays.names().eq(named));
    let audited = audit::run(Arc::new(store.clone()), &AuditOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!((audited.findings, audited.strays.count()), (Vec::new(), STRAYS.len() as u64));

    let repaired =
        repair::run(&repository, &RepairOptions { apply: true, ..RepairOptions::default() }, &RunContext::default())
            .await;
    assert_eq!(repaired.unwrap().mends, []);
    store.set_clock(at(common::BEGIN + 30 * common::DAY));
    gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
    let other = MemoryStore::new();
    let copy = create(&other, key_file()).await;
    for name in STRAYS {
        put(&other, name, Bytes::from_static(b"not mine")).await;
    }
    let synced = sync::run(&repository, &copy, &SyncOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!((synced.copied.len(), synced.failed), (3, 0));
    for name in STRAYS {
        assert!(store.bytes(&StoreKey::new(name).unwrap()).is_some(), "{name} was deleted, and is somebody's");
    }
}

/// What somebody can put who may put and neither delete nor overwrite, of every kind.
fn forgeries() -> Vec<String> {
    let kinds = ["index", "condemned", "snapshot", "usage", "intent", "key", "removed", "note"];
    kinds.iter().map(|kind| format!("{kind}/{ID}")).collect()
}

#[tokio::test]
async fn what_is_put_without_a_key_costs_only_itself() {
    for name in forgeries() {
        let (store, _, mut files) = with_two_snapshots().await;
        put(&store, &name, Bytes::from_static(b"of no kind")).await;
        let repository = open(Arc::new(store.clone()), &key_file()).await;
        let old = repository.snapshots().await.unwrap().whole.pop().unwrap();
        assert_eq!(restores(&repository, old.snapshot.id, &files).await, Ok(()), "{name}");

        files.insert("d".to_owned(), file(4));
        let report = back_up(&repository, &files).await;
        assert!(report.damages.iter().all(|damage| damage.object == name), "{name}: {:?}", report.damages);
        assert_eq!(restores(&repository, report.snapshot.unwrap(), &files).await, Ok(()), "{name}");

        let checked =
            check::run(&repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
        let found: Vec<&str> = checked.findings.iter().map(|finding| finding.damage.object.as_str()).collect();
        assert_eq!(found, [name.as_str()]);
    }
}

#[tokio::test]
async fn a_backup_names_what_it_does_without() {
    for name in [format!("index/{ID}"), format!("condemned/{ID}"), format!("snapshot/{ID}")] {
        let (store, _, files) = with_two_snapshots().await;
        put(&store, &name, Bytes::from_static(b"of no kind")).await;
        let repository = open(Arc::new(store), &key_file()).await;
        let report = back_up(&repository, &files).await;
        let named: Vec<&str> = report.damages.iter().map(|damage| damage.object.as_str()).collect();
        assert_eq!(named, [name.as_str()]);
    }
}

/// A record of condemned packs that nobody can read may name any pack that was there before.
#[tokio::test]
async fn with_an_unreadable_record_nothing_that_was_there_is_relied_on() {
    let (store, repository, files) = with_two_snapshots().await;
    let unchanged = back_up(&repository, &files).await.bytes_added;
    put(&store, &format!("condemned/{ID}"), Bytes::from_static(b"of no kind")).await;
    let again = back_up(&repository, &files).await;
    let contents: u64 = files.values().map(|content| content.len() as u64).sum();
    assert!(again.bytes_added > unchanged + contents / 2, "{} bytes", again.bytes_added);
    assert_eq!(restores(&repository, again.snapshot.unwrap(), &files).await, Ok(()));
}

#[tokio::test]
async fn the_owner_clears_away_what_others_put_and_space_can_be_reclaimed_again() {
    for name in [format!("index/{ID}"), format!("condemned/{ID}"), format!("snapshot/{ID}")] {
        let (store, repository, files) = with_two_snapshots().await;
        put(&store, &name, Bytes::from_static(b"of no kind")).await;
        let refused = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await;
        assert!(matches!(refused, Err(Error::Damage(damage)) if damage.object == name));
        let options = RepairOptions { apply: true, drop_snapshots: true, ..RepairOptions::default() };
        repair::run(&repository, &options, &RunContext::default()).await.unwrap();
        gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
        let newest = repository.find(&SnapshotName("latest".to_owned())).await.unwrap();
        assert_eq!(restores(&repository, newest.snapshot.id, &files).await, Ok(()), "{name}");
    }
}

#[tokio::test]
async fn of_nothing_that_was_put_without_a_key_anything_is_left_once_it_was_repaired_and_has_expired() {
    let (store, repository, files) = with_two_snapshots().await;
    let before = store.keys();
    for name in forgeries().into_iter().chain(["copy/key", "copy/removed"].map(|folder| format!("{folder}/{ID}"))) {
        put(&store, &name, Bytes::from_static(b"of no kind")).await;
    }
    let options = RepairOptions { apply: true, drop_snapshots: true, read_data: true, ..RepairOptions::default() };
    let repaired = repair::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!(repaired.mends.len(), 8, "{:?}", repaired.mends);
    // What only expires goes with a collection.
    store.set_clock(at(common::BEGIN + 30 * common::DAY));
    gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!(store.keys().into_iter().filter(|key| key.as_str().ends_with(ID)).collect::<Vec<_>>(), []);
    assert!(before.iter().filter(|key| key.as_str().starts_with("key/")).all(|slot| store.bytes(slot).is_some()));
    let checked = check::run(&repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
    assert_eq!(checked.findings, []);
    let newest = repository.find(&SnapshotName("latest".to_owned())).await.unwrap();
    assert_eq!(restores(&repository, newest.snapshot.id, &files).await, Ok(()));
}
