//! Repack: the needed chunks of sparse packs go into new packs, so that the old ones can go.
//!
//! The new packs are announced, then one index segment describes them and says that the old ones were moved; only after
//! that are those condemned. Usage lists still name the old packs: their descriptions stay, so that a bit still means a chunk.
//!
//! Bound: descriptions of [`BATCH_BLOBS`] blobs beside what `write` holds.

use std::collections::HashMap;
use std::sync::Arc;

use credenza_format::{Bitmap, BlobIndex, BlobPlace, Hex, PackOrdinal, PackRecord, Standing};
use credenza_model::{ChunkId, ObjectId};

use super::CollectReport;
use super::mark::{Needs, View};
use crate::repository::Repository;
use crate::write::{Stow, copy};
use crate::{Damage, Error, Event, Listener, Result};

/// Packs are sparse below this share of bytes in need, in percent.
const LIVE_PERCENT_MIN: u64 = 60;
/// Blobs of the packs that are moved with one index segment: some 7 MB of descriptions.
const BATCH_BLOBS: u64 = 1 << 17;
/// Bytes copied for one index segment: fewer packs than make `write` put a segment of its own.
const BATCH_BYTES: u64 = 1 << 30;

/// A pack of which little is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sparse {
    pack: PackOrdinal,
    blobs: u64,
    live_bytes: u64,
    bytes: u64,
}

/// What would be repacked.
pub(super) fn foresee(view: &View, bytes_max: Option<u64>, report: &mut CollectReport) -> Result<(), Damage> {
    let chosen = within(sparse(view, &view.needs()?), bytes_max);
    report.repacked = chosen.len() as u64;
    report.bytes_repacked = chosen.iter().map(|sparse| sparse.live_bytes).sum();
    Ok(())
}

/// Repacks sparse packs, the emptiest first, as far as the budget goes.
pub(super) async fn run(
    repository: &Repository,
    view: &mut View,
    bytes_max: Option<u64>,
    listener: &dyn Listener,
    report: &mut CollectReport,
) -> Result<()> {
    let mut needs = view.needs()?;
    let chosen = within(sparse(view, &needs), bytes_max);
    listener.on(Event::Expected {
        entries: chosen.len() as u64,
        bytes: chosen.iter().map(|sparse| sparse.live_bytes).sum(),
    });
    for batch in batches(&chosen) {
        move_batch(repository, view, &mut needs, batch, listener, report).await?;
    }
    Ok(())
}

/// Sparse packs of the store, the emptiest first. What intents name or a lock protects is left alone: it could not be deleted.
fn sparse(view: &View, needs: &Needs) -> Vec<Sparse> {
    let mut bytes: HashMap<PackOrdinal, Sparse> = HashMap::new();
    for (_, place) in view.index.iter() {
        let Some(needed) = needs.of(place.pack) else { continue };
        let empty = Sparse { pack: place.pack, blobs: 0, live_bytes: 0, bytes: 0 };
        let sparse = bytes.entry(place.pack).or_insert(empty);
        let live = needed.get(place.position);
        sparse.blobs += 1;
        sparse.bytes += u64::from(place.stored);
        sparse.live_bytes += if live { u64::from(place.stored) } else { 0 };
    }
    let movable = |pack: PackOrdinal| {
        view.index
            .pack(pack)
            .filter(|pack| !pack.moved && pack.standing < Standing::Gone)
            .is_some_and(|pack| !view.pinned.contains(&pack.id) && !view.is_locked(&pack.id))
    };
    let is_sparse = |sparse: &Sparse| sparse.live_bytes * 100 < sparse.bytes * LIVE_PERCENT_MIN;
    let mut found: Vec<Sparse> =
        bytes.into_values().filter(|sparse| is_sparse(sparse) && movable(sparse.pack)).collect();
    found.sort_by(|a, b| {
        let share = |one: &Sparse, other: &Sparse| u128::from(one.live_bytes) * u128::from(other.bytes);
        share(a, b).cmp(&share(b, a)).then(a.pack.cmp(&b.pack))
    });
    found
}

/// As many as the budget has bytes for.
fn within(chosen: Vec<Sparse>, bytes_max: Option<u64>) -> Vec<Sparse> {
    let mut left = bytes_max.unwrap_or(u64::MAX);
    let affordable = |sparse: &Sparse| {
        let rest = left.checked_sub(sparse.live_bytes);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    chosen.into_iter().take_while(affordable).collect()
}

/// Cuts into batches that one index segment can describe.
fn batches(chosen: &[Sparse]) -> Vec<&[Sparse]> {
    let (mut blobs, mut bytes) = (0, 0);
    chosen
        .chunk_by(|before, next| {
            blobs += before.blobs;
            bytes += before.live_bytes;
            let fits = blobs + next.blobs <= BATCH_BLOBS && bytes + next.live_bytes <= BATCH_BYTES;
            if !fits {
                (blobs, bytes) = (0, 0);
            }
            fits
        })
        .collect()
}

async fn move_batch(
    repository: &Repository,
    view: &mut View,
    needs: &mut Needs,
    batch: &[Sparse],
    listener: &dyn Listener,
    report: &mut CollectReport,
) -> Result<()> {
    let writer: Hex<[u8; 16]> = repository.writer("", "maintain");
    let stow = Stow::begin(repository, Arc::new(BlobIndex::new()), writer).await?;
    let mut described = places_of(&view.index, batch);
    let mut moved = Vec::new();
    for sparse in batch {
        let places = described.remove(&sparse.pack).unwrap_or_default();
        match copy_needed(repository, view, needs, &stow, sparse.pack, &places).await {
            Ok(()) => moved.extend(record(&view.index, sparse.pack, places)),
            // A pack that is damaged stays as it is: `check` names it, and what of it can be read is not lost.
            Err(Error::Damage(damage)) => {
                listener.on(Event::Damage(damage));
                continue;
            }
            Err(cause) => return Err(cause),
        }
        report.repacked += 1;
        report.bytes_repacked += sparse.live_bytes;
        listener.on(Event::Progress { entries: 1, bytes: sparse.live_bytes });
    }
    stow.flush_packs().await?;
    stow.lease().check()?;
    stow.announce(stow.packs().into_iter().map(|(pack, _)| pack).collect()).await?;
    let segment = stow.flush_index(moved).await?;
    view.adopt(&segment)?;
    // From here on the snapshots that used the old packs protect the new ones.
    stow.withdraw_intents().await;
    Ok(())
}

/// Copies the needed blobs of a pack unless another pack that stays holds them.
async fn copy_needed(
    repository: &Repository,
    view: &mut View,
    needs: &mut Needs,
    stow: &Arc<Stow>,
    pack: PackOrdinal,
    places: &[(ChunkId, BlobPlace)],
) -> Result<()> {
    let needed: Option<Bitmap> = needs.of(pack).cloned();
    let needed = places.iter().filter(|(_, place)| needed.as_ref().is_some_and(|needed| needed.get(place.position)));
    let elsewhere = |id: &ChunkId| {
        let mut others = view.index.places(id).filter(|place| place.pack != pack);
        others.find(|place| view.index.standing(place.pack) == Standing::Live)
    };
    let (held, alone): (Vec<_>, Vec<_>) = needed.copied().partition(|(id, _)| elsewhere(id).is_some());
    copy(repository, stow, &view.index, alone).await?;
    held.iter().filter_map(|(id, _)| elsewhere(id)).for_each(|place| needs.add(&view.index, &place));
    if let Some(id) = view.index.pack(pack).map(|pack| pack.id) {
        view.index.demote(&id, Standing::Moved);
    }
    Ok(())
}

/// The places in the packs of a batch, one pass over the index.
fn places_of(index: &BlobIndex, batch: &[Sparse]) -> HashMap<PackOrdinal, Vec<(ChunkId, BlobPlace)>> {
    let mut places: HashMap<PackOrdinal, Vec<_>> = batch.iter().map(|sparse| (sparse.pack, Vec::new())).collect();
    for (id, place) in index.iter() {
        if let Some(found) = places.get_mut(&place.pack) {
            found.push((id, place));
        }
    }
    places
}

/// The description of a pack that was moved.
fn record(index: &BlobIndex, pack: PackOrdinal, mut places: Vec<(ChunkId, BlobPlace)>) -> Option<PackRecord> {
    let pack = index.pack(pack)?;
    places.sort_unstable_by_key(|(_, place)| place.position);
    let blobs = places.iter().map(|(id, place)| place.blob(*id)).collect();
    let id: ObjectId = pack.id;
    Some(PackRecord {
        id,
        kind: pack.kind,
        header: pack.header,
        size: pack.size,
        sha256: pack.sha256,
        blobs,
        moved: true,
        version: pack.version.as_deref().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(blobs: u64, live_bytes: u64) -> Sparse {
        Sparse { pack: PackOrdinal(0), blobs, live_bytes, bytes: 100 }
    }

    #[test]
    fn a_budget_takes_the_emptiest_first_and_stops() {
        let chosen = vec![sparse(1, 10), sparse(1, 20), sparse(1, 5)];
        assert_eq!(within(chosen.clone(), None).len(), 3);
        assert_eq!(within(chosen.clone(), Some(30)).len(), 2);
        assert_eq!(within(chosen, Some(9)).len(), 0);
    }

    #[test]
    fn a_batch_never_outgrows_its_segment() {
        let chosen = [sparse(BATCH_BLOBS / 2, 1), sparse(BATCH_BLOBS / 2, 1), sparse(1, BATCH_BYTES), sparse(1, 1)];
        let sizes: Vec<usize> = batches(&chosen).iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
