//! Batches: which records of a snapshot are restored, so many at a time.
//!
//! Owned here: the parts, the patterns and the versions that were asked for, and the folders above what a pattern includes. Called by `restore::run`.
//!
//! Bound: [`BATCH_RECORDS`] records, where versions are replayed those of one key more, and the folders above the last.

use credenza_connect::Patterns;
use credenza_model::{EntryKind, Record};

use super::RestoreOptions;
use super::scope::Scope;
use crate::Result;
use crate::key_list::KeyCursor;
use crate::parts::{Part, Spans};
use crate::walk::Records;

/// Records sorted by place at a time. Within them a pack is read once; 16,384 records of a kilobyte are 16 MB.
const BATCH_RECORDS: usize = 16_384;

/// What is to be restored, a batch of records at a time.
pub(super) struct Batches<'a> {
    options: &'a RestoreOptions,
    spans: Spans,
    /// The first record of a key that did not fit the batch before.
    held: Option<Record>,
    /// Folders that are restored when something below them is.
    above: Vec<Record>,
    /// Of each part, whether something of it was there.
    found: Vec<bool>,
    pub(super) versions_left: u64,
    /// The keys that alone are restored.
    only: Option<KeyCursor>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(options: &'a RestoreOptions, scope: &Scope) -> Self {
        // A snapshot that holds nothing is whole.
        let found = vec![options.parts.is_all(); options.parts.as_slice().len()];
        let only = options.only.as_ref().map(|only| only.cursor());
        let is_let_in = |folder: &&Record| !options.exclude.cover(folder.entry.key.as_bytes());
        let above = scope.above().iter().filter(is_let_in).cloned().collect();
        Self { options, spans: scope.spans.clone(), held: None, above, found, versions_left: 0, only }
    }

    /// Something of every part may be in what is lost.
    pub(super) fn found_all(&mut self) {
        self.found.fill(true);
    }

    /// The parts of which nothing came.
    pub(super) fn missing(&self) -> Vec<Part> {
        let parts = self.options.parts.as_slice().iter().zip(&self.found);
        parts.filter(|(_, found)| !**found).map(|(part, _)| part.clone()).collect()
    }

    /// The next records in key order; those of one key are never parted.
    pub(super) async fn gather(&mut self, records: &mut Records) -> Result<Vec<Record>> {
        let mut batch: Vec<Record> = self.held.take().into_iter().collect();
        while let Some(record) = records.next().await? {
            let part = self.spans.part_of(&record.entry.key);
            if let Some(found) = part.and_then(|part| self.found.get_mut(part)) {
                *found = true;
            }
            if !self.options.versions && !record.entry.is_current() {
                self.versions_left += u64::from(self.options.selects(record.entry.key.as_bytes()));
                continue;
            }
            let Some(mut wanted) = self.select(record)? else { continue };
            let Some(record) = wanted.pop() else { continue };
            batch.append(&mut wanted);
            if batch.len() >= BATCH_RECORDS && batch.last().is_some_and(|last| last.entry.key != record.entry.key) {
                self.held = Some(record);
                break;
            }
            batch.push(record);
        }
        Ok(batch)
    }

    /// The record, behind the folders above it that were waiting for something to include.
    fn select(&mut self, record: Record) -> Result<Option<Vec<Record>>> {
        let key = record.entry.key.as_bytes();
        self.above.retain(|folder| key.starts_with(folder.entry.key.as_bytes()));
        let is_listed = self.only.as_mut().map_or(Ok(true), |only| only.has(&record.entry.key))?;
        if is_listed && self.options.selects(key) {
            let mut wanted = std::mem::take(&mut self.above);
            wanted.push(record);
            return Ok(Some(wanted));
        }
        if record.entry.kind == EntryKind::Directory && !self.options.exclude.cover(key) {
            self.above.push(record);
        }
        Ok(None)
    }
}

impl RestoreOptions {
    /// Whether the patterns let a key through.
    pub(super) fn selects(&self, key: &[u8]) -> bool {
        let is_included = self.include == Patterns::default() || self.include.cover(key);
        is_included && !self.exclude.cover(key)
    }
}
