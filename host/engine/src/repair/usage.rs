//! Usage lists that cannot be read: what they said follows from the trees of their snapshots, most of the time to the byte.
//!
//! Not so where a chunk has several places, or a run had packed what it did not use in the end. Then the snapshot, which names
//! its list by a digest, can have no other, and needs a replacement.

use std::cell::RefCell;
use std::sync::Arc;

use credenza_connect::{Payload, PutOptions};
use credenza_format::{BlobIndex, BlobPlace, ObjectKind, Usage, seal_document};
use credenza_model::{ChunkId, ObjectId, SnapshotId, StoreKey};

use super::walk::{Step, Walk};
use crate::blobs::BlobLoader;
use crate::check::Users;
use crate::contents::ContentChunks;
use crate::findings::Findings;
use crate::repository::{Repository, SnapshotHandle};
use crate::write::UsageMap;
use crate::{Error, Result};

/// What a damaged list must have said.
pub(super) struct Rebuilt {
    pub(super) snapshot: SnapshotId,
    usage: Usage,
    /// It is the list that the snapshot names.
    pub(super) exact: bool,
}

impl Rebuilt {
    pub(super) fn key(&self) -> StoreKey {
        list_of(self.snapshot)
    }

    /// Puts the list in the place of the damaged one.
    pub(super) async fn put(&self, repository: &Repository) -> Result<()> {
        let id = ObjectId::new(*self.snapshot.as_bytes());
        let sealed = seal_document(repository.keys(), ObjectKind::Usage, id, &self.usage.encode()?)?;
        let (key, sha256) = (sealed.key().clone(), *sealed.sha256());
        let payload = Payload::new(sealed.into_pieces()).with_sha256(sha256);
        let (retain_until, hint) = (repository.lock_until().await?, ObjectKind::Usage.folder().to_owned());
        let options = PutOptions { retain_until, hint, ..PutOptions::default() };
        let put = repository.store().put(&key, payload, &options).await;
        put.map(drop).map_err(Error::connector(format!("writing `{key}` to the repository")))
    }
}

/// Rebuilds the lists that something is wrong with, and takes them among the users.
pub(super) async fn rebuild(
    loader: &Arc<BlobLoader>,
    snapshots: &[SnapshotHandle],
    findings: &Findings<'_>,
    users: &mut Users,
) -> Result<Vec<Rebuilt>> {
    let mut rebuilt = Vec::new();
    for handle in snapshots {
        let snapshot = handle.snapshot.id;
        let key = list_of(snapshot);
        if findings.iter().any(|finding| finding.damage.object == key.as_str()) {
            rebuilt.push(tell(loader, handle).await?);
        }
    }
    rebuilt.iter().for_each(|rebuilt: &Rebuilt| users.add(rebuilt.snapshot, rebuilt.usage.clone()));
    Ok(rebuilt)
}

/// Which place of a chunk a list names.
type Choose = fn(&BlobIndex, &ChunkId) -> credenza_format::Result<Option<BlobPlace>>;

/// The list of a snapshot that was committed before a repack names the packs that were moved since.
async fn tell(loader: &Arc<BlobLoader>, handle: &SnapshotHandle) -> Result<Rebuilt> {
    let snapshot = handle.snapshot.id;
    let exact = |(usage, complete): &(Usage, bool)| -> Result<bool> {
        Ok(*complete && usage.digest()? == handle.snapshot.usage)
    };
    let now = used(loader, handle, BlobIndex::get).await?;
    if exact(&now)? {
        return Ok(Rebuilt { snapshot, usage: now.0, exact: true });
    }
    let before = used(loader, handle, before_moved).await?;
    let exact = exact(&before)?;
    Ok(Rebuilt { snapshot, usage: if exact { before.0 } else { now.0 }, exact })
}

/// The place of a chunk in a pack that was moved, if it is or was in one, else its best.
fn before_moved(index: &BlobIndex, id: &ChunkId) -> credenza_format::Result<Option<BlobPlace>> {
    let Some(best) = index.get(id)? else { return Ok(None) };
    let was_moved = |place: &BlobPlace| index.pack(place.pack).is_some_and(|pack| pack.moved);
    Ok(Some(index.places(id)?.into_iter().find(was_moved).unwrap_or(best)))
}

/// What a snapshot uses, and whether that is all of it.
async fn used(loader: &Arc<BlobLoader>, handle: &SnapshotHandle, choose: Choose) -> Result<(Usage, bool)> {
    let (marks, mut complete) = (RefCell::new(UsageMap::default()), true);
    let mark = |id: &ChunkId| {
        let place = choose(loader.index(), id)?;
        place.iter().for_each(|place| marks.borrow_mut().mark(loader.index(), place));
        Ok(place.is_some())
    };
    let mut walk = Walk::new(Arc::clone(loader), &handle.snapshot.tree);
    while let Some(step) = walk.next().await? {
        match step {
            Step::Inner(node) => complete &= mark(&node)?,
            Step::Leaf(node, records) => {
                complete &= mark(&node)?;
                for record in records {
                    let claimed = ContentChunks::new(Arc::clone(loader), &record.content).claim_all(mark).await;
                    complete &= claimed.or_else(|cause| match cause {
                        Error::Damage(_) => Ok(false),
                        cause => Err(cause),
                    })?;
                }
            }
            Step::Gap(_) => complete = false,
        }
    }
    Ok((marks.into_inner().to_usage(), complete))
}

fn list_of(snapshot: SnapshotId) -> StoreKey {
    ObjectKind::Usage.store_key(ObjectId::new(*snapshot.as_bytes()))
}
