//! Flags: what a guard thinks of snapshots. A suspect one may hold what an attacker left of its source, and nothing of that source is removed by a policy
//! until somebody has looked.
//!
//! A snapshot never changes, so a flag is a claim in a note (`FORMAT.md`, "Note"), and every machine reads it. Of each snapshot the latest claim counts, and
//! of two at one moment that it is suspect. A claim could let go what is to stay, so only notes count that were sealed with the keys of a reader; and that a
//! snapshot is cleared counts only of the very object that was looked at. Times are those of the machine that claims, in whole seconds, and later than each
//! claim that they answer.
//!
//! Owned here: these notes, and which of several claims holds. Refused here: what is suspect (`turnover` measures, `app` judges), and what follows from it
//! (`retention`). Called by whoever shows, prunes or clears, by `sync` and `repair`, which carry claims. Bound: some 1,200 bytes a note.

use std::collections::{BTreeMap, BTreeSet};

use credenza_format::{
    Digest, Fact, Header, Keying, NOTE_TEXT_BYTES_MAX, Note, ObjectKind, Verdict, open_document, seal_document,
};
use credenza_model::{ObjectId, SnapshotId, Timestamp};

use crate::repository::{Repository, SnapshotHandle, Snapshots, random_id};
use crate::write::put;
use crate::{Damage, Error, Result};

/// What was claimed of a snapshot last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Whether it is suspect, or was looked at since.
    pub verdict: Verdict,
    /// Why, for a person; at most 1,024 bytes.
    pub reason: String,
    /// When, in whole seconds, by the clock of the machine that says so.
    pub at: Timestamp,
    /// SHA-256 of the object that it is about.
    digest: Digest,
}

/// All flags of a repository.
#[derive(Debug, Default)]
pub struct Flags {
    latest: BTreeMap<SnapshotId, Flag>,
    /// Notes that cannot be read: what they say is unknown.
    unreadable: Vec<Damage>,
}

impl Flag {
    /// Later ones come behind, and of one moment that which is suspect.
    const fn rank(&self) -> (i64, bool) {
        (self.at.seconds, matches!(self.verdict, Verdict::Suspect))
    }

    /// Whether it says that a snapshot is as it should be, of that very object.
    fn clears(&self, handle: &SnapshotHandle) -> bool {
        self.verdict == Verdict::Cleared && self.digest == handle.digest
    }
}

impl Flags {
    /// Reads all flags: a listing, and one request for each note that the cache does not have.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer. A damaged note is no error until it matters ([`require_whole`](Self::require_whole)).
    pub async fn load(repository: &Repository) -> Result<Self> {
        let open = |id, bytes: Vec<u8>| {
            let header = Header::decode(&bytes);
            let body = open_document(repository.keys(), ObjectKind::Note, id, bytes)?;
            Ok((header?.keying(), Note::decode(&body)?))
        };
        let mut flags = Self::default();
        for document in repository.documents_opened(repository.store(), ObjectKind::Note, &open).await? {
            match document.body {
                Ok((Keying::Derived, note)) => flags.take(note),
                Ok(_) => {}
                Err(damage) => flags.unreadable.push(damage),
            }
        }
        Ok(flags)
    }

    fn take(&mut self, note: Note) {
        if let Fact::Flag { snapshot, digest, verdict, reason } = note.fact {
            self.hear(snapshot, Flag { verdict, reason, at: note.created, digest });
        }
    }

    fn hear(&mut self, snapshot: SnapshotId, flag: Flag) {
        let is_later = self.latest.get(&snapshot).is_none_or(|known| known.rank() < flag.rank());
        if is_later {
            self.latest.insert(snapshot, flag);
        }
    }

    /// Demands that nothing is unknown: whoever removes snapshots must not miss that a source is suspect.
    ///
    /// # Errors
    /// [`Error::Damage`] names a note that cannot be read.
    pub fn require_whole(&self) -> Result<()> {
        self.unreadable.first().map_or(Ok(()), |damage| {
            let detail = format!("{}; it may say which snapshots are suspect", damage.detail);
            Err(Error::Damage(Damage { detail, ..damage.clone() }))
        })
    }

    /// The latest flag of a snapshot.
    #[must_use]
    pub fn of(&self, handle: &SnapshotHandle) -> Option<&Flag> {
        self.latest.get(&handle.snapshot.id)
    }

    /// The flag by which a snapshot is suspect, if it is.
    #[must_use]
    pub fn suspicion(&self, handle: &SnapshotHandle) -> Option<&Flag> {
        self.of(handle).filter(|flag| !flag.clears(handle))
    }

    /// The snapshots that are suspect, in the order in which they stand.
    pub fn suspects<'a>(&'a self, snapshots: &'a Snapshots) -> impl Iterator<Item = (&'a SnapshotHandle, &'a Flag)> {
        snapshots.whole.iter().filter_map(|handle| Some((handle, self.suspicion(handle)?)))
    }

    /// The identities of the sources that have a suspect snapshot.
    #[must_use]
    pub fn sources(&self, snapshots: &Snapshots) -> BTreeSet<String> {
        self.suspects(snapshots).map(|(handle, _)| handle.snapshot.source.identity.clone()).collect()
    }
}

/// Claims something of a snapshot. A longer reason than there is room for is cut.
///
/// # Errors
/// When the flags cannot be read or the store not be written, and with the keys of a writer, whose claims count for nothing.
pub async fn put_flag(repository: &Repository, handle: &SnapshotHandle, verdict: Verdict, reason: &str) -> Result<()> {
    repository.require_reading("flagging a snapshot")?;
    let flags = Flags::load(repository).await?;
    let now = repository.clock().now().wall.seconds;
    let seconds = flags.of(handle).map_or(now, |known| now.max(known.at.seconds.saturating_add(1)));
    let (verdict, reason) = (verdict, cut(reason).to_owned());
    let flag = Flag { verdict, reason, at: Timestamp { seconds, nanoseconds: 0 }, digest: handle.digest };
    put_note(repository, handle.snapshot.id, flag).await
}

/// Carries what `origin` says of snapshots to their twins at `target`, where it is not known yet or only an earlier claim is. That it was looked at is said
/// again of a twin that is another object than the one that the same claim is about there: it was lost, and was brought back.
///
/// # Errors
/// When the target cannot be read or written.
pub(crate) async fn carry(origin: &Flags, target: &Repository, carried: &BTreeSet<SnapshotId>) -> Result<()> {
    let meant: Vec<_> = origin.latest.iter().filter(|(id, _)| carried.contains(id)).collect();
    if meant.is_empty() {
        return Ok(());
    }
    let (known, there) = (Flags::load(target).await?, target.snapshots().await?);
    for (id, flag) in meant {
        let Some(twin) = there.whole.iter().find(|handle| handle.snapshot.id == *id) else { continue };
        let flag = Flag { digest: twin.digest, ..flag.clone() };
        match known.of(twin) {
            Some(known) if known.rank() > flag.rank() => {}
            Some(known) if known.rank() == flag.rank() => {
                if flag.verdict == Verdict::Cleared && known.digest != twin.digest {
                    let at = Timestamp { seconds: flag.at.seconds.saturating_add(1), ..flag.at };
                    put_note(target, *id, Flag { at, ..flag }).await?;
                }
            }
            _ => put_note(target, *id, flag).await?,
        }
    }
    Ok(())
}

async fn put_note(repository: &Repository, snapshot: SnapshotId, flag: Flag) -> Result<()> {
    let Flag { verdict, reason, at, digest } = flag;
    let fact = Fact::Flag { snapshot, digest, verdict, reason };
    let note = Note { created: at, writer: repository.writer("", "guard"), fact };
    let id = ObjectId::new(random_id()?);
    let sealed = seal_document(repository.keys(), ObjectKind::Note, id, &note.encode()?)?;
    put(&**repository.bare_store(), sealed, repository.lock_until().await?).await.map(drop)
}

/// As much of a reason as a note has room for.
fn cut(reason: &str) -> &str {
    let end = reason.floor_char_boundary(NOTE_TEXT_BYTES_MAX);
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
