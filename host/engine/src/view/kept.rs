//! Blobs that were read last, verified, for whoever asks again. Of several who ask for one at a time the first loads it, and the others wait for that;
//! where it fails, it has failed for them too.
//!
//! Bound: the bytes that it is made with, what one call loads, and half as many bytes again on their way for readers that go on.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use credenza_format::TreeRoot;
use credenza_model::ChunkId;
use lru::LruCache;
use tokio::sync::Notify;

use crate::blobs::{BlobLoader, Fetched};
use crate::poison::lock_unpoisoned;
use crate::{Damage, DamageKind, Error, Result};

/// What remembering a blob takes beside its bytes.
const OVERHEAD_BYTES: usize = 128;

pub(crate) struct KeptBlobs {
    loader: Arc<BlobLoader>,
    bytes_max: usize,
    kept: Mutex<Kept>,
    /// Tells whoever waits that something was loaded, or could not be.
    loaded: Notify,
    /// Readers that share the room.
    readers: AtomicU64,
}

struct Kept {
    blobs: LruCache<ChunkId, Bytes>,
    bytes: usize,
    /// What somebody loads at the moment.
    loading: HashMap<ChunkId, Failure>,
}

/// Why a blob could not be had, for those who wait while somebody loads it. Nothing where it is only loaded along: then they ask for it themselves.
type Failure = Arc<OnceLock<Error>>;

/// What becomes of a question for a blob.
enum Asked<'a> {
    Kept(Bytes),
    /// Somebody loads it.
    Awaited(Failure),
    /// Whoever asks loads it.
    Missing(Claim<'a>),
}

/// Blobs that one call loads. When it ends, however it ends, others may.
struct Claim<'a> {
    of: &'a KeptBlobs,
    ids: Vec<ChunkId>,
    /// Of the one that was asked for.
    failure: Failure,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut kept = self.of.lock();
        self.ids.iter().for_each(|id| {
            kept.loading.remove(id);
        });
        drop(kept);
        self.of.loaded.notify_waiters();
    }
}

impl KeptBlobs {
    pub(super) fn new(loader: Arc<BlobLoader>, bytes_max: usize) -> Self {
        let kept = Kept { blobs: LruCache::unbounded(), bytes: 0, loading: HashMap::new() };
        Self { loader, bytes_max, kept: Mutex::new(kept), loaded: Notify::new(), readers: AtomicU64::new(0) }
    }

    /// A reader more that may load ahead, until it [leaves](Self::leave).
    pub(super) fn enter(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// A reader less.
    pub(super) fn leave(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes that each reader may load ahead, so that what it loads is still there when it comes to it, however many others do the same.
    pub(super) fn share(&self) -> u64 {
        self.bytes_max as u64 / 2 / self.readers.load(Ordering::Relaxed).max(1)
    }

    /// Whether a blob is kept, or on its way.
    pub(super) fn has(&self, id: &ChunkId) -> bool {
        self.lock().has(id)
    }

    /// Loads in the background what is missing of these; damage to it is met when it is asked for.
    pub(super) fn load_ahead(kept: &Arc<Self>, ids: Vec<ChunkId>) {
        let kept = Arc::clone(kept);
        tokio::spawn(async move {
            let mut missing = ids.into_iter().skip_while(|id| kept.has(id));
            if let Some(first) = missing.next() {
                // Whoever needs it asks for it again.
                let _ = kept.get(first, missing).await;
            }
        });
    }

    /// As [`BlobLoader::note_tree`].
    pub(super) fn note_tree(&self, root: &TreeRoot) {
        self.loader.note_tree(root);
    }

    /// One blob. What `ahead` names is loaded along, if anything must be loaded at all; damage to it is met when it is asked for.
    pub(crate) async fn get(&self, id: ChunkId, ahead: impl IntoIterator<Item = ChunkId>) -> Result<Bytes> {
        if let Some(bytes) = self.lock().blobs.get(&id) {
            return Ok(bytes.clone());
        }
        let ahead: Vec<ChunkId> = ahead.into_iter().collect();
        let claim = loop {
            // Whoever ends between the question and the waiting is heard as well.
            let mut loaded = pin!(self.loaded.notified());
            loaded.as_mut().enable();
            match self.asked(id, &ahead) {
                Asked::Kept(bytes) => return Ok(bytes),
                Asked::Awaited(failure) => {
                    loaded.await;
                    // Else each who waits would ask again what does not answer, one after the other.
                    if let Some(error) = failure.get() {
                        return Err(error.clone());
                    }
                }
                Asked::Missing(claim) => break claim,
            }
        };
        let loaded = self.load(id, &claim).await;
        if let Err(error) = &loaded {
            let _ = claim.failure.set(error.clone());
        }
        loaded
    }

    /// Loads what is claimed, and keeps it.
    async fn load(&self, id: ChunkId, claim: &Claim<'_>) -> Result<Bytes> {
        let mut fetched: Fetched = self.loader.load(claim.ids.iter().copied()).await?;
        let lost = || Damage::of_chunk("index", DamageKind::Missing, id, format!("chunk {id} was not found"));
        let wanted = fetched.remove(&id).unwrap_or_else(|| Err(lost()));
        let loaded = fetched.into_iter().filter_map(|(id, bytes)| Some((id, bytes.ok()?)));
        let mut kept = self.lock();
        loaded
            .chain(wanted.iter().map(|bytes| (id, bytes.clone())))
            .for_each(|(id, bytes)| kept.keep(id, bytes, self.bytes_max));
        Ok(wanted?)
    }

    fn asked(&self, id: ChunkId, ahead: &[ChunkId]) -> Asked<'_> {
        let mut kept = self.lock();
        if let Some(bytes) = kept.blobs.get(&id) {
            return Asked::Kept(bytes.clone());
        }
        if let Some(failure) = kept.loading.get(&id) {
            return Asked::Awaited(Arc::clone(failure));
        }
        let ids: Vec<ChunkId> = ahead.iter().copied().filter(|id| !kept.has(id)).chain([id]).collect();
        let (failure, along) = (Failure::default(), Failure::default());
        kept.loading.extend(ids.iter().map(|id| (*id, Arc::clone(&along))));
        kept.loading.insert(id, Arc::clone(&failure));
        Asked::Missing(Claim { of: self, ids, failure })
    }

    #[cfg(test)]
    pub(super) fn is_kept(&self, id: &ChunkId) -> bool {
        self.lock().blobs.contains(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        lock_unpoisoned(&self.kept)
    }
}

impl Kept {
    fn has(&self, id: &ChunkId) -> bool {
        self.blobs.contains(id) || self.loading.contains_key(id)
    }

    fn keep(&mut self, id: ChunkId, bytes: Bytes, bytes_max: usize) {
        // Bytes of a run share its buffer; a copy keeps this blob alone.
        let bytes = Bytes::copy_from_slice(&bytes);
        self.bytes += bytes.len() + OVERHEAD_BYTES;
        if let Some((_, replaced)) = self.blobs.push(id, bytes) {
            self.bytes -= replaced.len() + OVERHEAD_BYTES;
        }
        while self.bytes > bytes_max
            && let Some((_, oldest)) = self.blobs.pop_lru()
        {
            self.bytes -= oldest.len() + OVERHEAD_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::testing::recorded;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_could_not_be_had_is_not_asked_for_again_by_those_who_waited_for_it() {
        let (_, repository) = recorded().await;
        let index = repository.index_for_reading().await.unwrap();
        let kept = KeptBlobs::new(repository.loader(Arc::new(index)), 0);
        let (id, along) = (ChunkId::new([1; 32]), ChunkId::new([2; 32]));
        let Asked::Missing(claim) = kept.asked(id, &[along]) else { panic!("nobody loads it yet") };
        let mut waits = pin!(kept.get(id, []));
        let mut asks = pin!(kept.get(along, []));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert!(asks.as_mut().poll(&mut context).is_pending());
        claim.failure.set(Error::NoKeys).unwrap();
        drop(claim);
        assert!(matches!(waits.await, Err(Error::NoKeys)));
        // What was only to be loaded along is asked for: no pack has it.
        assert!(matches!(asks.await, Err(Error::Damage(_))));
    }
}
