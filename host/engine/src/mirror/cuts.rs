//! Cuts: the snapshots that a plan is made of, and what those before say of a key.
//!
//! Owned here: which cuts count, whether the mirror has had a key, and how long one is gone. Refused here: the verdict on a key (`judge`), the walk over all
//! of them (`join`). Called by `join` and, for folders that keys implied, by `remove`.
//!
//! Bound: a window of leaves for the cut that is asked.

use std::sync::Arc;

use credenza_connect::ability;
use credenza_connect::file::escape::key_of_path;
use credenza_format::TreeRoot;
use credenza_model::{Entry, Key, Record, SnapshotId};

use super::judge::{Ground, Verdict};
use super::marker::Marker;
use super::sides::{Kept, Side};
use super::{Deletes, MirrorOptions, age};
use crate::Result;
use crate::blobs::BlobLoader;
use crate::repository::{Repository, SnapshotHandle};
use crate::restore::AttributeMapping;

/// The cuts that a plan is made of.
pub(super) struct Cuts<'a> {
    repository: &'a Repository,
    loader: Arc<BlobLoader>,
    pub(super) cut: &'a SnapshotHandle,
    /// The one that the target was when it was whole.
    pub(super) base: Option<TreeRoot>,
    /// Those that it was on its way to.
    pub(super) towards: Vec<TreeRoot>,
    /// Those of the source that are kept, the newest first; of those in a row that hold the same, the first that was made.
    past: Vec<SnapshotHandle>,
    pub(super) known: Option<&'a Marker>,
}

impl<'a> Cuts<'a> {
    /// Finds those that a marker names.
    pub(super) async fn of(
        repository: &'a Repository,
        cut: &'a SnapshotHandle,
        known: Option<&'a Marker>,
    ) -> Result<Self> {
        let identity = &cut.snapshot.source.identity;
        let listed = repository.snapshots().await?;
        let root = |id: &SnapshotId| {
            listed.whole.iter().find(|handle| handle.snapshot.id == *id).map(|handle| handle.snapshot.tree)
        };
        let base = known.and_then(|known| known.cut).as_ref().and_then(root);
        let towards = known.map_or_else(Vec::new, |known| known.towards.iter().filter_map(root).collect());
        let mut past: Vec<SnapshotHandle> =
            listed.whole.iter().filter(|handle| handle.snapshot.source.identity == *identity).cloned().collect();
        let same = |handle: &SnapshotHandle| (handle.snapshot.tree, is_torn(handle), handle.snapshot.tags.clone());
        past.dedup_by_key(|handle| same(handle));
        past.reverse();
        let loader = repository.loader_going_on(Arc::new(repository.index_for_reading().await?));
        Ok(Self { repository, loader, cut, base, towards, past, known })
    }

    /// The records of one, as the target is to have them.
    pub(super) fn walk(&self, root: &TreeRoot, mapping: AttributeMapping, kept: Kept) -> Side {
        Side::new(self.repository.walk(&self.loader, root, b""), mapping, kept)
    }

    /// Whether something of the cut could not be read, so that nothing is removed by it.
    pub(super) const fn is_torn(&self) -> bool {
        is_torn(self.cut)
    }

    /// Whether the cut is that of a bucket, in which keys imply folders.
    pub(super) fn is_of_keys(&self) -> bool {
        self.cut.snapshot.source.namespace == ability::FLAT
    }

    /// Whether the cut has a folder of its own of that name.
    pub(super) async fn has(&self, name: &Key) -> Result<bool> {
        let key = key_of_path(name.as_bytes()).map_or_else(|| name.clone(), Key::new);
        Ok(self.record(self.cut, &key).await?.is_some())
    }

    /// Whether no cut of so much time has a key, and one before has it. That a cut has it not says nothing where not all could be read.
    pub(super) async fn is_long_gone(&self, key: &Key, span: std::time::Duration) -> Result<bool> {
        let now = self.repository.clock().now().wall;
        let mut is_old = false;
        for handle in &self.past {
            if self.record(handle, key).await?.is_some() {
                return Ok(is_old);
            }
            is_old |= !is_torn(handle) && age(now, handle.snapshot.started) >= span;
        }
        Ok(false)
    }

    /// Whether the mirror has put there what is there, although neither the cut that the target was nor one that it was on its way to has the key: a cut of
    /// the policy until the target was whole has the key, and what is there was there then or has the size and time of that cut; or a cut of the source holds just
    /// that, so that nothing of anybody's is lost.
    async fn had(&self, key: &Key, found: &Entry, (ground, tag): (&Ground, &str)) -> Result<bool> {
        let Some(known) = self.known else { return Ok(false) };
        for handle in &self.past {
            let Some(record) = self.record(handle, key).await? else { continue };
            let snapshot = &handle.snapshot;
            let was_mirrored = known.cut_made.is_some_and(|until| snapshot.started <= until)
                && snapshot.tags.iter().any(|own| own == tag);
            if (was_mirrored && ground.is_as_left(&record, found)) || ground.is_surely(&record, found) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The verdict on what is there under a key that the cut has not which the target was, after the older cuts were asked.
    pub(super) async fn reconsidered(
        &self,
        verdict: Verdict,
        (key, found): (&Key, &Entry),
        ground: &Ground,
        options: &MirrorOptions,
    ) -> Result<Verdict> {
        let is_ours = match verdict {
            // Where nothing is removed, it is not worth the reading of all cuts.
            Verdict::Extra if options.deletes == Deletes::Keep => ground.is_settled(found),
            Verdict::Extra | Verdict::Foreign => self.had(key, found, (ground, options.tag.as_str())).await?,
            _ => false,
        };
        Ok(match verdict {
            Verdict::Extra if is_ours => Verdict::Gone,
            Verdict::Foreign if is_ours => Verdict::Changed,
            _ => verdict,
        })
    }

    /// What a cut has under a key.
    async fn record(&self, handle: &SnapshotHandle, key: &Key) -> Result<Option<Record>> {
        let mut records = self.repository.walk(&self.loader, &handle.snapshot.tree, key.as_bytes());
        while let Some(record) = records.next().await? {
            if record.entry.key != *key {
                break;
            }
            if record.entry.is_current() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// Whether something of the source could not be read: a folder is lacking then with all that lies in it, as if it were gone.
const fn is_torn(handle: &SnapshotHandle) -> bool {
    handle.snapshot.statistics.errors > 0
}
