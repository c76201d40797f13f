//! Plan: contents in the order of the packs that hold them, in windows that fit into memory.
//!
//! ```text
//! sift > WINDOWS_AHEAD > take from the course > load the rest > 1 > write
//! ```
//!
//! Owned here: the order, the windows, and that comparing, fetching and writing go on side by side. Called by `restore::run` and `replay`.
//!
//! Bound: the plaintext of six windows of [`SMALL_BYTES`], of which one content may make one of [`WINDOW_BYTES`], and what a course holds.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_model::{ChunkId, ChunkRef, Content, Key, Record};
use futures_util::future::join3;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::work::{Item, Window};
use super::writer::RestoreWriter;
use crate::blobs::{BlobLoader, Course, Fetched, Taken};
use crate::contents::ContentChunks;
use crate::view::never_read;
use crate::window::{WINDOW_BYTES, weight};
use crate::{Error, Result};

/// Entries in one window, so that many tiny files do not make it long.
const WINDOW_ENTRIES: usize = 4096;
/// Plaintext of a window of several contents, or of a part of a long one.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Windows that were compared and wait for their contents, so that what the last of them needs is asked for while the first is read.
const WINDOWS_AHEAD: usize = 4;
/// Windows of which the chunks that lie by themselves are loaded at once, and windows that are written at once: as one ends, the other keeps the cores at work.
const WINDOWS_AT_ONCE: usize = 2;
/// How much of a long content is planned at once: some packs.
const PORTION_BYTES: u64 = 256 * 1024 * 1024;

pub(super) struct Planner {
    loader: Arc<BlobLoader>,
    small: VecDeque<Record>,
    large: Vec<Record>,
}

impl Planner {
    pub(super) fn new(loader: Arc<BlobLoader>, mut records: Vec<Record>) -> Self {
        records.sort_by_cached_key(|record| {
            first_chunk(&record.content).and_then(|id| loader.index().get(&id)).map(|place| (place.pack, place.offset))
        });
        let (small, large): (Vec<Record>, Vec<Record>) = records.into_iter().partition(fits_window);
        Self { loader, small: small.into(), large }
    }

    /// Compares everything with what is there, and fetches and writes what is not.
    pub(super) async fn write_all(mut self, writer: &RestoreWriter<'_>) -> Result<()> {
        let large = std::mem::take(&mut self.large);
        let loader = Arc::clone(&self.loader);
        self.write_small(writer).await?;
        for record in large {
            let left = writer.sift(vec![Item { record, refs: Vec::new(), replaces: false }]).await?;
            for item in left {
                write_large(&loader, item, writer).await?;
            }
        }
        Ok(())
    }

    async fn write_small(mut self, writer: &RestoreWriter<'_>) -> Result<()> {
        let loader = Arc::clone(&self.loader);
        let course = Course::plan(&loader, self.small.iter().flat_map(|record| refs_of(&record.content)).map(id_of));
        let (to_fetch, sifted) = mpsc::channel(WINDOWS_AHEAD);
        let (to_write, fetched) = mpsc::channel(1);
        let sifting = async {
            while let Some(items) = self.next_window() {
                let items = writer.stop().unless(writer.sift(items)).await??;
                if to_fetch.send(items).await.is_err() {
                    break;
                }
            }
            drop(to_fetch);
            Ok(())
        };
        let fetching = async {
            let loaded = Taking { sifted, course, ahead: VecDeque::new() }.windows(writer).map(|taken| async {
                let (items, taken) = taken?;
                let fetched = writer.stop().unless(loader.complete(taken)).await??;
                Ok::<_, Error>(Window { items, fetched })
            });
            let mut loaded = std::pin::pin!(loaded.buffered(WINDOWS_AT_ONCE));
            while let Some(window) = loaded.try_next().await? {
                if to_write.send(window).await.is_err() {
                    break;
                }
            }
            drop(to_write);
            Ok(())
        };
        let fetched = futures_util::stream::unfold(fetched, |mut fetched| async {
            let window = fetched.recv().await?;
            Some((window, fetched))
        });
        let writing = fetched.map(|window| writer.write(window)).buffered(WINDOWS_AT_ONCE);
        let (sifted, fetched, written): (Result<()>, Result<()>, Result<()>) =
            join3(sifting, fetching, writing.try_collect()).await;
        written.and(fetched).and(sifted)
    }

    fn next_window(&mut self) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < WINDOW_ENTRIES {
            let Some(next) = self.small.front() else { break };
            let weight = weight(&next.content);
            if !items.is_empty() && bytes + weight > SMALL_BYTES {
                break;
            }
            bytes += weight;
            let Some(record) = self.small.pop_front() else { break };
            let refs = refs_of(&record.content).to_vec();
            items.push(Item { record, refs, replaces: false });
        }
        (!items.is_empty()).then_some(items)
    }
}

/// Windows that are sifted get their chunks of the course, one after the other.
struct Taking {
    sifted: mpsc::Receiver<Vec<Item>>,
    course: Course,
    ahead: VecDeque<Vec<Item>>,
}

impl Taking {
    fn windows<'a>(self, writer: &'a RestoreWriter<'_>) -> impl Stream<Item = Result<(Vec<Item>, Taken)>> + 'a {
        futures_util::stream::unfold(self, move |mut this| async move {
            let items = this.next().await?;
            let taken = writer.stop().unless(take(&mut this.course, &items, writer)).await;
            Some((taken.map(|taken| (items, taken)), this))
        })
    }

    /// The next window; what those behind it need is begun.
    async fn next(&mut self) -> Option<Vec<Item>> {
        if self.ahead.is_empty() {
            let items = self.sifted.recv().await?;
            self.expect(items);
        }
        while let Ok(items) = self.sifted.try_recv() {
            self.expect(items);
        }
        self.ahead.pop_front()
    }

    fn expect(&mut self, items: Vec<Item>) {
        // What is replaced may have its chunks in the file that is there.
        self.course.begin(items.iter().filter(|item| !item.replaces).flat_map(needed).map(id_of));
        self.ahead.push_back(items);
    }
}

/// Takes what a window needs of files that are replaced, and then of the course.
async fn take(course: &mut Course, items: &[Item], writer: &RestoreWriter<'_>) -> Taken {
    let mut reused = Fetched::new();
    for item in items.iter().filter(|item| item.replaces) {
        reused.extend(writer.reuse(&item.record.entry.key, &item.refs, 0).await);
    }
    let missing = missing(items.iter().flat_map(needed), &reused);
    let mut taken = course.take(missing).await;
    taken.fetched.extend(reused);
    taken
}

/// The chunks that an item is written from.
fn needed(item: &Item) -> &[ChunkRef] {
    if never_read(&item.record).is_none() { &item.refs } else { &[] }
}

fn refs_of(content: &Content) -> &[ChunkRef] {
    match content {
        Content::Chunks(refs) => refs,
        Content::None | Content::Inline(_) | Content::Lists { .. } => &[],
    }
}

const fn id_of(chunk: &ChunkRef) -> ChunkId {
    chunk.id
}

fn first_chunk(content: &Content) -> Option<ChunkId> {
    refs_of(content).first().map(id_of)
}

fn fits_window(record: &Record) -> bool {
    weight(&record.content) <= WINDOW_BYTES
}

fn missing<'a>(refs: impl Iterator<Item = &'a ChunkRef>, fetched: &Fetched) -> Vec<ChunkId> {
    refs.map(id_of).filter(|id| !fetched.contains_key(id)).collect()
}

/// One content larger than a window: its parts follow each other, the next being fetched while one is written.
async fn write_large(loader: &Arc<BlobLoader>, item: Item, writer: &RestoreWriter<'_>) -> Result<()> {
    let Item { record, replaces, .. } = item;
    let long = Long {
        loader: Arc::clone(loader),
        chunks: ContentChunks::new(Arc::clone(loader), &record.content),
        planned: VecDeque::new(),
        course: Course::plan(loader, std::iter::empty()),
        offset: 0,
        replaced: replaces.then(|| &record.entry.key),
    };
    let parts = futures_util::stream::try_unfold(long, |mut long| async move {
        let part = long.next(writer).await?;
        Ok::<_, Error>(part.map(|part| (part, long)))
    });
    let fetched = parts.map(|part| async {
        let (refs, taken) = part?;
        let fetched = loader.complete(taken).await?;
        Ok::<_, Error>((refs, fetched))
    });
    writer.write_stream(&record, replaces, Box::pin(fetched.buffered(WINDOWS_AT_ONCE))).await
}

/// A content on its way, part by part.
struct Long<'a> {
    loader: Arc<BlobLoader>,
    chunks: ContentChunks,
    /// Those of the course that are still to come.
    planned: VecDeque<ChunkRef>,
    course: Course,
    /// Where the next part begins in the content.
    offset: u64,
    /// The file that it replaces, which may have some of it there.
    replaced: Option<&'a Key>,
}

impl Long<'_> {
    /// The chunks of the next part, those that the file in its place has there from the file, the others from the repository.
    async fn next(&mut self, writer: &RestoreWriter<'_>) -> Result<Option<(Vec<ChunkRef>, Taken)>> {
        if self.planned.is_empty() {
            self.planned = self.chunks.next(PORTION_BYTES).await?.into();
            self.course = Course::plan(&self.loader, self.planned.iter().map(id_of));
        }
        let mut refs = Vec::new();
        let mut bytes = 0;
        while let Some(chunk) = self.planned.front().copied() {
            if !refs.is_empty() && bytes + u64::from(chunk.length) > SMALL_BYTES {
                break;
            }
            bytes += u64::from(chunk.length);
            refs.push(chunk);
            self.planned.pop_front();
        }
        if refs.is_empty() {
            return Ok(None);
        }
        let reused = match self.replaced {
            Some(key) => writer.reuse(key, &refs, self.offset).await,
            None => Fetched::new(),
        };
        let mut taken = self.course.take(missing(refs.iter(), &reused)).await;
        taken.fetched.extend(reused);
        self.offset += bytes;
        Ok(Some((refs, taken)))
    }
}
