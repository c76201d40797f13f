//! What was rehearsed against what the same run then really asked for, counted at the store; and that a rehearsal writes nothing.

use std::sync::Arc;

use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Spent, Tallied, Tally};
use credenza_connect::{Patterns, Store};
use credenza_model::SnapshotId;

use super::*;
use crate::backup::{self, BackupOptions};
use crate::check::{self, CheckOptions, Sample};
use crate::gc::{self, GcOptions};
use crate::restore::{self, RestoreOptions};
use crate::sync::{self, SyncOptions};
use crate::testing::{expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{ObjectCache, RunContext, remove};

/// A repository whose requests are counted.
struct Counted {
    store: MemoryStore,
    tally: Arc<Tally>,
    repository: Repository,
}

impl Counted {
    async fn over(store: MemoryStore, cache: Option<&ObjectCache>) -> Self {
        let tally = Arc::new(Tally::default());
        let counted: Arc<dyn Store> = Arc::new(Tallied::new(Arc::new(store.clone()), Arc::clone(&tally)));
        let repository = Repository::open(counted, &secret(), cache).await.unwrap();
        Self { store, tally, repository }
    }

    async fn new() -> Self {
        let store = MemoryStore::new();
        repository(Arc::new(store.clone()), secret(), None).await;
        Self::over(store, None).await
    }

    /// Rehearses a run, makes it, and holds the one against the other.
    async fn hold<T, R: Future<Output = crate::Result<T>>>(
        &self,
        what: &str,
        run: impl Fn(Repository, Arc<Rehearsal>) -> R,
    ) -> Spent {
        let before = self.store.keys();
        let rehearsal = Rehearsal::new(Expectation::NONE);
        run(rehearsal.repository(&self.repository), Arc::clone(&rehearsal)).await.unwrap();
        assert_eq!(self.store.keys(), before, "{what}: a rehearsal changes nothing");
        let begun = self.tally.spent();
        let unused = Rehearsal::new(Expectation::NONE);
        run(self.repository.clone(), unused).await.unwrap();
        let real = self.tally.spent().since(begun);
        near(what, rehearsal.on_store(), real);
        real
    }

    async fn backed_up(&self, what: &str, source: &MemorySource) -> Spent {
        self.hold(what, |repository, rehearsal| {
            let is_rehearsed = repository.unread_packs().is_some();
            let source: Arc<dyn Source> = Arc::new(source.clone());
            async move {
                let source = if is_rehearsed { rehearsal.source(source) } else { source };
                let options = BackupOptions { host: "host".to_owned(), ..BackupOptions::default() };
                backup::run(&repository, source, &options, &RunContext::default()).await
            }
        })
        .await
    }
}

/// Within a tenth, class by class; where that is less than one, one.
fn near(what: &str, rehearsed: Spent, real: Spent) {
    let pairs = [
        ("list", rehearsed.list, real.list),
        ("get", rehearsed.get, real.get),
        ("head", rehearsed.head, real.head),
        ("put", rehearsed.put, real.put),
        ("delete", rehearsed.delete, real.delete),
        ("bytes up", rehearsed.bytes_up, real.bytes_up),
        ("bytes down", rehearsed.bytes_down, real.bytes_down),
    ];
    for (class, rehearsed, real) in pairs {
        let leave = (real / 10).max(u64::from(!class.starts_with("bytes")));
        assert!(rehearsed.abs_diff(real) <= leave, "{what}: {class}: {rehearsed} rehearsed, {real} in truth");
    }
    assert!(rehearsed.requests().abs_diff(real.requests()) <= real.requests() / 10, "{what}: {rehearsed:?} {real:?}");
}

/// Contents that fill some packs, many that are small, and some that lie in their entries.
fn source() -> MemorySource {
    let source = MemorySource::new();
    source.put("large", noise(1, 34_000_000));
    source.put("inline", b"tiny".to_vec());
    for number in 0..200_u64 {
        source.put(format!("small/{number:03}").as_str(), noise(100 + number, 3000 + number as usize * 97));
    }
    source
}

fn change(source: &MemorySource) {
    source.put("large", noise(2, 3_000_000));
    source.put("small/new", noise(3, 100_000));
    source.remove(&"small/007".into());
}

async fn filled() -> (Counted, MemorySource, [SnapshotId; 2]) {
    let counted = Counted::new().await;
    let source = source();
    let first = snapshot(&counted.repository, &source).await;
    change(&source);
    let second = snapshot(&counted.repository, &source).await;
    (counted, source, [first, second])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_an_unchanged_and_a_changed_backup_ask_what_was_rehearsed() {
    let counted = Counted::new().await;
    let source = source();
    let first = counted.backed_up("first", &source).await;
    assert!(first.bytes_up > 34_000_000 && first.put >= 6, "{first:?}");
    let unchanged = counted.backed_up("unchanged", &source).await;
    assert!(unchanged.bytes_up < 100_000, "{unchanged:?}");
    change(&source);
    let changed = counted.backed_up("changed", &source).await;
    assert!(changed.bytes_up > 3_000_000 && changed.bytes_up < first.bytes_up, "{changed:?}");
    expect_whole(&counted.repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rehearsal_brings_into_the_cache_is_not_charged_to_the_run() {
    let (counted, source, _) = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let cached = Counted::over(counted.store, Some(&ObjectCache::new(folder.path(), 1 << 30))).await;
    cached.backed_up("cached", &source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_all_and_of_a_prefix_asks_what_was_rehearsed() {
    let (counted, _, [_, second]) = filled().await;
    let handle = handle(&counted.repository, second).await;
    let mut received = Vec::new();
    for pattern in [None, Some("small/*")] {
        let include = Patterns::new(pattern).unwrap();
        let options = RestoreOptions { include, ..RestoreOptions::default() };
        let real = counted.hold("restore", |repository, rehearsal| {
            let (handle, options) = (handle.clone(), options.clone());
            let is_rehearsed = repository.unread_packs().is_some();
            async move {
                let destination = MemoryDestination::new();
                let into: Arc<dyn Destination> = Arc::new(destination.clone());
                let into = if is_rehearsed { rehearsal.destination(into) } else { into };
                let report = restore::run(&repository, &handle, into, &options, &RunContext::default()).await?;
                assert!(report.is_whole(), "{report:?}");
                let written = rehearsal.on_destination();
                assert_eq!(written.put > 0, is_rehearsed);
                assert!(!is_rehearsed || destination.restored().is_empty() && written.bytes_up == report.bytes);
                Ok(())
            }
        });
        received.push(real.await.bytes_down);
    }
    // How much is read between the small ones depends on what was packed beside them; the large one is not.
    assert!(received[0] > 5_500_000 && received[1] + 1_000_000 < received[0], "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_with_and_without_data_asks_what_was_rehearsed() {
    let (counted, ..) = filled().await;
    for options in [CheckOptions::default(), CheckOptions::reading(Sample::All)] {
        let check =
            |repository: Repository, _| async move { check::run(&repository, &options, &RunContext::default()).await };
        let real = counted.hold("check", check).await;
        assert_eq!(real.bytes_down > 39_000_000, options.read_data.is_some(), "{real:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_to_an_empty_and_to_a_nearly_equal_target_asks_what_was_rehearsed() {
    let (origin, source, _) = filled().await;
    let store = MemoryStore::new();
    repository(Arc::new(store.clone()), secret(), Some(&origin.repository)).await;
    for (what, store) in [("alike", store), ("re-keyed", Counted::new().await.store)] {
        let target = Counted::over(store, None).await;
        for step in ["empty", "near"] {
            let (there, here) = (Rehearsal::new(Expectation::NONE), Rehearsal::new(Expectation::NONE));
            let before = target.store.keys();
            let (options, context) = (SyncOptions::default(), RunContext::default());
            let (from, to) = (there.repository(&origin.repository), here.repository(&target.repository));
            sync::run(&from, &to, &options, &context).await.unwrap();
            assert_eq!(target.store.keys(), before);
            let begun = (origin.tally.spent(), target.tally.spent());
            let report = sync::run(&origin.repository, &target.repository, &options, &context).await.unwrap();
            assert!(!report.copied.is_empty() && report.failed == 0, "{report:?}");
            near(&format!("{what}, {step}, from"), there.on_store(), origin.tally.spent().since(begun.0));
            near(&format!("{what}, {step}, to"), here.on_store(), target.tally.spent().since(begun.1));
            source.put("small/later", noise(what.len() as u64, 30_000));
            snapshot(&origin.repository, &source).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_asks_what_was_rehearsed() {
    let (counted, source, [first, _]) = filled().await;
    // Half of a pack is needed still.
    (0..100).for_each(|number| source.remove(&format!("small/{number:03}").as_str().into()));
    snapshot(&counted.repository, &source).await;
    let gone = handle(&counted.repository, first).await;
    remove::run(&counted.repository, &[gone], None).await.unwrap();
    let maintain = |repository: Repository, _| async move {
        gc::run(&repository, &GcOptions::default(), &RunContext::default()).await
    };
    let real = counted.hold("maintain", maintain).await;
    assert!(real.delete > 0 && real.put > 0, "{real:?}");
    expect_whole(&open(Arc::new(counted.store), secret()).await).await;
}

#[test]
fn what_is_beyond_the_bound_is_extrapolated() {
    let rehearsal = Rehearsal::new(Expectation { permille: 500 });
    let made = rehearsal.take(REHEARSED_BYTES_MAX);
    assert_eq!(made, REHEARSED_BYTES_MAX / 2);
    assert_eq!(rehearsal.on_store(), Spent::default());
    assert_eq!(rehearsal.take(u64::MAX / 4), REHEARSED_BYTES_MAX / 2);
    assert_eq!(rehearsal.take(10 * DATA_PACK_BYTES), 0);
    let beyond = u64::MAX / 8 - REHEARSED_BYTES_MAX / 2 + 5 * DATA_PACK_BYTES;
    assert!(rehearsal.on_store().bytes_up.abs_diff(beyond) < 10);
    let packs = beyond / DATA_PACK_BYTES;
    assert!(rehearsal.on_store().put > packs && rehearsal.on_store().put < packs + packs / 20);
}
