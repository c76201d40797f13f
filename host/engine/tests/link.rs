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
use credenza_connect::file::FileSource;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{Source, Store};
use credenza_engine::RunContext;
use credenza_engine::backup::{self, BackupOptions};
use link::Link;

const MIB: u64 = 1024 * 1024;
const BYTES_PER_SECOND: u64 = 200_000_000;

/// Files that do not shrink.
fn files(count: u64, bytes: u64) -> Files {
    let length = usize::try_from(bytes).unwrap();
    (0..count).map(|number| (format!("{number:03}"), noise(number + 1, length).into())).collect()
}

/// The time on the link of a first backup, and that in which a restore of it fetched its data packs.
fn times(latency: Duration, source: Arc<dyn Source>, files: &Files) -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = MemoryStore::new();
        create(&store, key_file()).await;
        let link = Arc::new(Link::new(Arc::new(store.clone()), latency, BYTES_PER_SECOND));
        let far = open(Arc::clone(&link) as Arc<dyn Store>, &key_file()).await;
        let began = link.now();
        let report = backup::run(&far, source, &BackupOptions::default(), &RunContext::default()).await.unwrap();
        let backed_up = link.now();
        restores(&far, report.snapshot.unwrap(), files).await.unwrap();
        (backed_up - began, link.data_lasted().unwrap())
    })
}

/// The shares of the link that are used while data are on their way. Of a backup, what is done once, however much there is, is left out.
fn shares(latency: Duration, (few, many): (u64, u64), bytes: u64) -> (f64, f64) {
    let times = |count: u64| {
        let files = files(count, bytes);
        times(latency, Arc::new(source(&files)), &files)
    };
    let (less, more) = (times(few), times(many));
    let ideal = |count: u64| (count * bytes) as f64 / BYTES_PER_SECOND as f64;
    let shares = (ideal(many - few) / (more.0 - less.0).as_secs_f64(), ideal(many) / more.1.as_secs_f64());
    println!("{latency:?}: {less:?}, {more:?}: {shares:?} of the link");
    shares
}

#[test]
fn a_backup_and_a_restore_use_nine_tenths_of_a_link_of_20_ms() {
    let (backup, restore) = shares(Duration::from_millis(20), (16, 64), 4 * MIB);
    assert!(backup >= 0.9 && restore >= 0.9, "{backup}, {restore}");
}

#[test]
fn a_backup_uses_nine_tenths_of_a_link_of_200_ms_and_a_restore_four_fifths() {
    let (backup, restore) = shares(Duration::from_millis(200), (16, 64), 4 * MIB);
    assert!(backup >= 0.9 && restore >= 0.8, "{backup}, {restore}");
}

/// Contents that are longer than a window are restored part by part. Those of a bucket are read side by side, and lie among each other in pieces of a
/// megabyte, each of which is a request.
#[test]
fn a_restore_of_long_objects_uses_a_third_of_a_link_of_20_ms() {
    let (backup, restore) = shares(Duration::from_millis(20), (1, 4), 48 * MIB);
    assert!(backup >= 0.9 && restore >= 0.33, "{backup}, {restore}");
}

/// Those of a folder lie one behind the other, but for what was ready sooner than what is before it: a piece that is asked for by itself costs a fifth of
/// what all of this little takes.
#[test]
fn a_restore_of_long_files_uses_two_fifths_of_a_link_of_200_ms() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(4, 48 * MIB);
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let source = FileSource::new(folder.path()).unwrap();
    let (_, restore) = times(Duration::from_millis(200), Arc::new(source), &files);
    let share = (4 * 48 * MIB) as f64 / BYTES_PER_SECOND as f64 / restore.as_secs_f64();
    println!("long files: {share} of the link");
    assert!(share >= 0.4, "{share}");
}
