//! Twins: what stands in a replica of other keys for a chunk of here.
//!
//! The ids are others there, and what they stand for is the same: a snapshot that was re-keyed has the same records in the same order, and its
//! contents have the same borders. So both trees of a snapshot are walked at once. The n-th chunk of a content here is the n-th there; a node or a
//! list that is lost here is built again of what is there, which takes reading its contents.
//!
//! Owned here: finding and building. Nothing is given out that has not the id of here under the keys of here. Refused here: which replica is asked
//! (`fallback`). Bound: [`TWINS_MAX`] ids with those of their twins, [`BUILT_BYTES_MAX`] of nodes and lists beside those that are wanted, the
//! ids that were sought in vain, a walk on each side, and one window of content.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use credenza_format::{BlobKind, ListBuilder, TreeBuilder, TreeRoot};
use credenza_model::{ChunkId, ChunkRef, Content, Record};

use super::within;
use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::poison::lock_unpoisoned;
use crate::repository::{Missed, Repository};
use crate::walk::Records;
use crate::window::WINDOW_BYTES;
use crate::{Error, Result};

/// Twins that are remembered: those of some 500 GB, in some 60 MB. Beyond them each search walks again.
const TWINS_MAX: usize = 1 << 19;
/// Nodes and lists that are kept once they are built: a tree of some 200,000 entries. Beyond them each search builds again.
const BUILT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is known of a replica of other keys.
pub(super) struct Twins {
    /// The trees of snapshots that both have, here and there, the newest first.
    trees: Vec<(TreeRoot, TreeRoot)>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    twins: HashMap<ChunkId, ChunkId>,
    /// Chunks that are in no tree that was walked, or damaged there, too.
    vain: HashSet<ChunkId>,
    /// Nodes and lists that were built, by their ids here: what is lost of a tree is asked for piece by piece.
    built: HashMap<ChunkId, Bytes>,
    built_bytes: usize,
}

impl Known {
    /// Notes a twin, one that is wanted in any case.
    fn note(&mut self, here: ChunkId, there: ChunkId, wanted: &HashSet<ChunkId>) {
        if self.twins.len() < TWINS_MAX || wanted.contains(&here) {
            self.twins.insert(here, there);
        }
    }

    /// Keeps what was built as long as there is room.
    fn keep(&mut self, id: ChunkId, bytes: Bytes) {
        if self.built_bytes.saturating_add(bytes.len()) <= BUILT_BYTES_MAX {
            self.built_bytes = self.built_bytes.saturating_add(bytes.len());
            self.built.insert(id, bytes);
        }
    }
}

impl Twins {
    /// # Errors
    /// When a store cannot be read, and [`Error::NoSnapshot`] where no snapshot is in both.
    pub(super) async fn between(here: &Repository, there: &Repository) -> Result<Self> {
        let (near, far) = (here.snapshots().await?, there.snapshots().await?);
        let far: HashMap<_, _> = far.whole.iter().map(|handle| (handle.snapshot.id, handle.snapshot.tree)).collect();
        let pair = |handle: &crate::SnapshotHandle| Some((handle.snapshot.tree, *far.get(&handle.snapshot.id)?));
        let trees: Vec<_> = near.whole.iter().rev().filter_map(pair).collect();
        if trees.is_empty() {
            return Err(Error::NoSnapshot { reason: "it has no snapshot of this repository".to_owned() });
        }
        Ok(Self { trees, known: Mutex::default() })
    }

    /// What the replica has of these chunks.
    ///
    /// # Errors
    /// When the replica, or what is left of here, cannot be read at all.
    pub(super) async fn load(
        &self,
        here: &Repository,
        there: &Arc<BlobLoader>,
        missed: &Missed<'_>,
        wanted: &[ChunkId],
    ) -> Result<HashMap<ChunkId, Bytes>> {
        let mut found = self.load_known(here, there, wanted).await?;
        let rest: HashSet<ChunkId> = {
            let known = lock_unpoisoned(&self.known);
            let is_left = |id: &&ChunkId| !found.contains_key(*id) && !known.vain.contains(*id);
            wanted.iter().filter(is_left).copied().collect()
        };
        if rest.is_empty() {
            return Ok(found);
        }
        let near = here.alone().loader(Arc::clone(missed.index));
        let mut search = Search { twins: self, here, near, there, wanted: &rest, built: HashMap::new() };
        for (near, far) in self.trees.iter().filter(|(near, _)| missed.trees.is_empty() || missed.trees.contains(near))
        {
            if search.is_done() {
                break;
            }
            search.walk(near, far).await?;
        }
        found.extend(search.built);
        let left: Vec<ChunkId> = rest.iter().filter(|id| !found.contains_key(*id)).copied().collect();
        found.extend(self.load_known(here, there, &left).await?);
        lock_unpoisoned(&self.known).vain.extend(left.into_iter().filter(|id| !found.contains_key(id)));
        Ok(found)
    }

    /// Reads the twins that are known, and proves that they are what is wanted.
    async fn load_known(
        &self,
        here: &Repository,
        there: &Arc<BlobLoader>,
        wanted: &[ChunkId],
    ) -> Result<HashMap<ChunkId, Bytes>> {
        let (twins, built): (Vec<(ChunkId, ChunkId)>, HashMap<ChunkId, Bytes>) = {
            let known = lock_unpoisoned(&self.known);
            let built = wanted.iter().filter_map(|id| Some((*id, known.built.get(id)?.clone()))).collect();
            (wanted.iter().filter_map(|id| Some((*id, *known.twins.get(id)?))).collect(), built)
        };
        if twins.is_empty() {
            return Ok(built);
        }
        let fetched = within(here.clock(), there.load(twins.iter().map(|(_, twin)| *twin))).await?;
        let proven = |(id, twin): &(ChunkId, ChunkId)| {
            let bytes = fetched.get(twin)?.as_ref().ok()?;
            (here.keys().blob_id(BlobKind::Data, bytes) == *id).then(|| (*id, bytes.clone()))
        };
        Ok(twins.iter().filter_map(proven).chain(built).collect())
    }
}

/// A search for chunks in the trees of one snapshot after the other.
struct Search<'a> {
    twins: &'a Twins,
    here: &'a Repository,
    /// Reads what is left here.
    near: Arc<BlobLoader>,
    there: &'a Arc<BlobLoader>,
    wanted: &'a HashSet<ChunkId>,
    /// Nodes and lists that were wanted, built again.
    built: HashMap<ChunkId, Bytes>,
}

impl Search<'_> {
    fn is_done(&self) -> bool {
        let known = lock_unpoisoned(&self.twins.known);
        self.wanted.iter().all(|id| self.built.contains_key(id) || known.twins.contains_key(id))
    }

    /// Walks both trees of a snapshot.
    async fn walk(&mut self, near: &TreeRoot, far: &TreeRoot) -> Result<()> {
        if near.entries != far.entries {
            return Ok(());
        }
        let records = |root: &TreeRoot| Numbered::new(Records::new(Arc::clone(self.there), root, Vec::new()));
        let (mut beside, mut again) = (records(far), records(far));
        let gaps = self.pair_all(near, &mut beside).await?;
        // What is wanted may lie anywhere below what is lost.
        for gap in gaps {
            if !self.is_done() {
                self.build(&mut again, &gap).await?;
            }
        }
        Ok(())
    }

    /// Notes the chunks of all contents; the parts of the tree that are lost here come back.
    async fn pair_all(&mut self, root: &TreeRoot, far: &mut Numbered) -> Result<Vec<Gap>> {
        let mut near = Numbered::new(Records::new(Arc::clone(&self.near), root, Vec::new()));
        loop {
            let next = match near.next().await {
                // The root itself.
                Err(Error::Damage(_)) => return Ok(vec![Gap { from: 0, entries: root.entries }]),
                next => next?,
            };
            let Some((number, record)) = next else { return Ok(near.gaps) };
            if matches!(record.content, Content::None | Content::Inline(_)) {
                continue;
            }
            let Some(twin) = self.twin(far, number).await? else { continue };
            if twin.entry == record.entry {
                self.pair(&record.content, &twin.content).await?;
            }
        }
    }

    /// The record of that number there; nothing where it is lost.
    async fn twin(&self, far: &mut Numbered, number: u64) -> Result<Option<Record>> {
        match within(self.here.clock(), far.seek(number)).await {
            Err(Error::Damage(_)) => Ok(None),
            twin => twin,
        }
    }

    /// Notes the chunks of a content, each with its twin.
    async fn pair(&mut self, near: &Content, far: &Content) -> Result<()> {
        let mut mine = ContentChunks::new(Arc::clone(&self.near), near);
        let mut theirs = ContentChunks::new(Arc::clone(self.there), far);
        loop {
            let refs = match mine.next(WINDOW_BYTES).await {
                Err(Error::Damage(_)) => return self.content(far).await.map(drop),
                refs => refs?,
            };
            let twins = match within(self.here.clock(), theirs.next(WINDOW_BYTES)).await {
                Err(Error::Damage(_)) => return Ok(()),
                twins => twins?,
            };
            if refs.is_empty() || refs.len() != twins.len() {
                return Ok(());
            }
            let mut known = lock_unpoisoned(&self.twins.known);
            refs.iter().zip(&twins).for_each(|(here, there)| known.note(here.id, there.id, self.wanted));
        }
    }

    /// Builds again what is lost between two records, of the records that are there.
    async fn build(&mut self, far: &mut Numbered, gap: &Gap) -> Result<()> {
        let mut tree = TreeBuilder::new(self.here.keys());
        for number in gap.from..gap.from.saturating_add(gap.entries) {
            let Some(record) = self.twin(far, number).await? else { return Ok(()) };
            let Some(content) = self.content(&record.content).await? else { return Ok(()) };
            let record = Record { content, ..record };
            tree.push(&record, &mut |id, bytes| self.keep(id, bytes))?;
        }
        tree.finish(&mut |id, bytes| self.keep(id, bytes)).map(drop)
    }

    /// A content of there as it is under the keys of here; nothing where it is damaged there.
    async fn content(&mut self, content: &Content) -> Result<Option<Content>> {
        if matches!(content, Content::None | Content::Inline(_)) {
            return Ok(Some(content.clone()));
        }
        let mut list = ListBuilder::new(self.here.keys());
        let mut chunks = ContentChunks::new(Arc::clone(self.there), content);
        loop {
            let refs = match within(self.here.clock(), chunks.next(WINDOW_BYTES)).await {
                Err(Error::Damage(_)) => return Ok(None),
                refs => refs?,
            };
            if refs.is_empty() {
                return list.finish(&mut |id, bytes| self.keep(id, bytes)).map(Some);
            }
            let fetched = within(self.here.clock(), self.there.load(refs.iter().map(|chunk| chunk.id))).await?;
            for ChunkRef { id: twin, length } in refs {
                let Some(Ok(plain)) = fetched.get(&twin) else { return Ok(None) };
                let id = self.here.keys().blob_id(BlobKind::Data, plain);
                lock_unpoisoned(&self.twins.known).note(id, twin, self.wanted);
                list.push(ChunkRef { id, length }, &mut |id, bytes| self.keep(id, bytes))?;
            }
        }
    }

    fn keep(&mut self, id: ChunkId, bytes: Vec<u8>) -> Result<()> {
        let bytes = Bytes::from(bytes);
        if self.wanted.contains(&id) {
            self.built.insert(id, bytes.clone());
        }
        lock_unpoisoned(&self.twins.known).keep(id, bytes);
        Ok(())
    }
}

/// Records with their numbers in the tree, which those keep that come behind what is lost.
struct Numbered {
    records: Records,
    /// Of the record that comes next.
    number: u64,
    held: Option<(u64, Record)>,
    /// What was passed over, in ascending order.
    gaps: Vec<Gap>,
}

/// A part of a tree that is lost.
struct Gap {
    from: u64,
    entries: u64,
}

impl Numbered {
    fn new(records: Records) -> Self {
        Self { records: records.salvaging(), number: 0, held: None, gaps: Vec::new() }
    }

    async fn next(&mut self) -> Result<Option<(u64, Record)>> {
        let next = self.records.next().await;
        for lost in self.records.take_lost() {
            self.gaps.push(Gap { from: self.number, entries: lost.entries });
            self.number = self.number.saturating_add(lost.entries);
        }
        let number = self.number;
        let next = next?.map(|record| (number, record));
        self.number = self.number.saturating_add(u64::from(next.is_some()));
        Ok(next)
    }

    /// The record of that number; numbers must be asked for in ascending order. `None` where it is lost.
    async fn seek(&mut self, number: u64) -> Result<Option<Record>> {
        loop {
            match self.held.take() {
                Some((held, record)) if held == number => return Ok(Some(record)),
                Some((held, record)) if held > number => {
                    self.held = Some((held, record));
                    return Ok(None);
                }
                _ => {}
            }
            self.held = match self.next().await? {
                None => return Ok(None),
                next => next,
            };
        }
    }
}
