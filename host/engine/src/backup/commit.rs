//! Begin and commit: the protocol that makes a snapshot safe beside other writers and collectors.
//!
//! ```text
//! begin   LIST condemned; load the index without condemned packs; find the parent
//! …       packs and index segments are uploaded
//! commit  PUT usage; PUT intent; LIST condemned again; PUT snapshot (the commit); DELETE intent
//! ```
//!
//! Owned here: that order. Refused here: what is in a pack. Called by `backup::run`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use credenza_connect::SourceInfo;
use credenza_format::{
    BlobIndex, Hex, Intent, ObjectKind, PacksRelied, Snapshot, SnapshotSource, Statistics, Usage, body_digest,
    seal_document,
};
use credenza_model::{ObjectId, SnapshotId, Timestamp};

use super::stow::Stow;
use super::tree::Grown;
use super::{BackupOptions, BackupReport};
use crate::blobs::BlobLoader;
use crate::repository::{Repository, SnapshotHandle, random_id};
use crate::{Error, Event, Listener, Result};

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
        stow.flush().await?;
        let usage = stow.usage();
        let id = SnapshotId::new(random_id()?);
        let keys = repository.keys();
        let usage_id = ObjectId::new(*id.as_bytes());
        stow.put(seal_document(keys, ObjectKind::Usage, usage_id, &usage.encode()?)?).await?;
        let intent_id = ObjectId::new(random_id()?);
        let intent = Intent {
            packs: usage.packs.iter().map(|used| used.pack).collect(),
            created: self.started,
            writer: self.writer,
        };
        let intent = seal_document(keys, ObjectKind::Intent, intent_id, &intent.encode()?)?;
        let intent_key = intent.key().clone();
        super::put(&**repository.store(), intent).await?;
        let committed = self.settle(repository, stow, &usage, grown, options, id).await;
        // The intent has done its work either way; one that stays behind expires by itself.
        let _ = repository.store().delete(std::slice::from_ref(&intent_key)).await;
        let report = committed?;
        listener.on(Event::Committed(id));
        Ok(report)
    }

    async fn settle(
        self,
        repository: &Repository,
        stow: &Arc<Stow>,
        usage: &Usage,
        grown: Grown,
        options: &BackupOptions,
        id: SnapshotId,
    ) -> Result<BackupReport> {
        let condemned: HashSet<ObjectId> = repository.condemned().await?;
        let lost = usage.packs.iter().filter(|used| condemned.contains(&used.pack)).count();
        if lost > 0 {
            return Err(Error::Conflict { packs: lost });
        }
        let added = stow.bytes_added();
        let snapshot = self.snapshot(usage, &grown, options, id, added)?;
        let object = ObjectId::new(*id.as_bytes());
        stow.put(seal_document(repository.keys(), ObjectKind::Snapshot, object, &snapshot.encode(None)?)?).await?;
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
