//! Salvage: what of damaged packs is in need and can be read goes into new packs.
//!
//! A chunk in need is copied wherever it can be read, also when another pack holds it: that pack may be condemned, because no
//! snapshot says that it uses it there. Bound: [`WINDOW_BYTES`] of plaintext beside what `write` holds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use credenza_format::{BlobIndex, PackBlob, PackRecord, PackState};
use credenza_model::{ChunkId, ObjectId};

use super::survey::Survey;
use crate::Result;
use crate::blobs::{BlobLoader, Fetched};
use crate::repository::Repository;
use crate::window::WINDOW_BYTES;
use crate::write::{Deduplicator, GroupKeeper};

/// What became of the chunks of damaged packs.
#[derive(Default)]
pub(super) struct Salvaged {
    /// The damaged packs.
    pub(super) packs: Vec<PackRecord>,
    /// Chunks in need that were copied, or can be, and those that are lost, by pack.
    pub(super) counts: HashMap<ObjectId, (u64, u64)>,
    /// Chunks in need that are nowhere to be had.
    pub(super) lost: HashSet<ChunkId>,
    /// Chunks in need that no pack here has any more, and a replica had.
    pub(super) brought: HashSet<ChunkId>,
}

/// Reads what is in need of every damaged pack, and copies it if there is a dedup.
pub(super) async fn run(
    repository: &Repository,
    survey: &Survey,
    dedup: Option<&Arc<Deduplicator>>,
) -> Result<Salvaged> {
    let loader = survey.loader(repository);
    let mut salvaged = Salvaged { packs: survey.damaged_packs()?, ..Salvaged::default() };
    let damaged: HashSet<ObjectId> = salvaged.packs.iter().map(|pack| pack.id).collect();
    let level = repository.config().compression_level;
    for pack in &salvaged.packs {
        let mut wanted = Vec::new();
        for blob in survey.users.blobs(pack) {
            if !was_moved(&survey.index, pack) || !has_home(&survey.index, &damaged, blob)? {
                wanted.push(*blob);
            }
        }
        let (mut copied, mut lost) = (0, 0);
        for window in windows(&wanted) {
            let fetched = fetch(&loader, window).await?;
            let (whole, gone): (Vec<PackBlob>, Vec<PackBlob>) =
                window.iter().partition(|blob| fetched.get(&blob.id).is_some_and(Result::is_ok));
            (copied, lost) = (copied + whole.len() as u64, lost + gone.len() as u64);
            salvaged.lost.extend(gone.iter().map(|blob| blob.id));
            for blob in &whole {
                if survey.index.get(&blob.id)?.is_none() {
                    salvaged.brought.insert(blob.id);
                }
            }
            if let Some(dedup) = dedup {
                keep(dedup, level, whole, fetched).await?;
            }
        }
        salvaged.counts.insert(pack.id, (copied, lost));
    }
    Ok(salvaged)
}

/// Whether an earlier repack or repair has moved the pack already.
pub(super) fn was_moved(index: &BlobIndex, pack: &PackRecord) -> bool {
    index.ordinal(&pack.id).and_then(|ordinal| index.pack(ordinal)).is_some_and(|pack| pack.moved)
}

/// Whether a pack with which nothing is wrong holds a blob.
fn has_home(index: &BlobIndex, damaged: &HashSet<ObjectId>, blob: &PackBlob) -> Result<bool> {
    let places = index.places(&blob.id)?;
    let mut packs = places.iter().filter_map(|place| index.pack(place.pack));
    Ok(packs.any(|pack| pack.state < PackState::Condemned && !damaged.contains(&pack.id)))
}

/// Blobs whose plaintext fits into memory together.
fn windows(blobs: &[PackBlob]) -> impl Iterator<Item = &[PackBlob]> {
    let mut bytes = 0;
    blobs.chunk_by(move |before, next| {
        bytes += u64::from(before.plain);
        let fits = bytes + u64::from(next.plain) <= WINDOW_BYTES;
        bytes = if fits { bytes } else { 0 };
        fits
    })
}

/// Loads blobs together, and alone what fails: a range that reaches beyond the end of a pack that was cut off tells nothing of its beginning.
async fn fetch(loader: &Arc<BlobLoader>, blobs: &[PackBlob]) -> Result<Fetched> {
    let mut fetched = loader.load(blobs.iter().map(|blob| blob.id)).await?;
    let failed: Vec<ChunkId> = fetched.iter().filter(|(_, opened)| opened.is_err()).map(|(id, _)| *id).collect();
    for id in failed {
        fetched.extend(loader.load([id]).await?);
    }
    Ok(fetched)
}

/// Packs blobs on a thread that may block.
async fn keep(dedup: &Arc<Deduplicator>, level: i32, blobs: Vec<PackBlob>, fetched: Fetched) -> Result<()> {
    let kept = Arc::clone(dedup);
    let work = move || {
        let mut keeper = GroupKeeper::new(kept, level)?;
        for blob in blobs {
            if let Some(Ok(plain)) = fetched.get(&blob.id) {
                keeper.keep_blob(blob.kind, plain)?;
            }
        }
        keeper.flush()
    };
    dedup.packs().workers().work("salvage", work).await
}
