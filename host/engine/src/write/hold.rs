//! Hold: what a snapshot stands on is locked long enough before the snapshot is committed.
//!
//! Owned here: what that is, and which of it must be extended (`FORMAT.md`, "Locks"). Refused here: the rule (`repository::locks`). Called by
//! `commit`, after the last look at the records of condemned packs: nobody deletes any of it then. Snapshots that are there are locked for longer by `copies`
//! ([`hold_until`]).
//!
//! Requests: two listings of small folders; once a quantum, one for each object in use, [`RETAINS_IN_FLIGHT`] at a time. Bound: the names of what is
//! extended, and the index once more; in [`hold_until`] what one snapshot stands on, too. It goes through the index once for each snapshot of which a collector has moved or
//! condemned packs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use credenza_connect::ErrorClass;
use credenza_format::{BlobIndex, LockRecord, ObjectKind, PackState, Usage, config_key, copy_key, parity_key};
use credenza_model::{ObjectId, StoreKey, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use super::Deduplicator;
use super::record::RunRecord;
use crate::repository::{Repository, SnapshotHandle, list};
use crate::{Damage, DamageKind, Error, Result, Stop};

/// Locks extended at once.
const RETAINS_IN_FLIGHT: usize = 16;

/// Something that a snapshot stands on.
struct Held {
    /// By what its lock is recorded.
    id: ObjectId,
    key: StoreKey,
    version: Option<String>,
    /// Others may remove it at any time: slots that are revoked, index segments that are merged.
    may_go: bool,
    /// What is locked with it: the second copy of a text document, the parity of a pack.
    companion: Option<StoreKey>,
    /// The companion is enough.
    two_copies: bool,
}

/// Extends the locks that end too early, and puts on record that they were.
///
/// # Errors
/// When a lock cannot be extended: the snapshot must not be committed.
pub(super) async fn hold(repository: &Repository, dedup: &Arc<Deduplicator>, usage: &Usage, stop: &Stop) -> Result<()> {
    let Some(rule) = repository.lock_rule() else { return Ok(()) };
    let now = match dedup.record().locks().announced_at() {
        Some(now) => now,
        None => repository.lock_time().await?,
    };
    let (needed, granted) = (rule.needed(now), rule.granted(now));
    dedup.record().locks().raise(granted);
    let standing = standing(repository).await?;
    let lasts = |id: &ObjectId| dedup.locked_until(id) >= Some(needed);
    if usage.packs.iter().all(|used| lasts(&used.pack)) && standing.iter().all(|held| lasts(&held.id)) {
        return Ok(());
    }
    // Others may have extended them since this run began, and the run's own packs are described by now.
    let index = repository.index_for_writing().await?;
    let lasts = |id: &ObjectId| index.locked_until(id) >= Some(needed);
    let packs = usage.packs.iter().map(|used| used.pack).filter(|pack| !lasts(pack));
    let mut weak = packs.map(|pack| held_pack(repository, &index, pack)).collect::<Result<Vec<_>, Damage>>()?;
    weak.extend(standing.into_iter().filter(|held| !lasts(&held.id)));
    drop(index);
    let extended = extend(repository, weak, granted, stop).await?;
    dedup.record().record_locks(extended).await
}

/// Locks snapshots that are there until these times at least, with all that they stand on, and puts on record that they are. How many were locked for less. What is on record
/// as locked is not asked for again, but for key slots, index segments and the config, which others may have put since.
///
/// What is damaged keeps nothing else from being locked. A snapshot that lacks some of what it stands on is not put on record, so that it is asked for again.
///
/// # Errors
/// [`Error::NoLock`] where the repository does not lock; the first [`Error::Damage`], when all else is locked; and when a lock cannot be extended. What
/// was locked is on record then as far as the store takes it.
pub(crate) async fn hold_until(
    repository: &Repository,
    wanted: &[(SnapshotHandle, Timestamp)],
    stop: &Stop,
) -> Result<u64> {
    let Some(last) = wanted.iter().map(|(_, until)| *until).max() else { return Ok(0) };
    if repository.lock_rule().is_none() {
        return Err(Error::NoLock { reason: "the repository was not made to lock what it stores".to_owned() });
    }
    let index = repository.index_for_writing().await?;
    let mut longer = Longer { repository, stop, index, extended: Vec::new(), damage: None };
    let locked = longer.hold_all(wanted, last).await;
    let recorded = longer.record(last).await;
    let locked = locked?;
    recorded?;
    longer.damage.map_or(Ok(locked), |damage| Err(damage.into()))
}

/// Locks that are extended for snapshots which are there.
struct Longer<'a> {
    repository: &'a Repository,
    stop: &'a Stop,
    /// It knows of what is extended as well.
    index: BlobIndex,
    /// What is not on record yet.
    extended: Vec<LockRecord>,
    /// The first that was met.
    damage: Option<Damage>,
}

impl Longer<'_> {
    /// How many snapshots were locked for less.
    async fn hold_all(&mut self, wanted: &[(SnapshotHandle, Timestamp)], last: Timestamp) -> Result<u64> {
        // The longest first: what several stand on is asked for once.
        let mut longest: Vec<&(SnapshotHandle, Timestamp)> = wanted.iter().collect();
        longest.sort_by_key(|one| Reverse(one.1));
        let mut locked = 0;
        for (handle, until) in longest {
            match self.hold_snapshot(handle, *until).await {
                Err(Error::Damage(damage)) => self.met(damage),
                held => locked += u64::from(held?),
            }
        }
        let standing = standing(self.repository).await?;
        let weak: Vec<Held> = standing.into_iter().filter(|held| !self.lasts(&held.id, last)).collect();
        let failed = self.extend(weak, last).await?;
        failed.into_values().for_each(|damage| self.met(damage));
        Ok(locked)
    }

    /// Whether it was locked for less.
    ///
    /// # Errors
    /// Its damage, when all is locked that could be.
    async fn hold_snapshot(&mut self, handle: &SnapshotHandle, until: Timestamp) -> Result<bool> {
        let id = ObjectId::new(*handle.snapshot.id.as_bytes());
        if self.lasts(&id, until) {
            return Ok(false);
        }
        // It is gone by now.
        let Some(usage) = self.repository.usage(handle).await? else { return Ok(false) };
        let needs = needs(&self.index, &usage)?;
        let packs: BTreeSet<ObjectId> =
            needs.iter().flatten().copied().filter(|pack| !self.lasts(pack, until)).collect();
        let failed = self.extend_packs(packs, until).await?;
        let own = extend_one(self.repository, held_snapshot(id), until).await?;
        let lost = needs.iter().find(|need| need.iter().all(|pack| failed.contains_key(pack)));
        match lost.and_then(|need| failed.get(need.first()?)) {
            Some(damage) => Err(damage.clone().into()),
            None => {
                self.note(own);
                Ok(true)
            }
        }
    }

    /// Extends the locks of packs; what is damaged comes back.
    async fn extend_packs(&mut self, packs: BTreeSet<ObjectId>, until: Timestamp) -> Result<HashMap<ObjectId, Damage>> {
        let (mut weak, mut unknown) = (Vec::new(), HashMap::new());
        for pack in packs {
            match held_pack(self.repository, &self.index, pack) {
                Ok(held) => weak.push(held),
                Err(damage) => {
                    unknown.insert(pack, damage);
                }
            }
        }
        let mut failed = self.extend(weak, until).await?;
        failed.extend(unknown);
        Ok(failed)
    }

    /// Extends locks; what is damaged comes back.
    async fn extend(&mut self, weak: Vec<Held>, until: Timestamp) -> Result<HashMap<ObjectId, Damage>> {
        let (repository, stop) = (self.repository, self.stop);
        let extended = weak.into_iter().map(|held| async move {
            stop.check()?;
            let id = held.id;
            match extend_one(repository, held, until).await {
                Ok(record) => Ok::<_, Error>(Ok(record)),
                Err(Error::Damage(damage)) => Ok(Err((id, damage))),
                Err(cause) => Err(cause),
            }
        });
        let mut extended = futures_util::stream::iter(extended).buffer_unordered(RETAINS_IN_FLIGHT);
        let mut failed = HashMap::new();
        while let Some(one) = extended.try_next().await? {
            match one {
                Ok(record) => self.note(record),
                Err((id, damage)) => {
                    failed.insert(id, damage);
                }
            }
        }
        Ok(failed)
    }

    /// Puts what was extended on record, in a segment that is locked as long.
    async fn record(&mut self, last: Timestamp) -> Result<()> {
        if self.extended.is_empty() {
            return Ok(());
        }
        let record = RunRecord::begin(self.repository, self.repository.writer("", "lock")).await?;
        record.locks().raise(last);
        record.record_locks(std::mem::take(&mut self.extended)).await
    }

    fn lasts(&self, id: &ObjectId, until: Timestamp) -> bool {
        self.index.locked_until(id) >= Some(until)
    }

    fn note(&mut self, record: Option<LockRecord>) {
        if let Some(record) = record {
            self.index.add_lock(&record);
            self.extended.push(record);
        }
    }

    fn met(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
    }
}

/// What a usage list stands on: of each set of packs one must last.
///
/// Usage lists never change. What lay in a pack that was moved or condemned since is read from where it lies now: from a pack that is relied on without reserve,
/// else from any that may be there. A pack that no segment describes is damage to whoever asks for it.
fn needs(index: &BlobIndex, usage: &Usage) -> Result<BTreeSet<BTreeSet<ObjectId>>> {
    let (mut needs, mut moved) = (BTreeSet::new(), HashMap::new());
    for used in &usage.packs {
        match index.ordinal(&used.pack).filter(|pack| index.state(*pack) > PackState::Live) {
            Some(pack) => {
                moved.insert(pack, &used.used);
            }
            None => {
                needs.insert(BTreeSet::from([used.pack]));
            }
        }
    }
    if moved.is_empty() {
        return Ok(needs);
    }
    for known in index.iter() {
        let (id, place) = known?;
        if !moved.get(&place.pack).is_some_and(|used| used.get(place.position)) {
            continue;
        }
        let places = match index.get(&id)?.filter(|best| index.state(best.pack) == PackState::Live) {
            Some(best) => vec![best],
            None => index.places(&id)?,
        };
        needs.insert(places.iter().filter_map(|place| index.pack(place.pack)).map(|pack| pack.id).collect());
    }
    Ok(needs)
}

/// A snapshot that is there, and its usage list.
fn held_snapshot(id: ObjectId) -> Held {
    let companion = Some(ObjectKind::Usage.store_key(id));
    Held { id, key: ObjectKind::Snapshot.store_key(id), version: None, may_go: true, companion, two_copies: false }
}

/// Extends the lock of a usage list that another run put, as if this run had put it.
///
/// # Errors
/// [`Error::Conflict`] when it is gone: the snapshot must not be committed.
pub(super) async fn hold_usage(repository: &Repository, dedup: &Arc<Deduplicator>, key: &StoreKey) -> Result<()> {
    let Some(until) = dedup.record().locks().now() else { return Ok(()) };
    match retained(repository, key, None, until).await? {
        true => Ok(()),
        false => Err(Error::Conflict { packs: 0 }),
    }
}

/// Key slots, index segments and the config.
async fn standing(repository: &Repository) -> Result<Vec<Held>> {
    let config = repository.config().repository;
    let config = ObjectId::new(*config.as_bytes());
    let mut standing = vec![Held {
        id: config,
        key: config_key(),
        version: None,
        may_go: false,
        companion: Some(copy_key(&config_key())),
        two_copies: true,
    }];
    for (folder, two_copies) in [("index/", false), ("key/", true)] {
        let listed = list(&**repository.bare_store(), folder).await?.into_iter();
        standing.extend(listed.filter_map(|object| {
            let id = object.key.as_str().strip_prefix(folder)?.parse().ok()?;
            let companion = two_copies.then(|| copy_key(&object.key));
            Some(Held { id, key: object.key, version: None, may_go: true, companion, two_copies })
        }));
    }
    Ok(standing)
}

fn held_pack(repository: &Repository, index: &BlobIndex, id: ObjectId) -> Result<Held, Damage> {
    let pack = index.ordinal(&id).and_then(|ordinal| index.pack(ordinal)).ok_or_else(|| Damage {
        object: format!("index of pack {id}"),
        kind: DamageKind::Missing,
        chunk: None,
        detail: format!("no index segment describes pack {id}, which this snapshot relies on"),
    })?;
    let version = pack.version.as_deref().map(str::to_owned);
    let companion = repository.config().parity.map(|_| parity_key(id));
    Ok(Held { id, key: pack.store_key(), version, may_go: false, companion, two_copies: false })
}

async fn extend(repository: &Repository, weak: Vec<Held>, until: Timestamp, stop: &Stop) -> Result<Vec<LockRecord>> {
    let extended = weak.into_iter().map(|held| async move {
        stop.check()?;
        extend_one(repository, held, until).await
    });
    let extended = futures_util::stream::iter(extended);
    let extended: Vec<Option<LockRecord>> = extended.buffer_unordered(RETAINS_IN_FLIGHT).try_collect().await?;
    Ok(extended.into_iter().flatten().collect())
}

/// `None` when it is gone, and may be.
async fn extend_one(repository: &Repository, held: Held, until: Timestamp) -> Result<Option<LockRecord>> {
    let Held { id, key, version, may_go, companion, two_copies } = held;
    let found = retained(repository, &key, version.as_deref(), until).await?;
    let accompanied = match companion {
        Some(companion) => retained(repository, &companion, None, until).await?,
        None => false,
    };
    match found || two_copies && accompanied {
        true => Ok(Some(LockRecord { object: id, until })),
        false if may_go => Ok(None),
        false => {
            Err(Damage::new(&key, DamageKind::Missing, "it is to be locked for a snapshot and is not in the store")
                .into())
        }
    }
}

/// Extends a lock; false when there is no such object.
async fn retained(repository: &Repository, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<bool> {
    match repository.bare_store().retain(key, version, until).await {
        Ok(()) => Ok(true),
        Err(cause) if cause.class == ErrorClass::NotFound => Ok(false),
        Err(cause) => Err(Error::connector(format!("extending the lock of `{key}`"))(cause)),
    }
}
