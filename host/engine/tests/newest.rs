//! What `latest` means: the newest snapshot that exists, not the newest that can be read, and none from the future.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{BEGIN, DAY, Files, at, create, file, key_file, open, source};
use credenza_connect::memory::MemoryStore;
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::{Clock, DamageKind, Error, Moment, Repository, Silent, SnapshotHandle, SnapshotName};
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
    store.set_clock(at(seconds));
    let options = BackupOptions { host: "h".into(), user: "u".into(), ..BackupOptions::default() };
    let files = Files::from([("file".to_owned(), file(u64::try_from(seconds).unwrap()))]);
    backup::run(repository, Arc::new(source(&files)), &options, &Silent).await.unwrap().snapshot.unwrap()
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
    let older = repository.snapshots().await.unwrap().find_readable(&latest()).unwrap();
    assert_eq!(older.snapshot.id, old);
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
    assert!(matches!(snapshots.find_readable(&latest()), Err(Error::Damage(_))));
}

#[tokio::test]
async fn a_snapshot_from_the_future_is_not_the_latest_and_the_next_run_does_not_build_on_it() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + 10 * DAY).await;
    snapshot_at(&store, &repository, BEGIN).await;
    let future = snapshot_at(&store, &repository, BEGIN + 4000 * DAY).await;
    let today = snapshot_at(&store, &repository, BEGIN + 10 * DAY).await;
    let snapshots = repository.snapshots().await.unwrap();
    assert_eq!(snapshots.ahead, [future].into());
    assert_eq!(snapshots.find(&latest()).unwrap().snapshot.id, today);
    let next = snapshot_at(&store, &repository, BEGIN + 11 * DAY).await;
    assert_eq!(handle(&repository, next).await.snapshot.parent, Some(today));
}

#[tokio::test]
async fn where_every_snapshot_is_from_the_future_it_is_this_machine_that_is_wrong() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, 0).await;
    snapshot_at(&store, &repository, BEGIN).await;
    let new = snapshot_at(&store, &repository, BEGIN + DAY).await;
    let snapshots = repository.snapshots().await.unwrap();
    assert_eq!((snapshots.ahead.len(), snapshots.find(&latest()).unwrap().snapshot.id), (0, new));
}

#[tokio::test]
async fn who_may_write_asks_the_store_what_time_it_is() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let repository = opened(&store, BEGIN + 5000 * DAY).await;
    let good = snapshot_at(&store, &repository, BEGIN).await;
    let future = snapshot_at(&store, &repository, BEGIN + 4000 * DAY).await;
    store.set_clock(at(BEGIN + DAY));
    assert_eq!(repository.snapshots().await.unwrap().ahead, [].into(), "this machine's clock is further on");
    let snapshots = repository.snapshots_by_store_time().await.unwrap();
    assert_eq!((snapshots.ahead.clone(), snapshots.find(&latest()).unwrap().snapshot.id), ([future].into(), good));
}
