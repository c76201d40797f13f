//! Lists of the chunks of a long content, and lists of such lists.
//!
//! A list is a node of form 3 that names what a record may name: chunks (level 0 in its head), 36 bytes each: id 32 · length u32; or lists of
//! height *h* (level *h*), 40 bytes each: id 32 · bytes of content below u64, so that any place of a content is found by one list a level.
//! Where a list ends follows from the chunks, so that a content to which something was inserted shares its lists from there on.

use credenza_model::limits::{BLOB_BYTES_MAX, LIST_REFS_MAX};
use credenza_model::{ChunkId, ChunkRef, Content, ListRef};

use super::node::{self, HEAD_BYTES};
use super::record::{LIST_REF_BYTES, decode_lists, decode_refs, impossible_item, put_lists, put_refs};
use crate::wire::{Fields, length_u32};
use crate::{BlobKind, Error, Keys, Result};

/// Chunks at which a list ends whatever they are.
pub const LIST_REFS_SPLIT: usize = 8 * LIST_REFS_MAX;
/// No list but the last of a level has fewer: a content that repeats one chunk still makes short work of its lists.
const LIST_REFS_MIN: usize = 64;
const WHAT: &str = "a list of chunks";

const _: () = assert!(HEAD_BYTES + LIST_REFS_SPLIT * LIST_REF_BYTES < BLOB_BYTES_MAX as usize);

/// A list as bytes: of [`Content::Chunks`] or [`Content::Lists`], with [`LIST_REFS_SPLIT`] items at most.
///
/// # Errors
/// [`Error::Malformed`] for another content, an empty or too long list or an item of an impossible length.
pub fn encode_list(items: &Content) -> Result<Vec<u8>> {
    check(items)?;
    let mut out = Vec::new();
    match items {
        Content::Chunks(refs) => {
            node::put_head(&mut out, node::LIST, 0, length_u32(WHAT, refs.len())?);
            put_refs(&mut out, refs);
        }
        Content::Lists { height, lists } => {
            node::put_head(&mut out, node::LIST, *height, length_u32(WHAT, lists.len())?);
            put_lists(&mut out, lists);
        }
        Content::None | Content::Inline(_) => {}
    }
    Ok(out)
}

/// The inverse of [`encode_list`].
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Unknown`] when any field breaks the rules.
pub fn decode_list(bytes: &[u8]) -> Result<Content> {
    let mut fields = Fields::new(WHAT, bytes);
    let (form, level, count) = node::decode_head(&mut fields)?;
    if form != node::LIST {
        return Err(fields.malformed("its form is not that of a list"));
    }
    let (items, found) = match level {
        0 => {
            let refs = decode_refs(&mut fields)?;
            let found = refs.len();
            (Content::Chunks(refs), found)
        }
        height => {
            let lists = decode_lists(&mut fields)?;
            let found = lists.len();
            (Content::Lists { height, lists }, found)
        }
    };
    if found as u64 != u64::from(count) {
        return Err(fields.malformed("its length is not that of its items"));
    }
    check(&items)?;
    Ok(items)
}

fn check(items: &Content) -> Result<()> {
    let count = match items {
        Content::None | Content::Inline(_) => 0,
        Content::Chunks(refs) => refs.len(),
        Content::Lists { lists, .. } => lists.len(),
    };
    let problem = if count == 0 || count > LIST_REFS_SPLIT {
        format!("it names {count} chunks")
    } else {
        match impossible_item(items) {
            None => return Ok(()),
            Some(problem) => problem,
        }
    };
    Err(Error::Malformed { what: WHAT, problem })
}

/// Turns a stream of chunks into the content of a record: chunks, or lists of them when there are more than [`LIST_REFS_MAX`].
///
/// Memory: [`LIST_REFS_SPLIT`] items of 40 bytes a level; two levels hold contents of 60 GiB on average, three of 60 TiB.
pub struct ListBuilder {
    keys: Keys,
    /// Lists that are being filled, from the lowest level, whose items are chunks; all of a level but its last list has been emitted.
    open: Vec<Vec<ListRef>>,
    /// What the record itself will refer to, unless it grows beyond [`LIST_REFS_MAX`].
    top: Vec<ListRef>,
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
        check(&Content::Chunks(vec![chunk]))?;
        self.push_at(0, ListRef { id: chunk.id, bytes: u64::from(chunk.length) }, emit)
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
                self.emit_list(level, last, emit)?;
            }
            level += 1;
        }
        Ok(if self.top.is_empty() { Content::Inline(Vec::new()) } else { items(level, self.top)? })
    }

    fn push_at<E: From<Error>>(
        &mut self,
        level: usize,
        item: ListRef,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(open) = self.open.get_mut(level) else {
            self.top.push(item);
            return if self.top.len() > LIST_REFS_MAX { self.add_level(emit) } else { Ok(()) };
        };
        open.push(item);
        if open.len() < LIST_REFS_SPLIT && (open.len() < LIST_REFS_MIN || !is_boundary(&item.id)) {
            return Ok(());
        }
        let list = std::mem::take(open);
        self.emit_list(level, list, emit)
    }

    /// Makes what the record would refer to the lists of a new level.
    fn add_level<E: From<Error>>(&mut self, emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let level = self.open.len();
        self.open.push(Vec::new());
        for item in std::mem::take(&mut self.top) {
            self.push_at(level, item, emit)?;
        }
        Ok(())
    }

    fn emit_list<E: From<Error>>(
        &mut self,
        level: usize,
        list: Vec<ListRef>,
        emit: &mut impl FnMut(ChunkId, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = list.iter().map(|item| item.bytes).sum();
        let encoded = encode_list(&items(level, list)?)?;
        let id = self.keys.blob_id(BlobKind::List, &encoded);
        emit(id, encoded)?;
        self.push_at(level + 1, ListRef { id, bytes }, emit)
    }
}

/// What a list of that level names.
fn items(level: usize, items: Vec<ListRef>) -> Result<Content> {
    let too_large = |_| Error::Malformed { what: WHAT, problem: "its content is too long".to_owned() };
    if level > 0 {
        return Ok(Content::Lists { height: u8::try_from(level).map_err(too_large)?, lists: items });
    }
    let chunk = |item: ListRef| Ok(ChunkRef { id: item.id, length: u32::try_from(item.bytes).map_err(too_large)? });
    items.into_iter().map(chunk).collect::<Result<Vec<_>>>().map(Content::Chunks)
}

/// One chunk in [`LIST_REFS_MAX`] ends a list. Ids are keyed digests, so any bits of them decide by chance.
fn is_boundary(id: &ChunkId) -> bool {
    let [a, b, ..] = *id.as_bytes();
    usize::from(u16::from_le_bytes([a, b])) % LIST_REFS_MAX == 0
}
