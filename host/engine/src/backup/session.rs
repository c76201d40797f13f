//! What a run knows of the repository while it reads, and the snapshot that it makes of what it read.
//!
//! Owned here: the parent, the writer's previous snapshot, and every field of the new one. Refused here: the order of a
//! commit (`write`). Called by `backup::run`.

use std::sync::Arc;
use std::time::SystemTime;

use credenza_connect::SourceInfo;
use credenza_format::{BlobIndex, Hex, PacksRelied, Snapshot, SnapshotSource, Statistics, Usage, body_digest};
use credenza_model::{SnapshotId, Timestamp};

use super::tree::Grown;
use super::{BackupOptions, BackupReport};
use crate::blobs::BlobLoader;
use crate::repository::{Repository, SnapshotHandle, random_id};
use crate::write::{self, Stow};
use crate::{Event, Listener, Result};

/// What a run knows of the repository while it reads.
pub(crate) struct Session {
    index: Arc<BlobIndex>,
    loader: Arc<BlobLoader>,
    parent: Option<SnapshotHandle>,
    previous: Option<SnapshotHandle>,
    writer: Hex<[u8; 16]>,
    source: SnapshotSource,
    started: Timestamp,
}

impl Session {
    pub(crate) async fn begin(repository: &Repository, info: &SourceInfo, options: &BackupOptions) -> Result<Self> {
        let started = Timestamp::from_system(SystemTime::now());
        let index = Arc::new(repository.load_index().await?);
        let snapshots = repository.snapshots().await?.whole;
        let writer = repository.writer(&options.host, &options.user);
        let newest = |matches: &dyn Fn(&SnapshotHandle) -> bool| {
            snapshots
                .iter()
                .filter(|handle| matches(handle))
                .max_by_key(|handle| (handle.stored, handle.snapshot.sequence))
                .cloned()
        };
        let parent = newest(&|handle| handle.snapshot.source.identity == info.identity);
        let previous = newest(&|handle| handle.snapshot.writer == writer);
        let source = SnapshotSource {
            identity: info.identity.clone(),
            namespace: info.namespace.clone(),
            location: options.location.clone(),
        };
        Ok(Self { loader: repository.loader(Arc::clone(&index)), index, parent, previous, writer, source, started })
    }

    pub(crate) fn writer(&self) -> Hex<[u8; 16]> {
        self.writer
    }

    pub(crate) fn index(&self) -> &Arc<BlobIndex> {
        &self.index
    }

    pub(crate) fn loader(&self) -> &Arc<BlobLoader> {
        &self.loader
    }

    pub(crate) fn parent(&self) -> Option<&SnapshotHandle> {
        self.parent.as_ref()
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
        let make = |usage: &Usage, bytes_added| self.snapshot(usage, &grown, options, id, bytes_added);
        write::commit(repository, stow, id, make).await?;
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
        let previous = self.previous.as_ref();
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
            store_time: previous.and_then(|handle| handle.stored),
            parent: self.parent.as_ref().map(|handle| handle.snapshot.id),
            writer: self.writer,
            sequence: previous.map_or(1, |handle| handle.snapshot.sequence + 1),
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
