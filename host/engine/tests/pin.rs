//! What somebody reads from stays while he reads, although its snapshot is removed.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{BEGIN, DAY, Files, at, backup, collect, create, files, key_file, keys, rm};
use credenza_connect::memory::MemoryStore;
use credenza_engine::view::View;
use credenza_engine::{Clock, Error, Moment, Pin, Repository, SnapshotHandle, SnapshotName};
use credenza_model::Key;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

/// A repository with a snapshot that somebody looks into, and another.
async fn looked_into() -> (MemoryStore, Repository, SnapshotHandle, Files, View) {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let all = files(0..6);
    let id = backup(&repository, "a", &all).await.unwrap();
    backup(&repository, "b", &files(10..12)).await.unwrap();
    let handle = repository.find(&SnapshotName(id.to_string())).await.unwrap();
    let view = repository.view().await.unwrap();
    (store, repository, handle, all, view)
}

/// Whether all of it can be read.
async fn is_whole(view: &View, snapshot: &SnapshotHandle, files: &Files) -> bool {
    for (name, bytes) in files {
        let Ok(record) = view.entry(snapshot, &Key::from(name.as_str())).await else { return false };
        let mut content = view.content(&record);
        let mut read = Vec::new();
        loop {
            match content.next().await {
                Ok(Some(piece)) => read.extend_from_slice(&piece),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        assert_eq!(read, bytes.to_vec());
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_stays_until_the_pin_ends() {
    let (store, repository, handle, files, view) = looked_into().await;
    let pin = Pin::new(repository.clone(), "host", "user");
    pin.keep(std::slice::from_ref(&handle)).await.unwrap();
    rm(&repository, handle.snapshot.id).await;
    let packs = keys(&store, "data/").len();
    for days in [0, 5, 10, 15] {
        store.set_clock(at(BEGIN + days * DAY));
        collect(&repository).await.unwrap();
        assert!(is_whole(&view, &handle, &files).await, "after {days} days");
        assert_eq!(keys(&store, "intent/").len(), 1);
        pin.renew().await.unwrap();
    }
    assert_eq!(keys(&store, "data/").len(), packs);
    pin.end().await;
    assert!(keys(&store, "intent/").is_empty());
    collect(&repository).await.unwrap();
    assert!(keys(&store, "data/").len() < packs);
    assert!(!is_whole(&repository.view().await.unwrap(), &handle, &files).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_of_a_process_that_is_gone_expires_by_the_time_of_the_store() {
    let (store, repository, handle, _, _) = looked_into().await;
    let pin = Pin::new(repository.clone(), "host", "user");
    pin.keep(std::slice::from_ref(&handle)).await.unwrap();
    drop(pin);
    rm(&repository, handle.snapshot.id).await;
    let packs = keys(&store, "data/").len();
    store.set_clock(at(BEGIN + 6 * DAY));
    collect(&repository).await.unwrap();
    assert_eq!(keys(&store, "data/").len(), packs);
    store.set_clock(at(BEGIN + 8 * DAY));
    collect(&repository).await.unwrap();
    assert!(keys(&store, "data/").len() < packs && keys(&store, "intent/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_before_cannot_be_pinned_and_what_is_pinned_costs_nothing() {
    let (store, repository, handle, _, _) = looked_into().await;
    let pin = Pin::new(repository.clone(), "host", "user");
    pin.keep(std::slice::from_ref(&handle)).await.unwrap();
    pin.keep(std::slice::from_ref(&handle)).await.unwrap();
    assert_eq!(keys(&store, "intent/").len(), 1);
    rm(&repository, handle.snapshot.id).await;
    let late = Pin::new(repository.clone(), "host", "user");
    let refused = late.keep(&[handle]).await;
    assert!(matches!(refused, Err(Error::Unpinned { .. })), "{refused:?}");
    late.end().await;
    pin.end().await;
    assert!(keys(&store, "intent/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_pinned_leaves_the_others_pinned() {
    let (store, repository, handle, _, _) = looked_into().await;
    let all = repository.snapshots().await.unwrap().whole;
    rm(&repository, handle.snapshot.id).await;
    let pin = Pin::new(repository.clone(), "host", "user");
    let causes = pin.keep_each(&all).await.unwrap();
    assert!(matches!(causes.as_slice(), [Error::Unpinned { .. }]), "{causes:?}");
    assert!(!keys(&store, "intent/").is_empty());
    assert_eq!(pin.keep_each(&all).await.unwrap().len(), 1, "the other is kept already");
    pin.end().await;
    pin.keep(&all).await.unwrap();
    assert!(keys(&store, "intent/").is_empty(), "what has ended leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_no_more_is_let_go_once_whoever_reads_it_had_a_day_for_that() {
    let (store, repository, handle, files, view) = looked_into().await;
    let all = repository.snapshots().await.unwrap().whole;
    let pin = Pin::new(repository.clone(), "host", "user");
    assert!(pin.keep_each(&all).await.unwrap().is_empty());
    pin.renew().await.unwrap();
    assert_eq!((pin.former().await.len(), keys(&store, "intent/").len()), (0, 1));
    rm(&repository, handle.snapshot.id).await;
    let packs = keys(&store, "data/").len();
    let left = repository.snapshots().await.unwrap().whole;
    assert!(pin.keep_each(&left).await.unwrap().is_empty());
    for days in [1, 2] {
        assert_eq!(pin.former().await.first().map(|handle| handle.snapshot.id), Some(handle.snapshot.id));
        store.set_clock(at(BEGIN + days * DAY));
        collect(&repository).await.unwrap();
        assert!(is_whole(&view, &handle, &files).await, "after {days} days");
        pin.renew().await.unwrap();
    }
    assert_eq!((pin.former().await.len(), keys(&store, "intent/").len()), (0, 1));
    for days in [3, 12] {
        store.set_clock(at(BEGIN + days * DAY));
        collect(&repository).await.unwrap();
        pin.renew().await.unwrap();
    }
    assert!(keys(&store, "data/").len() < packs, "what nobody sees is kept for ever");
    pin.end().await;
    assert!(keys(&store, "intent/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_is_let_go_though_nobody_looks_any_more() {
    let (store, repository, handle, _, _) = looked_into().await;
    let all = repository.snapshots().await.unwrap().whole;
    let pin = Pin::new(repository.clone(), "host", "user");
    assert!(pin.keep_each(&all).await.unwrap().is_empty());
    let packs = keys(&store, "data/").len();
    rm(&repository, handle.snapshot.id).await;
    for days in [1, 2, 3, 12] {
        store.set_clock(at(BEGIN + days * DAY));
        pin.renew().await.unwrap();
        collect(&repository).await.unwrap();
    }
    assert!(keys(&store, "data/").len() < packs, "what nobody sees is kept for ever");
    pin.end().await;
}

/// A machine that sleeps for eight days while somebody waits for minutes, and then is awake.
struct Sleeping {
    wall: Mutex<i64>,
    awake: Arc<Notify>,
}

impl Clock for Sleeping {
    fn now(&self) -> Moment {
        Moment { monotonic: Duration::ZERO, wall: at(*self.wall.lock().unwrap()) }
    }

    fn wait(&self, _: Duration) -> BoxFuture<'static, ()> {
        let mut wall = self.wall.lock().unwrap();
        if *wall > BEGIN {
            self.awake.notify_one();
            return std::future::pending().boxed();
        }
        *wall += 8 * DAY;
        std::future::ready(()).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_ended_while_a_machine_slept_says_so_and_begins_anew() {
    let (store, repository, handle, _, _) = looked_into().await;
    let all = repository.snapshots().await.unwrap().whole;
    let awake = Arc::new(Notify::new());
    let clock = Sleeping { wall: Mutex::new(BEGIN), awake: Arc::clone(&awake) };
    let pin = Pin::new(repository.clone().with_clock(Arc::new(clock)), "host", "user");
    pin.keep(&all).await.unwrap();
    let before = keys(&store, "intent/");
    rm(&repository, handle.snapshot.id).await;
    let told = Mutex::new(Vec::new());
    let trouble = |cause: &Error| told.lock().unwrap().push(cause.to_string());
    tokio::select! {
        () = pin.renew_daily(&trouble) => {}
        () = awake.notified() => {}
    }
    let told = told.into_inner().unwrap();
    assert!(matches!(told.as_slice(), [one] if one.contains(&handle.snapshot.id.to_string())), "{told:?}");
    let after = keys(&store, "intent/");
    assert!(!after.is_empty() && after.iter().all(|key| !before.contains(key)), "{after:?}");
}
