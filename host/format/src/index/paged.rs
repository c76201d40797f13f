//! Runs of the look-up that are too long for memory: entries sorted by id, in sealed pages of a scratch file.
//!
//! Owned here: how a page is laid out and sealed, how one is found, how runs are merged. Refused here: where the file lies ([`Scratch`]), what the entries
//! mean (`lookup`, which alone calls this).
//!
//! A page is [`PAGE_ENTRIES`] entries of 52 bytes and a tag of 16, back to back with the others; the last may be shorter. It is sealed under a key that is drawn for the
//! file and never leaves the process, with its number as the nonce: what lies on the disk tells nothing, and what rots there or is changed is an error.
//! The kernel keeps the pages that are read often, so that nothing is kept here.
//!
//! Memory: 8 bytes for each [`FENCE_PAGES`] pages, that is 0.0016 bytes an entry: 26 MB at 1.6 × 10¹⁰ entries, which a petabyte has in chunks of 64 KiB. In between, a page
//! is guessed from the id: ids are keyed hashes, so that entry number i of n has an id near i/n, give or take √n/2 places. Between two fences n is 5,000, that is 35 places, less
//! than half a page: some 1.3 pages are read for an id, known or not. A filter that says which ids are not there would take two bytes each to spare that
//! read, 32 GB. Whoever chose ids (they must be hashes to be believed, and need not be to be listed) makes the guesses bad: after [`GUESSES_MAX`] the pages are halved.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use credenza_model::ChunkId;

use super::entry::{ENTRY_BYTES, Entry, Row, id_of, prefix};
use crate::suite::{SegmentCipher, Suite, TAG_BYTES};
use crate::{Error, Result};

/// Entries of a page: with its tag it fills a block of 4 KiB.
const PAGE_ENTRIES: usize = (4096 - TAG_BYTES) / ENTRY_BYTES;
const PAGE_BYTES: usize = PAGE_ENTRIES * ENTRY_BYTES;
const PAGE_SEALED_BYTES: usize = PAGE_BYTES + TAG_BYTES;
/// Pages from one fence to the next.
const FENCE_PAGES: u32 = 64;
/// Pages read at once by whoever reads all, 64 KiB.
const PAGES_AHEAD: u32 = 16;
/// Guesses by the ids themselves before the pages are halved.
const GUESSES_MAX: u32 = 4;

/// Entries in order, or why they cannot be read.
pub(super) type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + Send + 'a>;

/// Gives a file that nobody else opens and that is gone when it is closed.
pub trait Scratch: Send + Sync {
    /// An empty file, open for reading and writing.
    ///
    /// # Errors
    /// When there is no place for one.
    fn begin(&self) -> io::Result<File>;

    /// The folders in which it may lie, for who reads that there is no room.
    fn place(&self) -> String;
}

/// A run that is complete.
pub(super) struct PagedRun {
    file: File,
    cipher: SegmentCipher,
    length: u64,
    pages: u32,
    /// Of every [`FENCE_PAGES`]th page, the beginning of its first id.
    fences: Vec<u64>,
    /// How often its entries were merged.
    pub(super) level: u32,
}

impl PagedRun {
    /// How many entries it has.
    pub(super) const fn len(&self) -> u64 {
        self.length
    }

    /// The entries of an id.
    ///
    /// # Errors
    /// [`Error::Scratch`] when the file cannot be read.
    pub(super) fn entries(&self, id: &ChunkId, found: &mut Vec<Entry>) -> Result<()> {
        let (mut page, mut plain) = self.page_of(id)?;
        loop {
            let rows = rows(&plain);
            let start = rows.partition_point(|row| id_of(row) < *id);
            for row in rows.iter().skip(start).take_while(|row| id_of(row) == *id) {
                found.push(Entry::decode(row)?);
            }
            page = page.saturating_add(1);
            if page >= self.pages || rows.last().is_none_or(|last| id_of(last) != *id) {
                return Ok(());
            }
            plain = self.read(page, 1)?;
        }
    }

    /// The first page whose last id is not below an id; nothing behind the last.
    fn page_of(&self, id: &ChunkId) -> Result<(u32, Vec<u8>)> {
        let wanted = prefix(id);
        let below = self.fences.partition_point(|fence| *fence < wanted);
        let above = self.fences.partition_point(|fence| *fence <= wanted);
        let page_of = |fence: usize| u32::try_from(fence).unwrap_or(u32::MAX).saturating_mul(FENCE_PAGES);
        // Pages before `low` end below the id, and `high` does not, if it is there.
        let (mut low, mut high) = (page_of(below.saturating_sub(1)), page_of(above).min(self.pages));
        let fence = |fence: usize| self.fences.get(fence).copied();
        let (mut low_id, mut high_id) = (fence(below.saturating_sub(1)).unwrap_or(0), fence(above).unwrap_or(u64::MAX));
        let mut known = (self.pages, Vec::new());
        let mut guesses = 0;
        while low < high {
            let page = match guesses < GUESSES_MAX {
                true => guess((low, high), (low_id, high_id), wanted),
                false => low + (high - low) / 2,
            };
            guesses += 1;
            let plain = self.read(page, 1)?;
            let (Some(first), Some(last)) = (rows(&plain).first().map(id_of), rows(&plain).last().map(id_of)) else {
                break;
            };
            if last < *id {
                (low, low_id) = (page + 1, prefix(&last));
                continue;
            }
            let is_here = first < *id;
            (high, high_id) = (page, prefix(&first));
            known = (page, plain);
            if is_here {
                break;
            }
        }
        match known.0 == high || high >= self.pages {
            true => Ok(known),
            false => Ok((high, self.read(high, 1)?)),
        }
    }

    /// Every entry, sorted by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<Entry>> + Send + '_ {
        (0..self.pages).step_by(PAGES_AHEAD as usize).flat_map(|page| {
            let entries = |plain: Vec<u8>| rows(&plain).iter().map(Entry::decode).collect::<Vec<_>>();
            self.read(page, PAGES_AHEAD).map_or_else(|cause| vec![Err(cause)], entries)
        })
    }

    /// The rows of some pages, back to back, as far as there are any.
    fn read(&self, first: u32, count: u32) -> Result<Vec<u8>> {
        let offset = u64::from(first) * PAGE_SEALED_BYTES as u64;
        let pages = count.min(self.pages.saturating_sub(first));
        let all = self.length * ENTRY_BYTES as u64 + u64::from(self.pages) * TAG_BYTES as u64;
        let bytes = all.saturating_sub(offset).min(u64::from(pages) * PAGE_SEALED_BYTES as u64);
        let mut sealed = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.file.read_exact_at(&mut sealed, offset).map_err(|cause| scratch("reading", &cause))?;
        for (page, sealed) in (first..).zip(sealed.chunks_mut(PAGE_SEALED_BYTES)) {
            let opened = self.cipher.open(page, false, sealed);
            opened.ok_or_else(|| Error::Scratch {
                doing: "reading",
                problem: format!("page {page} was changed since it was written"),
            })?;
        }
        // Rows move together over the tags between pages; those of the first page are where they belong already.
        let mut plain_bytes = 0;
        for from in (0..sealed.len()).step_by(PAGE_SEALED_BYTES) {
            let length = PAGE_BYTES.min(sealed.len().saturating_sub(from + TAG_BYTES));
            sealed.copy_within(from..from + length, plain_bytes);
            plain_bytes += length;
        }
        sealed.truncate(plain_bytes);
        Ok(sealed)
    }
}

/// Writes entries, which come sorted, to a file.
pub(super) fn write(
    scratch_files: &Arc<dyn Scratch>,
    level: u32,
    entries: impl Iterator<Item = Result<Entry>>,
) -> Result<PagedRun> {
    let file = scratch_files.begin().map_err(|cause| no_room("opening", &**scratch_files, &cause))?;
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|cause| Error::Random { problem: cause.to_string() })?;
    let cipher = SegmentCipher::new(Suite::preferred(), &key, [0; 32])?;
    let mut run = PagedRun { file, cipher, length: 0, pages: 0, fences: Vec::new(), level };
    let mut ahead = Vec::with_capacity(PAGE_SEALED_BYTES * PAGES_AHEAD as usize);
    let (mut page, mut offset) = (Vec::with_capacity(PAGE_BYTES), 0);
    for entry in entries {
        let entry = entry?;
        if page.is_empty() && run.pages.is_multiple_of(FENCE_PAGES) {
            run.fences.push(prefix(&entry.id));
        }
        entry.encode(&mut page);
        run.length += 1;
        if page.len() == PAGE_BYTES {
            run.seal(&mut page, &mut ahead)?;
        }
        if ahead.len() >= PAGE_SEALED_BYTES * PAGES_AHEAD as usize {
            offset = run.append(&mut ahead, offset).map_err(|cause| no_room("writing", &**scratch_files, &cause))?;
        }
    }
    if !page.is_empty() {
        run.seal(&mut page, &mut ahead)?;
    }
    run.append(&mut ahead, offset).map_err(|cause| no_room("writing", &**scratch_files, &cause))?;
    Ok(run)
}

impl PagedRun {
    fn seal(&mut self, page: &mut Vec<u8>, ahead: &mut Vec<u8>) -> Result<()> {
        let many = Error::TooLarge { what: "the index", bytes: self.length, bytes_max: u64::from(u32::MAX) };
        let tag = self.cipher.seal(self.pages, false, page)?;
        self.pages = self.pages.checked_add(1).ok_or(many)?;
        ahead.append(page);
        ahead.extend(tag);
        Ok(())
    }

    fn append(&self, ahead: &mut Vec<u8>, offset: u64) -> io::Result<u64> {
        self.file.write_all_at(ahead, offset)?;
        let after = offset + ahead.len() as u64;
        ahead.clear();
        Ok(after)
    }
}

/// Entries of several sorted runs, sorted.
pub(super) fn merged(mut runs: Vec<Entries<'_>>) -> impl Iterator<Item = Result<Entry>> + Send {
    let mut next: BinaryHeap<Reverse<(Next, usize)>> = BinaryHeap::new();
    let mut failed = None;
    for (number, run) in runs.iter_mut().enumerate() {
        match run.next().transpose() {
            Ok(entry) => next.extend(entry.map(|entry| Reverse((Next(entry), number)))),
            Err(cause) => failed = Some(cause),
        }
    }
    std::iter::from_fn(move || {
        if let Some(cause) = failed.take() {
            next.clear();
            return Some(Err(cause));
        }
        let Reverse((Next(entry), number)) = next.pop()?;
        match runs.get_mut(number).and_then(Iterator::next) {
            Some(Ok(following)) => next.push(Reverse((Next(following), number))),
            Some(Err(cause)) => failed = Some(cause),
            None => {}
        }
        Some(Ok(entry))
    })
}

/// An entry in the order of a run.
struct Next(Entry);

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.id, self.0.pack).cmp(&(other.0.id, other.0.pack))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

/// The page among some in which an id is to be expected, by the ids at both ends.
fn guess((low, high): (u32, u32), (low_id, high_id): (u64, u64), wanted: u64) -> u32 {
    let (from, width) = (wanted.saturating_sub(low_id), high_id.saturating_sub(low_id).max(1));
    let pages = u128::from(high - low);
    let ahead = (u128::from(from) * pages / u128::from(width)).min(pages.saturating_sub(1));
    low + u32::try_from(ahead).unwrap_or(0)
}

fn rows(plain: &[u8]) -> &[Row] {
    plain.as_chunks().0
}

fn scratch(doing: &'static str, cause: &io::Error) -> Error {
    Error::Scratch { doing, problem: cause.to_string() }
}

fn no_room(doing: &'static str, scratch_files: &dyn Scratch, cause: &io::Error) -> Error {
    Error::Scratch { doing, problem: format!("{cause}, in {}", scratch_files.place()) }
}
