//! A place in a tree that can be sought by key, and moves forward from there; and what stands at a position.
//!
//! Bound: one node a level, which the view may keep as well.

use std::sync::Arc;

use credenza_format::{Child, Node, TreeRoot};
use credenza_model::{ChunkId, Record};

use super::nodes::Nodes;
use crate::{Damage, DamageKind, Result};

/// Leaves that are loaded along with the next one, when reading goes on behind the end of a leaf.
const LEAVES_AHEAD: usize = 3;

pub(super) struct TreeCursor {
    nodes: Arc<Nodes>,
    /// The way down from the root, each node with the child that the way goes through.
    path: Vec<Step>,
    /// The leaf at its end, once it is reached.
    leaf: Option<Arc<Node>>,
    /// Which of its records is the next.
    at: usize,
    /// How many records stand before that one in the whole tree.
    position: u64,
}

struct Step {
    /// The level of the children.
    level: u8,
    node: Arc<Node>,
    at: usize,
}

impl TreeCursor {
    /// In front of the first record whose key is not before `key`.
    pub(super) async fn seek(nodes: &Arc<Nodes>, root: &TreeRoot, key: &[u8]) -> Result<Self> {
        nodes.note_tree(root);
        let mut place = Self { nodes: Arc::clone(nodes), path: Vec::new(), leaf: None, at: 0, position: 0 };
        place.descend(root.level, root.id, &[], key).await?;
        Ok(place)
    }

    /// The next record, and how many stand before it in the tree; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Record)>> {
        while self.waiting().is_empty() && !self.path.is_empty() {
            self.skip_to(b"").await?;
        }
        let Some(record) = self.waiting().first().cloned() else { return Ok(None) };
        let position = self.position;
        self.pass(1);
        Ok(Some((position, record)))
    }

    /// Moves forward, in front of the first record whose key is not before `key`.
    pub(super) async fn skip_to(&mut self, key: &[u8]) -> Result<()> {
        let passed = self.waiting().partition_point(|record| record.entry.key.as_bytes() < key);
        self.pass(passed);
        if !self.waiting().is_empty() {
            return Ok(());
        }
        while let Some(step) = self.path.last_mut() {
            let children = children_of(&step.node);
            let following = children.get(step.at + 1..).unwrap_or_default();
            let passed = following.partition_point(|child| child.last_key.as_bytes() < key);
            self.position = self.position.saturating_add(entries_of(following.get(..passed).unwrap_or_default()));
            step.at += 1 + passed;
            if let Some(child) = children.get(step.at) {
                let reads_on = step.level == 0 && passed == 0;
                let ahead = children.get(step.at + 1..).unwrap_or_default().iter().map(|child| child.id);
                let ahead: Vec<ChunkId> = ahead.take(if reads_on { LEAVES_AHEAD } else { 0 }).collect();
                let (level, id) = (step.level, child.id);
                return self.descend(level, id, &ahead, key).await;
            }
            self.path.pop();
        }
        Ok(())
    }

    /// The records of the leaf that are still to come.
    pub(super) fn waiting(&self) -> &[Record] {
        match self.leaf.as_deref() {
            Some(Node::Leaf(records)) => records.get(self.at..).unwrap_or_default(),
            Some(Node::Inner(_)) | None => &[],
        }
    }

    fn pass(&mut self, records: usize) {
        self.at += records;
        self.position = self.position.saturating_add(records as u64);
    }

    /// From a node down to the leaf that the key is in, or would be; a key behind all of them ends above the leaves.
    async fn descend(&mut self, mut level: u8, mut id: ChunkId, mut ahead: &[ChunkId], key: &[u8]) -> Result<()> {
        self.leaf = None;
        loop {
            let node = self.nodes.get(id, level, ahead).await?;
            ahead = &[];
            match &*node {
                Node::Leaf(records) => {
                    self.at = 0;
                    self.pass(records.partition_point(|record| record.entry.key.as_bytes() < key));
                    self.leaf = Some(node);
                    return Ok(());
                }
                Node::Inner(children) => {
                    level = level_below(level, id)?;
                    let at = children.partition_point(|child| child.last_key.as_bytes() < key);
                    self.position = self.position.saturating_add(entries_of(children.get(..at).unwrap_or_default()));
                    let next = children.get(at).map(|child| child.id);
                    self.path.push(Step { level, node, at });
                    match next {
                        Some(child) => id = child,
                        None => return Ok(()),
                    }
                }
            }
        }
    }
}

/// The record that so many stand before in the tree; none behind its end.
pub(super) async fn record_at(nodes: &Arc<Nodes>, root: &TreeRoot, position: u64) -> Result<Option<Record>> {
    nodes.note_tree(root);
    let (mut level, mut id, mut left) = (root.level, root.id, position);
    loop {
        let node = nodes.get(id, level, &[]).await?;
        match &*node {
            Node::Leaf(records) => return Ok(usize::try_from(left).ok().and_then(|at| records.get(at)).cloned()),
            Node::Inner(children) => {
                level = level_below(level, id)?;
                let Some(child) = children.iter().find(|child| match left.checked_sub(child.entries) {
                    Some(behind) => {
                        left = behind;
                        false
                    }
                    None => true,
                }) else {
                    return Ok(None);
                };
                id = child.id;
            }
        }
    }
}

fn children_of(node: &Node) -> &[Child] {
    match node {
        Node::Inner(children) => children,
        Node::Leaf(_) => &[],
    }
}

fn entries_of(children: &[Child]) -> u64 {
    children.iter().map(|child| child.entries).fold(0, u64::saturating_add)
}

fn level_below(level: u8, id: ChunkId) -> Result<u8> {
    let invalid = || Damage::of_chunk("tree", DamageKind::Invalid, id, "a leaf has children".to_owned());
    Ok(level.checked_sub(1).ok_or_else(invalid)?)
}
