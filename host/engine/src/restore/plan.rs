//! Plan: contents in the order of the packs that hold them, in windows that fit into memory.
//!
//! Owned here: the order, the windows, and comparing and fetching one window while the one before is written. Called by `restore::run` and `replay`.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_model::{ChunkId, ChunkRef, Content, Key, Record};
use futures_util::future::join;
use futures_util::{StreamExt, TryStreamExt};

use super::work::{Item, Window};
use super::writer::RestoreWriter;
use crate::blobs::{BlobLoader, Fetched};
use crate::contents::ContentChunks;
use crate::view::never_read;
use crate::window::{WINDOW_BYTES, weight};
use crate::{Error, Result};

/// Entries in one window, so that many tiny files do not make it long.
const WINDOW_ENTRIES: usize = 4096;

pub(super) struct Planner {
    loader: Arc<BlobLoader>,
    small: VecDeque<Record>,
    large: Vec<Record>,
}

impl Planner {
    pub(super) fn new(loader: Arc<BlobLoader>, mut records: Vec<Record>) -> Self {
        records.sort_by_cached_key(|record| {
            // An index that cannot be read is met by whoever loads: here it costs the order.
            let place = first_chunk(&record.content).and_then(|id| loader.index().get(&id).ok().flatten());
            place.map(|place| (place.pack, place.offset))
        });
        let (small, large): (Vec<Record>, Vec<Record>) = records.into_iter().partition(fits_window);
        Self { loader, small: small.into(), large }
    }

    /// Compares everything with what is there, and fetches and writes what is not.
    pub(super) async fn write_all(mut self, writer: &RestoreWriter<'_>) -> Result<()> {
        let large = std::mem::take(&mut self.large);
        let loader = Arc::clone(&self.loader);
        let windows = std::iter::from_fn(|| self.next_window());
        let fetched = futures_util::stream::iter(windows)
            .map(|items| writer.stop().unless(prepare(&loader, items, writer)))
            .buffered(2);
        let mut fetched = std::pin::pin!(fetched.map(Result::flatten));
        let mut next = fetched.try_next().await?;
        while let Some(window) = next {
            // What is buffered gets on only as long as somebody waits for it: a window is written and the next are fetched side by side.
            let (written, following) = join(writer.write(window), fetched.try_next()).await;
            written?;
            next = following?;
        }
        for record in large {
            let left = writer.sift(vec![Item { record, refs: Vec::new(), replaces: false }]).await?;
            for item in left {
                write_large(&loader, item, writer).await?;
            }
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
            items.push(Item { record, refs, replaces: false });
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

/// Takes out what is there as it was, and fetches the rest.
async fn prepare(loader: &BlobLoader, items: Vec<Item>, writer: &RestoreWriter<'_>) -> Result<Window> {
    let items = writer.sift(items).await?;
    let mut fetched = Fetched::new();
    for item in items.iter().filter(|item| item.replaces) {
        fetched.extend(writer.reuse(&item.record.entry.key, &item.refs, 0).await);
    }
    let readable = items.iter().filter(|item| never_read(&item.record).is_none());
    let missing = missing(readable.flat_map(|item| &item.refs), &fetched);
    fetched.extend(loader.load(missing).await?);
    Ok(Window { items, fetched })
}

fn missing<'a>(refs: impl Iterator<Item = &'a ChunkRef>, fetched: &Fetched) -> Vec<ChunkId> {
    refs.map(|chunk| chunk.id).filter(|id| !fetched.contains_key(id)).collect()
}

/// One content larger than a window: its windows follow each other, the next being fetched while one is written.
async fn write_large(loader: &Arc<BlobLoader>, item: Item, writer: &RestoreWriter<'_>) -> Result<()> {
    let Item { record, replaces, .. } = item;
    let key = &record.entry.key;
    let chunks = ContentChunks::new(Arc::clone(loader), &record.content);
    let windows = futures_util::stream::try_unfold((chunks, 0), |(mut chunks, offset)| async move {
        let refs = chunks.next(WINDOW_BYTES).await?;
        let length: u64 = refs.iter().map(|chunk| u64::from(chunk.length)).sum();
        Ok::<_, Error>((!refs.is_empty()).then_some(((refs, offset), (chunks, offset + length))))
    });
    let fetched = windows.map(|window| async {
        let (refs, offset) = window?;
        let fetched = fetch_part(loader, key, &refs, replaces.then_some(offset), writer).await?;
        Ok::<_, Error>((refs, fetched))
    });
    writer.write_stream(&record, replaces, Box::pin(fetched.buffered(2))).await
}

/// The chunks of a part of a content, those that the file in its place has there from `old` on, the others from the repository.
async fn fetch_part(
    loader: &BlobLoader,
    key: &Key,
    refs: &[ChunkRef],
    old: Option<u64>,
    writer: &RestoreWriter<'_>,
) -> Result<Fetched> {
    let mut fetched = match old {
        Some(offset) => writer.reuse(key, refs, offset).await,
        None => Fetched::new(),
    };
    let missing = missing(refs.iter(), &fetched);
    fetched.extend(loader.load(missing).await?);
    Ok(fetched)
}
