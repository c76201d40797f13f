//! Turnover: what became of the files of a snapshot in a later one of the same source: gone, changed, or turned into noise.
//!
//! Read are the parts of both trees that differ, and the index: it tells how much each chunk shrank when it was stored, so that no content is read.
//! A file *turned* when what is new of it shrank far less than what it replaced, and is not smaller: so encryption looks, and compression does not. A new file
//! beside a gone one of the same name and an ending counts as that file.
//!
//! Owned here: counting. Refused here: what is too much (`app`). Called by `app`. Of a source with versions the versions that are gone count as gone:
//! where older ones stay, nothing is lost.
//!
//! Bound: what `diff` states, some 50 bytes for each of [`MOVES_MAX`] contents that are gone or new, and [`CHUNKS_MAX`] chunks of two files.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use credenza_format::BlobIndex;
use credenza_model::{ChunkId, Content, EntryKind, Record};

use crate::blobs::Shares;
use crate::contents::ContentChunks;
use crate::query::{ChangeKind, Pair};
use crate::repository::{Repository, SnapshotHandle};
use crate::view::View;
use crate::{Error, Result, RunContext};

/// Contents that are remembered to find again what was moved. What is gone beyond that counts as gone.
const MOVES_MAX: usize = 1 << 20;
/// Chunks of a file that are looked at: at 1 MiB on average some 4 GiB.
const CHUNKS_MAX: usize = 4096;
/// Bytes of a content whose chunks are named at once.
const CHUNKS_BYTES: u64 = 64 * 1024 * 1024;
/// Gone files behind which a new one with their name and an ending may come in the order of keys.
const NAMES_HELD: usize = 8;
/// A file turned where what is stored of each thousand bytes rose by so many.
const RISE_PER_MILLE: u64 = 200;
/// And where what is new has at least so much of the size of what it replaced, in hundredths.
const SIZE_PERCENT: u64 = 90;

/// What became of the files of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turnover {
    /// Files before.
    pub files_before: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of all files after.
    pub bytes_after: u64,
    /// Files that are gone, and their content is not in a new one either.
    pub gone: u64,
    /// Files whose content is another.
    pub modified: u64,
    /// Of those, and of what was renamed by an ending: files of which it could be told how much they shrank, before and after.
    pub compared: u64,
    /// Of those: files that turned.
    pub turned: u64,
    /// Their bytes.
    pub turned_bytes: u64,
}

/// Counts what differs between a snapshot and a later one of the same source.
///
/// # Errors
/// When the store cannot be read, a part of a tree is damaged, or it was to stop.
pub async fn measure(
    repository: &Repository,
    before: &SnapshotHandle,
    after: &SnapshotHandle,
    run: &RunContext,
) -> Result<Turnover> {
    run.stop.unless(Box::pin(Count::of(repository, before, after))).await?
}

/// A count under way.
struct Count {
    view: View,
    shares: Shares,
    turnover: Turnover,
    /// By content: how many more are gone than new.
    moves: HashMap<u64, i64>,
    /// The last that went, for what is named after them.
    names: VecDeque<Record>,
}

impl Count {
    async fn of(repository: &Repository, before: &SnapshotHandle, after: &SnapshotHandle) -> Result<Turnover> {
        let (old, new) = (&before.snapshot.statistics, &after.snapshot.statistics);
        let turnover = Turnover {
            files_before: old.files,
            bytes_before: old.bytes,
            bytes_after: new.bytes,
            ..Turnover::default()
        };
        let view = repository.view().await?;
        let shares = Shares::of(view.loader().index())?;
        let mut diff = view.diff((before, b""), (after, b""));
        let mut count = Self { view, shares, turnover, moves: HashMap::new(), names: VecDeque::new() };
        while let Some(pair) = diff.next_pair().await? {
            count.take(pair).await?;
        }
        let gone: i64 = count.moves.values().filter(|net| **net > 0).sum();
        count.turnover.gone = count.turnover.gone.saturating_add(u64::try_from(gone).unwrap_or(0));
        Ok(count.turnover)
    }

    async fn take(&mut self, Pair { kind, before, after }: Pair) -> Result<()> {
        let file = |record: Option<Record>| record.filter(|record| record.entry.kind == EntryKind::File);
        match (file(before), file(after)) {
            (Some(old), None) => {
                match (is_known(&old), self.moves.len() < MOVES_MAX) {
                    (true, true) => *self.moves.entry(mark(&old.content)).or_default() += 1,
                    _ => self.turnover.gone = self.turnover.gone.saturating_add(1),
                }
                self.names.truncate(NAMES_HELD - 1);
                self.names.push_front(old);
            }
            (None, Some(new)) if is_known(&new) => {
                if self.moves.len() < MOVES_MAX {
                    *self.moves.entry(mark(&new.content)).or_default() -= 1;
                }
                let place = self.names.iter().position(|old| is_named_after(&new, old));
                if let Some(old) = place.and_then(|place| self.names.remove(place)) {
                    self.compare(&old, &new).await?;
                }
            }
            // What could not be read is reported as that.
            (Some(old), Some(new)) if kind == ChangeKind::Content && is_known(&old) && is_known(&new) => {
                self.turnover.modified = self.turnover.modified.saturating_add(1);
                self.compare(&old, &new).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks whether a file turned.
    async fn compare(&mut self, old: &Record, new: &Record) -> Result<()> {
        let (Some(had), Some(has)) = (self.chunks(old).await?, self.chunks(new).await?) else { return Ok(()) };
        let index = self.view.loader().index();
        let weigh = |ids, others| Weight::of((index, &self.shares), ids, others);
        let (lost, fresh) = (weigh(&had, &has)?, weigh(&has, &had)?);
        let (Some(was), Some(is)) = (lost.per_mille(), fresh.per_mille()) else { return Ok(()) };
        let turnover = &mut self.turnover;
        turnover.compared = turnover.compared.saturating_add(1);
        let is_as_large = fresh.plain.saturating_mul(100) >= lost.plain.saturating_mul(SIZE_PERCENT);
        if is_as_large && is >= was.saturating_add(RISE_PER_MILLE) {
            turnover.turned = turnover.turned.saturating_add(1);
            turnover.turned_bytes = turnover.turned_bytes.saturating_add(fresh.plain);
        }
        Ok(())
    }

    /// The chunks of a content; nothing where it is too small to have any, or too large to be looked at whole, or a list of them is lost.
    async fn chunks(&self, record: &Record) -> Result<Option<HashSet<ChunkId>>> {
        let mut chunks = ContentChunks::new(Arc::clone(self.view.loader()), &record.content);
        let mut ids = HashSet::new();
        loop {
            match chunks.next(CHUNKS_BYTES).await {
                Ok(refs) if refs.is_empty() => return Ok((!ids.is_empty()).then_some(ids)),
                Ok(refs) => ids.extend(refs.into_iter().map(|chunk| chunk.id)),
                Err(Error::Damage(_)) => return Ok(None),
                Err(cause) => return Err(cause),
            }
            if ids.len() > CHUNKS_MAX {
                return Ok(None);
            }
        }
    }
}

/// Bytes of chunks, and what they take in the store.
#[derive(Default)]
struct Weight {
    plain: u64,
    stored: u64,
}

impl Weight {
    /// Of those that the others are not.
    fn of((index, shares): (&BlobIndex, &Shares), ids: &HashSet<ChunkId>, others: &HashSet<ChunkId>) -> Result<Self> {
        let mut weight = Self::default();
        for id in ids.difference(others) {
            let Some(place) = index.get(id)? else { continue };
            weight.plain = weight.plain.saturating_add(place.plain.into());
            weight.stored = weight.stored.saturating_add(shares.share(&place));
        }
        Ok(weight)
    }

    fn per_mille(&self) -> Option<u64> {
        self.stored.saturating_mul(1000).checked_div(self.plain)
    }
}

/// Whether the record has the bytes of its file.
const fn is_known(record: &Record) -> bool {
    !matches!(record.content, Content::None)
}

/// By what a content is found again under another name. Two that differ and have one mark would hide one loss among very many.
fn mark(content: &Content) -> u64 {
    let mut hasher = DefaultHasher::new();
    match content {
        Content::None => {}
        Content::Inline(bytes) => bytes.hash(&mut hasher),
        Content::Chunks(refs) => refs.iter().for_each(|chunk| chunk.id.as_bytes().hash(&mut hasher)),
        Content::Lists { lists, .. } => lists.iter().for_each(|list| list.id.as_bytes().hash(&mut hasher)),
    }
    hasher.finish()
}

/// Whether a file has the name of another and an ending.
fn is_named_after(new: &Record, old: &Record) -> bool {
    let ending = new.entry.key.as_bytes().strip_prefix(old.entry.key.as_bytes());
    ending.is_some_and(|ending| !ending.is_empty() && !ending.contains(&b'/'))
}

#[cfg(test)]
mod tests;
