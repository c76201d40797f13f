//! A repository to look into: its index is loaded once, and any number of readers share it and what they read.
//!
//! Owned here: finding one entry (`tree_cursor`), a page of a folder (`folder`), any bytes of a content (`reader`) and all of it in order
//! (`content`), with few reads (`kept`, `nodes`), all verified. Refused here: writing, printing, and what a name means to whoever asks. Called by `cli` and whatever
//! else shows snapshots. Damage is an error that names the object; never wrong bytes, never "not found".
//!
//! Bound: the index, [`NODES_BYTES`] of tree nodes and some of them decoded, [`CHUNKS_BYTES`] of chunks and half as
//! many on their way ahead of readers, and what one call loads.

mod content;
mod folder;
mod kept;
mod nodes;
mod reader;
#[cfg(test)]
mod tests;
mod tree_cursor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credenza_format::BlobIndex;
use credenza_model::{ChunkId, Content, Key, Record};

use crate::blobs::BlobLoader;
use crate::parts::Parts;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Error, Records, Result};

pub use content::{ContentReader, never_read};
pub use folder::{FolderItem, FolderPage};
pub use reader::Reader;

pub(crate) use kept::KeptBlobs;
use nodes::Nodes;
use tree_cursor::{TreeCursor, record_at};

/// Encoded tree nodes that are kept: at some 64 KiB each, the upper levels of several large trees and the leaves that were read last.
const NODES_BYTES: usize = 16 * 1024 * 1024;
/// Plaintext of chunks and lists that is kept for readers that come back. What they have read the kernel keeps as well; pieces of this size lie scattered
/// in memory, and take half as much again.
const CHUNKS_BYTES: usize = 24 * 1024 * 1024;
/// How far a content may lie from the one that was opened last to be read in a row with it: clients ask for some at once, in no strict order.
const NEAR_RECORDS: u64 = 32;
/// Plaintext of short contents that is loaded along with one in a row.
const BESIDE_BYTES: u64 = 1024 * 1024;

/// A repository whose index is loaded. Cheap to clone; clones share what they have read.
///
/// It shows the repository as its index was when the view was opened, and finds chunks that a collector has moved since. A snapshot that was made later
/// needs a new view.
#[derive(Clone)]
pub struct View {
    repository: Repository,
    loader: Arc<BlobLoader>,
    nodes: Arc<Nodes>,
    chunks: Arc<KeptBlobs>,
    /// The position of the content that was opened last.
    opened: Arc<AtomicU64>,
}

impl Repository {
    /// Opens a view: loads the index, as far as it can be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn view(&self) -> Result<View> {
        Ok(View::new(self.clone(), self.index_for_reading().await?))
    }
}

impl View {
    fn new(repository: Repository, index: BlobIndex) -> Self {
        let loader = repository.loader(Arc::new(index));
        let nodes = Arc::new(Nodes::new(Arc::clone(&loader), NODES_BYTES));
        let chunks = Arc::new(KeptBlobs::new(Arc::clone(&loader), CHUNKS_BYTES));
        Self { repository, loader, nodes, chunks, opened: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// The repository that is looked into.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(crate) fn nodes(&self) -> &Arc<KeptBlobs> {
        self.nodes.encoded()
    }

    pub(crate) const fn loader(&self) -> &Arc<BlobLoader> {
        &self.loader
    }

    /// The records of a snapshot whose keys begin with `prefix`, in key order.
    #[must_use]
    pub fn records(&self, snapshot: &SnapshotHandle, prefix: &[u8]) -> Records {
        self.repository.walk(&self.loader, &snapshot.snapshot.tree, prefix)
    }

    /// The records of some parts of a snapshot, in key order, in one walk.
    #[must_use]
    pub fn records_of(&self, snapshot: &SnapshotHandle, parts: &Parts) -> Records {
        self.repository.walk_parts(&self.loader, &snapshot.snapshot.tree, parts)
    }

    /// The record of exactly that key; the latest version, when there are several. It costs one node a level of the tree.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when there is none; damage when the way to it is lost.
    pub async fn entry(&self, snapshot: &SnapshotHandle, key: &Key) -> Result<Record> {
        self.located(snapshot, key).await.map(|(_, record)| record)
    }

    /// The same, and its position: how many records stand before it in the snapshot.
    ///
    /// # Errors
    /// As for [`View::entry`].
    pub async fn located(&self, snapshot: &SnapshotHandle, key: &Key) -> Result<(u64, Record)> {
        let mut place = TreeCursor::seek(&self.nodes, &snapshot.snapshot.tree, key.as_bytes()).await?;
        match place.next().await? {
            Some((position, record)) if record.entry.key == *key => Ok((position, record)),
            _ => Err(Error::NoEntry { snapshot: snapshot.snapshot.id.to_string(), key: key.to_string() }),
        }
    }

    /// The record at a position, as [`View::located`] and a page name it; none behind the last. It costs one node a level of the tree.
    ///
    /// # Errors
    /// Damage when the way to it is lost.
    pub async fn record_at(&self, snapshot: &SnapshotHandle, position: u64) -> Result<Option<Record>> {
        record_at(&self.nodes, &snapshot.snapshot.tree, position).await
    }

    /// The content of a record in order, to its end.
    #[must_use]
    pub fn content(&self, record: &Record) -> ContentReader {
        ContentReader::new(Arc::clone(&self.loader), &record.content)
    }

    /// The content of a record, to be read anywhere.
    #[must_use]
    pub fn reader(&self, record: &Record) -> Reader {
        Reader::new(Arc::clone(&self.chunks), record.content.clone(), Vec::new())
    }

    /// The same for a record of a snapshot. Where contents near it were opened last, the short ones that come behind it are loaded along, so that who reads a
    /// folder of small files costs few reads.
    ///
    /// # Errors
    /// Damage when the way to it is lost.
    pub async fn reader_among(&self, snapshot: &SnapshotHandle, record: &Record) -> Result<Reader> {
        let mut place = TreeCursor::seek(&self.nodes, &snapshot.snapshot.tree, record.entry.key.as_bytes()).await?;
        let Some((position, _)) = place.next().await? else { return Ok(self.reader(record)) };
        let last = self.opened.swap(position, Ordering::Relaxed);
        let is_near = position != last && position.abs_diff(last) <= NEAR_RECORDS;
        let beside = if is_near { following(place.waiting()) } else { Vec::new() };
        Ok(Reader::new(Arc::clone(&self.chunks), record.content.clone(), beside))
    }

    /// A page of what lies directly under a prefix that is empty or ends with a slash: at most `max` items behind `after`, which is the `next` of the
    /// page before it.
    ///
    /// A key with a further slash is shown as the folder that it lies in, once: as its entry where it has one, else as a prefix. The entry of the folder
    /// that is listed is not in it. Of several versions the latest is shown, unless it is a delete marker.
    ///
    /// # Errors
    /// Damage when a part of the tree is lost that holds what was asked for.
    pub async fn folder(
        &self,
        snapshot: &SnapshotHandle,
        prefix: &[u8],
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<FolderPage> {
        folder::page(self, snapshot, prefix, after, max).await
    }

    /// The same with another delimiter, which is not empty: a key in which it comes behind the prefix is shown by what it begins with up to there, once.
    /// Folders are entries like any other.
    ///
    /// # Errors
    /// Damage when a part of the tree is lost that holds what was asked for.
    pub async fn cut_page(
        &self,
        snapshot: &SnapshotHandle,
        (prefix, delimiter): (&[u8], &[u8]),
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<FolderPage> {
        folder::cut_page(self, snapshot, (prefix, delimiter), after, max).await
    }

    /// A page of all entries whose keys begin with a prefix, however deep they lie, in the order of their keys: at most `max` behind the key `after`, which
    /// is not before the prefix. Of several versions the latest is shown, unless it is a delete marker.
    ///
    /// # Errors
    /// Damage when a part of the tree is lost that holds what was asked for.
    pub async fn page(
        &self,
        snapshot: &SnapshotHandle,
        prefix: &[u8],
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<FolderPage> {
        folder::flat_page(self, snapshot, prefix, after, max).await
    }
}

/// The chunks of the short contents at the beginning of some records, as far as they are loaded along.
fn following(records: &[Record]) -> Vec<ChunkId> {
    let mut bytes = 0;
    let mut chunks = Vec::new();
    for record in records {
        let Content::Chunks(refs) = &record.content else { continue };
        bytes += record.content.bytes();
        if bytes > BESIDE_BYTES {
            break;
        }
        chunks.extend(refs.iter().map(|chunk| chunk.id));
    }
    chunks
}
