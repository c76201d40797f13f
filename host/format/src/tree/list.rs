//! Lists of chunks: short ones in a record, long ones as trees of list blobs that shifted contents share.

use credenza_model::limits::LIST_REFS_MAX;
use credenza_model::{ChunkId, ChunkRef, Content};

use crate::wire::{Fields, length_u32};
use crate::{BlobKind, Error, Keys, Result};

const REF_BYTES: usize = 36;
/// Most references in one list blob; a boundary comes before in all but absurd cases.
const BLOB_REFS_MAX: usize = 8 * LIST_REFS_MAX;

const _: () = assert!(LIST_REFS_MAX.is_power_of_two());

pub(crate) fn encode_refs(refs: &[ChunkRef]) -> Vec<u8> {
    let mut out = Vec::with_capacity(refs.len() * REF_BYTES);
    for chunk in refs {
        out.extend_from_slice(chunk.id.as_bytes());
        out.extend_from_slice(&chunk.length.to_le_bytes());
    }
    out
}

pub(crate) fn decode_refs(bytes: &[u8]) -> Result<Vec<ChunkRef>> {
    let mut fields = Fields::new("a list of chunks", bytes);
    if bytes.len() / REF_BYTES > BLOB_REFS_MAX {
        return Err(fields.malformed("it is longer than any may be"));
    }
    let mut refs = Vec::with_capacity(bytes.len() / REF_BYTES);
    while !fields.is_empty() {
        refs.push(ChunkRef { id: ChunkId::new(fields.array()?), length: fields.u32()? });
    }
    Ok(refs)
}

/// The plaintext of a list blob.
#[must_use]
pub fn encode_list(refs: &[ChunkRef]) -> Vec<u8> {
    encode_refs(refs)
}

/// Reads the plaintext of a list blob.
///
/// # Errors
/// [`Error::Malformed`] when it is cut short, empty or too long.
pub fn decode_list(bytes: &[u8]) -> Result<Vec<ChunkRef>> {
    let refs = decode_refs(bytes)?;
    if refs.is_empty() {
        Err(Error::Malformed { what: "a list of chunks", problem: "it is empty".to_owned() })
    } else {
        Ok(refs)
    }
}

/// Turns the chunks of a content, in order, into what its record holds.
///
/// Bound: one list per level, of some thousand references.
pub struct ListBuilder {
    keys: Keys,
    /// References not yet in a list, per height above the data.
    levels: Vec<Vec<ChunkRef>>,
}

impl ListBuilder {
    /// A builder for one content.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self { keys: keys.clone(), levels: vec![Vec::new()] }
    }

    /// Takes the next chunk; full lists are handed to `emit`.
    ///
    /// # Errors
    /// What `emit` says.
    pub fn push<E: From<Error>>(
        &mut self,
        chunk: ChunkRef,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.push_at(0, chunk, emit)
    }

    fn push_at<E: From<Error>>(
        &mut self,
        height: usize,
        chunk: ChunkRef,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.levels.len() <= height {
            self.levels.push(Vec::new());
        }
        let Some(level) = self.levels.get_mut(height) else { return Ok(()) };
        level.push(chunk);
        // One id in so many ends a list, wherever the list began; ids are as good as random.
        let [low, high, ..] = *chunk.id.as_bytes();
        let boundary = usize::from(u16::from_le_bytes([low, high])) % LIST_REFS_MAX == 0;
        if (boundary && level.len() > 1) || level.len() >= BLOB_REFS_MAX { self.close(height, emit) } else { Ok(()) }
    }

    fn close<E: From<Error>>(
        &mut self,
        height: usize,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let refs = self.levels.get_mut(height).map(std::mem::take).unwrap_or_default();
        let bytes = encode_list(&refs);
        let id = self.keys.blob_id(BlobKind::List, &bytes);
        let length = length_u32("a list of chunks", bytes.len())?;
        emit(id, bytes)?;
        self.push_at(height + 1, ChunkRef { id, length }, emit)
    }

    /// What the record holds.
    ///
    /// # Errors
    /// What `emit` says.
    pub fn finish<E: From<Error>>(
        mut self,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<Content, E> {
        let mut height = 0;
        loop {
            let level = self.levels.get(height).map_or(0, Vec::len);
            let is_top = height + 1 >= self.levels.len();
            if is_top && level <= LIST_REFS_MAX {
                let refs = self.levels.pop().unwrap_or_default();
                let height = u8::try_from(height).unwrap_or(u8::MAX);
                return Ok(if height == 0 { Content::Chunks(refs) } else { Content::Lists { height, lists: refs } });
            }
            if level > 0 {
                self.close(height, emit)?;
            }
            height += 1;
        }
    }
}
