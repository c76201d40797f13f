//! Building a tree from records in order, in constant memory.

use credenza_model::limits::{NODE_BYTES_AVG, NODE_BYTES_SPLIT, NODE_KEYS_BYTES_SPLIT};
use credenza_model::{ChunkId, Content, Key, Record};
use serde::{Deserialize, Serialize};

use super::node::{self, Child};
use super::record::encode_record;
use crate::wire::{length_u32, put_sized};
use crate::{BlobKind, Error, Keys, LEVEL_MAX, Result};

/// The top of a tree, as a snapshot keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRoot {
    /// Its node.
    pub id: ChunkId,
    /// Levels of inner nodes: 0 when the root is a leaf.
    pub level: u8,
    /// Bytes of its encoded node.
    pub length: u32,
    /// Entries in all.
    pub entries: u64,
    /// Bytes of their contents.
    pub bytes: u64,
}

/// Builds the tree of a snapshot from its records in order.
///
/// The same records give the same tree, whatever was there before: where a node ends follows from the key of its last record, so one
/// changed record changes one node a level, or two where its length moves a border.
///
/// Memory: one open node a level, each at most [`NODE_BYTES_SPLIT`] and a record.
pub struct TreeBuilder {
    keys: Keys,
    previous: Option<Record>,
    levels: Vec<OpenNode>,
}

/// The node of a level that is being filled.
#[derive(Default)]
struct OpenNode {
    items: Vec<u8>,
    count: u32,
    /// Bytes of the keys of all items, each counted whole.
    key_bytes: usize,
    last_key: Key,
    last_version: String,
    entries: u64,
    bytes: u64,
    /// Whether a node of this level has been closed.
    closed_any: bool,
    /// The only child so far, which is the root if no other follows.
    only_child: Option<Child>,
}

impl OpenNode {
    /// Whether it must end whatever its keys say.
    fn is_full(&self) -> bool {
        self.items.len() >= NODE_BYTES_SPLIT || self.key_bytes >= NODE_KEYS_BYTES_SPLIT
    }
}

/// What goes into a node: a record, or a child.
struct Item<'a> {
    key: Key,
    /// None where it is known that no node ends behind it because of its key.
    version: Option<&'a str>,
    body: Vec<u8>,
    entries: u64,
    bytes: u64,
    child: Option<Child>,
}

impl TreeBuilder {
    /// An empty tree.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self { keys: keys.clone(), previous: None, levels: vec![OpenNode::default()] }
    }

    /// Appends a record; `emit` takes each node that is closed, as a blob of [`BlobKind::Node`].
    ///
    /// # Errors
    /// [`Error::Order`] when the key does not increase, [`Error::Record`] when the record breaks the rules of the model, and whatever
    /// `emit` fails with.
    pub fn push<E: From<Error>>(
        &mut self,
        record: &Record,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.previous {
            Some(previous) => node::check_order(previous, record)?,
            None => self.expect_behind(&record.entry.key)?,
        }
        let encoded = encode_record(record)?;
        let mut body = Vec::with_capacity(encoded.len() + 4);
        put_sized(&mut body, &encoded);
        let version = record.entry.version.as_ref().map_or("", |version| &version.id);
        let item = Item {
            key: record.entry.key.clone(),
            version: Some(version),
            body,
            entries: 1,
            bytes: record.content.bytes(),
            child: None,
        };
        self.push_item(0, item, emit)?;
        // Of the record before only its place in the order matters.
        let mut place = credenza_model::Entry::new(record.entry.key.clone(), record.entry.kind);
        place.version.clone_from(&record.entry.version);
        self.previous = Some(Record { entry: place, content: Content::None, status: record.status.clone() });
        Ok(())
    }

    /// Whether a subtree of that level can be taken over: nothing before it is in an open node of its level or one below.
    pub(super) fn can_take_over(&self, level: u8) -> bool {
        self.levels.iter().take(usize::from(level).saturating_add(1)).all(|open| open.count == 0)
    }

    /// Whether the node above could be full with this child, and end behind it whatever its key says.
    pub(super) fn may_fill(&mut self, level: u8, child: &Child) -> bool {
        let open = self.level(level.saturating_add(1));
        let key_bytes = child.last_key.as_bytes().len();
        let item_bytes = key_bytes.saturating_add(node::CHILD_ITEM_BYTES_MAX);
        open.items.len().saturating_add(item_bytes) >= NODE_BYTES_SPLIT
            || open.key_bytes.saturating_add(key_bytes) >= NODE_KEYS_BYTES_SPLIT
    }

    /// Appends a whole subtree whose node of that level exists, where [`can_take_over`](Self::can_take_over) says so. The record before it
    /// must be the one that came before it when it was made. `last_version` is that of its last record; none where the node above ended behind
    /// it neither then, as more than its first child, nor [now](Self::may_fill).
    ///
    /// # Errors
    /// [`Error::Order`] when it ends before what is there, and whatever `emit` fails with.
    pub(super) fn take_over<E: From<Error>>(
        &mut self,
        level: u8,
        child: Child,
        last_version: Option<&str>,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect_behind(&child.last_key)?;
        self.previous = None;
        for below in 0..=level {
            let open = self.level(below);
            open.last_key.clone_from(&child.last_key);
            (open.closed_any, open.only_child) = (true, None);
        }
        let mut body = Vec::new();
        node::put_child(&mut body, &child);
        let (key, entries, bytes) = (child.last_key.clone(), child.entries, child.bytes);
        let item = Item { key, version: last_version, body, entries, bytes, child: Some(child) };
        self.push_item(level.saturating_add(1), item, emit)
    }

    /// Demands that a key does not come before the last one.
    fn expect_behind(&self, key: &Key) -> Result<()> {
        match self.levels.first().map(|open| &open.last_key).filter(|last| *last > key) {
            Some(last) => Err(Error::Order { previous: last.clone(), key: key.clone() }),
            None => Ok(()),
        }
    }

    /// Closes the tree; `emit` takes the nodes that are left.
    ///
    /// # Errors
    /// Whatever `emit` fails with.
    pub fn finish<E: From<Error>>(
        mut self,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<TreeRoot, E> {
        let mut level = 0;
        loop {
            let open = self.level(level);
            if let (Some(child), false) = (&open.only_child, open.closed_any) {
                return Ok(root(child, level.saturating_sub(1)));
            }
            if open.count > 0 || !open.closed_any {
                self.close(level, emit)?;
            }
            level = level.saturating_add(1);
        }
    }

    fn push_item<E: From<Error>>(
        &mut self,
        level: u8,
        item: Item<'_>,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let keys = self.keys.clone();
        let open = self.level(level);
        // The weight of an item is its length behind its neighbour, also where a node begins with it: so it does not depend on borders.
        let mut shortened = Vec::with_capacity(item.body.len() + 16);
        node::put_key(&mut shortened, open.last_key.as_bytes(), item.key.as_bytes());
        let weight = shortened.len() + item.body.len();
        if open.count == 0 {
            node::put_key(&mut open.items, &[], item.key.as_bytes());
        } else {
            open.items.extend(&shortened);
        }
        open.items.extend(&item.body);
        open.count += 1;
        open.key_bytes += item.key.as_bytes().len();
        open.entries = open.entries.saturating_add(item.entries);
        open.bytes = open.bytes.saturating_add(item.bytes);
        open.only_child = item.child.filter(|_| open.count == 1);
        open.last_key = item.key;
        item.version.unwrap_or_default().clone_into(&mut open.last_version);
        // An inner node of one child would not bring the root nearer.
        let may_end = level == 0 || open.count >= 2;
        let ends = item.version.is_some() && is_boundary(&keys, level, open, weight) || open.is_full();
        if may_end && ends { self.close(level, emit) } else { Ok(()) }
    }

    /// Emits the open node of a level and hands it to the level above.
    fn close<E: From<Error>>(
        &mut self,
        level: u8,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let open = self.level(level);
        let mut bytes = Vec::with_capacity(node::HEAD_BYTES + open.items.len());
        node::put_head(&mut bytes, if level == 0 { node::LEAF } else { node::INNER }, level, open.count);
        bytes.extend(&open.items);
        let (last_key, last_version) = (open.last_key.clone(), open.last_version.clone());
        let (entries, content_bytes) = (open.entries, open.bytes);
        // The last key stays: it is what the next item is shortened behind when its weight is taken.
        open.items.clear();
        open.key_bytes = 0;
        (open.count, open.entries, open.bytes, open.closed_any, open.only_child) = (0, 0, 0, true, None);

        let above = level.checked_add(1).filter(|above| *above <= LEVEL_MAX);
        let above = above.ok_or_else(|| Error::Malformed { what: "a tree", problem: "it grew too high".to_owned() })?;
        let id = self.keys.blob_id(BlobKind::Node, &bytes);
        let length = length_u32("a tree node", bytes.len())?;
        emit(id, bytes)?;
        let child = Child { last_key: last_key.clone(), id, length, entries, bytes: content_bytes };
        let mut body = Vec::new();
        node::put_child(&mut body, &child);
        let item = Item {
            key: last_key,
            version: Some(&last_version),
            body,
            entries,
            bytes: content_bytes,
            child: Some(child),
        };
        self.push_item(above, item, emit)
    }

    fn level(&mut self, level: u8) -> &mut OpenNode {
        let index = usize::from(level);
        if self.levels.len() <= index {
            self.levels.resize_with(index + 1, OpenNode::default);
        }
        #[expect(clippy::indexing_slicing, reason = "the line above made it long enough")]
        &mut self.levels[index]
    }
}

/// Whether a node ends behind its last item: with a probability of the item's weight over the size aimed for, decided by the key, so
/// that nodes have that size on average whatever the length of their items.
fn is_boundary(keys: &Keys, level: u8, open: &OpenNode, weight: usize) -> bool {
    let threshold = (u64::MAX / NODE_BYTES_AVG as u64).saturating_mul(weight as u64);
    keys.boundary(level, open.last_key.as_bytes(), open.last_version.as_bytes()) < threshold
}

fn root(child: &Child, level: u8) -> TreeRoot {
    let Child { id, length, entries, bytes, .. } = *child;
    TreeRoot { id, level, length, entries, bytes }
}
