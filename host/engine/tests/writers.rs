//! Writers at the same time: beside one another, and on a store that ignores conditions. Names are random, so nothing rests on
//! conditions but `create`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod common;
#[path = "common/hooked.rs"]
mod hooked;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use credenza_connect::Store;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, Record, Retry, RetryPolicy, call};
use hooked::Hooked;

/// A connection that loses answers and sends puts twice, as each writer has its own.
fn careless(store: &MemoryStore, seed: u64) -> Arc<dyn Store> {
    let fault = Fault::new(Arc::new(store.clone()), seed)
        .one_in(call::PUT, 3, FaultKind::LoseAnswer)
        .one_in(call::PUT, 3, FaultKind::Repeat)
        .one_in(call::LIST, 5, FaultKind::LoseAnswer);
    let pause = Duration::from_millis(1);
    Arc::new(Retry::new(Arc::new(fault), RetryPolicy { pause_min: pause, pause_max: pause, ..RetryPolicy::default() }))
}

#[tokio::test]
async fn two_writers_at_once_lose_nothing_where_conditions_are_ignored() {
    for seed in 0..20 {
        let store = MemoryStore::ignoring_conditions();
        let repository = create(&store, key_file()).await;
        let writers =
            [open(careless(&store, seed), &key_file()).await, open(careless(&store, seed + 1000), &key_file()).await];
        let (mine, yours) = (files(0..12), files(6..18));
        let (a, b) = tokio::join!(backup(&writers[0], "a", &mine), backup(&writers[1], "b", &yours));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(repository.snapshots().await.unwrap().whole.len(), 2, "seed {seed}");
        restores(&repository, a, &mine).await.unwrap();
        restores(&repository, b, &yours).await.unwrap();
        assert_eq!(damages(&repository).await, [""; 0], "seed {seed}");
        collect(&repository).await.unwrap();
        restores(&repository, a, &mine).await.unwrap();
        restores(&repository, b, &yours).await.unwrap();
    }
}

/// Backs up on a machine of its own, and waits for it.
fn backup_beside(store: &MemoryStore, host: &str, files: &Files) {
    let (store, host, files) = (store.clone(), host.to_owned(), files.clone());
    let machine = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            backup(&open(Arc::new(store), &key_file()).await, &host, &files).await.unwrap();
        });
    });
    machine.join().unwrap();
}

#[tokio::test]
async fn a_snapshot_of_the_same_source_committed_meanwhile_is_a_parent_like_any_other() {
    for moment in ["index/", "snapshot/", "condemned/"] {
        let store = MemoryStore::new();
        let repository = create(&store, key_file()).await;
        let (theirs, mine) = (files(0..12), files(0..14));
        let (begun, before) = (AtomicBool::new(false), theirs.clone());
        let hooked = Hooked::new(&store, move |name, prefix, store| {
            if name == call::LIST && prefix == moment && !begun.swap(true, Ordering::Relaxed) {
                backup_beside(store, "a", &before);
            }
        });
        let writer = open(Arc::new(hooked), &key_file()).await;
        let snapshot = backup(&writer, "b", &mine).await.unwrap_or_else(|cause| panic!("{moment}: {cause}"));
        restores(&repository, snapshot, &mine).await.unwrap();
        assert_eq!(damages(&repository).await, [""; 0], "{moment}");
    }
}

/// Each asks as much as if it were alone, and none waits for another.
#[tokio::test(flavor = "multi_thread")]
async fn two_four_and_eight_writers_at_once_ask_no_more_each_and_lose_nothing() {
    for count in [2, 4, 8] {
        let store = MemoryStore::new();
        let repository = create(&store, key_file()).await;
        let runs = (0..count).map(|number: u64| {
            let recorded = Record::<dyn Store>::new(Arc::new(store.clone()));
            // Half of it is what the next one has, too.
            let files = files(number * 10..number * 10 + 20);
            async move {
                let writer = open(Arc::new(recorded.clone()), &key_file()).await;
                let snapshot = backup(&writer, &format!("machine-{number}"), &files).await.unwrap();
                (snapshot, files, recorded.calls().len())
            }
        });
        let runs = futures_util::future::join_all(runs).await;
        for (_, _, calls) in &runs {
            assert!(*calls <= 30, "{calls} requests beside {count} writers");
        }
        for round in ["as they are", "after maintenance"] {
            for (snapshot, files, _) in &runs {
                restores(&repository, *snapshot, files).await.unwrap_or_else(|why| panic!("{count}, {round}: {why}"));
            }
            assert_eq!(damages(&repository).await, [""; 0], "{count}, {round}");
            collect(&repository).await.unwrap();
        }
    }
}
