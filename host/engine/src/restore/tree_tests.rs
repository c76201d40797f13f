//! Restores of a part to a folder: what is made above it, and when it counts as done.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use credenza_connect::file::{FileDestination, FileSource};
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Record as Recorded, call};
use credenza_connect::{ErrorClass, Source};
use tempfile::TempDir;

use super::*;
use crate::backup::BackupOptions;
use crate::testing::{handle, repository, secret};
use crate::{Part, RunContext};

async fn backed_up(source: Arc<dyn Source>) -> (Repository, SnapshotHandle) {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let report =
        crate::backup::run(&repository, source, &BackupOptions::default(), &RunContext::default()).await.unwrap();
    let snapshot = handle(&repository, report.snapshot.unwrap()).await;
    (repository, snapshot)
}

/// `home/ann/notes/a`, each folder with a mode and a time of its own.
async fn home() -> (TempDir, Repository, SnapshotHandle) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("home/ann/notes")).unwrap();
    fs::write(source.join("home/ann/notes/a"), "a").unwrap();
    for (path, mode, seconds) in [("home/ann", 0o711, 2), ("home", 0o755, 1), ("", 0o751, 3)] {
        fs::set_permissions(source.join(path), fs::Permissions::from_mode(mode)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::open(source.join(path)).unwrap().set_modified(time).unwrap();
    }
    let (repository, snapshot) = backed_up(Arc::new(FileSource::new(source).unwrap())).await;
    (folder, repository, snapshot)
}

/// Mode and time.
fn look(path: &Path) -> (u32, i64) {
    let status = fs::metadata(path).unwrap();
    (status.mode() & 0o7777, status.mtime())
}

fn part(prefix: &str) -> RestoreOptions {
    RestoreOptions { parts: Parts::under(Key::from(prefix)), ..RestoreOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folders_above_a_part_become_what_they_are_in_the_snapshot() {
    let (folder, repository, snapshot) = home().await;
    for prefix in ["home/ann/notes/", "home/ann/notes/a"] {
        let target = tempfile::tempdir_in(folder.path()).unwrap().path().join("new");
        let destination = Arc::new(FileDestination::new(&target).unwrap());
        let report = run(&repository, &snapshot, destination, &part(prefix), &RunContext::default()).await.unwrap();
        assert_eq!((report.failed, report.damaged), (0, 0));
        assert_eq!(look(&target), (0o751, 3), "{prefix}");
        assert_eq!(look(&target.join("home")), (0o755, 1), "{prefix}");
        assert_eq!(look(&target.join("home/ann")), (0o711, 2), "{prefix}");
        assert!(target.join("home/ann/notes/a").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_there_already_stays_as_it_is() {
    let (folder, repository, snapshot) = home().await;
    let target = folder.path().join("target");
    fs::create_dir_all(target.join("home")).unwrap();
    fs::set_permissions(target.join("home"), fs::Permissions::from_mode(0o770)).unwrap();
    let destination = Arc::new(FileDestination::new(&target).unwrap());
    run(&repository, &snapshot, destination, &part("home/ann/notes"), &RunContext::default()).await.unwrap();
    assert_eq!(look(&target.join("home")).0, 0o770);
    assert_eq!(look(&target.join("home/ann")), (0o711, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_restored_to_a_bucket_makes_nothing_above_it() {
    let (_folder, repository, snapshot) = home().await;
    let destination = MemoryDestination::new();
    run(&repository, &snapshot, Arc::new(destination.clone()), &part("home/ann/notes/a"), &RunContext::default())
        .await
        .unwrap();
    assert_eq!(destination.restored().keys().map(ToString::to_string).collect::<Vec<_>>(), ["home/ann/notes/a"]);
}

fn one_file() -> Arc<MemorySource> {
    let source = MemorySource::new();
    source.put("a", "a");
    Arc::new(source)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_done_when_it_is_durable_unless_that_is_not_wanted() {
    let (repository, snapshot) = backed_up(one_file()).await;
    for no_sync in [false, true] {
        let destination = Arc::new(Recorded::new(Arc::new(MemoryDestination::new())));
        let options = RestoreOptions { no_sync, ..RestoreOptions::default() };
        run(&repository, &snapshot, Arc::clone(&destination) as _, &options, &RunContext::default()).await.unwrap();
        assert_eq!(destination.count(call::SYNC), usize::from(!no_sync));
        let last = destination.calls().pop().unwrap();
        assert_eq!(last.name == call::SYNC, !no_sync, "after all else");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_did_not_reach_the_disk_fails() {
    let (repository, snapshot) = backed_up(one_file()).await;
    let destination =
        Fault::new(Arc::new(MemoryDestination::new()), 1).at(call::SYNC, 1, FaultKind::Fail(ErrorClass::Corrupt));
    let failed =
        run(&repository, &snapshot, Arc::new(destination), &RestoreOptions::default(), &RunContext::default()).await;
    assert!(matches!(failed, Err(Error::Connector { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_parts_are_restored_in_one_walk_and_nothing_beside_them() {
    let source = MemorySource::new();
    let keys: [&[u8]; 12] = [
        b"a",
        b"a/b",
        b"a/c/d",
        b"a!",
        b"b/one",
        b"b/two",
        b"..",
        b"../x",
        b"\xff\xfe",
        b"n\nl",
        "gpj\u{202e}exe".as_bytes(),
        b"z",
    ];
    keys.iter().for_each(|key| source.put(Key::new(*key), [b"of ", *key].concat()));
    let (repository, snapshot) = backed_up(Arc::new(source)).await;
    let alone = |key: &[u8]| Part::Key(Key::new(key));
    let parts = [
        alone(b"a"),
        Part::Under(Key::from("a/c/")),
        alone(b"b/two"),
        alone(b".."),
        alone(b"\xff\xfe"),
        alone(b"n\nl"),
    ];
    let options = RestoreOptions { parts: parts.into_iter().collect(), ..RestoreOptions::default() };
    let destination = MemoryDestination::new();
    let report =
        run(&repository, &snapshot, Arc::new(destination.clone()), &options, &RunContext::default()).await.unwrap();
    assert!(report.is_whole() && report.entries == 6, "{report:?}");
    let restored: Vec<Vec<u8>> = destination.restored().keys().map(|key| key.as_bytes().to_vec()).collect();
    assert_eq!(restored, [&b".."[..], b"a", b"a/c/d", b"b/two", b"n\nl", b"\xff\xfe"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_not_there_is_named_and_the_others_are_restored() {
    let (repository, snapshot) = backed_up(one_file()).await;
    let part = |key: &str| Part::Key(Key::from(key));
    for (parts, missing) in [(vec![part("a"), part("gone")], Some("gone")), (vec![part("gone"), part("lost")], None)] {
        let options = RestoreOptions { parts: parts.into_iter().collect(), ..RestoreOptions::default() };
        let destination = Arc::new(MemoryDestination::new());
        match (run(&repository, &snapshot, destination, &options, &RunContext::default()).await, missing) {
            (Ok(report), Some(missing)) => {
                assert!(!report.is_whole() && report.entries == 1);
                assert_eq!(report.parts_missing, [Key::from(missing)]);
            }
            (Err(Error::NoEntry { key, .. }), None) => assert_eq!(key, "gone"),
            (ended, _) => panic!("{ended:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folders_above_several_parts_are_made_once_and_become_what_they_are_in_the_snapshot() {
    let (folder, repository, snapshot) = home().await;
    let target = folder.path().join("new");
    let parts = ["home/ann/notes/", "home/ann/"].map(|key| Part::Key(Key::from(key)));
    let options = RestoreOptions { parts: parts.into_iter().collect(), ..RestoreOptions::default() };
    let destination = Arc::new(FileDestination::new(&target).unwrap());
    let report = run(&repository, &snapshot, destination, &options, &RunContext::default()).await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(
        (look(&target), look(&target.join("home")), look(&target.join("home/ann"))),
        ((0o751, 3), (0o755, 1), (0o711, 2))
    );
    assert!(!target.join("home/ann/notes/a").exists());
}
