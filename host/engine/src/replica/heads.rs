//! The heads of an origin in notes of its replica: which note counts, what the origin has lost since, and writing the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use credenza_format::{Digest, Fact, Hex, OriginHead, PublicKey, Replica, SigningKey};
use credenza_model::{RepositoryId, SnapshotId, Timestamp};

use super::Role;
use crate::Result;
use crate::latest::later;
use crate::notes::{self, put_note};
use crate::repository::{Repository, Snapshots};

/// What a replica keeps of its origin.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeptHeads {
    /// The origin.
    pub origin: RepositoryId,
    /// When the origin looked so, by its store's clock; each later note of one origin has a later time. Whoever remembers it can tell that the replica itself
    /// was rolled back.
    pub as_of: Timestamp,
    /// Writers whose newest snapshot is kept.
    pub writers: usize,
    /// Who vouches for them.
    pub signer: Option<PublicKey>,
}

impl KeptHeads {
    pub(super) fn of(replica: &Replica) -> Self {
        let Replica { origin, as_of, heads, signer, .. } = replica;
        Self { origin: *origin, as_of: *as_of, writers: heads.len(), signer: *signer }
    }
}

/// What became of a writer's newest snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "became", rename_all = "kebab-case")]
pub enum Became {
    /// The chain ends before it.
    Cut {
        /// The newest number that is left; none where nothing is.
        newest: Option<u64>,
    },
    /// The chain goes on without it: another is in its place, or none.
    Replaced,
}

/// A snapshot that the origin had and has no more, and no record says that it was removed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Retreat {
    /// The origin.
    pub origin: RepositoryId,
    /// Who had committed it there.
    pub writer: Hex<[u8; 16]>,
    /// Its number among the writer's.
    pub sequence: u64,
    /// Its id, where the replica has it.
    pub snapshot: Option<SnapshotId>,
    /// When it was there, by the clock of the origin's store.
    pub as_of: Timestamp,
    /// What is there instead.
    #[serde(flatten)]
    pub became: Became,
}

impl Display for Retreat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, writer, sequence, snapshot, as_of, became } = self;
        write!(
            f,
            "repository {origin} was rolled back or cut: on {as_of} it had number {sequence} of writer {writer}, "
        )?;
        match became {
            Became::Cut { newest: Some(newest) } => write!(f, "now that writer's newest is number {newest}")?,
            Became::Cut { newest: None } => f.write_str("now it has nothing of that writer")?,
            Became::Replaced => f.write_str("now another stands in its place")?,
        }
        f.write_str(", and no record says that it was removed; ")?;
        match snapshot {
            Some(snapshot) => write!(f, "the replica has it as {snapshot}"),
            None => f.write_str("the replica does not have it"),
        }
    }
}

/// The notes about the origin of a replica.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    newest: Option<Replica>,
}

impl Heads {
    /// Reads the notes: two listings, and one request for each note that the cache does not have. Those about another origin than the repository's do not count,
    /// and where somebody is trusted, only those that they signed.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub(crate) async fn load(repository: &Repository, trusted: &[PublicKey]) -> Result<Self> {
        let meant = origin_of(repository);
        let mut newest = None;
        let is_meant = |replica: &Replica| meant.is_none_or(|origin| origin == replica.origin);
        let is_trusted =
            |replica: &Replica| trusted.is_empty() || replica.signer.is_some_and(|signer| trusted.contains(&signer));
        notes::read(repository, repository.store(), |id, fact| match fact {
            Ok(Fact::Replica(replica)) if is_meant(&replica) && is_trusted(&replica) => {
                newest = Some(later(newest.take(), (replica, id), |replica| replica.as_of).0);
                true
            }
            // One that cannot be read is named by `check`.
            Ok(_) | Err(_) => false,
        })
        .await?;
        Ok(Self { newest: newest.map(|(replica, _)| replica) })
    }

    /// The latest.
    pub(crate) const fn newest(&self) -> Option<&Replica> {
        self.newest.as_ref()
    }
}

/// The origin whose heads a repository keeps.
fn origin_of(repository: &Repository) -> Option<RepositoryId> {
    repository.role().map(|role| match role {
        Role::Replica { origin, .. } | Role::Promoted { origin, .. } => origin,
    })
}

/// What a replica, or one that was promoted, keeps of its origin: two listings, and one request for each note that the cache does not have.
///
/// # Errors
/// When the store cannot be read, or with the keys of a writer.
pub async fn kept(repository: &Repository, trusted: &[PublicKey]) -> Result<Option<KeptHeads>> {
    if repository.role().is_none() {
        return Ok(None);
    }
    Ok(Heads::load(repository, trusted).await?.newest().map(KeptHeads::of))
}

/// The newest snapshot of each writer, by writer. Parts are none: they are never carried, and a merge takes them away.
pub(super) fn of(snapshots: &Snapshots) -> Vec<OriginHead> {
    let mut heads: BTreeMap<[u8; 16], OriginHead> = BTreeMap::new();
    for handle in &snapshots.whole {
        let (writer, sequence) = (handle.snapshot.writer, handle.snapshot.sequence);
        let head = OriginHead { writer, sequence, digest: handle.digest };
        let newest = heads.entry(writer.0).or_insert(head);
        if (newest.sequence, newest.digest) < (sequence, handle.digest) {
            *newest = head;
        }
    }
    heads.into_values().collect()
}

/// The heads kept that the origin lacks. Its records of removal are read only when one does.
pub(super) async fn retreats(
    kept: &Replica,
    (origin, there): (&Repository, &Snapshots),
    target: &Repository,
) -> Result<Vec<Retreat>> {
    let live: BTreeSet<([u8; 16], u64, Digest)> =
        there.everything().map(|handle| (handle.snapshot.writer.0, handle.snapshot.sequence, handle.digest)).collect();
    let lacking = |head: &&OriginHead| !live.contains(&(head.writer.0, head.sequence, head.digest));
    let lost: Vec<&OriginHead> = kept.heads.iter().filter(lacking).collect();
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    let mut removed = BTreeSet::new();
    for removal in origin.removals_at_hand().await? {
        removed.extend(removal.snapshots.iter().map(|gone| (gone.writer.0, gone.sequence, gone.digest)));
    }
    let here = target.snapshots().await?;
    let twin = |head: &OriginHead| {
        let is_twin =
            |origin: &credenza_format::Origin| (origin.writer, origin.sequence) == (head.writer, head.sequence);
        // A place that a removed one has left is taken by the next.
        let twin = here.whole.iter().rfind(|handle| handle.snapshot.origin.as_ref().is_some_and(is_twin));
        twin.map(|handle| handle.snapshot.id)
    };
    let unaccounted = |head: &&&OriginHead| !removed.contains(&(head.writer.0, head.sequence, head.digest));
    let name = |snapshot: SnapshotId| format!("snapshot/{snapshot}");
    let held: BTreeSet<String> = here.whole.iter().map(|handle| name(handle.snapshot.id)).collect();
    let damaged = there.damaged.iter().map(|damaged| &damaged.damage.object);
    let is_damaged = |twin: Option<SnapshotId>| match twin.map(name) {
        Some(name) => damaged.clone().any(|damaged| *damaged == name),
        // The replica does not have it: nothing tells that it is none of those which cannot be read. When these are mended or gone, it is told.
        None => damaged.clone().any(|damaged| !held.contains(damaged)),
    };
    let retreat = |head: &&OriginHead| {
        let newest =
            live.iter().filter(|(writer, ..)| *writer == head.writer.0).map(|(_, sequence, _)| *sequence).max();
        let became = match newest {
            Some(newest) if newest >= head.sequence => Became::Replaced,
            newest => Became::Cut { newest },
        };
        let OriginHead { writer, sequence, .. } = **head;
        Retreat { origin: kept.origin, writer, sequence, snapshot: twin(head), as_of: kept.as_of, became }
    };
    let retreats = lost.iter().filter(unaccounted).map(retreat);
    // One that is there and cannot be read is damage, which is told as such.
    Ok(retreats.filter(|retreat| !is_damaged(retreat.snapshot)).collect())
}

/// Writes the note of heads that are others than before. Its time is that of the origin's newest snapshot, and later than that of the note before in any case.
pub(super) async fn put(
    origin: RepositoryId,
    (there, heads): (&Snapshots, Vec<OriginHead>),
    known: &Heads,
    target: &Repository,
    signing_key: Option<&SigningKey>,
) -> Result<KeptHeads> {
    let newest = there.everything().filter_map(|handle| handle.stored).max();
    let after = known.newest().filter(|kept| kept.origin == origin).map(|kept| just_after(kept.as_of));
    let as_of = newest.max(after).unwrap_or_else(|| super::now(target));
    let replica = Replica { origin, as_of, heads, signer: None, signature: None };
    let replica = match signing_key {
        Some(key) => replica.signed(key),
        None => replica,
    };
    let kept = KeptHeads::of(&replica);
    let retain_until = target.lock_until().await?;
    put_note(target, "replica", Fact::Replica(replica), retain_until).await?;
    Ok(kept)
}

const fn just_after(time: Timestamp) -> Timestamp {
    match time.nanoseconds {
        0..=999_999_998 => Timestamp { nanoseconds: time.nanoseconds + 1, ..time },
        _ => Timestamp { seconds: time.seconds.saturating_add(1), nanoseconds: 0 },
    }
}
