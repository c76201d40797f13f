//! Sample: which of the packs a check reads.
//!
//! A sample is made of whole packs, so it may be larger than what was asked for, by one pack at most, but for a [`Turn`], which keeps its budget; and packs that are on record as damaged
//! are read beside any sample, or first within a budget, so that one which the store failed to give for a while is soon known to be whole. Called by `check::run`.

use std::time::Duration;

use credenza_format::{BlobIndex, PackOrdinal, ParityRate};
use credenza_model::Timestamp;

use super::turn::{Behind, Cost, Turn, Waiting};
use crate::Result;
use crate::health::Health;
use crate::repository::random_id;
use crate::share::Share;

/// How much of the data to read and verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Every pack.
    All,
    /// Packs drawn at random that make up this share of all bytes, in percent.
    Percent(u8),
    /// Packs drawn at random that have this many bytes together.
    Bytes(u64),
    /// Packs that were not found whole within this time before now, by the record in the repository.
    OlderThan(Duration),
    /// Those that were not read for the longest, within a budget.
    Turn(Turn),
    /// The packs of one of several processes, which read all of them together: by their ids, which are random.
    Shard(Share),
}

/// The packs that a check reads.
pub(super) struct Chosen {
    pub(super) packs: Vec<PackOrdinal>,
    /// Where they are read in turn, how far behind that is.
    pub(super) behind: Option<Behind>,
}

impl Sample {
    /// The packs to read of those that are there.
    pub(super) fn choose(
        self,
        index: &BlobIndex,
        present: &[PackOrdinal],
        (health, parity): (&Health, Option<ParityRate>),
        now: Timestamp,
    ) -> Result<Chosen> {
        let damaged = health.damaged_packs();
        if let Self::Turn(turn) = self {
            let waiting = shuffled(present)?.into_iter().filter_map(|ordinal| {
                let pack = index.pack(ordinal)?;
                let read = health.read_at(&pack.id).filter(|_| !damaged.contains(&pack.id));
                Some(Waiting { pack: ordinal, cost: Cost::of(pack.size, parity), read })
            });
            let (packs, behind) = turn.choose(waiting.collect(), now);
            return Ok(Chosen { packs, behind: Some(behind) });
        }
        let is_damaged = |pack: &PackOrdinal| index.pack(*pack).is_some_and(|pack| damaged.contains(&pack.id));
        let (mut chosen, others): (Vec<PackOrdinal>, Vec<PackOrdinal>) =
            present.iter().partition(|pack| is_damaged(pack));
        let size = |pack: &PackOrdinal| index.pack(*pack).map_or(0, |pack| pack.size);
        let is_stale =
            |pack: &PackOrdinal, age| index.pack(*pack).is_none_or(|pack| !health.is_recent(&pack.id, age, now));
        chosen.extend(match self {
            Self::All => others,
            Self::Percent(percent) => {
                let bytes = share(present.iter().map(size).sum(), percent);
                until(shuffled(&others)?, bytes, size)
            }
            Self::Bytes(bytes) => until(shuffled(&others)?, bytes, size),
            Self::OlderThan(age) => others.into_iter().filter(|pack| is_stale(pack, age)).collect(),
            Self::Shard(share) => {
                let is_own = |ordinal: &PackOrdinal| index.pack(*ordinal).is_none_or(|pack| share.has(&pack.id));
                others.into_iter().filter(is_own).collect()
            }
            Self::Turn(_) => Vec::new(),
        });
        Ok(Chosen { packs: chosen, behind: None })
    }
}

/// A share of a number of bytes, rounded up.
fn share(bytes: u64, percent: u8) -> u64 {
    let share = (u128::from(bytes) * u128::from(percent)).div_ceil(100);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// In an order that nobody can foresee: who tampers with a store does not know what is read next.
fn shuffled(packs: &[PackOrdinal]) -> Result<Vec<PackOrdinal>> {
    let mut drawn =
        packs.iter().map(|pack| Ok((random_id::<8>()?, *pack))).collect::<Result<Vec<([u8; 8], PackOrdinal)>>>()?;
    drawn.sort_unstable();
    Ok(drawn.into_iter().map(|(_, pack)| pack).collect())
}

/// As many from the front as it takes to reach so many bytes.
fn until(packs: Vec<PackOrdinal>, bytes: u64, size: impl Fn(&PackOrdinal) -> u64) -> Vec<PackOrdinal> {
    let mut taken = 0_u64;
    let wanted = |pack: &PackOrdinal| {
        let more = taken < bytes;
        taken = taken.saturating_add(size(pack));
        more
    };
    packs.into_iter().take_while(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_stops_with_the_pack_that_reaches_the_amount() {
        let packs: Vec<PackOrdinal> = (0..10).map(PackOrdinal).collect();
        let drawn = |bytes| until(packs.clone(), bytes, |_| 10).len();
        assert_eq!([drawn(0), drawn(1), drawn(10), drawn(11), drawn(1000)], [0, 1, 1, 2, 10]);
    }

    #[test]
    fn a_share_is_rounded_up() {
        assert_eq!([share(1000, 5), share(1, 1), share(0, 50), share(u64::MAX, 100)], [50, 1, 0, u64::MAX]);
    }

    #[test]
    fn a_shuffle_keeps_every_pack_and_no_order() {
        let packs: Vec<PackOrdinal> = (0..1000).map(PackOrdinal).collect();
        let (mut one, other) = (shuffled(&packs).unwrap(), shuffled(&packs).unwrap());
        assert!(one != packs && one != other);
        one.sort_unstable();
        assert_eq!(one, packs);
    }
}
