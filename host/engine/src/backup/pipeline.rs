//! Chunk pipeline: cut contents into chunks, and have each of them hashed, compressed and packed.
//!
//! Owned here: how work is dealt to threads. One batch of small entries runs on one thread from the first byte to the
//! pack, so that nothing is handed over per file; one large content is cut on the way in and its groups of chunks are
//! worked on all cores. Refused here: what is fresh (`dedup`), what a failed read means (`load`). Called by the line.
//!
//! Bound: [`groups_in_flight`] groups of [`GROUP_BYTES`] over all large contents, one more being filled for each of
//! them, as many spare buffers, and one buffer and what `write::group` states per batch.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use credenza_connect::{Body, BodyReader, Error as ConnectError, ErrorClass};
use credenza_format::{BlobKind, Chunker, ListBuilder};
use credenza_model::limits::INLINE_BYTES_MAX;
use credenza_model::{ChunkRef, Content, Entry, EntryStatus, Record, SkippedEntry};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use super::load::{Asked, Attempt, Loaded, Loader, ReadPolicy};
use crate::poison::lock_unpoisoned;
use crate::window::WINDOW_BYTES;
use crate::write::{Deduplicator, GroupKeeper};
use crate::{Error, Event, Listener, Result};

/// Plaintext that one thread works on at a time.
pub(crate) const GROUP_BYTES: usize = 1024 * 1024;

/// Groups being hashed and compressed at once: two per core keep every core busy while results are collected.
fn groups_in_flight(cores: usize) -> usize {
    cores * 2
}

/// Long local files being cut at once. What is cut side by side lies among each other in packs, of which a restore of one file then needs little pieces. One
/// that is cut keeps two cores busy that hash and compress.
fn long_files_at_once(cores: usize) -> usize {
    (cores / 2).max(1)
}

/// What becomes of an entry.
pub(crate) enum Chunked {
    /// No content was read for a record taken over as it was.
    Record {
        record: Box<Record>,
        bytes_read: Option<u64>,
        asked: Asked,
        /// Bytes of it that were reported as progress while it was read.
        reported: u64,
    },
    Skipped(SkippedEntry),
}

impl Chunked {
    fn having_told(self, bytes: u64) -> Self {
        match self {
            Self::Record { record, bytes_read, asked, .. } => {
                Self::Record { record, bytes_read, asked, reported: bytes }
            }
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

pub(crate) struct ChunkPipeline {
    dedup: Arc<Deduplicator>,
    loader: Arc<Loader>,
    chunker: Arc<Chunker>,
    level: i32,
    keepers: Mutex<Vec<GroupKeeper>>,
    groups: Arc<Semaphore>,
    /// Contents being cut that are longer than [`WINDOW_BYTES`], which a restore reads for themselves.
    feeds: Semaphore,
    /// Buffers of groups and batches that were worked on, all of their bytes in use: fresh ones cost a page fault for every 4 KiB that is read.
    spare: Mutex<Vec<Vec<u8>>>,
    events: Arc<dyn Listener>,
}

/// What is reported of a large content while it is read. What is read once more is not reported again.
struct Progress<'a> {
    events: &'a dyn Listener,
    bytes: u64,
}

impl Progress<'_> {
    fn reach(&mut self, bytes: u64) {
        if let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) {
            self.bytes = bytes;
            self.events.on(Event::Progress { entries: 0, bytes: more });
        }
    }
}

/// A content that was cut and kept.
struct Kept {
    content: Content,
    bytes: u64,
    /// It may be of more than one moment.
    torn: bool,
}

/// Why a content ended before its end.
enum Broken {
    Source(ConnectError),
    Run(Error),
}

impl From<Error> for Broken {
    fn from(cause: Error) -> Self {
        Self::Run(cause)
    }
}

impl ChunkPipeline {
    pub(crate) fn new(
        dedup: Arc<Deduplicator>,
        loader: Arc<Loader>,
        chunker: Chunker,
        level: i32,
        (cores, events): (usize, Arc<dyn Listener>),
    ) -> Arc<Self> {
        let feeds = if loader.is_local() { long_files_at_once(cores) } else { Semaphore::MAX_PERMITS };
        Arc::new(Self {
            dedup,
            loader,
            chunker: Arc::new(chunker),
            level,
            keepers: Mutex::default(),
            groups: Arc::new(Semaphore::new(groups_in_flight(cores))),
            feeds: Semaphore::new(feeds),
            spare: Mutex::default(),
            events,
        })
    }

    /// Works on one batch: many small entries, or one large.
    pub(crate) async fn work(self: Arc<Self>, mut batch: Vec<Loaded>) -> Result<Vec<Chunked>> {
        if let [Loaded::Streamed(_)] = batch.as_slice() {
            let Some(Loaded::Streamed(entry)) = batch.pop() else { return Ok(Vec::new()) };
            return Ok(vec![self.work_large(entry).await?]);
        }
        if batch.iter().all(Loaded::is_settled) {
            return self.work_small(batch);
        }
        let this = Arc::clone(&self);
        self.dedup.packs().workers().work("pipeline", move || this.work_small(batch)).await
    }

    fn work_small(self: &Arc<Self>, batch: Vec<Loaded>) -> Result<Vec<Chunked>> {
        let handle = Handle::current();
        let mut keeper = self.keeper()?;
        let mut slicer = Slicer::over(self.spare());
        let chunked = batch
            .into_iter()
            .map(|loaded| match loaded {
                Loaded::Kept { record, asked } => Ok(Chunked::Record { record, bytes_read: None, asked, reported: 0 }),
                Loaded::Skipped(skipped) => Ok(Chunked::Skipped(skipped)),
                Loaded::Whole { entry, bytes, status } => {
                    let kept = self.keep_reader(&mut keeper, &mut slicer, &mut &bytes[..], ReadPolicy::strict());
                    self.settle(entry, status, kept)
                }
                Loaded::Local(entry) => self.work_local(&handle, &mut keeper, &mut slicer, entry),
                Loaded::Streamed(entry) => handle.block_on(self.work_large(entry)),
            })
            .collect::<Result<Vec<_>>>()?;
        self.put_back(keeper)?;
        lock_unpoisoned(&self.spare).push(slicer.buffer);
        Ok(chunked)
    }

    fn work_local(
        self: &Arc<Self>,
        handle: &Handle,
        keeper: &mut GroupKeeper,
        slicer: &mut Slicer,
        entry: Entry,
    ) -> Result<Chunked> {
        let mut policy = ReadPolicy::strict();
        loop {
            let (opened, status) = match handle.block_on(self.loader.open(&entry, &mut policy))? {
                Attempt::Opened(opened, status) => (opened, status),
                Attempt::Lost(lost) => return Ok(without_content(lost.recorded(entry))),
            };
            let body = opened.body;
            let kept = match body.reader {
                BodyReader::Blocking(mut reader) => self.keep_reader(keeper, slicer, &mut *reader, policy),
                BodyReader::Stream(_) => handle.block_on(self.keep_stream(body, policy, &mut self.telling(), None)),
            };
            let again = match &kept {
                Err(Broken::Source(cause)) => handle.block_on(self.loader.yields_to(&entry, cause, &mut policy))?,
                _ => false,
            };
            if !again {
                return self.settle(opened.entry, status, kept);
            }
        }
    }

    /// Cuts and keeps all that a reader yields, on this thread.
    fn keep_reader(
        self: &Arc<Self>,
        keeper: &mut GroupKeeper,
        slicer: &mut Slicer,
        reader: &mut dyn Read,
        policy: ReadPolicy,
    ) -> Result<Kept, Broken> {
        slicer.clear();
        let mut list = ListBuilder::new(self.dedup.keys());
        let mut total = 0;
        loop {
            let (read, failed) = slicer.fill_from(reader);
            total += read as u64;
            let torn = match failed.map(unreadable) {
                Some(cause) if policy.tolerate(&cause) => true,
                Some(cause) => return Err(Broken::Source(cause)),
                None => false,
            };
            let ended = read == 0 || torn;
            if ended && total <= INLINE_BYTES_MAX as u64 {
                return Ok(Kept { content: Content::Inline(slicer.rest().to_vec()), bytes: total, torn });
            }
            // A content that may still turn out to be tiny is not cut before its end is seen.
            if !ended && total <= INLINE_BYTES_MAX as u64 {
                continue;
            }
            while let Some(chunk) = slicer.next_chunk(&self.chunker, ended) {
                let chunk = keeper.keep(chunk)?;
                self.append(keeper, &mut list, &[chunk])?;
            }
            if ended {
                return Ok(Kept { content: self.close(keeper, list)?, bytes: total, torn });
            }
        }
    }

    async fn work_large(self: &Arc<Self>, entry: Entry) -> Result<Chunked> {
        let (mut policy, mut reported) = (ReadPolicy::strict(), self.telling());
        let chunked = loop {
            // It is opened in its turn: what waited may have changed.
            let turn = match entry.size {
                Some(size) if size <= WINDOW_BYTES => None,
                _ => Some(self.feeds.acquire().await.map_err(|_| Error::Cancelled)?),
            };
            let (opened, status) = match self.loader.open(&entry, &mut policy).await? {
                Attempt::Opened(opened, status) => (opened, status),
                Attempt::Lost(lost) => break without_content(lost.recorded(entry)),
            };
            let kept = self.keep_stream(opened.body, policy, &mut reported, turn).await;
            let again = match &kept {
                Err(Broken::Source(cause)) => self.loader.yields_to(&entry, cause, &mut policy).await?,
                _ => false,
            };
            if !again {
                break self.settle(opened.entry, status, kept)?;
            }
        };
        Ok(chunked.having_told(reported.bytes))
    }

    fn telling(&self) -> Progress<'_> {
        Progress { events: &*self.events, bytes: 0 }
    }

    /// Cuts a content as it arrives and works on its groups of chunks on all cores.
    async fn keep_stream(
        self: &Arc<Self>,
        body: Body,
        policy: ReadPolicy,
        reported: &mut Progress<'_>,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<Kept, Broken> {
        let list = Some(ListBuilder::new(self.dedup.keys()));
        let mut line = GroupLine { pipeline: Arc::clone(self), list, working: VecDeque::new() };
        let fed = self.feed(&mut line, body, policy, reported).await;
        // The next is cut while the last groups of this one are worked on.
        drop(turn);
        match fed {
            Ok(Fed { tiny: Some(bytes), total, torn }) => {
                Ok(Kept { content: Content::Inline(bytes), bytes: total, torn })
            }
            Ok(Fed { tiny: None, total, torn }) => Ok(Kept { content: line.finish().await?, bytes: total, torn }),
            Err(broken) => {
                line.give_up().await?;
                Err(broken)
            }
        }
    }

    /// Gives a content to a line, group by group.
    async fn feed(
        self: &Arc<Self>,
        line: &mut GroupLine,
        body: Body,
        policy: ReadPolicy,
        reported: &mut Progress<'_>,
    ) -> Result<Fed, Broken> {
        let announced = body.length;
        let mut stream = match body.reader {
            BodyReader::Stream(stream) => stream,
            BodyReader::Blocking(reader) => return self.feed_local(line, (reader, announced), policy, reported).await,
        };
        let mut slicer = Slicer::over(self.spare());
        let (mut total, mut torn) = (0_u64, false);
        while let Some(piece) = stream.next().await {
            let piece: Bytes = match piece {
                Err(cause) if policy.tolerate(&cause) => {
                    torn = true;
                    break;
                }
                piece => piece.map_err(Broken::Source)?,
            };
            total += piece.len() as u64;
            slicer.feed(&piece);
            if slicer.rest().len() >= GROUP_BYTES {
                line.push(slicer.take_group(&self.chunker, self.spare(), false)).await?;
                reported.reach(total);
            }
        }
        require_whole(announced, total)?;
        if total <= INLINE_BYTES_MAX as u64 {
            return Ok(Fed { tiny: Some(slicer.rest().to_vec()), total, torn });
        }
        line.push(slicer.take_group(&self.chunker, Vec::new(), true)).await?;
        Ok(Fed { tiny: None, total, torn })
    }

    /// As [`feed`](Self::feed) from a local reader, which is read straight into the group that is cut.
    async fn feed_local(
        self: &Arc<Self>,
        line: &mut GroupLine,
        (mut reader, announced): (Box<dyn Read + Send>, Option<u64>),
        policy: ReadPolicy,
        reported: &mut Progress<'_>,
    ) -> Result<Fed, Broken> {
        let mut slicer = Slicer::over(self.spare());
        let mut total = 0_u64;
        loop {
            // Nothing that holds the source: a command that writes nothing more is read until that is dropped, which ends it.
            let (chunker, spare) = (Arc::clone(&self.chunker), self.spare());
            let cut = move || {
                let (read, failed) = slicer.fill_from(&mut *reader);
                let ended = read < GROUP_BYTES;
                let is_tiny = ended && total + read as u64 <= INLINE_BYTES_MAX as u64;
                let group = (!is_tiny).then(|| slicer.take_group(&chunker, spare, ended));
                (reader, slicer, group, read, failed)
            };
            let (read, failed, group);
            (reader, slicer, group, read, failed) =
                tokio::task::spawn_blocking(cut).await.map_err(Error::worker("read"))?;
            total += read as u64;
            let torn = match failed.map(ConnectError::from_io) {
                Some(cause) if policy.tolerate(&cause) => true,
                Some(cause) => return Err(Broken::Source(cause)),
                None => false,
            };
            let ended = read < GROUP_BYTES;
            if ended {
                require_whole(announced, total)?;
            }
            let Some(group) = group else { return Ok(Fed { tiny: Some(slicer.rest().to_vec()), total, torn }) };
            line.push(group).await?;
            if ended {
                lock_unpoisoned(&self.spare).push(slicer.buffer);
                return Ok(Fed { tiny: None, total, torn });
            }
            reported.reach(total);
        }
    }

    fn spare(&self) -> Vec<u8> {
        lock_unpoisoned(&self.spare).pop().unwrap_or_else(|| vec![0; GROUP_BYTES * 2])
    }

    fn keep_group(self: &Arc<Self>, group: Group) -> Result<Vec<ChunkRef>> {
        let mut keeper = self.keeper()?;
        let mut start = 0;
        let mut refs = Vec::with_capacity(group.cuts.len());
        for end in &group.cuts {
            refs.push(keeper.keep(group.bytes.get(start..*end).unwrap_or_default())?);
            start = *end;
        }
        self.put_back(keeper)?;
        lock_unpoisoned(&self.spare).push(group.bytes);
        Ok(refs)
    }

    fn append(self: &Arc<Self>, keeper: &mut GroupKeeper, list: &mut ListBuilder, refs: &[ChunkRef]) -> Result<()> {
        refs.iter()
            .try_for_each(|chunk| list.push(*chunk, &mut |_, bytes: Vec<u8>| keeper.keep_blob(BlobKind::List, &bytes)))
    }

    fn close(self: &Arc<Self>, keeper: &mut GroupKeeper, list: ListBuilder) -> Result<Content> {
        list.finish(&mut |_, bytes: Vec<u8>| keeper.keep_blob(BlobKind::List, &bytes))
    }

    fn keeper(&self) -> Result<GroupKeeper> {
        let idle = lock_unpoisoned(&self.keepers).pop();
        idle.map_or_else(|| GroupKeeper::new(Arc::clone(&self.dedup), self.level), Ok)
    }

    /// Ends a piece of work: what it kept is in packs.
    fn put_back(&self, mut keeper: GroupKeeper) -> Result<()> {
        keeper.flush()?;
        lock_unpoisoned(&self.keepers).push(keeper);
        Ok(())
    }

    /// `status` is that of an entry which was read to its end.
    fn settle(&self, entry: Entry, status: EntryStatus, kept: Result<Kept, Broken>) -> Result<Chunked> {
        match kept {
            Ok(Kept { content, bytes, torn }) => {
                let status = if torn { EntryStatus::Changed } else { status };
                let entry = Entry { size: Some(bytes), ..entry };
                let record = Box::new(Record { entry, content, status });
                Ok(Chunked::Record { record, bytes_read: Some(bytes), asked: Some(Ok(())), reported: 0 })
            }
            Err(Broken::Run(cause)) => Err(cause),
            Err(Broken::Source(cause)) => {
                self.loader.verdict(&entry, cause).map(|lost| without_content(lost.recorded(entry)))
            }
        }
    }
}

fn without_content((record, asked): (Record, Asked)) -> Chunked {
    Chunked::Record { record: Box::new(record), bytes_read: Some(0), asked, reported: 0 }
}

/// The error of a local reader; one that is not the connector's own stays.
fn unreadable(cause: std::io::Error) -> ConnectError {
    cause
        .downcast()
        .unwrap_or_else(|cause| ConnectError::new(ErrorClass::Denied, "file.read", format!("reading failed: {cause}")))
}

fn require_whole(announced: Option<u64>, total: u64) -> Result<(), Broken> {
    match announced.filter(|length| *length != total) {
        Some(length) => Err(Broken::Source(ConnectError::new(
            ErrorClass::Transient,
            "body.too-short",
            format!("the object broke off after {total} of {length} bytes"),
        ))),
        None => Ok(()),
    }
}

/// A content that was given to a line.
struct Fed {
    /// What is too little to be cut.
    tiny: Option<Vec<u8>>,
    total: u64,
    /// It may be of more than one moment.
    torn: bool,
}

/// Bytes on their way through the chunker.
struct Slicer {
    /// What is behind `end` was there before, so that nothing is cleared to be read into.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

struct Group {
    bytes: Vec<u8>,
    cuts: Vec<usize>,
}

impl Slicer {
    const fn over(buffer: Vec<u8>) -> Self {
        Self { buffer, start: 0, end: 0 }
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The place of so many bytes behind the last.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.end + bytes;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        self.buffer.get_mut(self.end..end).unwrap_or_default()
    }

    fn feed(&mut self, piece: &[u8]) {
        self.room(piece.len()).copy_from_slice(piece);
        self.end += piece.len();
    }

    /// Makes room by dropping what was cut, then reads up to a group more: how much came, and what failed then. Less than a group is the end.
    fn fill_from(&mut self, reader: &mut dyn Read) -> (usize, Option<std::io::Error>) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let mut read = 0;
        while read < GROUP_BYTES {
            match reader.read(self.room(GROUP_BYTES - read)) {
                Ok(0) => break,
                Ok(count) => {
                    read += count;
                    self.end += count;
                }
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return (read, Some(cause)),
            }
        }
        (read, None)
    }

    fn next_chunk(&mut self, chunker: &Chunker, ended: bool) -> Option<&[u8]> {
        let length = chunker.cut(self.rest(), ended)?;
        let chunk = self.start..self.start + length;
        self.start += length;
        self.buffer.get(chunk)
    }

    /// Takes all whole chunks out, leaving the rest for the next group.
    fn take_group(&mut self, chunker: &Chunker, spare: Vec<u8>, ended: bool) -> Group {
        let mut cuts = Vec::new();
        while let Some(length) = chunker.cut(self.rest(), ended) {
            self.start += length;
            cuts.push(self.start);
        }
        let mut next = Self::over(spare);
        next.feed(self.rest());
        Group { bytes: std::mem::replace(self, next).buffer, cuts }
    }
}

/// The groups of one large content, worked on out of order and listed in order.
struct GroupLine {
    pipeline: Arc<ChunkPipeline>,
    list: Option<ListBuilder>,
    working: VecDeque<JoinHandle<Result<Vec<ChunkRef>>>>,
}

impl GroupLine {
    async fn push(&mut self, group: Group) -> Result<()> {
        let permit = Arc::clone(&self.pipeline.groups).acquire_owned().await.map_err(|_| Error::Cancelled)?;
        let pipeline = Arc::clone(&self.pipeline);
        let work = move || {
            let refs = pipeline.keep_group(group);
            drop(permit);
            refs
        };
        self.working.push_back(self.pipeline.dedup.packs().workers().begin(work).await?);
        while self.working.front().is_some_and(JoinHandle::is_finished) {
            self.collect().await?;
        }
        Ok(())
    }

    async fn collect(&mut self) -> Result<()> {
        let Some(oldest) = self.working.pop_front() else { return Ok(()) };
        let refs = oldest.await.map_err(Error::worker("pipeline"))??;
        self.with_list(move |pipeline, keeper, mut list| pipeline.append(keeper, &mut list, &refs).map(|()| list))
            .await
            .map(|list| self.list = Some(list))
    }

    /// Waits for all that is being worked on, whose chunks are kept all the same: what is read again is mostly the same.
    async fn give_up(self) -> Result<()> {
        for working in self.working {
            working.await.map_err(Error::worker("pipeline"))??;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Content> {
        while !self.working.is_empty() {
            self.collect().await?;
        }
        self.with_list(|pipeline, keeper, list| pipeline.close(keeper, list)).await
    }

    /// Runs work on the list on a thread that may block, because full lists are packed at once.
    async fn with_list<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Arc<ChunkPipeline>, &mut GroupKeeper, ListBuilder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let list = self.list.take().unwrap_or_else(|| ListBuilder::new(self.pipeline.dedup.keys()));
        let pipeline = Arc::clone(&self.pipeline);
        let work = move || {
            let mut keeper = pipeline.keeper()?;
            let done = work(&pipeline, &mut keeper, list)?;
            pipeline.put_back(keeper)?;
            Ok(done)
        };
        self.pipeline.dedup.packs().workers().work("list", work).await
    }
}

#[cfg(test)]
mod tests {
    use credenza_format::{ChunkerParams, Keyring};
    use credenza_model::RepositoryId;

    use super::*;
    use crate::testing::noise;

    /// The chunks of a group.
    fn chunks_of(group: &Group) -> Vec<Vec<u8>> {
        let starts = std::iter::once(0).chain(group.cuts.iter().copied());
        starts.zip(&group.cuts).map(|(start, end)| group.bytes[start..*end].to_vec()).collect()
    }

    #[test]
    fn a_content_is_cut_alike_in_pieces_and_from_a_reader_whatever_the_buffer_held_before() {
        let keys = Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]));
        let chunker = Chunker::new(&keys.gear(), ChunkerParams::default());
        for length in [1, GROUP_BYTES - 1, GROUP_BYTES, GROUP_BYTES + 1, 3 * GROUP_BYTES + 7] {
            let content = noise(1, length);
            let mut fed = Slicer::over(vec![7; GROUP_BYTES]);
            content.chunks(100_003).for_each(|piece| fed.feed(piece));
            let expected = chunks_of(&fed.take_group(&chunker, Vec::new(), true));
            assert_eq!(expected.concat(), content);
            let (mut slicer, mut reader, mut read) = (Slicer::over(vec![7; GROUP_BYTES]), &content[..], Vec::new());
            loop {
                let (count, failed) = slicer.fill_from(&mut reader);
                assert!(failed.is_none());
                read.extend(chunks_of(&slicer.take_group(&chunker, vec![9; 5], count < GROUP_BYTES)));
                if count < GROUP_BYTES {
                    break;
                }
            }
            assert!(read == expected, "{length}");
        }
    }
}
