//! Backup: a snapshot of a source, as one line of stages with bounded queues.
//!
//! ```text
//! scan > join > load > pipeline > tree      entries, in key order from end to end
//!                        \     \
//!                         write (dedup: seal, pack, upload; commit)
//! ```
//!
//! Owned here: the line. Refused here: what a stage does. Called by `cli`.

mod exclude;
mod join;
mod load;
mod pipeline;
mod prefixes;
mod ranges;
mod scan;
mod session;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(test)]
mod wanted_tests;

use std::sync::Arc;

use credenza_connect::{
    Batches, ErrorClass, Found, Marker, Patterns, ScanOptions, Scanner, Selection, Source, SourceInfo, ability,
};
use credenza_format::{Chunker, EscrowedConnector, NO_COMPRESSION, Provenance, SigningKey};
use credenza_model::{Entry, EntryKind, SkippedEntry, SnapshotId, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use crate::listing::{PAGE_ENTRIES, SortedScan};
use crate::repository::{Repository, SnapshotHandle};
use crate::shards::{Shard, Within};
use crate::walk::Records;
use crate::write::Deduplicator;
use crate::{Damage, Error, Event, Listener, Phase, Result, RunContext, json, task};
use exclude::Sieve;
use join::{Ending, Join, Parent, Step};
use load::{Loaded, Loader, Planned, REQUESTS_IN_FLIGHT};
use pipeline::ChunkPipeline;
use scan::{Scan, Trusted};
use session::Session;
use tree::{Grown, Tree};

/// Entries dealt to a thread at once, unless their contents weigh [`pipeline::GROUP_BYTES`] before.
const BATCH_ENTRIES: usize = 128;

/// What to back up, and how.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// The location as the user wrote it, kept in the snapshot.
    pub location: String,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// What to leave out.
    pub excludes: Patterns,
    /// What alone to back up, with the folders above. What is listed and not found is recorded as an error.
    pub only: Selection,
    /// What keeps the rest of the folder that it lies in out, where there are folders.
    pub markers: Vec<Marker>,
    /// Files of more bytes are left out; one of a size that only its read tells is not.
    pub size_max: Option<u64>,
    /// Make no snapshot where it would hold exactly what the one before holds, and nothing failed in either.
    pub skip_unchanged: bool,
    /// Take the keys of one of the processes that share the backup, and make a part instead of a snapshot; only of what can be listed from a key on.
    pub shard: Option<Shard>,
    /// Stay on the file system of the source's root.
    pub one_file_system: bool,
    /// Read every content again, whatever the listing says of it.
    pub reread: bool,
    /// Read what is said of unchanged entries again (tags, user metadata): some of it changes without a trace in the listing.
    pub metadata_of_all: bool,
    /// Only say what would be read.
    pub dry_run: bool,
    /// Name of this machine.
    pub host: String,
    /// The name of a machine to record instead. Who commits is still told by the true one: two machines of one name would fork a chain.
    pub host_as: Option<String>,
    /// What the source is called instead of the identity that its connector gives, so that its history goes on elsewhere.
    pub source_as: Option<String>,
    /// Name of the user.
    pub user: String,
    /// Which connector reads: name, version, digest, grant.
    pub provenance: Provenance,
    /// The component that reads, to be kept in the repository; a built-in connector has none.
    pub component: Option<Arc<EscrowedConnector>>,
    /// zstd level; `None` takes the repository's.
    pub compression: Option<i32>,
    /// What the writer signs the snapshot with; `None` leaves it unsigned.
    pub signing_key: Option<SigningKey>,
}

/// What a backup did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct BackupReport {
    /// The snapshot; `None` after a dry run, or where nothing had changed.
    pub snapshot: Option<SnapshotId>,
    /// The snapshot that holds exactly what is there now, where none was to be made then.
    pub unchanged_since: Option<SnapshotId>,
    /// Which part of a backup it is that many processes share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Shard>,
    /// The source, as the user wrote its location.
    pub source: String,
    /// Entries in the snapshot.
    pub entries: u64,
    /// Entries whose content was read, or would have been.
    pub read: u64,
    /// Entries taken over from the parent.
    pub unchanged: u64,
    /// Entries that could not be read or described, or not at one moment.
    pub errors: u64,
    /// Of those, entries that were written to each time that they were read: what is kept of them may be of more than one moment.
    pub changed: u64,
    /// Entries recorded without their content, as the user wishes.
    pub referenced: u64,
    /// Files left out because of their size.
    pub too_large: u64,
    /// Patterns of what to leave out, as they were written, that no entry matched. What lies in a folder that another leaves out is not looked at.
    #[serde(rename = "patterns_unmatched")]
    pub unmatched: Vec<String>,
    /// Content bytes read from the source.
    pub bytes_read: u64,
    /// Bytes added to the repository.
    pub bytes_added: u64,
    /// Records of what the run relied on that the store did not let it delete; collectors clear them away when they have expired.
    pub intents_left: u64,
    /// What of the repository cannot be read. The snapshot is whole without it; earlier ones may not be.
    #[serde(serialize_with = "json::count")]
    pub damages: Vec<Damage>,
    /// Snapshots that are dated more than [`AHEAD_SECONDS`](crate::AHEAD_SECONDS) after now: those that were there, by the store's clock and by this
    /// machine's; and the one that was made, by this machine's.
    pub ahead: Vec<Dated>,
    /// The source of another name whose snapshot unchanged entries were taken from: this one has none of its own yet. No part of the data.
    #[serde(skip)]
    pub compared_with: Option<OtherSource>,
}

impl BackupReport {
    /// Of a run that made none, because all was as it is in this one.
    fn without_snapshot(self, unchanged_since: SnapshotId) -> Self {
        Self { snapshot: None, unchanged_since: Some(unchanged_since), ..self }
    }
}

/// A snapshot and its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Dated {
    /// Which.
    #[serde(rename = "id")]
    pub snapshot: SnapshotId,
    /// When it was made, by the clock of the store at that time.
    pub time: Timestamp,
}

/// A source that was backed up from the same location under another name, as from a machine that was called otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSource {
    /// Its identity.
    pub identity: String,
    /// The machine that its newest snapshot names.
    pub host: String,
    /// The identity that this run goes by instead.
    pub instead: String,
}

/// Backs up a source. A run from under which a collector took chunks begins again: it finds what it has uploaded, and reads again
/// only what is gone.
///
/// # Errors
/// Any failure that keeps the snapshot from being whole ([`Error::is_of_source`] tells whose); entries that cannot be read are counted and recorded instead. Nothing is committed on error,
/// and what was uploaded by then is found by the next run ([`Event::Kept`]). [`Error::Cancelled`] when it was to stop, unless the snapshot was on its way.
pub async fn run(
    repository: &Repository,
    source: Arc<dyn Source>,
    options: &BackupOptions,
    run: &RunContext,
) -> Result<BackupReport> {
    repository.require_primary("backing up")?;
    let _heeding = run.stop.heeding();
    match attempt(repository, Arc::clone(&source), options, true, run).await {
        // What can be read once only is gone by now.
        Err(conflict @ Error::Conflict { .. }) if is_read_once(&*source).await => Err(conflict),
        Err(Error::Conflict { .. }) => attempt(repository, source, options, true, run).await,
        // What was there at a time cannot be reported by every server that keeps versions; what is there now it can.
        Err(Error::Source { cause, .. }) if cause.class == ErrorClass::Unsupported => {
            attempt(repository, source, options, false, run).await
        }
        done => done,
    }
}

async fn is_read_once(source: &dyn Source) -> bool {
    source.info().await.is_ok_and(|info| info.has(ability::ONCE))
}

async fn attempt(
    repository: &Repository,
    source: Arc<dyn Source>,
    options: &BackupOptions,
    as_of_start: bool,
    run: &RunContext,
) -> Result<BackupReport> {
    let listener = &*run.events;
    listener.on(Event::Phase { phase: Phase::Opening });
    let info = run.stop.unless(source.info()).await?;
    let mut info = info.map_err(Error::source("opening the source"))?;
    info.identity = options.source_as.clone().unwrap_or(info.identity);
    let session = Session::begin(repository, &*source, &info, options, as_of_start);
    let session = run.stop.unless(Box::pin(session)).await??;
    session.damages().iter().for_each(|damage| listener.on(Event::Damage(damage.clone())));
    if let Some(parent) = session.parent() {
        listener.on(Event::Expected {
            entries: parent.snapshot.statistics.entries,
            bytes: parent.snapshot.statistics.bytes,
        });
    }
    listener.on(Event::Phase { phase: Phase::Reading });
    if options.dry_run {
        return run.stop.unless(Box::pin(dry_run(&session, &*source, &info, options, listener))).await?;
    }
    run.stop.check()?;
    // Nothing tells what there is: a local source is counted while it is read, if anybody wants to know. Any other pays for a listing.
    let counts = session.parent().is_none() && info.has(ability::LOCAL) && listener.shows_progress();
    let counting = (Arc::clone(&source), session.scan_options().clone(), options.size_max, Arc::clone(&run.events));
    let _counting = counts.then(|| task::spawn(count(counting)));
    let line = Line::new(repository, &session, Arc::clone(&source), &info, options, &run.events).await?;
    let dedup = Arc::clone(&line.dedup);
    let done = Box::pin(record(repository, session, line, (source, &info), options, run)).await;
    if let Err(cause) = &done
        && let Some(bytes) = dedup.end_early().await
        // Where it begins again, it has not ended.
        && !matches!(cause, Error::Conflict { .. })
    {
        listener.on(Event::Kept { bytes });
    }
    done
}

/// Tells how much a source holds. One that cannot be listed is reported about by whoever reads it.
async fn count((source, options, size_max, events): (Arc<dyn Source>, ScanOptions, Option<u64>, Arc<dyn Listener>)) {
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    let Ok(scanner) = source.scan(&options).await else { return };
    let mut batches = Batches::new(scanner);
    loop {
        match batches.next(PAGE_ENTRIES).await {
            Ok(Some(page)) => {
                for found in page {
                    match found {
                        Found::Entry(entry) if is_too_large(&entry, size_max) => continue,
                        Found::Entry(entry) => bytes = bytes.saturating_add(entry.size.unwrap_or(0)),
                        Found::Skipped(_) => {}
                    }
                    entries = entries.saturating_add(1);
                }
            }
            Ok(None) => return events.on(Event::Expected { entries, bytes }),
            Err(_) => return,
        }
    }
}

/// Whether a file has more bytes than are wanted.
fn is_too_large(entry: &Entry, size_max: Option<u64>) -> bool {
    let size = entry.size.filter(|_| entry.kind == EntryKind::File);
    size.zip(size_max).is_some_and(|(size, max)| size > max)
}

/// Reads the source and commits what was read, unless it is what the snapshot before holds and that is not to be said twice.
async fn record(
    repository: &Repository,
    mut session: Session,
    line: Line<'_>,
    (source, info): (Arc<dyn Source>, &SourceInfo),
    options: &BackupOptions,
    run: &RunContext,
) -> Result<BackupReport> {
    let dedup = Arc::clone(&line.dedup);
    let reading = Box::pin(read(repository, &mut session, line, (source, info), options));
    let tree = run.stop.unless(dedup.packs().describing(reading)).await??;
    if let Some(before) = session.unchanged_since(&tree, options) {
        dedup.end_early().await;
        return Ok(session.report(&dedup, &tree.counts, options).without_snapshot(before));
    }
    run.events.on(Event::Phase { phase: Phase::Committing });
    session.commit(repository, &dedup, tree, options, run).await
}

/// Reads the source into the packs and the tree. Dropped, it leaves what was given to the packs there.
async fn read(
    repository: &Repository,
    session: &mut Session,
    mut line: Line<'_>,
    (source, info): (Arc<dyn Source>, &SourceInfo),
    options: &BackupOptions,
) -> Result<Grown> {
    let parents = parents(session, options);
    let trusted = Trusted::find(session.parent(), info, &options.provenance);
    let whole = session.scan_options();
    let begun = match session.range() {
        Some(range) => Scan::within(&source, whole, range.clone()).await,
        None => Scan::begin(&source, info, whole, trusted.as_ref(), parents.first()).await,
    };
    let Scan { scanner, if_ordered } = begun?;
    let sieve = Sieve::new(whole, options.size_max);
    let join = Join::new(scanner, info, parents, sieve, Some(Arc::clone(&line.dedup)))
        .refreshing(options.metadata_of_all)
        .lean(whole.lean);
    match line.run(join).await? {
        Ending::Ascending => session.note_order(if_ordered),
        Ending::Repeating => {}
        Ending::OutOfOrder if session.range().is_some() => {
            let reason = "its listing does not tell keys in the order of their bytes".to_owned();
            return Err(Error::Unshardable { source_name: info.identity.clone(), reason });
        }
        Ending::OutOfOrder => {
            line = line.again_sorted(repository, session, &*source, info, options).await?;
        }
    }
    line.tree.finish().await
}

/// What unchanged entries are taken from: nothing when all is to be read again.
fn parents(session: &Session, options: &BackupOptions) -> Vec<Parent> {
    let records = |handle: &SnapshotHandle| {
        let (loader, tree) = (Arc::clone(session.loader()), &handle.snapshot.tree);
        match session.range() {
            Some(range) => Records::within(loader, tree, range.after.as_ref(), range.until.as_ref()),
            None => Records::new(loader, tree, Vec::new()),
        }
    };
    let parent = session.parent().filter(|_| !options.reread);
    parent.map(|handle| Parent::new(records(handle), Arc::clone(session.loader()))).into_iter().collect()
}

async fn dry_run(
    session: &Session,
    source: &dyn Source,
    info: &SourceInfo,
    options: &BackupOptions,
    listener: &dyn Listener,
) -> Result<BackupReport> {
    let whole = session.scan_options();
    let scanner: Box<dyn Scanner> = match session.range() {
        Some(range) => {
            let inner = source.scan(whole).await.map_err(Error::source("listing the source"))?;
            Box::new(Within::new(inner, range.clone()))
        }
        None => Box::new(SortedScan::collect(source, whole).await?),
    };
    let sieve = Sieve::new(whole, options.size_max);
    let mut join = Join::new(scanner, info, parents(session, options), sieve, None);
    let (damages, compared_with) = (session.damages().to_vec(), session.other_source());
    let source = options.location.clone();
    let part = options.shard;
    let mut report = BackupReport { source, part, damages, compared_with, ..BackupReport::default() };
    while let Step::Batch(batch) = join.next().await? {
        for planned in batch {
            match planned {
                Planned::Keep(_) | Planned::Refresh { .. } => report.unchanged += 1,
                Planned::Skipped(SkippedEntry { key, reason }) => {
                    report.errors += 1;
                    listener.on(Event::EntryFailed { key, reason });
                }
                Planned::Read(entry) => {
                    report.read += 1;
                    report.bytes_read += entry.size.unwrap_or(0);
                }
            }
        }
    }
    report.entries = report.unchanged + report.read;
    report.too_large = join.too_large();
    report.unmatched = session.unmatched();
    Ok(report)
}

/// The stages of one run, from the listing to the tree.
struct Line<'a> {
    loader: Arc<Loader>,
    pipeline: Arc<ChunkPipeline>,
    dedup: Arc<Deduplicator>,
    tree: Tree<'a>,
    mills_in_flight: usize,
}

impl<'a> Line<'a> {
    async fn new(
        repository: &Repository,
        session: &Session,
        source: Arc<dyn Source>,
        info: &SourceInfo,
        options: &BackupOptions,
        events: &'a Arc<dyn Listener>,
    ) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let local = info.has(ability::LOCAL);
        let dedup = Deduplicator::begin(repository, Arc::clone(session.index()), session.writer()).await?;
        let loader = Arc::new(Loader::new(source, info, repository.clock()));
        let chunker = Chunker::new(&repository.keys().gear(), repository.config().chunker.params);
        let level = options.compression.unwrap_or(repository.config().compression_level);
        // What is not to be compressed are contents; trees shrink by most of their size.
        let tree_level = if level == NO_COMPRESSION { repository.config().compression_level } else { level };
        let threads = (cores, Arc::clone(events));
        let pipeline = ChunkPipeline::new(Arc::clone(&dedup), Arc::clone(&loader), chunker, level, threads);
        // A local file keeps a core busy; a remote one mostly waits.
        let mills_in_flight = if local { cores + 1 } else { cores + 6 };
        let tree = Tree::new(Arc::clone(&dedup), tree_level, &**events, loader.liveness().row());
        Ok(Self { loader, pipeline, tree, dedup, mills_in_flight })
    }

    /// Runs the stages until the listing ends.
    async fn run(&mut self, join: Join) -> Result<Ending> {
        let (ended, too_large) = (std::cell::Cell::new(Ending::Ascending), std::cell::Cell::new(0));
        let loader = &self.loader;
        let planned = futures_util::stream::try_unfold(join, |mut join| {
            let (ended, too_large) = (&ended, &too_large);
            async move {
                match join.next().await? {
                    // No sign that the source answers: it may have been listed long before.
                    Step::Batch(batch) => Ok(Some((batch, join))),
                    Step::End(ending) => {
                        ended.set(ending);
                        too_large.set(join.too_large());
                        Ok::<_, Error>(None)
                    }
                }
            }
        });
        let pipeline = &self.pipeline;
        let loaded = planned.map_ok(|batch| futures_util::stream::iter(batch.into_iter().map(Ok))).try_flatten();
        let loaded =
            loaded.map(|planned: Result<Planned>| async { loader.load(planned?).await }).buffered(REQUESTS_IN_FLIGHT);
        let chunked = batches(loaded)
            .map(|batch: Result<Vec<Loaded>>| async { Arc::clone(pipeline).work(batch?).await })
            .buffered(self.mills_in_flight);
        let mut chunked = std::pin::pin!(chunked);
        while let Some(batch) = chunked.next().await {
            self.tree.grow(batch?).await?;
        }
        self.tree.left_out(too_large.get());
        Ok(ended.get())
    }

    /// Begins again with a sorted listing; what was read so far is taken over from the part of the tree that exists.
    async fn again_sorted(
        self,
        repository: &Repository,
        session: &Session,
        source: &dyn Source,
        info: &SourceInfo,
        options: &BackupOptions,
    ) -> Result<Self> {
        let (tree, fresh) = self.tree.restart().await?;
        self.dedup.flush().await?;
        let scan = SortedScan::collect(source, session.scan_options()).await?;
        let mut all = Vec::new();
        // Who may add and not read cannot take over what they wrote: it is read again, and deduplicated.
        if repository.can_read() {
            let partial = repository.loader(Arc::new(repository.index_for_writing().await?));
            all.push(Parent::new(Records::new(Arc::clone(&partial), &tree, Vec::new()), partial));
        }
        all.extend(parents(session, options));
        let sieve = Sieve::new(session.scan_options(), options.size_max);
        let join = Join::new(Box::new(scan), info, all, sieve, Some(Arc::clone(&self.dedup)))
            .refreshing(options.metadata_of_all)
            .lean(session.scan_options().lean);
        let mut line = Self { tree: fresh, ..self };
        if line.run(join).await? == Ending::OutOfOrder {
            return Err(Error::Contract { what: "its listing repeats keys in a way that cannot be sorted".to_owned() });
        }
        Ok(line)
    }
}

/// Groups what flows by into batches worth a thread's while, without waiting for more than has arrived in order. What is too large to
/// be read whole makes a batch of its own.
fn batches(
    loaded: impl futures_util::Stream<Item = Result<Loaded>>,
) -> impl futures_util::Stream<Item = Result<Vec<Loaded>>> {
    struct State<S> {
        input: std::pin::Pin<Box<S>>,
        held: Option<Loaded>,
    }
    let state = State { input: Box::pin(loaded), held: None };
    futures_util::stream::try_unfold(state, |mut state| async move {
        let mut batch = Vec::new();
        let mut weight = 0_u64;
        while batch.len() < BATCH_ENTRIES && weight < pipeline::GROUP_BYTES as u64 {
            let next = match state.held.take() {
                Some(held) => held,
                None => match state.input.try_next().await? {
                    Some(next) => next,
                    None => break,
                },
            };
            let is_large = next.weight() > load::SMALL_BYTES_MAX;
            if is_large && !batch.is_empty() {
                state.held = Some(next);
                break;
            }
            weight = weight.saturating_add(next.weight());
            batch.push(next);
            if is_large {
                break;
            }
        }
        Ok((!batch.is_empty()).then_some((batch, state)))
    })
}
