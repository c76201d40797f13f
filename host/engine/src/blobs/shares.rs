//! Shares: which part of a pack's bytes is one chunk's. A member of a group has that part of the group's which it has of its plaintext.
//!
//! Called by whoever counts what chunks take: `freed`, `turnover`, `gc::repack`. Bound: some 24 bytes for each group in the index.

use std::collections::HashMap;

use crate::Result;
use credenza_format::{BlobIndex, BlobPlace, Encoding, PackOrdinal};

/// The plaintext of each group.
#[derive(Default)]
pub(crate) struct Shares(HashMap<(PackOrdinal, u32), u64>);

impl Shares {
    /// One pass over the index.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn of(index: &BlobIndex) -> Result<Self> {
        let mut groups = HashMap::new();
        for known in index.iter() {
            let (_, place) = known?;
            if place.encoding == Encoding::Group {
                *groups.entry((place.pack, place.offset)).or_default() += u64::from(place.plain);
            }
        }
        Ok(Self(groups))
    }

    /// Bytes that are the chunk's, as it is stored there; rounded down.
    pub(crate) fn share(&self, place: &BlobPlace) -> u64 {
        let (stored, plain) = (u64::from(place.stored), u64::from(place.plain));
        match self.0.get(&(place.pack, place.offset)) {
            Some(group) if place.encoding == Encoding::Group => {
                stored.saturating_mul(plain).checked_div(*group).unwrap_or(stored)
            }
            _ => stored,
        }
    }
}
