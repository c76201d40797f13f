//! What a run knows of the repository while it reads, and the snapshot that it makes of what it read.
//!
//! Owned here: the parent, the writer's previous snapshot, and every field of the new one. Refused here: the order of a
//! commit (`write`). Called by `backup::run`.

use std::sync::Arc;
use std::time::SystemTime;

use credenza_connect::{ErrorClass, SourceInfo};
use credenza_format::{
    BlobIndex, ChainLink, Digest, Hex, PacksRelied, Snapshot, SnapshotSource, Statistics, Usage, body_digest,
};
use credenza_model::{SnapshotId, Timestamp};

use super::tree::Grown;
use super::{BackupOptions, BackupReport};
use crate::blobs::BlobLoader;
use crate::repository::{Repository, SnapshotHandle, random_id};
use crate::write::{self, Draft, Stow};
use crate::{Error, Event, Listener, Result};

/// What a run knows of the repository while it reads.
pub(crate) struct Session {
    index: Arc<BlobIndex>,
    loader: Arc<BlobLoader>,
    standing: Standing,
    source: SnapshotSource,
    started: Timestamp,
}

/// Where a run stands among the snapshots of the repository.
struct Standing {
    parent: Option<SnapshotHandle>,
    link: ChainLink,
    store_time: Option<Timestamp>,
}

impl Standing {
    async fn find(repository: &Repository, writer: Hex<[u8; 16]>, identity: &str) -> Result<Self> {
        if !repository.can_read() {
            return Self::unread(repository, writer).await;
        }
        let snapshots = repository.snapshots().await?.whole;
        let newest = |matches: &dyn Fn(&SnapshotHandle) -> bool| {
            snapshots
                .iter()
                .filter(|handle| matches(handle))
                .max_by_key(|handle| (handle.stored, handle.snapshot.sequence))
                .cloned()
        };
        let previous = newest(&|handle| handle.snapshot.writer == writer);
        Ok(Self {
            parent: newest(&|handle| handle.snapshot.source.identity == identity),
            link: after(writer, previous.as_ref().map(|handle| (handle.snapshot.sequence, handle.digest))),
            store_time: previous.and_then(|handle| handle.stored),
        })
    }

    /// Who may add and not read knows no parent, and follows the writer's chain by what snapshots state in the clear. Where even that
    /// is denied, the run begins a chain of its own: a link that points nowhere would look like a missing snapshot.
    async fn unread(repository: &Repository, writer: Hex<[u8; 16]>) -> Result<Self> {
        let link = match repository.stated_links().await {
            Ok(links) => {
                let own = links.into_iter().filter(|(link, _)| link.writer == writer);
                let previous = own.max_by_key(|(link, _)| link.sequence);
                after(writer, previous.map(|(link, digest)| (link.sequence, digest)))
            }
            Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Denied => after(Hex(random_id()?), None),
            Err(cause) => return Err(cause),
        };
        Ok(Self { parent: None, link, store_time: None })
    }
}

/// The link behind the writer's previous one.
fn after(writer: Hex<[u8; 16]>, previous: Option<(u64, Digest)>) -> ChainLink {
    let sequence = previous.map_or(1, |(sequence, _)| sequence.saturating_add(1));
    ChainLink { writer, sequence, previous: previous.map(|(_, digest)| digest) }
}

impl Session {
    pub(crate) async fn begin(repository: &Repository, info: &SourceInfo, options: &BackupOptions) -> Result<Self> {
        let started = Timestamp::from_system(SystemTime::now());
        let index = Arc::new(repository.load_index().await?);
        let writer = repository.writer(&options.host, &options.user);
        let standing = Standing::find(repository, writer, &info.identity).await?;
        let source = SnapshotSource {
            identity: info.identity.clone(),
            namespace: info.namespace.clone(),
            location: options.location.clone(),
        };
        Ok(Self { loader: repository.loader(Arc::clone(&index)), index, standing, source, started })
    }

    pub(crate) fn index(&self) -> &Arc<BlobIndex> {
        &self.index
    }

    pub(crate) fn loader(&self) -> &Arc<BlobLoader> {
        &self.loader
    }

    pub(crate) fn parent(&self) -> Option<&SnapshotHandle> {
        self.standing.parent.as_ref()
    }

    pub(crate) async fn commit(
        self,
        repository: &Repository,
        stow: &Arc<Stow>,
        grown: Grown,
        options: &BackupOptions,
        listener: &dyn Listener,
    ) -> Result<BackupReport> {
        let id = SnapshotId::new(random_id()?);
        let draft = Draft { id, writer: self.standing.link.writer, started: self.started };
        let make = |usage: &Usage, bytes_added| self.snapshot(usage, &grown, options, id, bytes_added);
        write::commit(repository, stow, draft, make).await?;
        listener.on(Event::Committed(id));
        let counts = grown.counts;
        Ok(BackupReport {
            snapshot: Some(id),
            entries: counts.entries,
            read: counts.read,
            unchanged: counts.files.saturating_sub(counts.read),
            errors: counts.errors,
            bytes_read: counts.bytes_read,
            bytes_added: stow.bytes_added(),
        })
    }

    fn snapshot(
        self,
        usage: &Usage,
        grown: &Grown,
        options: &BackupOptions,
        id: SnapshotId,
        bytes_added: u64,
    ) -> Result<Snapshot> {
        let counts = &grown.counts;
        let Standing { parent, link, store_time } = self.standing;
        Ok(Snapshot {
            id,
            source: self.source,
            connector: options.provenance.clone(),
            host: options.host.clone(),
            user: options.user.clone(),
            tags: options.tags.clone(),
            excluded: options.excludes.clone(),
            started: self.started,
            finished: Timestamp::from_system(SystemTime::now()),
            store_time,
            parent: parent.map(|handle| handle.snapshot.id),
            writer: link.writer,
            sequence: link.sequence,
            previous: link.previous,
            signer: None,
            origin: None,
            tree: grown.root,
            usage: body_digest(&usage.encode()?),
            packs: PacksRelied { count: usage.packs.len() as u64, digest: usage.packs_digest() },
            statistics: Statistics {
                entries: counts.entries,
                files: counts.files,
                directories: counts.directories,
                bytes: counts.bytes,
                bytes_read: counts.bytes_read,
                bytes_added,
                errors: counts.errors,
            },
            problems_unlisted: counts.errors - counts.problems.len() as u64,
            problems: counts.problems.clone(),
        })
    }
}
