//! A store that ignores conditions: names are random, so nothing rests on them but `create`.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use credenza_connect::Store;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, Retry, RetryPolicy, call};

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
