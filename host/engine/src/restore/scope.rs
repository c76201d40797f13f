//! Scope: which keys of a snapshot a run restores: its parts, and of these the range that one of several processes takes.
//!
//! **Folders across ranges.** A folder with keys in several ranges is made by each process that writes below it, and each sets its time, mode and the
//! like behind its own last entry there. So it ends as the snapshot has it, in whatever order they end. Two things are no matter of one process: a mode
//! that would keep the others from writing, and names of one file in several ranges. They are reported as attributes that were not restored,
//! and a restore by one process behind all sets them.
//!
//! **What is nowhere.** A part or a pattern without anything in one range may have something in another. The first process looks there too, and answers
//! for all.
//!
//! Owned here: that. Refused here: where ranges begin and end (`share`). Called by `restore::run`, `extras` and `writer`.
//!
//! Bound: the folders on one path.

use std::sync::Arc;

use credenza_connect::{DestinationInfo, ability};
use credenza_model::{AttributeValue, Entry, EntryKind, Key, Record};

use super::RestoreOptions;
use super::compare::HARD_LINK;
use super::ground::folders_above;
use super::mapping::AttributeMapping;
use crate::blobs::BlobLoader;
use crate::parts::{Part, Parts, Spans};
use crate::repository::{Repository, SnapshotHandle};
use crate::share::{KeyRange, Measure, SharedTree};
use crate::walk::Records;
use crate::{Error, Event, Result};

const MODE: &str = "posix.mode";
/// What the owner of a folder needs to write in it.
const OWNER: i64 = 0o700;

/// A snapshot that is read.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a SnapshotHandle,
    pub(super) loader: &'a Arc<BlobLoader>,
}

impl Origin<'_> {
    /// The record of a key.
    pub(super) async fn record(&self, key: &Key) -> Result<Option<Record>> {
        let mut records = self.repository.walk(self.loader, &self.snapshot.snapshot.tree, key.as_bytes());
        Ok(records.next().await?.filter(|record| record.entry.key == *key))
    }

    pub(super) fn walk(&self, spans: Spans) -> Records {
        self.repository.walk_spans(self.loader, &self.snapshot.snapshot.tree, spans)
    }
}

/// What one run restores.
pub(super) struct Scope {
    pub(super) spans: Spans,
    mapping: AttributeMapping,
    /// Whether names of one file become names of one file.
    has_links: bool,
    /// Of one of several processes.
    range: Option<KeyRange>,
    /// Folders that begin before the range and may have keys in it, the outermost first.
    above: Vec<Record>,
}

impl Scope {
    /// # Errors
    /// When the tree cannot be read where the range begins or ends.
    pub(super) async fn of(origin: Origin<'_>, info: &DestinationInfo, options: &RestoreOptions) -> Result<Self> {
        let mapping = AttributeMapping::between(&origin.snapshot.snapshot.source.namespace, &info.namespace);
        let has_links = info.has(ability::POSIX_ATTRIBUTES);
        let parts = options.parts.spans();
        let Some(share) = options.share else {
            return Ok(Self { spans: parts, mapping, has_links, range: None, above: Vec::new() });
        };
        let root = &origin.snapshot.snapshot.tree;
        let tree = SharedTree { loader: origin.loader, root, measure: Measure::Work };
        let range = tree.range(&parts, share).await?;
        let spans = parts.within(range.after.as_ref(), range.until.as_ref());
        let mut above = Vec::new();
        if let Some(after) = range.after.as_ref().filter(|_| info.namespace == ability::TREE && !spans.is_empty()) {
            let folders = folders_above(after).chain([after.clone()]).filter(|key| parts.part_of(key).is_some());
            for key in folders {
                match origin.record(&key).await {
                    Ok(record) => above.extend(record.filter(|record| is_folder(mapping, record))),
                    // Whoever has the key in its range tells it.
                    Err(Error::Damage(_)) => {}
                    Err(cause) => return Err(cause),
                }
            }
        }
        Ok(Self { spans, mapping, has_links, range: Some(range), above })
    }

    /// Whether others restore the rest at the same time.
    pub(super) fn is_shared(&self) -> bool {
        self.range.as_ref().is_some_and(|range| range.after.is_some() || range.until.is_some())
    }

    /// Folders that begin before the range and may have keys in it, the outermost first.
    pub(super) fn above(&self) -> &[Record] {
        &self.above
    }

    /// One of these by its key.
    pub(super) fn folder_above(&self, key: &Key) -> Option<Entry> {
        self.above.iter().map(|record| &record.entry).find(|entry| entry.key == *key).cloned()
    }

    /// What is expected of the run.
    pub(super) fn expected(&self, snapshot: &SnapshotHandle, options: &RestoreOptions) -> Option<Event> {
        let statistics = &snapshot.snapshot.statistics;
        let of = u64::from(options.share.map_or(1, |share| share.of.max(1)));
        let (entries, bytes) = (statistics.entries.div_ceil(of), statistics.bytes.div_ceil(of));
        options.parts.is_all().then_some(Event::Expected { entries, bytes })
    }

    /// The entry as the destination is to have it, and the names of the attributes that it loses; none where the destination needs none.
    pub(super) fn map(&self, entry: Entry) -> Option<(Entry, Vec<String>)> {
        let (mut entry, mut lost) = self.mapping.apply(entry)?;
        if self.is_shared() && self.has_links && entry.kind == EntryKind::File && entry.attribute(HARD_LINK).is_some() {
            lost.push(HARD_LINK.to_owned());
        }
        if entry.kind == EntryKind::Directory && self.crosses_an_end(&entry.key) {
            for (name, value) in &mut entry.attributes {
                if let AttributeValue::Integer(mode) = value
                    && name == MODE
                    && *mode & OWNER != OWNER
                {
                    *mode |= OWNER;
                    lost.push(MODE.to_owned());
                }
            }
        }
        Some((entry, lost))
    }

    /// Whether a folder may have keys in another range.
    fn crosses_an_end(&self, folder: &Key) -> bool {
        let ends = self.range.iter().flat_map(|range| [&range.after, &range.until]).flatten();
        ends.into_iter().any(|end| end.as_bytes().starts_with(folder.as_bytes()))
    }

    /// Of the parts that nothing came of, those that nobody finds anything of, and whether the whole tree could be read where it was looked for what
    /// the patterns mean.
    pub(super) async fn nowhere(
        &self,
        origin: Origin<'_>,
        counted: &RestoreOptions,
        missing: Vec<Part>,
    ) -> Result<(Vec<Key>, bool)> {
        let (Some(range), Some(share)) = (&self.range, counted.share) else {
            return Ok((missing.into_iter().map(|part| part.key().clone()).collect(), true));
        };
        if share.number > 0 {
            return Ok((Vec::new(), true));
        }
        let mut nowhere = Vec::new();
        for part in missing {
            let key = part.key().clone();
            if origin.walk(Parts::from_iter([part]).spans()).next().await?.is_none() {
                nowhere.push(key);
            }
        }
        let Some(until) = &range.until else { return Ok((nowhere, true)) };
        let mut rest = origin.walk(counted.parts.spans().within(Some(until), None)).salvaging();
        while !counted.unmatched().0.is_empty()
            && let Some(record) = rest.next().await?
        {
            counted.selects(record.entry.key.as_bytes());
        }
        Ok((nowhere, rest.take_lost().is_empty()))
    }
}

fn is_folder(mapping: AttributeMapping, record: &Record) -> bool {
    mapping.apply(record.entry.clone()).is_some_and(|(entry, _)| entry.kind == EntryKind::Directory)
}
