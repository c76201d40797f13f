//! Replicas: a repository that takes its snapshots from another, its origin, and knows how the origin looked when it last did.
//!
//! ```text
//! before a carry   require (the right origin, not promoted) > retreats (are the heads kept still there?)
//! after it         keep_heads: role in the config (the first time) > note of the origin's heads (when they are others)
//! the bad day      promote: role in the config
//! ```
//!
//! The role is in the config, which every command has read: asking costs no request, and no note that somebody puts back changes it. The heads are in a note
//! (`FORMAT.md`, "Note"): the newest snapshot of each writer of the origin. A writer's chain that lacks a head later was cut or rolled back, unless a
//! record of removal at the origin says where it went.
//!
//! Owned here: the rules above, in any place where they can be broken off. Refused here: carrying (`sync`), the config (`repository`), telling (`app`).
//! Called by `sync`, and by whoever replicates, promotes or shows.
//!
//! Bound: the snapshots of both sides, some 60 bytes a writer, and notes while they are read.

mod heads;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use credenza_format::{PublicKey, ReplicaOf, SigningKey};
use credenza_model::{RepositoryId, SnapshotId, Timestamp};

pub use crate::repository::Role;
use heads::Heads;
pub use heads::{Became, KeptHeads, Retreat, kept};

use crate::repository::{Repository, Snapshots};
use crate::{Error, Result};

/// How the heads of an origin are kept.
#[derive(Debug, Clone, Default)]
pub struct KeepOptions {
    /// What vouches for them; `None` leaves them unsigned.
    pub signing_key: Option<SigningKey>,
    /// Whose heads are believed of those that are kept; with nobody named, everybody's who has the repository's keys.
    pub trusted: Vec<PublicKey>,
}

/// What the two sides of a replication have, and the other lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Divided {
    /// Snapshots of the origin that are not at the target.
    pub at_origin: Vec<SnapshotId>,
    /// Snapshots that were made at the target and are not at the origin.
    pub at_target: Vec<SnapshotId>,
}

impl Divided {
    /// Whether both sides have what the other lacks: both were written to.
    #[must_use]
    pub fn is_split(&self) -> bool {
        !self.at_origin.is_empty() && !self.at_target.is_empty()
    }
}

/// The role of a repository, without a request; nothing where it never was a replica.
#[must_use]
pub fn state(repository: &Repository) -> Option<Role> {
    repository.role()
}

/// Requires that a repository takes what is carried from another: any does, but a replica takes from its origin only, and one that was promoted nothing
/// from what was its origin.
///
/// # Errors
/// [`Error::ReplicaOfAnother`], [`Error::Promoted`].
pub fn require(origin: RepositoryId, target: &Repository) -> Result<()> {
    judge(target.role(), origin)
}

fn judge(role: Option<Role>, from: RepositoryId) -> Result<()> {
    match role {
        Some(Role::Replica { origin, .. }) if origin != from => Err(Error::ReplicaOfAnother { origin, other: from }),
        Some(Role::Promoted { origin, at }) if origin == from => Err(Error::Promoted { origin, at }),
        _ => Ok(()),
    }
}

/// A replica as the replication from its origin may treat it: it removes snapshots and reclaims space there, as the policy of the replication says.
///
/// # Errors
/// As [`require`]. One that is no replica is handed back as it is.
pub fn in_charge(origin: &Repository, target: &Repository) -> Result<Repository> {
    require(origin.config().repository, target)?;
    Ok(target.in_charge())
}

/// Heads that the target keeps and the origin has lost: it was cut or rolled back. Costs no request at the origin beyond `there`, its snapshots, as long as
/// none is lost; at the target two listings, and one request for each note that the cache does not have. Only notes signed by `trusted` count, where
/// somebody is named.
///
/// # Errors
/// When either cannot be read, and as [`require`].
pub async fn retreats(
    (origin, there): (&Repository, &Snapshots),
    target: &Repository,
    trusted: &[PublicKey],
) -> Result<Vec<Retreat>> {
    require(origin.config().repository, target)?;
    if target.role().is_none() {
        return Ok(Vec::new());
    }
    let heads = Heads::load(target, trusted).await?;
    let Some(kept) = heads.newest() else { return Ok(Vec::new()) };
    heads::retreats(kept, (origin, there), target).await
}

/// Keeps the heads of the origin in the target, after something was carried. The first time makes a replica of the target: from then on it takes
/// backups no more. Where the heads are those that it keeps, nothing is written.
///
/// Call [`retreats`] before: what the origin has lost is forgotten here.
///
/// # Errors
/// [`Error::OwnSnapshots`] where the target is on its own and has snapshots that the origin lacks, [`Error::OwnReplica`], as [`require`], and when
/// either cannot be read or the target not be written. Broken off anywhere it is done again by the next run.
pub async fn keep_heads(origin: &Repository, target: &Repository, options: &KeepOptions) -> Result<KeptHeads> {
    keep_heads_of((origin, &origin.snapshots().await?), target, options).await
}

/// [`keep_heads`] for whoever has listed the origin's snapshots already.
///
/// # Errors
/// As for it.
pub async fn keep_heads_of(
    (origin, there): (&Repository, &Snapshots),
    target: &Repository,
    options: &KeepOptions,
) -> Result<KeptHeads> {
    let id = origin.config().repository;
    target.require_reading("keeping the heads of an origin")?;
    if id == target.config().repository {
        return Err(Error::OwnReplica { repository: id });
    }
    require(id, target)?;
    let known = Heads::load(target, &options.trusted).await?;
    let heads = heads::of(there);
    if let (Some(Role::Replica { .. }), Some(kept)) = (target.role(), known.newest())
        // One that cannot be read is not gone.
        && (kept.heads == heads || !there.damaged.is_empty())
    {
        return Ok(KeptHeads::of(kept));
    }
    // It may have been promoted since it was opened.
    let now = target.role_now().await?;
    judge(now, id)?;
    if !matches!(now, Some(Role::Replica { .. })) {
        make_replica((id, there), target).await?;
    }
    heads::put(id, (there, heads), &known, target, options.signing_key.as_ref()).await
}

async fn make_replica((origin, there): (RepositoryId, &Snapshots), target: &Repository) -> Result<()> {
    let own = divided(there, &target.snapshots().await?).at_target;
    if !own.is_empty() {
        return Err(Error::OwnSnapshots { origin, snapshots: own.len() as u64 });
    }
    let since = now(target);
    target.set_replica_of(ReplicaOf { origin, since, promoted: None }).await
}

/// Makes a replica a repository on its own: it takes backups from then on, and nothing from what was its origin. What it keeps of the origin stays.
///
/// # Errors
/// [`Error::NoReplica`], [`Error::ConcurrentChange`]. Where it was done before, nothing is written, and the answer says when.
pub async fn promote(replica: &Repository) -> Result<Role> {
    replica.require_reading("promoting a replica")?;
    match replica.role() {
        None => Err(Error::NoReplica { repository: replica.config().repository }),
        Some(done @ Role::Promoted { .. }) => Ok(done),
        Some(Role::Replica { origin, since }) => {
            let at = now(replica);
            replica.set_replica_of(ReplicaOf { origin, since, promoted: Some(at) }).await?;
            Ok(Role::Promoted { origin, at })
        }
    }
}

/// What either side has that the other lacks, of snapshots that were made where they are: after a promotion both may have been written to.
#[must_use]
pub fn divided(origin: &Snapshots, target: &Snapshots) -> Divided {
    let ids = |side: &Snapshots| side.whole.iter().map(|handle| handle.snapshot.id).collect::<BTreeSet<_>>();
    let (there, here) = (ids(origin), ids(target));
    let own =
        target.whole.iter().filter(|handle| handle.snapshot.origin.is_none() && handle.snapshot.replaces.is_none());
    Divided {
        at_origin: there.iter().filter(|id| !here.contains(id)).copied().collect(),
        at_target: own.map(|handle| handle.snapshot.id).filter(|id| !there.contains(id)).collect(),
    }
}

fn now(repository: &Repository) -> Timestamp {
    Timestamp { nanoseconds: 0, ..repository.clock().now().wall }
}
