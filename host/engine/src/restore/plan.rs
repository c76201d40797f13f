//! Plan: contents in the order of the packs that hold them, in windows that fit into memory.
//!
//! Owned here: the order, the windows, and fetching one window while the one before is written. Called by `restore::run`.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_model::{ChunkId, ChunkRef, Content, Record};
use futures_util::{StreamExt, TryStreamExt};

use super::writer::RestoreWriter;
use crate::blobs::{BlobLoader, Fetched};
use crate::contents::ContentChunks;
use crate::view::never_read;
use crate::window::{WINDOW_BYTES, weight};
use crate::{Error, Result};

/// Entries in one window, so that many tiny files do not make it long.
const WINDOW_ENTRIES: usize = 4096;

/// One entry with the chunks of it that are in a window.
pub(crate) struct Item {
    pub(crate) record: Record,
    pub(crate) refs: Vec<ChunkRef>,
}

/// Entries whose chunks were fetched together.
pub(crate) struct Window {
    pub(crate) items: Vec<Item>,
    pub(crate) fetched: Fetched,
}

pub(crate) struct Planner {
    loader: Arc<BlobLoader>,
    small: VecDeque<Record>,
    large: Vec<Record>,
}

impl Planner {
    pub(crate) fn new(loader: Arc<BlobLoader>, mut records: Vec<Record>) -> Self {
        records.sort_by_cached_key(|record| {
            first_chunk(&record.content).and_then(|id| loader.index().get(&id)).map(|place| (place.pack, place.offset))
        });
        let (small, large): (Vec<Record>, Vec<Record>) = records.into_iter().partition(fits_window);
        Self { loader, small: small.into(), large }
    }

    /// Fetches and lays everything.
    pub(crate) async fn write_all(mut self, writer: &RestoreWriter<'_>) -> Result<()> {
        let large = std::mem::take(&mut self.large);
        let loader = Arc::clone(&self.loader);
        let windows = std::iter::from_fn(|| self.next_window());
        let fetched =
            futures_util::stream::iter(windows).map(|items| writer.stop().unless(fetch(&loader, items))).buffered(2);
        let fetched = fetched.map(Result::flatten);
        fetched.try_for_each(|window| writer.write(window)).await?;
        for record in large {
            write_large(&loader, record, writer).await?;
        }
        Ok(())
    }

    fn next_window(&mut self) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < WINDOW_ENTRIES {
            let Some(next) = self.small.front() else { break };
            let weight = weight(&next.content);
            if !items.is_empty() && bytes + weight > WINDOW_BYTES {
                break;
            }
            bytes += weight;
            let Some(record) = self.small.pop_front() else { break };
            let refs = match &record.content {
                Content::Chunks(refs) => refs.clone(),
                Content::None | Content::Inline(_) | Content::Lists { .. } => Vec::new(),
            };
            items.push(Item { record, refs });
        }
        (!items.is_empty()).then_some(items)
    }
}

fn first_chunk(content: &Content) -> Option<ChunkId> {
    match content {
        Content::Chunks(refs) => refs.first().map(|chunk| chunk.id),
        Content::None | Content::Inline(_) | Content::Lists { .. } => None,
    }
}

fn fits_window(record: &Record) -> bool {
    weight(&record.content) <= WINDOW_BYTES
}

async fn fetch(loader: &BlobLoader, items: Vec<Item>) -> Result<Window> {
    let readable = items.iter().filter(|item| never_read(&item.record).is_none());
    let fetched = loader.load(readable.flat_map(|item| item.refs.iter().map(|chunk| chunk.id))).await?;
    Ok(Window { items, fetched })
}

/// One content larger than a window: its windows follow each other, the next being fetched while one is written.
async fn write_large(loader: &Arc<BlobLoader>, record: Record, writer: &RestoreWriter<'_>) -> Result<()> {
    let chunks = ContentChunks::new(Arc::clone(loader), &record.content);
    let windows = futures_util::stream::try_unfold(chunks, |mut chunks| async move {
        let refs = chunks.next(WINDOW_BYTES).await?;
        Ok::<_, Error>((!refs.is_empty()).then_some((refs, chunks)))
    });
    let fetched = windows.map(|refs| async {
        let refs = refs?;
        let fetched = loader.load(refs.iter().map(|chunk| chunk.id)).await?;
        Ok::<_, Error>((refs, fetched))
    });
    writer.write_stream(&record, Box::pin(fetched.buffered(2))).await
}
