//! Servers of every order and manner: ranges tell what one piece tells, or are given up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Record, call};
use credenza_connect::{ByteRange, Check, Opened, SourceDocument, SourceInfo, Store};
use credenza_model::{Attribute, Entry, EntryKind, Timestamp, Version};
use proptest::prelude::*;

use super::*;
use crate::testing::{handle, open, repository, secret, snapshot};
use crate::walk::Records;

/// Ranges of six entries, so that few keys make many of them.
const SMALL: Shape = Shape { page_entries: 3, pages: 2, at_once: 3 };

/// A server with an order and manners of its own.
struct Server {
    /// In its order.
    found: Vec<Found>,
    /// At which of them a listing begins that is to begin after a key.
    begins: fn(&[Found], &[u8]) -> usize,
    /// Each page begins with the last entry of the page before.
    overlaps: bool,
    pages: Arc<AtomicUsize>,
    crowd: Arc<Crowd>,
}

/// Calls in flight, and the most there were.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Server {
    fn new(found: Vec<Found>, begins: fn(&[Found], &[u8]) -> usize) -> Self {
        Self { found, begins, overlaps: false, pages: Arc::default(), crowd: Arc::default() }
    }

    fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Source for Server {
    async fn info(&self) -> Result<SourceInfo> {
        Ok(SourceInfo::default())
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let place = options.start_after.as_ref().map_or(0, |key| (self.begins)(&self.found, key));
        let (overlaps, pages, crowd) = (self.overlaps, Arc::clone(&self.pages), Arc::clone(&self.crowd));
        Ok(Box::new(Served { found: self.found[place..].to_vec(), place: 0, overlaps, pages, crowd }))
    }

    async fn read(&self, _: &Entry, _: Option<ByteRange>, _: Option<&str>) -> Result<Opened> {
        Err(broken_off())
    }

    async fn describe(&self, _: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        Ok(Vec::new())
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(Vec::new())
    }
}

struct Served {
    found: Vec<Found>,
    place: usize,
    overlaps: bool,
    pages: Arc<AtomicUsize>,
    crowd: Arc<Crowd>,
}

#[async_trait]
impl Scanner for Served {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let now = self.crowd.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.crowd.most.fetch_max(now, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.crowd.now.fetch_sub(1, Ordering::Relaxed);
        let begin = if self.overlaps { self.place.saturating_sub(1) } else { self.place };
        let end = self.found.len().min(begin + max);
        let page = if self.place < end { self.found[begin..end].to_vec() } else { Vec::new() };
        self.place = end;
        self.pages.fetch_add(usize::from(!page.is_empty()), Ordering::Relaxed);
        Ok(Batch { more: !page.is_empty(), found: page })
    }
}

/// How a server begins whose order is that of the bytes of its keys.
fn behind(found: &[Found], key: &[u8]) -> usize {
    found.iter().position(|found| found.key().as_bytes() > key).unwrap_or(found.len())
}

fn file(key: &[u8]) -> Entry {
    Entry::new(Key::new(key), EntryKind::File)
}

/// What a snapshot of a source would give a later run as the records of its parent.
async fn parent_of(source: &MemorySource) -> Arc<Mutex<KeyedRecords>> {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let tree = handle(&repository, snapshot(&repository, source).await).await.snapshot.tree;
    let loader = repository.loader(Arc::new(repository.index_for_writing().await.unwrap()));
    Arc::new(Mutex::new(KeyedRecords::new(Records::new(loader, &tree, Vec::new()))))
}

async fn drained(scanner: Box<dyn Scanner>) -> Result<Vec<Found>> {
    let (mut batches, mut all) = (Batches::new(scanner), Vec::new());
    while let Some(batch) = batches.next(SMALL.page_entries).await? {
        all.extend(batch);
    }
    Ok(all)
}

/// The listing in ranges, or in one piece where the parent's keys fill no more than one.
async fn listed(source: Arc<dyn Source>, parent: Arc<Mutex<KeyedRecords>>) -> Result<Vec<Found>> {
    match Ranges::begin(Arc::clone(&source), ScanOptions::default(), parent, SMALL).await {
        Some(ranges) => drained(Box::new(ranges)).await,
        None => in_one_piece(&*source).await,
    }
}

async fn in_one_piece(source: &dyn Source) -> Result<Vec<Found>> {
    drained(source.scan(&ScanOptions::default()).await?).await
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> MemorySource {
    let source = MemorySource::new();
    numbers.into_iter().for_each(|number| source.put(format!("{number:05}").as_str(), b"x".to_vec()));
    source
}

async fn entries_of(source: &MemorySource) -> Vec<Found> {
    in_one_piece(source).await.unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
}

/// Keys with their number of versions: few letters, so that many share long beginnings; `-` and `/` come in another order in folders.
fn keys() -> impl Strategy<Value = BTreeMap<Vec<u8>, u8>> {
    let letters = prop::sample::select(vec![b'-', b'/', b'a', b'b', 0xff]);
    prop::collection::btree_map(prop::collection::vec(letters, 1..5), 1..4_u8, 0..70)
}

/// A bucket that was backed up, and the same bucket later: with a range of keys gone, others gone here and there, and new ones.
fn buckets() -> impl Strategy<Value = (BTreeMap<Vec<u8>, u8>, BTreeMap<Vec<u8>, u8>)> {
    let gone = (any::<prop::sample::Index>(), 0..30_usize, 1..9_usize);
    (keys(), keys(), gone, 0..20_usize).prop_map(|(before, fresh, (from, length, every), new)| {
        let from = from.index(before.len().max(1));
        let stays =
            |place: &usize| !(from..from + length).contains(place) && (every < 3 || !place.is_multiple_of(every));
        let kept = before.iter().enumerate().filter(|(place, _)| stays(place)).map(|(_, (k, v))| (k.clone(), *v));
        let after = kept.chain(fresh.into_iter().take(new)).collect();
        (before, after)
    })
}

fn filled(keys: &BTreeMap<Vec<u8>, u8>, versioned: bool) -> MemorySource {
    let source = MemorySource::new();
    for (key, versions) in keys {
        for number in 0..if versioned { *versions } else { 0 } {
            let version = Version { id: format!("v{number}"), latest: number + 1 == *versions, deleted: false };
            source.insert_version(Entry { version: Some(version), ..file(key) }, b"x".to_vec());
        }
        if !versioned {
            source.put(Key::new(key.clone()), b"x".to_vec());
        }
    }
    source
}

/// What a server sorts a key by.
type Rank = fn(&[u8]) -> Vec<u8>;
/// Where a server begins behind a key.
type Begin = fn(&[Found], &[u8]) -> usize;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn ranges_tell_what_one_piece_tells((before, after) in buckets(), versioned: bool) {
        let (reported, expected, pages, at_most) = run(async {
            let now = entries_of(&filled(&after, versioned)).await;
            let server = Arc::new(Server::new(now.clone(), behind));
            let reported = listed(server.clone(), parent_of(&filled(&before, versioned)).await).await;
            let ranges = before.values().map(|versions| usize::from(*versions)).sum::<usize>() / 6 + 1;
            let at_most = now.len().div_ceil(SMALL.page_entries) + ranges;
            (reported, now, server.pages(), at_most)
        });
        prop_assert_eq!(reported.unwrap(), expected);
        prop_assert!(pages <= at_most, "{} pages, {} at most", pages, at_most);
    }

    #[test]
    fn whatever_the_order_of_a_server_no_key_is_lost_unnoticed((before, after) in buckets(), order in 0..3_usize) {
        // As folders lie; by an alphabet that knows no bytes; from the end of the keys.
        let ranks: [Rank; 3] = [
            |key| key.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect(),
            |key| key.iter().map(|byte| byte.wrapping_add(b'z')).collect(),
            |key| key.iter().rev().copied().collect(),
        ];
        let begins: [Begin; 3] = [
            |found, key| place_of(found, key, |key| key.iter().map(|b| if *b == b'/' { 0 } else { *b }).collect()),
            |found, key| place_of(found, key, |key| key.iter().map(|b| b.wrapping_add(b'z')).collect()),
            |found, key| place_of(found, key, |key| key.iter().rev().copied().collect()),
        ];
        let (reported, expected) = run(async {
            let sorted = entries_of(&filled(&after, false)).await;
            let mut now = sorted.clone();
            now.sort_by_key(|found| ranks[order](found.key().as_bytes()));
            let is_one_range = before.len() <= 6;
            let server = Arc::new(Server::new(now.clone(), begins[order]));
            let reported = listed(server, parent_of(&filled(&before, false)).await).await;
            (reported, if is_one_range { now } else { sorted })
        });
        match reported {
            Ok(reported) => prop_assert_eq!(reported, expected),
            Err(cause) => prop_assert!(gives_up(&cause), "{}", cause),
        }
    }

    #[test]
    fn a_server_that_lists_by_time_of_writing_loses_no_key_unnoticed(
        (before, after) in buckets(), rewritten in prop::collection::btree_set(0..70_usize, 0..6),
    ) {
        // A key that is not there any more tells it nothing, so that it begins at the front.
        let begins: fn(&[Found], &[u8]) -> usize =
            |found, key| found.iter().position(|found| found.key().as_bytes() == key).map_or(0, |place| place + 1);
        let (reported, expected) = run(async {
            let sorted = entries_of(&filled(&after, false)).await;
            let is_late = |place: usize, found: &Found| {
                rewritten.contains(&place) || !before.contains_key(found.key().as_bytes())
            };
            let (late, early): (Vec<_>, Vec<_>) =
                sorted.iter().cloned().enumerate().partition(|(place, found)| is_late(*place, found));
            let now: Vec<Found> = early.into_iter().chain(late).map(|(_, found)| found).collect();
            let is_one_range = before.len() <= 6;
            let server = Arc::new(Server::new(now.clone(), begins));
            let reported = listed(server, parent_of(&filled(&before, false)).await).await;
            (reported, if is_one_range { now } else { sorted })
        });
        match reported {
            Ok(reported) => prop_assert_eq!(reported, expected),
            Err(cause) => prop_assert!(gives_up(&cause), "{}", cause),
        }
    }
}

fn place_of(found: &[Found], key: &[u8], rank: fn(&[u8]) -> Vec<u8>) -> usize {
    found.iter().position(|found| rank(found.key().as_bytes()) > rank(key)).unwrap_or(found.len())
}

#[tokio::test]
async fn an_unchanged_source_costs_the_pages_of_one_piece_and_several_are_in_flight() {
    for count in [6, 7, 60, 61, 65, 66, 67, 600] {
        let source = numbered(0..count);
        let server = Arc::new(Server::new(entries_of(&source).await, behind));
        let reported = listed(server.clone(), parent_of(&source).await).await.unwrap();
        assert_eq!(reported, entries_of(&source).await, "{count}");
        assert_eq!(server.pages(), count.div_ceil(SMALL.page_entries), "{count}");
        assert_eq!(server.crowd.most.load(Ordering::Relaxed), (count.div_ceil(6)).min(SMALL.at_once), "{count}");
    }
}

#[tokio::test]
async fn ranges_that_nobody_takes_pages_of_stand_still() {
    let source = numbered(0..60);
    let many = numbered((0..60).chain(100..100_000));
    let server = Arc::new(Server::new(entries_of(&many).await, behind));
    let mut ranges =
        Ranges::begin(server.clone(), ScanOptions::default(), parent_of(&source).await, SMALL).await.unwrap();
    ranges.next(SMALL.page_entries).await.unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    // Each range holds its pages and one that waits for room; the one in front has given one.
    assert!(server.pages() <= SMALL.at_once * (SMALL.pages + 1) + 1, "{} pages", server.pages());
    drop(ranges);
}

async fn given_up_by(server: Server) -> String {
    let parent = parent_of(&numbered(0..60)).await;
    let cause = listed(Arc::new(server), parent).await.unwrap_err();
    assert!(gives_up(&cause), "{cause}");
    cause.message
}

#[tokio::test]
async fn a_server_that_does_not_keep_to_ranges_is_noticed_at_once() {
    let all = entries_of(&numbered(0..60)).await;
    let ignoring = Server::new(all.clone(), |_, _| 0);
    let pages = Arc::clone(&ignoring.pages);
    assert!(given_up_by(ignoring).await.contains("`00000` does not come in order"));
    assert!(pages.load(Ordering::Relaxed) <= 7, "{pages:?}");
    let including = Server::new(all.clone(), |found, key| behind(found, key) - 1);
    assert!(given_up_by(including).await.contains("`00005` does not come in order"));
    let overlapping = Server { overlaps: true, ..Server::new(all.clone(), behind) };
    assert!(given_up_by(overlapping).await.contains("`00002` does not come in order"));
    let skipping = Server::new(all, |found, key| behind(found, key) + 1);
    // Every range tells its own last key; the gap shows where one is gone.
    let gone = Server { found: entries_of(&numbered((0..60).filter(|number| *number != 5))).await, ..skipping };
    assert!(given_up_by(gone).await.contains("different keys of one place"));
}

#[tokio::test]
async fn a_failure_that_stays_gives_ranges_up_and_one_that_passes_fails_the_run() {
    let source = numbered(0..60);
    for (class, gives) in [(ErrorClass::Unsupported, true), (ErrorClass::Denied, true), (ErrorClass::Transient, false)]
    {
        for place in [call::SCAN, call::NEXT] {
            let failing = Fault::new(Arc::new(source.clone()), 1).one_in(place, 3, FaultKind::Fail(class));
            let cause = listed(Arc::new(failing), parent_of(&source).await).await.unwrap_err();
            assert_eq!(gives_up(&cause), gives, "{class:?} of {place}: {cause}");
        }
    }
}

#[tokio::test]
async fn a_parent_that_cannot_be_read_on_ends_the_ranges_and_says_so_to_who_takes_its_records() {
    let source = numbered(0..60);
    let store = Arc::new(MemoryStore::new());
    let written = repository(store.clone(), secret(), None).await;
    let tree = handle(&written, snapshot(&written, &source).await).await.snapshot.tree;
    let records = async |store: Arc<dyn Store>| {
        let repository = open(store, secret()).await;
        Records::new(repository.loader(Arc::new(repository.index_for_writing().await.unwrap())), &tree, Vec::new())
    };
    let counted = Arc::new(Record::<dyn Store>::new(store.clone()));
    assert!(records(counted.clone()).await.look_ahead(59).await.is_some());
    let last = counted.count(call::GET) as u64;
    let failing = Fault::<dyn Store>::new(store, 1).at(call::GET, last, FaultKind::Fail(ErrorClass::Denied));
    let parent = Arc::new(Mutex::new(KeyedRecords::new(records(Arc::new(failing)).await)));
    assert_eq!(listed(Arc::new(source.clone()), Arc::clone(&parent)).await.unwrap(), entries_of(&source).await);
    let mut parent = parent.lock().await;
    assert!(matches!(parent.seek(&Key::from("00001")).await, Err(crate::Error::Connector { .. })));
}
