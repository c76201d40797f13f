//! Batches: which records of a snapshot are restored, so many at a time.
//!
//! Owned here: the parts, the patterns and the versions that were asked for, and the folders above what a pattern includes. Called by `restore::run`.
//!
//! Bound: records of [`BATCH_BYTES_MAX`], where versions are replayed those of one key more, and the folders above the last.

use std::collections::HashSet;

use credenza_connect::Patterns;
use credenza_format::{BlobIndex, PackOrdinal};
use credenza_model::{Attribute, Content, EntryKind, Record};

use super::RestoreOptions;
use super::scope::Scope;
use crate::Result;
use crate::key_list::KeyCursor;
use crate::parts::{Part, Spans};
use crate::walk::Records;

/// Memory of the records that are sorted by place at a time: within them a pack is read once. Some 10,000 small files; the next are gathered
/// while these are written.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Until then a batch goes on to where a pack begins of which it has nothing yet: one that two batches share is asked for by both. A full pack of small files is
/// less than what lies between.
const BATCH_BYTES_MAX: usize = 24 * 1024 * 1024;
/// What a chunk takes of it, in its record and in the plan of what is read.
const CHUNK_BYTES: usize = 200;

/// What is to be restored, a batch of records at a time.
pub(super) struct Batches<'a> {
    options: &'a RestoreOptions,
    index: &'a BlobIndex,
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
    /// Of the key whose records come, how many versions are passed over, from the oldest on.
    passed: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(options: &'a RestoreOptions, scope: &Scope, index: &'a BlobIndex) -> Self {
        // A snapshot that holds nothing is whole.
        let found = vec![options.parts.is_all(); options.parts.as_slice().len()];
        let only = options.only.as_ref().map(|only| only.cursor());
        let is_let_in = |folder: &&Record| !options.exclude.cover(folder.entry.key.as_bytes());
        let above = scope.above().iter().filter(is_let_in).cloned().collect();
        let spans = scope.spans.clone();
        Self { options, index, spans, held: None, above, found, versions_left: 0, only, passed: 0 }
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
        let mut bytes = batch.iter().map(memory_of).sum::<usize>();
        let mut packs = HashSet::new();
        while let Some(record) = records.next().await? {
            let part = self.spans.part_of(&record.entry.key);
            if let Some(found) = part.and_then(|part| self.found.get_mut(part)) {
                *found = true;
            }
            if !self.options.versions && !record.entry.is_current() {
                self.versions_left += u64::from(self.options.selects(record.entry.key.as_bytes()));
                continue;
            }
            if batch.last().is_some_and(|last| last.entry.key != record.entry.key) {
                self.pass_over(&mut batch);
            }
            let Some(mut wanted) = self.select(record)? else { continue };
            let Some(record) = wanted.pop() else { continue };
            bytes += wanted.iter().chain([&record]).map(memory_of).sum::<usize>();
            batch.append(&mut wanted);
            let is_next_key = batch.last().is_some_and(|last| last.entry.key != record.entry.key);
            let is_end = bytes >= BATCH_BYTES_MAX || bytes >= BATCH_BYTES && self.begins_pack(&record, &mut packs)?;
            if is_next_key && is_end {
                self.held = Some(record);
                return Ok(batch);
            }
            batch.push(record);
        }
        self.pass_over(&mut batch);
        Ok(batch)
    }

    /// Whether the content of a record begins in a pack that none of those asked about before has begun in. It is noted.
    fn begins_pack(&self, record: &Record, packs: &mut HashSet<PackOrdinal>) -> Result<bool> {
        let Content::Chunks(refs) = &record.content else { return Ok(false) };
        let place = refs.first().map_or(Ok(None), |first| self.index.get(&first.id))?;
        let is_first = packs.is_empty();
        Ok(place.is_some_and(|place| packs.insert(place.pack)) && !is_first)
    }

    /// Lets go of the versions of the last key that are passed over; the oldest came last.
    fn pass_over(&mut self, batch: &mut Vec<Record>) {
        let passed = std::mem::take(&mut self.passed);
        batch.truncate(batch.len().saturating_sub(passed));
    }

    /// The record, behind the folders above it that were waiting for something to include.
    fn select(&mut self, record: Record) -> Result<Option<Vec<Record>>> {
        let key = record.entry.key.as_bytes();
        self.above.retain(|folder| key.starts_with(folder.entry.key.as_bytes()));
        let listed = self.only.as_mut().map_or(Ok(Some(0)), |only| only.passed(&record.entry.key))?;
        if let Some(passed) = listed.filter(|_| self.options.selects(key)) {
            self.passed = if self.options.versions { passed } else { 0 };
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

/// About what a record takes.
fn memory_of(record: &Record) -> usize {
    let Record { entry, content, .. } = record;
    let chunks = match content {
        Content::None => 0,
        Content::Inline(bytes) => bytes.len(),
        Content::Chunks(refs) => refs.len() * CHUNK_BYTES,
        Content::Lists { lists, .. } => lists.len() * CHUNK_BYTES,
    };
    let attributes = entry.attributes.iter().map(|(name, _)| size_of::<Attribute>() + name.len());
    size_of::<Record>() + entry.key.as_bytes().len() + chunks + attributes.sum::<usize>()
}
