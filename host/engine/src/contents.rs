//! The chunks of a content in order, however long it is.
//!
//! Bound: one list of at most some thousand references per level of lists.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_format::decode_list;
use credenza_model::{ChunkId, ChunkRef, Content, ListRef};

use crate::blobs::BlobLoader;
use crate::{Damage, DamageKind, Result};

/// Lists loaded at once; each is some 36 KiB and names some 32 MiB of data.
const LISTS_IN_WINDOW: usize = 16;

/// A stream of the data chunks of one content.
pub(crate) struct ContentChunks {
    loader: Arc<BlobLoader>,
    /// Still to come, in order.
    pending: VecDeque<Pending>,
}

#[derive(Debug, Clone, Copy)]
enum Pending {
    Chunk(ChunkRef),
    List { height: u8, list: ListRef },
}

fn pending(content: &Content) -> Vec<Pending> {
    match content {
        Content::None | Content::Inline(_) => Vec::new(),
        Content::Chunks(refs) => refs.iter().copied().map(Pending::Chunk).collect(),
        Content::Lists { height, lists } => {
            lists.iter().map(|list| Pending::List { height: *height, list: *list }).collect()
        }
    }
}

impl ContentChunks {
    pub(crate) fn new(loader: Arc<BlobLoader>, content: &Content) -> Self {
        let pending = pending(content).into();
        Self { loader, pending }
    }

    /// The next references, in order, until their plaintext reaches `bytes_max` (at least one); an empty list is the end.
    ///
    /// # Errors
    /// Damage when a list is lost.
    pub(crate) async fn next(&mut self, bytes_max: u64) -> Result<Vec<ChunkRef>> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.pending.front().copied() {
            let Pending::Chunk(chunk) = next else {
                self.expand().await?;
                continue;
            };
            if !taken.is_empty() && bytes + u64::from(chunk.length) > bytes_max {
                break;
            }
            bytes += u64::from(chunk.length);
            taken.push(chunk);
            self.pending.pop_front();
        }
        Ok(taken)
    }

    /// Shows every chunk, lists and data, to `holds`, and stops at the first that it denies.
    ///
    /// # Errors
    /// Damage when a list is lost, and whatever `holds` fails with.
    pub(crate) async fn claim_all(&mut self, holds: impl Fn(&ChunkId) -> Result<bool>) -> Result<bool> {
        while let Some(next) = self.pending.front().copied() {
            match next {
                Pending::Chunk(chunk) => {
                    if !holds(&chunk.id)? {
                        return Ok(false);
                    }
                    self.pending.pop_front();
                }
                Pending::List { .. } => {
                    for (_, list) in self.window() {
                        if !holds(&list.id)? {
                            return Ok(false);
                        }
                    }
                    self.expand().await?;
                }
            }
        }
        Ok(true)
    }

    /// The lists that are expanded next.
    fn window(&self) -> Vec<(u8, ListRef)> {
        let list = |next: &Pending| match next {
            Pending::Chunk(_) => None,
            Pending::List { height, list } => Some((*height, *list)),
        };
        self.pending.iter().map_while(list).take(LISTS_IN_WINDOW).collect()
    }

    async fn expand(&mut self) -> Result<()> {
        let lists = self.window();
        let loaded = self.loader.load(lists.iter().map(|(_, list)| list.id)).await?;
        let mut expanded = Vec::new();
        for (height, list) in &lists {
            let missing =
                || Damage::of_chunk("list", DamageKind::Missing, list.id, "a list of chunks is not in the repository");
            let bytes = loaded.get(&list.id).cloned().unwrap_or_else(|| Err(missing()))?;
            expanded.extend(pending(&items(&bytes, *height, list)?));
        }
        self.pending.drain(..lists.len());
        expanded.into_iter().rev().for_each(|item| self.pending.push_front(item));
        Ok(())
    }
}

/// What a list names, which must be of the height and the length that whoever refers to it says.
pub(crate) fn items(bytes: &[u8], height: u8, list: &ListRef) -> Result<Content, Damage> {
    let invalid = |detail: String| Damage::of_chunk("list", DamageKind::Invalid, list.id, detail);
    let items = decode_list(bytes).map_err(|cause| invalid(cause.to_string()))?;
    let below = if let Content::Lists { height, .. } = items { height } else { 0 };
    let found = items.bytes();
    if below.checked_add(1) == Some(height) && found == list.bytes {
        return Ok(items);
    }
    Err(invalid(format!("a list of height {height} for {} bytes of content is one of {below} for {found}", list.bytes)))
}
