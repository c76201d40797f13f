//! Copying blobs from one pack into another as they are stored: nothing is inflated but to verify it, and nothing compressed but what is left of a
//! group.
//!
//! Called by `relocate` and by `gc::repack`. Bound: one range of a pack, sealed and opened.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_format::{BlobIndex, BlobPlace, Compressor, IndexedPack};
use credenza_model::ChunkId;

use super::group::pack_together;
use super::packs::PackWriter;
use crate::blobs::{
    Moved, Opened, Run, SealedRun, Verified, coalesce, copy_run, forged, healed, open_each, read_range,
};
use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

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

/// Reads blobs and verifies them, and says which are whole.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn read_whole(
    repository: &Repository,
    packs: &Arc<PackWriter>,
    index: &BlobIndex,
    blobs: Vec<(ChunkId, BlobPlace)>,
) -> Result<HashSet<ChunkId>> {
    let mut whole = HashSet::new();
    for run in coalesce(blobs) {
        let Some(pack) = index.pack(run.pack).cloned() else { continue };
        if let Some(tally) = repository.unread(Some(&pack)) {
            whole.extend(forged(tally, &pack, &run).iter().map(Opened::id));
            continue;
        }
        let read = read_range((&**repository.bare_store(), None), &pack, run.offset, run.length).await?;
        let Ok(sealed) = read else { continue };
        let keys = repository.keys().clone();
        let open = move || {
            let mut found = Vec::new();
            open_each(&keys, &pack, &run, sealed, |id, opened| found.extend(opened.is_ok().then_some(id)));
            Ok(found)
        };
        whole.extend(packs.workers().work("verify", open).await?);
    }
    Ok(whole)
}

async fn copy_one(repository: &Repository, packs: &Arc<PackWriter>, index: &BlobIndex, run: Run) -> Result<()> {
    let pack = index.pack(run.pack).cloned().ok_or_else(|| Damage {
        object: "index".to_owned(),
        kind: DamageKind::Missing,
        chunk: None,
        detail: "a pack to copy from is not described".to_owned(),
    })?;
    if let Some(tally) = repository.unread(Some(&pack)) {
        let (opened, filled) = (forged(tally, &pack, &run), Arc::clone(packs));
        let level = repository.config().compression_level;
        let fill = move || Verified::split(opened).try_for_each(|frame| put(&filled, level, &frame));
        return packs.workers().work("copy", fill).await;
    }
    let damages = match read_range((&**repository.bare_store(), None), &pack, run.offset, run.length).await? {
        Ok(sealed) => copy_sealed(repository, packs, (&pack, &run), sealed).await?,
        Err(damage) => run.damaged(&damage).map(|(_, damage)| damage).collect(),
    };
    let damages = match healed(repository, &pack, &run, &damages).await? {
        Some((hurt, sealed)) => copy_sealed(repository, packs, (&pack, &hurt), sealed).await?,
        None => damages,
    };
    damages.into_iter().next().map_or(Ok(()), |damage| Err(damage.into()))
}

/// Copies what is whole of a run that was read; what is not comes back.
async fn copy_sealed(
    repository: &Repository,
    packs: &Arc<PackWriter>,
    (pack, run): (&IndexedPack, &Run),
    sealed: SealedRun,
) -> Result<Vec<Damage>> {
    let (keys, filled, pack, run) = (repository.keys().clone(), Arc::clone(packs), pack.clone(), run.clone());
    let level = repository.config().compression_level;
    let copy = move || copy_run(&keys, &pack, &run, sealed, |frame| put(&filled, level, &frame));
    packs.workers().work("copy", copy).await
}

fn put(packs: &PackWriter, level: i32, frame: &Verified) -> Result<()> {
    match frame.moved() {
        None => Ok(()),
        Some(Moved::Alone(frame)) => packs.push(frame),
        Some(Moved::Together(kind, members, whole)) => {
            let mut compressor = Compressor::new(level).map_err(Error::encode("starting a compressor"))?;
            pack_together(packs, &mut compressor, kind, &members, whole)
        }
    }
}
