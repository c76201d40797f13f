//! Usage lists that cannot be read: what they said follows from the trees of their snapshots, most of the time to the byte.
//!
//! Not so where a chunk has several places, or a run had packed what it did not use in the end. Then the snapshot, which names
//! its list by a digest, can have no other, and needs a replacement.

use std::cell::RefCell;
use std::sync::Arc;

use credenza_connect::{Payload, PutOptions};
use credenza_format::{BlobIndex, ObjectKind, Usage, body_digest, seal_document};
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
            let (usage, complete) = used(loader, handle).await?;
            let exact = complete && body_digest(&usage.encode()?) == handle.snapshot.usage;
            users.add(snapshot, usage.clone());
            rebuilt.push(Rebuilt { snapshot, usage, exact });
        }
    }
    Ok(rebuilt)
}

/// What a snapshot uses, and whether that is all of it.
async fn used(loader: &Arc<BlobLoader>, handle: &SnapshotHandle) -> Result<(Usage, bool)> {
    let (marks, mut complete) = (RefCell::new(UsageMap::default()), true);
    let mark = |id: &ChunkId| mark(&marks, loader.index(), id);
    let mut walk = Walk::new(Arc::clone(loader), &handle.snapshot.tree);
    while let Some(step) = walk.next().await? {
        match step {
            Step::Inner(node) => complete &= mark(&node),
            Step::Leaf(node, records) => {
                complete &= mark(&node);
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

fn mark(marks: &RefCell<UsageMap>, index: &BlobIndex, id: &ChunkId) -> bool {
    let place = index.get(id);
    place.iter().for_each(|place| marks.borrow_mut().mark(index, place));
    place.is_some()
}

fn list_of(snapshot: SnapshotId) -> StoreKey {
    ObjectKind::Usage.store_key(ObjectId::new(*snapshot.as_bytes()))
}
