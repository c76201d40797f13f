//! Restore: a snapshot, or a part of one, to a destination, in pack order, every byte verified; what is there already is compared first.
//!
//! ```text
//! walk > gather a batch of records > sort by pack > window > compare > fetch, open, verify > write > read again
//! ```
//!
//! Each stage calls those behind it and none before: `run` > `plan` > `writer` > `compare` > `entry_writer`; what they hand on is in `work`.
//!
//! Owned here: the order of work, what may be replaced and removed, and what happens to an entry whose chunks are lost. Refused here: what a
//! destination can hold (`connect`). Called by `cli` and `mirror`.
//!
//! Bound: two batches of records, and where versions are replayed those of one key more, what `plan` holds of the one that is written, and the folders
//! that are not yet complete.

mod above;
mod batches;
mod compare;
mod entry_writer;
#[cfg(test)]
mod existing_tests;
mod extras;
mod ground;
#[cfg(test)]
mod leftover_tests;
mod mapping;
mod plan;
mod replay;
mod scope;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;
mod work;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use credenza_connect::{Destination, DestinationInfo, Patterns, ability};
use credenza_model::{Entry, EntryKind, Key, Record};
use futures_util::future::join;

use crate::key_list::KeyList;
use crate::parts::Parts;
use crate::repository::{Repository, SnapshotHandle, Spared};
use crate::share::Share;
use crate::{Conflict, Damage, Error, Event, Left, Phase, Result, RunContext};

use above::Way;
use batches::Batches;
use extras::Extras;
pub(crate) use mapping::AttributeMapping;
use plan::Planner;
use scope::{Origin, Scope};
use writer::RestoreWriter;

/// What becomes of what exists and differs. What is there as the snapshot has it is never written again, and where only times, mode, owner or
/// attributes differ, they are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// It is left, and counted as a conflict.
    #[default]
    No,
    /// It is replaced.
    Always,
    /// It is replaced if it is older than what the snapshot has; else it is left, as was wished.
    IfNewer,
    /// It is replaced; files of the size and time that the snapshot has are taken for equal without being read.
    IfChanged,
    /// Nothing that exists is touched, whatever it is.
    Never,
}

/// What is removed that the snapshot does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing, if that were more than [`EXTRA_PERCENT_MAX`] percent of what is there.
    Limited,
    /// All, however much it is.
    All,
}

pub use extras::EXTRA_PERCENT_MAX;

/// What to restore, and how.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// What of the snapshot; everything by itself.
    pub parts: Parts,
    /// Only what these patterns mean, with the folders above; everything without any.
    pub include: Patterns,
    /// Not what these patterns mean.
    pub exclude: Patterns,
    /// What becomes of what exists and differs.
    pub overwrite: Overwrite,
    /// Compare and count only: nothing is fetched, written, set or removed.
    pub dry_run: bool,
    /// Read everything that was written again and compare it.
    pub verify: bool,
    /// Remove what lies in the parts, is not left out by the patterns, and is not in the snapshot.
    pub delete: Option<Deletion>,
    /// Write every version and delete marker of a key, oldest first, instead of what was there last.
    pub versions: bool,
    /// Return without waiting until all of it would survive a power failure.
    pub no_sync: bool,
    /// Only the keys of a list, with the folders above; everything without one.
    pub only: Option<Arc<KeyList>>,
    /// Only what this one of several processes takes, each a range of keys with about as much work; everything without. They may run at once.
    pub share: Option<Share>,
}

/// What a restore did, or in a trial would do.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct RestoreReport {
    /// Entries restored: made, written or replaced.
    pub entries: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// Of `entries`, those that replaced something.
    pub replaced: u64,
    /// Entries that were there with their content, and of which times, mode, owner or attributes were set.
    pub attributes: u64,
    /// Entries that were there as they are in the snapshot.
    pub identical: u64,
    /// Entries whose content was taken for equal by its size and time alone.
    pub presumed: u64,
    /// Of `bytes`, those that were taken from the file that was replaced instead of the repository.
    #[serde(rename = "bytes_reused")]
    pub reused: u64,
    /// Entries that were left as they are, by the reason.
    pub left: BTreeMap<Conflict, Left>,
    /// What is there and not in the snapshot; counted when it is to be removed, and in a trial wherever the destination can be listed.
    pub extra: u64,
    /// Of `extra`, what was removed.
    pub removed: u64,
    /// Entries that were read again after they were written.
    pub verified: u64,
    /// Of `verified`, those that were not what was written.
    pub miswritten: u64,
    /// Entries that were not restored because their content is lost, or the part of the tree that they are in.
    pub damaged: u64,
    /// Packs that were damaged and were read by their parity: what was restored of them is right.
    #[serde(rename = "packs_healed", serialize_with = "crate::json::count")]
    pub healed: Vec<Damage>,
    /// Objects that are damaged, and of which a replica had what was read: what was restored is right.
    #[serde(rename = "objects_spared", serialize_with = "crate::json::count")]
    pub spared: Vec<Spared>,
    /// Entries that the snapshot has no content of: the backup could not read them or was not to, or `repair` found it lost.
    pub unread: u64,
    /// Entries that the destination refused, or that the store fails to give while it answers otherwise.
    pub failed: u64,
    /// Older versions and delete markers that were left out, because only what was there last was asked for.
    pub versions_left: u64,
    /// Parts that the snapshot holds nothing of, where it holds something of others.
    #[serde(skip)]
    pub parts_missing: Vec<Key>,
    /// Of the patterns of what to restore, as they were written, those that no entry of the snapshot matched.
    pub include_unmatched: Vec<String>,
    /// The same of the patterns of what to leave out.
    pub exclude_unmatched: Vec<String>,
    /// Attributes that could not be restored, with the number of entries that lost each.
    pub unrestored: BTreeMap<String, u64>,
}

impl RestoreReport {
    /// Adds what another restore did to the same destination.
    pub fn add(&mut self, other: Self) {
        let Self { left, healed, spared, parts_missing, include_unmatched, exclude_unmatched, unrestored, .. } = &other;
        for (conflict, more) in left {
            self.left.entry(*conflict).or_default().add_all(more);
        }
        for (name, count) in unrestored {
            *self.unrestored.entry(name.clone()).or_default() += count;
        }
        self.healed.extend(healed.iter().cloned());
        self.spared.extend(spared.iter().cloned());
        self.parts_missing.extend(parts_missing.iter().cloned());
        self.include_unmatched.extend(include_unmatched.iter().cloned());
        self.exclude_unmatched.extend(exclude_unmatched.iter().cloned());
        let counts = [
            (&mut self.entries, other.entries),
            (&mut self.bytes, other.bytes),
            (&mut self.replaced, other.replaced),
            (&mut self.attributes, other.attributes),
            (&mut self.identical, other.identical),
            (&mut self.presumed, other.presumed),
            (&mut self.reused, other.reused),
            (&mut self.extra, other.extra),
            (&mut self.removed, other.removed),
            (&mut self.verified, other.verified),
            (&mut self.miswritten, other.miswritten),
            (&mut self.damaged, other.damaged),
            (&mut self.unread, other.unread),
            (&mut self.failed, other.failed),
            (&mut self.versions_left, other.versions_left),
        ];
        for (own, more) in counts {
            *own = own.saturating_add(more);
        }
    }

    /// Whether all that was asked for is there as it was: nothing is lost, refused, or left against the wish of whoever restores.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_left = self.left.keys().any(|conflict| !conflict.is_wished());
        let is_restored = self.damaged + self.unread + self.failed + self.miswritten == 0;
        !is_left && is_restored && self.parts_missing.is_empty() && self.include_unmatched.is_empty()
    }
}

/// Restores a snapshot, or parts of it, in one walk over its tree.
///
/// # Errors
/// When the repository cannot be read at all or the destination is unusable, [`Error::NothingIncluded`], or it was to stop; lost and refused entries are counted and reported instead.
pub async fn run(
    repository: &Repository,
    snapshot: &SnapshotHandle,
    destination: Arc<dyn Destination>,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<RestoreReport> {
    let listener = &*run.events;
    listener.on(Event::Phase { phase: Phase::Opening });
    let info = destination.info().await.map_err(Error::connector("opening the destination"))?;
    require_abilities(&info, options)?;
    let namespace = &snapshot.snapshot.source.namespace;
    let index = Arc::new(repository.index_for_reading().await?);
    let loader = repository.loader_going_on(index);
    let origin = Origin { repository, snapshot, loader: &loader };
    let scope = run.stop.unless(Box::pin(Scope::of(origin, &info, options))).await??;
    let extras = Extras::of(&*destination, (&info, namespace), origin, (options, &scope))?;
    scope.expected(snapshot, options).into_iter().for_each(|event| listener.on(event));
    listener.on(Event::Phase { phase: Phase::Restoring });
    let is_tree = info.namespace == ability::TREE;
    let writer = RestoreWriter::new((Arc::clone(&destination), info), (repository, &loader), namespace, options, run);
    let _heeding = run.stop.heeding();
    if is_tree {
        // Where the folder itself cannot be looked at, each entry would fail of that.
        let there = writer.look(&Key::default()).await?;
        there.map_err(Error::connector("looking at the destination"))?;
    }
    let extra = match &extras {
        Some(extras) => run.stop.unless(extras.count(listener)).await??,
        None => 0,
    };
    let mut folders = Folders::default();
    if is_tree && !scope.spans.is_empty() {
        let (way, mut again) = (Way { origin, scope: &scope, writer: &writer }, Vec::new());
        let (found, lost) = way.missing_above(&options.parts, &mut again).await?;
        folders.open(again);
        writer.lose_above(lost)?;
        folders.open(writer.make_above(found.into_iter().filter_map(|record| writer.map(&scope, record))).await?);
    }
    let counted = options.counting();
    let mut batches = Batches::new(&counted, &scope, origin.loader.index());
    let mut is_whole = write_all(origin, (&mut batches, &scope), &writer, &mut folders).await?;
    let nowhere = scope.nowhere(origin, &counted, batches.missing());
    let (parts_missing, is_rest_whole) = run.stop.unless(Box::pin(nowhere)).await??;
    is_whole &= is_rest_whole;
    require_part(&parts_missing, options, snapshot)?;
    let (include_unmatched, exclude_unmatched) = counted.unmatched();
    counted.require_match(&include_unmatched, is_whole, snapshot)?;
    writer.close(folders.all()).await?;
    let versions_left = batches.versions_left;
    let mut report = RestoreReport {
        versions_left,
        extra,
        parts_missing,
        include_unmatched,
        exclude_unmatched,
        ..writer.into_report()
    };
    if let Some(extras) = extras.filter(|_| options.delete.is_some() && !options.dry_run && report.is_whole()) {
        report.removed = run.stop.unless(extras.remove(&mut report.failed, listener)).await??;
    }
    if !options.no_sync && !options.dry_run {
        destination.sync().await.map_err(Error::connector("waiting until what was restored is durable"))?;
    }
    Ok(RestoreReport { healed: repository.take_healed(), spared: repository.take_spared(), ..report })
}

/// Writes all that is restored, a batch of records at a time; what comes next is read from the tree meanwhile. Whether nothing of the tree was lost.
async fn write_all(
    origin: Origin<'_>,
    (batches, scope): (&mut Batches<'_>, &Scope),
    writer: &RestoreWriter<'_>,
    folders: &mut Folders,
) -> Result<bool> {
    let mut records = origin.walk(scope.spans.clone()).salvaging().in_one_go();
    let mut is_whole = true;
    let mut batch = writer.stop().unless(batches.gather(&mut records)).await??;
    loop {
        for lost in records.take_lost() {
            batches.found_all();
            is_whole = false;
            writer.lose(lost);
        }
        if batch.is_empty() {
            return Ok(is_whole);
        }
        let written = write_batch(batch, (origin, scope), writer, folders);
        let (written, next) = join(written, writer.stop().unless(batches.gather(&mut records))).await;
        written?;
        batch = next??;
    }
}

/// Writes a batch: what has no content first, then contents, then the metadata of folders in which nothing more comes.
async fn write_batch(
    batch: Vec<Record>,
    (origin, scope): (Origin<'_>, &Scope),
    writer: &RestoreWriter<'_>,
    folders: &mut Folders,
) -> Result<()> {
    let Some(last) = batch.last().map(|record| record.entry.key.clone()) else { return Ok(()) };
    let mapped = batch.into_iter().filter_map(|record| writer.map(scope, record));
    let (held, contents): (Vec<Record>, Vec<Record>) = mapped.partition(|record| record.entry.kind != EntryKind::File);
    folders.open(writer.begin(held).await?);
    if writer.is_replaying() {
        replay::write_all(origin.loader, contents, writer).await?;
    } else {
        Planner::new(Arc::clone(origin.loader), contents).write_all(writer).await?;
    }
    writer.verify().await?;
    writer.close(folders.closed_before(&last)).await?;
    writer.forget_before(&last);
    Ok(())
}

/// Demands that something of one part at least was there.
fn require_part(missing: &[Key], options: &RestoreOptions, snapshot: &SnapshotHandle) -> Result<()> {
    match missing.first().filter(|_| missing.len() == options.parts.as_slice().len()) {
        Some(first) => Err(Error::NoEntry { snapshot: snapshot.snapshot.id.to_string(), key: first.to_string() }),
        None => Ok(()),
    }
}

fn require_abilities(info: &DestinationInfo, options: &RestoreOptions) -> Result<()> {
    let destination = || info.identity.clone();
    if options.versions && !info.has(ability::HISTORY) {
        return Err(Error::NoHistory { destination: destination() });
    }
    if options.verify && !info.has(ability::READABLE) {
        return Err(Error::NotReadable { destination: destination(), action: "verified by reading it again" });
    }
    Ok(())
}

impl RestoreOptions {
    /// The same, with patterns that have matched nothing yet: what is at the destination may match, too, and does not count.
    fn counting(&self) -> Self {
        Self { include: self.include.fresh(), exclude: self.exclude.fresh(), ..self.clone() }
    }

    /// The patterns of what to restore, and of what to leave out, that have matched nothing.
    fn unmatched(&self) -> (Vec<String>, Vec<String>) {
        let unmatched = |patterns: &Patterns| patterns.unmatched().map(ToString::to_string).collect();
        match self.share {
            None => (unmatched(&self.include), unmatched(&self.exclude)),
            // What is to be left out may be in another range, and keeps nothing from being restored.
            Some(Share { number: 0, .. }) => (unmatched(&self.include), Vec::new()),
            // The first answers for all.
            Some(_) => (Vec::new(), Vec::new()),
        }
    }

    /// Demands that a pattern of what to restore has matched, if there are any and the whole tree was read.
    fn require_match(&self, unmatched: &[String], is_whole: bool, snapshot: &SnapshotHandle) -> Result<()> {
        let is_vain = !unmatched.is_empty() && unmatched.len() == self.include.texts().count();
        match is_vain && is_whole {
            true => Err(Error::NothingIncluded { snapshot: snapshot.snapshot.id, patterns: unmatched.to_vec() }),
            false => Ok(()),
        }
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
