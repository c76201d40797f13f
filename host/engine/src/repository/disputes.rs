//! Disputes: packs that index segments describe in more than one way. Whoever has a writer's keys may put any segment; a pack says itself, by the table that was
//! sealed into it, which of its descriptions holds.
//!
//! Owned here: which hold, and which segments say what does not. A pack that is gone, or whose table cannot be opened (by a writer none can), decides nothing:
//! all descriptions of it are kept beside each other, and nobody relies on it anew. Called by `index`.
//!
//! Bound: [`UNDECIDED_BLOBS_MAX`] blobs of descriptions, 52 bytes each, and some 100 bytes for each description that holds. Requests: each segment that describes such a
//! pack once more, and two or three for each pack.

use std::collections::{HashMap, HashSet};

use credenza_connect::{ErrorClass, StoredObject};
use credenza_format::{Layout, PackKind, PackRecord};
use credenza_model::{ObjectId, StoreKey};

use super::Repository;
use super::tables::{by_table, digest};
use crate::{Damage, DamageKind, Error, Result};

/// Blobs of descriptions that are kept of packs which decide nothing: 52 MB.
const UNDECIDED_BLOBS_MAX: usize = 1 << 20;
/// Versions of one pack that are looked into.
const VERSIONS_MAX: usize = 8;

/// What a description says.
#[derive(PartialEq, Eq)]
struct Said {
    layout: Layout,
    sha256: [u8; 32],
    version: Option<String>,
}

impl Said {
    fn by(pack: &PackRecord) -> Self {
        Self { layout: Layout::of(pack), sha256: pack.sha256, version: pack.version.clone() }
    }
}

/// Which descriptions of disputed packs hold.
#[derive(Default)]
pub(super) struct Verdicts {
    /// Of each pack that says it; none may.
    holding: HashMap<ObjectId, Vec<Said>>,
    /// What is said of packs that decide nothing; nothing where that is too much.
    undecided: HashMap<ObjectId, Vec<PackRecord>>,
}

impl Verdicts {
    /// Whether a pack says otherwise.
    pub(super) fn refutes(&self, pack: &PackRecord) -> bool {
        self.holding.get(&pack.id).is_some_and(|holding| !holding.contains(&Said::by(pack)))
    }

    /// Whether no pack said anything.
    pub(super) fn is_empty(&self) -> bool {
        self.holding.is_empty()
    }

    pub(super) fn into_undecided(self) -> HashMap<ObjectId, Vec<PackRecord>> {
        self.undecided
    }
}

impl Repository {
    /// Asks packs that are disputed which of the descriptions in some segments hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn judge(&self, disputed: HashSet<ObjectId>, segments: &[ObjectId]) -> Result<Verdicts> {
        let mut asked: HashMap<ObjectId, Asked<'_>> = HashMap::new();
        let (mut undecided, mut blobs) = (HashMap::<_, Vec<PackRecord>>::new(), 0);
        for id in segments {
            // One that is gone was merged, or was not there long enough to count.
            let Some(segment) = self.segment(*id).await? else { continue };
            for mut pack in segment.packs.into_iter().filter(|pack| disputed.contains(&pack.id)) {
                self.strip_version(&mut pack);
                let asked = asked.entry(pack.id).or_insert_with(|| Asked::new(self));
                asked.hear(&pack).await?;
                let known = undecided.entry(pack.id).or_default();
                if !asked.speaks() && !known.contains(&pack) {
                    blobs += pack.blobs.len();
                    known.push(pack);
                }
                if blobs > UNDECIDED_BLOBS_MAX {
                    // Too little is known of any of them to tell which.
                    undecided.values_mut().for_each(Vec::clear);
                }
            }
        }
        let mut holding = HashMap::new();
        for (pack, asked) in asked.into_iter().filter(|(_, asked)| asked.speaks()) {
            undecided.remove(&pack);
            holding.insert(pack, asked.end().await?);
        }
        Ok(Verdicts { holding, undecided })
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
    tables: HashMap<(PackKind, u64, Option<String>), Option<Layout>>,
    holding: Vec<Said>,
    /// One of those that hold.
    example: Option<PackRecord>,
}

impl<'a> Asked<'a> {
    fn new(repository: &'a Repository) -> Self {
        Self { repository, there: HashMap::new(), tables: HashMap::new(), holding: Vec::new(), example: None }
    }

    /// Whether any table of the pack was opened.
    fn speaks(&self) -> bool {
        self.tables.values().any(Option::is_some)
    }

    /// Compares a description with the table of what it is of.
    async fn hear(&mut self, pack: &PackRecord) -> Result<()> {
        let said = Said::by(pack);
        if self.table(pack).await? == Some(said.layout) && !self.holding.contains(&said) {
            self.holding.push(said);
            self.example.get_or_insert_with(|| PackRecord { blobs: Vec::new(), ..pack.clone() });
        }
        Ok(())
    }

    /// What the table says of what a description is of; `None` where that is not there or cannot be opened.
    async fn table(&mut self, pack: &PackRecord) -> Result<Option<Layout>> {
        let (kind, version) = (pack.kind, pack.version.clone());
        let key = kind.object_kind().store_key(pack.id);
        if !self.there.contains_key(&kind) {
            self.there.insert(kind, self.repository.stat_now(&key).await?);
        }
        let now = self.there.get(&kind).cloned().flatten();
        let is_now = version.is_none() || now.as_ref().is_some_and(|now| now.version == version);
        let object = match now {
            Some(now) if is_now => now,
            None if is_now => return Ok(None),
            now => StoredObject { size: pack.size, version, ..now.unwrap_or_else(|| nameless(key)) },
        };
        let place = (kind, object.size, object.version.clone());
        if !self.tables.contains_key(&place) {
            // Whoever may name versions that are not there may name any number.
            if !is_now && self.tables.len() >= VERSIONS_MAX {
                return Ok(None);
            }
            let table = match by_table(self.repository, &object, object.version.clone(), None).await {
                // So do servers answer to names that no version of theirs can have.
                Err(Error::Connector { cause, .. })
                    if !is_now && matches!(cause.class, ErrorClass::Unsupported | ErrorClass::Configuration) =>
                {
                    None
                }
                table => table?,
            };
            self.tables.insert(place.clone(), table.as_ref().map(Layout::of));
        }
        Ok(self.tables.get(&place).copied().flatten())
    }

    /// Those that hold. Where they state other digests, those that state that of the bytes, if these are whole.
    async fn end(mut self) -> Result<Vec<Said>> {
        let differ = self.holding.iter().zip(self.holding.iter().skip(1)).any(|(one, next)| one.sha256 != next.sha256);
        if let Some(pack) = self.example.filter(|_| differ)
            && let Some(sha256) = digest(self.repository, &pack).await?
        {
            self.holding.retain(|said| said.version != pack.version || said.sha256 == sha256);
        }
        Ok(self.holding)
    }
}

fn nameless(key: StoreKey) -> StoredObject {
    StoredObject { key, size: 0, modified: None, tag: None, version: None, retain_until: None }
}

/// The damage of a segment that says of a pack what that refutes.
pub(super) fn refuted(segment: &StoreKey, pack: &ObjectId) -> Damage {
    Damage::new(segment, DamageKind::Invalid, format!("it describes pack {pack} otherwise than that does itself"))
}
