//! Groups: several blobs in one zstd frame, so that small ones that are alike cost little.
//!
//! Stored bytes, which every member has in common: plain length of the frame u32 · one zstd frame, whose content is count u32, then for each
//! member its id 32 and its length u32, then the members back to back.
//!
//! Owned here: this layout, and finding a member. Refused here: compression (`compress`), which blobs make a group (the engine's `write::group`). Called
//! by `compress` alone. Bound: the group that was opened last, [`BLOB_BYTES_MAX`] at most and some 256 KiB as they are written.

use std::ops::Range;

use credenza_model::limits::BLOB_BYTES_MAX;
use credenza_model::{ChunkId, ObjectId};

use crate::wire::{Fields, length_u32};
use crate::{Error, Result};

/// Most members of a group: reading one of them inflates all.
pub const GROUP_MEMBERS_MAX: u32 = 4096;
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
    /// Whether it is the group at an offset of a pack.
    pub(crate) fn is(&self, place: (ObjectId, u32)) -> bool {
        self.of == Some(place)
    }

    /// Takes in the content of a group, which `inflate` puts into the buffer that it is given.
    pub(crate) fn fill(
        &mut self,
        place: (ObjectId, u32),
        stored: &[u8],
        inflate: impl FnOnce(&[u8], u32, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        (self.of, self.next) = (None, 0);
        self.members.clear();
        let mut prefix = Fields::new(WHAT, stored);
        let plain = prefix.u32()?;
        inflate(prefix.rest(), plain, &mut self.content)?;
        self.read_table()?;
        self.of = Some(place);
        Ok(())
    }

    fn read_table(&mut self) -> Result<()> {
        let mut fields = Fields::new(WHAT, &self.content);
        let count = fields.u32()?;
        if count == 0 || count > GROUP_MEMBERS_MAX {
            return Err(fields.malformed(format!("it counts {count} members")));
        }
        let mut offset = COUNT_BYTES + count as usize * MEMBER_BYTES;
        for _ in 0..count {
            let (member, bytes) = (ChunkId::new(fields.array()?), fields.u32()?);
            let too_long = || fields.malformed("its members are longer than a blob may be");
            let end = offset.checked_add(bytes as usize).filter(|end| *end <= BLOB_BYTES_MAX as usize);
            let end = end.ok_or_else(too_long)?;
            self.members.push((member, offset..end));
            offset = end;
        }
        if self.content.len() != offset {
            return Err(fields.malformed("its members end elsewhere"));
        }
        Ok(())
    }

    /// The plaintext of a member, whose id the caller verifies.
    pub(crate) fn member(&mut self, id: &ChunkId, length: u32) -> Result<&[u8]> {
        let found = self.find(id, length);
        let problem = || format!("blob {id} is none of its members");
        found.ok_or_else(|| Error::Malformed { what: WHAT, problem: problem() })
    }

    fn find(&mut self, wanted: &ChunkId, length: u32) -> Option<&[u8]> {
        let is_it = |(id, place): &(ChunkId, Range<usize>)| id == wanted && place.len() == length as usize;
        let (before, behind) = self.members.split_at(self.next.min(self.members.len()));
        let position = match behind.iter().position(is_it) {
            Some(position) => before.len() + position,
            None => before.iter().position(is_it)?,
        };
        self.next = position + 1;
        self.content.get(self.members.get(position)?.1.clone())
    }
}

/// The content of the frame of a group, in the place of what `out` holds.
pub(crate) fn lay_out(members: &[(ChunkId, &[u8])], out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    let count = length_u32(WHAT, members.len())?;
    let bytes = content_bytes(members.iter().map(|(_, plain)| plain.len() as u64));
    if count > GROUP_MEMBERS_MAX || bytes > u64::from(BLOB_BYTES_MAX) {
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
