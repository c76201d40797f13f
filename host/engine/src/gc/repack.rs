//! Repack: the needed chunks of some packs go into new packs, so that the old ones can go: of sparse ones, of those under keys of
//! an older epoch, of small ones where there are many, of those that others have moved, and of those that hold nothing which is not elsewhere.
//!
//! A chunk that another pack holds is read there before it is left out: an index segment that says so may be forged. The new packs are announced, then one index segment describes them and says that the old ones were moved; only after
//! that are those condemned. Usage lists still name the old packs: their descriptions stay, so that a bit still means a chunk.
//!
//! Bound: descriptions of [`BATCH_BLOBS`] blobs beside what `write` holds. An index on disk is not gone through for each batch: the places in the packs
//! of many are set apart from it (`check::blobs_apart`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use credenza_format::{Bitmap, BlobIndex, BlobPlace, Header, Hex, PackKind, PackOrdinal, PackRecord, PackState};
use credenza_model::limits::DATA_PACK_BYTES;
use credenza_model::{ChunkId, ObjectId};

use super::GcReport;
use super::mark::{Needs, View};
use crate::blobs::Shares;
use crate::check::blobs_apart;
use crate::repository::Repository;
use crate::write::{Deduplicator, copy, read_whole};
use crate::{Error, Event, Listener, Result};

/// Packs are sparse below this share of bytes in need, in percent.
const LIVE_PERCENT_MIN: u64 = 60;
/// Blobs of the packs that are moved with one index segment: some 7 MB of descriptions.
const BATCH_BLOBS: u64 = 1 << 17;
/// Bytes copied for one index segment: fewer packs than make `write` put a segment of its own.
const BATCH_BYTES: u64 = 1 << 30;

/// Packs of one kind below [`SMALL_BYTES`] that are worth joining: each blob is copied for it some log₁₆ times in all.
const SMALL_PACKS_MIN: usize = 16;
/// A sixteenth of what a data pack aims at.
const SMALL_BYTES: u64 = DATA_PACK_BYTES / 16;

/// A pack that may be repacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    pack: PackOrdinal,
    blobs: u64,
    live_bytes: u64,
    bytes: u64,
}

/// The blobs of some packs.
type Places = HashMap<PackOrdinal, Vec<(ChunkId, BlobPlace)>>;

/// What would be repacked.
pub(super) fn foresee(
    repository: &Repository,
    view: &View,
    bytes_max: Option<u64>,
    report: &mut GcReport,
) -> Result<()> {
    let chosen = within(candidates(repository, view, &view.needs()?)?, bytes_max);
    report.repacked = chosen.len() as u64;
    report.bytes_repacked = chosen.iter().map(|one| one.live_bytes).sum();
    Ok(())
}

/// Repacks, the emptiest packs first, as far as the budget goes.
pub(super) async fn run(
    repository: &Repository,
    view: &mut View,
    bytes_max: Option<u64>,
    listener: &dyn Listener,
    report: &mut GcReport,
) -> Result<()> {
    let mut needs = view.needs()?;
    let chosen = within(candidates(repository, view, &needs)?, bytes_max);
    listener.on(Event::Expected { entries: chosen.len() as u64, bytes: chosen.iter().map(|one| one.live_bytes).sum() });
    for many in sets(&chosen, blobs_apart(view.index.blob_count(), BATCH_BLOBS)) {
        let batches = batches(many);
        let packs = many.iter().map(|one| one.pack).collect();
        let apart = if batches.len() > 1 { view.index.apart(&packs)? } else { None };
        for batch in batches {
            let places = match &apart {
                Some(apart) => places_of(apart.iter(), batch)?,
                None => places_of(view.index.iter(), batch)?,
            };
            let writer: Hex<[u8; 16]> = repository.writer("", "maintain");
            let dedup = Deduplicator::begin(repository, Arc::new(BlobIndex::new()), writer).await?;
            let moved = move_batch(repository, view, (&mut needs, &dedup), (batch, places), listener, report).await;
            if moved.is_err() {
                dedup.packs().abandon().await;
            }
            moved?;
        }
    }
    Ok(())
}

/// Packs of the store that are worth repacking, the emptiest first. What intents name or a lock protects is left alone: it could not be deleted;
/// and so is what is on record as damaged, until `repair` has moved it.
fn candidates(repository: &Repository, view: &View, needs: &Needs) -> Result<Vec<Candidate>> {
    let movable = |candidate: &Candidate| {
        view.index.pack(candidate.pack).filter(|pack| pack.state < PackState::Gone).is_some_and(|pack| {
            let is_kept = view.pinned.contains(&pack.id) || view.is_locked(&pack.id);
            let is_known = !view.undecided.contains_key(&pack.id);
            !is_kept && is_known && (pack.moved || !view.damaged.contains(&pack.id))
        })
    };
    let mut all = weigh(view, needs)?;
    all.retain(movable);
    let kind = |candidate: &Candidate| view.index.pack(candidate.pack).map(|pack| pack.kind);
    let is_small = |candidate: &Candidate| candidate.bytes < SMALL_BYTES;
    let many_small: Vec<PackKind> = [PackKind::Data, PackKind::Meta]
        .into_iter()
        .filter(|wanted| {
            all.iter().filter(|one| is_small(one) && kind(one) == Some(*wanted)).count() >= SMALL_PACKS_MIN
        })
        .collect();
    let is_old = |candidate: &Candidate| {
        let header = view.index.pack(candidate.pack).and_then(|pack| Header::decode(&pack.header).ok());
        header.is_some_and(|header| header.epoch() < repository.keys().current_epoch())
    };
    let was_moved = |candidate: &Candidate| view.index.pack(candidate.pack).is_some_and(|pack| pack.moved);
    let redundant = redundant(view, needs, &all)?;
    all.retain(|one| {
        let is_sparse = one.live_bytes * 100 < one.bytes * LIVE_PERCENT_MIN;
        let is_one_of_many = is_small(one) && kind(one).is_some_and(|kind| many_small.contains(&kind));
        is_sparse || is_old(one) || is_one_of_many || was_moved(one) || redundant.contains(&one.pack)
    });
    all.sort_by(|a, b| {
        let share = |one: &Candidate, other: &Candidate| u128::from(one.live_bytes) * u128::from(other.bytes);
        share(a, b).cmp(&share(b, a)).then(a.pack.cmp(&b.pack))
    });
    Ok(all)
}

/// Packs that no usage list names and of which each needed chunk is in another that stays: two collectors have copied the same.
fn redundant(view: &View, needs: &Needs, candidates: &[Candidate]) -> Result<HashSet<PackOrdinal>> {
    let is_named = |pack: PackOrdinal| view.index.pack(pack).is_none_or(|pack| view.is_used(&pack.id));
    let mut doubtful: HashMap<PackOrdinal, bool> =
        candidates.iter().filter(|one| !is_named(one.pack)).map(|one| (one.pack, true)).collect();
    if doubtful.is_empty() {
        return Ok(HashSet::new());
    }
    for known in view.index.iter() {
        let (id, place) = known?;
        let is_needed = || needs.of(place.pack).is_some_and(|needed| needed.get(place.position));
        if doubtful.get(&place.pack) == Some(&true) && is_needed() {
            // Of two that hold the same, the one with the lower id stays.
            let stays = |other: &BlobPlace| {
                let ids = (view.index.pack(other.pack), view.index.pack(place.pack));
                let is_before = matches!(ids, (Some(other), Some(pack)) if other.id < pack.id);
                let is_apart = !doubtful.contains_key(&other.pack) || is_before;
                other.pack != place.pack && view.is_reliable(other.pack) && is_apart
            };
            if !view.index.places(&id)?.iter().any(stays) {
                doubtful.insert(place.pack, false);
            }
        }
    }
    Ok(doubtful.into_iter().filter(|(_, is_redundant)| *is_redundant).map(|(pack, _)| pack).collect())
}

/// What is needed of each pack that anything is needed of.
fn weigh(view: &View, needs: &Needs) -> Result<Vec<Candidate>> {
    let shares = Shares::of(&view.index)?;
    let mut packs: HashMap<PackOrdinal, Candidate> = HashMap::new();
    for known in view.index.iter() {
        let (_, place) = known?;
        let Some(needed) = needs.of(place.pack) else { continue };
        let empty = Candidate { pack: place.pack, blobs: 0, live_bytes: 0, bytes: 0 };
        let pack = packs.entry(place.pack).or_insert(empty);
        let live = needed.get(place.position);
        pack.blobs += 1;
        let bytes = shares.share(&place);
        pack.bytes += bytes;
        pack.live_bytes += if live { bytes } else { 0 };
    }
    Ok(packs.into_values().collect())
}

/// As many as the budget has bytes for.
fn within(chosen: Vec<Candidate>, bytes_max: Option<u64>) -> Vec<Candidate> {
    let mut left = bytes_max.unwrap_or(u64::MAX);
    let affordable = |one: &Candidate| {
        let rest = left.checked_sub(one.live_bytes);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    chosen.into_iter().take_while(affordable).collect()
}

/// Cuts into sets of so many blobs at most, or of one pack.
fn sets(chosen: &[Candidate], blobs_max: u64) -> Vec<&[Candidate]> {
    let mut blobs = 0;
    chosen
        .chunk_by(|before, next| {
            blobs += before.blobs;
            let fits = blobs + next.blobs <= blobs_max;
            blobs = if fits { blobs } else { 0 };
            fits
        })
        .collect()
}

/// Cuts into batches that one index segment can describe.
fn batches(chosen: &[Candidate]) -> Vec<&[Candidate]> {
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
    (needs, dedup): (&mut Needs, &Arc<Deduplicator>),
    (batch, mut described): (&[Candidate], Places),
    listener: &dyn Listener,
    report: &mut GcReport,
) -> Result<()> {
    let (mut moved, mut done) = (Vec::new(), Vec::new());
    for one in batch {
        let places = described.remove(&one.pack).unwrap_or_default();
        let was_moved = view.index.pack(one.pack).is_some_and(|pack| pack.moved);
        match copy_needed(repository, view, needs, dedup, one.pack, &places).await {
            Ok(()) => {
                done.extend(view.index.pack(one.pack).map(|pack| pack.id));
                // What is on record as moved need not be put there again.
                moved.extend(record(&view.index, one.pack, places).filter(|_| !was_moved));
            }
            // A pack that is damaged stays as it is, and what of it can be read is not lost. It is put on record.
            Err(Error::Damage(damage)) => {
                listener.on(Event::Damage(damage.clone()));
                report.damages.push(damage);
                continue;
            }
            Err(cause) => return Err(cause),
        }
        report.repacked += 1;
        report.bytes_repacked += one.live_bytes;
        listener.on(Event::Progress { entries: 1, bytes: one.live_bytes });
    }
    dedup.packs().close().await?;
    dedup.record().lease().check()?;
    dedup.record().announce(dedup.record().packs().into_iter().map(|(pack, _)| pack).collect(), None).await?;
    let segment = dedup.record().flush_index(moved).await?;
    view.adopt(&segment, done)?;
    // From here on the snapshots that used the old packs protect the new ones.
    dedup.record().withdraw_intents().await;
    Ok(())
}

/// Copies the needed blobs of a pack unless another pack that stays holds them, which is read for that.
async fn copy_needed(
    repository: &Repository,
    view: &mut View,
    needs: &mut Needs,
    dedup: &Arc<Deduplicator>,
    pack: PackOrdinal,
    places: &[(ChunkId, BlobPlace)],
) -> Result<()> {
    let needed: Option<Bitmap> = needs.of(pack).cloned();
    let needed = places.iter().filter(|(_, place)| needed.as_ref().is_some_and(|needed| needed.get(place.position)));
    let (mut held, mut alone) = (Vec::new(), Vec::new());
    for (id, place) in needed {
        let is_elsewhere = |other: &BlobPlace| other.pack != pack && view.is_reliable(other.pack);
        match view.index.places(id)?.into_iter().find(is_elsewhere) {
            Some(other) => held.push(((*id, *place), other)),
            None => alone.push((*id, *place)),
        }
    }
    let others = held.iter().map(|((id, _), other)| (*id, *other)).collect();
    let whole = read_whole(repository, dedup.packs(), &view.index, others).await?;
    let (held, lacking): (Vec<_>, Vec<_>) = held.into_iter().partition(|((id, _), _)| whole.contains(id));
    alone.extend(lacking.into_iter().map(|(one, _)| one));
    copy(repository, dedup.packs(), &view.index, alone).await?;
    held.iter().for_each(|(_, place)| needs.add(&view.index, place));
    if let Some(id) = view.index.pack(pack).map(|pack| pack.id) {
        view.index.demote(&id, PackState::Moved);
    }
    Ok(())
}

/// Those of all places that are in the packs of a batch.
fn places_of(
    all: impl Iterator<Item = Result<(ChunkId, BlobPlace), credenza_format::Error>>,
    batch: &[Candidate],
) -> Result<Places> {
    let mut places: Places = batch.iter().map(|one| (one.pack, Vec::new())).collect();
    for known in all {
        let (id, place) = known?;
        if let Some(found) = places.get_mut(&place.pack) {
            found.push((id, place));
        }
    }
    Ok(places)
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

    fn candidate(blobs: u64, live_bytes: u64) -> Candidate {
        Candidate { pack: PackOrdinal(0), blobs, live_bytes, bytes: 100 }
    }

    #[test]
    fn a_budget_takes_the_emptiest_first_and_stops() {
        let chosen = vec![candidate(1, 10), candidate(1, 20), candidate(1, 5)];
        assert_eq!(within(chosen.clone(), None).len(), 3);
        assert_eq!(within(chosen.clone(), Some(30)).len(), 2);
        assert_eq!(within(chosen, Some(9)).len(), 0);
    }

    #[test]
    fn a_set_has_the_blobs_that_it_may_have() {
        let chosen = [candidate(3, 1), candidate(4, 1), candidate(9, 1), candidate(1, 1), candidate(6, 1)];
        let sizes: Vec<usize> = sets(&chosen, 7).iter().map(|set| set.len()).collect();
        assert_eq!(sizes, [2, 1, 2]);
    }

    #[test]
    fn a_batch_never_outgrows_its_segment() {
        let chosen =
            [candidate(BATCH_BLOBS / 2, 1), candidate(BATCH_BLOBS / 2, 1), candidate(1, BATCH_BYTES), candidate(1, 1)];
        let sizes: Vec<usize> = batches(&chosen).iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
