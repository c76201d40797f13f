//! What a run knows of the repository while it reads, and the snapshot that it makes of what it read.
//!
//! Owned here: the parent, and every field of the new one. Refused here: the order of a
//! commit (`write`). Called by `backup::run`.

use std::sync::Arc;

use credenza_connect::{ScanOptions, Source, SourceInfo, ability};
use credenza_format::{
    BlobIndex, ChainLink, Hex, OrderedListing, PacksRelied, Provenance, Snapshot, SnapshotSource, SourceDocument,
    Statistics, Usage,
};
use credenza_model::{SnapshotId, Timestamp};

use super::tree::{Counts, Grown};
use super::{BackupOptions, BackupReport, Dated, OtherSource};
use crate::blobs::BlobLoader;
use crate::repository::{AHEAD_SECONDS, Chain, Repository, SnapshotHandle, Snapshots, random_id};
use crate::shards::{Met, Shard};
use crate::share::KeyRange;
use crate::write::{self, Committed, Deduplicator, Draft};
use crate::{Damage, Error, Event, Result, RunContext};

/// Most bytes of documents about the source that a snapshot keeps: snapshots are read by every command.
const DOCUMENTS_BYTES_MAX: usize = 256 * 1024;

/// What a run knows of the repository while it reads.
pub(crate) struct Session {
    index: Arc<BlobIndex>,
    loader: Arc<BlobLoader>,
    before: Before,
    source: SnapshotSource,
    /// What the source is asked to list.
    whole: ScanOptions,
    /// The keys of which the run takes care, where others share the backup.
    shard: Option<(Shard, KeyRange)>,
    started: Timestamp,
    /// What the run found of the order of the listing.
    listing: Option<OrderedListing>,
    /// What of the repository cannot be read.
    damages: Vec<Damage>,
}

/// Where a run stands among the snapshots of the repository.
struct Before {
    parent: Option<SnapshotHandle>,
    chain: Chain,
    /// When the store says that its newest snapshot was committed.
    store_time: Option<Timestamp>,
    /// What is dated, and how: some 40 bytes a snapshot.
    dates: Vec<Dated>,
    /// Snapshots that cannot be read.
    damaged: Vec<Damage>,
    /// Where the others who share the backup begin and end.
    met: Met,
}

impl Before {
    /// Who may add and not read knows no parent.
    async fn find(repository: &Repository, info: &SourceInfo, options: &BackupOptions) -> Result<Self> {
        // Processes on one machine that commit at the same moment would fork its chain.
        let writer = match options.shard {
            Some(shard) => repository.writer(&format!("{} shard {}", options.host, shard.number), &options.user),
            None => repository.writer(&options.host, &options.user),
        };
        if !repository.can_read() {
            let chain = Chain::stated(repository, writer).await?;
            return Ok(Self {
                parent: None,
                chain,
                store_time: None,
                dates: Vec::new(),
                damaged: Vec::new(),
                met: Met::default(),
            });
        }
        let snapshots = repository.snapshots().await?;
        let newest = parent(&snapshots, info, options);
        let dated = |handle: &SnapshotHandle| Some(Dated { snapshot: handle.snapshot.id, time: handle.time()? });
        Ok(Self {
            parent: match options.shard {
                Some(shard) => shard.parent(&snapshots, &info.identity, newest).cloned(),
                None => newest.cloned(),
            },
            met: options.shard.map(|shard| shard.met(&snapshots, &info.identity)).unwrap_or_default(),
            chain: Chain::new(writer, snapshots.everything()),
            store_time: snapshots.last_made(|_| true).and_then(|handle| handle.stored),
            dates: snapshots.whole.iter().filter_map(dated).collect(),
            damaged: snapshots.damaged.into_iter().map(|snapshot| snapshot.damage).collect(),
        })
    }
}

/// The newest snapshot of the source, else of what was backed up from the same location under another name: a fingerprint that is equal
/// there proves as much, and in a container the machine has another name at each run. Keys of buckets mean what their settings say, so
/// that this is for folders alone.
fn parent<'a>(snapshots: &'a Snapshots, info: &SourceInfo, options: &BackupOptions) -> Option<&'a SnapshotHandle> {
    let is_there = |handle: &SnapshotHandle| {
        let Snapshot { source, connector, .. } = &handle.snapshot;
        info.namespace == ability::TREE
            && source.namespace == info.namespace
            && source.location == options.location
            && connector.name == options.provenance.name
    };
    let own = snapshots.last_made(|handle| handle.snapshot.source.identity == info.identity);
    own.or_else(|| snapshots.last_made(is_there))
}

/// What is dated after now: the others by both clocks, the store's when it took the snapshot and this machine's, because one of the two may be
/// behind; the snapshot itself by this machine's.
fn ahead(mut dates: Vec<Dated>, made: Option<Dated>, here: Timestamp) -> Vec<Dated> {
    let is_after = |time: Timestamp, now: Timestamp| time.seconds.saturating_sub(now.seconds) > AHEAD_SECONDS;
    let later = made.map_or(here, |made| made.time.max(here));
    dates.retain(|dated| is_after(dated.time, later));
    dates.extend(made.filter(|made| is_after(made.time, here)));
    dates
}

fn is_other(parent: &SnapshotHandle, source: &SnapshotSource) -> bool {
    parent.snapshot.source.identity != source.identity
}

impl Session {
    /// Whether the parent was read by the same component.
    fn has_parent_of(&self, provenance: &Provenance) -> bool {
        self.parent().is_some_and(|parent| parent.snapshot.connector.digest == provenance.digest)
    }

    pub(crate) async fn begin(
        repository: &Repository,
        connector: &dyn Source,
        info: &SourceInfo,
        options: &BackupOptions,
        as_of_start: bool,
    ) -> Result<Self> {
        let started = repository.clock().now().wall;
        // In this order: whatever is committed first has its segments in the index, so that a parent can always be read.
        let looking = repository.glanced().await?;
        let mut before = Before::find(&looking, info, options).await?;
        let (index, mut damages) = looking.index_for_backup().await?;
        damages.append(&mut before.damaged);
        let index = Arc::new(index);
        let source = SnapshotSource {
            identity: info.identity.clone(),
            namespace: info.namespace.clone(),
            location: options.location.clone(),
            as_of: if as_of_start { now(connector, info, before.parent.as_ref(), options).await? } else { None },
            documents: documents(connector, before.parent.as_ref(), options).await?,
        };
        let mut whole = ScanOptions {
            as_of: source.as_of,
            excludes: options.excludes.fresh(),
            only: options.only.fresh(),
            markers: options.markers.clone(),
            one_file_system: options.one_file_system,
            racy_since: before.parent.as_ref().map(|parent| parent.snapshot.started),
            lean: info.has(ability::LEAN_SCAN) && !options.metadata_of_all,
            whole_seconds_are_racy: before.parent.as_ref().is_some_and(|parent| is_other(parent, &source)),
            ..ScanOptions::default()
        };
        let loader = repository.loader(Arc::clone(&index));
        let mut taken = None;
        if let Some(shard) = options.shard {
            let met = std::mem::take(&mut before.met);
            let range = shard.range((connector, info), &whole, (before.parent.as_ref(), &loader), met).await?;
            whole.start_after = range.after.as_ref().map(|after| after.as_bytes().to_vec());
            taken = Some((shard, range));
        }
        Ok(Self { loader, index, before, source, whole, shard: taken, started, listing: None, damages })
    }

    /// What the source is asked to list: all that is wanted, as of one time where it can.
    pub(crate) fn scan_options(&self) -> &ScanOptions {
        &self.whole
    }

    /// The keys of which the run takes care; all of them where no others share the backup.
    pub(crate) fn range(&self) -> Option<&KeyRange> {
        self.shard.as_ref().map(|(_, range)| range)
    }

    pub(crate) fn writer(&self) -> Hex<[u8; 16]> {
        self.before.chain.writer()
    }

    pub(crate) fn index(&self) -> &Arc<BlobIndex> {
        &self.index
    }

    pub(crate) fn loader(&self) -> &Arc<BlobLoader> {
        &self.loader
    }

    /// What of the repository cannot be read; the run does without.
    pub(crate) fn damages(&self) -> &[Damage] {
        &self.damages
    }

    pub(crate) fn parent(&self) -> Option<&SnapshotHandle> {
        self.before.parent.as_ref()
    }

    /// The source of another name that the parent is of.
    pub(crate) fn other_source(&self) -> Option<OtherSource> {
        let Snapshot { source, host, .. } = &self.parent().filter(|parent| is_other(parent, &self.source))?.snapshot;
        let instead = self.source.identity.clone();
        Some(OtherSource { identity: source.identity.clone(), host: host.clone(), instead })
    }

    /// Notes what is known of the order of the listing, for the snapshot.
    pub(crate) fn note_order(&mut self, listing: Option<OrderedListing>) {
        self.listing = listing;
    }

    /// The patterns that nothing of what was listed has matched.
    pub(crate) fn unmatched(&self) -> Vec<String> {
        self.whole.excludes.unmatched().map(ToString::to_string).collect()
    }

    /// The snapshot that holds just this tree, where no other is to be made of it. Where anything failed, or the repository is damaged, one is made: it
    /// says so, or mends.
    pub(crate) fn unchanged_since(&self, grown: &Grown, options: &BackupOptions) -> Option<SnapshotId> {
        let parent = &self.parent().filter(|_| options.skip_unchanged && options.shard.is_none())?.snapshot;
        let is_same = parent.tree == grown.root
            && parent.source.identity == self.source.identity
            && parent.source.documents == self.source.documents;
        let is_sound = grown.counts.errors == 0 && parent.statistics.errors == 0 && self.damages.is_empty();
        (is_same && is_sound).then_some(parent.id)
    }

    /// What a run tells of what it read, before anything is committed.
    pub(crate) fn report(&self, dedup: &Deduplicator, counts: &Counts, options: &BackupOptions) -> BackupReport {
        BackupReport {
            source: options.location.clone(),
            entries: counts.entries,
            read: counts.read,
            unchanged: counts.files.saturating_sub(counts.read + counts.unread),
            errors: counts.errors,
            changed: counts.changed,
            referenced: counts.referenced,
            too_large: counts.too_large,
            unmatched: self.unmatched(),
            bytes_read: counts.bytes_read,
            bytes_added: dedup.record().bytes_added(),
            compared_with: self.other_source(),
            part: options.shard,
            damages: self.damages.clone(),
            ..BackupReport::default()
        }
    }

    pub(crate) async fn commit(
        mut self,
        repository: &Repository,
        dedup: &Arc<Deduplicator>,
        grown: Grown,
        options: &BackupOptions,
        run: &RunContext,
    ) -> Result<BackupReport> {
        let id = SnapshotId::new(random_id()?);
        let report = self.report(dedup, &grown.counts, options);
        let mut chain = self.before.chain.clone();
        let dates = std::mem::take(&mut self.before.dates);
        // A parent that was read by the same component was committed behind it.
        let is_kept = self.has_parent_of(&options.provenance);
        let connector = options.component.as_deref().map(|connector| (connector, is_kept));
        let signing_key = options.signing_key.clone();
        let draft =
            Draft { id, chain: &mut chain, signing_key, connector, adopted: None, is_carried: false, stop: &run.stop };
        let make = |usage: &Usage, added, link| {
            self.snapshot(usage, &grown, options, (id, link, repository.clock().now().wall), added)
        };
        let Committed { stored, intents_left } = write::commit(repository, dedup, draft, make).await?;
        run.events.on(Event::Committed { snapshot: id });
        let ahead = ahead(dates, stored.map(|time| Dated { snapshot: id, time }), repository.clock().now().wall);
        let bytes_added = dedup.record().bytes_added();
        Ok(BackupReport { snapshot: Some(id), bytes_added, intents_left, ahead, ..report })
    }

    fn snapshot(
        self,
        usage: &Usage,
        grown: &Grown,
        options: &BackupOptions,
        (id, link, finished): (SnapshotId, ChainLink, Timestamp),
        bytes_added: u64,
    ) -> Result<Snapshot> {
        let counts = &grown.counts;
        let Before { parent, store_time, .. } = self.before;
        Ok(Snapshot {
            id,
            source: self.source,
            connector: options.provenance.clone(),
            host: options.host_as.as_ref().unwrap_or(&options.host).clone(),
            user: options.user.clone(),
            tags: options.tags.clone(),
            excluded: options.excludes.texts().map(ToString::to_string).collect(),
            started: self.started,
            finished,
            store_time,
            parent: parent.map(|handle| handle.snapshot.id),
            writer: link.writer,
            sequence: link.sequence,
            previous: link.previous,
            signer: None,
            origin: None,
            replaces: None,
            part: self.shard.as_ref().map(|(shard, range)| shard.part(range)),
            tree: grown.root,
            usage: usage.digest()?,
            packs: PacksRelied::of(usage),
            statistics: Statistics {
                entries: counts.entries,
                files: counts.files,
                directories: counts.directories,
                bytes: counts.bytes,
                bytes_read: counts.bytes_read,
                bytes_added,
                errors: counts.errors,
            },
            listing: self.listing,
            problems_unlisted: counts.errors - counts.problems.len() as u64,
            problems: counts.problems.clone(),
        })
    }
}

/// The source's clock, if it keeps history. That rarely begins: where the run before found none, it is only asked for with all metadata.
async fn now(
    source: &dyn Source,
    info: &SourceInfo,
    parent: Option<&SnapshotHandle>,
    options: &BackupOptions,
) -> Result<Option<Timestamp>> {
    let had_none = parent.is_some_and(|parent| parent.snapshot.source.as_of.is_none());
    if had_none && !options.metadata_of_all && !info.has(ability::HISTORY) {
        return Ok(None);
    }
    source.now().await.map_err(Error::source("asking the source for its time"))
}

/// What is configured for the source as a whole. It changes rarely and costs a request each: an unchanged run takes it over from
/// its parent, unless all metadata is to be read again or a document could not be read then.
async fn documents(
    source: &dyn Source,
    parent: Option<&SnapshotHandle>,
    options: &BackupOptions,
) -> Result<Vec<SourceDocument>> {
    if options.dry_run {
        return Ok(Vec::new());
    }
    let known = parent.map(|parent| &parent.snapshot.source.documents).filter(|_| !options.metadata_of_all);
    if let Some(known) = known.filter(|known| known.iter().all(|document| document.error.is_none())) {
        return Ok(known.clone());
    }
    let reported = source.documents().await.map_err(Error::source("reading what is configured for the source"))?;
    let mut room = DOCUMENTS_BYTES_MAX;
    let kept = reported.into_iter().map(|document| {
        let content = document.content.map_err(|cause| cause.message).and_then(|text| {
            room = room
                .checked_sub(text.len())
                .ok_or_else(|| format!("a snapshot has room for {DOCUMENTS_BYTES_MAX} bytes of documents"))?;
            Ok(text)
        });
        let (text, error) = match content {
            Ok(text) => (Some(text), None),
            Err(why) => (None, Some(why)),
        };
        SourceDocument { name: document.name, text, error }
    });
    Ok(kept.collect())
}
