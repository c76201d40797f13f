//! Replace: beside a snapshot that lost something, one of what is left, with the reasons. The first stays until somebody removes it.
//!
//! Entries without their content stay in it, marked as unreadable; those that were lost with their names stand among its problems.
//! It says which snapshot it replaces, and counts as committed when that was. Bound: as a backup's commit, and the ids of what one
//! content has in condemned packs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_format::{BlobKind, ChainLink, PROBLEMS_MAX, Problem, Snapshot, TreeRoot, Usage, Verdict};
use credenza_model::{ChunkId, Content, EntryStatus, Record, SnapshotId};

use super::losses::why_lost;
use super::survey::Survey;
use super::walk::{Step, Walk};
use super::{Mend, RepairOptions, SnapshotLoss};
use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::flags::{Flags, put_flag};
use crate::repository::{Chain, Repository, SnapshotHandle, random_id};
use crate::tags::TagEdits;
use crate::write::{self, Deduplicator, Draft, GroupKeeper, TreeWriter, claim};
use crate::{Result, Stop};

/// Blobs copied at once.
const BLOBS_IN_WINDOW: usize = 64;

/// Replaces every snapshot that lost something and has no replacement yet.
pub(super) async fn run(
    repository: &Repository,
    survey: &Survey,
    losses: &[SnapshotLoss],
    options: &RepairOptions,
    stop: &Stop,
) -> Result<Vec<Mend>> {
    let unlisted = survey.rebuilt.iter().filter(|rebuilt| !rebuilt.exact).map(|rebuilt| rebuilt.snapshot);
    let lossy: BTreeSet<SnapshotId> = losses.iter().map(|loss| loss.snapshot).chain(unlisted).collect();
    let replaced: BTreeSet<SnapshotId> =
        survey.snapshots.iter().filter_map(|handle| handle.snapshot.replaces).collect();
    let mut mends = Vec::new();
    // A replacement has the tags and the flag that the snapshot has now: notes speak of that one's id.
    let (tags, flags) = match options.apply && !lossy.is_empty() {
        true => (TagEdits::load(repository).await?, Flags::load(repository).await?),
        false => (TagEdits::default(), Flags::default()),
    };
    for handle in survey.snapshots.iter().filter(|handle| lossy.contains(&handle.snapshot.id)) {
        let snapshot = handle.snapshot.id;
        if !replaced.contains(&snapshot) {
            let replacement = if options.apply {
                let id = replace(repository, &tags.applied(handle.clone()), options, stop).await?;
                if let Some(flag) = flags.suspicion(handle) {
                    suspect(repository, id, &flag.reason).await?;
                }
                Some(id)
            } else {
                None
            };
            mends.push(Mend::Beside { snapshot, replacement });
        }
    }
    Ok(mends)
}

/// What stands for a suspect snapshot is as suspect.
async fn suspect(repository: &Repository, id: SnapshotId, reason: &str) -> Result<()> {
    let made = repository.snapshots().await?.whole.into_iter().find(|handle| handle.snapshot.id == id);
    match made {
        Some(made) => put_flag(repository, &made, Verdict::Suspect, reason).await,
        None => Ok(()),
    }
}

async fn replace(
    repository: &Repository,
    handle: &SnapshotHandle,
    options: &RepairOptions,
    stop: &Stop,
) -> Result<SnapshotId> {
    let writer = repository.writer(&options.host, &options.user);
    let index = Arc::new(repository.index_for_writing().await?);
    let dedup = Deduplicator::begin(repository, Arc::clone(&index), writer).await?;
    let loader = repository.loader_from(repository.bare_store(), index);
    let remainder = match Remainder::gather(repository, &loader, &dedup, handle).await {
        Ok(remainder) => remainder,
        Err(cause) => {
            dedup.packs().abandon().await;
            return Err(cause);
        }
    };
    let mut chain = Chain::new(writer, &repository.snapshots().await?.whole);
    let id = SnapshotId::new(random_id()?);
    let signing_key = options.signing_key.clone();
    let draft = Draft { id, chain: &mut chain, signing_key, connector: None, adopted: None, is_carried: false, stop };
    let make = |usage: &Usage, added, link| remainder.snapshot(handle, id, usage, (added, link));
    write::commit(repository, &dedup, draft, make).await?;
    Ok(id)
}

/// What is left of a snapshot.
struct Remainder {
    tree: TreeRoot,
    /// Entries that are lost or have lost their content.
    lost: u64,
    problems: Vec<Problem>,
}

impl Remainder {
    async fn gather(
        repository: &Repository,
        loader: &Arc<BlobLoader>,
        dedup: &Arc<Deduplicator>,
        handle: &SnapshotHandle,
    ) -> Result<Self> {
        let level = repository.config().compression_level;
        let mut tree = TreeWriter::new(Arc::clone(dedup), level);
        let (mut lost, mut problems) = (0, handle.snapshot.problems.clone());
        let mut walk = Walk::new(Arc::clone(loader), &handle.snapshot.tree);
        while let Some(step) = walk.next().await? {
            match step {
                Step::Inner(_) => {}
                Step::Gap(gap) => {
                    lost += gap.entries;
                    problems.push(gap.problem());
                }
                Step::Leaf(_, mut records) => {
                    for record in &mut records {
                        if let Some(reason) = why_lost(carry(dedup, loader, level, &record.content).await)? {
                            lost += 1;
                            problems.push(Problem { key: record.entry.key.clone(), reason: reason.clone() });
                            strip(record, reason);
                        }
                    }
                    tree.push(records).await?;
                }
            }
            problems.truncate(PROBLEMS_MAX);
        }
        Ok(Self { tree: tree.close().await?, lost, problems })
    }

    fn snapshot(
        self,
        handle: &SnapshotHandle,
        id: SnapshotId,
        usage: &Usage,
        (bytes_added, link): (u64, ChainLink),
    ) -> Result<Snapshot> {
        let original = &handle.snapshot;
        let mut statistics = original.statistics;
        statistics.entries = self.tree.entries;
        statistics.bytes = self.tree.bytes;
        statistics.errors = statistics.errors.saturating_add(self.lost);
        (statistics.bytes_read, statistics.bytes_added) = (0, bytes_added);
        let snapshot = Snapshot {
            id,
            store_time: handle.time(),
            replaces: Some(original.id),
            tree: self.tree,
            statistics,
            problems_unlisted: statistics.errors.saturating_sub(self.problems.len() as u64),
            problems: self.problems,
            ..original.clone()
        };
        Ok(snapshot.committed(link, usage)?)
    }
}

/// Takes a record's content away.
fn strip(record: &mut Record, reason: String) {
    record.content = Content::None;
    record.status = EntryStatus::Unreadable(reason);
}

/// Takes a content over, and copies what of it is only in packs that are condemned; `false` when a part of it is nowhere.
async fn carry(dedup: &Arc<Deduplicator>, loader: &Arc<BlobLoader>, level: i32, content: &Content) -> Result<bool> {
    if claim(dedup, loader, content).await? {
        return Ok(true);
    }
    let homeless = RefCell::new(Vec::new());
    let note = |id: &ChunkId| {
        let place = loader.index().get(id)?;
        if let Some(place) = place
            && !dedup.holds(id)?
        {
            homeless.borrow_mut().push((*id, place.kind));
        }
        Ok(place.is_some())
    };
    if !ContentChunks::new(Arc::clone(loader), content).claim_all(note).await? {
        return Ok(false);
    }
    for window in homeless.into_inner().chunks(BLOBS_IN_WINDOW) {
        copy(dedup, loader, level, window.to_vec()).await?;
    }
    Ok(true)
}

async fn copy(
    dedup: &Arc<Deduplicator>,
    loader: &Arc<BlobLoader>,
    level: i32,
    blobs: Vec<(ChunkId, BlobKind)>,
) -> Result<()> {
    let mut fetched = loader.load(blobs.iter().map(|(id, _)| *id)).await?;
    let kept = Arc::clone(dedup);
    let work = move || {
        let mut keeper = GroupKeeper::new(kept, level)?;
        for (id, kind) in blobs {
            if let Some(plain) = fetched.remove(&id) {
                keeper.keep_blob(kind, &plain?)?;
            }
        }
        keeper.flush()
    };
    dedup.packs().workers().work("copy", work).await
}
