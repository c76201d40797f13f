//! Disputes: packs that index segments describe in more than one way. Whoever has a writer's keys may put any segment; a pack says itself, by the table that was
//! sealed into it, which of its descriptions holds.
//!
//! Owned here: which hold, and which segments say what does not. A pack that is gone, or whose table cannot be opened (by a writer none can), decides nothing:
//! all descriptions of it are kept beside each other, and nobody relies on it anew. Called by `index`.
//!
//! Bound: [`CANDIDATE_BLOBS_MAX`] blobs of descriptions, 52 bytes each; packs beyond decide nothing. Requests: each segment that describes such a pack once more, and two or
//! three for each pack.

use std::collections::{HashMap, HashSet};

use credenza_connect::StoredObject;
use credenza_format::{Description, PackKind, PackRecord};
use credenza_model::{ObjectId, StoreKey};

use super::Repository;
use super::index::ReadIndex;
use super::tables::{by_table, digest};
use crate::{Damage, DamageKind, Result};

/// Blobs of descriptions that are compared: 52 MB.
const CANDIDATE_BLOBS_MAX: usize = 1 << 20;
/// Versions of one pack, beside the one that is there now, that are looked into.
const VERSIONS_MAX: usize = 8;

/// Which descriptions of disputed packs hold.
#[derive(Default)]
pub(super) struct Verdicts {
    /// Of each pack that says it; none may.
    holding: HashMap<ObjectId, Vec<(Description, Option<String>)>>,
    /// What is said of packs that decide nothing.
    undecided: HashMap<ObjectId, Vec<PackRecord>>,
}

impl Verdicts {
    /// Whether a pack says otherwise.
    pub(super) fn refutes(&self, pack: &PackRecord) -> bool {
        let is_it = |(description, version): &(Description, Option<String>)| {
            *description == Description::of(pack) && *version == pack.version
        };
        self.holding.get(&pack.id).is_some_and(|holding| !holding.iter().any(is_it))
    }

    /// Whether any pack said anything.
    pub(super) fn is_empty(&self) -> bool {
        self.holding.is_empty()
    }

    pub(super) fn into_undecided(self) -> HashMap<ObjectId, Vec<PackRecord>> {
        self.undecided
    }
}

impl Repository {
    /// Asks the packs that are disputed in an index.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn judge(&self, read: &ReadIndex) -> Result<Verdicts> {
        let disputed: HashSet<ObjectId> = read.index.disputed().collect();
        let mut verdicts = Verdicts::default();
        for (pack, candidates) in self.candidates(read, &disputed).await? {
            match self.holding(&candidates).await? {
                Some(holding) => drop(verdicts.holding.insert(pack, holding)),
                None => drop(verdicts.undecided.insert(pack, candidates)),
            }
        }
        // Of these there are more descriptions than are compared.
        for pack in disputed {
            if !verdicts.holding.contains_key(&pack) {
                verdicts.undecided.entry(pack).or_default();
            }
        }
        Ok(verdicts)
    }

    /// Every description of each disputed pack, once.
    async fn candidates(
        &self,
        read: &ReadIndex,
        disputed: &HashSet<ObjectId>,
    ) -> Result<HashMap<ObjectId, Vec<PackRecord>>> {
        let (mut candidates, mut known, mut blobs) = (HashMap::<_, Vec<PackRecord>>::new(), HashSet::new(), 0);
        let mut excess = HashSet::new();
        for info in &read.segments {
            if !info.packs.iter().any(|(pack, _)| disputed.contains(pack)) {
                continue;
            }
            // One that is gone was merged, or was not there long enough to count.
            let Some(segment) = self.segment(info.id).await? else { continue };
            for mut pack in segment.packs.into_iter().filter(|pack| disputed.contains(&pack.id)) {
                self.strip_version(&mut pack);
                if !known.insert((Description::of(&pack), pack.version.clone())) {
                    continue;
                }
                blobs += pack.blobs.len();
                match blobs <= CANDIDATE_BLOBS_MAX {
                    true => candidates.entry(pack.id).or_default().push(pack),
                    false => drop(excess.insert(pack.id)),
                }
            }
        }
        candidates.retain(|pack, _| !excess.contains(pack));
        Ok(candidates)
    }

    /// Which of the descriptions of one pack hold; nothing where the pack does not say.
    async fn holding(&self, candidates: &[PackRecord]) -> Result<Option<Vec<(Description, Option<String>)>>> {
        let mut asked = Asked { repository: self, there: HashMap::new(), tables: HashMap::new() };
        let mut holding: Vec<&PackRecord> = Vec::new();
        for candidate in candidates {
            if asked.tables.len() > VERSIONS_MAX {
                return Ok(None);
            }
            let Some(table) = asked.table(candidate).await? else { continue };
            let (said, stated) = ((table.header, table.size), (candidate.header, candidate.size));
            if said == stated && table.blobs == candidate.blobs {
                holding.push(candidate);
            }
        }
        let speaks = asked.tables.values().any(Option::is_some);
        if holding.iter().any(|one| holding.first().is_some_and(|first| first.sha256 != one.sha256)) {
            self.retain_digest(&mut holding).await?;
        }
        let described = |pack: &&PackRecord| (Description::of(pack), pack.version.clone());
        Ok(speaks.then(|| holding.iter().map(described).collect()))
    }

    /// Keeps those that state the digest of the bytes that are there, if these are whole.
    async fn retain_digest(&self, holding: &mut Vec<&PackRecord>) -> Result<()> {
        let mut right = Vec::new();
        for pack in holding.iter() {
            if digest(self, pack).await? == Some(pack.sha256) {
                right.push(*pack);
            }
        }
        if !right.is_empty() {
            *holding = right;
        }
        Ok(())
    }

    /// A version means nothing where the store keeps none, whoever names it.
    pub(super) fn strip_version(&self, pack: &mut PackRecord) {
        if !self.keeps_versions() {
            pack.version = None;
        }
    }
}

/// One pack that is asked for its table, of the version that is there now and of those that descriptions name.
struct Asked<'a> {
    repository: &'a Repository,
    there: HashMap<PackKind, Option<StoredObject>>,
    tables: HashMap<(PackKind, u64, Option<String>), Option<PackRecord>>,
}

impl Asked<'_> {
    /// The table of what a description is of; `None` where that is not there or cannot be opened.
    async fn table(&mut self, candidate: &PackRecord) -> Result<Option<&PackRecord>> {
        let (kind, version) = (candidate.kind, candidate.version.clone());
        let key = kind.object_kind().store_key(candidate.id);
        if !self.there.contains_key(&kind) {
            self.there.insert(kind, self.repository.stat_now(&key).await?);
        }
        let now = self.there.get(&kind).cloned().flatten();
        let is_now = version.is_none() || now.as_ref().is_some_and(|now| now.version == version);
        let object = match now {
            Some(now) if is_now => now,
            None if is_now => return Ok(None),
            now => StoredObject { size: candidate.size, version, ..now.unwrap_or_else(|| bare(key)) },
        };
        let place = (kind, object.size, object.version.clone());
        if !self.tables.contains_key(&place) {
            let table = by_table(self.repository, &object, object.version.clone(), None).await?;
            self.tables.insert(place.clone(), table);
        }
        Ok(self.tables.get(&place).and_then(Option::as_ref))
    }
}

fn bare(key: StoreKey) -> StoredObject {
    StoredObject { key, size: 0, modified: None, tag: None, version: None, retain_until: None }
}

/// The damage of a segment that says of a pack what that refutes.
pub(super) fn refuted(segment: &StoreKey, pack: &ObjectId) -> Damage {
    Damage::new(segment, DamageKind::Invalid, format!("it describes pack {pack} otherwise than that does itself"))
}
