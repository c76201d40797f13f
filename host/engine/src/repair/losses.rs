//! Losses: what snapshots have lost for good.
//!
//! Called by `repair::run`. Bound: that of `walk`, and [`PROBLEMS_MAX`] names a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_format::{PROBLEMS_MAX, Problem};
use credenza_model::{ChunkId, SnapshotId};

use super::SnapshotLoss;
use super::salvage::Salvaged;
use super::survey::Survey;
use super::walk::{Step, Walk};
use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Error, Result};

/// What each snapshot has lost that relies on something lost.
pub(super) async fn find(repository: &Repository, survey: &Survey, salvaged: &Salvaged) -> Result<Vec<SnapshotLoss>> {
    let affected: BTreeSet<SnapshotId> =
        survey.findings.iter().flat_map(|finding| finding.affects.iter().copied()).collect();
    let mut losses = Vec::new();
    let loader = survey.loader(repository);
    for handle in survey.snapshots.iter().filter(|handle| affected.contains(&handle.snapshot.id)) {
        let loss = loss(&loader, handle, salvaged).await?;
        losses.extend((loss.entries > 0).then_some(loss));
    }
    Ok(losses)
}

async fn loss(loader: &Arc<BlobLoader>, handle: &SnapshotHandle, salvaged: &Salvaged) -> Result<SnapshotLoss> {
    let mut loss = SnapshotLoss { snapshot: handle.snapshot.id, entries: 0, problems: Vec::new() };
    let is_here = |id: &ChunkId| Ok(!salvaged.lost.contains(id) && loader.index().get(id)?.is_some());
    let is_there = |id: &ChunkId| if salvaged.brought.contains(id) { Ok(true) } else { is_here(id) };
    let mut walk = Walk::new(Arc::clone(loader), &handle.snapshot.tree);
    while let Some(step) = walk.next().await? {
        match step {
            Step::Inner(_) => {}
            Step::Gap(gap) => loss.add(gap.entries, gap.problem()),
            Step::Leaf(_, records) => {
                for record in records {
                    let claimed = ContentChunks::new(Arc::clone(loader), &record.content).claim_all(is_there).await;
                    if let Some(reason) = why_lost(claimed)? {
                        loss.add(1, Problem { key: record.entry.key, reason });
                    }
                }
            }
        }
    }
    Ok(loss)
}

/// Why a content is lost, if it is.
pub(super) fn why_lost(claimed: Result<bool>) -> Result<Option<String>> {
    match claimed {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some("its content is lost: a chunk of it is nowhere in the repository".to_owned())),
        Err(Error::Damage(damage)) => Ok(Some(format!("its content is lost: {damage}"))),
        Err(cause) => Err(cause),
    }
}

impl SnapshotLoss {
    fn add(&mut self, entries: u64, problem: Problem) {
        self.entries += entries;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}
