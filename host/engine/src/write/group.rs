//! Groups: small chunks that one piece of work keeps share a frame, so that those that are alike cost little.
//!
//! Owned here: which chunks make a group, and that each chunk is packed once all the same. Refused here: the layout (`group` of the format). Called by
//! `backup::pipeline`, by `sync`, and by `copy` for groups that are not needed whole.
//!
//! **Nobody waits for another while somebody may wait for him.** Chunks that are gathered are nobody's yet. Leave to pack them is taken when the group
//! is closed, without waiting; what somebody else is packing at that moment is seen to when the group is in its pack.
//!
//! Bound: [`GROUP_BYTES`] and one chunk more of plaintext for each piece of work, and what it takes compressed.

use std::ops::Range;
use std::sync::Arc;

use credenza_format::{BlobKind, Compressor, Encoding, Frame, GROUP_MEMBERS_MAX, GroupFrame};
use credenza_model::limits::{GROUP_BYTES, GROUP_MEMBER_BYTES_MAX};
use credenza_model::{ChunkId, ChunkRef};

use super::dedup::{Deduplicator, length_of};
use super::fresh::{Packing, Turn};
use super::packs::PackWriter;
use crate::{Error, Result};

/// Keeps the contents of one piece of work, small chunks together.
pub(crate) struct GroupKeeper {
    dedup: Arc<Deduplicator>,
    compressor: Compressor,
    members: Vec<(ChunkId, Range<usize>)>,
    plain: Vec<u8>,
}

impl GroupKeeper {
    /// Compresses at a zstd level.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new(dedup: Arc<Deduplicator>, level: i32) -> Result<Self> {
        let compressor = Compressor::new(level).map_err(Error::encode("starting a compressor"))?;
        Ok(Self { dedup, compressor, members: Vec::new(), plain: Vec::new() })
    }

    /// Keeps a chunk of content, which may be in no pack before [`flush`](Self::flush). Blocks as [`Deduplicator::keep`] does.
    pub(crate) fn keep(&mut self, plain: &[u8]) -> Result<ChunkRef> {
        let id = self.dedup.keys().blob_id(BlobKind::Data, plain);
        let chunk = ChunkRef { id, length: length_of(plain)? };
        if self.dedup.holds(&id)? || self.members.iter().any(|(member, _)| *member == id) {
            return Ok(chunk);
        }
        if plain.len() > GROUP_MEMBER_BYTES_MAX {
            self.dedup.pack(&mut self.compressor, BlobKind::Data, id, plain)?;
            return Ok(chunk);
        }
        if !self.compressor.is_promising(plain).map_err(Error::encode("compressing a chunk"))? {
            let (kind, encoding, plain_length) = (BlobKind::Data, Encoding::Raw, chunk.length);
            self.dedup.pack_stored(Frame { id, kind, encoding, plain_length, stored: plain })?;
            return Ok(chunk);
        }
        let start = self.plain.len();
        self.plain.extend_from_slice(plain);
        self.members.push((id, start..self.plain.len()));
        if self.plain.len() >= GROUP_BYTES || self.members.len() >= GROUP_MEMBERS_MAX as usize {
            self.flush()?;
        }
        Ok(chunk)
    }

    /// Keeps a blob of any kind: of those that are no content each by itself. Blocks as [`Deduplicator::keep`] does.
    pub(crate) fn keep_blob(&mut self, kind: BlobKind, plain: &[u8]) -> Result<()> {
        match kind {
            BlobKind::Data => self.keep(plain).map(drop),
            BlobKind::Node | BlobKind::List => self.dedup.keep(&mut self.compressor, kind, plain).map(drop),
        }
    }

    /// Packs what was gathered: each piece of work ends with it, before anybody is told which chunks its contents have.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let Self { dedup, compressor, members, plain } = self;
        let gathered: Vec<(ChunkId, &[u8])> =
            members.iter().map(|(id, place)| (*id, plain.get(place.clone()).unwrap_or_default())).collect();
        keep_together(dedup, compressor, BlobKind::Data, &gathered, None)?;
        members.clear();
        plain.clear();
        Ok(())
    }
}

/// Keeps chunks that the index lacks in one group, those that nobody has kept yet. `whole` is the group as it is stored elsewhere.
pub(crate) fn keep_together(
    dedup: &Deduplicator,
    compressor: &mut Compressor,
    kind: BlobKind,
    members: &[(ChunkId, &[u8])],
    whole: Option<&[u8]>,
) -> Result<()> {
    let (mut mine, mut leave, mut others) = (Vec::with_capacity(members.len()), Vec::new(), Vec::new());
    for (id, plain) in members {
        match dedup.try_begin(*id) {
            Some(Turn::Mine(packing)) => {
                mine.push((*id, *plain));
                leave.push(packing);
            }
            Some(Turn::Kept) => {}
            None => others.push((*id, *plain)),
        }
    }
    let whole = whole.filter(|_| mine.len() == members.len());
    pack_together(dedup.packs(), compressor, kind, &mine, whole)?;
    leave.into_iter().for_each(Packing::done);
    others.into_iter().try_for_each(|(id, plain)| dedup.pack(compressor, kind, id, plain))
}

/// Packs chunks in one group: as it is stored elsewhere, or compressed again.
pub(super) fn pack_together(
    packs: &PackWriter,
    compressor: &mut Compressor,
    kind: BlobKind,
    members: &[(ChunkId, &[u8])],
    whole: Option<&[u8]>,
) -> Result<()> {
    let stored = match whole {
        None if members.len() > 1 => {
            compressor.compress_group(members).map_err(Error::encode("compressing a group of chunks"))?
        }
        whole => whole,
    };
    if let Some(stored) = stored {
        let lengths = members.iter().map(|(id, plain)| Ok((*id, length_of(plain)?))).collect::<Result<Vec<_>>>()?;
        return packs.push_group(GroupFrame { kind, members: &lengths, stored });
    }
    for (id, plain) in members {
        let (encoding, stored) = compressor.compress(plain).map_err(Error::encode("compressing a chunk"))?;
        packs.push(Frame { id: *id, kind, encoding, plain_length: length_of(plain)?, stored })?;
    }
    Ok(())
}
