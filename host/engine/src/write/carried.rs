//! A name that another run may write at the same moment: a carried snapshot has the id of its original, and so has its usage list.
//!
//! Owned here: that a snapshot and the list that it states are one run's where the store puts one object over another (no `If-None-Match`). Refused here:
//! stores that refuse a name that is taken, which need none of this. Called by `commit`.
//!
//! Whoever put the snapshot last puts its list again if another's lies there. Before that, nothing is put over a snapshot that is whole.

use credenza_connect::Payload;
use credenza_format::{Digest, ObjectKind, OpenedSnapshot, SealedObject, open_snapshot};
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use super::Deduplicator;
use super::put::name_taken;
use crate::Result;
use crate::repository::{Repository, SnapshotHandle, fetch};

/// Requires that no other run has committed this snapshot.
///
/// # Errors
/// Damage to the name where one has, and the list that it states is there.
pub(super) async fn require_free(repository: &Repository, id: SnapshotId) -> Result<()> {
    let key = ObjectKind::Snapshot.store_key(ObjectId::new(*id.as_bytes()));
    let Some(Ok(bytes)) = fetch(&**repository.bare_store(), &key).await? else { return Ok(()) };
    let Ok(OpenedSnapshot { snapshot, digest }) = open_snapshot(repository.keys(), id, bytes.into()) else {
        return Ok(());
    };
    match repository.usage(&SnapshotHandle { snapshot, stored: None, digest }).await {
        Ok(Some(_)) => Err(name_taken(&key)),
        _ => Ok(()),
    }
}

/// Sees to it that the snapshot which is there and the list that it states are one run's.
///
/// # Errors
/// Damage to the name where another run has put its snapshot over this one: it sees to its list itself.
pub(super) async fn see_to_list(
    repository: &Repository,
    dedup: &Deduplicator,
    (snapshot, digest): (&StoreKey, &Digest),
    usage: Option<SealedObject>,
) -> Result<()> {
    // One that is gone was removed.
    if is_another(repository, snapshot, &digest.0).await? {
        return Err(name_taken(snapshot));
    }
    let Some(usage) = usage else { return Ok(()) };
    if is_another(repository, usage.key(), usage.sha256()).await? {
        dedup.record().put(usage).await?;
    }
    Ok(())
}

async fn is_another(repository: &Repository, key: &StoreKey, sha256: &[u8; 32]) -> Result<bool> {
    let found = fetch(&**repository.bare_store(), key).await?;
    Ok(found.is_some_and(|found| found.is_ok_and(|bytes| Payload::new(vec![bytes]).sha256() != *sha256)))
}
