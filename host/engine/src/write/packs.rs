//! Pack writer: chunks go into the pack that is filling, and full packs go to the store.
//!
//! Owned here: the packs being filled, their upload, who fills them, and that nothing comes after the last of them. Refused here: which chunks
//! (`dedup`), what is reported of a pack that arrived (`record`). Called by `dedup`, and by `copy` for blobs as they are stored.
//!
//! ```text
//! open ── close ──> closed      nobody is at work, every pack is in the store; a push is an error
//!   └──── abandon ──> closed    nobody is at work, no upload is under way; packs may be missing
//! ```
//!
//! An upload that failed fails every push and flush after it, so that the failure cannot be lost with the worker that met it.
//!
//! Bound: [`DATA_PACKS_IN_MEMORY`] data packs and [`META_PACKS_IN_MEMORY`] metadata packs, filling and on their way together, or their memory before the next is filled in it; in a repository with parity that of each of them that is on its way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use credenza_format::{BlobKind, Frame, GroupFrame, PackBuilder, PackKind};
use credenza_model::limits::{DATA_PACK_BYTES, META_PACK_BYTES};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::record::RunRecord;
use super::workers::Workers;
use crate::poison::lock_unpoisoned;
use crate::{Error, Result};

const DATA_PACKS_IN_MEMORY: usize = 3;
const META_PACKS_IN_MEMORY: usize = 2;
/// How long a pack may be in the store undescribed while the run reads: what a run that is killed has uploaded before is found by the next.
const DESCRIBED_EVERY: Duration = Duration::from_mins(2);

/// Fills packs and uploads them.
pub(crate) struct PackWriter {
    record: Arc<RunRecord>,
    workers: Workers,
    data: Lane,
    meta: Lane,
    uploads: Mutex<JoinSet<Result<()>>>,
    /// Why an upload failed.
    failure: Mutex<Option<Error>>,
    handle: Handle,
}

/// One kind of pack: the one that fills, and leave to hold more of them in memory.
struct Lane {
    kind: PackKind,
    bytes_target: u64,
    permits: Arc<Semaphore>,
    slot: Mutex<Slot>,
    memory: Memory,
}

/// What the last pack of a lane that arrived was held in, for the next: whoever lets go of a pack puts it here before its permit.
type Memory = Arc<Mutex<Option<Bytes>>>;

enum Slot {
    Empty,
    Filling(Box<Filling>),
    Closed,
}

struct Filling {
    pack: PackBuilder,
    permit: OwnedSemaphorePermit,
    memory: Memory,
}

impl Lane {
    fn new(kind: PackKind, bytes_target: u64, packs_in_memory: usize) -> Self {
        let permits = Arc::new(Semaphore::new(packs_in_memory));
        Self { kind, bytes_target, permits, slot: Mutex::new(Slot::Empty), memory: Memory::default() }
    }
}

impl PackWriter {
    pub(super) fn begin(record: Arc<RunRecord>) -> Arc<Self> {
        Arc::new(Self {
            record,
            workers: Workers::new(),
            data: Lane::new(PackKind::Data, DATA_PACK_BYTES, DATA_PACKS_IN_MEMORY),
            meta: Lane::new(PackKind::Meta, META_PACK_BYTES, META_PACKS_IN_MEMORY),
            uploads: Mutex::default(),
            failure: Mutex::default(),
            handle: Handle::current(),
        })
    }

    /// The threads that fill its packs.
    pub(crate) const fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Packs a blob. Blocks while the packs in memory are on their way: call it from a thread of the workers.
    ///
    /// # Errors
    /// [`Error::PacksClosed`] after the last pack, and whatever an upload failed with.
    pub(crate) fn push(&self, frame: Frame<'_>) -> Result<()> {
        self.fill(frame.kind, |pack| pack.push(frame).map(drop))
    }

    /// Packs blobs that share a frame, as [`push`](Self::push) does one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn push_group(&self, frame: GroupFrame<'_>) -> Result<()> {
        self.fill(frame.kind, |pack| pack.push_group(frame))
    }

    fn fill(&self, kind: BlobKind, push: impl FnOnce(&mut PackBuilder) -> credenza_format::Result<()>) -> Result<()> {
        let lane = if kind == BlobKind::Data { &self.data } else { &self.meta };
        let mut slot = lock_unpoisoned(&lane.slot);
        // Waiting for leave while holding the lane is meant: whoever else comes would need the same pack.
        if matches!(*slot, Slot::Empty) {
            *slot = Slot::Filling(Box::new(self.begin_pack(lane)?));
        }
        let Slot::Filling(filling) = &mut *slot else { return Err(self.failed().unwrap_or(Error::PacksClosed)) };
        push(&mut filling.pack).map_err(Error::encode("packing a chunk"))?;
        if filling.pack.stored_bytes() + filling.pack.table_bytes() >= lane.bytes_target {
            self.dispatch(std::mem::replace(&mut *slot, Slot::Empty))?;
        }
        Ok(())
    }

    fn begin_pack(&self, lane: &Lane) -> Result<Filling> {
        self.reap_finished()?;
        let permit = self.handle.block_on(lane.permits.clone().acquire_owned()).map_err(|_| Error::PacksClosed)?;
        let mut pack = PackBuilder::new(self.record.keys(), lane.kind).map_err(Error::encode("opening a pack"))?;
        // A store may still hold what it was given.
        if let Some(Ok(memory)) = lock_unpoisoned(&lane.memory).take().map(Bytes::try_into_mut) {
            pack = pack.within(memory.into());
        }
        Ok(Filling { pack, permit, memory: Arc::clone(&lane.memory) })
    }

    /// Seals a pack and begins its upload, while its lane is held: nobody can find it in neither place.
    fn dispatch(&self, full: Slot) -> Result<()> {
        let Slot::Filling(full) = full else { return Ok(()) };
        let Filling { pack, permit, memory } = *full;
        let sealed = pack.finish().map_err(Error::encode("sealing a pack"))?;
        let parity = self.record.parity(&sealed)?;
        let (record, piece) = (Arc::clone(&self.record), sealed.object.pieces().first().cloned());
        let upload = async move {
            let written = record.put_pack(sealed, parity).await;
            *lock_unpoisoned(&memory) = piece;
            drop(permit);
            match written? {
                Some(described) => record.describe(described).await,
                None => Ok(()),
            }
        };
        lock_unpoisoned(&self.uploads).spawn_on(upload, &self.handle);
        Ok(())
    }

    pub(super) fn failed(&self) -> Option<Error> {
        lock_unpoisoned(&self.failure).clone()
    }

    /// Keeps the first failure of an upload.
    fn judge(&self, done: Result<Result<()>, tokio::task::JoinError>) {
        if let Err(cause) = done.map_err(Error::worker("upload")).flatten() {
            lock_unpoisoned(&self.failure).get_or_insert(cause);
        }
    }

    /// Fails as soon as an upload has failed, instead of filling packs for nothing.
    fn reap_finished(&self) -> Result<()> {
        let mut uploads = lock_unpoisoned(&self.uploads);
        while let Some(done) = uploads.try_join_next() {
            self.judge(done);
        }
        drop(uploads);
        self.failed().map_or(Ok(()), Err)
    }

    /// Seals and uploads what is filling, and waits for everybody at work and every upload. What was pushed before is in the store then.
    ///
    /// # Errors
    /// Whatever an upload failed with.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<()> {
        self.workers.idle().await;
        self.drain(|| Slot::Empty).await
    }

    /// The last flush: nothing can be pushed any more.
    ///
    /// # Errors
    /// Whatever an upload failed with.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        self.workers.dismiss().await;
        self.drain(|| Slot::Closed).await
    }

    async fn drain(self: &Arc<Self>, left: fn() -> Slot) -> Result<()> {
        let this = Arc::clone(self);
        let sealed = tokio::task::spawn_blocking(move || {
            [&this.data, &this.meta].into_iter().try_for_each(|lane| {
                let mut slot = lock_unpoisoned(&lane.slot);
                let left = if matches!(*slot, Slot::Closed) { Slot::Closed } else { left() };
                this.dispatch(std::mem::replace(&mut *slot, left))
            })
        });
        sealed.await.map_err(Error::worker("seal"))??;
        self.arrive().await
    }

    /// Waits for everything that is on its way.
    ///
    /// # Errors
    /// Whatever an upload failed with.
    pub(super) async fn arrive(&self) -> Result<()> {
        self.join_uploads().await;
        self.failed().map_or(Ok(()), Err)
    }

    /// Does work that fills packs; those that arrive meanwhile are described at least every [`DESCRIBED_EVERY`], however slowly it goes.
    pub(crate) async fn describing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.record.lease().wait(DESCRIBED_EVERY) => self.describe_arrived(),
            }
        }
    }

    /// On its way as an upload is, so that it is neither given up with the work nor forgotten by a flush.
    fn describe_arrived(&self) {
        let (record, arrived) = (Arc::clone(&self.record), self.record.take_undescribed());
        if !arrived.is_empty() {
            lock_unpoisoned(&self.uploads).spawn_on(async move { record.describe(arrived).await }, &self.handle);
        }
    }

    async fn join_uploads(&self) {
        while let Some(done) = poll_fn(|context| lock_unpoisoned(&self.uploads).poll_join_next(context)).await {
            self.judge(done);
        }
    }

    /// Ends early: what is filling is dropped, uploads are broken off, and everybody at work is waited for.
    pub(crate) async fn abandon(&self) {
        for lane in [&self.data, &self.meta] {
            // Whoever waits for leave gets none, and lets go of the lane.
            lane.permits.close();
        }
        lock_unpoisoned(&self.uploads).abort_all();
        self.workers.dismiss().await;
        for lane in [&self.data, &self.meta] {
            *lock_unpoisoned(&lane.slot) = Slot::Closed;
        }
        lock_unpoisoned(&self.uploads).abort_all();
        self.join_uploads().await;
    }
}
