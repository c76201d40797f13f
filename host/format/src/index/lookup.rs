//! The look-up from a blob's id to its places.
//!
//! Blobs are in runs that are sorted by id. Each run in memory is at least twice as long as the next, so a look-up searches log₂ of the blobs at most, and adding moves each blob as
//! often at most. Where there is a place for it on disk, what is in memory goes there as one run when it is more than [`Spill::blobs_in_memory`] (`paged`); runs there
//! are merged [`RUNS_MERGED`] at a time, and all of them to one by [`BlobIndex::settle`].
//!
//! Memory: 52 bytes a blob in memory, twice that while its runs merge; on disk 0.0016. Some 320 bytes a pack and some 50 a locked object. While runs on disk are merged,
//! 64 KiB for each of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use credenza_model::limits::room_of_a_moment;
use credenza_model::{ChunkId, ObjectId, StoreKey, Timestamp};

use super::entry::{Entry, start_of};
use super::paged::{self, Entries, PagedRun, Scratch};
use super::segment::{pack_position, unpack_position};
use crate::container::HEADER_BYTES;
use crate::{BlobKind, Encoding, Error, IndexSegment, Layout, LockRecord, PackBlob, PackKind, PackRecord, Result};

/// A pack of a [`BlobIndex`], counted in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackOrdinal(pub u32);

impl IndexedPack {
    /// Its name in the store.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        self.kind.object_kind().store_key(self.id)
    }
}

/// A pack without its blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedPack {
    /// Its id.
    pub id: ObjectId,
    /// What it holds.
    pub kind: PackKind,
    /// Its header.
    pub header: [u8; HEADER_BYTES],
    /// Bytes of the sealed object.
    pub size: u64,
    /// SHA-256 of the sealed object.
    pub sha256: [u8; 32],
    /// Blobs that it holds.
    pub blob_count: u32,
    /// How far it is to be relied on.
    pub state: PackState,
    /// A segment says that it was moved.
    pub moved: bool,
    /// The version that was written, where the store keeps versions.
    pub version: Option<Box<str>>,
}

/// How far a pack is to be relied on, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum PackState {
    /// Without reserve.
    #[default]
    Live,
    /// What was needed of it is in other packs, too.
    Moved,
    /// A record condemns it: it may be read while it is there, and nobody may newly rely on it.
    Condemned,
    /// It is not there.
    Gone,
}

/// One place of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobPlace {
    /// Its pack.
    pub pack: PackOrdinal,
    /// Its position in the pack, counted from 0.
    pub position: u32,
    /// What it is.
    pub kind: BlobKind,
    /// How it is stored.
    pub encoding: Encoding,
    /// Offset of its stored bytes in the plaintext of the pack.
    pub offset: u32,
    /// Bytes stored.
    pub stored: u32,
    /// Bytes of its plaintext.
    pub plain: u32,
}

impl BlobPlace {
    /// The blob as its pack describes it.
    #[must_use]
    pub fn blob(&self, id: ChunkId) -> PackBlob {
        let Self { kind, encoding, offset, stored, plain, .. } = *self;
        PackBlob { id, kind, encoding, offset, stored, plain }
    }
}

/// Runs on disk that are merged into one of the next level: a blob is written again at most log₃₂ of the runs times.
const RUNS_MERGED: usize = 32;

/// Where an index goes that is too long for memory.
#[derive(Clone)]
pub struct Spill {
    /// Gives the files.
    pub scratch: Arc<dyn Scratch>,
    /// Blobs in memory, at 52 bytes each, beyond which they go to disk.
    pub blobs_in_memory: usize,
}

/// All blobs that are known, from any number of segments and from packs that were just sealed.
#[derive(Default)]
pub struct BlobIndex {
    packs: Vec<IndexedPack>,
    /// Of each pack, what tells its description from any other.
    layouts: Vec<Layout>,
    ordinals: HashMap<ObjectId, PackOrdinal>,
    /// Packs that segments describe in more than one way.
    disputed: BTreeSet<ObjectId>,
    /// Sorted by id, each at least twice as long as the next.
    runs: Vec<Vec<Entry>>,
    /// On disk, those that were merged most first.
    paged: Vec<PagedRun>,
    spill: Option<Spill>,
    /// When locks end, the latest of what segments say.
    locks: HashMap<ObjectId, Timestamp>,
}

impl BlobIndex {
    /// An empty index that stays in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty index that goes to disk when it is long.
    #[must_use]
    pub fn spilling(spill: Spill) -> Self {
        Self { spill: Some(spill), ..Self::default() }
    }

    /// Adds all packs of a segment; of those known already it only takes that they were moved, and notes which are [`disputed`](Self::disputed).
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2³² packs, [`Error::Scratch`] when blobs cannot go to disk.
    pub fn add(&mut self, segment: &IndexSegment) -> Result<()> {
        let mut run = Vec::with_capacity(room_of_entries(segment.packs.iter().map(|pack| pack.blobs.len()).sum()));
        for pack in &segment.packs {
            self.take_pack(pack, &mut run)?;
        }
        segment.locks.iter().for_each(|lock| self.add_lock(lock));
        self.add_run(run)
    }

    /// Packs that are described in more than one way: one of the segments lies, as only whoever has a writer's keys can make it. The index has
    /// what came first.
    pub fn disputed(&self) -> impl ExactSizeIterator<Item = ObjectId> + '_ {
        self.disputed.iter().copied()
    }

    /// Whether it describes a pack otherwise than a record does.
    #[must_use]
    pub fn contradicts(&self, pack: &PackRecord) -> bool {
        let Some(ordinal) = self.ordinal(&pack.id) else { return false };
        let Some(known) = self.pack(ordinal) else { return false };
        let versions = known.version.as_deref().zip(pack.version.as_deref());
        self.layouts.get(ordinal.0 as usize) != Some(&Layout::of(pack))
            || known.sha256 != pack.sha256
            || versions.is_some_and(|(known, other)| known != other)
    }

    /// Merges what is on disk, so that a look-up searches one run there. For when nearly all is in it that will be.
    ///
    /// # Errors
    /// [`Error::Scratch`] when it cannot be read or written there.
    pub fn settle(&mut self) -> Result<()> {
        if self.paged.len() > 1 { self.merge_paged(self.paged.len()) } else { Ok(()) }
    }

    /// Takes a lock that the store has promised, unless a later one is known.
    pub fn add_lock(&mut self, lock: &LockRecord) {
        let until = self.locks.entry(lock.object).or_insert(lock.until);
        *until = lock.until.max(*until);
    }

    /// Until when nobody can destroy an object, as far as segments tell: a pack, an index segment or a key slot by its id, the config by
    /// that of the repository.
    #[must_use]
    pub fn locked_until(&self, object: &ObjectId) -> Option<Timestamp> {
        self.locks.get(object).copied()
    }

    /// Adds one pack, unless it is known already.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2³² packs, [`Error::Scratch`] when blobs cannot go to disk.
    pub fn add_pack(&mut self, pack: &PackRecord) -> Result<()> {
        let mut run = Vec::with_capacity(pack.blobs.len());
        self.take_pack(pack, &mut run)?;
        self.add_run(run)
    }

    /// The place of a blob in the pack of the best state, the one with the lowest id among equals; none in a pack that is gone.
    ///
    /// # Errors
    /// [`Error::Scratch`] when what is on disk cannot be read.
    pub fn get(&self, id: &ChunkId) -> Result<Option<BlobPlace>> {
        let ranked = |place: &BlobPlace| self.pack(place.pack).map(|pack| (pack.state, pack.id));
        let mut on_disk = Vec::new();
        self.paged.iter().try_for_each(|run| run.entries(id, &mut on_disk))?;
        let places = self.entries_in_memory(id).chain(&on_disk).filter_map(Entry::place);
        Ok(places.filter(|place| self.state(place.pack) < PackState::Gone).min_by_key(ranked))
    }

    /// How far a pack is to be relied on; one that is not known is not there.
    #[must_use]
    pub fn state(&self, ordinal: PackOrdinal) -> PackState {
        self.pack(ordinal).map_or(PackState::Gone, |pack| pack.state)
    }

    /// Lowers the state of a pack; it never rises again.
    pub fn demote(&mut self, id: &ObjectId, state: PackState) {
        if let Some(ordinal) = self.ordinal(id)
            && let Some(pack) = self.packs.get_mut(ordinal.0 as usize)
        {
            pack.state = pack.state.max(state);
            pack.moved |= state == PackState::Moved;
        }
    }

    /// Every place of a blob: writers that did not know of each other may have stored it twice.
    ///
    /// # Errors
    /// [`Error::Scratch`] when what is on disk cannot be read.
    pub fn places(&self, id: &ChunkId) -> Result<Vec<BlobPlace>> {
        let mut found: Vec<Entry> = self.entries_in_memory(id).copied().collect();
        self.paged.iter().try_for_each(|run| run.entries(id, &mut found))?;
        Ok(found.iter().filter_map(Entry::place).collect())
    }

    fn entries_in_memory<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = &'a Entry> {
        let entries_of =
            move |run: &'a Vec<Entry>| run.iter().skip(start_of(run, id)).take_while(|entry| entry.id == *id);
        self.runs.iter().flat_map(entries_of)
    }

    /// Every place of every blob, in no order. What is on disk and cannot be read is an [`Error::Scratch`] in between.
    pub fn iter(&self) -> impl Iterator<Item = Result<(ChunkId, BlobPlace)>> + '_ {
        let in_memory = self.runs.iter().flatten().map(|entry| Ok(*entry));
        let entries = in_memory.chain(self.paged.iter().flat_map(PagedRun::iter));
        entries.filter_map(|entry| entry.map(|entry| Some((entry.id, entry.place()?))).transpose())
    }

    /// The places in some packs, in a file of their own: who goes through them again and again reads no others. One pass over the index;
    /// nothing where all of it is in memory.
    ///
    /// # Errors
    /// [`Error::Scratch`] when what is on disk cannot be read, or there is no room for more.
    pub fn apart(&self, packs: &HashSet<PackOrdinal>) -> Result<Option<PlacesApart>> {
        let Some(spill) = self.spill.as_ref().filter(|_| !self.paged.is_empty()) else { return Ok(None) };
        let in_memory = self.runs.iter().flatten().map(|entry| Ok(*entry));
        let entries = in_memory.chain(self.paged.iter().flat_map(PagedRun::iter));
        let is_wanted = |entry: &Result<Entry>| match entry {
            Ok(entry) => packs.contains(&PackOrdinal(entry.pack)),
            Err(_) => true,
        };
        // They are not sorted: nothing is looked up in them.
        let written = paged::write(&spill.scratch, 0, entries.filter(is_wanted))?;
        Ok(Some(PlacesApart(written)))
    }

    /// Places of blobs, a blob in two packs counted twice.
    #[must_use]
    pub fn blob_count(&self) -> u64 {
        self.in_memory() as u64 + self.paged.iter().map(PagedRun::len).sum::<u64>()
    }

    fn in_memory(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// A pack.
    #[must_use]
    pub fn pack(&self, ordinal: PackOrdinal) -> Option<&IndexedPack> {
        self.packs.get(ordinal.0 as usize)
    }

    /// The packs, in the order of their ordinals.
    #[must_use]
    pub fn packs(&self) -> &[IndexedPack] {
        &self.packs
    }

    /// The ordinal of a pack, if it is known.
    #[must_use]
    pub fn ordinal(&self, id: &ObjectId) -> Option<PackOrdinal> {
        self.ordinals.get(id).copied()
    }

    #[cfg(test)]
    pub(super) fn run_count(&self) -> usize {
        self.runs.len()
    }

    #[cfg(test)]
    pub(super) fn disk_runs(&self) -> usize {
        self.paged.len()
    }

    fn take_pack(&mut self, pack: &PackRecord, run: &mut Vec<Entry>) -> Result<()> {
        let state = if pack.moved { PackState::Moved } else { PackState::Live };
        if let Some(ordinal) = self.ordinal(&pack.id) {
            self.demote(&pack.id, state);
            if self.contradicts(pack) {
                self.disputed.insert(pack.id);
            }
            if let (Some(known), Some(version)) = (self.packs.get_mut(ordinal.0 as usize), &pack.version) {
                known.version.get_or_insert_with(|| version.as_str().into());
            }
            return Ok(());
        }
        let many =
            |bytes: usize| Error::TooLarge { what: "the index", bytes: bytes as u64, bytes_max: u64::from(u32::MAX) };
        let ordinal = u32::try_from(self.packs.len()).map_err(|_| many(self.packs.len()))?;
        let blob_count = u32::try_from(pack.blobs.len()).map_err(|_| many(pack.blobs.len()))?;
        let PackRecord { id, kind, header, size, sha256, .. } = *pack;
        let version = pack.version.as_deref().map(Into::into);
        let moved = pack.moved;
        self.layouts.push(Layout::of(pack));
        self.packs.push(IndexedPack { id, kind, header, size, sha256, blob_count, state, moved, version });
        self.ordinals.insert(id, PackOrdinal(ordinal));
        run.extend((0..).zip(&pack.blobs).map(|(position, blob)| Entry {
            id: blob.id,
            pack: ordinal,
            position: pack_position(position, blob.kind, blob.encoding),
            offset: blob.offset,
            stored: blob.stored,
            plain: blob.plain,
        }));
        Ok(())
    }

    fn add_run(&mut self, mut run: Vec<Entry>) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        run.sort_unstable_by_key(|entry| (entry.id, entry.pack));
        while let Some(shorter) = self.runs.pop_if(|last| last.len() < run.len() * 2) {
            run = merge(&shorter, &run);
        }
        self.runs.push(run);
        match &self.spill {
            Some(spill) if self.in_memory() > spill.blobs_in_memory => self.spill_runs(),
            _ => Ok(()),
        }
    }

    /// Brings what is in memory to disk.
    fn spill_runs(&mut self) -> Result<()> {
        let Some(spill) = self.spill.clone() else { return Ok(()) };
        let runs = self.runs.iter().map(|run| Box::new(run.iter().map(|entry| Ok(*entry))) as Entries<'_>);
        let written = paged::write(&spill.scratch, 0, paged::merged(runs.collect()))?;
        self.runs.clear();
        self.paged.push(written);
        loop {
            let level = self.paged.last().map(|run| run.level);
            let alike = self.paged.iter().rev().take_while(|run| Some(run.level) == level).count();
            if alike < RUNS_MERGED {
                return Ok(());
            }
            self.merge_paged(alike)?;
        }
    }

    /// Merges the last runs on disk.
    fn merge_paged(&mut self, count: usize) -> Result<()> {
        let Some(spill) = self.spill.clone() else { return Ok(()) };
        let first = self.paged.len().saturating_sub(count);
        let last = self.paged.iter().skip(first);
        let level = last.clone().map(|run| run.level).max().unwrap_or(0) + 1;
        let runs = last.map(|run| Box::new(run.iter()) as Entries<'_>);
        let written = paged::write(&spill.scratch, level, paged::merged(runs.collect()))?;
        self.paged.truncate(first);
        self.paged.push(written);
        Ok(())
    }
}

/// Places in some packs of an index, on disk.
pub struct PlacesApart(PagedRun);

impl PlacesApart {
    /// Each of them, in no order. What cannot be read is an [`Error::Scratch`] in between.
    pub fn iter(&self) -> impl Iterator<Item = Result<(ChunkId, BlobPlace)>> + '_ {
        self.0.iter().filter_map(|entry| entry.map(|entry| Some((entry.id, entry.place()?))).transpose())
    }
}

impl Entry {
    fn place(&self) -> Option<BlobPlace> {
        // What is packed here was packed from these very types.
        let (position, kind, encoding) = unpack_position(self.position).ok()?;
        let Self { offset, stored, plain, .. } = *self;
        Some(BlobPlace { pack: PackOrdinal(self.pack), position, kind, encoding, offset, stored, plain })
    }
}

/// Runs come and go until they are on disk.
fn room_of_entries(entries: usize) -> usize {
    room_of_a_moment(entries.saturating_mul(size_of::<Entry>())).div_ceil(size_of::<Entry>())
}

fn merge(older: &[Entry], newer: &[Entry]) -> Vec<Entry> {
    let mut out = Vec::with_capacity(room_of_entries(older.len() + newer.len()));
    let (mut older, mut newer) = (older.iter().peekable(), newer.iter().peekable());
    while let (Some(a), Some(b)) = (older.peek(), newer.peek()) {
        let next = if a.id <= b.id { older.next() } else { newer.next() };
        out.extend(next);
    }
    out.extend(older);
    out.extend(newer);
    out
}
