//! What a run knows of the repository while it reads, and the snapshot that it makes of what it read.
//!
//! Owned here: the parent, the writer's previous snapshot, and every field of the new one. Refused here: the order of a
//! commit (`write`). Called by `backup::run`.

use std::sync::Arc;
use std::time::SystemTime;

use credenza_connect::SourceInfo;
use credenza_format::{
    BlobIndex, Hex, ObjectKind, PacksRelied, Snapshot, SnapshotSource, Statistics, Usage, body_digest,
};
use credenza_model::{SnapshotId, Timestamp};

use super::tree::Grown;
use super::{BackupOptions, BackupReport};
use crate::blobs::BlobLoader;
use crate::repository::{Repository, SnapshotHandle, list, random_id};
use crate::write::{self, Draft, Stow};
use crate::{Event, Listener, Result};

/// What a run knows of the repository while it reads.
pub(crate) struct Session {
    index: Arc<BlobIndex>,
    loader: Arc<BlobLoader>,
    standing: Standing,
    writer: Hex<[u8; 16]>,
    source: SnapshotSource,
    started: Timestamp,
}

/// Where a run stands among the snapshots of the repository.
struct Standing {
    parent: Option<SnapshotHandle>,
    previous: Option<SnapshotHandle>,
    sequence: u64,
}

impl Standing {
    async fn find(repository: &Repository, writer: Hex<[u8; 16]>, identity: &str) -> Result<Self> {
        if !repository.can_read() {
            return Self::unread(repository).await;
        }
        let snapshots = repository.snapshots().await?.whole;
        let newest = |matches: &dyn Fn(&SnapshotHandle) -> bool| {
            snapshots
                .iter()
                .filter(|handle| matches(handle))
                .max_by_key(|handle| (handle.stored, handle.snapshot.sequence))
                .cloned()
        };
        let parent = newest(&|handle| handle.snapshot.source.identity == identity);
        let previous = newest(&|handle| handle.snapshot.writer == writer);
        let sequence = previous.as_ref().map_or(1, |handle| handle.snapshot.sequence + 1);
        Ok(Self { parent, previous, sequence })
    }

    /// Who may add and not read sees that there are snapshots and not whose: the run follows on all of them.
    async fn unread(repository: &Repository) -> Result<Self> {
        let listed = list(&**repository.store(), &format!("{}/", ObjectKind::Snapshot.folder())).await?;
        Ok(Self { parent: None, previous: None, sequence: listed.len() as u64 + 1 })
    }
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
        Ok(Self { loader: repository.loader(Arc::clone(&index)), index, standing, writer, source, started })
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
        let draft = Draft { id, writer: self.writer, started: self.started };
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
        let Standing { parent, previous, sequence } = self.standing;
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
            store_time: previous.as_ref().and_then(|handle| handle.stored),
            parent: parent.map(|handle| handle.snapshot.id),
            writer: self.writer,
            sequence,
            previous: previous.map(|handle| handle.body_digest),
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
