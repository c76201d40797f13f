//! Run record: what a run has put into the store, and what it tells there of it.
//!
//! Owned here: the index segments that describe its packs, the intents that announce packs before a segment does, so that no collector takes packs
//! that the index describes and no snapshot uses yet for rubbish, its locks, its lease and its count of bytes. Refused here: filling packs
//! (`packs`), which chunks go there (`dedup`). Called by both, and by whoever commits.
//!
//! Bound: the descriptions of [`PACKS_PER_SEGMENT`] packs, or of [`BLOBS_PER_SEGMENT`] blobs and those of one pack; 20 bytes a pack, 16 an index segment; what `fresh` and `locks` state.

use std::sync::{Arc, Mutex};

use credenza_connect::{ErrorClass, Store};
use credenza_format::{
    Hex, IndexSegment, Intent, Keys, LockRecord, ObjectKind, PackRecord, ParityRate, SealedObject, SealedPack,
    parity_of, seal_document,
};
use credenza_model::{ObjectId, StoreKey, Timestamp};

use super::fresh::Fresh;
use super::locks::RunLocks;
use super::put::put;
use crate::clock::Lease;
use crate::poison::lock_unpoisoned;
use crate::repository::{Repository, put_parity, random_id};
use crate::{Error, Result};

/// Packs after which an index segment is written at the latest, whatever time has passed: some 2 GiB.
const PACKS_PER_SEGMENT: usize = 64;
/// The same by their blobs, which are many where chunks are small: some 7 MB. A segment of more than [`DOCUMENT_BYTES_MAX`](credenza_model::limits::DOCUMENT_BYTES_MAX) could not be read.
const BLOBS_PER_SEGMENT: usize = 1 << 17;

/// What a run has written.
pub(crate) struct RunRecord {
    store: Arc<dyn Store>,
    keys: Keys,
    writer: Hex<[u8; 16]>,
    lease: Lease,
    parity: Option<ParityRate>,
    fresh: Fresh,
    written: Mutex<Written>,
    /// Whether what is read later is to be read by its version.
    keeps_versions: bool,
    locks: RunLocks,
    /// Intents in the store.
    intents: Mutex<Vec<StoreKey>>,
}

#[derive(Default)]
struct Written {
    /// Packs uploaded and not yet in an index segment.
    unindexed: Vec<PackRecord>,
    /// Every pack of this run: id, chunks in it.
    packs: Vec<(ObjectId, u32)>,
    /// The index segments that describe them.
    segments: Vec<ObjectId>,
    /// All that was sent.
    bytes: u64,
    /// The chunks among it, as they are stored.
    chunk_bytes: u64,
}

impl RunRecord {
    /// Begins the lease of a run.
    ///
    /// # Errors
    /// When the repository locks and the store does not tell its time.
    pub(super) async fn begin(repository: &Repository, writer: Hex<[u8; 16]>) -> Result<Arc<Self>> {
        let until = repository.lock_until().await?;
        Ok(Arc::new(Self {
            store: Arc::clone(repository.store()),
            keys: repository.keys().clone(),
            writer,
            lease: Lease::begin(Arc::clone(repository.clock())),
            parity: repository.config().parity,
            fresh: Fresh::default(),
            written: Mutex::default(),
            keeps_versions: repository.keeps_versions(),
            locks: RunLocks::new(until),
            intents: Mutex::default(),
        }))
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The chunks that the run adds.
    pub(super) const fn fresh(&self) -> &Fresh {
        &self.fresh
    }

    /// The time that the run has.
    pub(crate) const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The parity of a pack, where the repository has any. Blocks for as long as it takes.
    pub(super) fn parity(&self, pack: &SealedPack) -> Result<Option<Vec<u8>>> {
        let object = &pack.object;
        let parity = self.parity.map(|rate| parity_of(rate, self.keys.repository(), object.id(), object.pieces()));
        parity.transpose().map_err(Error::encode("making the parity of a pack"))
    }

    /// Puts a pack, and then its parity, so that one that is described has it; comes back with the packs that are to be described now, if they are enough for a segment.
    pub(super) async fn put_pack(
        &self,
        sealed: SealedPack,
        parity: Option<Vec<u8>>,
    ) -> Result<Option<Vec<PackRecord>>> {
        let mut length = sealed.object.length();
        let (until, mut pack) = (self.locks.now(), sealed.pack);
        let stored = put(&*self.store, sealed.object, until).await?;
        self.locks.note(pack.id, until);
        if let Some(parity) = parity {
            length += parity.len() as u64;
            put_parity(&*self.store, pack.id, parity, until).await?;
        }
        pack.version = stored.version.filter(|_| self.keeps_versions);
        let mut written = lock_unpoisoned(&self.written);
        written.packs.push((pack.id, u32::try_from(pack.blobs.len()).unwrap_or(u32::MAX)));
        written.bytes += length;
        written.chunk_bytes += pack.stored_bytes();
        written.unindexed.push(pack);
        let blobs: usize = written.unindexed.iter().map(|pack| pack.blobs.len()).sum();
        let is_enough = written.unindexed.len() >= PACKS_PER_SEGMENT || blobs >= BLOBS_PER_SEGMENT;
        Ok(is_enough.then(|| std::mem::take(&mut written.unindexed)))
    }

    /// Announces packs and describes them.
    pub(super) async fn describe(&self, packs: Vec<PackRecord>) -> Result<()> {
        self.announce(packs.iter().map(|pack| pack.id).collect(), None).await?;
        self.put_segment(packs, Vec::new()).await.map(drop)
    }

    /// The packs that arrived and that no segment describes yet; whoever takes them describes them.
    pub(super) fn take_undescribed(&self) -> Vec<PackRecord> {
        std::mem::take(&mut lock_unpoisoned(&self.written).unindexed)
    }

    /// Announces and describes the packs that no segment describes yet.
    pub(super) async fn describe_rest(&self) -> Result<()> {
        let packs = self.take_undescribed();
        if packs.is_empty() { Ok(()) } else { self.describe(packs).await }
    }

    /// Describes the packs that no segment describes yet and, with the same object, those that were `moved` into them. An intent must name them before.
    pub(crate) async fn flush_index(&self, moved: Vec<PackRecord>) -> Result<IndexSegment> {
        let mut packs = self.take_undescribed();
        packs.extend(moved);
        match packs.is_empty() {
            true => Ok(IndexSegment::default()),
            false => self.put_segment(packs, Vec::new()).await,
        }
    }

    /// Puts on record which locks were extended.
    pub(super) async fn record_locks(&self, locks: Vec<LockRecord>) -> Result<()> {
        self.put_segment(Vec::new(), locks).await.map(drop)
    }

    /// Puts an index segment, which also tells the locks that its packs and itself were put with.
    async fn put_segment(&self, packs: Vec<PackRecord>, mut locks: Vec<LockRecord>) -> Result<IndexSegment> {
        let id = ObjectId::new(random_id()?);
        self.locks.note(id, self.locks.now());
        locks.extend(self.locks.records(packs.iter().map(|pack| pack.id).chain([id])));
        let segment = IndexSegment { packs, supersedes: Vec::new(), locks };
        self.put(seal_document(&self.keys, ObjectKind::Index, id, &segment.encode()?)?).await?;
        if !segment.packs.is_empty() {
            lock_unpoisoned(&self.written).segments.push(id);
        }
        self.fresh.describe(segment.packs.iter().flat_map(|pack| &pack.blobs).map(|blob| blob.id));
        Ok(segment)
    }

    pub(super) const fn locks(&self) -> &RunLocks {
        &self.locks
    }

    /// Puts an intent: collectors leave these packs, and an escrowed connector of this name, alone until it is withdrawn or expires.
    pub(crate) async fn announce(&self, packs: Vec<ObjectId>, connector: Option<ObjectId>) -> Result<()> {
        let connectors = connector.into_iter().collect();
        let intent = Intent { packs, connectors, created: self.lease.wall(), writer: self.writer };
        let note = |key| lock_unpoisoned(&self.intents).push(key);
        self.locks.note_announcement(put_intent(&*self.store, &self.keys, &intent, note).await?);
        Ok(())
    }

    /// Takes all intents back, and says how many the store refused to delete. Whatever stays behind expires by itself.
    pub(crate) async fn withdraw_intents(&self) -> u64 {
        let intents = std::mem::take(&mut *lock_unpoisoned(&self.intents));
        if intents.is_empty() {
            return 0;
        }
        match self.store.delete(&intents).await {
            Ok(results) => results.iter().filter(|result| result.as_ref().is_err_and(is_refusal)).count() as u64,
            Err(cause) if is_refusal(&cause) => intents.len() as u64,
            Err(_) => 0,
        }
    }

    /// Every pack of this run, and how many blobs it has.
    pub(crate) fn packs(&self) -> Vec<(ObjectId, u32)> {
        lock_unpoisoned(&self.written).packs.clone()
    }

    /// The index segments that describe them, as far as they are described.
    pub(super) fn segments(&self) -> Vec<ObjectId> {
        lock_unpoisoned(&self.written).segments.clone()
    }

    /// Puts one sealed object of the run and counts its bytes. Tells when that was, if the store does.
    pub(super) async fn put(&self, object: SealedObject) -> Result<Option<Timestamp>> {
        lock_unpoisoned(&self.written).bytes += object.length();
        Ok(put(&*self.store, object, self.locks.now()).await?.modified)
    }

    /// Bytes sent to the store so far.
    pub(crate) fn bytes_added(&self) -> u64 {
        lock_unpoisoned(&self.written).bytes
    }

    /// Chunks in the packs written so far.
    pub(crate) fn chunks_added(&self) -> u64 {
        lock_unpoisoned(&self.written).packs.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Bytes of these chunks, as they are stored.
    pub(crate) fn chunk_bytes_added(&self) -> u64 {
        lock_unpoisoned(&self.written).chunk_bytes
    }

    /// Demands that the store knows where every chunk is that the run has kept.
    ///
    /// # Errors
    /// [`Error::Unkept`] when it does not.
    pub(super) fn prove(&self) -> Result<()> {
        match self.fresh.undescribed() {
            None => Ok(()),
            Some((chunks, example)) => Err(Error::Unkept { chunks, example }),
        }
    }

    /// Until when an object of this run is locked.
    pub(super) fn locked_until(&self, object: &ObjectId) -> Option<Timestamp> {
        self.locks.until(object)
    }
}

/// Puts an intent, whose name is noted before: a put whose answer is lost may have arrived. Tells when that was, if the store does.
pub(crate) async fn put_intent(
    store: &dyn Store,
    keys: &Keys,
    intent: &Intent,
    note: impl FnOnce(StoreKey),
) -> Result<Option<Timestamp>> {
    let id = ObjectId::new(random_id()?);
    note(ObjectKind::Intent.store_key(id));
    // Never locked: collectors wait for as long as it is there.
    let intent = seal_document(keys, ObjectKind::Intent, id, &intent.encode()?)?;
    Ok(put(store, intent, None).await?.modified)
}

fn is_refusal(cause: &credenza_connect::Error) -> bool {
    matches!(cause.class, ErrorClass::Denied | ErrorClass::Unsupported)
}
