//! Plan: contents in the order of the packs that hold them, in windows that fit into memory.
//!
//! ```text
//! sift all > cut windows > take from the course > load the rest > 1 > sift what replaces > write > describe
//! ```
//!
//! Owned here: the order, the windows, and that comparing, fetching and writing go on side by side. Called by `restore::run` and `replay`.
//!
//! Bound: the plaintext of six windows of [`SMALL_BYTES`], of which one content may make one of [`WINDOW_BYTES`], and what a course holds, or two that
//! share its stretches.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_model::{ChunkId, ChunkRef, Content, Entry, Key, Record};
use futures_util::future::join;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::work::{Item, Window};
use super::writer::RestoreWriter;
use crate::blobs::{BlobLoader, Course, Fetched, STRETCHES_OPEN_MAX, Taken};
use crate::contents::ContentChunks;
use crate::view::never_read;
use crate::window::{WINDOW_BYTES, weight};
use crate::{Error, Result, Stop};

/// Entries in one window, so that many tiny files do not make it long.
const WINDOW_ENTRIES: usize = 4096;
/// Plaintext of a window of several contents, or of a part of a long one.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Windows of which the chunks that lie by themselves are loaded at once, and windows that get their metadata while the next is written.
const WINDOWS_AT_ONCE: usize = 2;
/// Stretches of packs that a long content is read by: as many are left for the next one, which begins to come meanwhile.
const LONG_STRETCHES: usize = STRETCHES_OPEN_MAX / 2;
/// How much of a long content is planned at once: some packs.
const PORTION_BYTES: u64 = 256 * 1024 * 1024;

pub(super) struct Planner {
    loader: Arc<BlobLoader>,
    small: Vec<Record>,
    large: Vec<Record>,
}

impl Planner {
    pub(super) fn new(loader: Arc<BlobLoader>, mut records: Vec<Record>) -> Self {
        records.sort_by_cached_key(|record| {
            // An index that cannot be read is met by whoever loads: here it costs the order.
            let place = first_chunk(&record.content).and_then(|id| loader.index().get(&id).ok().flatten());
            place.map(|place| (place.pack, place.offset))
        });
        let (small, large) = records.into_iter().partition(fits_window);
        Self { loader, small, large }
    }

    /// Compares everything with what is there, and fetches and writes what is not.
    pub(super) async fn write_all(self, writer: &RestoreWriter<'_>) -> Result<()> {
        let Self { loader, small, large } = self;
        write_small(&loader, small, writer).await?;
        write_long(&loader, &large, writer).await
    }
}

/// Contents of which many fit into a window. What is read in one go follows from all that is not there, so that is found out first.
async fn write_small(loader: &Arc<BlobLoader>, records: Vec<Record>, writer: &RestoreWriter<'_>) -> Result<()> {
    let is_looking = writer.is_looking();
    let mut records = records.into_iter();
    let mut left = VecDeque::new();
    while records.len() > 0 {
        let item = |record: Record| Item { refs: refs_of(&record.content).to_vec(), record, replaces: false };
        let items = records.by_ref().take(WINDOW_ENTRIES).map(item).collect();
        left.extend(writer.stop().unless(writer.sift(items)).await??);
    }
    let planned = left.iter().filter(|item| !item.replaces).flat_map(needed).map(id_of);
    let course = Course::plan(loader, planned, STRETCHES_OPEN_MAX);
    let windows = Windows { course, left, is_looking };
    let (to_write, fetched) = mpsc::channel(1);
    let fetching = async {
        let loaded = windows.taken(writer).map(|taken| async {
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
    // A further name of a file is made with the metadata, so contents are whole window by window.
    let written = fetched.then(|window| write_window(window, writer));
    let writing = written.map(|written| async { writer.describe(written?).await }).buffered(WINDOWS_AT_ONCE);
    let (fetched, written): (Result<()>, Result<()>) = join(fetching, drained(writing, writer.stop())).await;
    written.and(fetched)
}

/// Writes a window. What is there may have changed while chunks were fetched: before it is replaced it is looked at again, if it could be spared now.
async fn write_window(window: Window, writer: &RestoreWriter<'_>) -> Result<Vec<Entry>> {
    let Window { items, fetched } = window;
    let is_due = |item: &Item| item.replaces && writer.may_spare();
    let (due, mut items): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_due);
    if !due.is_empty() {
        let due = due.into_iter().map(|item| Item { replaces: false, ..item }).collect();
        items.extend(writer.stop().unless(writer.sift(due)).await??);
    }
    writer.write(Window { items, fetched }).await
}

/// Takes all that comes, and hands back the first failure. That asks for the end, so that what is under way is given up in good order instead of dropped.
async fn drained(done: impl Stream<Item = Result<()>>, stop: &Stop) -> Result<()> {
    let mut done = std::pin::pin!(done);
    let mut ended = Ok(());
    while let Some(result) = done.next().await {
        if result.is_err() {
            stop.request();
        }
        ended = ended.and(result);
    }
    ended
}

/// Windows of what is to be written, which get their chunks one after the other.
struct Windows {
    course: Course,
    left: VecDeque<Item>,
    /// Whether each of them was looked for at the destination.
    is_looking: bool,
}

impl Windows {
    fn taken<'a>(self, writer: &'a RestoreWriter<'_>) -> impl Stream<Item = Result<(Vec<Item>, Taken)>> + 'a {
        futures_util::stream::try_unfold(self, move |mut this| async move {
            let mut items = this.cut();
            if items.is_empty() {
                return Ok(None);
            }
            if writer.is_looking() && !this.is_looking {
                items = writer.stop().unless(writer.sift(items)).await??;
            }
            let taken = writer.stop().unless(take(&mut this.course, &items, writer)).await?;
            Ok(Some(((items, taken), this)))
        })
    }

    /// The next window, empty when nothing is left.
    fn cut(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < WINDOW_ENTRIES
            && let Some(next) = self.left.pop_front()
        {
            let weight = weight(&next.record.content);
            if !items.is_empty() && bytes + weight > SMALL_BYTES {
                self.left.push_front(next);
                break;
            }
            bytes += weight;
            items.push(next);
        }
        items
    }
}

/// Takes what a window needs: of a file that is replaced, what that has, and else of the course. What a replaced file has not lies by itself.
async fn take(course: &mut Course, items: &[Item], writer: &RestoreWriter<'_>) -> Taken {
    let (replacing, new): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| item.replaces);
    let mut taken = course.take(new.into_iter().flat_map(needed).map(id_of).collect()).await;
    for item in replacing {
        let reused = writer.reuse(&item.record.entry.key, &item.refs, 0).await;
        taken.fetched.extend(reused);
        taken.rest.extend(missing(needed(item), &taken.fetched));
    }
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

fn missing(refs: &[ChunkRef], fetched: &Fetched) -> Vec<ChunkId> {
    refs.iter().map(id_of).filter(|id| !fetched.contains_key(id)).collect()
}

/// Contents larger than a window, one after the other: a further name of a file is made when that is whole. The next one begins to come while one is
/// written, if it is certain to be needed.
async fn write_long(loader: &Arc<BlobLoader>, records: &[Record], writer: &RestoreWriter<'_>) -> Result<()> {
    let mut begun = None;
    for (record, next) in records.iter().zip(records.iter().skip(1).map(Some).chain([None])) {
        let ahead = async {
            let next = next.filter(|next| writer.will_fetch(next))?;
            // What cannot be read is met again in its turn.
            writer.stop().unless(Long::new(loader, next, false).begun()).await.ok()?.ok()
        };
        let (written, ahead) = join(write_large(loader, record, begun.take(), writer), ahead).await;
        written?;
        begun = ahead;
    }
    Ok(())
}

/// One content larger than a window: its parts follow each other, the next being fetched while one is written.
async fn write_large<'a>(
    loader: &Arc<BlobLoader>,
    record: &'a Record,
    begun: Option<Long<'a>>,
    writer: &RestoreWriter<'_>,
) -> Result<()> {
    let item = Item { record: record.clone(), refs: Vec::new(), replaces: false };
    let Some(Item { replaces, .. }) = writer.sift(vec![item]).await?.pop() else { return Ok(()) };
    let begun = begun.filter(|_| !replaces);
    let long = begun.unwrap_or_else(|| Long::new(loader, record, replaces));
    let parts = futures_util::stream::try_unfold(long, |mut long| async move {
        let part = long.next(writer).await?;
        Ok::<_, Error>(part.map(|part| (part, long)))
    });
    let fetched = parts.map(|part| async {
        let (refs, taken) = part?;
        let fetched = loader.complete(taken).await?;
        Ok::<_, Error>((refs, fetched))
    });
    writer.write_stream(record, replaces, Box::pin(fetched.buffered(WINDOWS_AT_ONCE))).await
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

impl<'a> Long<'a> {
    fn new(loader: &Arc<BlobLoader>, record: &'a Record, replaces: bool) -> Self {
        Self {
            loader: Arc::clone(loader),
            chunks: ContentChunks::new(Arc::clone(loader), &record.content),
            planned: VecDeque::new(),
            course: Course::plan(loader, std::iter::empty(), LONG_STRETCHES),
            offset: 0,
            replaced: replaces.then_some(&record.entry.key),
        }
    }

    /// Plans the next portion.
    async fn plan(&mut self) -> Result<()> {
        self.planned = self.chunks.next(PORTION_BYTES).await?.into();
        // Of what is replaced, the most is there.
        let planned = self.planned.iter().filter(|_| self.replaced.is_none());
        self.course = Course::plan(&self.loader, planned.map(id_of), LONG_STRETCHES);
        Ok(())
    }

    /// The same, of which the first packs are on their way.
    async fn begun(mut self) -> Result<Self> {
        self.plan().await?;
        self.course.begin_ahead();
        Ok(self)
    }

    /// The chunks of the next part, those that the file in its place has there from the file, the others from the repository.
    async fn next(&mut self, writer: &RestoreWriter<'_>) -> Result<Option<(Vec<ChunkRef>, Taken)>> {
        if self.planned.is_empty() {
            self.plan().await?;
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
        let mut taken = self.course.take(missing(&refs, &reused)).await;
        taken.fetched.extend(reused);
        self.offset += bytes;
        Ok(Some((refs, taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_asks_for_the_end_and_what_is_under_way_is_waited_for() {
        let stop = Stop::default();
        let mut taken = 0;
        let done = [Ok(()), Err(Error::PacksClosed), Err(Error::Cancelled)];
        let done = futures_util::stream::iter(done).inspect(|_| taken += 1);
        let ended = drained(done, &stop).await;
        assert!(matches!(ended, Err(Error::PacksClosed)) && stop.is_requested());
        assert_eq!(taken, 3);
    }
}
