//! Freed: how much of a repository only some of its snapshots need, before anybody removes them.
//!
//! Counted by chunk, as it is stored, from the usage lists and the index; no tree is walked. `gc` gives it back as far as whole packs go, or are worth
//! copying, so that it may be less at first. Called by `app`.
//!
//! Bound: the index, and four bytes for each blob of the packs in use.

use std::collections::{BTreeMap, HashMap};

use credenza_format::{Bitmap, BlobIndex, BlobPlace, PackState};
use credenza_model::{ChunkId, ObjectId, SnapshotId};
use futures_util::{StreamExt, TryStreamExt};

use crate::blobs::Shares;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Error, Result, RunContext};

/// Usage lists read at once.
const USAGES_IN_FLIGHT: usize = 8;

/// What the removal of some snapshots would free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes in the store that they need and no other snapshot does.
    pub bytes: u64,
    /// Of each, the bytes that it alone needs: what two of them share is in none of these, and in the sum above.
    pub alone: BTreeMap<SnapshotId, u64>,
}

/// Counts what the removal of `snapshots`, which are some of `all`, would free. It costs a request for each usage list that the cache does not have.
///
/// # Errors
/// When the store cannot be read, a usage list is damaged, or it was to stop.
pub async fn run(
    repository: &Repository,
    all: &[SnapshotHandle],
    snapshots: &[SnapshotId],
    run: &RunContext,
) -> Result<Freed> {
    run.stop.unless(count(repository, all, snapshots)).await?
}

async fn count(repository: &Repository, all: &[SnapshotHandle], snapshots: &[SnapshotId]) -> Result<Freed> {
    let index = repository.index_for_reading().await?;
    let numbers: HashMap<SnapshotId, u32> = snapshots.iter().copied().zip(FIRST..).collect();
    let mut users = Users::default();
    let read = async |handle: &SnapshotHandle| Ok::<_, Error>((handle.snapshot.id, repository.usage(handle).await?));
    let mut usages = futures_util::stream::iter(all.iter().map(read)).buffered(USAGES_IN_FLIGHT);
    while let Some((id, usage)) = usages.try_next().await? {
        let user = numbers.get(&id).copied().unwrap_or(KEPT);
        usage.into_iter().flat_map(|usage| usage.packs).for_each(|one| users.add(one.pack, &one.used, user));
    }
    let shares = Shares::of(&index)?;
    let mut freed = Freed { bytes: 0, alone: snapshots.iter().map(|id| (*id, 0)).collect() };
    for known in index.iter() {
        let (id, place) = known?;
        let stored = shares.share(&place);
        match users.of_chunk(&index, &id)? {
            NOBODY | KEPT => continue,
            _ if !is_counted(&index, &id, &place)? => continue,
            SHARED => {}
            user => {
                let number = usize::try_from(user.saturating_sub(FIRST)).unwrap_or(usize::MAX);
                if let Some(alone) = snapshots.get(number).and_then(|id| freed.alone.get_mut(id)) {
                    *alone = alone.saturating_add(stored);
                }
            }
        }
        freed.bytes = freed.bytes.saturating_add(stored);
    }
    Ok(freed)
}

/// No snapshot uses it.
const NOBODY: u32 = 0;
/// Several that go use it.
const SHARED: u32 = 1;
/// The first that goes uses it; those behind have the numbers that follow.
const FIRST: u32 = 2;
/// One that stays uses it.
const KEPT: u32 = u32::MAX;

/// Who uses each blob, pack by pack.
#[derive(Default)]
struct Users(HashMap<ObjectId, Vec<u32>>);

impl Users {
    fn add(&mut self, pack: ObjectId, used: &Bitmap, user: u32) {
        let users = self.0.entry(pack).or_default();
        users.resize(users.len().max(used.length() as usize), NOBODY);
        for (position, known) in (0..used.length()).zip(users) {
            if used.get(position) {
                *known = joined(*known, user);
            }
        }
    }

    /// Who uses a chunk, in whichever pack.
    fn of_chunk(&self, index: &BlobIndex, id: &ChunkId) -> Result<u32> {
        let user = |place: &BlobPlace| {
            let users = index.pack(place.pack).and_then(|pack| self.0.get(&pack.id));
            users.and_then(|users| users.get(place.position as usize)).copied().unwrap_or(NOBODY)
        };
        Ok(index.places(id)?.iter().map(user).fold(NOBODY, joined))
    }
}

const fn joined(known: u32, user: u32) -> u32 {
    match (known, user) {
        (NOBODY, one) | (one, NOBODY) => one,
        (KEPT, _) | (_, KEPT) => KEPT,
        (a, b) if a == b => a,
        _ => SHARED,
    }
}

/// Whether a place is the one that stands for its chunk, which may lie in several packs.
fn is_counted(index: &BlobIndex, id: &ChunkId, place: &BlobPlace) -> Result<bool> {
    let first = index.places(id)?.into_iter().find(|place| index.state(place.pack) < PackState::Gone);
    Ok(first.is_none_or(|first| (first.pack, first.position) == (place.pack, place.position)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use credenza_connect::memory::{MemorySource, MemoryStore};

    use super::*;
    use crate::gc::{self, GcOptions};
    use crate::testing::{noise, repository, secret, snapshot};

    #[tokio::test]
    async fn what_only_some_snapshots_need_is_counted_by_chunk() {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let source = MemorySource::new();
        source.put("kept", noise(1, 50_000));
        source.put("first", noise(2, 30_000));
        let first = snapshot(&repository, &source).await;
        source.put("first", noise(3, 20_000));
        source.put("both", noise(4, 40_000));
        let second = snapshot(&repository, &source).await;
        source.put("first", noise(5, 10_000));
        let third = snapshot(&repository, &source).await;
        source.put("both", noise(6, 10_000));
        snapshot(&repository, &source).await;
        let all = repository.snapshots().await.unwrap().whole;
        let count =
            async |snapshots: &[SnapshotId]| run(&repository, &all, snapshots, &RunContext::default()).await.unwrap();
        let near = |bytes: u64, expected: u64| (expected..expected + 12_000).contains(&bytes);
        let alone = count(&[first]).await;
        assert!(near(alone.bytes, 30_000) && alone.alone[&first] == alone.bytes, "{alone:?}");
        // What two that go share is freed with both, and with neither alone.
        let both = count(&[second, third]).await;
        assert!(near(both.bytes, 60_000), "{both:?}");
        // All that the third has is in the second, which goes with it, or in the fourth, which stays.
        assert!(near(both.alone[&second], 20_000) && both.alone[&third] < 10_000, "{both:?}");
        assert_eq!(count(&[]).await, Freed::default());
        let every: Vec<SnapshotId> = all.iter().map(|handle| handle.snapshot.id).collect();
        assert!(near(count(&every).await.bytes, 160_000));
        // Nothing was changed by counting.
        let report = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!((report.snapshots, report.condemned), (4, 0));
    }
}
