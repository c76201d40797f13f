//! A snapshot's records in key order, read from its tree a window of leaves at a time.
//!
//! Bound: the leaves of one window (at most [`LEAVES_IN_WINDOW`] nodes of some 64 KiB), one list of children per level, what a
//! caller looks ahead at, and what a course holds where all is read in one go.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use credenza_format::{Child, Node, TreeRoot};
use credenza_model::{ChunkId, Key, Record};

use crate::blobs::{BlobLoader, Course, STRETCHES_OPEN_MAX};
use crate::parts::{Parts, Spans};
use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

const LEAVES_IN_WINDOW: usize = 32;

/// A stream of records in key order.
pub struct Records {
    loader: Arc<BlobLoader>,
    /// Children still to be loaded, one queue per level, the leaves' level first.
    levels: Vec<VecDeque<Child>>,
    /// Loaded, and not decoded yet: that makes them several times as large.
    leaves: VecDeque<Leaf>,
    ready: VecDeque<Record>,
    /// Records given so far.
    given: u64,
    /// What stopped looking ahead; whoever takes the records meets it behind those that are loaded.
    stopped: Option<Error>,
    spans: Spans,
    root: Option<TreeRoot>,
    /// What was passed over; nothing is unless the caller wants the rest.
    lost: Option<Vec<LostNode>>,
    /// Whether all leaves are wanted soon.
    in_one_go: bool,
    /// How the leaves that are queued are read, where they are in one go.
    course: Option<Course>,
}

struct Leaf {
    child: Child,
    bytes: Result<Bytes, Damage>,
}

impl Leaf {
    fn node(&self, level: u8) -> Result<Node, Damage> {
        decoded(self.bytes.as_ref().map_err(Damage::clone)?, level, &self.child.id)
    }
}

/// A part of a tree that cannot be read.
pub(crate) struct LostNode {
    /// The last key in it.
    pub(crate) last_key: Key,
    /// Entries in it.
    pub(crate) entries: u64,
    pub(crate) damage: Damage,
}

impl Repository {
    pub(crate) fn walk(&self, loader: &Arc<BlobLoader>, root: &TreeRoot, prefix: &[u8]) -> Records {
        Records::new(Arc::clone(loader), root, prefix.to_vec())
    }

    /// The records of some parts, in one walk.
    pub(crate) fn walk_parts(&self, loader: &Arc<BlobLoader>, root: &TreeRoot, parts: &Parts) -> Records {
        self.walk_spans(loader, root, parts.spans())
    }

    /// The records of some spans of keys, in one walk.
    pub(crate) fn walk_spans(&self, loader: &Arc<BlobLoader>, root: &TreeRoot, spans: Spans) -> Records {
        Records::over(Arc::clone(loader), root, spans)
    }
}

impl Records {
    /// The records whose keys begin with `prefix`, as bytes; subtrees outside of it are not read.
    pub(crate) fn new(loader: Arc<BlobLoader>, root: &TreeRoot, prefix: Vec<u8>) -> Self {
        Self::over(loader, root, Spans::beginning_with(&prefix))
    }

    /// The records whose keys lie behind one and up to and with another; subtrees outside of that are not read.
    pub(crate) fn within(loader: Arc<BlobLoader>, root: &TreeRoot, after: Option<&Key>, until: Option<&Key>) -> Self {
        Self::over(loader, root, Spans::between(after, until))
    }

    /// The records whose keys lie in these spans; subtrees outside of them are not read.
    fn over(loader: Arc<BlobLoader>, root: &TreeRoot, spans: Spans) -> Self {
        loader.note_tree(root);
        let (levels, leaves, ready) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Self {
            loader,
            levels,
            leaves,
            ready,
            given: 0,
            stopped: None,
            spans,
            root: Some(*root),
            lost: None,
            in_one_go: false,
            course: None,
        }
    }

    /// The same, which passes over what is lost below the root and tells it by [`take_lost`](Self::take_lost).
    pub(crate) fn salvaging(self) -> Self {
        Self { lost: Some(Vec::new()), ..self }
    }

    /// The same for a caller that takes all records without delay: leaves that lie side by side come with one request.
    pub(crate) fn in_one_go(self) -> Self {
        Self { in_one_go: true, ..self }
    }

    /// What was passed over since the last call.
    pub(crate) fn take_lost(&mut self) -> Vec<LostNode> {
        self.lost.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Damage`] when a node is lost or lies about itself.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.given += 1;
                return Ok(Some(record));
            }
            if !self.advance().await? {
                return Ok(None);
            }
        }
    }

    /// Up to some thousand records at once; an empty list is the end.
    ///
    /// # Errors
    /// As [`Records::next`].
    pub async fn next_batch(&mut self) -> Result<Vec<Record>> {
        while self.ready.is_empty() && self.advance().await? {}
        self.given += self.ready.len() as u64;
        Ok(self.ready.drain(..).collect())
    }

    /// The record of that number, counted from the first, which stays to be given; `None` when it was given already, beyond the
    /// end, and behind what cannot be read. The leaves before it are held in memory. Of a walk over everything.
    pub(crate) async fn look_ahead(&mut self, number: u64) -> Option<Record> {
        let number = number.checked_sub(self.given)?;
        loop {
            if let Some(found) = self.loaded(number) {
                return found;
            }
            match self.load().await {
                _ if self.stopped.is_some() => return None,
                Ok(true) => {}
                Ok(false) => return None,
                Err(cause) => self.stopped = Some(cause),
            }
        }
    }

    /// The record of that number, counted from the next, if so many are loaded; `Some(None)` where they cannot be read.
    fn loaded(&self, number: u64) -> Option<Option<Record>> {
        let mut place = number;
        let ready = self.ready.len() as u64;
        if place < ready {
            return Some(self.ready.get(usize::try_from(place).ok()?).cloned());
        }
        place -= ready;
        for leaf in &self.leaves {
            if place < leaf.child.entries {
                let Ok(Node::Leaf(records)) = leaf.node(0) else { return Some(None) };
                return Some(records.into_iter().nth(usize::try_from(place).ok()?));
            }
            place -= leaf.child.entries;
        }
        None
    }

    /// Makes records ready; `false` at the end.
    async fn advance(&mut self) -> Result<bool> {
        if let Some(leaf) = self.leaves.pop_front() {
            let node = leaf.node(0);
            self.visit_or_pass(leaf.child, 0, node)?;
            return Ok(true);
        }
        match self.stopped.take() {
            Some(cause) => Err(cause),
            None => self.load().await,
        }
    }

    /// Loads what comes next; `false` at the end.
    async fn load(&mut self) -> Result<bool> {
        if let Some(root) = self.root.take() {
            let bytes = self.loader.load_one(root.id).await?;
            self.levels = (0..root.level).map(|_| VecDeque::new()).collect();
            self.visit(root.level, decoded(&bytes, root.level, &root.id)?);
            return Ok(true);
        }
        let Some(depth) = self.levels.iter().position(|queue| !queue.is_empty()) else {
            return Ok(false);
        };
        // Inner nodes are opened one at a time, so that a queue never outgrows the children of one node.
        let window = if depth == 0 { LEAVES_IN_WINDOW } else { 1 };
        if depth == 0 && self.in_one_go && self.course.is_none() {
            let queued = self.levels.first().into_iter().flatten().map(|child| child.id);
            self.course = Some(Course::plan(&self.loader, queued, STRETCHES_OPEN_MAX / 2));
        }
        let children: Vec<Child> = match self.levels.get_mut(depth) {
            Some(queue) => queue.drain(..queue.len().min(window)).collect(),
            None => return Ok(false),
        };
        let ids: Vec<ChunkId> = children.iter().map(|child| child.id).collect();
        let loaded = match &mut self.course {
            Some(course) if depth == 0 => self.loader.complete(course.take(ids).await).await?,
            _ => self.loader.load(ids).await?,
        };
        if depth == 0 && self.levels.first().is_some_and(VecDeque::is_empty) {
            self.course = None;
        }
        for child in children {
            // Two children of one window may be one node; its bytes are shared, not moved.
            let bytes = loaded.get(&child.id).cloned().unwrap_or_else(|| Err(lost(&child)));
            let node = Leaf { child, bytes };
            match u8::try_from(depth).unwrap_or(u8::MAX) {
                0 => self.leaves.push_back(node),
                level => {
                    let inner = node.node(level);
                    self.visit_or_pass(node.child, level, inner)?;
                }
            }
        }
        Ok(true)
    }

    /// Takes a node in, or passes over it if it is damaged and the caller wants the rest.
    fn visit_or_pass(&mut self, child: Child, level: u8, node: Result<Node, Damage>) -> Result<(), Damage> {
        match node {
            Ok(node) => self.visit(level, node),
            Err(damage) => {
                let Child { last_key, entries, .. } = child;
                let passed_over = self.lost.as_mut().ok_or_else(|| damage.clone())?;
                passed_over.push(LostNode { last_key, entries, damage });
            }
        }
        Ok(())
    }

    fn visit(&mut self, level: u8, node: Node) {
        match node {
            Node::Leaf(records) => {
                self.ready.extend(records.into_iter().filter(|record| self.spans.part_of(&record.entry.key).is_some()))
            }
            Node::Inner(children) => {
                let mut last: Option<Key> = None;
                let wanted: Vec<Child> = children
                    .into_iter()
                    .filter(|child| self.spans.may_hold(last.replace(child.last_key.clone()).as_ref(), &child.last_key))
                    .collect();
                if let Some(queue) = level.checked_sub(1).and_then(|below| self.levels.get_mut(usize::from(below))) {
                    queue.extend(wanted);
                }
            }
        }
    }
}

/// Records looked up by keys that ascend.
pub(crate) struct KeyedRecords {
    records: Records,
    /// Records of one key: several when the source keeps versions.
    group: Vec<Record>,
    following: Option<Record>,
}

impl KeyedRecords {
    pub(crate) fn new(records: Records) -> Self {
        Self { records, group: Vec::new(), following: None }
    }

    /// The records of exactly that key; keys must be asked for in ascending order.
    pub(crate) async fn seek(&mut self, key: &Key) -> Result<&[Record]> {
        while self.group.first().is_none_or(|record| record.entry.key < *key) {
            let Some(first) = self.advance().await? else {
                self.group.clear();
                break;
            };
            if first.entry.key < *key {
                continue;
            }
            self.group = vec![first];
            while let Some(next) = self.advance().await? {
                if self.group.first().is_none_or(|first| first.entry.key != next.entry.key) {
                    self.following = Some(next);
                    break;
                }
                self.group.push(next);
            }
        }
        Ok(if self.group.first().is_some_and(|record| record.entry.key == *key) { &self.group } else { &[] })
    }

    /// As [`Records::look_ahead`].
    pub(crate) async fn look_ahead(&mut self, number: u64) -> Option<Record> {
        self.records.look_ahead(number).await
    }

    async fn advance(&mut self) -> Result<Option<Record>> {
        match self.following.take() {
            Some(record) => Ok(Some(record)),
            None => self.records.next().await,
        }
    }
}

/// Whether a child that follows one ending at `previous_last` and itself ends at `last` can hold keys with the prefix.
pub(crate) fn may_hold(prefix: &[u8], previous_last: Option<&Key>, last: &Key) -> bool {
    let begins_too_late =
        previous_last.is_some_and(|key| key.as_bytes() > prefix && !key.as_bytes().starts_with(prefix));
    last.as_bytes() >= prefix && !begins_too_late
}

fn decoded(bytes: &[u8], level: u8, id: &ChunkId) -> Result<Node, Damage> {
    Node::decode(bytes, level).map_err(|cause| Damage::of_chunk("tree", DamageKind::Invalid, *id, cause.to_string()))
}

fn lost(child: &Child) -> Damage {
    Damage::of_chunk("tree", DamageKind::Missing, child.id, "a tree node is not in the repository")
}
