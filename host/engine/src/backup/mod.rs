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
mod ranges;
mod scan;
mod session;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use credenza_connect::{ErrorClass, Patterns, Source, SourceInfo};
use credenza_format::{Chunker, Provenance, SigningKey};
use credenza_model::{SnapshotId, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use crate::listing::SortedScan;
use crate::repository::{Repository, SnapshotHandle};
use crate::walk::Records;
use crate::write::Deduplicator;
use crate::{Damage, Error, Event, Listener, Phase, Result, RunContext};
use join::{Ending, Join, Parent, Step};
use load::{Loaded, Loader, Planned, REQUESTS_IN_FLIGHT};
use pipeline::ChunkPipeline;
use scan::{Scan, Trusted};
use session::Session;
use tree::Tree;

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
    /// Stay on the file system of the source's root.
    pub one_file_system: bool,
    /// Read every content anew, whatever the listing says of it.
    pub reread: bool,
    /// Read what is said of unchanged entries anew (tags, user metadata): some of it changes without a trace in the listing.
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
    /// zstd level; `None` takes the repository's.
    pub compression: Option<i32>,
    /// What the writer signs the snapshot with; `None` leaves it unsigned.
    pub signing_key: Option<SigningKey>,
}

/// What a backup did.
#[derive(Debug, Clone, Default)]
pub struct BackupReport {
    /// The snapshot; `None` after a dry run.
    pub snapshot: Option<SnapshotId>,
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
    /// Content bytes read from the source.
    pub bytes_read: u64,
    /// Bytes added to the repository.
    pub bytes_added: u64,
    /// Records of what the run relied on that the store did not let it delete; collectors clear them away when they have expired.
    pub intents_left: u64,
    /// What of the repository cannot be read. The snapshot is whole without it; earlier ones may not be.
    pub damages: Vec<Damage>,
    /// Snapshots that are dated more than [`AHEAD_SECONDS`](crate::AHEAD_SECONDS) after now: those that were there, by the store's clock and by this
    /// machine's; and the one that was made, by this machine's.
    pub ahead: Vec<Dated>,
    /// The source of another name whose snapshot unchanged entries were taken from: this one has none of its own yet.
    pub compared_with: Option<OtherSource>,
}

/// A snapshot and its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// Which.
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

/// Backs up a source. A run from under which a collector took chunks begins anew: it finds what it has uploaded, and reads again
/// only what is gone.
///
/// # Errors
/// Any failure that keeps the snapshot from being whole; entries that cannot be read are counted and recorded instead. Nothing is committed on error.
pub async fn run(
    repository: &Repository,
    source: Arc<dyn Source>,
    options: &BackupOptions,
    run: &RunContext,
) -> Result<BackupReport> {
    let listener = &*run.events;
    match attempt(repository, Arc::clone(&source), options, true, listener).await {
        Err(Error::Conflict { .. }) => attempt(repository, source, options, true, listener).await,
        // What was there at a time cannot be told by every server that keeps versions; what is there now it can.
        Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Unsupported => {
            attempt(repository, source, options, false, listener).await
        }
        done => done,
    }
}

async fn attempt(
    repository: &Repository,
    source: Arc<dyn Source>,
    options: &BackupOptions,
    as_of_start: bool,
    listener: &dyn Listener,
) -> Result<BackupReport> {
    listener.on(Event::Phase(Phase::Opening));
    let mut info = source.info().await.map_err(Error::connector("opening the source"))?;
    info.identity = options.source_as.clone().unwrap_or(info.identity);
    let session = Session::begin(repository, &*source, &info, options, as_of_start).await?;
    session.damages().iter().for_each(|damage| listener.on(Event::Damage(damage.clone())));
    if let Some(parent) = session.parent() {
        listener.on(Event::Expected {
            entries: parent.snapshot.statistics.entries,
            bytes: parent.snapshot.statistics.bytes,
        });
    }
    listener.on(Event::Phase(Phase::Reading));
    if options.dry_run {
        return dry_run(&session, &*source, &info, options).await;
    }
    let line = Line::new(repository, &session, Arc::clone(&source), &info, options, listener).await?;
    let dedup = Arc::clone(&line.dedup);
    let done = record(repository, session, line, (source, &info), options, listener).await;
    if done.is_err() {
        // Nothing of this run is at work when another begins.
        dedup.packs().abandon().await;
    }
    done
}

/// Reads the source and commits what was read.
async fn record(
    repository: &Repository,
    mut session: Session,
    mut line: Line<'_>,
    (source, info): (Arc<dyn Source>, &SourceInfo),
    options: &BackupOptions,
    listener: &dyn Listener,
) -> Result<BackupReport> {
    let parents = parents(&session, options);
    let trusted = Trusted::find(session.parent(), info, &options.provenance);
    let whole = session.scan_options();
    let Scan { scanner, if_ordered } = Scan::begin(&source, info, whole, trusted.as_ref(), parents.first()).await?;
    let join = Join::new(scanner, info, parents, options.excludes.clone(), Some(Arc::clone(&line.dedup)))
        .refreshing(options.metadata_of_all);
    match line.run(join).await? {
        Ending::Ascending => session.note_order(if_ordered),
        Ending::Repeating => {}
        Ending::OutOfOrder => {
            line = line.again_sorted(repository, &session, &*source, info, options).await?;
        }
    }
    listener.on(Event::Phase(Phase::Committing));
    let tree = line.tree.finish().await?;
    session.commit(repository, &line.dedup, tree, options, listener).await
}

/// What unchanged entries are taken from: nothing when all is to be read anew.
fn parents(session: &Session, options: &BackupOptions) -> Vec<Parent> {
    let records =
        |handle: &SnapshotHandle| Records::new(Arc::clone(session.loader()), &handle.snapshot.tree, Vec::new());
    let parent = session.parent().filter(|_| !options.reread);
    parent.map(|handle| Parent::new(records(handle), Arc::clone(session.loader()))).into_iter().collect()
}

async fn dry_run(
    session: &Session,
    source: &dyn Source,
    info: &SourceInfo,
    options: &BackupOptions,
) -> Result<BackupReport> {
    let scan = SortedScan::collect(source, session.scan_options()).await?;
    let mut join = Join::new(Box::new(scan), info, parents(session, options), options.excludes.clone(), None);
    let (damages, compared_with) = (session.damages().to_vec(), session.other_source());
    let mut report = BackupReport { damages, compared_with, ..BackupReport::default() };
    while let Step::Batch(batch) = join.next().await? {
        for planned in batch {
            match planned {
                Planned::Keep(_) | Planned::Refresh { .. } => report.unchanged += 1,
                Planned::Skipped(_) => report.errors += 1,
                Planned::Read(entry) => {
                    report.read += 1;
                    report.bytes_read += entry.size.unwrap_or(0);
                }
            }
        }
    }
    report.entries = report.unchanged + report.read;
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
        listener: &'a dyn Listener,
    ) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let local = info.has("local");
        let dedup = Deduplicator::begin(repository, Arc::clone(session.index()), session.writer()).await?;
        let loader = Arc::new(Loader::new(source, info, repository.clock()));
        let chunker = Chunker::new(&repository.keys().gear(), repository.config().chunker.params);
        let level = options.compression.unwrap_or(repository.config().compression_level);
        let pipeline = ChunkPipeline::new(Arc::clone(&dedup), Arc::clone(&loader), chunker, level, cores);
        // A local file keeps a core busy; a remote one mostly waits.
        let mills_in_flight = if local { cores + 1 } else { cores + 6 };
        let tree = Tree::new(Arc::clone(&dedup), level, listener, loader.liveness().row());
        Ok(Self { loader, pipeline, tree, dedup, mills_in_flight })
    }

    /// Runs the stages until the listing ends.
    async fn run(&mut self, join: Join) -> Result<Ending> {
        let ended = std::cell::Cell::new(Ending::Ascending);
        let loader = &self.loader;
        let planned = futures_util::stream::try_unfold(join, |mut join| {
            let ended = &ended;
            async move {
                match join.next().await? {
                    // No sign that the source answers: it may have been listed long before.
                    Step::Batch(batch) => Ok(Some((batch, join))),
                    Step::End(ending) => {
                        ended.set(ending);
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
        Ok(ended.get())
    }

    /// Begins anew with a sorted listing; what was read so far is taken over from the part of the tree that exists.
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
            let partial = repository.loader(Arc::new(repository.load_index().await?));
            all.push(Parent::new(Records::new(Arc::clone(&partial), &tree, Vec::new()), partial));
        }
        all.extend(parents(session, options));
        let join = Join::new(Box::new(scan), info, all, options.excludes.clone(), Some(Arc::clone(&self.dedup)))
            .refreshing(options.metadata_of_all);
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
