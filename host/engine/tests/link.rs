//! How much of a link a run uses whose requests take long: latency and rate are simulated, and computing takes no time.
//!
//! Every request ends at a moment that follows from the link alone. The next moment comes when nobody in this process can do anything more before it: the kernel says of each thread
//! that it sleeps, twice, and that none has run in between. So a result is the same on a busy machine, and nothing waits.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here is a failed test")]

mod common;
#[path = "common/link.rs"]
mod link;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use credenza_connect::Store;
use credenza_connect::memory::MemoryStore;
use link::Link;

const MIB: u64 = 1024 * 1024;
const BYTES_PER_SECOND: u64 = 200_000_000;
const FILE_BYTES: u64 = 4 * MIB;

/// Files that do not shrink.
fn large(count: u64) -> Files {
    let length = usize::try_from(FILE_BYTES).unwrap();
    (0..count).map(|number| (format!("{number:03}"), noise(number + 1, length).into())).collect()
}

/// The time on the link of a first backup, and of a restore of it.
fn times(latency: Duration, files: &Files) -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = MemoryStore::new();
        create(&store, key_file()).await;
        let link = Arc::new(Link::new(Arc::new(store.clone()), latency, BYTES_PER_SECOND));
        let far = open(Arc::clone(&link) as Arc<dyn Store>, &key_file()).await;
        let began = link.now();
        let snapshot = backup(&far, "a", files).await.unwrap();
        let backed_up = link.now();
        restores(&far, snapshot, files).await.unwrap();
        (backed_up - began, link.now() - backed_up)
    })
}

/// The share of the link that is used while it lasts: what is done once, however much there is, is left out.
fn shares(latency: Duration) -> (f64, f64) {
    let (few, many) = (16, 64);
    let (less, more) = (times(latency, &large(few)), times(latency, &large(many)));
    let ideal = ((many - few) * FILE_BYTES) as f64 / BYTES_PER_SECOND as f64;
    let share = |less: Duration, more: Duration| ideal / (more - less).as_secs_f64();
    let shares = (share(less.0, more.0), share(less.1, more.1));
    println!("{latency:?}: {less:?}, {more:?}: {shares:?} of the link");
    shares
}

#[test]
fn a_backup_uses_nine_tenths_of_a_link_of_20_ms_and_a_restore_half() {
    let (backup, restore) = shares(Duration::from_millis(20));
    assert!(backup >= 0.9 && restore >= 0.5, "{backup}, {restore}");
}

#[test]
fn a_backup_uses_nine_tenths_of_a_link_of_200_ms() {
    let (backup, restore) = shares(Duration::from_millis(200));
    assert!(backup >= 0.9 && restore >= 0.1, "{backup}, {restore}");
}
