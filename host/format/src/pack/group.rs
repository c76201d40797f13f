//! Groups: several blobs in one zstd frame, so that small ones that are alike cost little.
//!
//! Stored bytes, which every member has in common: plain length of the frame u32 · one zstd frame, whose content is count u32, then for each
//! member its id 32 and its length u32, then the members back to back.
//!
//! Owned here: this layout, and finding a member. Refused here: which blobs make a group (the engine's `write::group`). Bound: the group that was
//! opened last, [`BLOB_BYTES_MAX`] at most and some 256 KiB as they are written.

use std::ops::Range;

use credenza_model::limits::BLOB_BYTES_MAX;
use credenza_model::{ChunkId, ObjectId};

use super::PackBlob;
use crate::wire::{Fields, length_u32};
use crate::{Encoding, Error, Inflater, Result};

/// Most members of a group: reading one of them inflates all.
const MEMBERS_MAX: u32 = 4096;
const COUNT_BYTES: usize = 4;
/// What the table takes for a member.
const MEMBER_BYTES: usize = 36;
const WHAT: &str = "a group of blobs";

/// The group that was opened last.
#[derive(Default)]
pub(crate) struct GroupMemory {
    /// Its pack and its offset there.
    of: Option<(ObjectId, u32)>,
    content: Vec<u8>,
    members: Vec<(ChunkId, Range<usize>)>,
    /// Behind the member that was asked for last: they are asked for in order.
    next: usize,
}

impl GroupMemory {
    fn member(&mut self, blob: &PackBlob) -> Option<&[u8]> {
        let is_it = |(id, place): &(ChunkId, Range<usize>)| *id == blob.id && place.len() == blob.plain as usize;
        let (before, behind) = self.members.split_at(self.next.min(self.members.len()));
        let position = match behind.iter().position(is_it) {
            Some(position) => before.len() + position,
            None => before.iter().position(is_it)?,
        };
        self.next = position + 1;
        self.content.get(self.members.get(position)?.1.clone())
    }
}

/// Puts the plaintext of one member into `out`. The caller compares its id.
pub(super) fn open_member<'a>(
    pack: ObjectId,
    blob: &PackBlob,
    stored: &[u8],
    inflater: &mut Inflater,
    out: &'a mut Vec<u8>,
) -> Result<&'a [u8]> {
    if inflater.group.of != Some((pack, blob.offset)) {
        let mut memory = std::mem::take(&mut inflater.group);
        memory.of = None;
        let opened = open(stored, inflater, &mut memory);
        inflater.group = memory;
        opened?;
        inflater.group.of = Some((pack, blob.offset));
    }
    let member = inflater.group.member(blob);
    let problem = || format!("blob {} is none of its members", blob.id);
    let member = member.ok_or_else(|| Error::Malformed { what: WHAT, problem: problem() })?;
    out.clear();
    out.extend_from_slice(member);
    Ok(out)
}

fn open(stored: &[u8], inflater: &mut Inflater, memory: &mut GroupMemory) -> Result<()> {
    memory.members.clear();
    memory.next = 0;
    let mut prefix = Fields::new(WHAT, stored);
    let plain = prefix.u32()?;
    let content = inflater.inflate(Encoding::Zstd, prefix.rest(), plain, &mut memory.content)?;
    let mut fields = Fields::new(WHAT, content);
    let count = fields.u32()?;
    if count == 0 || count > MEMBERS_MAX {
        return Err(fields.malformed(format!("it counts {count} members")));
    }
    let mut offset = COUNT_BYTES + count as usize * MEMBER_BYTES;
    for _ in 0..count {
        let (member, bytes) = (ChunkId::new(fields.array()?), fields.u32()?);
        let too_long = || fields.malformed("its members are longer than a blob may be".to_owned());
        let end = offset.checked_add(bytes as usize).filter(|end| *end <= BLOB_BYTES_MAX as usize);
        let end = end.ok_or_else(too_long)?;
        memory.members.push((member, offset..end));
        offset = end;
    }
    if content.len() != offset {
        return Err(Error::Malformed { what: WHAT, problem: "its members end elsewhere".to_owned() });
    }
    Ok(())
}

/// The content of the frame of a group, in the place of what `out` holds.
pub(crate) fn lay_out(members: &[(ChunkId, &[u8])], out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    let count = length_u32(WHAT, members.len())?;
    let bytes = content_bytes(members.iter().map(|(_, plain)| plain.len() as u64));
    if count > MEMBERS_MAX || bytes > u64::from(BLOB_BYTES_MAX) {
        return Err(Error::TooLarge { what: WHAT, bytes, bytes_max: BLOB_BYTES_MAX.into() });
    }
    out.extend(count.to_le_bytes());
    for (id, plain) in members {
        out.extend(id.as_bytes());
        out.extend((plain.len() as u32).to_le_bytes());
    }
    members.iter().for_each(|(_, plain)| out.extend_from_slice(plain));
    Ok(())
}

/// Bytes in the frame of a group of members of these lengths.
fn content_bytes(lengths: impl Iterator<Item = u64>) -> u64 {
    lengths.fold(COUNT_BYTES as u64, |sum, length| sum.saturating_add(MEMBER_BYTES as u64).saturating_add(length))
}

/// How the stored bytes of a group begin that has members of these lengths and no others. Members of a group that was opened are all that it has if
/// it begins like this; what it had beside them would be copied with it.
#[must_use]
pub fn group_head(lengths: impl Iterator<Item = u32>) -> [u8; 4] {
    u32::try_from(content_bytes(lengths.map(u64::from))).unwrap_or(u32::MAX).to_le_bytes()
}
