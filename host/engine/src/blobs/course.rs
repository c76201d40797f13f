//! Course: packs that are wanted for the most part, each read by one request from the first byte that is wanted to the last.
//!
//! Owned here: which ranges of packs are worth that (*stretches*), reading, opening and verifying them a run at a time ahead of whoever takes the
//! chunks, and what comes along before its turn. Refused here: damage, absent packs and stores that fail. What a stretch does not give, whatever the
//! reason, is named to the caller, who asks the loader for it. Called by `restore` and `walk`.
//!
//! Chunks are to be taken more or less in the order of their places, and in that of the plan: what is behind is not read again, and what the plan names
//! next is asked for while what comes before it is read, so that a store far away is not waited for at each pack.
//!
//! Bound of a course with [`STRETCHES_OPEN_MAX`] stretches, and the share of one with fewer: of each stretch one run of [`RUN_BYTES`] that is read and
//! [`RUNS_AHEAD`] that are opened, of [`RUN_PLAIN_BYTES`] and a frame at most, and [`HELD_BYTES_MAX`] of chunks whose turn comes later; besides some 170 bytes
//! for each chunk of the plan.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Read;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use credenza_connect::{Body, BodyReader, ByteRange, Error as ConnectError};
use credenza_format::{BlobPlace, IndexedPack, SEGMENT_SEALED_BYTES, sealed_span};
use credenza_model::ChunkId;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::fetch::open_run;
use super::locate::coalesce_to;
use super::{BlobLoader, Fetched, GAP_BYTES_MAX, Run, SealedRun, forged};
use crate::task::{self, Task};

/// What of a stretch is opened at once: enough to be worth a hand-over to another thread, and little enough to stay in the cache of a core.
const RUN_BYTES: u64 = 2 * 1024 * 1024;
/// Plaintext from which on a run is not made longer: text shrinks to a tenth, records to a hundredth.
const RUN_PLAIN_BYTES: u64 = 4 * 1024 * 1024;
/// Runs of a stretch that are opened before they are asked for.
const RUNS_AHEAD: usize = 2;
/// Stretches read at once: one is at its end, one is taken from, and two are on their way from a store that answers late.
pub(crate) const STRETCHES_OPEN_MAX: usize = 4;
/// A shorter one is no more than one range, which the loader reads as well, beside others.
const STRETCH_BYTES_MIN: u64 = 1024 * 1024;
/// Where so much of what lies between the first and the last wanted byte of a pack is wanted, all of it is read.
const WANTED_PERCENT_MIN: u64 = 60;
/// Plaintext that is taken at most between the opening of a stretch and its first chunk: a server lets go of who does not read for long.
const AHEAD_BYTES: u64 = 256 * 1024 * 1024;
/// Plaintext of chunks that came along and whose turn comes later, and so of what a stretch is read ahead over to reach a chunk. A backup reads several files
/// at once, whose chunks lie among each other in a pack.
const HELD_BYTES_MAX: usize = 24 * 1024 * 1024;

/// A part of a pack that one request reads.
struct Stretch {
    pack: IndexedPack,
    runs: Arc<[Run]>,
    /// The plaintext of the runs before each.
    before: Vec<u64>,
    /// The run that is taken next; those before are behind.
    next: usize,
}

impl Stretch {
    /// Whether a run comes when no more than `plain` bytes have passed.
    fn reaches(&self, run: usize, plain: usize) -> bool {
        let before = |run: usize| self.before.get(run).copied();
        let passed = before(run).zip(before(self.next)).and_then(|(run, next)| run.checked_sub(next));
        passed.is_some_and(|passed| passed <= plain as u64)
    }
}

/// Where a chunk is passed.
#[derive(Clone, Copy)]
struct Stop {
    stretch: usize,
    run: usize,
    /// What it takes in its pack.
    stored: u32,
    plain: u32,
}

/// What is wanted of each stretch: chunks, and the runs that they lie in.
type Wanted = BTreeMap<usize, HashMap<ChunkId, usize>>;

/// Runs of a stretch as they are opened.
struct Reader {
    stretch: usize,
    opened: mpsc::Receiver<JoinHandle<Fetched>>,
    _reading: Task<()>,
}

/// What was taken, and what the loader is to be asked for.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) fetched: Fetched,
    pub(crate) rest: Vec<ChunkId>,
}

/// Reads the chunks of a plan, stretch by stretch.
pub(crate) struct Course {
    loader: Arc<BlobLoader>,
    stretches: Vec<Stretch>,
    stops: HashMap<ChunkId, Stop>,
    /// Stretches in the order in which they are come to, each with the plaintext that is taken before.
    ahead: VecDeque<(u64, usize)>,
    /// Plaintext that was taken.
    position: u64,
    /// Stretches that may be open at once.
    open_max: usize,
    /// The one that was used last is the last.
    readers: VecDeque<Reader>,
    held: Held,
}

impl Course {
    /// Plans to read chunks, which are named in the order in which they are to be taken; nothing is asked for yet.
    ///
    /// At most `open_max` of [`STRETCHES_OPEN_MAX`] stretches are read at once: who makes several courses shares them out.
    pub(crate) fn plan(loader: &Arc<BlobLoader>, ids: impl Iterator<Item = ChunkId>, open_max: usize) -> Self {
        let index = loader.index();
        let ids: Vec<ChunkId> = ids.collect();
        // An index that cannot be read is met by the loader, which is asked for all that is not planned.
        let places = ids.iter().filter_map(|id| Some((*id, index.get(id).ok().flatten()?)));
        let runs = coalesce_to(places.collect(), RUN_BYTES, RUN_PLAIN_BYTES);
        let mut course = Self {
            loader: Arc::clone(loader),
            stretches: Vec::new(),
            stops: HashMap::new(),
            ahead: VecDeque::new(),
            position: 0,
            open_max,
            readers: VecDeque::new(),
            held: Held::within(HELD_BYTES_MAX * open_max / STRETCHES_OPEN_MAX),
        };
        for runs in runs.chunk_by(|a, b| a.pack == b.pack) {
            let Some(pack) = runs.first().and_then(|run| index.pack(run.pack)) else { continue };
            for runs in worth_one_request(runs) {
                course.add(pack.clone(), runs);
            }
        }
        course.order(&ids);
        course
    }

    fn add(&mut self, pack: IndexedPack, runs: &[Run]) {
        let stretch = self.stretches.len();
        for (run, blobs) in runs.iter().map(|run| &run.blobs).enumerate() {
            let stop = |place: &BlobPlace| Stop { stretch, run, stored: place.stored, plain: place.plain };
            self.stops.extend(blobs.iter().map(|(id, place)| (*id, stop(place))));
        }
        let plain = |run: &Run| run.blobs.iter().map(|(_, place)| u64::from(place.plain)).sum::<u64>();
        let before = runs.iter().scan(0, |sum, run| Some(std::mem::replace(sum, *sum + plain(run)))).collect();
        self.stretches.push(Stretch { pack, runs: runs.into(), before, next: 0 });
    }

    /// Notes where in the plan each stretch is come to.
    fn order(&mut self, ids: &[ChunkId]) {
        let mut is_known = vec![false; self.stretches.len()];
        let mut position = 0;
        for stop in ids.iter().filter_map(|id| self.stops.get(id)) {
            if let Some(is_known) = is_known.get_mut(stop.stretch).filter(|is_known| !**is_known) {
                *is_known = true;
                self.ahead.push_back((position, stop.stretch));
            }
            position += u64::from(stop.plain);
        }
    }

    /// Begins to read the stretches that are come to next, if there is room.
    pub(crate) fn begin_ahead(&mut self) {
        while self.readers.len() < self.open_max
            && let Some((at, stretch)) = self.ahead.front().copied()
            && at <= self.position + AHEAD_BYTES
        {
            self.ahead.pop_front();
            if self.stretches.get(stretch).is_some_and(|stretch| stretch.next == 0) {
                self.open(stretch);
            }
        }
    }

    /// Takes chunks. The first of them is where the course has come to: what lies before it in its stretch comes along no more.
    pub(crate) async fn take(&mut self, ids: Vec<ChunkId>) -> Taken {
        let mut taken = Taken::default();
        if let Some(stop) = ids.first().and_then(|id| self.stops.get(id)).copied() {
            self.leap(stop);
            self.pass_over(stop);
        }
        let mut wanted = Wanted::new();
        let passed: u64 = ids.iter().filter_map(|id| self.stops.get(id)).map(|stop| u64::from(stop.plain)).sum();
        for id in ids {
            if taken.fetched.contains_key(&id) {
                continue;
            }
            if let Some(plain) = self.held.take(&id) {
                taken.fetched.insert(id, Ok(plain));
            } else if let Some(stop) = self.within_reach(&id) {
                wanted.entry(stop.stretch).or_default().insert(id, stop.run);
            } else {
                taken.rest.push(id);
            }
        }
        let chosen = self.chosen(wanted, &mut taken.rest);
        chosen.iter().for_each(|(stretch, _)| self.open(*stretch));
        self.begin_ahead();
        for (stretch, ids) in chosen {
            self.read(stretch, ids, &mut taken).await;
        }
        self.position += passed;
        taken
    }

    /// Stretches as they are read: those that are open, and then those of which the most is wanted. What is wanted of more than are open at once is left
    /// to the loader, or one would make room for another again and again, and each would be asked for anew.
    fn chosen(&self, mut wanted: Wanted, rest: &mut Vec<ChunkId>) -> Vec<(usize, HashMap<ChunkId, usize>)> {
        let bytes = |ids: &HashMap<ChunkId, usize>| -> u64 {
            ids.keys().filter_map(|id| self.stops.get(id)).map(|stop| u64::from(stop.stored)).sum()
        };
        let is_open = |stretch: usize| self.readers.iter().any(|reader| reader.stretch == stretch);
        let ranks = wanted.iter().map(|(stretch, ids)| (!is_open(*stretch), Reverse(bytes(ids)), *stretch));
        let mut ranks: Vec<(bool, Reverse<u64>, usize)> = ranks.collect();
        ranks.sort_unstable();
        let mut chosen = Vec::new();
        for (_, _, stretch) in ranks {
            let ids = wanted.remove(&stretch).unwrap_or_default();
            match chosen.len() < self.open_max {
                true => chosen.push((stretch, ids)),
                false => rest.extend(ids.into_keys()),
            }
        }
        chosen
    }

    /// Where a chunk is passed, if that is not far ahead.
    fn within_reach(&self, id: &ChunkId) -> Option<Stop> {
        let stop = *self.stops.get(id)?;
        self.stretches.get(stop.stretch)?.reaches(stop.run, self.held.bytes_max).then_some(stop)
    }

    /// Goes on at a chunk that is far ahead.
    fn leap(&mut self, stop: Stop) {
        if let Some(stretch) = self.stretches.get_mut(stop.stretch)
            && stop.run > stretch.next
            && !stretch.reaches(stop.run, self.held.bytes_max)
        {
            stretch.next = stop.run;
            self.readers.retain(|reader| reader.stretch != stop.stretch);
        }
    }

    /// Lets go of stretches ahead before one to which the caller has come: what they hold was not taken.
    fn pass_over(&mut self, stop: Stop) {
        if let Some(place) = self.ahead.iter().position(|(_, stretch)| *stretch == stop.stretch) {
            self.ahead.drain(..place);
            self.position = self.position.max(self.ahead.front().map_or(0, |(at, _)| *at));
        }
    }

    async fn read(&mut self, stretch: usize, mut ids: HashMap<ChunkId, usize>, taken: &mut Taken) {
        let last = ids.values().max().copied().unwrap_or_default();
        self.open(stretch);
        while self.stretches.get(stretch).is_some_and(|stretch| stretch.next <= last) {
            let run = self.stretches.get(stretch).and_then(|read| read.runs.get(read.next));
            let length = run.map_or(0, |run| run.length);
            let passed = self.pass(stretch).await;
            let is_wanted = passed.iter().filter(|(id, _)| ids.contains_key(*id));
            let bytes: usize = is_wanted.filter_map(|(_, plain)| plain.as_ref().ok()).map(Bytes::len).sum();
            // A chunk may be a slice of all that was read with it, which would stay in memory for little.
            let is_little = (bytes as u64).saturating_mul(4) < length;
            for (id, plain) in passed {
                match plain {
                    Ok(plain) if ids.remove(&id).is_some() => {
                        let plain = if is_little { Bytes::copy_from_slice(&plain) } else { plain };
                        taken.fetched.insert(id, Ok(plain));
                    }
                    Ok(plain) => self.held.put(id, &plain),
                    // It stays among those that the loader is asked for.
                    Err(_) => {}
                }
            }
        }
        taken.rest.extend(ids.into_keys());
    }

    /// The chunks of the next run of a stretch; where it cannot be read, nothing of it comes any more.
    async fn pass(&mut self, stretch: usize) -> Fetched {
        let reader = self.readers.iter_mut().find(|reader| reader.stretch == stretch);
        let opened = match reader {
            Some(reader) => reader.opened.recv().await,
            None => None,
        };
        let run = match opened {
            Some(opened) => opened.await.ok(),
            None => None,
        };
        let Some(passed) = self.stretches.get_mut(stretch) else { return Fetched::new() };
        passed.next = if run.is_some() { passed.next + 1 } else { passed.runs.len() };
        if passed.next >= passed.runs.len() {
            self.readers.retain(|reader| reader.stretch != stretch);
        }
        run.unwrap_or_default()
    }

    /// Begins to read a stretch where it was left, unless that is under way; the one that was used least makes room.
    fn open(&mut self, stretch: usize) {
        let known = self.readers.iter().position(|reader| reader.stretch == stretch);
        let known = known.and_then(|place| self.readers.remove(place));
        let reader = known.or_else(|| {
            let Stretch { pack, runs, next, .. } = self.stretches.get(stretch)?;
            let (to, opened) = mpsc::channel(RUNS_AHEAD);
            let reading = read_runs(Arc::clone(&self.loader), pack.clone(), (Arc::clone(runs), *next), to);
            Some(Reader { stretch, opened, _reading: task::spawn(reading) })
        });
        while self.readers.len() >= self.open_max {
            self.readers.pop_front();
        }
        self.readers.extend(reader);
    }
}

/// Those of a pack's runs that are read by one request each time.
fn worth_one_request(runs: &[Run]) -> Vec<&[Run]> {
    let span = |runs: &[Run]| runs.last().zip(runs.first()).map_or(0, |(last, first)| last.end() - first.offset);
    let wanted: u64 = runs.iter().map(wanted_bytes).sum();
    let stretches: Vec<&[Run]> = match wanted * 100 >= span(runs) * WANTED_PERCENT_MIN {
        true => vec![runs],
        false => runs.chunk_by(|a, b| b.offset <= a.end() + GAP_BYTES_MAX).collect(),
    };
    stretches.into_iter().filter(|runs| span(runs) >= STRETCH_BYTES_MIN).collect()
}

/// Bytes of the frames that are wanted of a run; what lies between them is not.
fn wanted_bytes(run: &Run) -> u64 {
    let frames = run.blobs.chunk_by(|(_, one), (_, next)| one.offset == next.offset);
    frames.filter_map(|members| members.first()).map(|(_, place)| u64::from(place.stored)).sum()
}

/// Reads the runs of a stretch from one on by one request, as long as they are taken. Whatever fails ends it. A rehearsal counts it instead.
async fn read_runs(
    loader: Arc<BlobLoader>,
    pack: IndexedPack,
    (runs, next): (Arc<[Run]>, usize),
    to: mpsc::Sender<JoinHandle<Fetched>>,
) {
    if let Some(tally) = loader.repository.unread(Some(&pack)) {
        let left = runs.get(next..).unwrap_or_default();
        let Some((first, last)) = left.first().zip(left.last()) else { return };
        forged::count(tally, &pack, (first.offset, last.end() - first.offset));
        for number in next..runs.len() {
            let runs = Arc::clone(&runs);
            let forge = move || {
                let made = runs.get(number).map(forged::made).unwrap_or_default();
                made.into_iter().map(|made| (made.id(), Ok(made.plain))).collect()
            };
            let Ok(()) = to.send(tokio::task::spawn_blocking(forge)).await else { return };
        }
        return;
    }
    let spans = runs.iter().skip(next).map(|run| sealed_span(run.offset, run.length, pack.size));
    let Ok(spans) = spans.collect::<Result<Vec<_>, _>>() else { return };
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return };
    let Ok(mut sealed) = Sealed::begin(&loader, &pack, first.object_range.start..last.object_range.end).await else {
        return;
    };
    for (number, span) in (next..).zip(spans) {
        let Ok(permit) = to.reserve().await else { return };
        let Some(bytes) = sealed.read(span.object_range.clone()).await else { return };
        let (keys, pack, runs) = (loader.repository.keys().clone(), pack.clone(), Arc::clone(&runs));
        let open = move || match runs.get(number) {
            Some(run) => open_run(&keys, &pack, run, SealedRun { span, bytes }),
            None => Fetched::new(),
        };
        permit.send(tokio::task::spawn_blocking(open));
    }
}

/// The bytes of an answer, which come in order.
enum Pieces {
    Stream { pieces: Pin<Box<dyn Stream<Item = Result<Bytes, ConnectError>> + Send>>, left: Bytes },
    Local(Box<dyn Read + Send>),
}

/// A part of a sealed object that is being read.
struct Sealed {
    pieces: Option<Pieces>,
    position: u64,
    /// The segment before the position, in which the next range may begin.
    tail: BytesMut,
}

impl Sealed {
    async fn begin(loader: &BlobLoader, pack: &IndexedPack, range: Range<u64>) -> Result<Self, ConnectError> {
        let asked = ByteRange { offset: range.start, length: Some(range.end - range.start) };
        let body = loader.store.get(&pack.store_key(), Some(asked), pack.version.as_deref()).await;
        let body: Body = match &loader.liveness {
            Some(liveness) => liveness.listen(liveness.of(body)?),
            None => body?,
        };
        let pieces = match body.reader {
            BodyReader::Stream(pieces) => Pieces::Stream { pieces, left: Bytes::new() },
            BodyReader::Blocking(reader) => Pieces::Local(reader),
        };
        Ok(Self { pieces: Some(pieces), position: range.start, tail: BytesMut::new() })
    }

    /// The bytes of a range that begins in the last segment of the one before, or behind it.
    async fn read(&mut self, range: Range<u64>) -> Option<BytesMut> {
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let again = usize::try_from(self.position.saturating_sub(range.start)).ok()?;
        let skipped = usize::try_from(range.start.saturating_sub(self.position)).ok()?;
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(self.tail.get(self.tail.len().checked_sub(again)?..)?);
        let missing = length.checked_sub(again)?;
        let (pieces, bytes) = self.pieces.take()?.read(skipped, missing, bytes).await?;
        self.pieces = Some(pieces);
        self.position = range.end;
        let segment = usize::try_from(SEGMENT_SEALED_BYTES).ok()?;
        self.tail = BytesMut::from(bytes.get(bytes.len().saturating_sub(segment)..)?);
        Some(bytes)
    }
}

impl Pieces {
    /// Appends so many bytes, behind those that are skipped; `None` when there are fewer.
    async fn read(self, mut skipped: usize, mut missing: usize, mut bytes: BytesMut) -> Option<(Self, BytesMut)> {
        match self {
            Self::Local(reader) => {
                let read = tokio::task::spawn_blocking(move || read_local(reader, skipped, missing, bytes));
                let (reader, bytes) = read.await.ok()??;
                Some((Self::Local(reader), bytes))
            }
            Self::Stream { mut pieces, mut left } => {
                while skipped + missing > 0 {
                    if left.is_empty() {
                        left = pieces.next().await?.ok()?;
                    }
                    let passed = left.len().min(skipped);
                    left.advance(passed);
                    skipped -= passed;
                    let taken = left.split_to(left.len().min(missing));
                    missing -= taken.len();
                    bytes.extend_from_slice(&taken);
                }
                Some((Self::Stream { pieces, left }, bytes))
            }
        }
    }
}

fn read_local(
    mut reader: Box<dyn Read + Send>,
    skipped: usize,
    missing: usize,
    bytes: BytesMut,
) -> Option<(Box<dyn Read + Send>, BytesMut)> {
    std::io::copy(&mut reader.by_ref().take(skipped as u64), &mut std::io::sink()).ok()?;
    let length = bytes.len() + missing;
    let mut whole = Vec::from(bytes);
    reader.by_ref().take(missing as u64).read_to_end(&mut whole).ok()?;
    (whole.len() == length).then(|| (reader, BytesMut::from(Bytes::from(whole))))
}

/// Chunks that came before their turn; the oldest make room, and are read again then.
struct Held {
    chunks: HashMap<ChunkId, Bytes>,
    order: VecDeque<ChunkId>,
    bytes: usize,
    bytes_max: usize,
}

impl Held {
    fn within(bytes_max: usize) -> Self {
        Self { chunks: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Keeps a copy: a chunk may be a slice of all that was read with it.
    fn put(&mut self, id: ChunkId, plain: &Bytes) {
        self.take(&id);
        self.bytes += plain.len();
        self.chunks.insert(id, Bytes::copy_from_slice(plain));
        self.order.push_back(id);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { return };
            self.take(&oldest);
        }
    }

    fn take(&mut self, id: &ChunkId) -> Option<Bytes> {
        let plain = self.chunks.remove(id)?;
        self.bytes -= plain.len();
        if self.chunks.is_empty() {
            self.order.clear();
        }
        Some(plain)
    }
}
