//! Walk: a tree in key order, past what is lost of it.
//!
//! Refused here: what that amounts to (`losses`, `usage`, `replace`). Bound: the children of one node a level, and one leaf.

use std::sync::Arc;

use credenza_format::{Node, Problem, TreeRoot};
use credenza_model::{ChunkId, Key, Record};

use crate::blobs::BlobLoader;
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
