//! Restores of a history to a destination in memory.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Permute, Record, Retry, RetryPolicy, call};
use credenza_connect::{Check, DestinationInfo, ErrorClass, Payload, Store, Writer};
use credenza_model::Version;

use super::*;
use crate::backup::BackupOptions;
use crate::testing::{TestClock, handle, noise, open, repository, secret, snapshot, withheld};
use crate::{Listener, RunContext};

/// Orders of answers that are tried.
const PERMUTATIONS: u64 = 24;

fn version(key: &str, id: &str, latest: bool, deleted: bool) -> Entry {
    let version = Some(Version { id: id.to_owned(), latest, deleted });
    Entry { version, ..Entry::new(Key::from(key), EntryKind::File) }
}

/// `a` was written three times, `b` written, deleted and written again, `c` is deleted.
fn history() -> MemorySource {
    let source = MemorySource::new();
    for (key, id, text, latest) in [("a", "1", "one", false), ("a", "2", "two", false), ("a", "3", "three", true)] {
        source.insert_version(version(key, id, latest, false), text.as_bytes().to_vec());
    }
    source.insert_version(version("b", "1", false, false), b"before".to_vec());
    source.insert_version(version("b", "2", false, true), Vec::new());
    source.insert_version(version("b", "3", true, false), b"after".to_vec());
    source.insert_version(version("c", "1", false, false), b"gone".to_vec());
    source.insert_version(version("c", "2", true, true), Vec::new());
    source
}

async fn restored(destination: impl Destination + 'static, options: &RestoreOptions) -> Result<RestoreReport> {
    restored_by(Arc::new(crate::SystemClock), destination, options).await
}

async fn restored_by(
    clock: Arc<dyn crate::Clock>,
    destination: impl Destination + 'static,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    restored_from(history(), clock, destination, options).await
}

async fn restored_from(
    source: MemorySource,
    clock: Arc<dyn crate::Clock>,
    destination: impl Destination + 'static,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await.with_clock(clock);
    let report = crate::backup::run(&repository, Arc::new(source), &BackupOptions::default(), &RunContext::default())
        .await
        .unwrap();
    let snapshot = handle(&repository, report.snapshot.unwrap()).await;
    run(&repository, &snapshot, Arc::new(destination), options, &RunContext::default()).await
}

/// What was published of a key, oldest first; `None` stands for a delete marker.
fn published(destination: &MemoryDestination, key: &str) -> Vec<Option<String>> {
    let of_key = destination.published().into_iter().filter(|(entry, _)| entry.key == Key::from(key));
    of_key
        .map(|(entry, bytes)| {
            let deleted = entry.version.is_some_and(|version| version.deleted);
            (!deleted).then(|| String::from_utf8(bytes.to_vec()).unwrap())
        })
        .collect()
}

fn texts(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_delete_markers_are_replayed_oldest_first() {
    let destination = MemoryDestination::with_history();
    let report =
        restored(destination.clone(), &RestoreOptions { versions: true, ..RestoreOptions::default() }).await.unwrap();
    assert_eq!((report.entries, report.failed, report.damaged, report.versions_left), (8, 0, 0, 0));
    assert_eq!(published(&destination, "a"), texts(&["one", "two", "three"]));
    assert_eq!(published(&destination, "b"), texts(&["before", "", "after"]));
    assert_eq!(published(&destination, "c"), texts(&["gone", ""]));
    let there: Vec<String> = destination.restored().keys().map(ToString::to_string).collect();
    assert_eq!(there, ["a", "b"]);
}

/// Notes how often packs had been read from when the first content was whole.
struct AtFirst {
    store: Record<dyn Store>,
    reads: AtomicUsize,
}

impl Listener for AtFirst {
    fn on(&self, event: Event) {
        if let Event::Progress { bytes: 1.., .. } = event {
            let read = self
                .store
                .calls()
                .iter()
                .filter(|call| call.name == call::GET && call.key.starts_with("data/"))
                .count();
            let _ = self.reads.compare_exchange(0, read, SeqCst, SeqCst);
        }
    }
}

#[tokio::test]
async fn while_a_window_is_written_the_next_ones_are_fetched() {
    let store = Arc::new(MemoryStore::new());
    repository(store.clone(), secret(), None).await;
    let recorded = Record::<dyn Store>::new(store);
    let repository = open(Arc::new(recorded.clone()), secret()).await;
    let source = MemorySource::new();
    let mut newest = None;
    // Seven files are two windows, in a pack of their own because they come with a run of their own.
    for window in 0..4_u64 {
        for seed in window * 7..window * 7 + 7 {
            source.put(Key::new(format!("{seed:02}")), noise(seed, 1100 << 10));
        }
        let (options, context) = (BackupOptions::default(), RunContext::default());
        let report = crate::backup::run(&repository, Arc::new(source.clone()), &options, &context).await.unwrap();
        newest = report.snapshot;
    }
    let snapshot = handle(&repository, newest.unwrap()).await;
    let first = Arc::new(AtFirst { store: recorded, reads: AtomicUsize::new(0) });
    let context = RunContext { events: first.clone(), ..RunContext::default() };
    let destination = Arc::new(MemoryDestination::new());
    run(&repository, &snapshot, destination, &RestoreOptions::default(), &context).await.unwrap();
    assert!(first.reads.load(SeqCst) >= 3, "two packs are read before the first content is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_versions_only_what_was_there_last_is_restored_and_the_rest_is_counted() {
    let destination = MemoryDestination::new();
    let report = restored(destination.clone(), &RestoreOptions::default()).await.unwrap();
    assert_eq!((report.entries, report.versions_left), (2, 6));
    let there: Vec<_> = destination.restored().into_values().map(|restored| restored.bytes).collect();
    assert_eq!(there, [&b"three"[..], b"after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_without_history_takes_no_versions() {
    let destination = MemoryDestination::new();
    let refused = restored(destination.clone(), &RestoreOptions { versions: true, ..RestoreOptions::default() }).await;
    assert!(matches!(refused, Err(Error::NoHistory { .. })), "{refused:?}");
    assert!(destination.restored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_not_written_upon_an_object_that_is_not_to_be_replaced() {
    let destination = MemoryDestination::with_history();
    let own = Entry::new(Key::from("b"), EntryKind::File);
    destination.create(&own, false).await.unwrap().unwrap().finish(Payload::default()).await.unwrap();
    let report =
        restored(destination.clone(), &RestoreOptions { versions: true, ..RestoreOptions::default() }).await.unwrap();
    assert_eq!((report.entries, report.failed), (5, 0));
    assert_eq!(report.left[&Conflict::Uncompared].entries, 3);
    assert_eq!(published(&destination, "b"), [Some(String::new())], "the user's own, which is empty");
    assert_eq!(published(&destination, "a"), texts(&["one", "two", "three"]));
}

/// Fails for entries of these keys, again and again; after each try three minutes have passed.
#[derive(Clone)]
struct Stubborn {
    inner: MemoryDestination,
    refused: Vec<Key>,
    /// Why it fails; `connect` is not to be reached at all.
    reason: &'static str,
    clock: Arc<TestClock>,
}

impl Stubborn {
    fn new(refused: &[&str], reason: &'static str) -> Self {
        let refused = refused.iter().map(|key| Key::from(*key)).collect();
        Self { inner: MemoryDestination::new(), refused, reason, clock: Arc::default() }
    }

    fn failure(&self) -> credenza_connect::Error {
        self.clock.pass(Duration::from_mins(3));
        credenza_connect::Error::new(ErrorClass::Transient, self.reason, "it fails again and again")
    }

    async fn restored(&self) -> Result<RestoreReport> {
        let clock = Arc::clone(&self.clock) as Arc<dyn crate::Clock>;
        restored_by(clock, self.clone(), &RestoreOptions::default()).await
    }
}

#[async_trait]
impl Destination for Stubborn {
    async fn info(&self) -> credenza_connect::Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> credenza_connect::Result<Option<Entry>> {
        match self.reason {
            "connect" => Err(self.failure()),
            _ => self.inner.stat(key).await,
        }
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> credenza_connect::Result<Option<Box<dyn Writer>>> {
        match self.refused.contains(&entry.key) {
            true => Err(self.failure()),
            false => self.inner.create(entry, overwrite).await,
        }
    }

    async fn set_metadata(
        &self,
        entries: &[Entry],
    ) -> credenza_connect::Result<Vec<credenza_connect::Result<Vec<String>>>> {
        self.inner.set_metadata(entries).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_fails_again_and_again_while_others_succeed_is_left_out_and_told() {
    let destination = Stubborn::new(&["a"], "s3.unavailable");
    let report = destination.restored().await.unwrap();
    assert_eq!((report.entries, report.failed), (1, 1));
    assert!(destination.inner.restored().contains_key(&Key::from("b")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_never_answered_is_left_out_as_long_as_the_destination_answers_others() {
    let destination = Stubborn::new(&["a", "b"], "http.timeout");
    let report = destination.restored().await.unwrap();
    assert_eq!((report.entries, report.failed), (0, 2), "it answers what it is asked for besides");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_answers_nothing_for_minutes_ends_the_restore() {
    let ended = Stubborn::new(&["a", "b"], "connect").restored().await;
    assert!(
        matches!(&ended, Err(Error::Unanswered { side: "destination", seconds, .. }) if *seconds >= 300),
        "{ended:?}"
    );
}

/// Gets over what fails now and then, and over an answer that was lost.
fn patient<T: ?Sized>(inner: Fault<T>) -> Retry<Fault<T>> {
    let policy = RetryPolicy { pause_min: Duration::ZERO, pause_max: Duration::ZERO, ..RetryPolicy::default() };
    Retry::new(Arc::new(inner), policy)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_calls_are_answered_a_restore_is_whole() {
    let store = MemoryStore::new();
    let (source, large) = (MemorySource::new(), noise(1, 6_000_000));
    source.put("large", large.clone());
    source.put("inline", b"tiny".to_vec());
    for number in 0..60 {
        source.put(format!("small/{number:02}").as_str(), noise(number % 40, 2000 + number as usize * 97));
    }
    let id = snapshot(&repository(Arc::new(store.clone()), secret(), None).await, &source).await;
    for seed in 0..PERMUTATIONS {
        let stumbling = Fault::new(Arc::new(store.clone()), seed).one_in(call::GET, 8, FaultKind::Tear).one_in(
            call::GET,
            8,
            FaultKind::Fail(ErrorClass::Transient),
        );
        let repository = open(Arc::new(Permute::new(Arc::new(patient(stumbling)), seed)), secret()).await;
        let snapshot = handle(&repository, id).await;
        let destination = MemoryDestination::new();
        let stumbling = Fault::new(Arc::new(destination.clone()), seed)
            .one_in(call::CREATE, 8, FaultKind::Fail(ErrorClass::Transient))
            .one_in(call::WRITE, 8, FaultKind::Fail(ErrorClass::Transient))
            .one_in(call::FINISH, 8, FaultKind::LoseAnswer)
            .one_in(call::SET_METADATA, 4, FaultKind::Fail(ErrorClass::Transient));
        let permuted = Arc::new(Permute::new(Arc::new(patient(stumbling)), !seed));
        // What is written upon itself, because the answer was lost that it is there, must be allowed to be replaced: memory states no checksums.
        let options = RestoreOptions { overwrite: Overwrite::Always, ..RestoreOptions::default() };
        let report = run(&repository, &snapshot, permuted, &options, &RunContext::default()).await.unwrap();
        assert_eq!((report.entries, report.failed, report.damaged, report.unread), (62, 0, 0, 0), "seed {seed}");
        let restored = destination.restored();
        assert_eq!(restored.len(), 62, "seed {seed}");
        for (key, found) in restored {
            let expected = match key.to_string().strip_prefix("small/").map(|number| number.parse::<u64>().unwrap()) {
                Some(number) => noise(number % 40, 2000 + number as usize * 97),
                None if key == Key::from("large") => large.clone(),
                None => b"tiny".to_vec(),
            };
            assert!(found.bytes == expected, "seed {seed}: {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_calls_are_answered_versions_are_replayed_oldest_first() {
    for seed in 0..PERMUTATIONS {
        let destination = MemoryDestination::with_history();
        let options = RestoreOptions { versions: true, ..RestoreOptions::default() };
        let report = restored(Permute::new(Arc::new(destination.clone()), seed), &options).await.unwrap();
        assert_eq!((report.entries, report.failed, report.damaged), (8, 0, 0), "seed {seed}");
        assert_eq!(published(&destination, "a"), texts(&["one", "two", "three"]), "seed {seed}");
        assert_eq!(published(&destination, "b"), texts(&["before", "", "after"]), "seed {seed}");
        assert_eq!(published(&destination, "c"), texts(&["gone", ""]), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_the_store_never_gives_costs_its_own_entries_while_it_answers_others() {
    for reason in ["s3.internal", "http.timeout"] {
        let (repository, both, _) = withheld(reason).await;
        let destination = MemoryDestination::new();
        let snapshot = handle(&repository, both).await;
        let report = run(
            &repository,
            &snapshot,
            Arc::new(destination.clone()),
            &RestoreOptions::default(),
            &RunContext::default(),
        )
        .await;
        let report = report.unwrap();
        assert_eq!((report.entries, report.failed, report.damaged), (1, 1, 0), "{reason}");
        let restored = destination.restored();
        assert!(restored.len() == 1 && restored[&Key::from("b")].bytes == noise(2, 200_000), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_nothing_for_minutes_ends_the_restore() {
    let (repository, both, _) = withheld("connect").await;
    let snapshot = handle(&repository, both).await;
    let destination = Arc::new(MemoryDestination::new());
    let ended = run(&repository, &snapshot, destination, &RestoreOptions::default(), &RunContext::default()).await;
    assert!(
        matches!(&ended, Err(Error::Unanswered { side: "repository", seconds, .. }) if *seconds >= 300),
        "{ended:?}"
    );
}

/// Its objects are begun without a request and published by one; each request that nobody answers takes a minute, and each that fails five seconds.
#[derive(Clone)]
struct Distant {
    inner: MemoryDestination,
    /// How many more requests nobody answers.
    away: Arc<AtomicUsize>,
    /// Of so many objects it takes one.
    takes_one_in: usize,
    asked: Arc<AtomicUsize>,
    clock: Arc<TestClock>,
}

impl Distant {
    fn new(away: usize, takes_one_in: usize) -> Self {
        let (inner, away, clock) = (MemoryDestination::new(), Arc::new(away.into()), Arc::default());
        Self { inner, away, takes_one_in, asked: Arc::default(), clock }
    }

    fn request(&self) -> credenza_connect::Result<()> {
        let failed = |reason| credenza_connect::Error::new(ErrorClass::Transient, reason, "it failed");
        match self.away.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => {
                self.clock.pass(Duration::from_mins(1));
                Err(failed("connect"))
            }
            Err(_) => Ok(()),
        }
    }

    async fn restored(&self) -> Result<RestoreReport> {
        let clock = Arc::clone(&self.clock) as Arc<dyn crate::Clock>;
        restored_by(clock, self.clone(), &RestoreOptions { overwrite: Overwrite::Always, ..RestoreOptions::default() })
            .await
    }
}

#[async_trait]
impl Destination for Distant {
    async fn info(&self) -> credenza_connect::Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> credenza_connect::Result<Option<Entry>> {
        self.request()?;
        self.inner.stat(key).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> credenza_connect::Result<Option<Box<dyn Writer>>> {
        let inner = self.inner.create(entry, overwrite).await?;
        Ok(inner.map(|inner| Box::new(DistantWriter { inner, distant: self.clone() }) as _))
    }

    async fn set_metadata(
        &self,
        entries: &[Entry],
    ) -> credenza_connect::Result<Vec<credenza_connect::Result<Vec<String>>>> {
        self.inner.set_metadata(entries).await
    }
}

struct DistantWriter {
    inner: Box<dyn Writer>,
    distant: Distant,
}

#[async_trait]
impl Writer for DistantWriter {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> credenza_connect::Result<()> {
        self.distant.request()?;
        self.inner.write(part).await
    }

    async fn finish(&mut self, last: Payload) -> credenza_connect::Result<Vec<String>> {
        self.distant.request()?;
        if !self.distant.asked.fetch_add(1, SeqCst).is_multiple_of(self.distant.takes_one_in) {
            self.distant.clock.pass(Duration::from_secs(5));
            return Err(credenza_connect::Error::new(ErrorClass::Transient, "s3.unavailable", "it failed"));
        }
        self.inner.finish(last).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_being_written_while_the_destination_went_away_is_written_when_it_is_back() {
    // One alone: of two, the other's requests may be those that nobody answers, and then it was this one's own failure.
    let source = MemorySource::new();
    source.put("alone", b"some".to_vec());
    let destination = Distant::new(4, 1);
    let clock = Arc::clone(&destination.clock) as Arc<dyn crate::Clock>;
    let options = RestoreOptions { overwrite: Overwrite::Always, ..RestoreOptions::default() };
    let report = restored_from(source, clock, destination.clone(), &options).await.unwrap();
    assert_eq!((report.entries, report.failed), (1, 0));
    assert_eq!(destination.inner.restored().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_begun_without_a_request_is_no_sign_that_a_destination_answers() {
    let ended = Distant::new(usize::MAX, 1).restored().await;
    assert!(matches!(&ended, Err(Error::Unanswered { side: "destination", .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_takes_no_object_ends_the_restore_and_one_that_takes_some_does_not() {
    for (takes_one_in, expected) in [(100, Some((6, 594))), (1000, None)] {
        let source = MemorySource::new();
        (0..600).for_each(|number| source.put(format!("{number:03}").as_str(), b"some".to_vec()));
        let destination = Distant::new(0, takes_one_in);
        let clock = Arc::clone(&destination.clock) as Arc<dyn crate::Clock>;
        let done = restored_from(source, clock, destination, &RestoreOptions::default()).await;
        match expected {
            Some(expected) => {
                let report = done.unwrap();
                assert_eq!((report.entries, report.failed), expected);
            }
            None => assert!(matches!(&done, Err(Error::Fruitless { side: "destination", .. })), "{done:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_ends_a_restore_ends_no_other_run_of_its_caller() {
    let distant = Distant::new(usize::MAX, 1);
    let clock = Arc::clone(&distant.clock) as Arc<dyn crate::Clock>;
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await.with_clock(clock);
    let source = MemorySource::new();
    (0..20).for_each(|number| source.put(format!("{number}").as_str(), noise(number, 20_000)));
    let snapshot = handle(&repository, snapshot(&repository, &source).await).await;
    let (options, context) =
        (RestoreOptions { overwrite: Overwrite::Always, ..RestoreOptions::default() }, RunContext::default());
    let ended = run(&repository, &snapshot, Arc::new(distant), &options, &context).await;
    assert!(matches!(ended, Err(Error::Unanswered { .. })), "{ended:?}");
    assert!(!context.stop.is_requested());
}
