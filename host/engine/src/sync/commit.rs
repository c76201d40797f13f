//! What of a snapshot that was carried is the target's, and what stays as its writer wrote it.

use credenza_connect::ErrorClass;
use credenza_format::{
    ChainLink, EscrowedConnector, ObjectKind, Origin, PacksRelied, SigningKey, Snapshot, TreeRoot, Usage, body_digest,
};
use credenza_model::{ObjectId, SnapshotId};
use std::sync::Arc;

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
    tree: TreeRoot,
) -> Result<()> {
    let original = &handle.snapshot;
    let draft = Draft { id: original.id, chain, signing_key, connector, stop };
    let make = |usage: &Usage, _, link: ChainLink| {
        Ok(Snapshot {
            tree,
            usage: body_digest(&usage.encode()?),
            packs: PacksRelied { count: usage.packs.len() as u64, digest: usage.packs_digest() },
            writer: link.writer,
            sequence: link.sequence,
            previous: link.previous,
            signer: None,
            origin: original.origin.or(Some(Origin {
                writer: original.writer,
                sequence: original.sequence,
                stored: handle.stored,
            })),
            ..original.clone()
        })
    };
    write::commit(target, dedup, draft, make).await.map(drop)
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

/// Removes the usage list that a run left which ended just before it committed this snapshot: names are never written twice.
pub(super) async fn remove_leftover(target: &Repository, id: SnapshotId) -> Result<()> {
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
