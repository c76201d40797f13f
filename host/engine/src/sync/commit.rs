//! What of a snapshot that was carried is the target's, and what stays as its writer wrote it.

use credenza_connect::ErrorClass;
use credenza_format::{
    BlobIndex, BlobPlace, ChainLink, EscrowedConnector, ObjectKind, Origin, PackState, SigningKey, Snapshot, TreeRoot,
    Usage,
};
use credenza_model::{ObjectId, SnapshotId};
use std::sync::Arc;

use super::index::TargetIndex;
use crate::clock::is_expired;
use crate::repository::{Chain, Repository, SnapshotHandle};
use crate::write::{self, Deduplicator, Draft};
use crate::{Damage, DamageKind, Error, Result, Stop};

/// Commits a carried snapshot. Tree, usage, packs and the place in a chain are the target's, where whoever syncs is the writer; id, source, times, tags
/// and figures are the original's.
pub(super) async fn commit(
    target: &Repository,
    dedup: &Arc<Deduplicator>,
    (chain, signing_key, stop): (&mut Chain, Option<SigningKey>, &Stop),
    (handle, connector): (&SnapshotHandle, Option<(&EscrowedConnector, bool)>),
    (tree, adopted): (TreeRoot, Option<Usage>),
) -> Result<()> {
    let draft = Draft { id: handle.snapshot.id, chain, signing_key, connector, adopted, is_carried: true, stop };
    write::commit(target, dedup, draft, copy_of(handle, tree)).await.map(drop)
}

/// Commits one of several snapshots that were settled together, with what it relies on.
pub(super) async fn commit_member(
    target: &Repository,
    dedup: &Arc<Deduplicator>,
    (chain, signing_key, stop): (&mut Chain, Option<SigningKey>, &Stop),
    handle: &SnapshotHandle,
    (tree, usage): (TreeRoot, &Usage),
) -> Result<()> {
    let draft =
        Draft { id: handle.snapshot.id, chain, signing_key, connector: None, adopted: None, is_carried: true, stop };
    write::commit_member(target, dedup, draft, usage, copy_of(handle, tree)).await
}

/// What a snapshot says at the target.
fn copy_of(handle: &SnapshotHandle, tree: TreeRoot) -> impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot> {
    let original = &handle.snapshot;
    move |usage: &Usage, _, link: ChainLink| {
        let carried = Snapshot {
            tree,
            origin: original.origin.or(Some(Origin {
                writer: original.writer,
                sequence: original.sequence,
                stored: handle.stored,
            })),
            ..original.clone()
        };
        Ok(carried.committed(link, usage)?)
    }
}

/// Whether a name of this snapshot is taken: its id is the original's, so that another run that carries it writes under the same names.
pub(super) fn is_taken(damage: &Damage, id: SnapshotId) -> bool {
    let object = ObjectId::new(*id.as_bytes());
    let names = [ObjectKind::Usage.store_key(object), ObjectKind::Snapshot.store_key(object)];
    damage.kind == DamageKind::Corrupt && names.iter().any(|name| name.as_str() == damage.object)
}

/// Requires that the other run has committed the snapshot.
pub(super) async fn require_committed(target: &Repository, id: SnapshotId) -> Result<()> {
    let key = ObjectKind::Snapshot.store_key(ObjectId::new(*id.as_bytes()));
    match target.stated_links(vec![key]).await?.len() {
        1 => Ok(()),
        _ => Err(Error::CarriedByOther { snapshot: id }),
    }
}

/// The usage list that is in the target for a snapshot which is not there. A run that ended just before its commit has left it, or one is about to
/// commit: nothing tells which. So it is adopted where it can be, and whoever commits, the snapshot states the list that is there.
///
/// Nothing comes back where the run is to put its own: the list is gone, or it was removed since nobody relies on it any more.
///
/// # Errors
/// [`Error::CarriedByOther`] when it cannot be relied on and whoever put it may still be at work. [`Error::Conflict`] when the snapshot was committed
/// meanwhile.
pub(super) async fn adopt(
    target: &Repository,
    index: &mut TargetIndex<'_>,
    (id, tree): (SnapshotId, &TreeRoot),
) -> Result<Option<Usage>> {
    let object = ObjectId::new(*id.as_bytes());
    let Some(body) = target.body(target.store(), ObjectKind::Usage, object).await? else { return Ok(None) };
    // One that cannot be read makes no snapshot whole.
    let Some((usage, body)) = body.ok().and_then(|body| Some((Usage::decode(&body).ok()?, body))) else {
        return remove_leftover(target, id).await.map(|()| None);
    };
    let key = ObjectKind::Usage.store_key(object);
    let modified = match target.store().stat(&key).await {
        Ok(found) => found.modified,
        Err(cause) if cause.class == ErrorClass::NotFound => return Ok(None),
        Err(cause) => return Err(Error::connector(format!("looking at `{key}`"))(cause)),
    };
    let now = target.store_time().await?;
    let expired = modified.and(now).map(|now| is_expired(modified, now));
    // Collectors remove one that has outlived its lease.
    if expired == Some(true) {
        return remove_leftover(target, id).await.map(|()| None);
    }
    // Whoever put the list had described all of its packs before.
    index.renew().await?;
    if usage.encode()? == body && is_reliable(&usage, &index.current(), tree)? {
        return Ok(Some(usage));
    }
    match expired {
        Some(_) => Err(Error::CarriedByOther { snapshot: id }),
        // Where the store tells no time it would stay for ever.
        None => remove_leftover(target, id).await.map(|()| None),
    }
}

/// Whether a snapshot of that tree may rely on a list: it was made for this root, and each of its packs is there and not condemned.
fn is_reliable(usage: &Usage, index: &BlobIndex, tree: &TreeRoot) -> Result<bool> {
    let is_used = |place: &BlobPlace| {
        let pack = index.pack(place.pack);
        pack.is_some_and(|pack| usage.packs.iter().any(|one| one.pack == pack.id && one.used.get(place.position)))
    };
    let is_alive = |pack: &ObjectId| index.ordinal(pack).is_some_and(|pack| index.state(pack) < PackState::Condemned);
    let is_rooted = tree.entries == 0 || index.places(&tree.id)?.iter().any(is_used);
    Ok(is_rooted && usage.packs.iter().all(|one| is_alive(&one.pack)))
}

/// Removes the usage list of a snapshot that is not there: names are never written twice.
async fn remove_leftover(target: &Repository, id: SnapshotId) -> Result<()> {
    let object = ObjectId::new(*id.as_bytes());
    if target.stated_links(vec![ObjectKind::Snapshot.store_key(object)]).await?.len() == 1 {
        // Another run has committed it meanwhile, and relies on the list.
        return Err(Error::Conflict { packs: 0 });
    }
    let key = ObjectKind::Usage.store_key(object);
    let doing = || Error::connector(format!("removing `{key}`, which an interrupted sync left"));
    for removed in target.store().delete(std::slice::from_ref(&key)).await.map_err(doing())? {
        match removed {
            Err(cause) if cause.class != ErrorClass::NotFound => return Err(doing()(cause)),
            _ => {}
        }
    }
    Ok(())
}
