//! A place in a tree that can be sought by key, and moves forward from there.
//!
//! Bound: the children of one node a level, and one leaf.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_format::{Child, Node, TreeRoot};
use credenza_model::{ChunkId, Record};

use super::kept::KeptBlobs;
use crate::{Damage, DamageKind, Result};

/// Leaves that are loaded along with the next one, when reading goes on behind the end of a leaf.
const LEAVES_AHEAD: usize = 3;

pub(super) struct TreeCursor {
    nodes: Arc<KeptBlobs>,
    /// The way down from the root, each node with the child that the way goes through.
    path: Vec<Step>,
    /// What is left of the leaf at its end.
    leaf: VecDeque<Record>,
}

struct Step {
    /// The level of the children.
    level: u8,
    children: Vec<Child>,
    at: usize,
}

impl TreeCursor {
    /// In front of the first record whose key is not before `key`.
    pub(super) async fn seek(nodes: &Arc<KeptBlobs>, root: &TreeRoot, key: &[u8]) -> Result<Self> {
        nodes.note_tree(root);
        let mut place = Self { nodes: Arc::clone(nodes), path: Vec::new(), leaf: VecDeque::new() };
        place.descend(root.level, root.id, &[], key).await?;
        Ok(place)
    }

    /// The next record; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Record>> {
        while self.leaf.is_empty() && !self.path.is_empty() {
            self.skip_to(b"").await?;
        }
        Ok(self.leaf.pop_front())
    }

    /// Moves forward, in front of the first record whose key is not before `key`.
    pub(super) async fn skip_to(&mut self, key: &[u8]) -> Result<()> {
        while self.leaf.pop_front_if(|record| record.entry.key.as_bytes() < key).is_some() {}
        if !self.leaf.is_empty() {
            return Ok(());
        }
        while let Some(step) = self.path.last_mut() {
            let following = step.children.get(step.at + 1..).unwrap_or_default();
            let passed = following.partition_point(|child| child.last_key.as_bytes() < key);
            step.at += 1 + passed;
            if let Some(child) = step.children.get(step.at) {
                let reads_on = step.level == 0 && passed == 0;
                let ahead = step.children.get(step.at + 1..).unwrap_or_default().iter().map(|child| child.id);
                let ahead: Vec<ChunkId> = ahead.take(if reads_on { LEAVES_AHEAD } else { 0 }).collect();
                let (level, id) = (step.level, child.id);
                return self.descend(level, id, &ahead, key).await;
            }
            self.path.pop();
        }
        Ok(())
    }

    /// From a node down to the leaf that the key is in, or would be; a key behind all of them ends above the leaves.
    async fn descend(&mut self, mut level: u8, mut id: ChunkId, mut ahead: &[ChunkId], key: &[u8]) -> Result<()> {
        loop {
            let bytes = self.nodes.get(id, ahead).await?;
            ahead = &[];
            let invalid = |cause: String| Damage::of_chunk("tree", DamageKind::Invalid, id, cause);
            match Node::decode(&bytes, level).map_err(|cause| invalid(cause.to_string()))? {
                Node::Leaf(records) => {
                    let passed = records.partition_point(|record| record.entry.key.as_bytes() < key);
                    self.leaf = records.into_iter().skip(passed).collect();
                    return Ok(());
                }
                Node::Inner(children) => {
                    level = level.checked_sub(1).ok_or_else(|| invalid("a leaf has children".to_owned()))?;
                    let at = children.partition_point(|child| child.last_key.as_bytes() < key);
                    let next = children.get(at).map(|child| child.id);
                    self.path.push(Step { level, children, at });
                    match next {
                        Some(child) => id = child,
                        None => return Ok(()),
                    }
                }
            }
        }
    }
}
