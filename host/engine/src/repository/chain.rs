//! The chain of the snapshots that one writer commits: each names the one before, so that a missing one shows without a key.
//!
//! Owned here: the place of the next one. It is taken as late as possible, at the commit: of two runs of one writer that end while both
//! read, the second must follow the first. Called by `backup`, `sync` and `write::commit`.

use std::collections::HashSet;

use credenza_connect::ErrorClass;
use credenza_format::{ChainLink, Digest, Hex, ObjectKind};
use credenza_model::StoreKey;

use super::snapshots::SNAPSHOTS;
use super::{Repository, SnapshotHandle, random_id};
use crate::{Error, Result};

/// What a writer knows of its chain. Memory: a name per snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    writer: Hex<[u8; 16]>,
    seen: HashSet<StoreKey>,
    /// Sequence and digest of the newest.
    head: Option<(u64, Digest)>,
    /// Snapshots may not even be listed.
    blind: bool,
}

impl Chain {
    /// The chain of a writer, as far as these snapshots show it.
    pub(crate) fn new<'a>(
        writer: Hex<[u8; 16]>,
        snapshots: impl IntoIterator<Item = &'a SnapshotHandle, IntoIter: Clone>,
    ) -> Self {
        let snapshots = snapshots.into_iter();
        let seen = snapshots.clone().map(SnapshotHandle::store_key).collect();
        let mut chain = Self { writer, seen, head: None, blind: false };
        chain.follow(snapshots.map(|handle| (handle.snapshot.link(), handle.digest)));
        chain
    }

    /// The chain of a writer who may add and not read, by what snapshots state in the clear. Where even that is denied, the run begins a
    /// chain of its own: a link that points nowhere would look like a missing snapshot.
    pub(crate) async fn stated(repository: &Repository, writer: Hex<[u8; 16]>) -> Result<Self> {
        let mut chain = Self::new(writer, &[]);
        match chain.catch_up(repository).await {
            Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Denied => {
                Ok(Self { writer: Hex(random_id()?), blind: true, ..Self::new(writer, &[]) })
            }
            other => other.map(|()| chain),
        }
    }

    pub(crate) fn writer(&self) -> Hex<[u8; 16]> {
        self.writer
    }

    /// The place that the next snapshot takes, behind what was committed since, too. Costs one listing, unless the repository was [glanced](Repository::glanced) at for this, and what is new in it.
    pub(crate) async fn next(&mut self, repository: &Repository) -> Result<ChainLink> {
        if !self.blind {
            self.catch_up(repository).await?;
        }
        let sequence = self.head.map_or(1, |(sequence, _)| sequence.saturating_add(1));
        Ok(ChainLink { writer: self.writer, sequence, previous: self.head.map(|(_, digest)| digest) })
    }

    /// Notes that the writer has committed a snapshot itself, which need not be read for its place.
    pub(crate) fn went_on(&mut self, key: StoreKey, sequence: u64, digest: Digest) {
        self.seen.insert(key);
        self.head = self.head.max(Some((sequence, digest)));
    }

    async fn catch_up(&mut self, repository: &Repository) -> Result<()> {
        let listed = repository.listed(&**repository.store(), SNAPSHOTS).await?.into_iter().map(|object| object.key);
        let listed = listed.filter(|key| ObjectKind::parse(key).is_some());
        let fresh: Vec<StoreKey> = listed.filter(|key| !self.seen.contains(key)).collect();
        self.follow(repository.stated_links(fresh.clone()).await?);
        self.seen.extend(fresh);
        Ok(())
    }

    fn follow(&mut self, links: impl IntoIterator<Item = (ChainLink, Digest)>) {
        let own = links.into_iter().filter(|(link, _)| link.writer == self.writer);
        self.head = self.head.max(own.map(|(link, digest)| (link.sequence, digest)).max());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use credenza_connect::memory::{MemorySource, MemoryStore};

    use super::*;
    use crate::backup::{self, BackupOptions};
    use crate::{CreateOptions, RunContext, Secret};

    #[tokio::test]
    async fn a_run_that_commits_after_another_of_its_writer_follows_it() {
        let store = Arc::new(MemoryStore::new());
        let options = CreateOptions::new(Secret::None);
        Repository::create(store.clone(), &options).await.unwrap();
        let repository = Repository::open(store, &Secret::None, None).await.unwrap();
        let mut begun = Chain::new(repository.writer("", ""), &[]);
        let source = Arc::new(MemorySource::new());
        backup::run(&repository, source, &BackupOptions::default(), &RunContext::default()).await.unwrap();
        let other = repository.snapshots().await.unwrap().whole.pop().unwrap();
        assert_eq!((other.snapshot.sequence, other.snapshot.previous), (1, None));
        let link = begun.next(&repository).await.unwrap();
        assert_eq!((link.sequence, link.previous), (2, Some(other.digest)));
    }
}
