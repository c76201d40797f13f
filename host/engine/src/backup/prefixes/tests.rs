//! A remote that goes on from markers of its own: what a listing by prefixes tells, and how many requests it costs.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use credenza_connect::{ByteRange, Check, Opened, SourceDocument, SourceInfo};
use credenza_model::{Attribute, Entry, Key, Timestamp};
use proptest::prelude::*;

use super::*;

/// Most entries of a page, as Azure Blob has it.
const REMOTE_PAGE: usize = 5000;

/// Lists in the order of keys, a page a request, and begins behind a key only by listing all before it.
struct Marked {
    keys: Arc<Vec<Vec<u8>>>,
    requests: Arc<AtomicUsize>,
}

impl Marked {
    fn new(mut keys: Vec<Vec<u8>>) -> Arc<Self> {
        keys.sort();
        keys.dedup();
        Arc::new(Self { keys: Arc::new(keys), requests: Arc::default() })
    }
}

struct Walk {
    keys: Arc<Vec<Vec<u8>>>,
    requests: Arc<AtomicUsize>,
    options: ScanOptions,
    /// Where the next page begins.
    marker: usize,
    /// What the last page has left.
    held: VecDeque<Found>,
    last_folder: Option<Vec<u8>>,
}

impl Walk {
    fn page(&mut self) {
        self.requests.fetch_add(1, Relaxed);
        let prefix = &self.options.prefix;
        while self.held.len() < REMOTE_PAGE
            && let Some(key) = self.keys.get(self.marker).filter(|key| key.starts_with(prefix))
        {
            self.marker += 1;
            let cut = key[prefix.len()..].iter().position(|byte| *byte == b'/').filter(|_| self.options.one_level);
            match cut {
                Some(end) => {
                    let folder = key[..=prefix.len() + end].to_vec();
                    if self.last_folder.replace(folder.clone()) != Some(folder.clone()) {
                        self.held.push_back(Found::Entry(Entry::new(Key::new(folder), EntryKind::Directory)));
                    }
                }
                None => self.held.push_back(Found::Entry(Entry::new(Key::new(key.clone()), EntryKind::File))),
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.keys.get(self.marker).is_none_or(|key| !key.starts_with(&self.options.prefix))
    }
}

#[async_trait]
impl Scanner for Walk {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        if self.held.is_empty() {
            self.page();
        }
        let found: Vec<Found> = self.held.drain(..max.min(self.held.len())).collect();
        Ok(Batch { found, more: !self.held.is_empty() || !self.is_at_end() })
    }
}

#[async_trait]
impl Source for Marked {
    async fn info(&self) -> Result<SourceInfo> {
        Ok(SourceInfo { namespace: "flat".to_owned(), ..SourceInfo::default() })
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let marker = self.keys.partition_point(|key| *key < options.prefix);
        let (keys, requests) = (Arc::clone(&self.keys), Arc::clone(&self.requests));
        let options = options.clone();
        Ok(Box::new(Walk { keys, requests, options, marker, held: VecDeque::new(), last_folder: None }))
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

/// The keys that a listing by prefixes tells, or nothing where it is listed in one piece.
async fn listed(source: &Arc<Marked>, entries: u64) -> Option<Vec<Vec<u8>>> {
    let whole = ScanOptions::default();
    let prefixes = Prefixes::begin(Arc::clone(source) as Arc<dyn Source>, whole, entries).await.unwrap()?;
    let (mut batches, mut all) = (Batches::new(Box::new(prefixes)), Vec::new());
    while let Some(batch) = batches.next(PAGE_ENTRIES).await.unwrap() {
        all.extend(batch.iter().map(|found| found.key().as_bytes().to_vec()));
    }
    Some(all)
}

#[tokio::test]
async fn a_million_objects_behind_markers_cost_a_request_a_page_and_one_a_folder() {
    const OBJECTS: usize = 1_000_000;
    let key = |number: usize| format!("data/{:02}/{number:07}", number % 20).into_bytes();
    let source = Marked::new((0..OBJECTS).map(key).collect());
    let reported = listed(&source, OBJECTS as u64).await.unwrap();
    assert!(reported == *source.keys, "{} keys were reported", reported.len());
    let requests = source.requests.load(Relaxed);
    assert!((OBJECTS / REMOTE_PAGE..=OBJECTS / REMOTE_PAGE + 22).contains(&requests), "{requests} requests");
}

#[tokio::test]
async fn what_has_no_folders_that_are_worth_it_costs_two_pages_to_find_out() {
    let flat = |number: usize| format!("{number:07}").into_bytes();
    let scattered = |number: usize| format!("{number:07}/x").into_bytes();
    for key in [&flat as &dyn Fn(usize) -> Vec<u8>, &scattered] {
        let source = Marked::new((0..50_000).map(key).collect());
        assert!(listed(&source, 50_000).await.is_none());
        assert!(source.requests.load(Relaxed) <= 2, "{:?}", source.requests);
    }
}

proptest! {
    #[test]
    fn a_listing_by_prefixes_tells_what_one_piece_tells(
        keys in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![b'!', b'/', b'a', b'b', 0xff]), 1..6), 0..80),
    ) {
        let source = Marked::new(keys);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        if let Some(reported) = runtime.block_on(listed(&source, u64::MAX)) {
            prop_assert_eq!(&reported, &*source.keys);
        }
    }
}
