//! Any bytes of a content: the chunks that hold them, verified, and when reading goes on where it was, those behind them, while what was asked for is
//! looked at.
//!
//! Bound: the references of one content, the lists of the last range, what is loaded ahead for all readers together, which is half of what the view keeps,
//! and that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use credenza_model::{ChunkId, Content, ListRef};

use super::kept::KeptBlobs;
use crate::contents;
use crate::poison::lock_unpoisoned;
use crate::{Damage, DamageKind, Result};

/// Bytes loaded beyond those asked for, when a read begins where the one before it ended and nobody else reads: half of them at once, half in the
/// background.
const AHEAD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Lists that are remembered: one a height, and the next where a range lies in two.
const LISTS_MAX: usize = 4;
/// Longest answer to one read.
pub(super) const READ_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A content that can be read anywhere.
pub struct Reader {
    chunks: Arc<KeptBlobs>,
    content: Content,
    size: u64,
    /// Chunks of other contents that are loaded along with the last of this one.
    beside: Vec<ChunkId>,
    /// Where the last read ended.
    ended: AtomicU64,
    /// The lists that the last range was found by.
    lists: Mutex<Vec<(ChunkId, Arc<Content>)>>,
}

/// A chunk, with the offset of its first byte in the content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) id: ChunkId,
    start: u64,
    end: u64,
}

impl Reader {
    pub(super) fn new(chunks: Arc<KeptBlobs>, content: Content, beside: Vec<ChunkId>) -> Self {
        let size = content.bytes();
        chunks.enter();
        Self { chunks, content, size, beside, ended: AtomicU64::new(u64::MAX), lists: Mutex::default() }
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Up to `length` bytes from `offset`: fewer at the end, none behind it, and 8 MiB at most.
    ///
    /// # Errors
    /// Damage when a chunk is lost; nothing wrong is ever returned.
    pub async fn read_at(&self, offset: u64, length: u64) -> Result<Bytes> {
        let end = offset.saturating_add(length.min(READ_BYTES_MAX)).min(self.size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        if let Content::Inline(bytes) = &self.content {
            return Ok(part(&Bytes::copy_from_slice(bytes), 0, offset, end));
        }
        let goes_on = self.ended.swap(end, Ordering::Relaxed) == offset;
        let ahead = if goes_on { self.chunks.share().min(AHEAD_BYTES_MAX) } else { 0 };
        let (soon, later) = (end.saturating_add(ahead / 2), end.saturating_add(ahead));
        let mut spans = Vec::new();
        self.locate(&self.content, 0, (offset, later.min(self.size)), &mut spans).await?;
        let later = spans.split_off(spans.partition_point(|span| span.start < soon));
        let answer = self.put_together(&spans, offset, end).await?;
        // The half that is left lasts while the other comes.
        if let Some(next) = later.first()
            && !self.chunks.has(&next.id)
        {
            KeptBlobs::load_ahead(&self.chunks, later.iter().map(|span| span.id).collect());
        }
        Ok(answer)
    }

    /// The bytes between two offsets. Where a chunk of them must be loaded, those of all spans behind it are loaded along.
    async fn put_together(&self, spans: &[Span], offset: u64, end: u64) -> Result<Bytes> {
        let mut answer = BytesMut::new();
        for (number, span) in spans.iter().enumerate().take_while(|(_, span)| span.start < end) {
            let beside = if end == self.size { self.beside.as_slice() } else { &[] };
            let following = spans.iter().skip(number + 1).map(|span| span.id).chain(beside.iter().copied());
            let bytes = self.chunks.get(span.id, following).await?;
            if bytes.len() as u64 != span.end - span.start {
                let detail = format!("a chunk of {} bytes is said to have {}", bytes.len(), span.end - span.start);
                return Err(Damage::of_chunk("tree", DamageKind::Invalid, span.id, detail).into());
            }
            let part = part(&bytes, span.start, offset, end);
            if part.len() as u64 == end - offset {
                return Ok(part);
            }
            answer.reserve(usize::try_from(end - offset).unwrap_or_default().saturating_sub(answer.len()));
            answer.extend_from_slice(&part);
        }
        Ok(answer.freeze())
    }

    /// The chunks of a range in order, by one list of each height and its neighbours where the range goes beyond it.
    pub(super) async fn locate(
        &self,
        items: &Content,
        mut start: u64,
        range: (u64, u64),
        spans: &mut Vec<Span>,
    ) -> Result<()> {
        match items {
            Content::None | Content::Inline(_) => {}
            Content::Chunks(refs) => {
                for chunk in refs {
                    let end = start + u64::from(chunk.length);
                    if start < range.1 && range.0 < end {
                        spans.push(Span { id: chunk.id, start, end });
                    }
                    start = end;
                }
            }
            Content::Lists { height, lists } => {
                for list in lists {
                    let end = start + list.bytes;
                    if start < range.1 && range.0 < end {
                        let below = self.list(*height, list).await?;
                        Box::pin(self.locate(&below, start, range, spans)).await?;
                    }
                    start = end;
                }
            }
        }
        Ok(())
    }

    async fn list(&self, height: u8, list: &ListRef) -> Result<Arc<Content>> {
        let known =
            lock_unpoisoned(&self.lists).iter().find(|(id, _)| *id == list.id).map(|(_, items)| Arc::clone(items));
        if let Some(items) = known {
            return Ok(items);
        }
        let bytes = self.chunks.get(list.id, []).await?;
        let items = Arc::new(contents::items(&bytes, height, list)?);
        let mut lists = lock_unpoisoned(&self.lists);
        if lists.len() >= LISTS_MAX {
            lists.remove(0);
        }
        lists.push((list.id, Arc::clone(&items)));
        Ok(items)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.chunks.leave();
    }
}

/// The bytes of a chunk that lie between two offsets of the content.
fn part(chunk: &Bytes, start: u64, from: u64, to: u64) -> Bytes {
    let place = |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX).min(chunk.len());
    chunk.slice(place(from)..place(to).max(place(from)))
}
