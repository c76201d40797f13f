//! Reading single entries of a snapshot, verified: what `cat` and `info` need.

use std::sync::Arc;

use bytes::Bytes;
use credenza_model::{Content, Key, Record};

use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::repository::{Repository, SnapshotHandle};
use crate::window::WINDOW_BYTES;
use crate::{Error, Result};

/// The content of one entry, in order, verified.
pub struct ContentReader {
    loader: Arc<BlobLoader>,
    inline: Option<Bytes>,
    chunks: ContentChunks,
    ready: std::collections::VecDeque<Bytes>,
}

impl ContentReader {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Damage when a chunk is lost: what was returned before it is right, and nothing wrong is ever returned.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.inline.take() {
            return Ok(Some(bytes));
        }
        if self.ready.is_empty() {
            let refs = self.chunks.next(WINDOW_BYTES).await?;
            let fetched = self.loader.load(refs.iter().map(|chunk| chunk.id)).await?;
            for chunk in refs {
                if let Some(bytes) = fetched.get(&chunk.id) {
                    self.ready.push_back(bytes.clone()?);
                }
            }
        }
        Ok(self.ready.pop_front())
    }
}

impl Repository {
    /// The record of exactly that key (the latest version, when there are several).
    ///
    /// # Errors
    /// [`Error::NoEntry`] when there is none; damage when the way to it is lost.
    pub async fn record(&self, snapshot: &SnapshotHandle, key: &Key) -> Result<Record> {
        let mut records = self.records(snapshot, key.as_bytes()).await?;
        while let Some(record) = records.next().await? {
            if record.entry.key == *key {
                return Ok(record);
            }
            if record.entry.key > *key {
                break;
            }
        }
        Err(Error::NoEntry { snapshot: snapshot.snapshot.id.to_string(), key: key.to_string() })
    }

    /// Opens the content of a record.
    ///
    /// # Errors
    /// When the index cannot be loaded.
    pub async fn content(&self, record: &Record) -> Result<ContentReader> {
        let loader = self.loader(Arc::new(self.readable_index().await?));
        let inline = match &record.content {
            Content::Inline(bytes) if !bytes.is_empty() => Some(Bytes::copy_from_slice(bytes)),
            _ => None,
        };
        Ok(ContentReader {
            chunks: ContentChunks::new(Arc::clone(&loader), &record.content),
            loader,
            inline,
            ready: std::collections::VecDeque::new(),
        })
    }
}
