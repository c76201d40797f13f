//! A flat source listed in ranges of keys side by side; the parent snapshot's keys say where a range ends.
//!
//! Owned here: where ranges lie, their entries in one order again, and the proof that together they are the whole listing. Refused
//! here: whether a source may be listed so (`scan`), and what becomes of an entry (`join`). Called by `scan`.
//!
//! A range begins behind the last key of the one before, and covers as many of the parent's records as fill whole pages: an unchanged
//! source costs not one page more than in one piece, any other at most one page more a range.
//!
//! **The proof.** A server that lists in another order than that of the bytes of its keys tells some of them where no range looks for
//! them. So the keys of a range must ascend strictly from where it begins, and the range must meet the next one: either it tells its
//! own last key, behind which the next begins, or the key that it comes upon behind its end is the first of the next, or both are at
//! the end. Ranges that meet are pieces of the server's listing without a gap, whatever its order, as long as a listing that begins
//! after a key begins at that key's place. Where any of that fails, the ranges are given up, and the source is listed in one piece.
//!
//! Bound: [`AT_ONCE`] ranges of at most [`PAGES`] and one page more each, some 30 MB, and the leaves of as many of the parent's records.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{Batch, Batches, Error, ErrorClass, Found, Result, ScanOptions, Scanner, Source};
use credenza_model::{Key, Record};
use tokio::sync::{Mutex, mpsc};

use crate::listing::PAGE_ENTRIES;
use crate::task::{self, Task};
use crate::walk::KeyedRecords;

/// Ranges listed at the same time: some pages in flight hide the latency of a listing.
const AT_ONCE: usize = 6;
/// Fewest and most pages in a range. The page more that a change costs is a small part of eight; where there are few pages, all ranges
/// are to be listed at once.
const PAGES: (usize, usize) = (2, 8);
/// Reason of the error that gives the ranges up.
const GIVEN_UP: &str = "listing.ranges";

/// How a listing is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Entries asked of a scanner at once.
    pub(super) page_entries: usize,
    /// Pages that a range fills, as long as nothing changes.
    pub(super) pages: usize,
    /// Ranges listed at the same time.
    pub(super) at_once: usize,
}

impl Shape {
    /// For a source of so many entries.
    pub(super) fn of(entries: u64) -> Self {
        let pages = usize::try_from(entries).unwrap_or(usize::MAX) / PAGE_ENTRIES;
        Self { page_entries: PAGE_ENTRIES, pages: (pages / AT_ONCE).clamp(PAGES.0, PAGES.1), at_once: AT_ONCE }
    }

    const fn entries(self) -> u64 {
        self.page_entries.saturating_mul(self.pages) as u64
    }
}

/// A listing in ranges, delivered as if it were in one piece.
pub(super) struct Ranges {
    source: Arc<dyn Source>,
    /// What is listed in all.
    whole: ScanOptions,
    parent: Arc<Mutex<KeyedRecords>>,
    shape: Shape,
    /// In the order of their keys.
    running: VecDeque<Range>,
    /// Where the next range begins; `None` once the last one, which has no end of its own, has begun.
    next: Option<Start>,
    /// How the range before the first running one ended, as long as that one has told nothing.
    seam: Option<Seam>,
}

#[derive(Default)]
struct Start {
    after: Option<Key>,
    /// The parent's records in the ranges before.
    covered: u64,
}

/// Where a range ends: a key, and the oldest version of it that the parent knows.
struct End {
    key: Key,
    version: Option<String>,
}

/// What comes next behind the keys of a range.
enum Seam {
    /// Whatever follows its last key, which it told.
    Closed,
    /// The key that it came upon behind its end; none at the end of the listing.
    Open(Option<Key>),
}

enum Listed {
    Page(Vec<Found>),
    End(Seam),
}

/// Whether an error of a scanner only gives the ranges up.
pub(super) fn gives_up(cause: &Error) -> bool {
    cause.reason == GIVEN_UP
}

fn given_up(why: &str) -> Error {
    Error::new(ErrorClass::Unsupported, GIVEN_UP, format!("the source cannot be listed in ranges of keys: {why}"))
}

impl Ranges {
    /// Begins to list; `None` where the parent's keys fill one range only.
    pub(super) async fn begin(
        source: Arc<dyn Source>,
        whole: ScanOptions,
        parent: Arc<Mutex<KeyedRecords>>,
        shape: Shape,
    ) -> Option<Self> {
        end_of_range(&parent, shape.entries()).await?;
        let next = Some(Start::default());
        let mut ranges = Self { source, whole, parent, shape, running: VecDeque::new(), next, seam: None };
        ranges.fill().await;
        Some(ranges)
    }

    /// Starts ranges until enough are running.
    async fn fill(&mut self) {
        while self.running.len() < self.shape.at_once
            && let Some(Start { after, covered }) = self.next.take()
        {
            let end = end_of_range(&self.parent, covered.saturating_add(self.shape.entries())).await;
            if let Some((end, covered)) = &end {
                self.next = Some(Start { after: Some(end.key.clone()), covered: *covered });
            }
            self.running.push_back(Range::start(&self.source, &self.whole, self.shape, after, end.map(|(end, _)| end)));
        }
    }

    /// Demands that a range begins where the one before ended.
    fn meet(&mut self, first: Option<&Key>) -> Result<()> {
        match self.seam.take() {
            Some(Seam::Open(expected)) if expected.as_ref() != first => {
                Err(given_up("two listings tell different keys of one place"))
            }
            _ => Ok(()),
        }
    }
}

/// Where a range ends that brings the parent's records covered to that many, or a few more if they are of one key, and how many those
/// are. `None` where nothing is known to follow.
async fn end_of_range(parent: &Mutex<KeyedRecords>, covered: u64) -> Option<(End, u64)> {
    let mut parent = parent.lock().await;
    let mut end = End::at(&parent.look_ahead(covered.checked_sub(1)?).await?);
    let mut covered = covered;
    loop {
        let following = parent.look_ahead(covered).await?;
        if following.entry.key != end.key {
            return Some((end, covered));
        }
        end = End::at(&following);
        covered = covered.saturating_add(1);
    }
}

impl End {
    fn at(record: &Record) -> Self {
        Self { key: record.entry.key.clone(), version: record.entry.version.as_ref().map(|version| version.id.clone()) }
    }
}

#[async_trait]
impl Scanner for Ranges {
    /// Pages of the shape's size.
    async fn next(&mut self, _max: usize) -> Result<Batch> {
        loop {
            self.fill().await;
            let Some(range) = self.running.front_mut() else { return Ok(Batch::default()) };
            match range.reported.recv().await.unwrap_or_else(|| Err(broken_off()))? {
                Listed::Page(found) => {
                    self.meet(found.first().map(Found::key))?;
                    return Ok(Batch { found, more: true });
                }
                Listed::End(seam) => {
                    if let Seam::Open(first) = &seam {
                        self.meet(first.as_ref())?;
                    }
                    self.seam = Some(seam);
                    self.running.pop_front();
                }
            }
        }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorClass::Internal, "listing.broken-off", "a part of the listing was broken off")
}

/// A range that is being listed; dropped, it no longer is.
struct Range {
    reported: mpsc::Receiver<Result<Listed>>,
    /// Kept for its drop.
    _task: Task<()>,
}

impl Range {
    fn start(
        source: &Arc<dyn Source>,
        whole: &ScanOptions,
        shape: Shape,
        after: Option<Key>,
        end: Option<End>,
    ) -> Self {
        let (sender, reported) = mpsc::channel(shape.pages);
        let start_after = after.as_ref().map(|key| key.as_bytes().to_vec());
        let (source, options) = (Arc::clone(source), ScanOptions { start_after, ..whole.clone() });
        let previous = after.map(|key| Previous { key, version: None });
        let piece = Piece { previous, end };
        let task = task::spawn(async move {
            if let Err(cause) = piece.list(&*source, &options, shape.page_entries, &sender).await {
                // Nobody listens any more if this fails.
                let _ = sender.send(Err(cause)).await;
            }
        });
        Self { reported, _task: task }
    }
}

/// The part of the listing that one scanner tells.
struct Piece {
    previous: Option<Previous>,
    end: Option<End>,
}

struct Previous {
    key: Key,
    version: Option<String>,
}

impl Piece {
    async fn list(
        mut self,
        source: &dyn Source,
        options: &ScanOptions,
        page_entries: usize,
        reported: &mpsc::Sender<Result<Listed>>,
    ) -> Result<()> {
        let mut batches = Batches::new(source.scan(options).await.map_err(doubted)?);
        loop {
            let page = batches.next(page_entries).await.map_err(doubted)?;
            let (page, seam) = self.cut(page)?;
            let ends = seam.is_some();
            let parts = (!page.is_empty()).then_some(Listed::Page(page)).into_iter().chain(seam.map(Listed::End));
            for part in parts {
                reported.send(Ok(part)).await.map_err(|_| broken_off())?;
            }
            if ends {
                return Ok(());
            }
        }
    }

    /// What of a page, or of the end of the listing, lies in the range, and what follows if the range ends there.
    fn cut(&mut self, page: Option<Vec<Found>>) -> Result<(Vec<Found>, Option<Seam>)> {
        let Some(mut page) = page else { return Ok((Vec::new(), Some(Seam::Open(None)))) };
        let mut seam = None;
        for place in 0..page.len() {
            let Some(found) = page.get(place) else { break };
            let (key, version) = (found.key().clone(), version_of(found));
            self.follow(&key, version.clone())?;
            let Some(end) = &self.end else { continue };
            if key > end.key {
                page.truncate(place);
                seam = Some(Seam::Open(Some(key)));
                break;
            }
            if key == end.key && version == end.version {
                page.truncate(place.saturating_add(1));
                seam = Some(Seam::Closed);
                break;
            }
        }
        Ok((page, seam))
    }

    /// Demands that a key comes behind the one before, or is another version of it.
    fn follow(&mut self, key: &Key, version: Option<String>) -> Result<()> {
        let ascends = self.previous.as_ref().is_none_or(|previous| {
            let is_other_version = previous.version.is_some() && version.is_some() && version != previous.version;
            *key > previous.key || *key == previous.key && is_other_version
        });
        self.previous = Some(Previous { key: key.clone(), version });
        if ascends { Ok(()) } else { Err(given_up(&format!("`{key}` does not come in order"))) }
    }
}

fn version_of(found: &Found) -> Option<String> {
    match found {
        Found::Entry(entry) => entry.version.as_ref().map(|version| version.id.clone()),
        Found::Skipped(_) => None,
    }
}

/// A failure that stays may be one of this way of listing only.
fn doubted(cause: Error) -> Error {
    if cause.is_transient() { cause } else { given_up(&cause.message) }
}
