//! Survey: what `check` finds, and what helps to mend it.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_format::{
    BlobIndex, Error as FormatError, IndexSegment, Intent, Note, ObjectKind, PackOrdinal, PackRecord, PackState,
    open_document, open_snapshot,
};
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use super::RepairOptions;
use super::adopt::{self, Adopted};
use super::usage::{self, Rebuilt};
use crate::blobs::BlobLoader;
use crate::check::{self, Look, Reading, Users};
use crate::findings::{Finding, Findings};
use crate::health::Health;
use crate::liveness::Liveness;
use crate::repository::{NOT_READ, Repository, SnapshotHandle, digest, fetch};
use crate::{Damage, DamageKind, Error, Event, Listener, Phase, Result};

/// What there is and what is wrong with it.
pub(super) struct Survey {
    /// With the packs that no segment describes; those that are not there are gone.
    pub(super) index: Arc<BlobIndex>,
    pub(super) snapshots: Vec<SnapshotHandle>,
    pub(super) users: Users,
    /// Packs in need that no segment describes.
    pub(super) found: Vec<PackRecord>,
    /// Packs that intents name.
    pub(super) pinned: HashSet<ObjectId>,
    /// Packs that records condemn.
    pub(super) condemned: HashSet<ObjectId>,
    /// What damaged usage lists must have said.
    pub(super) rebuilt: Vec<Rebuilt>,
    /// What cannot be read, or lies, and is to be dropped.
    pub(super) ruined: Vec<(ObjectKind, StoreKey)>,
    /// What index segments that lie say beside it, each with the id of its segment.
    pub(super) rest: Vec<(ObjectId, IndexSegment)>,
    pub(super) findings: Vec<Finding>,
    /// What is on record of the bytes of packs.
    pub(super) health: Health,
    /// Packs that were read now and are whole.
    pub(super) whole: Vec<ObjectId>,
}

impl Survey {
    /// Reads a cautious repository.
    pub(super) async fn read(
        repository: &Repository,
        options: &RepairOptions,
        listener: &dyn Listener,
    ) -> Result<Self> {
        listener.on(Event::Phase { phase: Phase::CheckingStructure });
        let mut findings = Findings::new(listener);
        let Look { mut index, snapshots, mut users, packs, health, .. } =
            check::look(repository, &mut findings).await?;
        let pinned = pinned(repository).await?;
        let condemned = match repository.condemned().await {
            Err(Error::Damage(_)) => HashSet::new(),
            other => other?,
        };
        let missing = findings.iter().filter(|finding| finding.damage.kind == DamageKind::Missing);
        let missing: Vec<ObjectId> = missing.filter_map(pack).collect();
        expect_packs_gone(repository, &index, &missing).await?;
        for pack in missing {
            if !is_healed(repository, &index, &pack).await? {
                index.demote(&pack, PackState::Gone);
            }
        }
        // A segment that cannot be read may have described what running writers rely on.
        let segment_lost = findings.iter().any(|finding| is_of(finding, ObjectKind::Index));
        let mut found = Vec::new();
        for object in &packs.undescribed {
            let Some(adopted) = adopt::describe(repository, object).await? else { continue };
            let pack = &adopted.pack;
            index.add_pack(pack)?;
            let in_need = users.of(&pack.id).is_some() || segment_lost && pinned.contains(&pack.id);
            if !in_need {
                // It may be a running writer's: it is relied on where nothing else holds a chunk.
                index.demote(&pack.id, PackState::Condemned);
            }
            found.push((adopted, in_need));
        }
        let index = Arc::new(index);
        let loader = repository.loader_from(repository.bare_store(), Arc::clone(&index));
        let rebuilt = usage::rebuild(&loader, &snapshots, &findings, &mut users).await?;
        check::trees(Arc::clone(&loader), &snapshots, &mut findings).await?;
        let damaged = health.damaged_packs();
        let is_doubtful = |pack: &PackOrdinal| index.pack(*pack).is_some_and(|pack| damaged.contains(&pack.id));
        let read: Vec<PackOrdinal> =
            packs.present.iter().filter(|pack| options.read_data || is_doubtful(pack)).copied().collect();
        let mut whole = Vec::new();
        if !read.is_empty() {
            listener.on(Event::Phase { phase: Phase::CheckingData });
            let liveness = Liveness::begin("repository", repository.clock());
            let mut reading = Reading::default();
            let sizes = read.iter().filter_map(|pack| index.pack(*pack)).map(|pack| pack.size);
            findings.expect(read.len() as u64, sizes.sum());
            let found = (&mut findings, &mut reading);
            check::verify((repository, Some(&liveness), check::PACKS_IN_FLIGHT), &index, &read, &users, found).await?;
            whole = reading.whole;
        }
        check::add_healed(repository, &users, &mut findings);
        let mut ruined = ruined(repository, &findings, options).await?;
        let rest = rest_of_lies(repository, &index, &findings, &mut ruined).await?;
        let found = found.into_iter().filter(|(adopted, in_need)| *in_need || users.of(&adopted.pack.id).is_some());
        let found = digested(repository, found.map(|(adopted, _)| adopted).collect(), &users, &mut findings).await?;
        let findings = findings.into_list();
        Ok(Self { index, snapshots, users, found, pinned, condemned, rebuilt, ruined, rest, findings, health, whole })
    }

    pub(super) fn loader(&self, repository: &Repository) -> Arc<BlobLoader> {
        repository.loader_from(repository.bare_store(), Arc::clone(&self.index))
    }

    /// The packs that something is wrong with, as the index describes them. Not those that the store fails to give for now: nothing is known of
    /// their bytes, and they may be whole.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn damaged_packs(&self) -> Result<Vec<PackRecord>> {
        let known = self.findings.iter().filter(|finding| finding.damage.kind != DamageKind::Unreadable);
        let ordinals: HashSet<PackOrdinal> =
            known.filter_map(pack).filter_map(|pack| self.index.ordinal(&pack)).collect();
        let mut packs = check::described(&self.index, &ordinals.into_iter().collect::<Vec<_>>())?;
        packs.sort_unstable_by_key(|pack| pack.id);
        Ok(packs)
    }
}

/// Whether a pack that is not there can be read by its parity, as one of a single segment can.
async fn is_healed(repository: &Repository, index: &BlobIndex, pack: &ObjectId) -> Result<bool> {
    let Some(pack) = index.ordinal(pack).and_then(|ordinal| index.pack(ordinal)) else { return Ok(false) };
    let damage = Damage::new(&pack.store_key(), DamageKind::Missing, "the pack is not in the store");
    Ok(repository.heal(&pack.into(), &damage).await?.is_some())
}

/// Demands that packs which a listing does not show are not there: what is in them would be given up.
async fn expect_packs_gone(repository: &Repository, index: &BlobIndex, missing: &[ObjectId]) -> Result<()> {
    let described = missing.iter().filter_map(|pack| index.pack(index.ordinal(pack)?));
    for (folder, pack) in described.map(|pack| (pack.kind.object_kind().folder(), pack.store_key())) {
        repository.expect_gone(&format!("{folder}/"), vec![pack]).await?;
    }
    Ok(())
}

/// The object that a finding is about.
fn object(finding: &Finding) -> Option<(ObjectKind, ObjectId, StoreKey)> {
    let key = StoreKey::new(finding.damage.object.clone()).ok()?;
    let (kind, id) = ObjectKind::parse(&key)?;
    Some((kind, id, key))
}

/// Whether a finding is about an index segment.
pub(super) fn is_of_index(finding: &Finding) -> bool {
    is_of(finding, ObjectKind::Index)
}

fn is_of(finding: &Finding, kind: ObjectKind) -> bool {
    object(finding).is_some_and(|(found, ..)| found == kind)
}

/// The pack that a finding is about.
fn pack(finding: &Finding) -> Option<ObjectId> {
    let (kind, id, _) = object(finding)?;
    matches!(kind, ObjectKind::DataPack | ObjectKind::MetaPack).then_some(id)
}

/// Packs that running writers rely on, and dead ones did. A damaged intent is a finding of its own.
async fn pinned(repository: &Repository) -> Result<HashSet<ObjectId>> {
    let documents = repository.documents(repository.bare_store(), ObjectKind::Intent).await?;
    let intents = documents.into_iter().filter_map(|document| Intent::decode(&document.body.ok()?).ok());
    Ok(intents.flat_map(|intent| intent.packs).collect())
}

/// Completes descriptions; the damage of packs that are not whole is a finding more.
async fn digested(
    repository: &Repository,
    adopted: Vec<Adopted>,
    users: &Users,
    findings: &mut Findings<'_>,
) -> Result<Vec<PackRecord>> {
    let mut packs = Vec::with_capacity(adopted.len());
    for Adopted { mut pack, is_healed } in adopted {
        let detail = if is_healed {
            Some("its bytes are not those that were written; what is read of it is whole by its parity")
        } else if pack.sha256 != NOT_READ {
            None
        } else if let Some(sha256) = digest(repository, &pack).await? {
            pack.sha256 = sha256;
            None
        } else {
            Some("its bytes are not those that were written")
        };
        if let Some(detail) = detail {
            let key = pack.kind.object_kind().store_key(pack.id);
            findings.add(Damage::new(&key, DamageKind::Corrupt, detail), users.affected(&pack.id));
        }
        packs.push(pack);
    }
    Ok(packs)
}

/// Objects that nobody can read, of kinds that are dropped then: not those that a later program may have written, and notes only where
/// everything was read that they may have said something of.
async fn ruined(
    repository: &Repository,
    findings: &Findings<'_>,
    options: &RepairOptions,
) -> Result<Vec<(ObjectKind, StoreKey)>> {
    let mut ruined = Vec::new();
    for (kind, id, key) in findings.iter().filter_map(object) {
        let is_droppable = match kind {
            ObjectKind::Index | ObjectKind::Condemned => true,
            ObjectKind::Snapshot => options.drop_snapshots,
            ObjectKind::Note => options.read_data,
            _ => false,
        };
        if is_droppable && is_ruined(repository, (kind, id), &key).await? {
            ruined.push((kind, key));
        }
    }
    Ok(ruined)
}

/// Index segments that can be read and of which something is found all the same: a pack refutes what they say of it. They are dropped; what they say beside
/// that comes back.
async fn rest_of_lies(
    repository: &Repository,
    index: &BlobIndex,
    findings: &Findings<'_>,
    ruined: &mut Vec<(ObjectKind, StoreKey)>,
) -> Result<Vec<(ObjectId, IndexSegment)>> {
    let mut rest = Vec::new();
    for (_, id, key) in findings.iter().filter_map(object).filter(|(kind, ..)| *kind == ObjectKind::Index) {
        if ruined.iter().any(|(_, ruined)| *ruined == key) {
            continue;
        }
        if let Ok(Some(mut segment)) = repository.segment(id).await {
            segment.packs.retain(|pack| !index.contradicts(pack));
            ruined.push((ObjectKind::Index, key));
            rest.push((id, segment));
        }
    }
    Ok(rest)
}

async fn is_ruined(repository: &Repository, (kind, id): (ObjectKind, ObjectId), key: &StoreKey) -> Result<bool> {
    let bytes = match fetch(&**repository.bare_store(), key).await? {
        None => return Ok(false),
        Some(Err(_)) => return Ok(true),
        Some(Ok(bytes)) => bytes.into(),
    };
    let opened = match kind {
        ObjectKind::Snapshot => open_snapshot(repository.keys(), SnapshotId::new(*id.as_bytes()), bytes).map(drop),
        ObjectKind::Note => {
            open_document(repository.keys(), kind, id, bytes).and_then(|body| Note::decode(&body)).map(drop)
        }
        kind => open_document(repository.keys(), kind, id, bytes).map(drop),
    };
    Ok(!matches!(opened, Ok(()) | Err(FormatError::Unknown { .. })))
}
