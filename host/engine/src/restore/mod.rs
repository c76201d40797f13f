//! Restore: a snapshot, or a part of one, to a destination, in pack order, every byte verified.
//!
//! ```text
//! walk > gather a batch of records > sort by pack > window > fetch, open, verify > write
//! ```
//!
//! Owned here: the order of work, the overwrite policy, and what happens to an entry whose chunks are lost. Refused
//! here: what a destination can hold (`connect`). Called by `cli`.
//!
//! Bound: [`BATCH_RECORDS`] records and where versions are replayed those of one key more, [`WINDOW_BYTES`](crate::window::WINDOW_BYTES) of plaintext being written and twice as much being fetched, and the folders
//! that are not yet complete.

mod above;
mod entry_writer;
mod mapping;
mod plan;
mod replay;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;
mod writer;

use std::sync::Arc;

use credenza_connect::Destination;
use credenza_model::{Entry, EntryKind, Key, Record};

use crate::repository::{Repository, SnapshotHandle};
use crate::{Damage, Error, Event, Phase, Result, RunContext};

use above::Way;
use mapping::AttributeMapping;
use plan::Planner;
use writer::RestoreWriter;

/// The namespace of destinations that have folders.
const TREE: &str = "tree";
/// Records sorted by place at a time. Within them a pack is read once; 16,384 records of a kilobyte are 16 MB.
const BATCH_RECORDS: usize = 16_384;

/// What to restore, and how.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// Only this key and what lies under it; empty for everything.
    pub prefix: Vec<u8>,
    /// Replace what exists.
    pub overwrite: bool,
    /// Write every version and delete marker of a key, oldest first, instead of what was there last.
    pub versions: bool,
    /// Return without waiting until all of it would survive a power failure.
    pub no_sync: bool,
}

/// What a restore did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct RestoreReport {
    /// Entries restored.
    pub entries: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// Entries that were not restored because their content is lost, or the part of the tree that they are in.
    pub damaged: u64,
    /// Entries that the snapshot has no content of: the backup could not read them or was not to, or `repair` found it lost.
    pub unread: u64,
    /// Entries that the destination refused, or that the store fails to give while it answers otherwise.
    pub failed: u64,
    /// Older versions and delete markers that were left out, because only what was there last was asked for.
    pub versions_left: u64,
    /// Packs that were damaged and were read by their parity: what was restored of them is right.
    #[serde(rename = "packs_healed", serialize_with = "crate::json::count")]
    pub healed: Vec<Damage>,
    /// Attributes that could not be restored, with the number of entries that lost each.
    pub unrestored: std::collections::BTreeMap<String, u64>,
}

/// Restores a snapshot, or the part of it under a prefix.
///
/// # Errors
/// When the repository cannot be read at all or the destination is unusable, or it was to stop; lost and refused entries are counted and reported instead.
pub async fn run(
    repository: &Repository,
    snapshot: &SnapshotHandle,
    destination: Arc<dyn Destination>,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<RestoreReport> {
    let listener = &*run.events;
    listener.on(Event::Phase(Phase::Opening));
    let info = destination.info().await.map_err(Error::connector("opening the destination"))?;
    if options.versions && !info.has("history") {
        return Err(Error::NoHistory { destination: info.identity });
    }
    let index = Arc::new(repository.readable_index().await?);
    let loader = repository.loader_going_on(index);
    let mut records = repository.walk(&loader, &snapshot.snapshot.tree, &options.prefix).salvaging();
    if options.prefix.is_empty() {
        let statistics = &snapshot.snapshot.statistics;
        listener.on(Event::Expected { entries: statistics.entries, bytes: statistics.bytes });
    }
    listener.on(Event::Phase(Phase::Restoring));
    let mapping = AttributeMapping::between(&snapshot.snapshot.source.namespace, &info.namespace);
    let is_tree = info.namespace == TREE;
    let writer = RestoreWriter::new((Arc::clone(&destination), info), repository.clock(), options, run);
    let _heeding = run.stop.heeding();
    let mut folders = Folders::default();
    if is_tree {
        let way = Way { repository, snapshot, loader: &loader, writer: &writer };
        let (found, lost) = way.missing_above(&options.prefix).await?;
        writer.lose_above(lost)?;
        folders.open(writer.make_above(found.into_iter().filter_map(|record| writer.map(mapping, record))).await?);
    }
    let mut batches = Batches::new(options);
    loop {
        let batch = run.stop.unless(batches.gather(&mut records)).await??;
        for lost in records.take_lost() {
            batches.found = true;
            writer.lose(lost);
        }
        let Some(last) = batch.last().map(|record| record.entry.key.clone()) else { break };
        let mapped = batch.into_iter().filter_map(|record| writer.map(mapping, record));
        let (held, contents): (Vec<Record>, Vec<Record>) =
            mapped.partition(|record| record.entry.kind != EntryKind::File);
        folders.open(writer.begin(held).await?);
        if options.versions {
            replay::write_all(&loader, contents, &writer).await?;
        } else {
            Planner::new(Arc::clone(&loader), contents).write_all(&writer).await?;
        }
        writer.complete(folders.closed_before(&last)).await?;
    }
    if !batches.found {
        return Err(Error::NoEntry {
            snapshot: snapshot.snapshot.id.to_string(),
            key: Key::new(options.prefix.clone()).to_string(),
        });
    }
    writer.complete(folders.all()).await?;
    if !options.no_sync {
        destination.sync().await.map_err(Error::connector("waiting until what was restored is durable"))?;
    }
    let healed = repository.take_healed();
    Ok(RestoreReport { versions_left: batches.versions_left, healed, ..writer.into_report() })
}

/// What is to be restored, a batch of records at a time.
struct Batches<'a> {
    options: &'a RestoreOptions,
    /// The first record of a key that did not fit the batch before.
    held: Option<Record>,
    /// Something was there to restore.
    found: bool,
    versions_left: u64,
}

impl<'a> Batches<'a> {
    const fn new(options: &'a RestoreOptions) -> Self {
        Self { options, held: None, found: options.prefix.is_empty(), versions_left: 0 }
    }

    /// The next records in key order; those of one key are never parted.
    async fn gather(&mut self, records: &mut crate::walk::Records) -> Result<Vec<Record>> {
        let mut batch: Vec<Record> = self.held.take().into_iter().collect();
        while let Some(record) = records.next().await? {
            if !record.entry.key.is_under(&self.options.prefix) {
                continue;
            }
            self.found = true;
            if !self.options.versions && !record.entry.is_current() {
                self.versions_left += 1;
                continue;
            }
            if batch.len() >= BATCH_RECORDS && batch.last().is_some_and(|last| last.entry.key != record.entry.key) {
                self.held = Some(record);
                break;
            }
            batch.push(record);
        }
        Ok(batch)
    }
}

/// Folders that wait for their metadata until nothing more is written below them.
#[derive(Default)]
struct Folders {
    open: Vec<Entry>,
}

impl Folders {
    fn open(&mut self, folders: Vec<Entry>) {
        self.open.extend(folders);
    }

    /// Those under which no key after `last` can lie, children before parents.
    fn closed_before(&mut self, last: &Key) -> Vec<Entry> {
        let (open, mut closed): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|folder| last.as_bytes().starts_with(folder.key.as_bytes()));
        self.open = open;
        closed.sort_by(|a, b| b.key.cmp(&a.key));
        closed
    }

    fn all(mut self) -> Vec<Entry> {
        self.open.sort_by(|a, b| b.key.cmp(&a.key));
        self.open
    }
}
