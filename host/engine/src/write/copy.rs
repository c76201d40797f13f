//! Copying blobs from one pack into another as they are stored: nothing is inflated but to verify it.
//!
//! Called by `relocate` and by `collect::repack`. Bound: one range of a pack, sealed and opened.

use std::sync::Arc;

use credenza_format::{BlobIndex, BlobPlace};
use credenza_model::ChunkId;

use super::Stow;
use crate::blobs::{Run, coalesce, copy_run, read_range};
use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

/// Copies blobs into the packs that the stow fills.
///
/// # Errors
/// [`Error::Damage`] for the first blob that cannot be had; some may have been copied then.
pub(crate) async fn copy(
    repository: &Repository,
    stow: &Arc<Stow>,
    index: &BlobIndex,
    blobs: Vec<(ChunkId, BlobPlace)>,
) -> Result<()> {
    for run in coalesce(blobs) {
        copy_one(repository, stow, index, run).await?;
    }
    Ok(())
}

async fn copy_one(repository: &Repository, stow: &Arc<Stow>, index: &BlobIndex, run: Run) -> Result<()> {
    let pack = index.pack(run.pack).cloned().ok_or_else(|| Damage {
        object: "index".to_owned(),
        kind: DamageKind::Missing,
        chunk: None,
        detail: "a pack to copy from is not described".to_owned(),
    })?;
    let sealed = read_range(&**repository.bare_store(), &pack, run.offset, run.length).await??;
    let (keys, stow) = (repository.keys().clone(), Arc::clone(stow));
    let copied = tokio::task::spawn_blocking(move || copy_run(&keys, &pack, &run, sealed, |frame| stow.push(frame)));
    copied.await.map_err(Error::worker("copy"))?
}
