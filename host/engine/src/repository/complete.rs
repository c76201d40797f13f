//! Completeness: all snapshots, or an error. What decides over removal and over space must not rest on a listing alone.
//!
//! Snapshots speak for each other: each names the one that its writer committed before it, and each has a usage list, put just before
//! it. So besides the two listings of `cautious`, no writer's chain may have a gap that no record of removal explains, and a usage list
//! without a snapshot must have none. Called by `gc` and by whoever removes snapshots.
//!
//! Requests beside those listings: a listing of usage lists, one request for each of them without a snapshot, and where a chain has gaps, one
//! for each record of removal that the cache does not have. Bound: the snapshots, and some 200 bytes for each that was removed.

use std::collections::HashSet;

use credenza_connect::StoredObject;
use credenza_format::ObjectKind;
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use super::chains::{Chains, Found};
use super::snapshots::SNAPSHOTS;
use super::{Repository, SnapshotHandle, SnapshotName, Snapshots, TwoCopies, list};
use crate::{Error, Result};

impl Repository {
    /// All snapshots, once nothing speaks for one that was left out. Damaged ones are reported in their place; chains are not judged then,
    /// because what is damaged is missed in its chain.
    ///
    /// # Errors
    /// [`Error::ListingsDisagree`] when the store leaves something out, [`Error::MissingSnapshots`] when a snapshot is gone without a record.
    pub async fn all_snapshots(&self) -> Result<Snapshots> {
        let cautious = self.cautious();
        let (first, gaps) = cautious.snapshots_and_gaps().await?;
        if gaps.is_empty() {
            return Ok(first);
        }
        // Of two that were committed during a listing it may show the later alone. What comes before one that was listed at the first look was
        // there when the second began: only gaps before those count, however busy the writers are.
        let (second, gaps) = cautious.snapshots_and_gaps().await?;
        let place = |id: &SnapshotId| second.everything().map(|handle| &handle.snapshot).find(|found| found.id == *id);
        let was_there = |id: &SnapshotId| {
            place(id).is_some_and(|found| {
                let mut earlier = first.everything().map(|handle| &handle.snapshot);
                earlier.any(|known| known.writer == found.writer && known.sequence >= found.sequence)
            })
        };
        match gaps.into_iter().find(|(_, before)| before.as_ref().is_none_or(was_there)) {
            None => Ok(second),
            Some((gap, _)) => Err(Error::MissingSnapshots(gap)),
        }
    }

    /// One look at all snapshots, and at what their chains miss.
    async fn snapshots_and_gaps(&self) -> Result<(Snapshots, Found)> {
        // In this order: a usage list is put before its snapshot.
        let usages = list(&**self.bare_store(), &format!("{}/", ObjectKind::Usage.folder())).await?;
        let snapshots = self.snapshots().await?;
        if !snapshots.damaged.is_empty() {
            return Ok((snapshots, Found::new()));
        }
        self.expect_owners_listed(&usages, &snapshots).await?;
        let gaps = self.gaps(snapshots.everything()).await?;
        Ok((snapshots, gaps))
    }

    /// The one snapshot that a name means, for whoever removes it: a whole id means what it means; `latest` and the beginning of an id are
    /// judged by all snapshots. A part that waits to be merged has its id alone.
    ///
    /// # Errors
    /// As [`Repository::find`] and [`Repository::all_snapshots`].
    pub async fn find_for_removal(&self, name: &SnapshotName) -> Result<SnapshotHandle> {
        match name.0.parse::<SnapshotId>() {
            Ok(id) => {
                let snapshots = self.snapshots().await?;
                match snapshots.parts.iter().find(|part| part.snapshot.id == id) {
                    Some(part) => Ok(part.clone()),
                    None => snapshots.find(name),
                }
            }
            Err(_) => self.all_snapshots().await?.find(name),
        }
    }

    /// Demands that a listing shows each snapshot of which a usage list speaks and that is there.
    async fn expect_owners_listed(&self, usages: &[StoredObject], snapshots: &Snapshots) -> Result<()> {
        let listed: HashSet<StoreKey> = snapshots.everything().map(SnapshotHandle::store_key).collect();
        let unlisted = usages.iter().filter_map(owner).filter(|owner| !listed.contains(owner)).collect();
        let mut there = self.those_there(unlisted).await?;
        if there.is_empty() {
            return Ok(());
        }
        // It was put since it was listed, or left out.
        let again: HashSet<StoreKey> =
            self.list(&**self.bare_store(), SNAPSHOTS).await?.into_iter().map(|object| object.key).collect();
        there.retain(|owner| !again.contains(owner));
        self.expect_gone(SNAPSHOTS, there).await
    }

    /// The snapshots whose predecessor is neither there nor on record as removed.
    async fn gaps(&self, snapshots: impl Iterator<Item = &SnapshotHandle>) -> Result<Found> {
        let mut chains = Chains::default();
        snapshots.for_each(|handle| chains.add(handle.into()));
        if chains.gaps().is_empty() {
            return Ok(Found::new());
        }
        self.removals_at_hand().await?.into_iter().for_each(|removal| chains.add_removal(removal));
        if !chains.gaps().is_empty() {
            // A record that cannot be read explains nothing.
            let removals = self.removals().await?.into_iter().filter_map(TwoCopies::into_best);
            removals.filter_map(Result::ok).for_each(|removal| chains.add_removal(removal));
        }
        Ok(chains.gaps())
    }
}

/// The name of the snapshot that a usage list belongs to.
fn owner(usage: &StoredObject) -> Option<StoreKey> {
    let (_, id): (_, ObjectId) = ObjectKind::parse(&usage.key).filter(|(kind, _)| *kind == ObjectKind::Usage)?;
    Some(ObjectKind::Snapshot.store_key(id))
}
