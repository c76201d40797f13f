//! Remove: snapshots go, the space that they alone use is reclaimed by `gc`.
//!
//! What goes is put on record first, so that an audit can tell it from what was lost. Where the store has no room for the record, one snapshot
//! goes and all are put on record in the room that it left; if that is not enough another goes, and so on; then the rest goes. A run that
//! ends in between leaves at most what went by then without a record, which `repair --drop-snapshots` writes. A snapshot goes before its usage
//! list, so that no snapshot that is listed ever lacks one. Called by `cli`.

use credenza_format::{ObjectKind, SigningKey};
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use crate::Result;
use crate::gc::delete;
use crate::repository::{Repository, SnapshotHandle};

/// What became of a removal.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RemoveReport {
    /// Snapshots that are gone.
    pub removed: Vec<SnapshotId>,
    /// Snapshots that the store refused to delete, with its reason.
    pub refused: Vec<(SnapshotId, String)>,
    /// Why no record of what was removed could be written, not even in the room that it left: an audit will miss it. What was to go beside it may
    /// be there still.
    pub unrecorded: Option<String>,
}

/// Removes snapshots; one that is gone already counts as removed. The record of it is signed if there is a key.
/// In a store that is full each try to write it costs a request or two.
///
/// # Errors
/// When the store cannot be reached, and with the keys of a writer; a refusal of one object is part of the report.
pub async fn run(
    repository: &Repository,
    snapshots: &[SnapshotHandle],
    signing_key: Option<&SigningKey>,
) -> Result<RemoveReport> {
    repository.require_reading("removing snapshots")?;
    repository.require_charge("removing snapshots")?;
    let mut report = RemoveReport::default();
    let mut rest = snapshots.iter();
    loop {
        match repository.record_removal(snapshots, signing_key).await {
            Ok(()) => {
                report.unrecorded = None;
                delete_snapshots(repository, rest.as_slice(), &mut report).await?;
                return Ok(report);
            }
            Err(cause) if !cause.is_full() && report.removed.is_empty() => return Err(cause),
            Err(cause) => {
                report.unrecorded = (!report.removed.is_empty()).then(|| cause.to_string());
                if !cause.is_full() || !delete_one(repository, &mut rest, &mut report).await? {
                    return Ok(report);
                }
            }
        }
    }
}

/// Deletes the first snapshot that the store lets go, whose room a record may take; whether there was one.
async fn delete_one(
    repository: &Repository,
    rest: &mut std::slice::Iter<'_, SnapshotHandle>,
    report: &mut RemoveReport,
) -> Result<bool> {
    let before = report.removed.len();
    while report.removed.len() == before {
        let Some(one) = rest.next() else { return Ok(false) };
        delete_snapshots(repository, std::slice::from_ref(one), report).await?;
    }
    Ok(true)
}

async fn delete_snapshots(
    repository: &Repository,
    snapshots: &[SnapshotHandle],
    report: &mut RemoveReport,
) -> Result<()> {
    let keys: Vec<StoreKey> = snapshots.iter().map(SnapshotHandle::store_key).collect();
    let mut usages = Vec::new();
    for (handle, result) in snapshots.iter().zip(delete(repository, &keys).await?) {
        let id = handle.snapshot.id;
        match result {
            Ok(()) => {
                report.removed.push(id);
                usages.push(ObjectKind::Usage.store_key(ObjectId::new(*id.as_bytes())));
            }
            Err(reason) => report.refused.push((id, reason)),
        }
    }
    // A list that stays behind is harmless and expires.
    delete(repository, &usages).await.map(drop)
}
