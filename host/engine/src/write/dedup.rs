//! Deduplicator: where the chunks of a run go. What the repository has is marked as used; what it lacks is packed once.
//!
//! Owned here: deduplication, and which chunks of older packs the run relies on. Refused here: what a chunk means, packs (`packs`), what was
//! written (`record`). Called by `backup::pipeline` (data), `tree` (nodes), `sync` and `repair`.
//!
//! **A snapshot lacks no chunk.** A chunk comes into a tree only by [`Deduplicator::keep`], [`Deduplicator::keep_stored`], `keep_together` or [`Deduplicator::holds`], and the tree
//! ([`TreeWriter`](super::TreeWriter)) asks again for each that a record names. Each of them says yes when the index that the run loaded has
//! the chunk, which is then marked in the usage list, or when the chunk is in a pack of this run. What is in packs is noted in `fresh`, and noted
//! once more when the index segment that describes its pack is in the store. Before a commit the two notes must be the same set: [`Deduplicator::prove`].
//!
//! Bound: what `packs` and `record` state, 33 bytes per fresh chunk, and a bit per chunk of every pack in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use credenza_format::{Bitmap, BlobIndex, BlobKind, Compressor, Frame, Hex, Keys, PackState, Usage};
use credenza_model::{ChunkId, ChunkRef, Content, ObjectId, Timestamp};

use super::fresh::Turn;
use super::packs::PackWriter;
use super::record::RunRecord;
use super::usage::UsageMap;
use crate::poison::lock_unpoisoned;
use crate::repository::Repository;
use crate::{Error, Result};

pub(crate) struct Deduplicator {
    index: Arc<BlobIndex>,
    usage: Mutex<UsageMap>,
    record: Arc<RunRecord>,
    packs: Arc<PackWriter>,
}

impl Deduplicator {
    /// A dedup that deduplicates against `index`, which was loaded after the records of condemned packs. The run's lease begins.
    ///
    /// # Errors
    /// When the repository locks and the store does not tell its time.
    pub(crate) async fn begin(
        repository: &Repository,
        index: Arc<BlobIndex>,
        writer: Hex<[u8; 16]>,
    ) -> Result<Arc<Self>> {
        let record = RunRecord::begin(repository, writer).await?;
        let packs = PackWriter::begin(Arc::clone(&record));
        Ok(Arc::new(Self { index, usage: Mutex::default(), record, packs }))
    }

    pub(crate) fn keys(&self) -> &Keys {
        self.record.keys()
    }

    /// What the run has written.
    pub(crate) const fn record(&self) -> &Arc<RunRecord> {
        &self.record
    }

    /// Its packs.
    pub(crate) const fn packs(&self) -> &Arc<PackWriter> {
        &self.packs
    }

    /// Keeps a chunk: at once when the repository has it, else compressed and packed. Blocks while the packs in memory are on their way, and
    /// while another packs the same chunk: call it from a thread of the workers.
    pub(crate) fn keep(&self, compressor: &mut Compressor, kind: BlobKind, plain: &[u8]) -> Result<ChunkRef> {
        let chunk = ChunkRef { id: self.keys().blob_id(kind, plain), length: length_of(plain)? };
        if !self.use_known(&chunk.id)? {
            self.pack(compressor, kind, chunk.id, plain)?;
        }
        Ok(chunk)
    }

    /// Packs a chunk that the index lacks, compressed, unless the run has packed it already. Blocks as [`Deduplicator::keep`] does.
    pub(super) fn pack(&self, compressor: &mut Compressor, kind: BlobKind, id: ChunkId, plain: &[u8]) -> Result<()> {
        self.pack_once(id, || {
            let (encoding, stored) = compressor.compress(plain)?;
            self.packs.push(Frame { id, kind, encoding, plain_length: length_of(plain)?, stored })
        })
    }

    /// The same for one that is stored as it is, or compressed already.
    pub(super) fn pack_stored(&self, frame: Frame<'_>) -> Result<()> {
        self.pack_once(frame.id, || self.packs.push(frame))
    }

    /// Keeps a chunk that is compressed already and was verified to have its id. Blocks as [`Deduplicator::keep`] does.
    pub(crate) fn keep_stored(&self, frame: Frame<'_>) -> Result<()> {
        if self.use_known(&frame.id)? { Ok(()) } else { self.pack_stored(frame) }
    }

    fn pack_once(&self, id: ChunkId, pack: impl FnOnce() -> Result<()>) -> Result<()> {
        match self.record.fresh().begin(id) {
            Turn::Kept => Ok(()),
            Turn::Mine(packing) => {
                pack()?;
                packing.done();
                Ok(())
            }
        }
    }

    /// Leave to pack a chunk that the repository lacks, without waiting for whoever packs it at this moment: `None` then.
    pub(super) fn try_begin(&self, id: ChunkId) -> Option<Turn<'_>> {
        self.record.fresh().try_begin(id)
    }

    /// Notes that the snapshot relies on a chunk which the repository has; `false` when it has not, or only in packs that are condemned.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn use_known(&self, id: &ChunkId) -> Result<bool> {
        let reliable = self.index.get(id)?.filter(|place| self.index.state(place.pack) < PackState::Condemned);
        Ok(reliable.is_some_and(|place| {
            lock_unpoisoned(&self.usage).mark(&self.index, &place);
            true
        }))
    }

    /// Notes that the snapshot relies on all that another does, by its usage list. What a repack has moved since is relied on where it is now.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a collector took some of it. When the index cannot be read.
    pub(crate) fn rely_on(&self, other: &Usage) -> Result<()> {
        let mut usage = lock_unpoisoned(&self.usage);
        let mut moved = HashMap::new();
        for one in &other.packs {
            match self.index.ordinal(&one.pack) {
                Some(pack) if self.index.state(pack) < PackState::Condemned => usage.unite(one.pack, &one.used),
                Some(pack) => drop(moved.insert(pack, &one.used)),
                None => return Err(Error::Conflict { packs: 1 }),
            }
        }
        match moved.is_empty() || usage.rehouse(&self.index, &moved)?.is_empty() {
            true => Ok(()),
            false => Err(Error::Conflict { packs: moved.len() }),
        }
    }

    /// Whether the chunk is known or is in a pack of this run. One that is on its way there is not.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn holds(&self, id: &ChunkId) -> Result<bool> {
        Ok(self.use_known(id)? || self.record.fresh().holds(id))
    }

    /// The first of some chunks that it does not hold.
    pub(super) fn first_unheld(&self, ids: impl IntoIterator<Item = ChunkId>) -> Result<Option<ChunkId>> {
        for id in ids {
            if !self.holds(&id)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Demands that every chunk which a record names is held.
    ///
    /// # Errors
    /// [`Error::Unkept`] when one is not: whoever made the record did not keep its content. When the index cannot be read.
    pub(super) fn vouch(&self, content: &Content) -> Result<()> {
        let unkept = match content {
            Content::None | Content::Inline(_) => None,
            Content::Chunks(refs) => self.first_unheld(refs.iter().map(|chunk| chunk.id))?,
            Content::Lists { lists, .. } => self.first_unheld(lists.iter().map(|list| list.id))?,
        };
        unkept.map_or(Ok(()), |example| Err(Error::Unkept { chunks: 1, example }))
    }

    /// Uploads and describes all that was kept: it can be read back, and the run goes on.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.packs.flush().await?;
        self.record.describe_rest().await?;
        // What is being described since some time passed.
        self.packs.arrive().await
    }

    /// Ends a run early: what was kept is in the store and described, so that the next run uploads the rest only. It returns how many bytes that
    /// are, and nothing when they could not be put; then what was described before is found all the same. The intents stay until they expire, or
    /// a collector would take for rubbish what no snapshot uses yet.
    pub(crate) async fn end_early(&self) -> Option<u64> {
        let flushed = match self.packs.failed() {
            // It would fail again, after as long.
            Some(cause) => Err(cause),
            None => self.flush_in_haste().await,
        };
        let described = match flushed {
            // No more may be spent on packs. What is on its way was counted when it began, and what has arrived is described all the same.
            Err(cause) if cause.is_over_budget() => {
                let _ = self.packs.arrive().await;
                self.record.describe_rest().await
            }
            flushed => flushed,
        };
        let kept = described.ok().map(|()| self.record.bytes_added());
        // Nothing of this run is at work when another begins.
        self.packs.abandon().await;
        kept.filter(|bytes| *bytes > 0)
    }

    /// As [`flush`](Self::flush), what has arrived first: nobody knows how long the program has.
    async fn flush_in_haste(&self) -> Result<()> {
        self.record.describe_rest().await?;
        self.flush().await
    }

    /// Until when an object is locked, as far as this run knows.
    pub(super) fn locked_until(&self, object: &ObjectId) -> Option<Timestamp> {
        self.record.locked_until(object).max(self.index.locked_until(object))
    }

    /// What the snapshot uses: of older packs the chunks marked, of packs of this run every chunk.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = lock_unpoisoned(&self.usage);
        self.record.packs().into_iter().for_each(|(pack, blobs)| usage.unite(pack, &Bitmap::full(blobs)));
        usage.to_usage()
    }
}

/// The length of a chunk.
pub(super) fn length_of(plain: &[u8]) -> Result<u32> {
    u32::try_from(plain.len()).map_err(|_| Error::Encode {
        doing: "packing a chunk".into(),
        cause: format!("{} bytes are more than any chunk has", plain.len()),
    })
}
