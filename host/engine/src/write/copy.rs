//! Copying blobs from one pack into another as they are stored: nothing is inflated but to verify it.
//!
//! Called by `relocate` and by `collect::repack`. Bound: one range of a pack, sealed and opened.

use std::sync::Arc;

use credenza_format::{BlobIndex, BlobPlace};
use credenza_model::ChunkId;

use super::packs::PackWriter;
use crate::blobs::{Run, coalesce, copy_run, read_range};
use crate::repository::Repository;
use crate::{Damage, DamageKind, Result};

/// Copies blobs into the packs that are being filled.
///
/// # Errors
/// [`Error::Damage`] for the first blob that cannot be had; some may have been copied then.
pub(crate) async fn copy(
    repository: &Repository,
    packs: &Arc<PackWriter>,
    index: &BlobIndex,
    blobs: Vec<(ChunkId, BlobPlace)>,
) -> Result<()> {
    for run in coalesce(blobs) {
        copy_one(repository, packs, index, run).await?;
    }
    Ok(())
}

async fn copy_one(repository: &Repository, packs: &Arc<PackWriter>, index: &BlobIndex, run: Run) -> Result<()> {
    let pack = index.pack(run.pack).cloned().ok_or_else(|| Damage {
        object: "index".to_owned(),
        kind: DamageKind::Missing,
        chunk: None,
        detail: "a pack to copy from is not described".to_owned(),
    })?;
    let sealed = read_range((&**repository.bare_store(), None), &pack, run.offset, run.length).await??;
    let (keys, filled) = (repository.keys().clone(), Arc::clone(packs));
    packs.crew().work("copy", move || copy_run(&keys, &pack, &run, sealed, |frame| filled.push(frame))).await
}
