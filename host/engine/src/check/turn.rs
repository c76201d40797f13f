//! Turn: every pack is read again in turn, those first that wait the longest, within a budget for each run.
//!
//! What was read when is on record in the repository (`health`), so any machine may go on where another ended. A pack is *due* when it was never
//! read, or not within the time in which each is to be read; damage that is on record is due at once. Beyond what is due, each run reads as much
//! as keeps the pace, so that the readings of next time do not fall on one day.
//!
//! A budget is never exceeded, but by one pack where it is smaller than that: else nothing would ever be read.
//!
//! Owned here: which packs a run reads, and how far behind that is. Called by `sample`.

use std::time::Duration;

use credenza_format::{PackOrdinal, ParityRate};
use credenza_model::Timestamp;
use serde::Serialize;

use super::data::pieces;

/// Each pack is read again in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Each is read at least once in so much time.
    pub within: Duration,
    /// So much time passes until the next run.
    pub interval: Duration,
    /// What this run may read.
    pub budget: Budget,
}

/// What a run may read at most. What a check reads of the structure comes beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Bytes of packs and their parity.
    pub bytes: Option<u64>,
    /// Requests for them.
    pub requests: Option<u64>,
}

/// How far behind reading in turn is after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Behind {
    /// Packs that are due and were not read.
    pub packs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Runs of this budget in which everything is read once.
    pub runs_for_all: u64,
    /// Bytes that a run must read, so that everything is read in time.
    pub bytes_needed: u64,
    /// Requests that it must make.
    pub requests_needed: u64,
}

/// What reading a pack takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) bytes: u64,
    pub(super) requests: u64,
}

impl Cost {
    /// Of a pack of so many bytes, with its parity.
    pub(super) fn of(size: u64, parity: Option<ParityRate>) -> Self {
        let parity = parity.and_then(|rate| rate.object_bytes(size).ok());
        let bytes = size.saturating_add(parity.unwrap_or(0));
        Self { bytes, requests: pieces(size).saturating_add(parity.map_or(0, pieces)) }
    }

    const fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), requests: self.requests.saturating_add(other.requests) }
    }
}

/// A pack as it waits for its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) pack: PackOrdinal,
    pub(super) cost: Cost,
    /// When it was read the last time; nothing where it never was, or is damaged by the record.
    pub(super) read: Option<Timestamp>,
}

impl Turn {
    /// The packs to read now, of all that there are.
    pub(super) fn choose(self, mut waiting: Vec<Waiting>, now: Timestamp) -> (Vec<PackOrdinal>, Behind) {
        let all = waiting.iter().fold(Cost::default(), |all, waiting| all.plus(waiting.cost));
        waiting.sort_by_key(|waiting| waiting.read.filter(|read| *read <= now).map(|read| read.seconds));
        let pace = share(all.bytes, self.interval, self.within);
        let (mut taken, mut chosen) = (Cost::default(), Vec::new());
        let costs: Vec<Cost> = waiting.iter().map(|waiting| waiting.cost).collect();
        let largest = |of: fn(&Cost) -> u64| costs.iter().map(of).max().unwrap_or(0);
        let requests = share(all.requests, self.interval, self.within);
        let mut behind = Behind {
            runs_for_all: self.budget.runs_for(&costs),
            bytes_needed: self.enough(&costs, pace, largest(|cost| cost.bytes), Budget::of_bytes),
            requests_needed: self.enough(&costs, requests, largest(|cost| cost.requests), Budget::of_requests),
            ..Behind::default()
        };
        let mut is_spent = false;
        for Waiting { pack, cost, read } in waiting {
            let is_due = read.is_none_or(|read| self.is_due(read, now));
            if !is_due && taken.bytes >= pace {
                continue;
            }
            let more = taken.plus(cost);
            is_spent |= !self.budget.allows(more) && !chosen.is_empty();
            if !is_spent {
                taken = more;
                chosen.push(pack);
            } else if is_due {
                (behind.packs, behind.bytes) = (behind.packs + 1, behind.bytes.saturating_add(cost.bytes));
            }
        }
        (chosen, behind)
    }

    /// What a run must have so that all is read in time: the even pace, and another pack where packs do not fit into that.
    fn enough(self, costs: &[Cost], pace: u64, largest: u64, budget: fn(u64) -> Budget) -> u64 {
        let runs = self.within.as_secs().checked_div(self.interval.as_secs()).unwrap_or(u64::MAX).max(1);
        if budget(pace).runs_for(costs) <= runs { pace } else { pace.saturating_add(largest) }
    }

    /// Whether a pack that was read then is to be read again. A time to come is none.
    fn is_due(self, read: Timestamp, now: Timestamp) -> bool {
        let age = u64::try_from(now.seconds.saturating_sub(read.seconds));
        age.map_or(true, |age| age >= self.within.as_secs())
    }
}

impl Budget {
    fn allows(self, cost: Cost) -> bool {
        self.bytes.is_none_or(|most| cost.bytes <= most) && self.requests.is_none_or(|most| cost.requests <= most)
    }

    const fn of_bytes(bytes: u64) -> Self {
        Self { bytes: Some(bytes), requests: None }
    }

    const fn of_requests(requests: u64) -> Self {
        Self { bytes: None, requests: Some(requests) }
    }

    /// Runs that it takes to read packs in this order. One is read whole or not at all, and each run reads one.
    fn runs_for(self, costs: &[Cost]) -> u64 {
        let (mut runs, mut taken): (u64, Option<Cost>) = (1, None);
        for cost in costs {
            let more = taken.map_or(*cost, |taken| taken.plus(*cost));
            let is_spent = taken.is_some() && !self.allows(more);
            runs = runs.saturating_add(u64::from(is_spent));
            taken = Some(if is_spent { *cost } else { more });
        }
        runs
    }
}

/// The part of a number that falls to one interval, rounded up; all of it where nothing says in which time.
fn share(all: u64, interval: Duration, within: Duration) -> u64 {
    let (interval, within) = (u128::from(interval.as_secs()), u128::from(within.as_secs()));
    if within == 0 || interval >= within {
        return all;
    }
    u64::try_from((u128::from(all) * interval).div_ceil(within)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(day: u64) -> Timestamp {
        Timestamp { seconds: i64::try_from(day * DAY).unwrap(), nanoseconds: 0 }
    }

    fn packs(read: &[Option<u64>]) -> Vec<Waiting> {
        let cost = Cost { bytes: 10, requests: 2 };
        (0..).map(PackOrdinal).zip(read).map(|(pack, read)| Waiting { pack, cost, read: read.map(at) }).collect()
    }

    fn turn(within: u64, budget: Budget) -> Turn {
        Turn { within: Duration::from_secs(within * DAY), interval: Duration::from_secs(DAY), budget }
    }

    fn bytes(bytes: u64) -> Budget {
        Budget { bytes: Some(bytes), requests: None }
    }

    /// The packs that are chosen on the hundredth day.
    fn chosen(turn: Turn, read: &[Option<u64>]) -> Vec<u32> {
        turn.choose(packs(read), at(100)).0.into_iter().map(|pack| pack.0).collect()
    }

    #[test]
    fn who_waits_the_longest_is_read_first_and_the_budget_is_not_exceeded() {
        let read = [Some(5), Some(3), None, Some(4)];
        assert_eq!(chosen(turn(90, bytes(30)), &read), [2, 1, 3]);
        assert_eq!(chosen(turn(90, bytes(29)), &read), [2, 1]);
        assert_eq!(chosen(turn(90, bytes(1)), &read), [2], "one is read however small the budget is");
        assert_eq!(chosen(turn(90, Budget { bytes: None, requests: Some(4) }), &read), [2, 1]);
    }

    #[test]
    fn what_is_not_due_is_read_at_an_even_pace() {
        let read: Vec<_> = (0..30).map(|number| Some(70 + number)).collect();
        assert_eq!(chosen(turn(31, Budget::default()), &read), [0], "a thirtieth a day");
        assert_eq!(chosen(turn(10, Budget::default()), &read).len(), 21, "what is due goes before the pace");
        assert_eq!(chosen(turn(0, bytes(50)), &read), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_reading_to_come_is_not_believed() {
        assert_eq!(chosen(turn(90, Budget::default()), &[Some(99), Some(200)]), [1]);
    }

    #[test]
    fn a_budget_that_is_too_small_says_what_would_do() {
        let (_, behind) = turn(5, bytes(20)).choose(packs(&[None; 30]), at(100));
        assert_eq!((behind.packs, behind.bytes, behind.runs_for_all), (28, 280, 15));
        assert_eq!((behind.bytes_needed, behind.requests_needed), (60, 12));
    }

    #[test]
    fn packs_are_read_whole_so_that_a_budget_may_be_too_small_by_a_part_of_one() {
        // Two packs of ten fit into 29 bytes, and not 2.9.
        let (_, behind) = turn(10, bytes(29)).choose(packs(&[None; 29]), at(100));
        assert_eq!((behind.runs_for_all, behind.bytes_needed), (15, 39));
        let (_, behind) = turn(10, bytes(39)).choose(packs(&[None; 29]), at(100));
        assert_eq!(behind.runs_for_all, 10);
    }

    #[test]
    fn everything_is_read_in_time_and_a_run_that_was_missed_is_made_good() {
        let turn = turn(10, bytes(40));
        let mut read = vec![None; 30];
        for day in (1..=60).filter(|day| day % 17 != 0) {
            let (chosen, _) = turn.choose(packs(&read), at(day));
            assert!(!chosen.is_empty() && chosen.len() <= 4);
            chosen.iter().for_each(|pack| read[pack.0 as usize] = Some(day));
            let oldest = read.iter().map(|read| read.unwrap_or(0)).min().unwrap();
            assert!(day < 12 || day - oldest <= 11, "on day {day} one was read on day {oldest}");
        }
    }
}
