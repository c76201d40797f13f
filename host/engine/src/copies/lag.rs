//! Lag: how many bytes carrying some snapshots adds to a target, from usage lists and indexes alone.
//!
//! Between repositories alike it is exact: the chunks that a run adds right after it have the same number of bytes. Otherwise a chunk at the target has another id and is compressed
//! again: what of the missing snapshots no snapshot uses that both have is what is read of the origin, and about what is added.
//!
//! Bound: both indexes, and a bit for each blob of the packs in use.

use std::collections::{HashMap, HashSet};

use credenza_format::{Bitmap, BlobIndex, BlobPlace, Encoding, PackState, Usage};
use credenza_model::{ChunkId, ObjectId};
use futures_util::{StreamExt, TryStreamExt};

use crate::repository::{Repository, SnapshotHandle};
use crate::{Error, Result, RunContext};

/// Usage lists read at once.
const USAGES_IN_FLIGHT: usize = 8;

/// What a target lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Lag {
    /// Snapshots.
    pub snapshots: u64,
    /// Chunks that they need and the target does not have: contents, lists of them, and tree nodes.
    pub chunks: u64,
    /// Bytes of them, as they are stored. What describes them comes beside it.
    pub bytes: u64,
    /// Whether carrying them adds exactly that: both repositories have the same chunk keys.
    pub is_exact: bool,
}

/// Measures what carrying `missing` adds to the target. `shared` are snapshots that both have. No request where nothing is missing.
///
/// # Errors
/// When either store cannot be read, a usage list is damaged, or it was to stop.
pub async fn lag(
    origin: &Repository,
    target: &Repository,
    (missing, shared): (&[SnapshotHandle], &[SnapshotHandle]),
    run: &RunContext,
) -> Result<Lag> {
    let is_exact = origin.keys().is_like(target.keys());
    let lag = Lag { snapshots: missing.len() as u64, is_exact, ..Lag::default() };
    if missing.is_empty() {
        return Ok(lag);
    }
    run.stop.unless(Box::pin(measure(origin, target, (missing, shared), lag))).await?
}

/// Whether the target has a chunk of the origin.
type Has<'a> = Box<dyn Fn(&ChunkId) -> Result<bool> + 'a>;

async fn measure(
    origin: &Repository,
    target: &Repository,
    (missing, shared): (&[SnapshotHandle], &[SnapshotHandle]),
    mut lag: Lag,
) -> Result<Lag> {
    let there = origin.index_for_reading().await?;
    let needed = Used::read(origin, missing).await?;
    let has: Has<'_> = match lag.is_exact {
        true => {
            let here = target.index_for_writing().await?;
            Box::new(move |id| Ok(here.get(id)?.is_some_and(|place| here.state(place.pack) < PackState::Condemned)))
        }
        false => {
            let carried = Used::read(origin, shared).await?;
            let there = &there;
            Box::new(move |id| Ok(there.places(id)?.iter().any(|place| carried.covers(there, place))))
        }
    };
    let mut groups = HashSet::new();
    for known in there.iter() {
        let (id, place) = known?;
        // What is not needed is not looked up.
        if !needed.covers(&there, &place) {
            continue;
        }
        // A chunk that lies in two packs goes over once.
        let first = there.places(&id)?.into_iter().find(|place| needed.covers(&there, place));
        let is_first = first.is_some_and(|first| (first.pack, first.position) == (place.pack, place.position));
        if is_first && !has(&id)? {
            lag.chunks += 1;
            // A group goes over once, for all of its members.
            let is_counted = place.encoding != Encoding::Group || groups.insert((place.pack, place.offset));
            lag.bytes = lag.bytes.saturating_add(if is_counted { u64::from(place.stored) } else { 0 });
        }
    }
    drop(has);
    Ok(lag)
}

/// What some snapshots use, by pack.
#[derive(Default)]
struct Used(HashMap<ObjectId, Bitmap>);

impl Used {
    async fn read(repository: &Repository, handles: &[SnapshotHandle]) -> Result<Self> {
        let read = async |handle: &SnapshotHandle| Ok::<_, Error>(repository.usage(handle).await?);
        let mut usages = futures_util::stream::iter(handles.iter().map(read)).buffered(USAGES_IN_FLIGHT);
        let mut used = Self::default();
        while let Some(usage) = usages.try_next().await? {
            used.add(usage.unwrap_or_default());
        }
        Ok(used)
    }

    fn add(&mut self, usage: Usage) {
        for one in usage.packs {
            self.0.entry(one.pack).or_insert_with(|| Bitmap::new(one.used.length())).unite(&one.used);
        }
    }

    fn covers(&self, index: &BlobIndex, place: &BlobPlace) -> bool {
        let used = index.pack(place.pack).and_then(|pack| self.0.get(&pack.id));
        used.is_some_and(|used| used.get(place.position))
    }
}
