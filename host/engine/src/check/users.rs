//! Users: which snapshots use which blobs of which packs, by their usage lists.
//!
//! Called by `check` and `repair`. Bound: one bit per blob of every pack in use, and an id per pack and snapshot.

use std::collections::{BTreeSet, HashMap};

use credenza_format::{Bitmap, BlobIndex, PackBlob, PackRecord, PackState, PackUsage, Usage};
use credenza_model::{ObjectId, SnapshotId};

use crate::Result;

/// Who uses which blobs of a pack, by the usage lists of snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) snapshots: BTreeSet<SnapshotId>,
    pub(crate) blobs: Bitmap,
}

/// Packs in use.
#[derive(Debug, Default)]
pub(crate) struct Users(HashMap<ObjectId, Use>);

impl Users {
    /// Takes what a snapshot uses.
    pub(crate) fn add(&mut self, snapshot: SnapshotId, usage: Usage) {
        for PackUsage { pack, used } in usage.packs {
            let empty = || Use { snapshots: BTreeSet::new(), blobs: Bitmap::new(used.length()) };
            let entry = self.0.entry(pack).or_insert_with(empty);
            entry.snapshots.insert(snapshot);
            entry.blobs.unite(&used);
        }
    }

    pub(crate) fn of(&self, pack: &ObjectId) -> Option<&Use> {
        self.0.get(pack)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Use)> {
        self.0.iter()
    }

    /// The snapshots that a damage of the pack affects.
    pub(crate) fn affected(&self, pack: &ObjectId) -> BTreeSet<SnapshotId> {
        self.of(pack).map(|used| used.snapshots.clone()).unwrap_or_default()
    }

    /// The blobs of a pack that are in use.
    pub(crate) fn blobs<'a>(&'a self, pack: &'a PackRecord) -> impl Iterator<Item = &'a PackBlob> {
        let used = self.of(&pack.id);
        let in_use = move |position| used.is_some_and(|used| used.blobs.get(position));
        (0..).zip(&pack.blobs).filter(move |(position, _)| in_use(*position)).map(|(_, blob)| blob)
    }

    /// Whether a pack that was moved is needed no more: each blob in use has a place in another.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn has_replaced(&self, index: &BlobIndex, pack: &PackRecord) -> Result<bool> {
        let Some(ordinal) = index.ordinal(&pack.id) else { return Ok(false) };
        if !index.pack(ordinal).is_some_and(|pack| pack.moved) {
            return Ok(false);
        }
        for blob in self.blobs(pack) {
            let places = index.places(&blob.id)?;
            let mut others = places.iter().filter(|place| place.pack != ordinal);
            if !others.any(|place| index.state(place.pack) < PackState::Gone) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
