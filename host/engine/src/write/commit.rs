//! Commit: the order of requests that makes a snapshot safe beside other writers and collectors.
//!
//! ```text
//! before  LIST condemned; load the index, deduplicate against no condemned pack; packs and index segments are uploaded
//! commit  wait for everybody at work, close the packs; PUT intent; PUT the last index segment; prove that the index describes all that was kept; LIST condemned again, in a small repository with the snapshots, relocate and begin again if it names a pack relied on;
//!         PUT the component that read, if it is not there, under a name that is not condemned;
//!         extend the locks that end too early; PUT usage, if no other run's is adopted; PUT snapshot (the commit); DELETE intents
//! ```
//!
//! Several snapshots of one run are committed behind one intent and one index segment ([`settle_group`], then [`commit_member`] for each, then the intents are
//! deleted): what is before a snapshot in the order above is before each of them.
//!
//! Owned here: that order. Refused here: what is in a pack, what a snapshot says. Called by `backup`, `sync`, `shards` and `repair`.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_format::{
    ChainLink, EscrowedConnector, Hex, ObjectKind, RemovedSnapshot, SealedObject, SigningKey, Snapshot, Usage,
    seal_document, seal_snapshot,
};
use credenza_model::{ObjectId, SnapshotId, Timestamp};

use super::hold::{hold, hold_usage};
use super::put::name_taken;
use super::relocate::relocate;
use super::{Deduplicator, carried};
use crate::repository::{Chain, Repository};
use crate::{Error, Result, Stop};

/// How often a run gives way to collectors before it gives up. One that works without a pause condemns what is copied only if it runs wild.
const ROUNDS_MAX: usize = 4;

/// What of a snapshot is known before it is committed.
pub(crate) struct Draft<'a> {
    pub(crate) id: SnapshotId,
    pub(crate) chain: &'a mut Chain,
    pub(crate) signing_key: Option<SigningKey>,
    /// The component that read the source, if it is to be in the repository, and whether a snapshot before says that it is.
    pub(crate) connector: Option<(&'a EscrowedConnector, bool)>,
    /// The usage list that is in the store under this snapshot's name, for a tree with the same root: it is relied on instead of the run's own.
    pub(crate) adopted: Option<Usage>,
    /// Whether its id is another's, so that another run may write under its names.
    pub(crate) is_carried: bool,
    /// Heeded as long as nothing of the snapshot is in the store.
    pub(crate) stop: &'a Stop,
}

/// A snapshot that is in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    /// When that was, by the store's clock, if the store said so.
    pub(crate) stored: Option<Timestamp>,
    /// How many intents the store did not let the run take back.
    pub(crate) intents_left: u64,
}

/// Commits what was stowed. `make` is called once, with the packs that the snapshot relies on, the bytes added so far and its place in
/// the writer's chain.
///
/// # Errors
/// [`Error::Conflict`] when collectors took what the run relied on, [`Error::LeaseExpired`] when the run took too long, [`Error::Unkept`] when the index
/// does not describe all that was kept, [`Error::Cancelled`] when it was to stop before its usage list was put; nothing is committed then.
pub(crate) async fn commit(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    mut draft: Draft<'_>,
    make: impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot>,
) -> Result<Committed> {
    dedup.packs().close().await?;
    let drawn_up = match prepare(repository, dedup, &mut draft, make).await {
        Ok(prepared) => prepared,
        // What the next run is to find stays announced.
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(cause) => {
            dedup.record().withdraw_intents().await;
            return Err(cause);
        }
    };
    // When this fails, the snapshot may still arrive: the intents stay until they expire.
    let stored = put(repository, dedup, &mut draft, drawn_up).await?;
    Ok(Committed { stored, intents_left: dedup.record().withdraw_intents().await })
}

/// Announces and describes all that a run has kept and relies on for several snapshots, and extends the locks that end too early. The index segments that it has
/// described its packs with; nothing where a collector took what it relies on, so that each snapshot must be looked after by itself. Where the commits take long it is
/// called again between two of them: how long locks must last is reckoned from the announcement.
///
/// # Errors
/// [`Error::Unkept`], [`Error::Cancelled`], and whatever keeps the repository from being read or written. Nothing is committed then.
pub(crate) async fn settle_group(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    connector: Option<(&EscrowedConnector, bool)>,
    stop: &Stop,
) -> Result<Option<Vec<ObjectId>>> {
    dedup.packs().close().await?;
    let usage = dedup.usage();
    let mut escrow = connector.map(|(connector, is_kept)| Escrow::new(connector, is_kept));
    if let Look::Condemned(_) = settle_once(repository, dedup, (&usage, &[][..]), &mut escrow, stop).await? {
        return Ok(None);
    }
    hold(repository, dedup, &usage, stop).await?;
    Ok(Some(dedup.record().segments()))
}

/// Commits one of the snapshots that were settled together, with what of that it relies on. The intents stay until all are committed.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn commit_member(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    mut draft: Draft<'_>,
    usage: &Usage,
    make: impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot>,
) -> Result<()> {
    let drawn_up = draw_up((repository, repository), dedup, &mut draft, usage, make).await?;
    put(repository, dedup, &mut draft, drawn_up).await.map(drop)
}

/// What is ready to be put.
struct DrawnUp {
    snapshot: SealedObject,
    /// The usage list that was put; none where another run's was adopted.
    usage: Option<SealedObject>,
    /// What is on record when the snapshot is taken back.
    place: RemovedSnapshot,
}

/// Puts the snapshot itself: the commit. Tells when that was, if the store does.
async fn put(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    draft: &mut Draft<'_>,
    DrawnUp { snapshot, usage, place }: DrawnUp,
) -> Result<Option<Timestamp>> {
    let (key, sequence, digest) = (snapshot.key().clone(), place.sequence, place.digest);
    let may_be_overtaken = draft.is_carried && !repository.refuses_taken_names();
    if may_be_overtaken {
        carried::require_free(repository, draft.id).await?;
    }
    let stored = dedup.record().put(snapshot).await?;
    if may_be_overtaken {
        carried::see_to_list(repository, dedup, (&key, &digest), usage).await?;
    }
    confirm(repository, dedup, place, draft.signing_key.as_ref()).await?;
    draft.chain.went_on(key, sequence, digest);
    Ok(stored)
}

/// Everything before the snapshot itself.
async fn prepare(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    draft: &mut Draft<'_>,
    make: impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot>,
) -> Result<DrawnUp> {
    let (usage, latest) = settle(repository, dedup, draft).await?;
    hold(repository, dedup, &usage, draft.stop).await?;
    draw_up((repository, &latest), dedup, draft, &usage, make).await
}

/// Puts the usage list, where none is adopted, and seals the snapshot in its place in the chain, which follows from what was looked at last.
async fn draw_up(
    (repository, latest): (&Repository, &Repository),
    dedup: &Arc<Deduplicator>,
    draft: &mut Draft<'_>,
    usage: &Usage,
    make: impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot>,
) -> Result<DrawnUp> {
    draft.stop.check()?;
    let object = ObjectId::new(*draft.id.as_bytes());
    // A sync carries snapshots under the names that they have: another may have carried this one meanwhile. Where the store lets one be put over the other, the
    // other's next snapshot would miss its own.
    let key = ObjectKind::Snapshot.store_key(object);
    if !repository.refuses_taken_names() && repository.holds(&key).await? {
        return Err(name_taken(&key));
    }
    let list = match draft.adopted.is_some() {
        true => {
            hold_usage(repository, dedup, &ObjectKind::Usage.store_key(object)).await?;
            None
        }
        false => {
            let sealed = seal_document(repository.keys(), ObjectKind::Usage, object, &usage.encode()?)?;
            dedup.record().put(sealed.clone()).await?;
            Some(sealed)
        }
    };
    let link = draft.chain.next(latest).await?;
    let ChainLink { writer, sequence, .. } = link;
    let snapshot = make(usage, dedup.record().bytes_added(), link)?;
    let snapshot = seal_snapshot(repository.keys(), snapshot, draft.signing_key.as_ref())?;
    dedup.record().lease().check()?;
    let place = RemovedSnapshot { snapshot: draft.id, writer, sequence, digest: Hex(*snapshot.sha256()) };
    Ok(DrawnUp { snapshot, usage: list, place })
}

/// Announces what the snapshot relies on until no record condemns any of it. What the last look at the records told of the snapshots, too, comes with it,
/// unless what takes long lies between that and the commit. A list that was adopted is what another snapshot of this name may state:
/// it is taken as it is, or not at all.
async fn settle(repository: &Repository, dedup: &Arc<Deduplicator>, draft: &Draft<'_>) -> Result<(Usage, Repository)> {
    let stop = draft.stop;
    // The run's own packs are not in one that is adopted, and are described below.
    let own = if draft.adopted.is_some() { dedup.record().packs() } else { Vec::new() };
    let own: Vec<ObjectId> = own.into_iter().map(|(pack, _)| pack).collect();
    let mut usage = draft.adopted.clone().unwrap_or_else(|| dedup.usage());
    let mut escrow = draft.connector.map(|(connector, is_kept)| Escrow::new(connector, is_kept));
    for _ in 0..ROUNDS_MAX {
        let condemned = match settle_once(repository, dedup, (&usage, own.as_slice()), &mut escrow, stop).await? {
            Look::Free(latest) => return Ok((usage, *latest)),
            Look::Condemned(condemned) => condemned,
        };
        let taken = taken(&usage, &condemned);
        if taken > 0 && draft.adopted.is_some() {
            return Err(Error::Conflict { packs: taken });
        }
        if taken > 0 {
            usage = relocate(repository, dedup, &usage, &condemned, stop).await?;
        }
    }
    Err(Error::Conflict { packs: taken(&usage, &condemned(repository, dedup, &usage).await?) })
}

/// What was found of all that is relied on.
enum Look {
    /// No record condemns any of it. What the look told of the snapshots comes with it, unless what takes long lies between that and the commit.
    Free(Box<Repository>),
    /// All that records condemn.
    Condemned(HashSet<ObjectId>),
}

/// Announces what is relied on and the packs beside it, describes what is not described yet, and looks whether a record condemns any of it.
async fn settle_once(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    (usage, beside): (&Usage, &[ObjectId]),
    escrow: &mut Option<Escrow<'_>>,
    stop: &Stop,
) -> Result<Look> {
    stop.check()?;
    let name = escrow.as_ref().and_then(Escrow::name);
    let relied = usage.packs.iter().map(|used| used.pack);
    dedup.record().announce(relied.chain(beside.iter().copied()).collect(), name).await?;
    dedup.record().flush_index(Vec::new()).await?;
    dedup.record().prove()?;
    stop.check()?;
    let looking = repository.glanced().await?;
    let condemned = condemned(&looking, dedup, usage).await?;
    let is_condemned = name.is_some_and(|name| condemned.contains(&name));
    if is_condemned {
        escrow.iter_mut().for_each(Escrow::rename);
    }
    if is_condemned || taken(usage, &condemned) > 0 {
        return Ok(Look::Condemned(condemned));
    }
    if let Some(escrow) = escrow {
        stop.unless(escrow.keep(repository)).await??;
    }
    let is_soon = repository.lock_rule().is_none() && escrow.as_ref().is_none_or(Escrow::is_kept);
    Ok(Look::Free(Box::new(if is_soon { looking } else { repository.clone() })))
}

/// The component that a snapshot names, and the name under which it is relied on.
struct Escrow<'a> {
    connector: &'a EscrowedConnector,
    is_kept: bool,
    names: std::collections::VecDeque<ObjectId>,
}

impl<'a> Escrow<'a> {
    fn new(connector: &'a EscrowedConnector, is_kept: bool) -> Self {
        Self { connector, is_kept, names: EscrowedConnector::names(connector.digest()).into() }
    }

    /// None where all of them are condemned: then it is not kept, and a later snapshot finds a name free again.
    fn name(&self) -> Option<ObjectId> {
        self.names.front().copied()
    }

    /// Whether there is nothing to put.
    fn is_kept(&self) -> bool {
        self.is_kept || self.name().is_none()
    }

    fn rename(&mut self) {
        self.names.pop_front();
        self.is_kept = false;
    }

    /// Puts it, if it is not there.
    async fn keep(&self, repository: &Repository) -> Result<()> {
        match self.name().filter(|_| !self.is_kept) {
            Some(name) => repository.keep_connector(self.connector, name).await,
            None => Ok(()),
        }
    }
}

/// Packs that records condemn. One that cannot be read may name any pack but those of this run, which are announced.
async fn condemned(repository: &Repository, dedup: &Deduplicator, usage: &Usage) -> Result<HashSet<ObjectId>> {
    let (mut condemned, damaged) = repository.condemned_records().await?;
    if !damaged.is_empty() {
        let own: HashSet<ObjectId> = dedup.record().packs().into_iter().map(|(pack, _)| pack).collect();
        condemned.extend(usage.packs.iter().map(|used| used.pack).filter(|pack| !own.contains(pack)));
    }
    Ok(condemned)
}

/// A run that stood still while the snapshot was on its way has outlived its intents: a collector that saw neither them nor
/// the snapshot may be deleting what it needs, its usage list among it, at this moment. It takes the snapshot back, on record, because the
/// next of its writer may follow it already. Keys that may only add cannot write such a record.
async fn confirm(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    place: RemovedSnapshot,
    signing_key: Option<&SigningKey>,
) -> Result<()> {
    let Err(overdue) = dedup.record().lease().check() else { return Ok(()) };
    if repository.can_read() {
        repository.record_removed(&[place], signing_key).await?;
    }
    let object = ObjectId::new(*place.snapshot.as_bytes());
    for kind in [ObjectKind::Snapshot, ObjectKind::Usage] {
        repository.delete_own(kind.store_key(object)).await?;
    }
    Err(overdue)
}

fn taken(usage: &Usage, condemned: &HashSet<ObjectId>) -> usize {
    usage.packs.iter().filter(|used| condemned.contains(&used.pack)).count()
}
