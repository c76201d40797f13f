//! What `latest` means: the snapshot that was made last, not the newest that can be read nor the one with the latest date; or nothing, in words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{BEGIN, DAY, Files, at, create, file, key_file, open, rm, source};
use credenza_connect::memory::MemoryStore;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::backup::{self, BackupOptions, BackupReport, Dated};
use credenza_engine::{Clock, DamageKind, Error, Moment, Repository, RunContext, SnapshotHandle, SnapshotName, remove};
use credenza_model::{SnapshotId, Timestamp};

/// This machine's clock, where a test wants it.
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Moment {
        Moment { monotonic: Duration::ZERO, wall: self.0 }
    }
}

fn latest() -> SnapshotName {
    SnapshotName("latest".to_owned())
}

/// A repository on a machine whose clock is right.
async fn opened(store: &MemoryStore, now: i64) -> Repository {
    open(Arc::new(store.clone()), &key_file()).await.with_clock(Arc::new(At(at(now))))
}

/// Makes a snapshot when the store's clock says so.
async fn snapshot_at(store: &MemoryStore, repository: &Repository, seconds: i64) -> SnapshotId {
    made_by("h", store, repository, seconds).await
}

async fn made_by(host: &str, store: &MemoryStore, repository: &Repository, seconds: i64) -> SnapshotId {
    report_at(host, store, repository, seconds).await.snapshot.unwrap()
}

async fn report_at(host: &str, store: &MemoryStore, repository: &Repository, seconds: i64) -> BackupReport {
    store.set_clock(at(seconds));
    let options = BackupOptions { host: host.into(), user: "u".into(), ..BackupOptions::default() };
    let files = Files::from([("file".to_owned(), file(u64::try_from(seconds).unwrap()))]);
    backup::run(repository, Arc::new(source(&files)), &options, &RunContext::default()).await.unwrap()
}

async fn handle(repository: &Repository, id: SnapshotId) -> SnapshotHandle {
    repository.find(&SnapshotName(id.to_string())).await.unwrap()
}

/// Makes an object unreadable where it lies, without the store noticing: its time stays.
fn spoil(store: &MemoryStore, handle: &SnapshotHandle) {
    let mut bytes = store.bytes(&handle.store_key()).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.tamper(&handle.store_key(), Some(Bytes::from(bytes)));
}

#[tokio::test]
async fn the_newest_snapshot_that_cannot_be_read_is_damage_and_never_silently_an_older_one() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let old = snapshot_at(&store, &repository, BEGIN).await;
    let new = snapshot_at(&store, &repository, BEGIN + 3600).await;
    spoil(&store, &handle(&repository, new).await);
    let refused = repository.find(&latest()).await;
    let Err(Error::NewestUnreadable { damage }) = refused else { panic!("{refused:?}") };
    assert_eq!((damage.object, damage.kind), (format!("snapshot/{new}"), DamageKind::Corrupt));
    let older = repository.snapshots().await.unwrap().find_or_older(&latest()).unwrap();
    assert_eq!(older.snapshot.id, old);
}

#[tokio::test]
async fn the_time_that_the_store_gives_proves_nothing_of_a_snapshot_that_cannot_be_read() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let old = snapshot_at(&store, &repository, BEGIN).await;
    let new = snapshot_at(&store, &repository, BEGIN + 3600).await;
    let key = handle(&repository, new).await.store_key();
    // As somebody leaves it who brings back a folder with the times that it had.
    store.set_clock(at(BEGIN - DAY));
    for bytes in [&b"nothing of it"[..], &store.bytes(&key).unwrap()[..900]] {
        store.put(&key, Payload::from(bytes.to_vec()), &PutOptions::default()).await.unwrap();
        let refused = repository.find(&latest()).await;
        assert!(
            matches!(&refused, Err(Error::NewestUnreadable { damage }) if damage.object == key.as_str()),
            "{refused:?}"
        );
    }
    assert_eq!(repository.snapshots().await.unwrap().find_or_older(&latest()).unwrap().snapshot.id, old);
}

#[tokio::test]
async fn what_a_later_snapshot_speaks_of_is_older_and_so_is_an_earlier_one_of_its_writer() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let mut made = Vec::new();
    for hour in 0..4 {
        made.push(snapshot_at(&store, &repository, BEGIN + hour * 3600).await);
    }
    let whole = handle(&repository, made[0]).await;
    let bytes = store.bytes(&whole.store_key()).unwrap();
    // The second took its entries over from the first.
    store.tamper(&whole.store_key(), Some(Bytes::from_static(b"nothing of it")));
    assert_eq!(repository.find(&latest()).await.unwrap().snapshot.id, made[3]);
    let second = handle(&repository, made[1]).await;
    remove::run(&repository, &[second], None).await.unwrap();
    let refused = repository.find(&latest()).await;
    assert!(matches!(refused, Err(Error::NewestUnreadable { .. })), "nothing speaks of it any more: {refused:?}");
    // Of a bit that turned in what is sealed its statement knows nothing.
    store.tamper(&whole.store_key(), Some(bytes));
    spoil(&store, &whole);
    assert_eq!(repository.find(&latest()).await.unwrap().snapshot.id, made[3]);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_not_passed_over_when_they_are_counted() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let mut made = Vec::new();
    for hour in 0..4 {
        made.push(snapshot_at(&store, &repository, BEGIN + hour * 3600).await);
    }
    spoil(&store, &handle(&repository, made[1]).await);
    let snapshots = repository.snapshots().await.unwrap();
    let counted = |name: &str| snapshots.find(&SnapshotName(name.to_owned())).map(|found| found.snapshot.id);
    assert_eq!((counted("latest").unwrap(), counted("latest~1").unwrap()), (made[3], made[2]));
    assert!(matches!(counted("latest~2"), Err(Error::NewestUnreadable { .. })), "the third is the damaged one");
    let older = snapshots.find_or_older(&SnapshotName("latest~2".to_owned())).unwrap();
    assert_eq!(older.snapshot.id, made[0]);
}

#[tokio::test]
async fn an_older_snapshot_that_cannot_be_read_keeps_nobody_from_the_latest() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let old = snapshot_at(&store, &repository, BEGIN).await;
    let new = snapshot_at(&store, &repository, BEGIN + 3600).await;
    spoil(&store, &handle(&repository, old).await);
    assert_eq!(repository.find(&latest()).await.unwrap().snapshot.id, new);
}

#[tokio::test]
async fn where_no_snapshot_can_be_read_even_an_older_one_is_damage() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let only = snapshot_at(&store, &repository, BEGIN).await;
    spoil(&store, &handle(&repository, only).await);
    let snapshots = repository.snapshots().await.unwrap();
    assert!(matches!(snapshots.find(&latest()), Err(Error::Damage(_))));
    assert!(matches!(snapshots.find_or_older(&latest()), Err(Error::Damage(_))));
}

#[tokio::test]
async fn a_snapshot_from_the_future_is_not_the_latest_once_its_writer_made_another() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + 10 * DAY).await;
    snapshot_at(&store, &repository, BEGIN).await;
    let future = snapshot_at(&store, &repository, BEGIN + 4000 * DAY).await;
    assert_eq!(repository.find(&latest()).await.unwrap().snapshot.id, future, "it was made last");
    let today = snapshot_at(&store, &repository, BEGIN + 10 * DAY).await;
    let snapshots = repository.snapshots().await.unwrap();
    assert_eq!(snapshots.ahead, [future].into());
    assert_eq!(snapshots.find(&latest()).unwrap().snapshot.id, today);
    let next = snapshot_at(&store, &repository, BEGIN + 11 * DAY).await;
    assert_eq!(handle(&repository, next).await.snapshot.parent, Some(today));
}

#[tokio::test]
async fn a_snapshot_from_the_past_is_the_latest_when_its_writer_made_it_last() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    snapshot_at(&store, &repository, BEGIN).await;
    let last = snapshot_at(&store, &repository, 1000 * DAY).await;
    assert_eq!(repository.find(&latest()).await.unwrap().snapshot.id, last);
}

#[tokio::test]
async fn where_this_machines_clock_is_behind_an_older_snapshot_is_never_the_latest_in_silence() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let old = made_by("retired", &store, &opened(&store, BEGIN).await, BEGIN - 700 * DAY).await;
    let good = made_by("mine", &store, &opened(&store, BEGIN).await, BEGIN).await;
    let behind = opened(&store, BEGIN - 600 * DAY).await;
    let refused = behind.find(&latest()).await;
    let Err(Error::NewestAhead { snapshot, dated, now }) = refused else { panic!("{refused:?}") };
    assert_eq!((snapshot, dated.seconds, now), (good, BEGIN, at(BEGIN - 600 * DAY)));
    let snapshots = behind.snapshots().await.unwrap();
    assert_eq!(snapshots.find_or_older(&latest()).unwrap().snapshot.id, old);
    assert_eq!(snapshots.find(&SnapshotName(good.to_string())).unwrap().snapshot.id, good);
    assert_eq!(
        opened(&store, BEGIN).await.find(&latest()).await.unwrap().snapshot.id,
        good,
        "by a clock that is right"
    );
}

#[tokio::test]
async fn a_snapshot_from_the_future_of_another_machine_leaves_open_which_is_the_latest_until_it_goes() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let earlier = made_by("theirs", &store, &repository, BEGIN).await;
    let future = made_by("theirs", &store, &repository, BEGIN + 4000 * DAY).await;
    let mine = made_by("mine", &store, &repository, BEGIN - DAY).await;
    let snapshots = repository.snapshots().await.unwrap();
    assert!(matches!(snapshots.find(&latest()), Err(Error::NewestAhead { snapshot, .. }) if snapshot == future));
    assert_eq!(snapshots.find_or_older(&latest()).unwrap().snapshot.id, earlier, "mine is older: {mine}");
    rm(&repository, future).await;
    assert_eq!(repository.find(&latest()).await.unwrap().snapshot.id, earlier);
}

#[tokio::test]
async fn where_every_snapshot_is_from_the_future_it_is_this_machine_that_is_wrong() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, 0).await;
    made_by("theirs", &store, &repository, BEGIN).await;
    let new = made_by("mine", &store, &repository, BEGIN + DAY).await;
    let snapshots = repository.snapshots().await.unwrap();
    assert_eq!((snapshots.ahead.len(), snapshots.find(&latest()).unwrap().snapshot.id), (2, new));
}

#[tokio::test]
async fn a_damaged_snapshot_may_be_newer_than_one_from_the_future() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + DAY).await;
    let good = snapshot_at(&store, &repository, BEGIN).await;
    snapshot_at(&store, &repository, BEGIN + 4000 * DAY).await;
    let broken = snapshot_at(&store, &repository, BEGIN + 3600).await;
    spoil(&store, &handle(&repository, broken).await);
    let snapshots = repository.snapshots().await.unwrap();
    assert!(matches!(snapshots.find(&latest()), Err(Error::NewestUnreadable { .. })));
    assert_eq!(snapshots.find_or_older(&latest()).unwrap().snapshot.id, good);
}

#[tokio::test]
async fn a_backup_tells_which_snapshots_are_dated_after_now() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let right = opened(&store, BEGIN).await;
    assert_eq!(report_at("mine", &store, &right, BEGIN).await.ahead, []);
    let wrong = report_at("mine", &store, &right, BEGIN + 4000 * DAY).await;
    let future = Dated { snapshot: wrong.snapshot.unwrap(), time: at(BEGIN + 4000 * DAY) };
    assert_eq!(wrong.ahead, [future], "by this machine's clock");
    assert_eq!(report_at("mine", &store, &right, BEGIN + 60).await.ahead, [future]);
    assert_eq!(report_at("mine", &store, &right, 1000 * DAY).await.ahead, [future], "good ones are not blamed");
    let behind = opened(&store, BEGIN - 700 * DAY).await;
    let report = report_at("mine", &store, &behind, BEGIN + 120).await;
    let made = Dated { snapshot: report.snapshot.unwrap(), time: at(BEGIN + 120) };
    assert_eq!(report.ahead, [future, made], "the store's clock judges the others");
}

#[tokio::test]
async fn who_may_write_asks_the_store_what_time_it_is() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + 5000 * DAY).await;
    snapshot_at(&store, &repository, BEGIN).await;
    let future = snapshot_at(&store, &repository, BEGIN + 4000 * DAY).await;
    store.set_clock(at(BEGIN + DAY));
    assert_eq!(repository.snapshots().await.unwrap().ahead, [].into(), "this machine's clock is further on");
    let snapshots = repository.snapshots_by_store_time().await.unwrap();
    assert_eq!(snapshots.ahead, [future].into());
    assert_eq!(snapshots.find_or_older(&latest()).unwrap().snapshot.id, future, "its writer made it last");
}
