//! Proof: whether the packs that a copy needs are at the target, as they were written.
//!
//! It is asked of the target alone and of what is on record there (`health`), so that it holds for every machine. [`Prove::List`] takes a pack that is listed in
//! its right size; [`Prove::Read`] one that was read whole after it was written and was not found damaged since.
//!
//! Owned here: that, and reading what was never read. Refused here: reading again in turn (`check`), trials (`drill`).
//!
//! A pack whose contents were moved need not be there: what a copy needs of it is proven in the packs that it lies in now.
//!
//! Bound: the index, an id for each pack of the target, a bit for each blob of those that are not proven, and what `check` holds of the packs that are read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use credenza_format::{Bitmap, BlobIndex, IndexedPack, ObjectKind, PackOrdinal, PackState, PackUsage};
use credenza_model::ObjectId;

use crate::check::{self, PACKS_IN_FLIGHT, Reading, Users};
use crate::findings::{Finding, Findings};
use crate::health::Health;
use crate::repository::{Repository, SnapshotHandle, list};
use crate::{Error, Event, Phase, Result, RunContext};

/// What proves a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prove {
    /// It is listed, in its right size.
    List,
    /// It was read whole, and nothing was found since.
    Read,
}

/// The packs of a target that are proven.
#[derive(Debug)]
pub struct Proofs {
    packs: HashSet<ObjectId>,
    /// Of each other pack, its blobs that lie in no pack that is proven.
    lacking: HashMap<ObjectId, Bitmap>,
}

/// How far the copies in a target are proven.
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    /// The newest snapshot that is proven together with all that are older; nothing where the oldest is not.
    pub until: Option<&'a SnapshotHandle>,
    /// Snapshots that are not proven.
    pub unproven: u64,
}

impl Proofs {
    /// Asks which packs are proven: by listing all of them, or by what is on record.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub async fn load(target: &Repository, prove: Prove) -> Result<Self> {
        match prove {
            Prove::List => {
                let index = target.index_for_reading().await?;
                let mut sizes = HashMap::new();
                for kind in [ObjectKind::DataPack, ObjectKind::MetaPack] {
                    let listed = list(&**target.bare_store(), &format!("{}/", kind.folder())).await?;
                    sizes.extend(listed.into_iter().map(|object| (object.key, object.size)));
                }
                Self::of(&index, |pack| sizes.get(&pack.store_key()) == Some(&pack.size))
            }
            Prove::Read => {
                let health = Health::load(target).await?;
                let damaged = health.damaged_packs();
                let index = target.index_for_reading().await?;
                let is_read = |pack: &IndexedPack| health.read_at(&pack.id).is_some() && !damaged.contains(&pack.id);
                Self::of(&index, is_read)
            }
        }
    }

    fn of(index: &BlobIndex, is_proven: impl Fn(&IndexedPack) -> bool) -> Result<Self> {
        let (mut packs, mut lacking) = (HashSet::new(), HashMap::new());
        for pack in index.packs() {
            if is_proven(pack) {
                packs.insert(pack.id);
            } else {
                lacking.insert(pack.id, Bitmap::new(pack.blob_count));
            }
        }
        if !lacking.is_empty() {
            for known in index.iter() {
                let (id, place) = known?;
                let Some(lacking) = index.pack(place.pack).and_then(|pack| lacking.get_mut(&pack.id)) else { continue };
                let places = index.places(&id)?;
                let mut others = places.iter().filter_map(|other| index.pack(other.pack));
                if !others.any(|other| packs.contains(&other.id)) {
                    lacking.set(place.position);
                }
            }
        }
        Ok(Self { packs, lacking })
    }

    /// Whether all that a snapshot of the target needs lies in packs that are proven.
    ///
    /// # Errors
    /// When its usage list cannot be read, or is damaged.
    pub async fn cover(&self, target: &Repository, handle: &SnapshotHandle) -> Result<bool> {
        let usage = target.usage(handle).await?;
        Ok(usage.is_some_and(|usage| usage.packs.iter().all(|one| self.covers(one))))
    }

    fn covers(&self, PackUsage { pack, used }: &PackUsage) -> bool {
        let lies_elsewhere =
            |lacking: &Bitmap| !(0..used.length()).any(|position| used.get(position) && lacking.get(position));
        self.packs.contains(pack) || self.lacking.get(pack).is_some_and(lies_elsewhere)
    }

    /// How far these snapshots of the target, given the oldest first, are proven. One whose usage list is damaged is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn proven<'a>(
        &self,
        target: &Repository,
        handles: impl IntoIterator<Item = &'a SnapshotHandle>,
    ) -> Result<Proven<'a>> {
        let mut proven = Proven { until: None, unproven: 0 };
        for handle in handles {
            let is_proven = match self.cover(target, handle).await {
                Err(Error::Damage(_)) => false,
                answer => answer?,
            };
            match is_proven {
                true if proven.unproven == 0 => proven.until = Some(handle),
                true => {}
                false => proven.unproven += 1,
            }
        }
        Ok(proven)
    }
}

/// What a reading of new packs found.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// Packs that were read.
    pub packs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is damaged.
    pub findings: Vec<Finding>,
}

/// Reads the packs that these snapshots of the target need and that were never read whole, and puts on record there what it found.
///
/// # Errors
/// When the store cannot be read or written, with the keys of a writer, or it was to stop: what was read until then is on record.
pub async fn read_new(target: &Repository, handles: &[SnapshotHandle], run: &RunContext) -> Result<Proof> {
    let mut users = Users::default();
    for handle in handles {
        if let Some(usage) = run.stop.unless(Box::pin(target.usage(handle))).await?? {
            users.add(handle.snapshot.id, usage);
        }
    }
    let mut health = Health::load(target).await?;
    let damaged = health.damaged_packs();
    let index = Arc::new(target.index_for_reading().await?);
    let is_new =
        |pack: &ObjectId| users.of(pack).is_some() && (health.read_at(pack).is_none() || damaged.contains(pack));
    let numbered = (0..).map(PackOrdinal).zip(index.packs());
    let new = numbered.filter(|(ordinal, pack)| index.state(*ordinal) < PackState::Gone && is_new(&pack.id));
    let new: Vec<PackOrdinal> = new.map(|(ordinal, _)| ordinal).collect();
    let mut findings = Findings::new(&*run.events);
    let mut reading = Reading::default();
    run.events.on(Event::Phase { phase: Phase::CheckingData });
    let bytes = new.iter().filter_map(|ordinal| index.pack(*ordinal)).map(|pack| pack.size).sum();
    findings.expect(new.len() as u64, bytes);
    let work = check::verify((target, None, PACKS_IN_FLIGHT), &index, &new, &users, (&mut findings, &mut reading));
    let read = run.stop.unless(Box::pin(work)).await.flatten();
    let damages = findings.iter().map(|finding| &finding.damage);
    let recorded = health.record(target, damages, &reading.whole).await;
    read?;
    recorded?;
    Ok(Proof { packs: reading.whole.len() as u64, bytes, findings: findings.into_list() })
}
