//! Join: one tree of several whose keys follow each other, of which hardly anything is read.
//!
//! Owned here: which subtrees are taken over as they are, and that the tree is the one that a single builder makes of all records. Refused
//! here: fetching nodes, which the caller does. Called by the engine's `shards`.
//!
//! Where a node ends follows from its own keys and from the key before it, so that all nodes of a tree but those on its left and its right
//! edge are nodes of the joined tree too, as soon as one of them begins where a node of the joined tree begins. Only the edges are built anew,
//! and what follows a border until that is so: mostly one node a level.
//!
//! Bound: one node a level decoded, and what [`TreeBuilder`] states.

use credenza_model::ChunkId;

use super::builder::{TreeBuilder, TreeRoot};
use super::node::{Child, Node};
use crate::{Error, Keys, Result};

/// The tree of the entries of several trees, each of whose keys come behind those of the one before. `load` gives the bytes of a node, verified;
/// `emit` takes each node that is built, as a blob of [`BlobKind::Node`](crate::BlobKind::Node): it may be there already.
///
/// # Errors
/// [`Error::Order`] when the keys of one do not come behind those of the one before, those of [`Node::decode`], and whatever `load` and
/// `emit` fail with.
pub fn join_trees<E: From<Error>>(
    keys: &Keys,
    trees: &[TreeRoot],
    load: &mut impl FnMut(ChunkId) -> Result<Vec<u8>, E>,
    emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
) -> Result<TreeRoot, E> {
    let mut join = Join { builder: TreeBuilder::new(keys), load, emit };
    for tree in trees {
        join.visit(&tree.id, tree.level, Edges { left: true, right: true })?;
    }
    join.builder.finish(join.emit)
}

struct Join<'a, L, F> {
    builder: TreeBuilder,
    load: &'a mut L,
    emit: &'a mut F,
}

/// On which edges of its tree a node lies.
#[derive(Clone, Copy)]
struct Edges {
    left: bool,
    right: bool,
}

impl<L, F> Join<'_, L, F> {
    /// Takes over what it can of a node, and the records of the rest.
    fn visit<E>(&mut self, id: &ChunkId, level: u8, edges: Edges) -> Result<(), E>
    where
        E: From<Error>,
        L: FnMut(ChunkId) -> Result<Vec<u8>, E>,
        F: FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    {
        let children = match Node::decode(&(self.load)(*id)?, level)? {
            Node::Leaf(records) => {
                return records.iter().try_for_each(|record| self.builder.push(record, self.emit));
            }
            Node::Inner(children) => children,
        };
        let below = level.saturating_sub(1);
        let last = children.len().saturating_sub(1);
        for (place, child) in children.into_iter().enumerate() {
            let edges = Edges { left: edges.left && place == 0, right: edges.right && place == last };
            if edges.left || edges.right || !self.builder.can_take_over(below) {
                self.visit(&child.id, below, edges)?;
                continue;
            }
            // The node above did not end behind it, and could have.
            let goes_on = place > 0 && place < last && !self.builder.may_fill(below, &child);
            let version = if goes_on { None } else { Some(self.last_version(&child, below)?) };
            self.builder.take_over(below, child, version.as_deref(), self.emit)?;
        }
        Ok(())
    }

    /// The version of the last record in a subtree; empty where it has none.
    fn last_version<E>(&mut self, child: &Child, level: u8) -> Result<String, E>
    where
        E: From<Error>,
        L: FnMut(ChunkId) -> Result<Vec<u8>, E>,
    {
        let (mut id, mut level) = (child.id, level);
        loop {
            match Node::decode(&(self.load)(id)?, level)? {
                Node::Leaf(records) => {
                    let version = records.last().and_then(|last| last.entry.version.as_ref());
                    return Ok(version.map(|version| version.id.clone()).unwrap_or_default());
                }
                Node::Inner(children) => {
                    let Some(last) = children.last() else { return Ok(String::new()) };
                    (id, level) = (last.id, level.saturating_sub(1));
                }
            }
        }
    }
}
