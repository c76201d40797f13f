//! Tree: records in key order become the nodes of the snapshot's tree, and the run's statistics.
//!
//! Owned here: the tree being built and what is counted of it. Refused here: the nodes' format. Called by the line.

use std::sync::Arc;

use credenza_format::{PROBLEMS_MAX, Problem, TreeRoot};
use credenza_model::{EntryKind, EntryStatus, Record};

use super::pipeline::Chunked;
use crate::liveness::Row;
use crate::write::{Deduplicator, TreeWriter};
use crate::{Event, Listener, Result};

const TORN: &str = "it was written to each time that it was read; what is kept of it may be of more than one moment";

pub(crate) struct Tree<'a> {
    writer: TreeWriter,
    listener: &'a dyn Listener,
    counts: Counts,
    /// Of entries that the source was asked for.
    row: Row,
}

/// What was counted while the tree grew.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) directories: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_read: u64,
    pub(crate) read: u64,
    /// Files that were to be read and have no content for it, unless they count as read.
    pub(crate) unread: u64,
    pub(crate) errors: u64,
    /// Of those, entries that are kept and may be of more than one moment.
    pub(crate) changed: u64,
    pub(crate) referenced: u64,
    /// Files left out because of their size; no entries.
    pub(crate) too_large: u64,
    pub(crate) problems: Vec<Problem>,
}

pub(crate) struct Grown {
    pub(crate) root: TreeRoot,
    pub(crate) counts: Counts,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(dedup: Arc<Deduplicator>, level: i32, listener: &'a dyn Listener, row: Row) -> Self {
        Self { writer: TreeWriter::new(dedup, level), listener, counts: Counts::default(), row }
    }

    /// Takes the next records in order.
    ///
    /// # Errors
    /// [`Error::Fruitless`](crate::Error::Fruitless) when too many entries in a row could not be read; else those of the writer.
    pub(crate) async fn grow(&mut self, batch: Vec<Chunked>) -> Result<()> {
        let mut progress = (0, 0);
        let mut records = Vec::with_capacity(batch.len());
        for chunked in batch {
            match chunked {
                Chunked::Skipped(skipped) => self.fail(&skipped.key, &skipped.reason),
                Chunked::Record { record, bytes_read, asked, reported } => {
                    if let Some(outcome) = &asked {
                        let doing = || format!("reading `{}`", record.entry.key);
                        self.row.take(outcome.as_ref().copied(), doing)?;
                    }
                    self.count(&record, bytes_read);
                    progress.0 += 1;
                    progress.1 += record.entry.size.unwrap_or(0).saturating_sub(reported);
                    records.push(*record);
                }
            }
        }
        self.listener.on(Event::Progress { entries: progress.0, bytes: progress.1 });
        self.writer.push(records).await
    }

    /// Notes how many files the listing told that were left out because of their size.
    pub(crate) const fn left_out(&mut self, too_large: u64) {
        self.counts.too_large = too_large;
    }

    fn count(&mut self, record: &Record, bytes_read: Option<u64>) {
        self.counts.entries += 1;
        self.counts.bytes_read += bytes_read.unwrap_or(0);
        self.counts.read += u64::from(bytes_read.is_some());
        let is_lost = matches!(record.status, EntryStatus::Vanished | EntryStatus::Unreadable(_));
        self.counts.unread += u64::from(is_lost && bytes_read.is_none());
        match record.entry.kind {
            EntryKind::File => {
                self.counts.files += 1;
                self.counts.bytes += record.entry.size.unwrap_or(0);
            }
            EntryKind::Directory => self.counts.directories += 1,
            EntryKind::Symlink | EntryKind::Other => {}
        }
        match &record.status {
            EntryStatus::Stable => {}
            EntryStatus::Changed => {
                self.counts.changed += 1;
                self.fail(&record.entry.key, TORN);
            }
            EntryStatus::Referenced(_) => self.counts.referenced += 1,
            EntryStatus::Vanished => self.fail(&record.entry.key, "it was listed and was gone when it was to be read"),
            EntryStatus::Unreadable(reason) | EntryStatus::Undescribed(reason) | EntryStatus::Doubtful(reason) => {
                self.fail(&record.entry.key, reason);
            }
        }
    }

    fn fail(&mut self, key: &credenza_model::Key, reason: &str) {
        self.counts.errors += 1;
        if self.counts.problems.len() < PROBLEMS_MAX {
            self.counts.problems.push(Problem { key: key.clone(), reason: reason.to_owned() });
        }
        self.listener.on(Event::EntryFailed { key: key.clone(), reason: reason.to_owned() });
    }

    /// Closes the tree.
    pub(crate) async fn finish(mut self) -> Result<Grown> {
        let root = self.writer.close().await?;
        Ok(Grown { root, counts: self.counts })
    }

    /// Closes what has grown, and begins an empty tree that keeps the count of what was read. What is amiss is reported again by the records that
    /// are taken over.
    pub(crate) async fn restart(mut self) -> Result<(TreeRoot, Self)> {
        let root = self.writer.close().await?;
        let counts = Counts { bytes_read: self.counts.bytes_read, read: self.counts.read, ..Counts::default() };
        Ok((root, Self { counts, ..self }))
    }
}
