//! Usage: which blobs of which packs a snapshot needs, so that space can be reclaimed without walking a tree.
//!
//! Owned here: the bitmaps and their codec. Called by the engine when it commits and when it collects.

use credenza_model::{ObjectId, SnapshotId};

use crate::wire::{Fields, length_u32};
use crate::{Error, Hex, Keys, ObjectKind, Result, SealedObject, seal_document};

const VERSION: u8 = 1;
const ALL: u8 = 0;
const BITS: u8 = 1;

/// One bit per blob of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    length: u32,
    words: Vec<u64>,
}

impl Bitmap {
    /// No bit set.
    #[must_use]
    pub fn empty(length: u32) -> Self {
        Self { length, words: vec![0; (length as usize).div_ceil(64)] }
    }

    /// Every bit set.
    #[must_use]
    pub fn full(length: u32) -> Self {
        let mut bitmap = Self::empty(length);
        (0..length).for_each(|bit| bitmap.set(bit));
        bitmap
    }

    /// Sets a bit; one beyond the length is ignored.
    pub fn set(&mut self, bit: u32) {
        if bit < self.length
            && let Some(word) = self.words.get_mut(bit as usize / 64)
        {
            *word |= 1 << (bit % 64);
        }
    }

    /// Whether a bit is set.
    #[must_use]
    pub fn get(&self, bit: u32) -> bool {
        bit < self.length && self.words.get(bit as usize / 64).is_some_and(|word| word & 1 << (bit % 64) != 0)
    }

    /// Bits in all.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Bits set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }
}

/// The packs that a snapshot relies on, with the blobs it needs of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Pack ids, ascending in the encoded form, each with one bit per blob.
    pub packs: Vec<(ObjectId, Bitmap)>,
}

impl Usage {
    /// Seals the list under its snapshot's id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it outgrows a document.
    pub fn seal(&self, keys: &Keys, snapshot: SnapshotId) -> Result<SealedObject> {
        seal_document(keys, ObjectKind::Usage, ObjectId::new(*snapshot.as_bytes()), &self.encode()?)
    }

    /// BLAKE3 of the body, which the snapshot names.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn digest(&self) -> Result<Hex<[u8; 32]>> {
        Ok(Hex(*blake3::hash(&self.encode()?).as_bytes()))
    }

    /// The body: version, count, and per pack its id, blob count, form and bits.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2³² packs.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut sorted: Vec<_> = self.packs.iter().collect();
        sorted.sort_unstable_by_key(|(id, _)| *id);
        let mut out = vec![VERSION, 0, 0, 0];
        out.extend_from_slice(&length_u32("a usage list", sorted.len())?.to_le_bytes());
        for (id, bitmap) in sorted {
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&bitmap.length.to_le_bytes());
            if bitmap.count() == bitmap.length {
                out.push(ALL);
            } else {
                out.push(BITS);
                let bytes = bitmap.words.iter().flat_map(|word| word.to_le_bytes());
                out.extend(bytes.take((bitmap.length as usize).div_ceil(8)));
            }
        }
        Ok(out)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Malformed`] when ids are not ascending, bits lie beyond a pack's blobs, or bytes are missing.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new("a usage list", bytes);
        let version = fields.u8()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "usage version", found: u32::from(version) });
        }
        fields.zeros(3)?;
        let mut packs: Vec<(ObjectId, Bitmap)> = Vec::new();
        for _ in 0..fields.u32()? {
            let id = ObjectId::new(fields.array()?);
            let length = fields.u32()?;
            if packs.last().is_some_and(|(previous, _)| *previous >= id) || length >> 24 != 0 {
                return Err(fields.malformed(format!("pack {id} is out of order or impossibly large")));
            }
            let bitmap = match fields.u8()? {
                ALL => Bitmap::full(length),
                BITS => decode_bits(&mut fields, length)?,
                other => return Err(Error::Unknown { what: "bitmap form", found: u32::from(other) }),
            };
            packs.push((id, bitmap));
        }
        fields.end()?;
        Ok(Self { packs })
    }
}

fn decode_bits(fields: &mut Fields<'_>, length: u32) -> Result<Bitmap> {
    let bytes = fields.take((length as usize).div_ceil(8))?;
    let mut bitmap = Bitmap { length, words: Vec::with_capacity(bytes.len().div_ceil(8)) };
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        bitmap.words.push(u64::from_le_bytes(word));
    }
    let beyond = bitmap.words.last().is_some_and(|word| length % 64 != 0 && word >> (length % 64) != 0);
    if beyond { Err(fields.malformed("a bit beyond the pack's blobs is set")) } else { Ok(bitmap) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_usage_list_decodes_to_what_was_encoded(bits in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 0..200), 0..8)) {
            let packs = bits.iter().enumerate().map(|(at, bits)| {
                let mut bitmap = Bitmap::empty(bits.len() as u32);
                (0..).zip(bits).filter(|(_, set)| **set).for_each(|(bit, _)| bitmap.set(bit));
                (ObjectId::new([at as u8; 16]), bitmap)
            }).collect();
            let usage = Usage { packs };
            prop_assert_eq!(Usage::decode(&usage.encode().unwrap()).unwrap(), usage);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Usage::decode(&bytes);
            let _ = Usage::decode(&[&[1, 0, 0, 0, 2, 0, 0, 0][..], &bytes].concat());
        }
    }

    #[test]
    fn a_pack_that_is_used_whole_costs_no_bits() {
        let usage = Usage { packs: vec![(ObjectId::new([1; 16]), Bitmap::full(100_000))] };
        assert!(usage.encode().unwrap().len() < 64);
    }
}
