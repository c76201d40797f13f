//! Groups: several blobs in one zstd frame, so that small ones that are alike cost little.
//!
//! Stored bytes, which every member has in common: plain length of the frame u32 · one zstd frame, whose content is count u32, then for each
//! member its id 32 and its length u32, then the members back to back.
//!
//! Owned here: finding a member. Nothing writes groups yet but tests; every reader reads them.

use credenza_model::ChunkId;
use credenza_model::limits::BLOB_BYTES_MAX;

use crate::wire::Fields;
use crate::{Encoding, Error, Inflater, Result};

/// Most members of a group: reading one of them inflates all.
const MEMBERS_MAX: u32 = 4096;
const WHAT: &str = "a group of blobs";

/// The plaintext of one member, exactly `length` bytes. Bound: [`BLOB_BYTES_MAX`] for the group.
pub(super) fn open_member<'a>(
    stored: &'a [u8],
    id: &ChunkId,
    length: u32,
    inflater: &mut Inflater,
    out: &'a mut Vec<u8>,
) -> Result<&'a [u8]> {
    let mut prefix = Fields::new(WHAT, stored);
    let plain = prefix.u32()?;
    let frame = prefix.rest();
    let content = inflater.inflate(Encoding::Zstd, frame, plain, out)?;
    let mut fields = Fields::new(WHAT, content);
    let count = fields.u32()?;
    if count == 0 || count > MEMBERS_MAX {
        return Err(fields.malformed(format!("it counts {count} members")));
    }
    let (mut offset, mut found) = (0_u32, None);
    for _ in 0..count {
        let (member, bytes) = (ChunkId::new(fields.array()?), fields.u32()?);
        if member == *id {
            found = Some((offset, bytes));
        }
        offset = offset.checked_add(bytes).filter(|end| *end <= BLOB_BYTES_MAX).ok_or_else(too_long)?;
    }
    let bodies = fields.rest();
    if bodies.len() != offset as usize {
        return Err(Error::Malformed { what: WHAT, problem: "its members end elsewhere".to_owned() });
    }
    let place =
        found.filter(|(_, bytes)| *bytes == length).map(|(start, bytes)| start as usize..(start + bytes) as usize);
    let member = place.and_then(|place| bodies.get(place));
    member.ok_or_else(|| Error::Malformed { what: WHAT, problem: format!("blob {id} is none of its members") })
}

fn too_long() -> Error {
    Error::Malformed { what: WHAT, problem: "its members are longer than a blob may be".to_owned() }
}

/// The stored bytes of a group.
#[cfg(test)]
pub(super) fn encode(members: &[(ChunkId, &[u8])]) -> Result<Vec<u8>> {
    let mut content = (members.len() as u32).to_le_bytes().to_vec();
    for (id, plain) in members {
        content.extend(id.as_bytes());
        content.extend((plain.len() as u32).to_le_bytes());
    }
    members.iter().for_each(|(_, plain)| content.extend_from_slice(plain));
    let frame =
        zstd::bulk::compress(&content, 1).map_err(|error| Error::Compress { level: 1, problem: error.to_string() })?;
    Ok([(content.len() as u32).to_le_bytes().as_slice(), &frame].concat())
}
