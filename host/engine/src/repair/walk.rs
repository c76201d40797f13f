//! Walk: a tree in key order, past what is lost of it, and what that amounts to.
//!
//! Bound: the children of one node a level, one leaf, and [`PROBLEMS_MAX`] names a snapshot.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use credenza_format::{Node, PROBLEMS_MAX, Problem, TreeRoot};
use credenza_model::{ChunkId, Key, Record, SnapshotId};

use super::SnapshotLoss;
use super::survey::Survey;
use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Damage, DamageKind, Error, Result};

/// What comes next in a tree.
pub(super) enum Step {
    Inner(ChunkId),
    Leaf(ChunkId, Vec<Record>),
    Gap(Gap),
}

/// A part of a tree that cannot be read.
pub(super) struct Gap {
    /// The last key of it, where a node above says it.
    last_key: Key,
    pub(super) entries: u64,
    damage: Damage,
}

impl Gap {
    pub(super) fn problem(&self) -> Problem {
        let reason =
            format!("lost, with all {} entries before it that have no name any more: {}", self.entries, self.damage);
        Problem { key: self.last_key.clone(), reason }
    }
}

pub(super) struct Walk {
    loader: Arc<BlobLoader>,
    /// Nodes still to be visited, the next one last.
    pending: Vec<Pending>,
}

struct Pending {
    level: u8,
    id: ChunkId,
    last_key: Key,
    entries: u64,
}

impl Walk {
    pub(super) fn new(loader: Arc<BlobLoader>, root: &TreeRoot) -> Self {
        let root = Pending { level: root.level, id: root.id, last_key: Key::default(), entries: root.entries };
        Self { loader, pending: vec![root] }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Step>> {
        let Some(Pending { level, id, last_key, entries }) = self.pending.pop() else { return Ok(None) };
        let opened = self.loader.load_one(id).await.and_then(|bytes| {
            let invalid =
                |cause: credenza_format::Error| Damage::of_chunk("tree", DamageKind::Invalid, id, cause.to_string());
            Ok(Node::decode(&bytes, level).map_err(invalid)?)
        });
        Ok(Some(match opened {
            Ok(Node::Leaf(records)) => Step::Leaf(id, records),
            Ok(Node::Inner(children)) => {
                let below = level.saturating_sub(1);
                let children = children.into_iter().rev().map(|child| Pending {
                    level: below,
                    id: child.id,
                    last_key: child.last_key,
                    entries: child.entries,
                });
                self.pending.extend(children);
                Step::Inner(id)
            }
            Err(Error::Damage(damage)) => Step::Gap(Gap { last_key, entries, damage }),
            Err(cause) => return Err(cause),
        }))
    }
}

/// What each snapshot has lost that relies on something lost.
pub(super) async fn losses(
    repository: &Repository,
    survey: &Survey,
    lost: &HashSet<ChunkId>,
) -> Result<Vec<SnapshotLoss>> {
    let affected: BTreeSet<SnapshotId> =
        survey.findings.iter().flat_map(|finding| finding.affects.iter().copied()).collect();
    let mut losses = Vec::new();
    let loader = survey.loader(repository);
    for handle in survey.snapshots.iter().filter(|handle| affected.contains(&handle.snapshot.id)) {
        let loss = loss(&loader, handle, lost).await?;
        losses.extend((loss.entries > 0).then_some(loss));
    }
    Ok(losses)
}

async fn loss(loader: &Arc<BlobLoader>, handle: &SnapshotHandle, lost: &HashSet<ChunkId>) -> Result<SnapshotLoss> {
    let mut loss = SnapshotLoss { snapshot: handle.snapshot.id, entries: 0, problems: Vec::new() };
    let is_there = |id: &ChunkId| !lost.contains(id) && loader.index().get(id).is_some();
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
