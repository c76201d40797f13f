//! Tags that snapshots were given, or lost, after they were made.
//!
//! A snapshot never changes: its writer's chain and, where there is one, a signature cover it. So a later tag is a claim in a note (`FORMAT.md`,
//! "Note"): of that snapshot, this tag, set or not, at that time. For each tag the latest claim counts, and of two at one moment that it is set. Two
//! machines that edit at once therefore end up with the same, whatever the order in which their notes are read. An edit needs no leave to delete
//! anything, and a note is locked like all else where the repository locks.
//!
//! A claim could take away the tag that keeps a snapshot from `prune`, so only notes count that were sealed with the keys of a reader. Times are
//! those of the machine that edits, in whole seconds, and later than each claim that they answer.
//!
//! Owned here: these notes, and which of several claims holds. Refused here: which tags matter (`retention`, `SnapshotFilter`), which
//! snapshots are meant. Called by whoever shows, filters or prunes by tags, by `sync`, which carries claims, by `repair` and `gc`.
//! Bound: some 150 bytes a claim; a note makes [`EDITS_IN_NOTE`] at most.

use std::collections::{BTreeMap, BTreeSet};

use credenza_format::{Fact, ObjectKind, TAG_BYTES_MAX, TagEdit};
use credenza_model::{ObjectId, SnapshotId, StoreKey, Timestamp};

use crate::notes::{self, put_note};
use crate::repository::{Repository, SnapshotHandle, Snapshots};
use crate::{Damage, Error, Result};

/// Claims that one note makes at most.
const EDITS_IN_NOTE: usize = 1 << 15;
/// Notes that are left alone.
const NOTES_MAX: usize = 16;

/// What is to become of the tags of some snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Tags that they are to have, each of 1 to 1,024 bytes.
    pub add: Vec<String>,
    /// Tags that they are not to have.
    pub remove: Vec<String>,
}

/// The tags of one snapshot after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// All its tags.
    pub tags: Vec<String>,
    /// Whether they were others before.
    pub is_changed: bool,
}

/// All claims on tags in a repository.
#[derive(Debug, Default)]
pub struct TagEdits {
    /// The claim that counts, by snapshot and tag.
    claims: BTreeMap<(SnapshotId, String), Claim>,
    /// The notes that make them.
    notes: Vec<ObjectId>,
    /// Notes that cannot be read: what they say is unknown.
    unreadable: Vec<Damage>,
}

/// Ordered by time, then set after unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    at: i64,
    is_set: bool,
}

impl TagEdits {
    /// Reads all claims: two listings, and one request for each note that the cache does not have.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer. A damaged note is no error until it matters
    /// ([`require_whole`](Self::require_whole)).
    pub async fn load(repository: &Repository) -> Result<Self> {
        let mut edits = Self::default();
        notes::read(repository, repository.store(), |id, fact| edits.take(id, fact)).await?;
        Ok(edits)
    }

    /// Takes a note; whether others may have been merged into it.
    fn take(&mut self, id: ObjectId, fact: Result<Fact, Damage>) -> bool {
        match fact {
            Ok(Fact::Tags { edits }) => {
                self.notes.push(id);
                edits.into_iter().for_each(|edit| self.hear(edit));
                true
            }
            Ok(_) => false,
            Err(damage) => {
                self.unreadable.push(damage);
                false
            }
        }
    }

    fn hear(&mut self, TagEdit { snapshot, tag, is_set, at }: TagEdit) {
        let claim = Claim { at: at.seconds, is_set };
        let last = self.claims.entry((snapshot, tag)).or_insert(claim);
        *last = claim.max(*last);
    }

    /// Demands that nothing is unknown of the tags: whoever removes snapshots by their tags must not miss one.
    ///
    /// # Errors
    /// [`Error::Damage`] names a note that cannot be read.
    pub fn require_whole(&self) -> Result<()> {
        self.unreadable.first().map_or(Ok(()), |damage| {
            let detail = format!("{}; it may say which tags snapshots were given", damage.detail);
            Err(Error::Damage(Damage { detail, ..damage.clone() }))
        })
    }

    /// A snapshot with the tags that it has now: those that it was made with come first.
    #[must_use]
    pub fn applied(&self, mut handle: SnapshotHandle) -> SnapshotHandle {
        let id = handle.snapshot.id;
        let tags = &mut handle.snapshot.tags;
        for ((_, tag), claim) in self.of(id) {
            match (claim.is_set, tags.iter().any(|had| had == tag)) {
                (true, false) => tags.push(tag.clone()),
                (false, true) => tags.retain(|had| had != tag),
                _ => {}
            }
        }
        handle
    }

    /// The same of all.
    #[must_use]
    pub fn apply(&self, snapshots: Snapshots) -> Snapshots {
        let whole = snapshots.whole.into_iter().map(|handle| self.applied(handle)).collect();
        Snapshots { whole, ..snapshots }
    }

    fn of(&self, snapshot: SnapshotId) -> impl Iterator<Item = (&(SnapshotId, String), &Claim)> {
        self.claims.range((snapshot, String::new())..).take_while(move |((id, _), _)| *id == snapshot)
    }

    fn get(&self, snapshot: SnapshotId, tag: &str) -> Option<&Claim> {
        self.claims.get(&(snapshot, tag.to_owned()))
    }

    /// The claims of another repository on these snapshots that this one has not heard of, or only earlier ones.
    fn unheard(&self, others: &Self, snapshots: &BTreeSet<SnapshotId>) -> Vec<TagEdit> {
        let meant = others.claims.iter().filter(|((id, _), _)| snapshots.contains(id));
        let unheard = meant.filter(|((id, tag), claim)| self.get(*id, tag).is_none_or(|known| known < *claim));
        unheard.map(edit_of).collect()
    }

    /// Makes one record of many notes, without claims on snapshots that are not `kept`; the objects that may be deleted now that it is there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn merge(
        &self,
        repository: &Repository,
        kept: impl Fn(&SnapshotId) -> bool,
    ) -> Result<Vec<StoreKey>> {
        if self.notes.len() <= NOTES_MAX {
            return Ok(Vec::new());
        }
        let edits: Vec<TagEdit> = self.claims.iter().filter(|((id, _), _)| kept(id)).map(edit_of).collect();
        put_notes(repository, "maintain", &edits).await?;
        Ok(self.notes.iter().map(|note| ObjectKind::Note.store_key(*note)).collect())
    }
}

fn edit_of(((snapshot, tag), claim): (&(SnapshotId, String), &Claim)) -> TagEdit {
    let at = Timestamp { seconds: claim.at, nanoseconds: 0 };
    TagEdit { snapshot: *snapshot, tag: tag.clone(), is_set: claim.is_set, at }
}

/// Changes tags; what they are already is not put on record again. Of a tag that is to be added and removed, it is added.
///
/// # Errors
/// [`Error::InvalidTag`]; and when the store cannot be written: then nothing has changed.
pub async fn edit(repository: &Repository, snapshots: &[SnapshotHandle], change: &Change) -> Result<Vec<Tagged>> {
    repository.require_primary("changing tags")?;
    let mut known = TagEdits::load(repository).await?;
    let added: BTreeSet<&str> = change.add.iter().map(String::as_str).collect();
    let removed: BTreeSet<&str> = change.remove.iter().map(String::as_str).filter(|tag| !added.contains(tag)).collect();
    if let Some(tag) = added.iter().chain(&removed).find(|tag| tag.is_empty() || tag.len() > TAG_BYTES_MAX) {
        return Err(Error::InvalidTag { bytes: tag.len(), bytes_max: TAG_BYTES_MAX });
    }
    let now = repository.clock().now().wall.seconds;
    let wanted = added.iter().map(|tag| (*tag, true)).chain(removed.iter().map(|tag| (*tag, false)));
    let wanted: Vec<(&str, bool)> = wanted.collect();
    let mut edits = Vec::new();
    for handle in snapshots {
        let SnapshotHandle { snapshot, .. } = known.applied(handle.clone());
        let others = wanted.iter().filter(|(tag, is_set)| snapshot.tags.iter().any(|had| had == tag) != *is_set);
        edits.extend(others.map(|(tag, is_set)| {
            let after = known.get(snapshot.id, tag).map_or(now, |claim| now.max(claim.at.saturating_add(1)));
            let at = Timestamp { seconds: after, nanoseconds: 0 };
            TagEdit { snapshot: snapshot.id, tag: (*tag).to_owned(), is_set: *is_set, at }
        }));
    }
    put_notes(repository, "tag", &edits).await?;
    let changed: BTreeSet<SnapshotId> = edits.iter().map(|edit| edit.snapshot).collect();
    edits.into_iter().for_each(|edit| known.hear(edit));
    let tagged = snapshots.iter().map(|handle| {
        let snapshot = known.applied(handle.clone()).snapshot;
        Tagged { snapshot: snapshot.id, is_changed: changed.contains(&snapshot.id), tags: snapshot.tags }
    });
    Ok(tagged.collect())
}

/// Carries what `origin` says of the tags of these snapshots to `target`, where a later claim holds; how many claims were new there.
///
/// # Errors
/// When `origin` cannot be read, or `target` not be written.
pub(crate) async fn carry(origin: &TagEdits, target: &Repository, snapshots: &BTreeSet<SnapshotId>) -> Result<u64> {
    if origin.claims.is_empty() {
        return Ok(0);
    }
    let edits = TagEdits::load(target).await?.unheard(origin, snapshots);
    put_notes(target, "sync", &edits).await?;
    Ok(edits.len() as u64)
}

/// Puts claims, in as many notes as it takes; nothing where there are none.
async fn put_notes(repository: &Repository, doing: &str, edits: &[TagEdit]) -> Result<()> {
    if edits.is_empty() {
        return Ok(());
    }
    let retain_until = repository.lock_until().await?;
    for edits in edits.chunks(EDITS_IN_NOTE) {
        let fact = Fact::Tags { edits: edits.to_vec() };
        put_note(repository, doing, fact, retain_until).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
