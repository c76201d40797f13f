//! Mark: which blobs and packs the snapshots and the running writers need.
//!
//! Usage lists are united one by one; no tree is walked and no content is opened. What a list says of a pack that was moved
//! is carried over to the packs that hold the chunk now.
//!
//! Index segments are believed only as far as nothing is lost by it, because whoever has a writer's keys may put any. That a pack was moved is
//! believed where this run has moved it, or it is gone. Of the places of a chunk that was in it all stay, unless this run has put a copy itself, or has found
//! it whole elsewhere.

use std::collections::{HashMap, HashSet};

use credenza_connect::StoredObject;
use credenza_format::{
    Bitmap, BlobIndex, BlobPlace, EscrowedConnector, IndexSegment, IndexedPack, Intent, ObjectKind, PackKind,
    PackOrdinal, PackRecord, PackState, parity_pack,
};
use credenza_model::{ChunkId, ObjectId, StoreKey, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use crate::clock::is_expired;
use crate::groups::{Group, groups};
use crate::repository::{Repository, SegmentInfo, SnapshotHandle, list};
use crate::{Damage, DamageKind, Error, Result};

/// Usage lists read at once.
const USAGES_IN_FLIGHT: usize = 8;
/// Looks at the repository. What does not fit together in one may be another collector at work; what does not in two, one after the other, is
/// damage.
const LOOKS_MAX: usize = 4;

/// What a collector has seen.
pub(super) struct View {
    pub(super) index: BlobIndex,
    pub(super) segments: Vec<SegmentInfo>,
    pub(super) condemned: HashSet<ObjectId>,
    /// Packs in the store.
    pub(super) packs: HashMap<ObjectId, StoredObject>,
    /// Parity in the store, by its pack; listed before the packs were, so that whose pack is not among them has lost it.
    pub(super) parity: HashMap<ObjectId, StoredObject>,
    /// Escrowed connectors in the store, by their names.
    pub(super) connectors: HashMap<ObjectId, StoredObject>,
    /// The names under which connectors may lie that snapshots name.
    read_by: HashSet<ObjectId>,
    /// Packs that this run has written since.
    own: HashSet<ObjectId>,
    /// Packs of which this run has put what is needed elsewhere, or found it whole there.
    moved: HashSet<ObjectId>,
    /// As [`ReadIndex::undecided`](crate::repository::ReadIndex).
    pub(super) undecided: HashMap<ObjectId, Vec<PackRecord>>,
    /// Snapshots that are marked.
    pub(super) snapshots: HashSet<ObjectId>,
    /// Parts that wait to be merged.
    pub(super) waiting: Vec<Group>,
    /// What their usage lists say, pack by pack.
    used: HashMap<ObjectId, Bitmap>,
    /// Packs and connectors that live intents name.
    pub(super) pinned: HashSet<ObjectId>,
    /// Packs that are on record as damaged: what is in them is kept wherever else it is, too.
    pub(super) damaged: HashSet<ObjectId>,
    /// Intents that have outlived their lease.
    pub(super) expired: Vec<StoreKey>,
    /// The store's time when the run began.
    pub(super) now: Timestamp,
}

/// Blobs that are needed, each where it is to be kept.
pub(super) struct Needs {
    by_pack: Vec<Option<Bitmap>>,
}

impl View {
    /// Looks at everything, in the order that the protocol demands. The repository is a cautious one.
    ///
    /// # Errors
    /// [`Error::Damage`] when something cannot be read, or a needed pack is neither described nor there; [`Error::Contended`] when other collectors
    /// change what does not fit together at each look.
    pub(super) async fn read(repository: &Repository, now: Timestamp, damaged: &HashSet<ObjectId>) -> Result<Self> {
        let mut before = None;
        for _ in 0..LOOKS_MAX {
            let view = Self { damaged: damaged.clone(), ..Self::look(repository, now).await? };
            match view.check(repository).await? {
                None => return Ok(view),
                Some(damage) if before.as_ref() == Some(&damage) => return Err(damage.into()),
                found => before = found,
            }
        }
        Err(Error::Contended { what: "what snapshots need".to_owned() })
    }

    async fn look(repository: &Repository, now: Timestamp) -> Result<Self> {
        let condemned = repository.condemned().await?;
        let read = repository.read_index(repository.store()).await?;
        if let Some(damage) = read.damaged.into_iter().next() {
            return Err(damage.into());
        }
        let mut view = Self {
            index: read.index,
            segments: read.segments,
            condemned,
            packs: HashMap::new(),
            parity: HashMap::new(),
            connectors: HashMap::new(),
            read_by: HashSet::new(),
            own: HashSet::new(),
            moved: HashSet::new(),
            undecided: read.undecided,
            snapshots: HashSet::new(),
            waiting: Vec::new(),
            used: HashMap::new(),
            pinned: HashSet::new(),
            damaged: HashSet::new(),
            expired: Vec::new(),
            now,
        };
        view.mark_intents(repository).await?;
        view.mark_snapshots(repository).await?;
        view.list_packs(repository).await?;
        view.expect_packs_gone(repository).await?;
        view.demote();
        Ok(view)
    }

    /// Looks at what may have changed since the record was put.
    pub(super) async fn look_again(&mut self, repository: &Repository) -> Result<()> {
        self.mark_intents(repository).await?;
        self.mark_snapshots(repository).await?;
        self.condemned.extend(repository.condemned().await?);
        self.demote();
        Ok(())
    }

    async fn mark_intents(&mut self, repository: &Repository) -> Result<()> {
        self.expired.clear();
        for document in repository.documents(repository.store(), ObjectKind::Intent).await? {
            let key = document.key;
            if is_expired(document.object.modified, self.now) {
                self.expired.push(key);
                continue;
            }
            let intent = document.body.and_then(|body| {
                Intent::decode(&body).map_err(|cause| Damage::new(&key, DamageKind::Invalid, cause.to_string()))
            })?;
            self.pinned.extend(intent.packs.into_iter().chain(intent.connectors));
        }
        Ok(())
    }

    /// Marks the snapshots that are not marked yet; one that was marked and is gone stays so.
    async fn mark_snapshots(&mut self, repository: &Repository) -> Result<()> {
        let snapshots = repository.all_snapshots().await?;
        self.waiting = groups(&snapshots);
        if let Some(snapshot) = snapshots.damaged.into_iter().next() {
            return Err(snapshot.damage.into());
        }
        let all = snapshots.whole.into_iter().chain(snapshots.parts);
        let fresh = all.filter(|handle| !self.snapshots.contains(&object_id(handle)));
        let fresh: Vec<SnapshotHandle> = fresh.collect();
        let digests = fresh.iter().filter_map(|handle| handle.snapshot.connector.digest);
        self.read_by.extend(digests.flat_map(EscrowedConnector::names));
        let read = async |handle: &SnapshotHandle| Ok::<_, Error>((object_id(handle), repository.usage(handle).await?));
        let mut usages = futures_util::stream::iter(fresh.iter().map(read)).buffered(USAGES_IN_FLIGHT);
        while let Some((id, usage)) = usages.try_next().await? {
            self.snapshots.insert(id);
            for one in usage.into_iter().flat_map(|usage| usage.packs) {
                self.unite(id, one.pack, one.used)?;
            }
        }
        Ok(())
    }

    fn unite(&mut self, snapshot: ObjectId, pack: ObjectId, used: Bitmap) -> Result<(), Damage> {
        let known = self.used.entry(pack).or_insert_with(|| Bitmap::new(used.length()));
        if known.length() != used.length() {
            let detail = format!("it counts {} chunks in pack {pack}, others count {}", used.length(), known.length());
            return Err(Damage::new(&ObjectKind::Usage.store_key(snapshot), DamageKind::Invalid, detail));
        }
        known.unite(&used);
        Ok(())
    }

    /// Lists what may be deleted: parity and connectors before the packs.
    async fn list_packs(&mut self, repository: &Repository) -> Result<()> {
        if repository.config().parity.is_some() {
            for object in list(&**repository.bare_store(), "parity/").await? {
                if let Some(pack) = parity_pack(&object.key) {
                    self.parity.insert(pack, object);
                }
            }
        }
        for object in list(&**repository.bare_store(), &format!("{}/", ObjectKind::Connector.folder())).await? {
            if let Some((ObjectKind::Connector, name)) = ObjectKind::parse(&object.key) {
                self.connectors.insert(name, object);
            }
        }
        for kind in [PackKind::Data, PackKind::Meta] {
            for object in list(&**repository.bare_store(), &format!("{}/", kind.object_kind().folder())).await? {
                if let Some((_, id)) = ObjectKind::parse(&object.key) {
                    self.packs.insert(id, object);
                }
            }
        }
        Ok(())
    }

    /// Demands that a pack which the index describes and the listing does not show is not there. Only condemned ones may be gone.
    async fn expect_packs_gone(&self, repository: &Repository) -> Result<()> {
        let is_unlisted =
            |pack: &&IndexedPack| !self.packs.contains_key(&pack.id) && !self.condemned.contains(&pack.id);
        for kind in [PackKind::Data, PackKind::Meta] {
            let unlisted = self.index.packs().iter().filter(|pack| pack.kind == kind).filter(is_unlisted);
            let keys: Vec<StoreKey> = unlisted.map(IndexedPack::store_key).collect();
            repository.expect_gone(&format!("{}/", kind.object_kind().folder()), keys).await?;
        }
        Ok(())
    }

    /// Notes in the index which packs are condemned and which are not there.
    fn demote(&mut self) {
        self.condemned.iter().for_each(|pack| self.index.demote(pack, PackState::Condemned));
        let described = self.index.packs().iter().map(|pack| pack.id);
        let is_gone = |id: &ObjectId| !self.packs.contains_key(id) && !self.own.contains(id);
        let gone: Vec<ObjectId> = described.filter(is_gone).collect();
        gone.iter().for_each(|pack| self.index.demote(pack, PackState::Gone));
    }

    /// What does not fit together, if anything. A pack that snapshots use and the index does not describe may have been described since that was
    /// read; beside writers that commit all the time some always have. The index is read once more for those, and what it says of them is
    /// not taken in: they stay, as all does that is used.
    async fn check(&self, repository: &Repository) -> Result<Option<Damage>> {
        let is_fresh = self.used.keys().any(|pack| self.index.ordinal(pack).is_none());
        let later = if is_fresh { Some(repository.read_index(repository.store()).await?.index) } else { None };
        let described = |pack| described(&self.index, pack).or_else(|| described(later.as_ref()?, pack));
        let is_decided = |(pack, _): &(&ObjectId, &Bitmap)| !self.undecided.contains_key(*pack);
        let misfits = self.used.iter().filter(is_decided).filter_map(|(pack, used)| {
            let detail = match described(pack) {
                Some(described) if described.blob_count == used.length() => return None,
                Some(_) => "the index counts other chunks in it than snapshots do",
                None => "snapshots rely on it and no index segment describes it",
            };
            Some((pack, detail))
        });
        let damage = |(pack, detail): (&ObjectId, &str)| Damage {
            object: format!("pack {pack}"),
            kind: DamageKind::Missing,
            chunk: None,
            detail: detail.to_owned(),
        };
        if let Some(misfit) = misfits.min() {
            return Ok(Some(damage(misfit)));
        }
        match self.needs() {
            Ok(_) => Ok(None),
            Err(Error::Damage(damage)) => Ok(Some(damage)),
            Err(cause) => Err(cause),
        }
    }

    /// Which blobs must be kept where.
    ///
    /// A chunk used in a moved pack is needed [elsewhere](Self::need_elsewhere). Where every place of it is condemned, all of them are needed: two
    /// collectors that condemned one each spare at least one, because each looks for the other's record after it has put its own. So are all places of a
    /// chunk that is needed in a pack which is on record as damaged: any other may be the last that is whole.
    ///
    /// # Errors
    /// Damage when a needed chunk is nowhere; when the index cannot be read.
    pub(super) fn needs(&self) -> Result<Needs> {
        let mut needs = Needs { by_pack: vec![None; self.index.packs().len()] };
        for known in self.index.iter() {
            let (id, place) = known?;
            let Some(pack) = self.index.pack(place.pack) else { continue };
            if !self.used.get(&pack.id).is_some_and(|used| used.get(place.position)) {
                continue;
            }
            let is_there = self.is_there(&pack.id);
            if !is_there && self.undecided.contains_key(&pack.id) {
                continue;
            }
            if pack.moved && (!is_there || self.moved.contains(&pack.id)) {
                if !self.need_elsewhere(&id, &mut needs)? {
                    return Err(nowhere(&id).into());
                }
            } else if !is_there {
                return Err(Damage::new(
                    &pack.store_key(),
                    DamageKind::Missing,
                    "snapshots rely on it and it is not in the store",
                )
                .into());
            } else {
                needs.add(&self.index, &place);
                // Another collector may be about to delete what it has moved: what it moved to stays.
                if pack.moved || self.damaged.contains(&pack.id) {
                    self.need_everywhere(&id, &mut needs)?;
                }
            }
        }
        for (pack, records) in &self.undecided {
            if let Some(used) = self.used.get(pack).filter(|_| !self.is_there(pack)) {
                self.need_undecided((pack, used), records, &mut needs)?;
            }
        }
        Ok(needs)
    }

    /// Needs what a pack that is gone may have held, by each of its descriptions: nobody can say which of them holds.
    fn need_undecided(
        &self,
        (pack, used): (&ObjectId, &Bitmap),
        records: &[PackRecord],
        needs: &mut Needs,
    ) -> Result<()> {
        let mut is_had = false;
        for record in records.iter().filter(|record| record.blobs.len() as u64 == u64::from(used.length())) {
            let mut is_whole = true;
            for (_, blob) in (0..).zip(&record.blobs).filter(|(position, _)| used.get(*position)) {
                is_whole &= self.need_elsewhere(&blob.id, needs)?;
            }
            is_had |= is_whole;
        }
        match is_had {
            true => Ok(()),
            false => Err(Damage {
                object: format!("pack {pack}"),
                kind: DamageKind::Missing,
                chunk: None,
                detail:
                    "snapshots rely on it, it is gone, and index segments describe it in ways that do not fit together"
                        .to_owned(),
            }
            .into()),
        }
    }

    /// Needs a chunk in the copies that this run has put, or else wherever it is but in packs that this run has moved, unless all other places are
    /// condemned; `false` where it is nowhere.
    fn need_elsewhere(&self, id: &ChunkId, needs: &mut Needs) -> Result<bool> {
        let mut places = self.index.places(id)?;
        places.retain(|place| self.index.state(place.pack) < PackState::Gone);
        let is_of = |packs: &HashSet<ObjectId>, place: &BlobPlace| {
            self.index.pack(place.pack).is_some_and(|pack| packs.contains(&pack.id))
        };
        let is_spared =
            |place: &BlobPlace| !is_of(&self.moved, place) && self.index.state(place.pack) < PackState::Condemned;
        if places.iter().any(|place| is_of(&self.own, place)) {
            places.retain(|place| is_of(&self.own, place));
        } else if places.iter().any(is_spared) {
            places.retain(|place| !is_of(&self.moved, place));
        }
        places.iter().for_each(|place| needs.add(&self.index, place));
        Ok(!places.is_empty())
    }

    fn need_everywhere(&self, id: &ChunkId, needs: &mut Needs) -> Result<()> {
        let places = self.index.places(id)?;
        let there = places.iter().filter(|place| self.index.state(place.pack) < PackState::Gone);
        there.for_each(|place| needs.add(&self.index, place));
        Ok(())
    }

    /// Whether a pack is there without reserve and not on record as damaged.
    pub(super) fn is_reliable(&self, pack: PackOrdinal) -> bool {
        let damaged = self.index.pack(pack).is_some_and(|pack| self.damaged.contains(&pack.id));
        self.index.state(pack) == PackState::Live && !damaged
    }

    /// Takes packs that this run has written, which no listing shows yet, and the packs that it moved.
    pub(super) fn adopt(&mut self, segment: &IndexSegment, moved: impl IntoIterator<Item = ObjectId>) -> Result<()> {
        self.index.add(segment)?;
        self.own.extend(segment.packs.iter().filter(|pack| !pack.moved).map(|pack| pack.id));
        self.moved.extend(moved);
        Ok(())
    }

    /// Whether a snapshot names a pack in its usage list.
    pub(super) fn is_used(&self, pack: &ObjectId) -> bool {
        self.used.contains_key(pack)
    }

    /// Whether a pack is in the store.
    fn is_there(&self, pack: &ObjectId) -> bool {
        self.packs.contains_key(pack) || self.own.contains(pack)
    }

    /// Whether nobody can destroy a pack yet: hiding it would free nothing.
    pub(super) fn is_locked(&self, pack: &ObjectId) -> bool {
        self.index.locked_until(pack).is_some_and(|until| until > self.now)
    }

    /// Whether a pack in the store must stay.
    pub(super) fn must_stay(&self, pack: &ObjectId, needs: &Needs) -> bool {
        self.is_locked(pack) || self.is_wanted(pack, needs)
    }

    /// Whether a snapshot or a run at work needs a pack.
    pub(super) fn is_wanted(&self, pack: &ObjectId, needs: &Needs) -> bool {
        self.pinned.contains(pack)
            || match self.index.ordinal(pack) {
                Some(ordinal) if !self.undecided.contains_key(pack) => needs.of(ordinal).is_some(),
                _ => self.used.contains_key(pack),
            }
    }

    /// Parity whose pack is gone: one that the index describes was asked for by its name, and no writer takes that long for another.
    pub(super) fn stray_parity(&self) -> Vec<StoreKey> {
        let is_known = |pack: &ObjectId| self.index.ordinal(pack).is_some();
        let gone = self.parity.iter().filter(|(pack, _)| !self.packs.contains_key(*pack) && !self.own.contains(*pack));
        let gone = gone.filter(|(pack, object)| is_known(pack) || is_expired(object.modified, self.now));
        gone.map(|(_, object)| object.key.clone()).collect()
    }

    /// Whether a snapshot or a run at work needs an escrowed connector.
    pub(super) fn needs_connector(&self, name: &ObjectId) -> bool {
        self.pinned.contains(name) || self.read_by.contains(name)
    }

    /// Whether a usage list or an intent names a pack, so that its description is needed.
    pub(super) fn is_named(&self, pack: &ObjectId) -> bool {
        self.used.contains_key(pack) || self.pinned.contains(pack)
    }
}

impl Needs {
    /// The needed blobs of a pack; `None` when there is none.
    pub(super) fn of(&self, pack: PackOrdinal) -> Option<&Bitmap> {
        self.by_pack.get(pack.0 as usize)?.as_ref()
    }

    pub(super) fn add(&mut self, index: &BlobIndex, place: &BlobPlace) {
        if let (Some(slot), Some(pack)) = (self.by_pack.get_mut(place.pack.0 as usize), index.pack(place.pack)) {
            slot.get_or_insert_with(|| Bitmap::new(pack.blob_count)).set(place.position);
        }
    }
}

fn described<'a>(index: &'a BlobIndex, pack: &ObjectId) -> Option<&'a IndexedPack> {
    index.ordinal(pack).and_then(|ordinal| index.pack(ordinal))
}

fn nowhere(id: &ChunkId) -> Damage {
    let detail = format!("no pack in the store holds chunk {id}, which snapshots use");
    Damage::of_chunk("index", DamageKind::Missing, *id, detail)
}

fn object_id(handle: &SnapshotHandle) -> ObjectId {
    ObjectId::new(*handle.snapshot.id.as_bytes())
}
