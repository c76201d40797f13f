//! What a record says about the bytes of an entry.

use crate::ChunkId;

/// One chunk of a content, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// The chunk.
    pub id: ChunkId,
    /// Length of its plaintext in bytes.
    pub length: u32,
}

/// One list of chunks of a long content, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRef {
    /// The list, a chunk itself.
    pub id: ChunkId,
    /// Bytes of the content under it, so that any place in the content is found without the lists before it.
    pub bytes: u64,
}

/// Where the bytes of an entry are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// The entry has no bytes to keep (a folder, a link, a delete marker), or they could not be read.
    #[default]
    None,
    /// The bytes themselves, at most [`INLINE_BYTES_MAX`](crate::limits::INLINE_BYTES_MAX); also the empty content.
    Inline(Vec<u8>),
    /// Chunks in order, at most [`LIST_REFS_MAX`](crate::limits::LIST_REFS_MAX).
    Chunks(Vec<ChunkRef>),
    /// A tree of lists of chunks, for contents with more of them: `height` levels of list chunks above the data, all addressed from `lists`.
    Lists {
        /// Levels of list chunks between `lists` and the data chunks, at least 1.
        height: u8,
        /// List chunks of the uppermost level, in order, at most [`LIST_REFS_MAX`](crate::limits::LIST_REFS_MAX).
        lists: Vec<ListRef>,
    },
}

impl Content {
    /// Bytes of the content, by what the record says.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Chunks(chunks) => chunks.iter().map(|chunk| u64::from(chunk.length)).sum(),
            Self::Lists { lists, .. } => lists.iter().map(|list| list.bytes).sum(),
        }
    }
}
