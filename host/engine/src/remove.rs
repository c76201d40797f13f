//! Remove: snapshots go, the space that they alone use is reclaimed by `collect`.
//!
//! What goes is put on record first, so that an audit can tell it from what was lost; where the store has no room for the record, it is
//! put when there is. A snapshot goes before its usage list, so that no snapshot that is listed ever lacks one. Called by `cli`.

use credenza_format::{ObjectKind, SigningKey};
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use crate::Result;
use crate::collect::delete;
use crate::repository::{Repository, SnapshotHandle};

/// What became of a removal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveReport {
    /// Snapshots that are gone.
    pub removed: Vec<SnapshotId>,
    /// Snapshots that the store refused to delete, with its reason.
    pub refused: Vec<(SnapshotId, String)>,
    /// Why no record of the removal could be written, not even in the room that it made: an audit will miss the snapshots.
    pub unrecorded: Option<String>,
}

/// Removes snapshots; one that is gone already counts as removed. The record of it is signed if there is a key.
///
/// # Errors
/// When the store cannot be reached, and with the keys of a writer; a refusal of one object is part of the report.
pub async fn run(
    repository: &Repository,
    snapshots: &[SnapshotHandle],
    signing_key: Option<&SigningKey>,
) -> Result<RemoveReport> {
    repository.require_reading("removing snapshots")?;
    let is_recorded = match repository.record_removal(snapshots, signing_key).await {
        Err(cause) if cause.is_full() => false,
        recorded => recorded.map(|()| true)?,
    };
    let keys: Vec<StoreKey> = snapshots.iter().map(SnapshotHandle::store_key).collect();
    let mut report = RemoveReport::default();
    for (handle, result) in snapshots.iter().zip(delete(repository, &keys).await?) {
        match result {
            Ok(()) => report.removed.push(handle.snapshot.id),
            Err(reason) => report.refused.push((handle.snapshot.id, reason)),
        }
    }
    // A list that stays behind is harmless and expires.
    let usage = |id: &SnapshotId| ObjectKind::Usage.store_key(ObjectId::new(*id.as_bytes()));
    delete(repository, &report.removed.iter().map(usage).collect::<Vec<_>>()).await?;
    if !is_recorded && !report.removed.is_empty() {
        let gone = snapshots.iter().filter(|handle| report.removed.contains(&handle.snapshot.id));
        let recorded = repository.record_removal(&gone.cloned().collect::<Vec<_>>(), signing_key).await;
        report.unrecorded = recorded.err().map(|cause| cause.to_string());
    }
    Ok(report)
}
