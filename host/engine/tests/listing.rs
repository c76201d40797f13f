//! An unchanged bucket of many objects: what its listing costs, and that no memory grows with it.
//!
//! The bucket is a lister without objects: keys and sizes follow from numbers. Steps that are measured run in processes of their own,
//! this test binary called again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here is a failed test")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use common::*;
use credenza_connect::file::FileStore;
use credenza_connect::wrap::Record;
use credenza_connect::{
    Batch, Body, ByteRange, Check, Error, Found, Opened, Result, ScanOptions, Scanner, Source, SourceDocument,
    SourceInfo, Store,
};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use credenza_engine::{CreateOptions, ObjectCache, Repository, RunContext, Secret};
use credenza_model::{Attribute, AttributeValue, Entry, EntryKind, Key};
use tokio::sync::Semaphore;

const NAME: &str = "an_unchanged_bucket_costs_its_pages_a_dozen_requests_and_little_memory";
const STEP: &str = "CREDENZA_TEST_STEP";
const FOLDER: &str = "CREDENZA_TEST_FOLDER";
/// How many objects, if not [`OBJECTS`].
const COUNT: &str = "CREDENZA_TEST_OBJECTS";

const OBJECTS: usize = 1_000_000;
const PAGE: usize = 1000;
/// What a page takes to come from a server that is near.
const LATENCY: Duration = Duration::from_millis(10);
/// Pages of a listing that are to be in flight at the same time.
const IN_FLIGHT_MIN: usize = 4;
/// What only ends a run whose pages never are.
const MEETING_MAX: Duration = Duration::from_mins(5);
/// Requests beside the pages of the listing, of source and store together.
const REQUESTS_MAX: usize = 11;
/// The cache has room for all that is kept there, as a user's has.
const CACHE_BYTES_MAX: u64 = 1 << 30;
/// The most memory that a run may hold, in bytes.
const MEMORY_BYTES_MAX: u64 = 200 * 1000 * 1000;

/// A bucket whose objects follow from their numbers, each one byte long.
#[derive(Clone)]
struct Lister {
    objects: usize,
    /// Closed when so many pages are in flight as there are to be; until then the first wait for each other.
    met: Arc<Semaphore>,
    pages: Arc<AtomicUsize>,
    in_flight: Arc<AtomicUsize>,
    most_in_flight: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

fn key(number: usize) -> Key {
    Key::from(format!("year=2026/month={:02}/object-{number:09}.parquet", number * 12 / OBJECTS + 1).as_str())
}

fn entry(number: usize) -> Found {
    let class = ("s3.storage-class".to_owned(), AttributeValue::Text("STANDARD".to_owned()));
    Found::Entry(Entry {
        size: Some(1),
        modified: Some(at(1_700_000_000 + number as i64)),
        fingerprint: Some(format!("{:032x}", number * 7919)),
        attributes: vec![class],
        ..Entry::new(key(number), EntryKind::File)
    })
}

impl Lister {
    fn new(objects: usize) -> Self {
        let [pages, in_flight, most_in_flight, reads] = [(); 4].map(|()| Arc::default());
        Self { objects, met: Arc::new(Semaphore::new(0)), pages, in_flight, most_in_flight, reads }
    }

    fn first_behind(&self, after: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.objects);
        while low < high {
            let middle = low.midpoint(high);
            if key(middle).as_bytes() <= after { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[async_trait]
impl Source for Lister {
    async fn info(&self) -> Result<SourceInfo> {
        let traits = ["start-after", "ranged-read", "fingerprints"].map(str::to_owned).to_vec();
        Ok(SourceInfo { identity: "lister".to_owned(), namespace: "flat".to_owned(), traits })
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let next = options.start_after.as_ref().map_or(0, |after| self.first_behind(after));
        Ok(Box::new(Listing { lister: self.clone(), next }))
    }

    async fn read(&self, entry: &Entry, _: Option<ByteRange>, _: Option<&str>) -> Result<Opened> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(Opened { entry: entry.clone(), body: Body::from_bytes(Bytes::from_static(b"x")) })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
    }

    async fn now(&self) -> Result<Option<credenza_model::Timestamp>> {
        Ok(None)
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(Vec::new())
    }
}

struct Listing {
    lister: Lister,
    next: usize,
}

#[async_trait]
impl Scanner for Listing {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let end = self.lister.objects.min(self.next + max.min(PAGE));
        if self.next == end {
            return Ok(Batch::default());
        }
        self.lister.pages.fetch_add(1, Ordering::Relaxed);
        let now = self.lister.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.lister.most_in_flight.fetch_max(now, Ordering::Relaxed);
        if now >= IN_FLIGHT_MIN {
            self.lister.met.close();
        }
        if tokio::time::timeout(MEETING_MAX, self.lister.met.acquire()).await.is_err() {
            self.lister.met.close();
        }
        tokio::time::sleep(LATENCY).await;
        self.lister.in_flight.fetch_sub(1, Ordering::Relaxed);
        let numbers = std::mem::replace(&mut self.next, end)..end;
        Ok(Batch { found: numbers.map(entry).collect(), more: true })
    }
}

async fn run(repository: &Repository, lister: &Lister) -> BackupReport {
    backup::run(repository, Arc::new(lister.clone()), &BackupOptions::default(), &RunContext::default()).await.unwrap()
}

#[test]
fn an_unchanged_bucket_costs_its_pages_a_dozen_requests_and_little_memory() {
    let Ok(step) = std::env::var(STEP) else { return run_steps() };
    let folder = std::env::var(FOLDER).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(back_up(folder.as_ref(), &step));
}

fn run_steps() {
    let folder = tempfile::tempdir().unwrap();
    for step in ["first", "unchanged"] {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME, "--nocapture"]).env(STEP, step).env(FOLDER, folder.path());
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{step}: {said}{}", String::from_utf8_lossy(&output.stderr));
        println!("{said}");
    }
}

async fn back_up(folder: &Path, step: &str) {
    let objects = std::env::var(COUNT).map_or(OBJECTS, |count| count.parse().unwrap());
    let (is_first, place) = (step == "first", folder.join("repository"));
    let lister = Lister::new(objects);
    if is_first {
        // What nobody knows is listed in one piece.
        lister.met.close();
    }
    if is_first {
        create_plain(&place).await;
    }
    let store = Record::<dyn Store>::new(Arc::new(FileStore::open(&place).unwrap()));
    let cache = ObjectCache::new(folder.join("cache"), CACHE_BYTES_MAX);
    let repository = Repository::open(Arc::new(store.clone()), &Secret::None, Some(&cache)).await.unwrap();
    let began = Instant::now();
    let report = run(&repository, &lister).await;
    let (pages, reads) = (lister.pages.load(Ordering::Relaxed), lister.reads.load(Ordering::Relaxed));
    let (requests, peak) = (store.calls().len(), peak_bytes());
    let in_flight = lister.most_in_flight.load(Ordering::Relaxed);
    println!(
        "{step}: {objects} objects in {:.1} s: {pages} pages, {in_flight} at once, {reads} reads, {requests} requests to the store, {peak} bytes of memory at most",
        began.elapsed().as_secs_f64()
    );
    assert_eq!((report.errors, report.entries), (0, objects as u64));
    assert_eq!(pages, objects.div_ceil(PAGE));
    assert!(peak > 0 && peak <= MEMORY_BYTES_MAX, "{peak} bytes of memory");
    if !is_first {
        assert_eq!(reads, 0);
        assert!(in_flight >= IN_FLIGHT_MIN, "{in_flight} pages at once");
        assert!(requests <= REQUESTS_MAX, "{:?}", store.calls());
    }
}

async fn create_plain(folder: &Path) {
    let store: Arc<dyn Store> = Arc::new(FileStore::create(folder).unwrap());
    let options = CreateOptions { label: "test".into(), ..CreateOptions::new(Secret::None) };
    Repository::create(store, &options).await.unwrap();
}
