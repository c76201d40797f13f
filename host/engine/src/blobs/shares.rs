//! Shares: which part of a pack's bytes is one chunk's. A member of a group has that part of the group's which it has of its plaintext.
//!
//! Called by whoever counts what chunks take: `freed`, `turnover`, `gc::repack`. Bound: 24 bytes for each pack of the index and 8 for each group, a hundredth of
//! what the index is on disk; while it is counted twice that, and [`GATHERED_MIN`] members of each pack that has groups.

use crate::Result;
use credenza_format::{BlobIndex, BlobPlace, Encoding};

/// Members of a pack that are gathered before those of one group are added up.
const GATHERED_MIN: usize = 32;

/// The plaintext of each group, by the ordinal of its pack.
#[derive(Default)]
pub(crate) struct Shares(Vec<Groups>);

/// The groups of a pack: the offset and the plaintext of each, in the order of offsets.
#[derive(Default)]
struct Groups(Vec<(u32, u32)>);

impl Groups {
    /// Adds a member. Members come in any order, and are added up whenever there are twice as many as groups.
    fn add(&mut self, offset: u32, plain: u32) {
        if self.0.len() == self.0.capacity() {
            self.add_up();
            self.0.reserve_exact(self.0.len().max(GATHERED_MIN));
        }
        self.0.push((offset, plain));
    }

    fn add_up(&mut self) {
        self.0.sort_unstable_by_key(|(offset, _)| *offset);
        self.0.dedup_by(|(offset, plain), (kept, whole)| {
            let is_same = offset == kept;
            if is_same {
                *whole = whole.saturating_add(*plain);
            }
            is_same
        });
    }

    fn of(&self, offset: u32) -> Option<u32> {
        let found = self.0.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        self.0.get(found).map(|(_, plain)| *plain)
    }
}

impl Shares {
    /// One pass over the index.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn of(index: &BlobIndex) -> Result<Self> {
        let mut packs: Vec<Groups> = index.packs().iter().map(|_| Groups::default()).collect();
        for known in index.iter() {
            let (_, place) = known?;
            if place.encoding == Encoding::Group
                && let Some(groups) = packs.get_mut(place.pack.0 as usize)
            {
                groups.add(place.offset, place.plain);
            }
        }
        for groups in &mut packs {
            groups.add_up();
            groups.0.shrink_to_fit();
        }
        Ok(Self(packs))
    }

    /// Bytes that are the chunk's, as it is stored there; rounded down.
    pub(crate) fn share(&self, place: &BlobPlace) -> u64 {
        let (stored, plain) = (u64::from(place.stored), u64::from(place.plain));
        if place.encoding != Encoding::Group {
            return stored;
        }
        let group = self.0.get(place.pack.0 as usize).and_then(|groups| groups.of(place.offset));
        let share = group.and_then(|group| stored.saturating_mul(plain).checked_div(u64::from(group)));
        share.unwrap_or(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_come_in_any_order_are_added_up_by_group_in_room_for_twice_the_groups() {
        const GROUPS: u32 = 100;
        const MEMBERS: u32 = 5000;
        let mut groups = Groups::default();
        let mut most = 0;
        // 7 and 5000 have no divisor in common: each member comes once.
        for number in (0..MEMBERS).map(|number| number * 7 % MEMBERS) {
            groups.add(number % GROUPS * 1000, number);
            most = most.max(groups.0.capacity());
        }
        groups.add_up();
        for group in 0..GROUPS {
            let plain: u32 = (0..MEMBERS).filter(|number| number % GROUPS == group).sum();
            assert_eq!(groups.of(group * 1000), Some(plain));
        }
        assert_eq!((groups.of(1), groups.0.len()), (None, GROUPS as usize));
        assert!(most <= 2 * GROUPS as usize + GATHERED_MIN, "{most}");
    }
}
