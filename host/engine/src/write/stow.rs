//! Where fresh chunks go: each is kept once, in the pack that is filling, and full packs go to the store.
//!
//! Owned here: deduplication, the packs being filled, their upload, the index of what was written and the usage of the
//! run, and the intents that announce packs before an index segment does, so that no collector takes packs that the index
//! describes and no snapshot uses yet for rubbish. Refused here: what a chunk means. Called by `backup::mill` (data),
//! `backup::tree` (nodes), `commit` and `collect::repack`.
//!
//! Bound: [`DATA_PACKS_IN_MEMORY`] data packs and [`META_PACKS_IN_MEMORY`] metadata packs, filling and on their way
//! together; 33 bytes per fresh chunk; a bit per chunk of every pack in use.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credenza_connect::{ErrorClass, Store};
use credenza_format::{
    Bitmap, BlobIndex, BlobKind, Compressor, Frame, Hex, IndexSegment, Intent, Keys, LockRecord, ObjectKind,
    PackBuilder, PackKind, PackRecord, SealedObject, Standing, Usage, seal_document,
};
use credenza_model::limits::{DATA_PACK_BYTES, META_PACK_BYTES};
use credenza_model::{ChunkId, ChunkRef, ObjectId, StoreKey, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::locks::RunLocks;
use super::put::put;
use super::usage::UsageMap;
use crate::clock::Lease;
use crate::repository::{Repository, VERSIONS, random_id};
use crate::{Error, Result};

const DATA_PACKS_IN_MEMORY: usize = 3;
const META_PACKS_IN_MEMORY: usize = 2;
/// Packs after which an index segment is written, so that a long run that dies has not uploaded for nothing.
const PACKS_PER_SEGMENT: usize = 64;

pub(crate) struct Stow {
    store: Arc<dyn Store>,
    keys: Keys,
    index: Arc<BlobIndex>,
    writer: Hex<[u8; 16]>,
    lease: Lease,
    fresh: Mutex<HashSet<ChunkId>>,
    usage: Mutex<UsageMap>,
    data: Lane,
    meta: Lane,
    written: Mutex<Written>,
    /// Whether what is read later is to be read by its version.
    keeps_versions: bool,
    locks: RunLocks,
    /// Intents in the store.
    intents: Mutex<Vec<StoreKey>>,
    uploads: Mutex<JoinSet<Result<()>>>,
    handle: Handle,
}

/// One kind of pack: the one that fills, and leave to hold more of them in memory.
struct Lane {
    kind: PackKind,
    bytes_target: u64,
    permits: Arc<Semaphore>,
    filling: Mutex<Option<Filling>>,
}

struct Filling {
    pack: PackBuilder,
    permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Written {
    /// Packs uploaded and not yet in an index segment.
    unindexed: Vec<PackRecord>,
    /// Every pack of this run: id, chunks in it.
    packs: Vec<(ObjectId, u32)>,
    bytes: u64,
}

impl Lane {
    fn new(kind: PackKind, bytes_target: u64, packs_in_memory: usize) -> Self {
        Self { kind, bytes_target, permits: Arc::new(Semaphore::new(packs_in_memory)), filling: Mutex::new(None) }
    }
}

impl Stow {
    /// A stow that deduplicates against `index`, which was loaded after the records of condemned packs. The run's lease begins.
    ///
    /// # Errors
    /// When the repository locks and the store does not tell its time.
    pub(crate) async fn begin(
        repository: &Repository,
        index: Arc<BlobIndex>,
        writer: Hex<[u8; 16]>,
    ) -> Result<Arc<Self>> {
        let until = repository.lock_until().await?;
        Ok(Arc::new(Self {
            store: Arc::clone(repository.store()),
            keys: repository.keys().clone(),
            index,
            writer,
            lease: Lease::begin(Arc::clone(repository.clock())),
            usage: Mutex::default(),
            fresh: Mutex::default(),
            data: Lane::new(PackKind::Data, DATA_PACK_BYTES, DATA_PACKS_IN_MEMORY),
            meta: Lane::new(PackKind::Meta, META_PACK_BYTES, META_PACKS_IN_MEMORY),
            written: Mutex::default(),
            keeps_versions: repository.config().store_traits.iter().any(|name| name == VERSIONS),
            locks: RunLocks::new(until),
            intents: Mutex::default(),
            uploads: Mutex::default(),
            handle: Handle::current(),
        }))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Keeps a chunk: at once when the repository has it, else compressed and packed. Blocks while the packs in memory are on their way; call it from a thread that may.
    pub(crate) fn keep(
        self: &Arc<Self>,
        compressor: &mut Compressor,
        kind: BlobKind,
        plain: &[u8],
    ) -> Result<ChunkRef> {
        let id = self.keys.blob_id(kind, plain);
        let length = u32::try_from(plain.len()).map_err(|_| Error::Encode {
            doing: "packing a chunk".into(),
            cause: format!("{} bytes are more than any chunk has", plain.len()),
        })?;
        if !self.use_known(&id) && locked(&self.fresh).insert(id) {
            let (encoding, stored) = compressor.compress(plain)?;
            self.push(Frame { id, kind, encoding, plain_length: length, stored })?;
        }
        Ok(ChunkRef { id, length })
    }

    /// Keeps a chunk that is compressed already and was verified to have its id. Blocks as [`Stow::keep`] does.
    pub(crate) fn keep_stored(self: &Arc<Self>, frame: Frame<'_>) -> Result<()> {
        if self.use_known(&frame.id) || !locked(&self.fresh).insert(frame.id) {
            return Ok(());
        }
        self.push(frame)
    }

    /// The time that the run has.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Notes that the snapshot relies on a chunk which the repository has; `false` when it has not, or only in packs that are condemned.
    pub(crate) fn use_known(&self, id: &ChunkId) -> bool {
        let reliable = self.index.get(id).filter(|place| self.index.standing(place.pack) < Standing::Condemned);
        reliable.is_some_and(|place| {
            locked(&self.usage).mark(&self.index, &place);
            true
        })
    }

    /// Whether the chunk is known or was kept in this run.
    pub(crate) fn holds(&self, id: &ChunkId) -> bool {
        self.use_known(id) || locked(&self.fresh).contains(id)
    }

    /// Packs a blob, known or not. Blocks as [`keep`](Self::keep) does.
    pub(crate) fn push(self: &Arc<Self>, frame: Frame<'_>) -> Result<()> {
        let lane = if frame.kind == BlobKind::Data { &self.data } else { &self.meta };
        let mut slot = locked(&lane.filling);
        // Waiting for leave while holding the lane is meant: whoever else comes would need the same pack.
        let filling = match &mut *slot {
            Some(filling) => filling,
            empty => empty.insert(self.begin_pack(lane)?),
        };
        filling.pack.push(frame).map_err(Error::encode("packing a chunk"))?;
        if filling.pack.stored_bytes() >= lane.bytes_target
            && let Some(full) = slot.take()
        {
            drop(slot);
            self.dispatch(full)?;
        }
        Ok(())
    }

    fn begin_pack(&self, lane: &Lane) -> Result<Filling> {
        self.reap_finished()?;
        let permit = self.handle.block_on(lane.permits.clone().acquire_owned()).map_err(|_| Error::Cancelled)?;
        let pack = PackBuilder::new(&self.keys, lane.kind).map_err(Error::encode("opening a pack"))?;
        Ok(Filling { pack, permit })
    }

    fn dispatch(self: &Arc<Self>, full: Filling) -> Result<()> {
        let sealed = full.pack.finish().map_err(Error::encode("sealing a pack"))?;
        let this = Arc::clone(self);
        locked(&self.uploads).spawn_on(
            async move {
                let length = sealed.object.length();
                let (until, mut pack) = (this.locks.now(), sealed.pack);
                let stored = put(&*this.store, sealed.object, until).await?;
                drop(full.permit);
                this.locks.note(pack.id, until);
                pack.version = stored.version.filter(|_| this.keeps_versions);
                this.written(pack, length).await
            },
            &self.handle,
        );
        Ok(())
    }

    async fn written(&self, pack: PackRecord, length: u64) -> Result<()> {
        let batch = {
            let mut written = locked(&self.written);
            written.packs.push((pack.id, u32::try_from(pack.blobs.len()).unwrap_or(u32::MAX)));
            written.bytes += length;
            written.unindexed.push(pack);
            (written.unindexed.len() >= PACKS_PER_SEGMENT).then(|| std::mem::take(&mut written.unindexed))
        };
        match batch {
            Some(packs) => {
                self.announce(packs.iter().map(|pack| pack.id).collect()).await?;
                self.put_segment(packs, Vec::new()).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Fails as soon as an upload has failed, instead of filling packs for nothing.
    fn reap_finished(&self) -> Result<()> {
        let mut uploads = locked(&self.uploads);
        while let Some(done) = uploads.try_join_next() {
            done.map_err(Error::worker("upload"))??;
        }
        Ok(())
    }

    /// Seals and uploads what is filling, and waits for every upload. Afterwards all that was kept can be read back.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<()> {
        self.flush_packs().await?;
        let fresh: Vec<ObjectId> = locked(&self.written).unindexed.iter().map(|pack| pack.id).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        self.announce(fresh).await?;
        self.flush_index(Vec::new()).await.map(drop)
    }

    /// Seals and uploads what is filling, and waits for every upload.
    pub(crate) async fn flush_packs(self: &Arc<Self>) -> Result<()> {
        for lane in [&self.data, &self.meta] {
            let filling = locked(&lane.filling).take();
            if let Some(full) = filling {
                let this = Arc::clone(self);
                tokio::task::spawn_blocking(move || this.dispatch(full)).await.map_err(Error::worker("seal"))??;
            }
        }
        let mut uploads = std::mem::take(&mut *locked(&self.uploads));
        while let Some(done) = uploads.join_next().await {
            done.map_err(Error::worker("upload"))??;
        }
        Ok(())
    }

    /// Describes the packs that no segment describes yet and, with the same object, those that were `moved` into them. An intent must name them before.
    pub(crate) async fn flush_index(&self, moved: Vec<PackRecord>) -> Result<IndexSegment> {
        let mut packs = std::mem::take(&mut locked(&self.written).unindexed);
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
        Ok(segment)
    }

    /// Until when an object is locked, as far as this run knows.
    pub(super) fn locked_until(&self, object: &ObjectId) -> Option<Timestamp> {
        self.locks.until(object).max(self.index.locked_until(object))
    }

    pub(super) fn locks(&self) -> &RunLocks {
        &self.locks
    }

    /// Puts an intent: collectors leave these packs alone until it is withdrawn or expires.
    pub(crate) async fn announce(&self, packs: Vec<ObjectId>) -> Result<()> {
        let intent = Intent { packs, created: self.lease.wall(), writer: self.writer };
        let id = ObjectId::new(random_id()?);
        // Noted before it is sent: a put whose answer is lost may have arrived.
        locked(&self.intents).push(ObjectKind::Intent.store_key(id));
        // Never locked: collectors wait for as long as it is there.
        let intent = seal_document(&self.keys, ObjectKind::Intent, id, &intent.encode()?)?;
        self.locks.note_announcement(put(&*self.store, intent, None).await?.modified);
        Ok(())
    }

    /// Takes all intents back, and says how many the store refused to delete. Whatever stays behind expires by itself.
    pub(crate) async fn withdraw_intents(&self) -> u64 {
        let intents = std::mem::take(&mut *locked(&self.intents));
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
        locked(&self.written).packs.clone()
    }

    /// Puts one sealed object of the run and counts its bytes.
    pub(crate) async fn put(&self, object: SealedObject) -> Result<()> {
        locked(&self.written).bytes += object.length();
        put(&*self.store, object, self.locks.now()).await.map(drop)
    }

    /// Bytes sent to the store so far.
    pub(crate) fn bytes_added(&self) -> u64 {
        locked(&self.written).bytes
    }

    /// Chunks in the packs written so far.
    pub(crate) fn chunks_added(&self) -> u64 {
        locked(&self.written).packs.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// What the snapshot uses: of older packs the chunks marked, of packs of this run every chunk.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = locked(&self.usage);
        self.packs().into_iter().for_each(|(pack, blobs)| usage.unite(pack, &Bitmap::full(blobs)));
        usage.to_usage()
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a worker panicked; its run fails by the join error, and no state here outlives the run.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_refusal(cause: &credenza_connect::Error) -> bool {
    matches!(cause.class, ErrorClass::Denied | ErrorClass::Unsupported)
}
