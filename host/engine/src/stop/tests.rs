//! Every operation is asked to end at each of its requests: it ends with `Cancelled`, sends next to nothing more, leaves nothing in flight and
//! nothing damaged, and the next run comes to its end without uploading again what the index describes.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Free, Freedom, Retry, RetryPolicy};
use credenza_connect::{
    Body, ByteRange, Check, Page, Payload, PutOptions, Result as Answer, Store, StoreInfo, Stored, StoredObject,
};
use credenza_model::{StoreKey, Timestamp};

use super::*;
use crate::audit::{self, AuditOptions};
use crate::backup::{self, BackupOptions};
use crate::check::{self, CheckOptions, Sample};
use crate::gc::{self, GcOptions};
use crate::repair::{self, RepairOptions};
use crate::sync::{self, SyncOptions};
use crate::testing::{Reading, expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{Event, Listener, Repository, RunContext, remove};

/// Requests that one request to stop may still let out: those of one step that are sent together, or what describes what was kept.
const SENT_AFTER_MAX: usize = 16;
/// Freedoms that change nothing of what is in a store.
const QUIET: [Freedom; 5] =
    [Freedom::Transient, Freedom::AnyPieces, Freedom::ShortPage, Freedom::OwnPrecondition, Freedom::PartialDelete];

/// A store that asks for the stop at one of its requests, and knows how many are in flight.
#[derive(Clone)]
struct Watched {
    inner: MemoryStore,
    seen: Arc<Seen>,
}

struct Seen {
    stop: Stop,
    /// At which request the stop is asked for.
    at: usize,
    /// The pack that is read first, which is damaged then; others are handed out once the stop is asked for.
    damaged: Option<OnceLock<StoreKey>>,
    sent: AtomicUsize,
    in_flight: AtomicUsize,
}

impl Watched {
    fn new(inner: &MemoryStore, at: usize) -> Self {
        let (sent, in_flight) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self {
            inner: inner.clone(),
            seen: Arc::new(Seen { stop: Stop::default(), at, damaged: None, sent, in_flight }),
        }
    }

    /// One that damages the pack that is read first, whichever that is, and hands out no other until a stop is asked for.
    fn damaging(inner: &MemoryStore) -> Self {
        let damaged = Some(OnceLock::new());
        let seen = Seen { damaged, ..Arc::into_inner(Self::new(inner, usize::MAX).seen).unwrap() };
        Self { inner: inner.clone(), seen: Arc::new(seen) }
    }

    fn damage(&self, key: &StoreKey) -> StoreKey {
        let mut bytes = self.inner.bytes(key).unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.inner.tamper(key, Some(bytes.into()));
        key.clone()
    }

    /// A request: it is under way for some turns of the scheduler.
    async fn request<T>(&self, answer: impl Future<Output = T>) -> T {
        if self.seen.sent.fetch_add(1, SeqCst) + 1 == self.seen.at {
            self.seen.stop.request();
        }
        let _flight = Flight::begin(&self.seen.in_flight);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        answer.await
    }
}

struct Flight<'a>(&'a AtomicUsize);

impl<'a> Flight<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Watched {
    async fn info(&self) -> Answer<StoreInfo> {
        self.request(self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Answer<Stored> {
        self.request(self.inner.put(key, data, options)).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Answer<Body> {
        if let Some(damaged) = self.seen.damaged.as_ref().filter(|_| key.as_str().starts_with("data/")) {
            while damaged.get_or_init(|| self.damage(key)) != key && !self.seen.stop.is_requested() {
                tokio::task::yield_now().await;
            }
        }
        self.request(self.inner.get(key, range, version)).await
    }

    async fn stat(&self, key: &StoreKey) -> Answer<StoredObject> {
        self.request(self.inner.stat(key)).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Answer<Page> {
        self.request(self.inner.list(prefix, cursor, max)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Answer<Vec<Answer<()>>> {
        self.request(self.inner.delete(keys)).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Answer<()> {
        self.request(self.inner.retain(key, version, until)).await
    }
}

/// A store with the same objects that goes its own way.
async fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    for key in store.keys() {
        copy.put(&key, Payload::from(store.bytes(&key).unwrap()), &PutOptions::default()).await.unwrap();
    }
    copy
}

/// What is asked to end.
enum Operation {
    Backup(MemorySource),
    Sync(Box<Repository>),
    Check,
    Audit,
    Gc,
    Repair,
}

impl Operation {
    async fn run(&self, store: Arc<dyn Store>, context: &RunContext, repository: &Repository) -> Result<()> {
        match self {
            Self::Backup(source) => {
                let source = Arc::new(source.clone());
                backup::run(repository, source, &BackupOptions::default(), context).await.map(drop)
            }
            Self::Sync(origin) => {
                let report = sync::run(origin, repository, &SyncOptions::default(), context).await?;
                assert_eq!(report.failed, 0, "{:?}", report.findings);
                Ok(())
            }
            Self::Check => {
                let report = check::run(repository, &CheckOptions::reading(Sample::All), context).await?;
                assert!(report.findings.is_empty(), "{:?}", report.findings);
                Ok(())
            }
            Self::Audit => {
                let report = audit::run(store, &AuditOptions::default(), context).await?;
                assert!(report.findings.is_empty(), "{:?}", report.findings);
                Ok(())
            }
            Self::Gc => gc::run(repository, &GcOptions::default(), context).await.map(drop),
            Self::Repair => {
                let options = RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };
                let report = repair::run(repository, &options, context).await?;
                assert!(report.lost.is_empty(), "{:?}", report.lost);
                Ok(())
            }
        }
    }

    const fn uploads(&self) -> bool {
        matches!(self, Self::Backup(_) | Self::Sync(_))
    }
}

/// Demands that no chunk which the index describes was uploaded again, and that no pack is in the store of which it says nothing.
async fn expect_uploaded_once(store: &MemoryStore, at: usize) {
    let repository = open(Arc::new(store.clone()), secret()).await;
    let mut places: HashMap<_, usize> = HashMap::new();
    let index = repository.index_for_writing().await.unwrap();
    index.iter().for_each(|known| *places.entry(known.unwrap().0).or_default() += 1);
    let twice = places.values().filter(|count| **count > 1).count();
    assert_eq!(twice, 0, "of {} chunks, stopped at request {at}", places.len());
    let options = CheckOptions::default();
    let report = check::run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!(report.leftovers.packs, 0, "stopped at request {at}");
}

/// Runs an operation over and over: at each, or each so manieth, of its requests it is asked to end.
async fn stopped_anywhere(name: &str, (begin, every): (&MemoryStore, usize), operation: &Operation) {
    let mut cancelled = 0;
    let watched = Watched::new(begin, usize::MAX);
    open(Arc::new(watched.clone()), secret()).await;
    let cost_of_opening = watched.seen.sent.load(SeqCst);
    for at in (1..).step_by(every) {
        let store = copy_of(begin).await;
        let watched = Watched::new(&store, cost_of_opening + at);
        let opened = open(Arc::new(watched.clone()), secret()).await;
        let context = RunContext { stop: watched.seen.stop.clone(), ..RunContext::default() };
        let done = operation.run(Arc::new(watched.clone()), &context, &opened).await;
        let seen = &watched.seen;
        let (sent, asked) = (seen.sent.load(SeqCst) - cost_of_opening, seen.stop.is_requested());
        assert_eq!(seen.in_flight.load(SeqCst), 0, "{name}, stopped at request {at}");
        assert!(!seen.stop.is_heeded(), "{name} says that it is at work");
        if !asked {
            done.unwrap();
            assert!(cancelled > 0 && at > sent, "{name} never stopped");
            return;
        }
        assert!(sent - at <= SENT_AFTER_MAX, "{name}, stopped at request {at}, sent {sent}");
        match done {
            Err(Error::Cancelled) => cancelled += 1,
            // The last of its requests.
            Ok(()) => assert!(cancelled > 0, "{name}, stopped at request {at}, went on to {sent}"),
            Err(other) => panic!("{name}, stopped at request {at}: {other}"),
        }
        judge(name, &store, operation, at).await;
    }
}

/// Demands that what is left is sound, and that the operation comes to its end from there.
async fn judge(name: &str, store: &MemoryStore, operation: &Operation, at: usize) {
    let repository = open(Arc::new(store.clone()), secret()).await;
    if !matches!(operation, Operation::Repair) {
        expect_whole(&repository).await;
    }
    if operation.uploads() {
        expect_uploaded_once(store, at).await;
    }
    let again = operation.run(Arc::new(store.clone()), &RunContext::default(), &repository).await;
    again.unwrap_or_else(|cause| panic!("{name}, stopped at request {at}, then again: {cause}"));
    expect_whole(&repository).await;
    if operation.uploads() {
        expect_uploaded_once(store, at).await;
    }
}

fn source(numbers: impl IntoIterator<Item = u64>) -> MemorySource {
    let source = MemorySource::new();
    for number in numbers {
        source.put(format!("file-{number:03}").as_str(), noise(number, 20_000));
    }
    source
}

async fn with(sources: &[MemorySource]) -> (MemoryStore, Repository) {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    for source in sources {
        snapshot(&repository, source).await;
    }
    (store, repository)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_keeps_what_it_uploaded() {
    let (store, _) = with(&[source(0..6)]).await;
    let later = source(3..12);
    later.put("large", noise(99, 2_000_000));
    stopped_anywhere("backup", (&store, 1), &Operation::Backup(later)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_stopped_keeps_what_it_uploaded_whatever_the_keys() {
    let (store, target) = with(&[source(20..24)]).await;
    for like in [None, Some(&target)] {
        let origin = repository(Arc::new(MemoryStore::new()), secret(), like).await;
        snapshot(&origin, &source(0..6)).await;
        snapshot(&origin, &source(4..9)).await;
        stopped_anywhere("sync", (&store, 1), &Operation::Sync(Box::new(origin))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_stopped_ends_at_once() {
    let (store, _) = with(&[source(0..6), source(4..9)]).await;
    stopped_anywhere("check", (&store, 1), &Operation::Check).await;
}

/// Asks for the stop when it hears of damage.
struct StopAtDamage(Stop);

impl Listener for StopAtDamage {
    fn on(&self, event: Event) {
        if matches!(event, Event::Damage(_)) {
            self.0.request();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_stopped_has_put_on_record_what_it_found() {
    let (store, _) = with(&[source(0..6), source(4..9), source(8..12)]).await;
    let watched = Watched::damaging(&store);
    let opened = open(Arc::new(watched.clone()), secret()).await;
    let stop = watched.seen.stop.clone();
    let context = RunContext { events: Arc::new(StopAtDamage(stop.clone())), stop };
    let done = check::run(&opened, &CheckOptions::reading(Sample::All), &context).await;
    assert!(matches!(done, Err(Error::Cancelled)), "{done:?}");
    let other = open(Arc::new(store), secret()).await;
    let report = check::run(&other, &CheckOptions::default(), &RunContext::default()).await.unwrap();
    let named: Vec<&str> = report.findings.iter().map(|finding| finding.damage.object.as_str()).collect();
    let damaged = watched.seen.damaged.as_ref().and_then(OnceLock::get).map(StoreKey::as_str);
    assert_eq!(named, damaged.as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_is_stopped_ends_at_once() {
    let (store, _) = with(&[source(0..6), source(4..9)]).await;
    stopped_anywhere("audit", (&store, 1), &Operation::Audit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_stopped_leaves_what_a_crash_would_leave() {
    let (store, whole) = with(&[source(0..20), source(0..4), source(30..34)]).await;
    let oldest = whole.snapshots().await.unwrap().whole[0].snapshot.id;
    remove::run(&whole, &[handle(&whole, oldest).await], None).await.unwrap();
    let trial = open(Arc::new(copy_of(&store).await), secret()).await;
    let report = gc::run(&trial, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert!(report.repacked > 0 && report.deleted > 0, "{report:?}");
    stopped_anywhere("gc", (&store, 1), &Operation::Gc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_stopped_is_gone_on_with_by_the_next() {
    let (store, _) = with(&[source(0..6)]).await;
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    let segments = |store: &MemoryStore| store.keys().into_iter().filter(|key| key.as_str().starts_with("index/"));
    let before: Vec<StoreKey> = segments(&store).collect();
    snapshot(&open(Arc::new(store.clone()), secret()).await, &source(4..9)).await;
    let segment = segments(&store).find(|key| !before.contains(key)).unwrap();
    // Its last byte is of the checksum: every chunk of it can be read and is copied.
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    // Its packs are there, and are described again.
    store.tamper(&segment, None);
    stopped_anywhere("repair", (&store, 5), &Operation::Repair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_at_any_read_of_its_source_keeps_what_it_read() {
    for at in 1..=9 {
        let (store, _) = with(&[source(0..2)]).await;
        let stop = Stop::default();
        let (reads, wish) = (AtomicUsize::new(0), stop.clone());
        let read = move |answer| {
            if reads.fetch_add(1, SeqCst) + 1 == at {
                wish.request();
            }
            answer
        };
        let inner = source(2..11);
        let reading = Reading { inner: inner.clone(), local: false, listings: AtomicUsize::new(usize::MAX), read };
        let repository = open(Arc::new(store.clone()), secret()).await;
        let context = RunContext { stop: stop.clone(), ..RunContext::default() };
        let done = backup::run(&repository, Arc::new(reading), &BackupOptions::default(), &context).await;
        assert!(matches!(done, Err(Error::Cancelled)), "stopped at read {at}: {done:?}");
        judge("backup", &store, &Operation::Backup(inner), at).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_over_a_store_that_takes_its_freedoms_is_sound_as_well() {
    let policy = RetryPolicy {
        pause_min: std::time::Duration::ZERO,
        pause_max: std::time::Duration::ZERO,
        tries_max: 50,
        time_max: std::time::Duration::MAX,
    };
    let (begin, _) = with(&[source(0..6)]).await;
    let operations = [Operation::Backup(source(3..12)), Operation::Check, Operation::Gc];
    for seed in 0..30_u64 {
        for operation in &operations {
            let store = copy_of(&begin).await;
            let watched = Watched::new(&store, 10 + seed as usize * 3);
            let free = Free::<Watched>::taking(Arc::new(watched.clone()), seed, &QUIET);
            let retried: Arc<dyn Store> = Arc::new(Retry::new(Arc::new(free), policy));
            let repository = open(Arc::clone(&retried), secret()).await;
            let context = RunContext { stop: watched.seen.stop.clone(), ..RunContext::default() };
            let done = operation.run(retried, &context, &repository).await;
            assert!(matches!(done, Ok(()) | Err(Error::Cancelled)), "seed {seed}: {done:?}");
            assert_eq!(watched.seen.in_flight.load(SeqCst), 0, "seed {seed}");
            judge("freely", &store, operation, seed as usize).await;
        }
    }
}

#[test]
fn a_child_ends_with_its_parent_and_not_the_parent_with_the_child() {
    let all = Stop::default();
    let (one, other) = (all.child(), all.child());
    one.request();
    assert!(one.is_requested() && !all.is_requested() && !other.is_requested());
    all.request();
    assert!(other.is_requested() && all.child().is_requested());
}

#[test]
fn a_wish_is_heeded_as_long_as_any_run_below_it_is_at_work() {
    let all = Stop::default();
    let one = all.child();
    assert!(!all.is_heeded());
    let heeding = one.heeding();
    assert!(all.is_heeded() && one.is_heeded() && !all.child().is_heeded());
    drop(heeding);
    assert!(!all.is_heeded());
}
