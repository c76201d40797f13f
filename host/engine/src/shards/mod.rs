//! Shards: one source that many processes back up at once, each a range of its keys, and the one snapshot of them all.
//!
//! ```text
//! backup   borders > the listing within them > as any backup > a part: a snapshot that says which range it holds
//! merge    the parts of a group > do they meet? > their trees joined > a snapshot > the parts are removed
//! ```
//!
//! Owned here: which range of a source's keys a process takes (`borders` without a snapshot before, else `share`), holding a listing to it
//! (`within`), and joining the parts (`merge`). Refused here: reading what is in a range (`backup`), the joined tree
//! (`credenza_format::join_trees`). Called by `backup` and by `cli`.
//!
//! **No process talks to another, and no write is conditional.** Each finds the same borders in the same things: the snapshot before, else
//! probes of the listing. Where these have changed in between, ranges may not meet. A process that finds parts of its neighbours begins and
//! ends where they do, and `merge` demands that ranges meet before it joins them: what does not is run again, alone.

mod borders;
mod merge;
#[cfg(test)]
mod tests;
mod within;

use credenza_connect::{ScanOptions, Source, SourceInfo, ability};
use credenza_format::{Hex, Part};
use credenza_model::Key;

use crate::blobs::BlobLoader;
use crate::parts::Spans;
use crate::repository::{SnapshotHandle, Snapshots};
use crate::share::{KeyRange, Measure, Share, SharedTree};
use crate::{Error, Result};
pub use crate::groups::{Group, SHARDS_MAX, groups};
pub use merge::{Dropped, MergeOptions, MergeReport, drop_parts, merge};
pub(crate) use within::Within;

/// One of the processes that share a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Shard {
    /// The backup that they share.
    pub group: Hex<[u8; 16]>,
    /// Which process, from 0.
    pub number: u32,
    /// How many there are: one to [`SHARDS_MAX`].
    pub of: u32,
}

/// The group that processes are of which were given this name.
#[must_use]
pub fn group_of(name: &str) -> Hex<[u8; 16]> {
    let digest = blake3::derive_key("credenza 2026 group of shards", name.as_bytes());
    let mut group = [0; 16];
    group.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    Hex(group)
}

impl Shard {
    /// The newest part of each process of its group that has ended, for a source.
    fn siblings<'a>(
        self,
        snapshots: &'a Snapshots,
        identity: &'a str,
    ) -> impl Iterator<Item = (&'a SnapshotHandle, &'a Part)> {
        let is_sibling = move |part: &Part| part.group == self.group && part.of == self.of;
        let parts = snapshots.parts.iter().filter(move |handle| handle.snapshot.source.identity == identity);
        parts.filter_map(move |handle| Some((handle, handle.snapshot.part.as_ref().filter(|part| is_sibling(part))?)))
    }

    /// The snapshot that all of the group compare with: the one that a part of it states, else the newest.
    pub(crate) fn parent<'a>(
        self,
        snapshots: &'a Snapshots,
        identity: &'a str,
        newest: Option<&'a SnapshotHandle>,
    ) -> Option<&'a SnapshotHandle> {
        match self.siblings(snapshots, identity).next() {
            Some((first, _)) => {
                let parent = first.snapshot.parent?;
                snapshots.whole.iter().find(|handle| handle.snapshot.id == parent)
            }
            None => newest,
        }
    }

    /// Where its neighbours end and begin, as far as they have ended.
    pub(crate) fn met(self, snapshots: &Snapshots, identity: &str) -> Met {
        let mut met = Met::default();
        for (_, part) in self.siblings(snapshots, identity) {
            let key = |key: &Option<Hex<Vec<u8>>>| key.as_ref().map(|key| Key::new(key.0.clone()));
            if part.number.checked_add(1) == Some(self.number) {
                met.after = key(&part.until);
            }
            if self.number.checked_add(1) == Some(part.number) {
                met.until = key(&part.after);
            }
        }
        met
    }

    /// The keys that it takes.
    ///
    /// # Errors
    /// [`Error::Unshardable`] when the source cannot be listed in ranges; when it, or the parent, cannot be read.
    pub(crate) async fn range(
        self,
        (source, info): (&dyn Source, &SourceInfo),
        options: &ScanOptions,
        (parent, loader): (Option<&SnapshotHandle>, &BlobLoader),
        met: Met,
    ) -> Result<KeyRange> {
        if info.namespace != ability::FLAT || !info.has(ability::START_AFTER) {
            return Err(Error::Unshardable {
                source_name: info.identity.clone(),
                reason: "its keys cannot be listed from one on; buckets can".to_owned(),
            });
        }
        let share = Share { number: self.number, of: self.of };
        let knows = (self.number == 0 || met.after.is_some()) && (share.is_last() || met.until.is_some());
        let computed = match parent {
            _ if knows => KeyRange::default(),
            Some(parent) if parent.snapshot.tree.entries > 0 => {
                let tree = SharedTree { loader, root: &parent.snapshot.tree, measure: Measure::Entries };
                tree.range(&Spans::between(None, None), share).await?
            }
            // A tree without entries tells nothing of those that are there now.
            _ => borders::range(source, options, share).await?,
        };
        Ok(KeyRange { after: met.after.or(computed.after), until: met.until.or(computed.until) })
    }

    /// What the snapshot of a range says of it.
    pub(crate) fn part(self, range: &KeyRange) -> Part {
        let hex = |key: &Option<Key>| key.as_ref().map(|key| Hex(key.as_bytes().to_vec()));
        let Self { group, number, of } = self;
        Part { group, number, of, after: hex(&range.after), until: hex(&range.until) }
    }
}

/// Where the parts beside one begin and end.
#[derive(Debug, Default)]
pub(crate) struct Met {
    after: Option<Key>,
    until: Option<Key>,
}
