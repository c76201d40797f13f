//! Sync: snapshots carried from one repository, the origin, to another, the target.
//!
//! ```text
//! alike      usage list of the snapshot > chunks that the target lacks > ranges in pack order > verify > keep as stored
//! otherwise  records > join with an ancestor that both have > fetch > re-key > tree
//! both       packs > index > intent, recheck > usage > snapshot, as in every run that writes (`write`); of several snapshots that bring little together (`group`)
//! ```
//!
//! Several processes carry the same snapshots together (`shared`) where the repositories are alike.
//!
//! Owned here: which snapshots are carried, in which order, and what becomes of one that is damaged. Refused here: the
//! protocol of committing (`write`). Called by `cli`.
//!
//! A run that ends early, however it ends, has carried whole snapshots only; the next finds their ids, and what was
//! uploaded and described of others by their chunks. Two runs that carry the same snapshot to the same target at the same
//! moment store its chunks twice, and only one of them commits it.
//!
//! Bound: the indexes of both sides, what `alike`, `group` and `rekey` state, and the root of each snapshot of the target.

mod alike;
mod ancestor;
mod commit;
mod group;
mod index;
mod rekey;
mod shared;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use credenza_format::{Digest, EscrowedConnector, ObjectKind, SigningKey, TreeRoot};
use credenza_model::{ObjectId, SnapshotId};

use crate::blobs::BlobLoader;
use crate::findings::{Finding, Findings};
use crate::flags::{self, Flags};
use crate::replica::{self, KeepOptions, KeptHeads, Retreat, Role};
use crate::repository::{Chain, Repository, SnapshotHandle, SnapshotName, Snapshots, list};
use crate::share::Share;
use crate::tags::{self, TagEdits};
use crate::write::Deduplicator;
use crate::{Damage, Error, Event, Phase, Result, RunContext, json};
use ancestor::Ancestor;
use index::TargetIndex;

/// Which snapshots to carry, and what is allowed.
#[derive(Debug, Clone, Default)]
pub struct SyncOptions {
    /// Those meant; none for all.
    pub snapshots: Vec<SnapshotName>,
    /// Carry snapshots of an encrypted repository to one in plain text.
    pub allow_plaintext: bool,
    /// Name of this machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// What whoever syncs signs with at the target; `None` leaves the snapshots there unsigned.
    pub signing_key: Option<SigningKey>,
    /// Which are carried first.
    pub order: Order,
    /// Only what this one of several processes takes, of packs of the origin; everything without. Whoever finds all there commits.
    pub share: Option<Share>,
}

/// In which order snapshots are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As they were made: the chain at the target is as that at the origin.
    #[default]
    OldestFirst,
    /// The newest first, which is what one needs after a loss; then the others behind it.
    NewestFirst,
}

/// What a sync did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct SyncReport {
    /// Snapshots that the target has now and had not, in the order of their commits.
    #[serde(serialize_with = "json::count")]
    pub copied: Vec<SnapshotId>,
    /// Snapshots that it had already.
    pub skipped: u64,
    /// Snapshots that were not carried, because something that they need is damaged.
    pub failed: u64,
    /// Snapshots that wait for what other processes carry of them.
    pub waiting: u64,
    /// That damage. As data each is a line of its own.
    #[serde(skip)]
    pub findings: Vec<Finding>,
    /// Chunks added to the target: of contents, lists of them, and tree nodes.
    pub chunks: u64,
    /// Bytes of these chunks, as they are stored.
    pub chunk_bytes: u64,
    /// Bytes added to the target, with what describes the chunks.
    pub bytes: u64,
    /// Tags that snapshots have at the target now, or have not any more, because they were changed at the origin later.
    pub tags: u64,
    /// What a target that is a replica knew of the origin, and the origin has lost. As data each is a line of its own.
    #[serde(skip)]
    pub retreats: Vec<Retreat>,
    /// What a target that is a replica keeps of the origin now.
    #[serde(skip)]
    pub heads: Option<KeptHeads>,
}

impl SyncReport {
    /// Counts what was added.
    fn add(&mut self, dedup: &Deduplicator) {
        self.chunks += dedup.record().chunks_added();
        self.chunk_bytes += dedup.record().chunk_bytes_added();
        self.bytes += dedup.record().bytes_added();
    }
}

/// Carries snapshots from `origin` to `target`, in the order of the options. Those that the target has are skipped; those that are damaged are reported and left out.
/// A target that is a replica tells what the origin has lost since, and keeps the heads of the origin as they are now.
///
/// # Errors
/// [`Error::ReplicaOfAnother`], [`Error::Promoted`], [`Error::KeysDiffer`], [`Error::PlaintextTarget`] without leave, [`Error::NoSnapshot`] for a name that means none, and whatever keeps either repository from being read or
/// written at all; [`Error::Cancelled`] when it was to stop. What was committed before stays, and what was uploaded of the next snapshot is found by the next
/// run ([`Event::Kept`]).
pub async fn run(
    origin: &Repository,
    target: &Repository,
    options: &SyncOptions,
    run: &RunContext,
) -> Result<SyncReport> {
    let listener = &*run.events;
    let _heeding = run.stop.heeding();
    listener.on(Event::Phase { phase: Phase::Opening });
    replica::require(origin.config().repository, target)?;
    if origin.config().encrypted && !target.config().encrypted && !options.allow_plaintext {
        let info = target.store().info().await.map_err(Error::connector("opening the store"))?;
        return Err(Error::PlaintextTarget { place: info.identity });
    }
    if options.share.is_some() && !origin.keys().is_like(target.keys()) {
        return Err(Error::KeysDiffer);
    }
    let there = run.stop.unless(Box::pin(origin.snapshots())).await??;
    let mut meant = choose(&there, &options.snapshots)?;
    if options.order == Order::NewestFirst {
        meant.reverse();
    }
    let tags = run.stop.unless(Box::pin(TagEdits::load(origin))).await??;
    let flags = run.stop.unless(Box::pin(Flags::load(origin))).await??;
    let mut findings = Findings::new(listener);
    let mut report = SyncReport::default();
    let is_replica = matches!(target.role(), Some(Role::Replica { .. }));
    if is_replica {
        report.retreats = run.stop.unless(Box::pin(replica::retreats((origin, &there), target, &[]))).await??;
    }
    let heads = is_replica.then(|| there.clone());
    if options.snapshots.is_empty() {
        report.failed = there.damaged.len() as u64;
        there.damaged.iter().for_each(|snapshot| findings.add(snapshot.damage.clone(), owner(&snapshot.damage)));
    }
    let here = run.stop.unless(Box::pin(target.snapshots())).await??.whole;
    let mut at_target: HashMap<SnapshotId, TreeRoot> =
        here.iter().map(|handle| (handle.snapshot.id, handle.snapshot.tree)).collect();
    let missing: Vec<&SnapshotHandle> =
        meant.iter().filter(|handle| !at_target.contains_key(&handle.snapshot.id)).collect();
    report.skipped = meant.len().saturating_sub(missing.len()) as u64;
    // Where nothing is missing, what the sides hold of it is not asked for.
    if !missing.is_empty() {
        let opening = Carrier::open((origin, there), (target, &here, at_target), options, run);
        let mut carrier = run.stop.unless(Box::pin(opening)).await??;
        listener.on(Event::Phase { phase: Phase::Copying });
        match options.share {
            Some(share) => carrier.carry_share(share, &missing, (&mut report, &mut findings)).await?,
            None => carrier.carry_all(&missing, (&mut report, &mut findings)).await?,
        }
        at_target = carrier.at_target;
    }
    let carried: BTreeSet<SnapshotId> =
        meant.iter().map(|handle| handle.snapshot.id).filter(|id| at_target.contains_key(id)).collect();
    report.tags = run.stop.unless(Box::pin(tags::carry(&tags, target, &carried))).await??;
    run.stop.unless(Box::pin(flags::carry(&flags, target, &carried))).await??;
    if let Some(there) = heads.filter(|_| report.waiting == 0) {
        let keep = KeepOptions { signing_key: options.signing_key.clone(), ..KeepOptions::default() };
        let keeping = Box::pin(replica::keep_heads_of((origin, &there), target, &keep));
        report.heads = Some(run.stop.unless(keeping).await??);
    }
    report.findings = findings.into_list();
    Ok(report)
}

/// The snapshots meant, oldest first.
fn choose(there: &Snapshots, names: &[SnapshotName]) -> Result<Vec<SnapshotHandle>> {
    if names.is_empty() {
        return Ok(there.whole.clone());
    }
    let named: HashSet<SnapshotId> =
        names.iter().map(|name| Ok(there.find(name)?.snapshot.id)).collect::<Result<_>>()?;
    Ok(there.whole.iter().filter(|handle| named.contains(&handle.snapshot.id)).cloned().collect())
}

/// The snapshot that a damaged object is.
fn owner(damage: &Damage) -> Option<SnapshotId> {
    damage.object.strip_prefix("snapshot/").and_then(|id| id.parse().ok())
}

/// Both sides, while snapshots go from one to the other.
struct Carrier<'a> {
    origin: &'a Repository,
    target: &'a Repository,
    loader: Arc<BlobLoader>,
    index: TargetIndex<'a>,
    /// Snapshots of the origin, oldest first.
    there: Vec<SnapshotHandle>,
    /// Trees of the target's snapshots.
    at_target: HashMap<SnapshotId, TreeRoot>,
    /// The chain of whoever syncs, at the target.
    chain: Chain,
    signing_key: Option<SigningKey>,
    /// Usage lists of the target without a snapshot: what runs left that ended just before a commit, or put that are about to.
    leftovers: HashSet<ObjectId>,
    connector: Fetched,
    run: &'a RunContext,
}

/// The component that read the snapshot that is carried: one at a time, because snapshots of one source follow each other.
#[derive(Default)]
struct Fetched {
    digest: Option<Digest>,
    /// None where the origin does not keep it.
    component: Option<EscrowedConnector>,
    /// A snapshot that names it was committed in this run.
    is_kept: bool,
}

impl<'a> Carrier<'a> {
    async fn open(
        (origin, there): (&'a Repository, Snapshots),
        (target, here, at_target): (&'a Repository, &[SnapshotHandle], HashMap<SnapshotId, TreeRoot>),
        options: &SyncOptions,
        run: &'a RunContext,
    ) -> Result<Self> {
        // Processes at work at once are writers of their own.
        let host = match options.share {
            Some(share) => Cow::Owned(format!("{} shard {}", options.host, share.number)),
            None => Cow::Borrowed(&options.host),
        };
        Ok(Self {
            origin,
            target,
            loader: origin.loader(Arc::new(origin.index_for_writing().await?)),
            index: TargetIndex::load(target).await?,
            there: there.whole,
            chain: Chain::new(target.writer(&host, &options.user), here),
            signing_key: options.signing_key.clone(),
            leftovers: leftovers(target, &at_target).await?,
            connector: Fetched::default(),
            at_target,
            run,
        })
    }

    /// Carries snapshots in their order.
    async fn carry_all(
        &mut self,
        missing: &[&SnapshotHandle],
        (report, findings): (&mut SyncReport, &mut Findings<'_>),
    ) -> Result<()> {
        let mut left = missing;
        while !left.is_empty() {
            let carried = self.carry(left, (&mut *report, &mut *findings)).await?;
            left = left.get(carried..).unwrap_or_default();
        }
        Ok(())
    }

    /// Fetches the component that read a snapshot's source, where the origin keeps it. Its damage does not make the snapshot less whole.
    async fn fetch_connector(&mut self, handle: &SnapshotHandle) -> Result<Option<Damage>> {
        let digest = handle.snapshot.connector.digest;
        if digest == self.connector.digest {
            return Ok(None);
        }
        self.connector = Fetched { digest, ..Fetched::default() };
        let Some(digest) = digest else { return Ok(None) };
        match self.origin.escrowed_connector(digest).await? {
            None => Ok(None),
            Some(Err(damage)) => Ok(Some(damage)),
            Some(Ok(connector)) => {
                self.connector.component = Some(connector);
                Ok(None)
            }
        }
    }

    /// A snapshot of the same source that both sides have: the parent, else the latest before this one, else the first after it, which is there
    /// where the newest were carried first.
    fn ancestor(&self, handle: &SnapshotHandle) -> Option<Ancestor> {
        let id = handle.snapshot.id;
        let is_shared = |other: &&SnapshotHandle| {
            other.snapshot.source.identity == handle.snapshot.source.identity
                && self.at_target.contains_key(&other.snapshot.id)
        };
        let place = self.there.iter().position(|other| other.snapshot.id == id)?;
        let (before, after) = self.there.split_at_checked(place)?;
        let is_parent = |other: &&SnapshotHandle| Some(other.snapshot.id) == handle.snapshot.parent;
        let parent = before.iter().filter(is_shared).find(is_parent);
        let chosen = parent.or_else(|| before.iter().rfind(is_shared)).or_else(|| after.iter().find(is_shared))?;
        let twin = self.at_target.get(&chosen.snapshot.id)?;
        let loader = self.target.loader(self.index.current());
        let records = self.origin.walk(&self.loader, &chosen.snapshot.tree, &[]);
        Some(Ancestor::new(records, self.target.walk(&loader, twin, &[]), loader))
    }

    /// Commits one snapshot by itself.
    async fn commit(
        &mut self,
        handle: &SnapshotHandle,
        dedup: &Arc<Deduplicator>,
        tree: TreeRoot,
        report: &mut SyncReport,
    ) -> Result<(), Stopped> {
        let id = handle.snapshot.id;
        let adopted = match self.leftovers.remove(&ObjectId::new(*id.as_bytes())) {
            true => commit::adopt(self.target, &mut self.index, (id, &tree)).await?,
            false => None,
        };
        let writer = (&mut self.chain, self.signing_key.clone(), &self.run.stop);
        let connector = self.connector.component.as_ref().map(|connector| (connector, self.connector.is_kept));
        let committed = commit::commit(self.target, dedup, writer, (handle, connector), (tree, adopted)).await;
        Ok(self.settled((id, tree), committed, report).await?)
    }

    /// Notes that a snapshot is at the target, whoever has committed it: another run may have carried it meanwhile.
    async fn settled(
        &mut self,
        (id, tree): (SnapshotId, TreeRoot),
        committed: Result<()>,
        report: &mut SyncReport,
    ) -> Result<()> {
        match committed {
            Err(Error::Damage(damage)) if commit::is_taken(&damage, id) => {
                commit::require_committed(self.target, id).await?;
                report.skipped += 1;
            }
            committed => {
                committed?;
                report.copied.push(id);
                self.run.events.on(Event::Committed { snapshot: id });
            }
        }
        self.connector.is_kept = true;
        self.at_target.insert(id, tree);
        Ok(())
    }
}

/// Why a snapshot was not carried.
enum Stopped {
    /// What it needs is damaged; others may be whole.
    Damaged(Vec<Damage>),
    /// Nothing can be carried any more.
    Run(Error),
}

impl From<Error> for Stopped {
    fn from(cause: Error) -> Self {
        match cause {
            Error::Damage(damage) => Self::Damaged(vec![damage]),
            cause => Self::Run(cause),
        }
    }
}

async fn leftovers(target: &Repository, at_target: &HashMap<SnapshotId, TreeRoot>) -> Result<HashSet<ObjectId>> {
    let listed = list(&**target.store(), &format!("{}/", ObjectKind::Usage.folder())).await?;
    let ids = listed.iter().filter_map(|object| ObjectKind::parse(&object.key)).map(|(_, id)| id);
    Ok(ids.filter(|id| !at_target.contains_key(&SnapshotId::new(*id.as_bytes()))).collect())
}
