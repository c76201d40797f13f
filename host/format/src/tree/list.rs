//! Lists of the chunks of a long content, and lists of such lists.
//!
//! A list is a node of form 3: the head of `node` with level 0, then 36 bytes a chunk: id 32 · length u32. Where a list ends follows from
//! the chunks, so that a content to which something was inserted shares its lists from there on.

use credenza_model::limits::{BLOB_BYTES_MAX, LIST_REFS_MAX};
use credenza_model::{ChunkId, ChunkRef, Content};

use super::node::{self, HEAD_BYTES};
use super::record::{REF_BYTES, decode_refs, put_refs};
use crate::wire::{Fields, length_u32};
use crate::{BlobKind, Error, Keys, Result};

/// Chunks at which a list ends whatever they are.
pub const LIST_REFS_SPLIT: usize = 8 * LIST_REFS_MAX;
/// No list but the last of a level has fewer: a content that repeats one chunk still makes short work of its lists.
const LIST_REFS_MIN: usize = 64;
const WHAT: &str = "a list of chunks";

const _: () = assert!(HEAD_BYTES + LIST_REFS_SPLIT * REF_BYTES < BLOB_BYTES_MAX as usize);

/// A list as bytes, of [`LIST_REFS_SPLIT`] chunks at most.
///
/// # Errors
/// [`Error::Malformed`] for an empty or too long list or a chunk of an impossible length.
pub fn encode_list(refs: &[ChunkRef]) -> Result<Vec<u8>> {
    check(refs)?;
    let mut out = Vec::with_capacity(HEAD_BYTES + refs.len() * REF_BYTES);
    node::put_head(&mut out, node::LIST, 0, length_u32(WHAT, refs.len())?);
    put_refs(&mut out, refs);
    Ok(out)
}

/// The inverse of [`encode_list`].
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Unknown`] when any field breaks the rules.
pub fn decode_list(bytes: &[u8]) -> Result<Vec<ChunkRef>> {
    let mut fields = Fields::new(WHAT, bytes);
    let (form, level, count) = node::decode_head(&mut fields)?;
    if (form, level) != (node::LIST, 0) || fields.remaining() as u64 != u64::from(count) * REF_BYTES as u64 {
        return Err(fields.malformed("its form or its length is not that of a list"));
    }
    let refs = decode_refs(&mut fields)?;
    check(&refs)?;
    Ok(refs)
}

fn check(refs: &[ChunkRef]) -> Result<()> {
    let problem = if refs.is_empty() || refs.len() > LIST_REFS_SPLIT {
        format!("it names {} chunks", refs.len())
    } else if let Some(chunk) = refs.iter().find(|chunk| chunk.length == 0 || chunk.length > BLOB_BYTES_MAX) {
        format!("it names a chunk of {} bytes", chunk.length)
    } else {
        return Ok(());
    };
    Err(Error::Malformed { what: WHAT, problem })
}

/// Turns a stream of chunks into the content of a record: chunks, or lists of them when there are more than [`LIST_REFS_MAX`].
///
/// Memory: [`LIST_REFS_SPLIT`] chunks of 36 bytes a level; two levels hold contents of 60 GiB on average, three of 60 TiB.
pub struct ListBuilder {
    keys: Keys,
    /// Lists that are being filled, from the lowest level; all of a level but its last list has been emitted.
    open: Vec<Vec<ChunkRef>>,
    /// What the record itself will refer to, unless it grows beyond [`LIST_REFS_MAX`].
    top: Vec<ChunkRef>,
}

impl ListBuilder {
    /// An empty content.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self { keys: keys.clone(), open: Vec::new(), top: Vec::new() }
    }

    /// Appends a chunk; `emit` takes each list that is closed, as a blob of [`BlobKind::List`].
    ///
    /// # Errors
    /// [`Error::Malformed`] for a chunk of an impossible length, and whatever `emit` fails with.
    pub fn push<E: From<Error>>(
        &mut self,
        chunk: ChunkRef,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        check(&[chunk])?;
        self.push_at(0, chunk, emit)
    }

    /// The content of all chunks; `emit` takes the lists that are left. Without any chunk it is the empty inline content.
    ///
    /// # Errors
    /// Whatever `emit` fails with.
    pub fn finish<E: From<Error>>(
        mut self,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<Content, E> {
        let mut level = 0;
        // Closing the last list of a level may make the top too long and so add a level.
        while let Some(open) = self.open.get_mut(level) {
            let last = std::mem::take(open);
            if !last.is_empty() {
                self.emit_list(level, &last, emit)?;
            }
            level += 1;
        }
        Ok(match u8::try_from(level).unwrap_or(u8::MAX) {
            0 if self.top.is_empty() => Content::Inline(Vec::new()),
            0 => Content::Chunks(self.top),
            height => Content::Lists { height, lists: self.top },
        })
    }

    fn push_at<E: From<Error>>(
        &mut self,
        level: usize,
        chunk: ChunkRef,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(open) = self.open.get_mut(level) else {
            self.top.push(chunk);
            return if self.top.len() > LIST_REFS_MAX { self.add_level(emit) } else { Ok(()) };
        };
        open.push(chunk);
        if open.len() < LIST_REFS_SPLIT && (open.len() < LIST_REFS_MIN || !is_boundary(&chunk.id)) {
            return Ok(());
        }
        let list = std::mem::take(open);
        self.emit_list(level, &list, emit)
    }

    /// Makes what the record would refer to the lists of a new level.
    fn add_level<E: From<Error>>(&mut self, emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let level = self.open.len();
        self.open.push(Vec::new());
        for chunk in std::mem::take(&mut self.top) {
            self.push_at(level, chunk, emit)?;
        }
        Ok(())
    }

    fn emit_list<E: From<Error>>(
        &mut self,
        level: usize,
        list: &[ChunkRef],
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = encode_list(list)?;
        let id = self.keys.blob_id(BlobKind::List, &bytes);
        let length = length_u32(WHAT, bytes.len())?;
        emit(id, bytes)?;
        self.push_at(level + 1, ChunkRef { id, length }, emit)
    }
}

/// One chunk in [`LIST_REFS_MAX`] ends a list. Ids are keyed digests, so any bits of them decide by chance.
fn is_boundary(id: &ChunkId) -> bool {
    let [a, b, ..] = *id.as_bytes();
    usize::from(u16::from_le_bytes([a, b])) % LIST_REFS_MAX == 0
}
