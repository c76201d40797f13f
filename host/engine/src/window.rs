//! Records on their way through a stage that needs their contents: many small ones at once, or one large.
//!
//! Called by `sync`, `query`, `restore` and `read`. Bound: [`WINDOW_BYTES`] of plaintext and [`WINDOW_RECORDS`] records a window.

use credenza_model::{ChunkId, Content, Record};

use crate::Result;
use crate::blobs::{BlobLoader, Fetched, RUN_BYTES_MAX};

/// Plaintext of one window: a range of a pack, as it is read in one request.
pub(crate) const WINDOW_BYTES: u64 = RUN_BYTES_MAX;
const WINDOW_RECORDS: usize = 1024;

/// Records in order whose contents fit into memory together, or one that does not fit.
pub(crate) struct Window<T> {
    pub(crate) items: Vec<T>,
    bytes: u64,
}

impl<T> Window<T> {
    pub(crate) fn new() -> Self {
        Self { items: Vec::new(), bytes: 0 }
    }

    /// Whether an item whose content weighs so many bytes is to be added, or to wait for the next window.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.items.is_empty() || self.items.len() < WINDOW_RECORDS && self.bytes.saturating_add(bytes) <= WINDOW_BYTES
    }

    pub(crate) fn push(&mut self, item: T, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.items.push(item);
    }

    /// Whether it holds one content that must be read piece by piece.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes > WINDOW_BYTES
    }
}

/// Plaintext that a content takes in a window; one of lists is read piece by piece, however short it is.
pub(crate) fn weight(content: &Content) -> u64 {
    match content {
        Content::None | Content::Inline(_) => 0,
        Content::Chunks(refs) => refs.iter().map(|chunk| u64::from(chunk.length)).sum(),
        Content::Lists { .. } => u64::MAX,
    }
}

/// Loads the contents of the records of a window.
pub(crate) async fn fetch<'a>(loader: &BlobLoader, records: impl Iterator<Item = &'a Record>) -> Result<Fetched> {
    let ids: Vec<ChunkId> = records
        .flat_map(|record| match &record.content {
            Content::Chunks(refs) => refs.as_slice(),
            Content::None | Content::Inline(_) | Content::Lists { .. } => &[],
        })
        .map(|chunk| chunk.id)
        .collect();
    loader.load(ids).await
}
