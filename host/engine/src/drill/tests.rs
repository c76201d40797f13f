//! Drills of repositories in memory, into folders.

use std::path::Path;

use credenza_connect::file::FileDestination;
use credenza_connect::memory::{MemorySource, MemoryStore};

use super::*;
use crate::latest::last_drill;
use crate::testing::{noise, open, repository, secret, snapshot};

const OPTIONS: DrillOptions = DrillOptions { files: 3, folders: 1, bytes_max: 1 << 20 };

async fn drill(repository: &Repository, options: &DrillOptions, into: &Path) -> Option<Drill> {
    let destination = Arc::new(FileDestination::new(into).unwrap());
    run(repository, options, destination, &RunContext::default()).await.unwrap()
}

/// Twenty files in each of five folders.
fn hundred() -> MemorySource {
    let source = MemorySource::new();
    for number in 0..100 {
        source.put(format!("folder {}/file {number}", number / 20).as_str(), noise(number, 1000));
    }
    source
}

#[tokio::test]
async fn a_drill_restores_what_it_draws_and_is_on_record_for_every_machine() {
    let (store, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    assert_eq!(drill(&repository, &OPTIONS, folder.path()).await, None, "there is nothing to restore");
    let id = snapshot(&repository, &hundred()).await;
    let done = drill(&repository, &OPTIONS, folder.path()).await.unwrap();
    assert_eq!((done.snapshot, done.files, done.folders, done.errors), (id, 3, 1, 0), "{done:?}");
    assert!((20..=23).contains(&done.entries) && done.bytes == done.entries * 1000, "{done:?}");
    let other = open(Arc::new(store), secret()).await;
    assert_eq!(last_drill(&other).await.unwrap(), Some(done));
}

#[tokio::test]
async fn a_drill_that_meets_damage_says_what_was_lost() {
    let (store, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    snapshot(&repository, &hundred()).await;
    for pack in store.keys().into_iter().filter(|key| key.as_str().starts_with("data/")) {
        let mut rotten = store.bytes(&pack).unwrap().to_vec();
        rotten[200..].iter_mut().for_each(|byte| *byte ^= 1);
        store.tamper(&pack, Some(rotten.into()));
    }
    let done = drill(&repository, &OPTIONS, folder.path()).await.unwrap();
    assert!(done.errors >= 20 && done.entries == 0, "{done:?}");
    assert_eq!(done.reason, Some(format!("{} entries are lost", done.errors)));
    assert_eq!(last_drill(&repository).await.unwrap(), Some(done));
}

#[tokio::test]
async fn a_drill_of_a_time_to_come_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    snapshot(&repository, &hundred()).await;
    let done = drill(&repository, &OPTIONS, folder.path()).await.unwrap();
    let mut ahead = done.clone();
    ahead.at.seconds += 3 * crate::AHEAD_SECONDS;
    record_drill(&repository, ahead).await.unwrap();
    assert_eq!(last_drill(&repository).await.unwrap(), Some(done));
}

#[tokio::test]
async fn a_drill_that_restored_nothing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    snapshot(&repository, &hundred()).await;
    let done = drill(&repository, &DrillOptions { bytes_max: 10, ..OPTIONS }, folder.path()).await.unwrap();
    assert_eq!((done.entries, done.errors), (0, 0));
    assert!(done.reason.unwrap().starts_with("nothing was restored"));
}

#[tokio::test]
async fn what_is_drawn_follows_from_the_seed_and_stays_within_the_bytes() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = hundred();
    source.put("large", noise(1000, 50_000));
    snapshot(&repository, &source).await;
    let snapshots = repository.snapshots().await.unwrap();
    let of = async |seed: u8, options: DrillOptions| {
        let mut random = Random::of(&[seed; 16]);
        let snapshot = draw_snapshot(&snapshots, &mut random).unwrap();
        draw(&repository, &snapshot, &options, &mut random).await.unwrap()
    };
    let mut drawn = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let sample = of(seed, OPTIONS).await;
        assert_eq!(sample, of(seed, OPTIONS).await);
        drawn.extend(sample.files.into_iter().chain(sample.folders));
    }
    assert_eq!(drawn.len(), 106, "each file and each folder comes at some time");
    let small = of(1, DrillOptions { bytes_max: 2500, ..OPTIONS }).await;
    assert_eq!((small.files.len(), small.folders.len()), (2, 0), "{small:?}");
    let folder = of(1, DrillOptions { files: 0, folders: 9, bytes_max: 1 << 20 }).await;
    assert_eq!(folder.folders.len(), 5);
}

#[tokio::test]
async fn of_a_snapshot_in_which_something_failed_and_one_before_the_good_one_is_drawn() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let good = snapshot(&repository, &hundred()).await;
    let bad = snapshot(&repository, &hundred()).await;
    let mut snapshots = repository.snapshots().await.unwrap();
    let last = snapshots.whole.iter_mut().find(|handle| handle.snapshot.id == bad).unwrap();
    last.snapshot.statistics.errors = 1;
    let drawn = |snapshots: &Snapshots| draw_snapshot(snapshots, &mut Random::of(b"x")).unwrap().snapshot.id;
    assert_eq!(drawn(&snapshots), good);
    snapshots.whole.retain(|handle| handle.snapshot.id == bad);
    assert_eq!(drawn(&snapshots), bad);
}
