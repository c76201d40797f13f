//! The content of one entry, in order, to its end.
//!
//! Bound: one window of plaintext.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use credenza_model::{Content, EntryStatus, Record};

use crate::Result;
use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::window::WINDOW_BYTES;

/// Why a snapshot has no content of an entry that should have some; `None` when it has, or the entry has none to have.
#[must_use]
pub fn never_read(record: &Record) -> Option<String> {
    match &record.status {
        EntryStatus::Stable | EntryStatus::Changed | EntryStatus::Undescribed(_) | EntryStatus::Doubtful(_) => None,
        EntryStatus::Vanished => Some("it was gone when the backup came to read it".to_owned()),
        EntryStatus::Referenced(reason) => Some(format!("the snapshot has no content of it, as was wished: {reason}")),
        EntryStatus::Unreadable(reason) => Some(format!("the snapshot has no content of it: {reason}")),
    }
}

/// The content of one entry, in order, verified.
pub struct ContentReader {
    loader: Arc<BlobLoader>,
    chunks: ContentChunks,
    ready: VecDeque<Result<Bytes>>,
}

impl ContentReader {
    pub(super) fn new(loader: Arc<BlobLoader>, content: &Content) -> Self {
        let inline = match content {
            Content::Inline(bytes) if !bytes.is_empty() => Some(Ok(Bytes::copy_from_slice(bytes))),
            _ => None,
        };
        Self { chunks: ContentChunks::new(Arc::clone(&loader), content), loader, ready: inline.into_iter().collect() }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Damage when a chunk is lost: what was returned before it is right, and nothing wrong is ever returned.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ready.is_empty() {
            let refs = self.chunks.next(WINDOW_BYTES).await?;
            let fetched = self.loader.load(refs.iter().map(|chunk| chunk.id)).await?;
            let plain = |chunk: &credenza_model::ChunkRef| fetched.get(&chunk.id).cloned();
            self.ready = refs.iter().filter_map(plain).map(|bytes| bytes.map_err(Into::into)).collect();
        }
        self.ready.pop_front().transpose()
    }
}
