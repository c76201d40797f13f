//! Remove: snapshots go, the space that they alone use is reclaimed by `collect`.
//!
//! A snapshot goes before its usage list, so that no snapshot that is listed ever lacks one. Called by `cli`.

use credenza_format::ObjectKind;
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use crate::Result;
use crate::collect::delete;
use crate::repository::Repository;

/// What became of a removal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveReport {
    /// Snapshots that are gone.
    pub removed: Vec<SnapshotId>,
    /// Snapshots that the store refused to delete, with its reason.
    pub refused: Vec<(SnapshotId, String)>,
}

/// Removes snapshots; one that is gone already counts as removed.
///
/// # Errors
/// When the store cannot be reached; a refusal of one object is part of the report.
pub async fn run(repository: &Repository, snapshots: &[SnapshotId]) -> Result<RemoveReport> {
    let key = |kind: ObjectKind, id: &SnapshotId| -> StoreKey { kind.store_key(ObjectId::new(*id.as_bytes())) };
    let keys: Vec<StoreKey> = snapshots.iter().map(|id| key(ObjectKind::Snapshot, id)).collect();
    let mut report = RemoveReport::default();
    for (id, result) in snapshots.iter().zip(delete(repository, &keys).await?) {
        match result {
            Ok(()) => report.removed.push(*id),
            Err(reason) => report.refused.push((*id, reason)),
        }
    }
    // A list that stays behind is harmless and expires.
    let usages: Vec<StoreKey> = report.removed.iter().map(|id| key(ObjectKind::Usage, id)).collect();
    delete(repository, &usages).await?;
    Ok(report)
}
