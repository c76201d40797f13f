//! Merge: many small index segments become few large ones, many records of condemned packs one, many notes of what was read one.
//!
//! What replaces is put before what it replaces is deleted, so that a reader finds one or the other
//! (`Repository::merged_documents`). A merge is also where the descriptions of packs go that were deleted and that no
//! usage list names. Bound: the segments of one group, [`GROUP_BLOBS_MAX`] blobs.

use std::collections::{HashMap, HashSet};

use credenza_format::{Condemned, IndexSegment, LockRecord, ObjectKind, PackRecord, seal_document};
use credenza_model::{ObjectId, SnapshotId, StoreKey, Timestamp};

use super::condemn::put_record;
use super::mark::View;
use super::{GcReport, delete};
use crate::clock::is_expired;
use crate::health::Health;
use crate::latest::Latest;
use crate::repository::{Repository, SegmentInfo, random_id};
use crate::tags::TagEdits;
use crate::write::put;
use crate::{Damage, DamageKind, Result};

/// Blobs of a segment beyond which it is not merged with others: some 7 MB.
const GROUP_BLOBS_MAX: u64 = 1 << 17;
/// Records of condemned packs that are left alone.
const RECORDS_MAX: usize = 16;

/// Merges index segments, and deletes those that others replaced before: that they say so is believed only where what a segment describes is described
/// elsewhere, too. Of packs of which nobody can say what is in them all that is said stays.
pub(super) async fn segments(repository: &Repository, view: &View, report: &mut GcReport) -> Result<()> {
    let superseded: HashSet<ObjectId> =
        view.segments.iter().flat_map(|segment| segment.supersedes.iter().copied()).collect();
    let is_decided = |segment: &&SegmentInfo| !segment.packs.iter().any(|(pack, _)| view.undecided.contains_key(pack));
    let (replaced, current): (Vec<&SegmentInfo>, Vec<&SegmentInfo>) =
        view.segments.iter().filter(is_decided).partition(|segment| superseded.contains(&segment.id));
    let is_ghost =
        |pack: &ObjectId| view.condemned.contains(pack) && !view.packs.contains_key(pack) && !view.is_named(pack);
    let described: HashSet<ObjectId> =
        current.iter().flat_map(|segment| segment.packs.iter().map(|(pack, _)| *pack)).collect();
    let is_described =
        |segment: &&&SegmentInfo| segment.packs.iter().all(|(pack, _)| described.contains(pack) || is_ghost(pack));
    let listed: HashSet<ObjectId> = replaced.iter().filter(is_described).map(|segment| segment.id).collect();
    let weigh = |segment: &&SegmentInfo| Weight {
        id: segment.id,
        blobs: segment.packs.iter().map(|(_, blobs)| u64::from(*blobs)).sum(),
        ghosts: segment.packs.iter().filter(|(pack, _)| is_ghost(pack)).map(|(_, blobs)| u64::from(*blobs)).sum(),
    };
    for group in groups(current.iter().map(weigh).collect()) {
        let merge = Merge { group: &group, replaced: &listed, now: view.now };
        merge.run(repository, &is_ghost, report).await?;
    }
    remove(repository, ObjectKind::Index, &listed.into_iter().collect::<Vec<_>>(), report).await?;
    Ok(())
}

/// How large a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    id: ObjectId,
    blobs: u64,
    /// Blobs whose descriptions nobody needs.
    ghosts: u64,
}

/// Which segments to merge with each other: the smallest first, as long as the next is at most twice as large as all before
/// it, so that a blob is written again only when its segment grows by half. One that is half ghosts is written again in any case.
fn groups(mut segments: Vec<Weight>) -> Vec<Vec<ObjectId>> {
    segments.sort_by_key(|segment| (segment.live(), segment.id));
    let mut groups: Vec<Vec<Weight>> = Vec::new();
    for segment in segments {
        match groups.last_mut() {
            Some(group) if joins(group, &segment) => group.push(segment),
            _ => groups.push(vec![segment]),
        }
    }
    groups.retain(|group| group.len() > 1 || group.iter().any(|segment| segment.ghosts * 2 > segment.blobs));
    groups.into_iter().map(|group| group.into_iter().map(|segment| segment.id).collect()).collect()
}

fn joins(group: &[Weight], next: &Weight) -> bool {
    let sum: u64 = group.iter().map(Weight::live).sum();
    (sum == 0 || next.live() <= sum * 2) && sum + next.live() <= GROUP_BLOBS_MAX
}

impl Weight {
    fn live(&self) -> u64 {
        self.blobs - self.ghosts
    }
}

/// One group that is written again.
struct Merge<'a> {
    group: &'a [ObjectId],
    /// Segments that others replaced before.
    replaced: &'a HashSet<ObjectId>,
    now: Timestamp,
}

/// What the segments of a group say together.
#[derive(Default)]
struct Merged {
    packs: HashMap<ObjectId, PackRecord>,
    locks: HashMap<ObjectId, Timestamp>,
}

impl Merge<'_> {
    /// Writes the group again, unless another collector was faster.
    async fn run(
        &self,
        repository: &Repository,
        is_ghost: &impl Fn(&ObjectId) -> bool,
        report: &mut GcReport,
    ) -> Result<()> {
        let mut merged = Merged::default();
        let mut supersedes: HashSet<ObjectId> = self.group.iter().copied().collect();
        for id in self.group {
            let Some(segment) = repository.segment(*id).await? else { return Ok(()) };
            // What the merged segment replaces and is still there is replaced by the new one.
            supersedes.extend(segment.supersedes.iter().filter(|id| self.replaced.contains(id)));
            merged.take(segment, is_ghost);
        }
        merged.locks.retain(|object, until| *until > self.now && !supersedes.contains(object));
        if !merged.packs.is_empty() || !merged.locks.is_empty() {
            self.put(repository, merged, supersedes).await?;
        }
        remove(repository, ObjectKind::Index, self.group, report).await?;
        report.segments_merged += self.group.len() as u64;
        Ok(())
    }

    /// What is put now is locked for as long as any snapshot that is there must last.
    async fn put(&self, repository: &Repository, merged: Merged, supersedes: HashSet<ObjectId>) -> Result<()> {
        let id = ObjectId::new(random_id()?);
        let until = repository.lock_rule().map(|rule| rule.granted(self.now));
        let own = until.map(|until| (id, until));
        let locks = merged.locks.into_iter().chain(own).map(|(object, until)| LockRecord { object, until });
        let mut packs: Vec<PackRecord> = merged.packs.into_values().collect();
        packs.sort_unstable_by_key(|pack| pack.id);
        let segment = IndexSegment { packs, supersedes: supersedes.into_iter().collect(), locks: locks.collect() };
        let sealed = seal_document(repository.keys(), ObjectKind::Index, id, &segment.encode()?)?;
        put(&**repository.store(), sealed, until).await.map(drop)
    }
}

impl Merged {
    fn take(&mut self, segment: IndexSegment, is_ghost: &impl Fn(&ObjectId) -> bool) {
        for pack in segment.packs.into_iter().filter(|pack| !is_ghost(&pack.id)) {
            let (moved, version) = (pack.moved, pack.version.clone());
            let known = self.packs.entry(pack.id).or_insert(pack);
            known.moved |= moved;
            known.version = known.version.take().or(version);
        }
        for lock in segment.locks {
            let until = self.locks.entry(lock.object).or_insert(lock.until);
            *until = lock.until.max(*until);
        }
    }
}

/// Merges records of condemned packs when there are many, and only such as have outlived every run (`Repository::condemned`).
pub(super) async fn records(repository: &Repository, view: &View, now: Timestamp, report: &mut GcReport) -> Result<()> {
    let (mut ids, mut packs, mut connectors) = (Vec::new(), HashSet::new(), HashSet::new());
    for document in repository.documents(repository.store(), ObjectKind::Condemned).await? {
        if !is_expired(document.object.modified, now) {
            continue;
        }
        let record = Condemned::decode(&document.body?)
            .map_err(|cause| Damage::new(&document.key, DamageKind::Invalid, cause.to_string()))?;
        ids.push(document.id);
        packs.extend(record.packs);
        connectors.extend(record.connectors);
    }
    if ids.len() <= RECORDS_MAX {
        return Ok(());
    }
    let mut packs: Vec<ObjectId> = packs.into_iter().collect();
    packs.sort_unstable();
    // A name is free again once no run can know a connector under it that ran when these records were read: another collector may still delete
    // what this one has listed, or deleted itself.
    let mut connectors: Vec<ObjectId> =
        connectors.into_iter().filter(|name| view.connectors.contains_key(name)).collect();
    connectors.sort_unstable();
    put_record(repository, packs, connectors).await?;
    remove(repository, ObjectKind::Condemned, &ids, report).await?;
    report.records_merged = ids.len() as u64;
    Ok(())
}

/// Merges notes of what was read and found damaged, and of tags, when there are many; without what they say of packs and snapshots that are gone.
pub(super) async fn notes(
    repository: &Repository,
    view: &View,
    (health, tags, latest): (&Health, &TagEdits, &Latest),
    report: &mut GcReport,
) -> Result<()> {
    let is_kept = |pack: &ObjectId| view.packs.contains_key(pack) || view.is_named(pack);
    let mut merged = health.merge(repository, is_kept).await?;
    let is_there = |snapshot: &SnapshotId| view.snapshots.contains(&ObjectId::new(*snapshot.as_bytes()));
    merged.extend(tags.merge(repository, is_there).await?);
    merged.extend(latest.superseded());
    let results = delete(repository, &merged).await?;
    report.count(&results);
    report.notes_merged = merged.len() as u64;
    Ok(())
}

async fn remove(repository: &Repository, kind: ObjectKind, ids: &[ObjectId], report: &mut GcReport) -> Result<()> {
    let keys: Vec<StoreKey> = ids.iter().map(|id| kind.store_key(*id)).collect();
    let results = delete(repository, &keys).await?;
    report.count(&results);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(blobs: &[u64]) -> Vec<usize> {
        let weigh = |(number, blobs): (u8, &u64)| Weight { id: ObjectId::new([number; 16]), blobs: *blobs, ghosts: 0 };
        groups((0..).zip(blobs).map(weigh).collect()).iter().map(Vec::len).collect()
    }

    #[test]
    fn segments_of_like_size_are_merged_and_a_large_one_is_left_alone() {
        assert_eq!(sizes(&[10, 10, 10]), [3]);
        assert_eq!(sizes(&[10, 100, 1000]), [0_usize; 0], "each is much larger than the ones before");
        assert_eq!(sizes(&[10, 10, 1000]), [2]);
        assert_eq!(sizes(&[10, 10, 40]), [3]);
        assert_eq!(sizes(&[0, 10, 10]), [3], "one without anything joins the next");
        assert_eq!(sizes(&[GROUP_BLOBS_MAX, GROUP_BLOBS_MAX]), [0_usize; 0]);
    }

    #[test]
    fn a_segment_of_ghosts_is_written_anew_alone() {
        let segment = |ghosts| vec![Weight { id: ObjectId::new([1; 16]), blobs: 10, ghosts }];
        assert_eq!(groups(segment(5)).len(), 0);
        assert_eq!(groups(segment(6)).len(), 1);
    }
}
