//! A flat source listed by the first parts of its keys, side by side: for remotes that go on from a marker of their own, and would list all
//! that lies before a key in order to begin behind it.
//!
//! Owned here: which prefixes those are, and their entries in one order again. Refused here: whether a source may be listed so (`scan`),
//! and what becomes of an entry (`join`). Called by `scan`.
//!
//! One level is listed, down to the first that has more than one folder. It tells what lies there and the folders, each of which is a prefix
//! that one scan covers. All keys with a prefix come together in the order of bytes, so that pieces follow each other in the order of their
//! keys; what does not come in order within a piece is noticed by whoever joins them. A level of which most is no folder, or whose folders
//! are too small to be worth a request each, is listed in one piece: that was found out with [`LOOK_PAGES`] pages at most.
//!
//! Bound: [`AT_ONCE`] pieces of [`PAGES`] pages each, some 15 MB, and the level itself.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{Batch, Batches, Error, ErrorClass, Found, Result, ScanOptions, Scanner, Source};
use credenza_model::EntryKind;
use tokio::sync::mpsc;

use crate::listing::PAGE_ENTRIES;
use crate::task::{self, Task};

/// Prefixes listed at the same time.
const AT_ONCE: usize = 6;
/// Pages that a piece may be ahead.
const PAGES: usize = 8;
/// Pages that finding the folders may cost on one level.
const LOOK_PAGES: usize = 2;
/// Levels that are looked into.
const LEVELS_MAX: usize = 8;

/// A listing by prefixes, delivered as if it were in one piece.
pub(super) struct Prefixes {
    source: Arc<dyn Source>,
    /// What is listed in all.
    whole: ScanOptions,
    /// Not begun yet, in the order of their keys.
    waiting: VecDeque<Found>,
    /// Begun, in that order.
    running: VecDeque<Piece>,
}

enum Piece {
    /// What lies on the level itself, between two folders.
    Told(Vec<Found>),
    /// What is being listed; dropped, it no longer is.
    Listed { pages: mpsc::Receiver<Result<Vec<Found>>>, _task: Task<()> },
}

impl Prefixes {
    /// Begins to list a source of about so many entries; `None` where it has no folders that are worth it.
    ///
    /// # Errors
    /// When the level cannot be listed for a reason that passes. One that stays may be one of this way of listing only.
    pub(super) async fn begin(source: Arc<dyn Source>, whole: ScanOptions, entries: u64) -> Result<Option<Self>> {
        let folders_max = usize::try_from(entries).unwrap_or(usize::MAX) / PAGE_ENTRIES;
        // Two pieces of a page are the least that is worth a look.
        if folders_max < 2 {
            return Ok(None);
        }
        let mut above: Vec<Found> = Vec::new();
        let mut prefix = whole.prefix.clone();
        for _ in 0..LEVELS_MAX {
            let Some(mut level) = level(&*source, &whole, &prefix).await? else { return Ok(None) };
            let mut folders = level.iter().filter(|found| is_folder(found));
            let only = folders.next().map(|found| found.key().as_bytes().to_vec());
            match (only, folders.count().saturating_add(1)) {
                (Some(folder), 1) => {
                    level.retain(|found| !is_folder(found));
                    above.extend(level);
                    prefix = folder;
                }
                (Some(_), folders) if folders <= folders_max => {
                    above.extend(level);
                    above.sort_by(|a, b| a.key().cmp(b.key()));
                    let mut prefixes = Self { source, whole, waiting: above.into(), running: VecDeque::new() };
                    prefixes.fill();
                    return Ok(Some(prefixes));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Starts pieces until enough are running.
    fn fill(&mut self) {
        while self.running.len() < AT_ONCE
            && let Some(found) = self.waiting.pop_front()
        {
            if is_folder(&found) {
                self.running.push_back(Piece::list(&self.source, &self.whole, found.key().as_bytes()));
            } else if let Some(Piece::Told(reported)) = self.running.back_mut() {
                reported.push(found);
            } else {
                self.running.push_back(Piece::Told(vec![found]));
            }
        }
    }
}

fn is_folder(found: &Found) -> bool {
    matches!(found, Found::Entry(entry) if entry.kind == EntryKind::Directory)
}

/// What lies directly below a prefix; nothing where it is more than is worth a look.
async fn level(source: &dyn Source, whole: &ScanOptions, prefix: &[u8]) -> Result<Option<Vec<Found>>> {
    let options = ScanOptions { prefix: prefix.to_vec(), one_level: true, ..whole.clone() };
    let list = async {
        let mut batches = Batches::new(source.scan(&options).await?);
        let mut all = Vec::new();
        while all.len() <= PAGE_ENTRIES.saturating_mul(LOOK_PAGES) {
            match batches.next(PAGE_ENTRIES).await? {
                Some(batch) => all.extend(batch),
                None => return Ok(Some(all)),
            }
        }
        Ok::<_, Error>(None)
    };
    match list.await {
        Err(cause) if !cause.is_transient() => Ok(None),
        listed => listed,
    }
}

impl Piece {
    fn list(source: &Arc<dyn Source>, whole: &ScanOptions, prefix: &[u8]) -> Self {
        let (sender, pages) = mpsc::channel(PAGES);
        let (source, options) = (Arc::clone(source), ScanOptions { prefix: prefix.to_vec(), ..whole.clone() });
        let task = task::spawn(async move {
            if let Err(cause) = list(&*source, &options, &sender).await {
                // Nobody listens any more if this fails.
                let _ = sender.send(Err(cause)).await;
            }
        });
        Self::Listed { pages, _task: task }
    }

    /// What comes next; nothing at the end.
    async fn next(&mut self) -> Result<Option<Vec<Found>>> {
        match self {
            Self::Told(found) => Ok(Some(std::mem::take(found)).filter(|found| !found.is_empty())),
            // An empty page is the end: a task that was broken off sends none.
            Self::Listed { pages, .. } => {
                let page = pages.recv().await.unwrap_or_else(|| Err(broken_off()))?;
                Ok(Some(page).filter(|page| !page.is_empty()))
            }
        }
    }
}

async fn list(source: &dyn Source, options: &ScanOptions, reported: &mpsc::Sender<Result<Vec<Found>>>) -> Result<()> {
    let mut batches = Batches::new(source.scan(options).await?);
    loop {
        let page = batches.next(PAGE_ENTRIES).await?;
        let is_end = page.is_none();
        if is_end || page.as_ref().is_some_and(|page| !page.is_empty()) {
            reported.send(Ok(page.unwrap_or_default())).await.map_err(|_| broken_off())?;
        }
        if is_end {
            return Ok(());
        }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorClass::Internal, "listing.broken-off", "a part of the listing was broken off")
}

#[async_trait]
impl Scanner for Prefixes {
    /// Pages of the size that the remote gives.
    async fn next(&mut self, _max: usize) -> Result<Batch> {
        loop {
            self.fill();
            let Some(piece) = self.running.front_mut() else { return Ok(Batch::default()) };
            if let Some(found) = piece.next().await? {
                return Ok(Batch { found, more: true });
            }
            self.running.pop_front();
        }
    }
}
