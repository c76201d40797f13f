//! Blobs that were read last, verified, for whoever asks again.
//!
//! Bound: the bytes that it is made with, and what one call loads.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use credenza_format::TreeRoot;
use credenza_model::ChunkId;
use lru::LruCache;

use crate::blobs::{BlobLoader, Fetched};
use crate::poison::lock_unpoisoned;
use crate::{Damage, DamageKind, Result};

/// What remembering a blob takes beside its bytes.
const OVERHEAD_BYTES: usize = 128;

pub(crate) struct KeptBlobs {
    loader: Arc<BlobLoader>,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    blobs: LruCache<ChunkId, Bytes>,
    bytes: usize,
}

impl KeptBlobs {
    pub(super) fn new(loader: Arc<BlobLoader>, bytes_max: usize) -> Self {
        Self { loader, bytes_max, kept: Mutex::new(Kept { blobs: LruCache::unbounded(), bytes: 0 }) }
    }

    /// As [`BlobLoader::note_tree`].
    pub(super) fn note_tree(&self, root: &TreeRoot) {
        self.loader.note_tree(root);
    }

    /// Whether a blob is kept.
    pub(super) fn holds(&self, id: &ChunkId) -> bool {
        self.lock().blobs.contains(id)
    }

    /// One blob. What `ahead` names is loaded along, if anything must be loaded at all; damage to it is met when it is asked for.
    pub(crate) async fn get(&self, id: ChunkId, ahead: &[ChunkId]) -> Result<Bytes> {
        if let Some(bytes) = self.lock().blobs.get(&id) {
            return Ok(bytes.clone());
        }
        let missing: Vec<ChunkId> = ahead.iter().copied().filter(|id| !self.holds(id)).chain([id]).collect();
        let mut fetched: Fetched = self.loader.load(missing).await?;
        let lost = || Damage::of_chunk("index", DamageKind::Missing, id, format!("chunk {id} was not found"));
        let wanted = fetched.remove(&id).unwrap_or_else(|| Err(lost()));
        let loaded = fetched.into_iter().filter_map(|(id, bytes)| Some((id, bytes.ok()?)));
        let mut kept = self.lock();
        loaded
            .chain(wanted.iter().map(|bytes| (id, bytes.clone())))
            .for_each(|(id, bytes)| kept.keep(id, bytes, self.bytes_max));
        Ok(wanted?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        lock_unpoisoned(&self.kept)
    }
}

impl Kept {
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
