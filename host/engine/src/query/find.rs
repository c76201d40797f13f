//! Find: the entries of many snapshots that match, each path and content once, with the snapshots that hold it.
//!
//! The trees are read side by side, in the order of keys. Equal parts of trees are equal nodes, and all trees that hold a node come to it at the same
//! place: it is read, decoded and matched once. So many alike snapshots cost one walk, and what differs between them.
//!
//! Called by `cli`. Bound: of each of [`TREES_AT_ONCE`] different trees a list of children a level and the matches of two leaves, which are shared where
//! they are equal, beside the nodes that the view keeps.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use credenza_format::{Child, Node, TreeRoot};
use credenza_model::{ChunkId, Key, Record, SnapshotId};

use super::matching::{FindQuery, Reach};
use crate::repository::SnapshotHandle;
use crate::view::{KeptBlobs, View};
use crate::{Damage, DamageKind, Result};

/// Different trees that are read side by side. Where there are more, the next so many follow when these are done.
pub const TREES_AT_ONCE: usize = 128;
/// Leaves that all trees together load ahead: half of what the view keeps of nodes, so that none is dropped before it is used.
const LEAVES_AHEAD: usize = 256;
/// Leaves that one tree loads ahead.
const LEAVES_AHEAD_OF_ONE: usize = 32;

/// Something that matches: a path with one content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The record, as the newest of the snapshots has it.
    pub record: Arc<Record>,
    /// The snapshots that hold it, in the order in which they were given.
    pub snapshots: Vec<SnapshotId>,
}

/// A stream of what matches, in the order of keys; of one key in the order of the first snapshot that holds it.
pub struct Finder {
    nodes: Arc<KeptBlobs>,
    query: FindQuery,
    reaches: Vec<Reach>,
    /// Those that are not begun yet.
    waiting: VecDeque<(SnapshotId, TreeRoot)>,
    /// Those that are under way, in the order in which they were given.
    ids: Vec<SnapshotId>,
    trees: Vec<Tree>,
    leaves: HashMap<ChunkId, Weak<Leaf>>,
    ready: VecDeque<Found>,
}

/// A tree that is being read, and the places of its snapshots.
struct Tree {
    root: TreeRoot,
    snapshots: Vec<usize>,
    state: Progress,
    path: Vec<Step>,
    /// Kept for the other trees that hold it.
    leaf: Option<Arc<Leaf>>,
    /// What matches and was not given yet.
    pending: VecDeque<Arc<Record>>,
}

/// How far a tree was read.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Begun,
    /// Up to this key.
    Through(Key),
    Ended,
}

struct Step {
    /// The level of the children.
    level: u8,
    children: Vec<Child>,
    /// The next child.
    at: usize,
    /// The key behind which the first child begins.
    behind: Option<Key>,
}

/// What matches in a leaf.
struct Leaf {
    matches: Vec<Arc<Record>>,
    last_key: Key,
}

impl View {
    /// Looks for entries in snapshots. Give the newest first to have the newest first.
    #[must_use]
    pub fn find(&self, snapshots: &[SnapshotHandle], query: FindQuery) -> Finder {
        let waiting = snapshots.iter().map(|handle| (handle.snapshot.id, handle.snapshot.tree)).collect();
        let reaches = query.reaches();
        let nodes = Arc::clone(self.nodes());
        let (ids, trees, leaves, ready) = (Vec::new(), Vec::new(), HashMap::new(), VecDeque::new());
        Finder { nodes, query, reaches, waiting, ids, trees, leaves, ready }
    }
}

impl Finder {
    /// What matches next; `None` at the end.
    ///
    /// # Errors
    /// Damage when a node is lost.
    pub async fn next(&mut self) -> Result<Option<Found>> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(Some(found));
            }
            let Some((number, hindmost)) = self.trees.iter().enumerate().min_by_key(|(_, tree)| &tree.state) else {
                if self.waiting.is_empty() {
                    return Ok(None);
                }
                self.begin();
                continue;
            };
            let first = self.trees.iter().filter_map(|tree| tree.pending.front()).map(|record| &record.entry.key).min();
            match (first, &hindmost.state) {
                // No tree has anything more of that key.
                (Some(first), Progress::Through(read)) if first < read => self.gather(&first.clone()),
                (Some(first), Progress::Ended) => self.gather(&first.clone()),
                (None, Progress::Ended) => self.trees.clear(),
                _ => self.advance(number).await?,
            }
        }
    }

    /// Begins with as many of the waiting as may be read at once.
    fn begin(&mut self) {
        self.ids.clear();
        let mut numbers = HashMap::new();
        while let Some((id, root)) = self.waiting.front().copied() {
            let number = *numbers.entry(root.id).or_insert(self.trees.len());
            if number >= TREES_AT_ONCE {
                break;
            }
            if number == self.trees.len() {
                self.trees.push(Tree::new(root));
            }
            if let Some(tree) = self.trees.get_mut(number) {
                tree.snapshots.push(self.ids.len());
            }
            self.ids.push(id);
            self.waiting.pop_front();
        }
    }

    /// Takes what all trees have of a key.
    fn gather(&mut self, key: &Key) {
        let mut groups: Vec<(Arc<Record>, Vec<usize>)> = Vec::new();
        for tree in &mut self.trees {
            while let Some(record) = tree.pending.pop_front_if(|record| record.entry.key == *key) {
                match groups.iter_mut().find(|(known, _)| is_same(known, &record)) {
                    Some((_, snapshots)) => snapshots.extend(&tree.snapshots),
                    None => groups.push((record, tree.snapshots.clone())),
                }
            }
        }
        groups.iter_mut().for_each(|(_, snapshots)| snapshots.sort_unstable());
        groups.sort_by_key(|(_, snapshots)| snapshots.first().copied());
        let ids = |places: Vec<usize>| places.into_iter().filter_map(|place| self.ids.get(place).copied()).collect();
        self.ready.extend(groups.into_iter().map(|(record, places)| Found { record, snapshots: ids(places) }));
    }

    /// Reads the next leaf of a tree.
    async fn advance(&mut self, number: usize) -> Result<()> {
        let ahead_max = (LEAVES_AHEAD / self.trees.len().max(1)).clamp(1, LEAVES_AHEAD_OF_ONE);
        let Some(tree) = self.trees.get_mut(number) else { return Ok(()) };
        if tree.state == Progress::Begun && tree.path.is_empty() && tree.leaf.is_none() {
            let root = tree.root;
            return self.open(number, root.level, root.id, None, &[]).await;
        }
        let Some((level, id, behind)) = tree.next(&self.reaches) else {
            (tree.state, tree.leaf) = (Progress::Ended, None);
            return Ok(());
        };
        let ahead: Vec<ChunkId> = if level == 0 { tree.ahead(&self.reaches, ahead_max) } else { Vec::new() };
        self.open(number, level, id, behind, &ahead).await
    }

    async fn open(
        &mut self,
        number: usize,
        level: u8,
        id: ChunkId,
        behind: Option<Key>,
        ahead: &[ChunkId],
    ) -> Result<()> {
        let known = self.leaves.get(&id).and_then(Weak::upgrade).filter(|_| level == 0);
        let opened = match known {
            Some(leaf) => Opened::Leaf(leaf),
            None => self.read(level, id, ahead).await?,
        };
        let Some(tree) = self.trees.get_mut(number) else { return Ok(()) };
        match opened {
            Opened::Leaf(leaf) => {
                tree.pending.extend(leaf.matches.iter().cloned());
                tree.state = Progress::Through(leaf.last_key.clone());
                tree.leaf = Some(leaf);
            }
            Opened::Inner(children) => {
                let level = level.saturating_sub(1);
                tree.path.push(Step { level, children, at: 0, behind });
            }
        }
        Ok(())
    }

    async fn read(&mut self, level: u8, id: ChunkId, ahead: &[ChunkId]) -> Result<Opened> {
        let bytes = self.nodes.get(id, ahead.iter().copied()).await?;
        let invalid = |cause: String| Damage::of_chunk("tree", DamageKind::Invalid, id, cause);
        match Node::decode(&bytes, level).map_err(|cause| invalid(cause.to_string()))? {
            Node::Inner(_) if level == 0 => Err(invalid("a leaf has children".to_owned()).into()),
            Node::Inner(children) => Ok(Opened::Inner(children)),
            Node::Leaf(records) => {
                let last_key = records.last().map(|record| record.entry.key.clone()).unwrap_or_default();
                let matches = records.into_iter().filter(|record| self.query.matches(&record.entry)).map(Arc::new);
                let leaf = Arc::new(Leaf { matches: matches.collect(), last_key });
                // Of those that no tree is at any more only their place is left.
                if self.leaves.len() > 2 * self.trees.len() {
                    self.leaves.retain(|_, leaf| leaf.strong_count() > 0);
                }
                self.leaves.insert(id, Arc::downgrade(&leaf));
                Ok(Opened::Leaf(leaf))
            }
        }
    }
}

enum Opened {
    Inner(Vec<Child>),
    Leaf(Arc<Leaf>),
}

impl Tree {
    fn new(root: TreeRoot) -> Self {
        let (snapshots, path, pending) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { root, snapshots, state: Progress::Begun, path, leaf: None, pending }
    }

    /// The next child that may hold what is looked for, with its level and the key behind which it begins.
    fn next(&mut self, reaches: &[Reach]) -> Option<(u8, ChunkId, Option<Key>)> {
        while let Some(step) = self.path.last_mut() {
            let wanted = (step.at..step.children.len()).find(|at| step.is_wanted(*at, reaches));
            if let Some((at, child)) = wanted.and_then(|at| Some((at, step.children.get(at)?))) {
                let (id, behind) = (child.id, step.behind(at).cloned());
                step.at = at + 1;
                return Some((step.level, id, behind));
            }
            self.path.pop();
        }
        None
    }

    /// The leaves that will be read next.
    fn ahead(&self, reaches: &[Reach], max: usize) -> Vec<ChunkId> {
        let Some(step) = self.path.last() else { return Vec::new() };
        let wanted = (step.at..step.children.len()).filter(|at| step.is_wanted(*at, reaches));
        wanted.filter_map(|at| Some(step.children.get(at)?.id)).take(max).collect()
    }
}

impl Step {
    fn behind(&self, at: usize) -> Option<&Key> {
        match at.checked_sub(1) {
            Some(before) => self.children.get(before).map(|child| &child.last_key),
            None => self.behind.as_ref(),
        }
    }

    fn is_wanted(&self, at: usize, reaches: &[Reach]) -> bool {
        let Some(child) = self.children.get(at) else { return false };
        reaches.iter().any(|reach| reach.may_be_in(self.behind(at), &child.last_key))
    }
}

/// Whether two records of one key are shown as one: the same version, kind and bytes.
fn is_same(a: &Arc<Record>, b: &Arc<Record>) -> bool {
    let version = |record: &Record| record.entry.version.as_ref().map(|version| (version.id.clone(), version.deleted));
    Arc::ptr_eq(a, b)
        || (a.content == b.content
            && a.entry.kind == b.entry.kind
            && a.entry.size == b.entry.size
            && a.entry.link_target == b.entry.link_target
            && version(a) == version(b))
}
