//! The chain of the snapshots that one writer commits: each names the one before, so that a missing one shows without a key.
//!
//! Owned here: the place of the next one. It is taken as late as possible, at the commit: of two runs of one writer that end while both
//! read, the second must follow the first. Called by `write::commit`.

use std::collections::HashSet;

use credenza_format::{ChainLink, Digest, Hex};
use credenza_model::StoreKey;

use super::snapshots::SNAPSHOTS;
use super::{Repository, SnapshotHandle, list};
use crate::Result;

/// What a writer knows of its chain. Memory: a name per snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    writer: Hex<[u8; 16]>,
    seen: HashSet<StoreKey>,
    /// Sequence and digest of the newest.
    head: Option<(u64, Digest)>,
}

impl Chain {
    /// The chain of a writer, as far as these snapshots show it.
    pub(crate) fn new(writer: Hex<[u8; 16]>, snapshots: &[SnapshotHandle]) -> Self {
        let mut chain = Self { writer, seen: snapshots.iter().map(SnapshotHandle::store_key).collect(), head: None };
        chain.follow(snapshots);
        chain
    }

    pub(crate) fn writer(&self) -> Hex<[u8; 16]> {
        self.writer
    }

    /// The place that the next snapshot takes, behind what was committed since, too. Costs one listing and what is new in it.
    pub(crate) async fn next(mut self, repository: &Repository) -> Result<ChainLink> {
        let mut listed = list(&**repository.store(), SNAPSHOTS).await?;
        listed.retain(|object| !self.seen.contains(&object.key));
        self.follow(&repository.snapshots_among(repository.store(), listed).await?.whole);
        let sequence = self.head.map_or(1, |(sequence, _)| sequence.saturating_add(1));
        Ok(ChainLink { writer: self.writer, sequence, previous: self.head.map(|(_, digest)| digest) })
    }

    fn follow(&mut self, snapshots: &[SnapshotHandle]) {
        let own = snapshots.iter().filter(|handle| handle.snapshot.writer == self.writer);
        let newest = own.map(|handle| (handle.snapshot.sequence, handle.digest)).max();
        self.head = self.head.max(newest);
    }
}
