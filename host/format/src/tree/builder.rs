//! Builds a tree from records in order.
//!
//! A node ends after a record whose key draws low: the draw is keyed, depends on the key and the level alone, and its
//! chance is the record's share of the average node. So equal records give equal trees, whatever their history.
//!
//! Bound: one open node per level.

use credenza_model::limits::{NODE_BYTES_AVG, NODE_BYTES_SPLIT};
use credenza_model::{ChunkId, Key, Record};

use super::node::{Child, begin, encode_child, follows};
use super::{LEVEL_MAX, TreeRoot, record};
use crate::wire::length_u32;
use crate::{BlobKind, Error, Keys, Result};

/// Takes records in order and gives nodes away.
pub struct TreeBuilder {
    keys: Keys,
    levels: Vec<OpenNode>,
    previous: Option<Record>,
}

struct OpenNode {
    level: u8,
    bytes: Vec<u8>,
    items: usize,
    last_key: Key,
    entries: u64,
    content_bytes: u64,
}

impl OpenNode {
    fn new(level: u8) -> Self {
        Self { level, bytes: begin(level), items: 0, last_key: Key::default(), entries: 0, content_bytes: 0 }
    }
}

impl TreeBuilder {
    /// A builder of one tree.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self { keys: keys.clone(), levels: vec![OpenNode::new(0)], previous: None }
    }

    /// Takes the next record; finished nodes are handed to `emit`.
    ///
    /// # Errors
    /// [`Error::Order`] when keys do not increase, [`Error::Record`] for one that cannot be kept, and what `emit` says.
    pub fn push<E: From<Error>>(
        &mut self,
        record: &Record,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(previous) = self.previous.as_ref().filter(|previous| !follows(previous, record)) {
            return Err(Error::Order { previous: previous.entry.key.clone(), key: record.entry.key.clone() }.into());
        }
        let Some(leaf) = self.levels.first_mut() else { return Ok(()) };
        let before = leaf.bytes.len();
        let previous_key: &[u8] = if leaf.items == 0 { &[] } else { leaf.last_key.as_bytes() };
        record::encode(&mut leaf.bytes, previous_key, record)?;
        // As if nothing were shared with the key before, which the same record need not have in another tree.
        let weight = leaf.bytes.len() - before + shared_bytes(previous_key, record.entry.key.as_bytes());
        leaf.items += 1;
        leaf.entries += 1;
        leaf.content_bytes = leaf.content_bytes.saturating_add(record.entry.size.unwrap_or(0));
        leaf.last_key = record.entry.key.clone();
        self.previous = Some(Record { content: credenza_model::Content::None, ..record.clone() });
        self.end_node_if_due(0, weight, emit)
    }

    fn end_node_if_due<E: From<Error>>(
        &mut self,
        at: usize,
        weight: usize,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(node) = self.levels.get(at) else { return Ok(()) };
        let draw = u64::from(self.keys.node_draw(node.level, node.last_key.as_bytes()));
        let low = draw * (NODE_BYTES_AVG as u64) < (weight as u64) << 32;
        // An inner node of one child would lead nowhere.
        let enough = at == 0 || node.items > 1;
        if (low && enough) || node.bytes.len() >= NODE_BYTES_SPLIT { self.end_node(at, emit) } else { Ok(()) }
    }

    fn end_node<E: From<Error>>(
        &mut self,
        at: usize,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let level = u8::try_from(at)
            .ok()
            .filter(|level| *level < LEVEL_MAX)
            .ok_or(Error::Malformed { what: "a tree", problem: "it grows higher than any may".to_owned() })?;
        let Some(slot) = self.levels.get_mut(at) else { return Ok(()) };
        let node = std::mem::replace(slot, OpenNode::new(level));
        let child = self.emit_node(node, emit)?;
        if self.levels.len() == at + 1 {
            self.levels.push(OpenNode::new(level + 1));
        }
        let Some(parent) = self.levels.get_mut(at + 1) else { return Ok(()) };
        let before = parent.bytes.len();
        encode_child(&mut parent.bytes, &child);
        let weight = parent.bytes.len() - before;
        parent.items += 1;
        parent.entries += child.entries;
        parent.content_bytes = parent.content_bytes.saturating_add(child.bytes);
        parent.last_key = child.last_key;
        self.end_node_if_due(at + 1, weight, emit)
    }

    fn emit_node<E: From<Error>>(
        &self,
        node: OpenNode,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<Child, E> {
        let id = self.keys.blob_id(BlobKind::Node, &node.bytes);
        let length = length_u32("a tree node", node.bytes.len())?;
        emit(id, node.bytes)?;
        Ok(Child { last_key: node.last_key, id, length, entries: node.entries, bytes: node.content_bytes })
    }

    /// Ends the tree and names its root. The tree of no records is one empty leaf.
    ///
    /// # Errors
    /// What `emit` says.
    pub fn finish<E: From<Error>>(
        mut self,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<TreeRoot, E> {
        let mut at = 0;
        loop {
            let is_top = at + 1 >= self.levels.len();
            let items = self.levels.get(at).map_or(0, |node| node.items);
            if is_top {
                let level = u8::try_from(at).unwrap_or(LEVEL_MAX);
                let node = self.levels.pop().unwrap_or_else(|| OpenNode::new(level));
                let root = self.emit_node(node, emit)?;
                return Ok(TreeRoot {
                    id: root.id,
                    level,
                    length: root.length,
                    entries: root.entries,
                    bytes: root.bytes,
                });
            }
            if items > 0 {
                self.end_node(at, emit)?;
            }
            at += 1;
        }
    }
}

fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
