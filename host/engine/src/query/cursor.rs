//! A place in a tree, in key order, where subtrees need not be opened to be passed over.
//!
//! Bound: [`LEAVES_AHEAD`] leaves and one list of children per level.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use credenza_format::{Child, Node, TreeRoot};
use credenza_model::{ChunkId, Key, Record};

use crate::blobs::BlobLoader;
use crate::walk::may_hold;
use crate::{Damage, DamageKind, Result};

/// Leaves loaded at once.
const LEAVES_AHEAD: usize = 32;

/// A part of the tree that was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subtree {
    pub(super) level: u8,
    pub(super) id: ChunkId,
}

/// What comes next.
pub(super) enum Front<'a> {
    Subtree(Subtree),
    Record(&'a Record),
    End,
}

pub(super) struct Cursor {
    loader: Arc<BlobLoader>,
    prefix: Vec<u8>,
    /// What comes up to this key is passed over.
    behind: Option<Key>,
    /// Subtrees still to be visited, by level, the leaves' first.
    levels: Vec<VecDeque<ChunkId>>,
    ready: VecDeque<Record>,
    /// Leaves that were loaded ahead.
    ahead: HashMap<ChunkId, Result<Bytes, Damage>>,
}

impl Cursor {
    /// At the front of what lies at or under `prefix`.
    pub(super) fn new(loader: Arc<BlobLoader>, root: &TreeRoot, prefix: Vec<u8>) -> Self {
        let mut levels = vec![VecDeque::new(); usize::from(root.level)];
        levels.push(VecDeque::from([root.id]));
        Self { loader, prefix, behind: None, levels, ready: VecDeque::new(), ahead: HashMap::new() }
    }

    /// At the front of what lies behind a key as well; called before anything was opened.
    pub(super) fn begin_behind(&mut self, key: Key) {
        self.behind = Some(key);
    }

    fn is_behind(&self, key: &Key) -> bool {
        self.behind.as_ref().is_none_or(|behind| key > behind)
    }

    pub(super) fn front(&self) -> Front<'_> {
        if let Some(record) = self.ready.front() {
            return Front::Record(record);
        }
        let subtrees = (0_u8..).zip(&self.levels);
        let first = subtrees.filter_map(|(level, queue)| queue.front().map(|id| Subtree { level, id: *id })).next();
        first.map_or(Front::End, Front::Subtree)
    }

    /// The record in front, if there is one.
    pub(super) fn pop(&mut self) -> Option<Record> {
        self.ready.pop_front()
    }

    /// Passes over the subtree in front.
    pub(super) fn skip(&mut self) {
        if let Front::Subtree(subtree) = self.front()
            && let Some(queue) = self.levels.get_mut(usize::from(subtree.level))
        {
            queue.pop_front();
        }
    }

    /// Opens the subtree in front. Of the leaves behind it those are loaded along that `wanted` names.
    pub(super) async fn open(&mut self, wanted: impl Fn(&ChunkId) -> bool) -> Result<()> {
        let Front::Subtree(Subtree { level, id }) = self.front() else { return Ok(()) };
        let bytes = match self.ahead.remove(&id) {
            Some(bytes) => bytes,
            None => self.load(level, id, wanted).await?,
        };
        self.skip();
        let node = Node::decode(&bytes?, level)
            .map_err(|cause| Damage::of_chunk("tree", DamageKind::Invalid, id, cause.to_string()))?;
        match node {
            Node::Leaf(records) => {
                let is_wanted = |key: &Key| key.is_under(&self.prefix) && self.is_behind(key);
                let wanted: Vec<Record> = records.into_iter().filter(|record| is_wanted(&record.entry.key)).collect();
                self.ready.extend(wanted);
            }
            Node::Inner(children) => {
                let mut last: Option<Key> = None;
                let may_hold_any = |child: &Child| {
                    may_hold(&self.prefix, last.replace(child.last_key.clone()).as_ref(), &child.last_key)
                        && self.is_behind(&child.last_key)
                };
                let held: Vec<Child> = children.into_iter().filter(may_hold_any).collect();
                if let Some(queue) = level.checked_sub(1).and_then(|below| self.levels.get_mut(usize::from(below))) {
                    queue.extend(held.into_iter().map(|child| child.id));
                }
            }
        }
        Ok(())
    }

    async fn load(
        &mut self,
        level: u8,
        id: ChunkId,
        wanted: impl Fn(&ChunkId) -> bool,
    ) -> Result<Result<Bytes, Damage>> {
        let mut ids = HashSet::from([id]);
        if level == 0 {
            ids.extend(self.following(0).filter(|id| wanted(id)));
        }
        self.ahead = self.loader.load(ids).await?;
        let lost = || Damage::of_chunk("tree", DamageKind::Missing, id, "a tree node is not in the repository");
        Ok(self.ahead.remove(&id).unwrap_or_else(|| Err(lost())))
    }

    /// The next subtrees of a level, as many as may be loaded at once.
    pub(super) fn following(&self, level: u8) -> impl Iterator<Item = ChunkId> {
        self.levels.get(usize::from(level)).into_iter().flatten().take(LEAVES_AHEAD).copied()
    }
}
