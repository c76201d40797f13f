//! The chunks of a content in order, however long it is.
//!
//! Bound: one list of at most some thousand references per level of lists.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_format::decode_list;
use credenza_model::{ChunkId, ChunkRef, Content};

use crate::blobs::BlobLoader;
use crate::{Damage, DamageKind, Result};

/// Lists loaded at once; each is some 36 KiB and names some 64 MiB of data.
const LISTS_IN_WINDOW: usize = 16;

/// A stream of the data chunks of one content.
pub(crate) struct ContentChunks {
    loader: Arc<BlobLoader>,
    /// References still to be expanded, with their height above the data.
    pending: VecDeque<(u8, ChunkRef)>,
}

impl ContentChunks {
    pub(crate) fn new(loader: Arc<BlobLoader>, content: &Content) -> Self {
        let pending = match content {
            Content::None | Content::Inline(_) => VecDeque::new(),
            Content::Chunks(refs) => refs.iter().map(|chunk| (0, *chunk)).collect(),
            Content::Lists { height, lists } => lists.iter().map(|list| (*height, *list)).collect(),
        };
        Self { loader, pending }
    }

    /// The next references, in order, until their plaintext reaches `bytes_max` (at least one); an empty list is the end.
    ///
    /// # Errors
    /// Damage when a list is lost.
    pub(crate) async fn next(&mut self, bytes_max: u64) -> Result<Vec<ChunkRef>> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some((height, chunk)) = self.pending.front().copied() {
            if height > 0 {
                self.expand().await?;
                continue;
            }
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
    /// Damage when a list is lost.
    pub(crate) async fn claim_all(&mut self, holds: impl Fn(&ChunkId) -> bool) -> Result<bool> {
        while let Some((height, chunk)) = self.pending.front().copied() {
            let held =
                if height > 0 { self.window().iter().all(|(_, list)| holds(&list.id)) } else { holds(&chunk.id) };
            if !held {
                return Ok(false);
            }
            if height > 0 {
                self.expand().await?;
            } else {
                self.pending.pop_front();
            }
        }
        Ok(true)
    }

    /// The lists that are expanded next.
    fn window(&self) -> Vec<(u8, ChunkRef)> {
        self.pending.iter().take_while(|(height, _)| *height > 0).take(LISTS_IN_WINDOW).copied().collect()
    }

    async fn expand(&mut self) -> Result<()> {
        let lists = self.window();
        let loaded = self.loader.load(lists.iter().map(|(_, list)| list.id)).await?;
        let mut expanded = Vec::new();
        for (height, list) in &lists {
            let missing =
                || Damage::of_chunk("list", DamageKind::Missing, list.id, "a list of chunks is not in the repository");
            let bytes = loaded.get(&list.id).cloned().unwrap_or_else(|| Err(missing()))?;
            let refs = decode_list(&bytes)
                .map_err(|cause| Damage::of_chunk("list", DamageKind::Invalid, list.id, cause.to_string()))?;
            expanded.extend(refs.into_iter().map(|chunk| (height - 1, chunk)));
        }
        self.pending.drain(..lists.len());
        expanded.into_iter().rev().for_each(|item| self.pending.push_front(item));
        Ok(())
    }
}
