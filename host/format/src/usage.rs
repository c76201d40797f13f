//! Which blobs of which packs a snapshot needs, so that space is reclaimed without walking any tree.
//!
//! Body: version u16 = 1 · zero u16 · packs u32, then for each pack, in the order of ids: id 16 · blobs u32 · form u8 (0 all, 1 some) and,
//! for some, one bit a blob, lowest bit first.

use credenza_model::ObjectId;

use crate::pack::PACK_BLOBS_MAX;
use crate::wire::{Fields, length_u32};
use crate::{Digest, Error, Hex, Result};

const VERSION: u16 = 1;
const WHAT: &str = "a usage list";

/// One bit for each blob of a pack. While all are set it takes no memory for them: a list claims that in 21 bytes a pack.
#[derive(Debug, Clone)]
pub struct Bitmap {
    length: u32,
    /// None while all are set.
    bits: Option<Vec<u8>>,
}

impl PartialEq for Bitmap {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && (self.bits == other.bits || (self.is_full() && other.is_full()))
    }
}

impl Eq for Bitmap {}

impl Bitmap {
    /// A bitmap with nothing set.
    #[must_use]
    pub fn new(length: u32) -> Self {
        Self { length, bits: Some(vec![0; length.div_ceil(8) as usize]) }
    }

    /// A bitmap with everything set.
    #[must_use]
    pub fn full(length: u32) -> Self {
        Self { length, bits: None }
    }

    /// How many bits there are.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Sets a bit; says whether there is such a bit.
    pub fn set(&mut self, index: u32) -> bool {
        let byte = self.bits.as_mut().and_then(|bits| bits.get_mut(index as usize / 8));
        if let Some(byte) = byte.filter(|_| index < self.length) {
            *byte |= 1 << (index % 8);
        }
        index < self.length
    }

    /// Whether a bit is set; bits beyond the end are not.
    #[must_use]
    pub fn get(&self, index: u32) -> bool {
        match &self.bits {
            None => index < self.length,
            Some(bits) => bits.get(index as usize / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1),
        }
    }

    /// How many are set.
    #[must_use]
    pub fn count(&self) -> u32 {
        let set = |bits: &Vec<u8>| bits.iter().map(|byte| byte.count_ones()).sum();
        self.bits.as_ref().map_or(self.length, set)
    }

    /// Whether all are set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count() == self.length
    }

    /// Sets every bit that is set in `other`; bits that do not exist here are left out.
    pub fn unite(&mut self, other: &Self) {
        let Some(bits) = &mut self.bits else { return };
        match &other.bits {
            None if other.length >= self.length => self.bits = None,
            None => (0..other.length).for_each(|index| {
                self.set(index);
            }),
            Some(others) => {
                bits.iter_mut().zip(others).for_each(|(to, from)| *to |= from);
                if let Some(last) = bits.last_mut() {
                    *last &= last_byte_mask(self.length);
                }
            }
        }
    }
}

/// The bits that exist in the last byte.
fn last_byte_mask(length: u32) -> u8 {
    match length % 8 {
        0 => 0xff,
        bits => (1 << bits) - 1,
    }
}

/// What a snapshot needs of one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackUsage {
    /// The pack.
    pub pack: ObjectId,
    /// One bit for each of its blobs.
    pub used: Bitmap,
}

/// What a snapshot needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// One for each pack, in the order of their ids.
    pub packs: Vec<PackUsage>,
}

impl Usage {
    /// The body of the list's document.
    ///
    /// # Errors
    /// [`Error::Malformed`] when packs are not in order, [`Error::TooLarge`] beyond 2³² of them.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        out.extend(length_u32(WHAT, self.packs.len())?.to_le_bytes());
        let mut previous = None;
        for PackUsage { pack, used } in &self.packs {
            check_pack(previous.replace(*pack), *pack, used.length)?;
            out.extend(pack.as_bytes());
            out.extend(used.length.to_le_bytes());
            let some = used.bits.as_ref().filter(|_| !used.is_full());
            out.push(u8::from(some.is_some()));
            out.extend(some.into_iter().flatten());
        }
        Ok(out)
    }

    /// Decodes the body of a list. Memory: twice the body, and 64 bytes a pack.
    ///
    /// # Errors
    /// [`Error::Malformed`] when any field breaks the rules; [`Error::Unknown`] for a version of later programs.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(WHAT, body);
        let version = fields.u16()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "usage version", found: u32::from(version) });
        }
        fields.zeros(2)?;
        let count = fields.u32()?;
        let (mut packs, mut previous) = (Vec::new(), None);
        for _ in 0..count {
            let (pack, length) = (ObjectId::new(fields.array()?), fields.u32()?);
            check_pack(previous.replace(pack), pack, length)?;
            let used = match fields.u8()? {
                0 => Bitmap::full(length),
                1 => decode_bits(length, &mut fields)?,
                other => return Err(Error::Unknown { what: "form of a bitmap", found: u32::from(other) }),
            };
            packs.push(PackUsage { pack, used });
        }
        fields.end()?;
        Ok(Self { packs })
    }

    /// The digest of its body, by which a snapshot names it.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode).
    pub fn digest(&self) -> Result<Digest> {
        Ok(body_digest(&self.encode()?))
    }

    /// The digest of the packs relied on: BLAKE3 of their ids, in order.
    #[must_use]
    pub fn packs_digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        self.packs.iter().for_each(|usage| {
            hasher.update(usage.pack.as_bytes());
        });
        Hex(*hasher.finalize().as_bytes())
    }
}

/// The digest of a document's body, by which other documents name it: BLAKE3.
#[must_use]
pub fn body_digest(body: &[u8]) -> Digest {
    Hex(*blake3::hash(body).as_bytes())
}

fn decode_bits(length: u32, fields: &mut Fields<'_>) -> Result<Bitmap> {
    let bits = fields.take(length.div_ceil(8) as usize)?;
    if bits.last().is_some_and(|last| last & !last_byte_mask(length) != 0) {
        return Err(fields.malformed("a bitmap marks blobs that do not exist"));
    }
    Ok(Bitmap { length, bits: Some(bits.to_vec()) })
}

fn check_pack(previous: Option<ObjectId>, pack: ObjectId, blobs: u32) -> Result<()> {
    let problem = if previous.is_some_and(|previous| previous >= pack) {
        "is not in the order of ids"
    } else if blobs > PACK_BLOBS_MAX {
        "has more blobs than a pack may"
    } else {
        return Ok(());
    };
    Err(Error::Malformed { what: WHAT, problem: format!("pack {pack} {problem}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usage() -> impl Strategy<Value = Usage> {
        proptest::collection::btree_map(
            any::<[u8; 16]>(),
            (0..200_u32, proptest::collection::vec(0..200_u32, 0..50)),
            0..10,
        )
        .prop_map(|packs| {
            let packs = packs.into_iter().map(|(id, (length, set))| {
                let mut used = if set.len() > 40 { Bitmap::full(length) } else { Bitmap::new(length) };
                set.into_iter().for_each(|index| assert_eq!(used.set(index), index < length));
                PackUsage { pack: ObjectId::new(id), used }
            });
            Usage { packs: packs.collect() }
        })
    }

    proptest! {
        #[test]
        fn a_list_reads_back_what_was_encoded(usage in usage()) {
            prop_assert_eq!(Usage::decode(&usage.encode().unwrap()).unwrap(), usage);
        }

        #[test]
        fn an_injured_list_never_panics(usage in usage(), place: prop::sample::Index, change in 1..=255_u8) {
            let mut body = usage.encode().unwrap();
            let place = place.index(body.len());
            body[place] ^= change;
            let _ = Usage::decode(&body);
            prop_assert!(Usage::decode(&body[..place]).is_err());
        }

        #[test]
        fn a_union_has_what_either_has(length in 0..100_u32, a in proptest::collection::vec(0..100_u32, 0..30), b in proptest::collection::vec(0..100_u32, 0..30)) {
            let (mut left, mut right) = (Bitmap::new(length), Bitmap::new(length));
            a.iter().for_each(|index| { left.set(*index); });
            b.iter().for_each(|index| { right.set(*index); });
            left.unite(&right);
            for index in 0..100 {
                prop_assert_eq!(left.get(index), index < length && (a.contains(&index) || b.contains(&index)));
            }
        }
    }

    #[test]
    fn packs_used_as_a_whole_take_no_memory_for_their_blobs() {
        let packs = (0..100_000_u128)
            .map(|number| PackUsage { pack: ObjectId::new(number.to_be_bytes()), used: Bitmap::full(PACK_BLOBS_MAX) });
        let usage = Usage { packs: packs.collect() };
        assert_eq!(Usage::decode(&usage.encode().unwrap()).unwrap(), usage, "13 GB if each had its bits");
    }

    #[test]
    fn whole_and_partial_bitmaps_unite() {
        let mut some = Bitmap::new(10);
        some.unite(&Bitmap::full(3));
        assert_eq!((0..10).filter(|index| some.get(*index)).count(), 3);
        some.unite(&Bitmap::full(11));
        assert_eq!(some, Bitmap::full(10));
        assert!(some.is_full() && !some.get(10) && some.set(9) && !some.set(10));
        (0..8).for_each(|_| some.unite(&Bitmap::new(10)));
        assert!(some.is_full(), "what is set stays set");
    }

    #[test]
    fn a_pack_used_as_a_whole_costs_no_bits() {
        let of = |used| Usage { packs: vec![PackUsage { pack: ObjectId::new([1; 16]), used }] }.encode().unwrap().len();
        assert_eq!(of(Bitmap::full(1000)), 8 + 21);
        assert_eq!(of(Bitmap::new(1000)), 8 + 21 + 125);
    }
}
