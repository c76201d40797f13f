//! A listing sorted by key, for sources whose order cannot be relied on: an external merge sort.
//!
//! Owned here: sorted runs in temporary files without a name, their merge, one of equal entries, and the end of a listing that
//! tells the same entries for ever. Refused here: what becomes of an entry. Called by `backup`, `mirror` and `query::live`.
//!
//! Bound: [`RUN_ENTRIES`] entries in memory (some 300 bytes each) and [`RUNS_MAX`] open files with a buffer each; on disk, the
//! listing once, or twice while runs are joined.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::mem;

use credenza_connect::{Batch, Batches, Error as ConnectError, ErrorClass, Found, ScanOptions, Scanner, Source};
use credenza_format::{decode_record, encode_record};
use credenza_model::{Content, Entry, EntryKind, EntryStatus, Key, Record, SkippedEntry};

use crate::{Error, Result};

/// Entries asked of a scanner at once.
pub(crate) const PAGE_ENTRIES: usize = 1000;
/// Entries that are sorted in memory.
const RUN_ENTRIES: usize = 100_000;
/// Runs that are merged at once; more are joined into one first.
const RUNS_MAX: usize = 64;
/// How often a listing may tell an entry, on average.
const REPEATS_MAX: usize = 4;

/// The entries of a listing in the order of their keys; those of one key in the order in which they were reported.
pub(crate) struct SortedScan {
    merge: Merge,
}

impl SortedScan {
    pub(crate) async fn collect(source: &dyn Source, options: &ScanOptions) -> Result<Self> {
        let scanner = source.scan(options).await.map_err(Error::source("listing the source"))?;
        Self::of(scanner).await
    }

    /// What a walk tells, in the order of keys.
    pub(crate) async fn of(scanner: Box<dyn Scanner>) -> Result<Self> {
        Self::gather(scanner, RUN_ENTRIES).await
    }

    async fn gather(scanner: Box<dyn Scanner>, run_entries: usize) -> Result<Self> {
        let mut sorter = Sorter { run_entries, held: Vec::new(), runs: Vec::new(), reported: 0 };
        let mut batches = Batches::new(scanner);
        while let Some(batch) = batches.next(PAGE_ENTRIES).await.map_err(Error::source("listing the source"))? {
            sorter.take(batch)?;
        }
        settle(&mut sorter.held);
        let merge = Merge::new(sorter.runs, sorter.held).map_err(unsorted)?;
        Ok(Self { merge })
    }
}

#[async_trait::async_trait]
impl Scanner for SortedScan {
    async fn next(&mut self, max: usize) -> credenza_connect::Result<Batch> {
        let found: Vec<Found> = self.merge.by_ref().take(max).collect::<io::Result<_>>().map_err(no_room)?;
        Ok(Batch { more: !found.is_empty(), found })
    }
}

/// Collects a listing in sorted runs.
struct Sorter {
    run_entries: usize,
    held: Vec<Found>,
    runs: Vec<Run>,
    /// Entries told so far, repeated ones included.
    reported: u64,
}

impl Sorter {
    fn take(&mut self, page: Vec<Found>) -> Result<()> {
        self.reported = self.reported.saturating_add(page.len() as u64);
        self.held.extend(page);
        if self.held.len() < self.run_entries {
            return Ok(());
        }
        settle(&mut self.held);
        self.notice_repetition()?;
        // What is mostly repetition stays, so that a run is worth a file.
        if self.held.len() < self.run_entries / 2 {
            return Ok(());
        }
        self.runs.push(Run::write(mem::take(&mut self.held).into_iter().map(Ok)).map_err(unsorted)?);
        if self.runs.len() == RUNS_MAX {
            let all = Merge::new(mem::take(&mut self.runs), Vec::new()).map_err(unsorted)?;
            self.runs.push(Run::write(all).map_err(unsorted)?);
            self.notice_repetition()?;
        }
        Ok(())
    }

    fn notice_repetition(&self) -> Result<()> {
        let distinct = self.runs.iter().map(|run| run.entries).sum::<u64>().saturating_add(self.held.len() as u64);
        if self.reported / REPEATS_MAX as u64 > distinct {
            let what = format!("its listing tells the same {distinct} entries again and again");
            return Err(Error::Contract { what });
        }
        Ok(())
    }
}

/// Sorts what was found and keeps one of equal entries. Stable, so that versions of one key keep their order.
fn settle(found: &mut Vec<Found>) {
    found.sort_by(|a, b| a.key().cmp(b.key()));
    found.dedup();
}

/// Sorted entries in a file that is gone with its handle: length and bytes of the key, length and bytes of the record.
struct Run {
    file: BufReader<File>,
    entries: u64,
}

impl Run {
    fn write(sorted: impl Iterator<Item = io::Result<Found>>) -> io::Result<Self> {
        let mut file = BufWriter::new(tempfile::tempfile()?);
        let mut entries = 0;
        for found in sorted {
            let record = record_of(found?);
            put(&mut file, record.entry.key.as_bytes())?;
            put(&mut file, &encode_record(&record).map_err(io::Error::other)?)?;
            entries += 1;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Self { file: BufReader::new(file), entries })
    }

    fn next(&mut self) -> io::Result<Option<Found>> {
        if self.entries == 0 {
            return Ok(None);
        }
        self.entries -= 1;
        let key = Key::new(get(&mut self.file)?);
        let record = decode_record(key, &get(&mut self.file)?).map_err(io::Error::other)?;
        Ok(Some(found_of(record)))
    }
}

fn put(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(bytes)
}

/// The file is our own and nobody else can open it, so that its lengths are believed.
fn get(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Entries as records: what was skipped is reported by its status, which an entry of a listing never has.
fn record_of(found: Found) -> Record {
    match found {
        Found::Entry(entry) => Record { entry, content: Content::None, status: EntryStatus::Stable },
        Found::Skipped(SkippedEntry { key, reason }) => Record {
            entry: Entry::new(key, EntryKind::Other),
            content: Content::None,
            status: EntryStatus::Unreadable(reason),
        },
    }
}

fn found_of(record: Record) -> Found {
    match record.status {
        EntryStatus::Unreadable(reason) => Found::Skipped(SkippedEntry { key: record.entry.key, reason }),
        _ => Found::Entry(record.entry),
    }
}

/// Runs in the order in which they were written, and after them what was not.
struct Merge {
    runs: Vec<Run>,
    rest: std::vec::IntoIter<Found>,
    heads: BinaryHeap<Reverse<Head>>,
    last: Option<Found>,
}

/// The next entry of a run.
struct Head {
    found: Found,
    run: usize,
}

impl Merge {
    fn new(runs: Vec<Run>, rest: Vec<Found>) -> io::Result<Self> {
        let mut merge = Self { runs, rest: rest.into_iter(), heads: BinaryHeap::new(), last: None };
        for run in 0..=merge.runs.len() {
            if let Some(found) = merge.next_of(run)? {
                merge.heads.push(Reverse(Head { found, run }));
            }
        }
        Ok(merge)
    }

    fn next_of(&mut self, run: usize) -> io::Result<Option<Found>> {
        match self.runs.get_mut(run) {
            Some(run) => run.next(),
            None => Ok(self.rest.next()),
        }
    }

    fn pop(&mut self) -> io::Result<Option<Found>> {
        let Some(run) = self.heads.peek().map(|Reverse(head)| head.run) else { return Ok(None) };
        let next = self.next_of(run)?;
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let found = match next {
            Some(next) => mem::replace(&mut head.0.found, next),
            None => PeekMut::pop(head).0.found,
        };
        Ok(Some(found))
    }
}

impl Iterator for Merge {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.pop() {
                Ok(found) => found?,
                Err(error) => return Some(Err(error)),
            };
            if self.last.as_ref() != Some(&found) {
                self.last = Some(found.clone());
                return Some(Ok(found));
            }
        }
    }
}

impl Head {
    fn place(&self) -> (&Key, usize) {
        (self.found.key(), self.run)
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Head {}

fn no_room(error: io::Error) -> ConnectError {
    let folder = std::env::temp_dir();
    let message = format!(
        "the listing comes in no order, and sorting it in a temporary file in {} failed: {error}; make room there, or set TMPDIR",
        folder.display()
    );
    ConnectError::new(ErrorClass::Exhausted, "listing.sort", message)
}

fn unsorted(error: io::Error) -> Error {
    Error::connector("sorting the listing of the source")(no_room(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells the pages that a function makes of their numbers.
    struct Pages<F>(F, usize);

    #[async_trait::async_trait]
    impl<F: FnMut(usize) -> Vec<Found> + Send> Scanner for Pages<F> {
        async fn next(&mut self, _: usize) -> credenza_connect::Result<Batch> {
            self.1 += 1;
            let found = (self.0)(self.1 - 1);
            Ok(Batch { more: !found.is_empty(), found })
        }
    }

    fn found(number: usize) -> Found {
        let key = Key::from(format!("{number:07}").as_str());
        if number.is_multiple_of(7) {
            return Found::Skipped(SkippedEntry { key, reason: "no rights".to_owned() });
        }
        let mut entry = Entry::new(key, EntryKind::File);
        entry.size = Some(number as u64);
        Found::Entry(entry)
    }

    async fn sorted(pages: impl FnMut(usize) -> Vec<Found> + Send + 'static, run: usize) -> Result<Vec<Found>> {
        let scan = SortedScan::gather(Box::new(Pages(pages, 0)), run).await?;
        let (mut batches, mut all) = (Batches::new(Box::new(scan)), Vec::new());
        while let Some(batch) = batches.next(10).await.unwrap() {
            all.extend(batch);
        }
        Ok(all)
    }

    /// Page by page through all numbers below `count`, in an order that is none: 7919 is prime.
    fn scattered(count: usize, times: usize) -> impl FnMut(usize) -> Vec<Found> + Send + 'static {
        const PAGE: usize = 10;
        move |page| {
            let numbers = page * PAGE..((page + 1) * PAGE).min(count * times);
            numbers.map(|number| found(number * 7919 % count)).collect()
        }
    }

    #[tokio::test]
    async fn however_many_runs_a_listing_takes_each_entry_comes_once_and_in_order() {
        // In memory; in some runs; in more than are merged at once.
        for count in [15, 450, 100 * RUNS_MAX] {
            let all = sorted(scattered(count, 1), 50).await.unwrap();
            assert!(all == (0..count).map(found).collect::<Vec<_>>(), "{count}");
            let twice = sorted(scattered(count, 2), 50).await.unwrap();
            assert!(twice == all, "{count} told twice");
        }
    }

    #[tokio::test]
    async fn versions_of_a_key_keep_their_order_across_runs() {
        let version = |number: usize| {
            let mut entry = Entry::new(Key::from("key"), EntryKind::File);
            entry.size = Some(number as u64);
            Found::Entry(entry)
        };
        let pages = move |page: usize| if page < 10 { (0..9).map(|n| version(page * 9 + n)).collect() } else { vec![] };
        assert_eq!(sorted(pages, 20).await.unwrap(), (0..90).map(version).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_listing_that_begins_again_and_again_is_not_sorted_for_ever() {
        // Shorter than a run, and longer.
        for count in [1, 900] {
            let endless = sorted(scattered(count, usize::MAX / count), 100).await;
            let Err(Error::Contract { what }) = endless else { panic!("{count} keys were sorted") };
            assert!(what.contains(&format!("same {count} entries")), "{what}");
        }
    }
}
