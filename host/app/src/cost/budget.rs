//! A budget: the most that a run may spend on requests, bytes and money.
//!
//! It is asked before each call of a connector. When what is left is only the reserve, the run is asked to end; the reserve is for what it puts in order then:
//! small objects that say what was done. No call is made that is known to go beyond the budget; how many bytes an object has that is read whole is known
//! only once the call is answered, and so the bytes of those under way then may.
//!
//! Owned here: what was spent, and that. Refused here: ending in good order (the engine), prices (`prices`). Called by whoever opens places.

use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credenza_connect::wrap::{Admit, Spent};
use credenza_engine::Stop;

use super::money::Money;
use super::prices::Price;
use crate::units::parse_size;

/// Bytes that are kept for putting things in order: an index segment, a note.
const RESERVE_BYTES: u64 = 2 * 1024 * 1024;
/// Requests for the same.
const RESERVE_REQUESTS: u64 = 12;
/// The reserve is no larger than this share of the budget: one of so many.
const RESERVE_SHARE: u64 = 4;
/// Calls of more bytes are not for putting things in order.
const SMALL_BYTES: u64 = 1024 * 1024;

/// The most that may be spent; what is `None` is not bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes both ways.
    pub bytes: Option<u64>,
    /// Requests of every class.
    pub requests: Option<u64>,
    /// Money, in the currency of the table of prices.
    pub money: Option<Money>,
}

impl Limits {
    /// Adds what a text such as `bytes=20GiB`, `requests=20000` or `money=0.50` says; several with commas between them.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or("write bytes=20GiB, requests=20000 or money=0.50")?;
            match name {
                "bytes" => limits.bytes = Some(positive(parse_size(value)?)?),
                "requests" => {
                    let requests = value.parse().map_err(|_| format!("`{value}` is no number of requests"))?;
                    limits.requests = Some(positive(requests)?);
                }
                "money" => limits.money = Some(Money::parse(value)?),
                other => {
                    return Err(format!("`{other}` is nothing that a budget bounds: there are bytes, requests, money"));
                }
            }
        }
        Ok(limits)
    }

    fn is_exceeded(&self, total: &Total) -> bool {
        self.bytes.is_some_and(|most| total.spent.bytes() > most)
            || self.requests.is_some_and(|most| total.spent.requests() > most)
            || self.money.is_some_and(|most| total.money > most)
    }

    /// Without the reserve.
    fn without_reserve(&self) -> Self {
        let less = |most: u64, reserve: u64| most - reserve.min(most / RESERVE_SHARE);
        let money = |most: Money| Money::of_millionths(most.millionths() - most.millionths() / (4 * RESERVE_SHARE));
        Self {
            bytes: self.bytes.map(|most| less(most, RESERVE_BYTES)),
            requests: self.requests.map(|most| less(most, RESERVE_REQUESTS)),
            money: self.money.map(money),
        }
    }
}

fn positive(number: u64) -> Result<u64, String> {
    if number == 0 { Err("a budget of nothing lets nothing be done".to_owned()) } else { Ok(number) }
}

impl Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.map(|bytes| format!("{bytes} bytes"));
        let requests = self.requests.map(|requests| format!("{requests} requests"));
        let money = self.money.map(|money| format!("{money} in money"));
        let parts: Vec<String> = [bytes, requests, money].into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// What was spent over all places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Requests and bytes.
    pub spent: Spent,
    /// Money, of places whose price is known.
    pub money: Money,
}

/// A budget that is being spent.
pub struct Budget {
    limits: Limits,
    stop: Stop,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: Total,
    /// What was spent at each price: an amount is rounded up once, not with each call.
    priced: Vec<(Arc<Price>, Spent)>,
    is_reached: bool,
}

impl Budget {
    /// Ends a run by `stop` before it spends more.
    #[must_use]
    pub fn new(limits: Limits, stop: Stop) -> Arc<Self> {
        Arc::new(Self { limits, stop, state: Mutex::default() })
    }

    /// The most that may be spent.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was spent, where the run was asked to end for it.
    #[must_use]
    pub fn reached(&self) -> Option<Total> {
        let state = self.lock();
        state.is_reached.then_some(state.total)
    }

    /// Whether calls of a connector may be made. A folder is charged no requests.
    pub(crate) fn admit(self: &Arc<Self>, price: Option<Arc<Price>>, is_folder: bool) -> Admit {
        let budget = Arc::clone(self);
        if let Some(price) = &price {
            let mut state = budget.lock();
            if !state.priced.iter().any(|(known, _)| known == price) {
                state.priced.push((Arc::clone(price), Spent::default()));
            }
        }
        Arc::new(move |cost| {
            let spent = match is_folder {
                true => Spent { bytes_up: cost.bytes_up, bytes_down: cost.bytes_down, ..Spent::default() },
                false => *cost,
            };
            // What was spent already is known only now.
            let is_made = cost.requests() == 0;
            let is_small = cost.put + cost.delete > 0 && cost.bytes() <= SMALL_BYTES;
            budget.spend(spent, price.as_ref(), is_made, is_small)
        })
    }

    fn spend(&self, cost: Spent, price: Option<&Arc<Price>>, is_made: bool, is_small: bool) -> bool {
        let mut state = self.lock();
        let then = |(of, so_far): &(Arc<Price>, Spent)| match price == Some(of) {
            true => so_far.plus(cost),
            false => *so_far,
        };
        let money = state.priced.iter().map(|one| one.0.of(&then(one))).fold(Money::default(), Money::plus);
        let total = Total { spent: state.total.spent.plus(cost), money };
        let is_in_reserve = self.limits.without_reserve().is_exceeded(&total);
        let is_admitted = is_made || !self.limits.is_exceeded(&total) && (!is_in_reserve || is_small);
        if is_admitted {
            state.total = total;
            for one in &mut state.priced {
                one.1 = then(one);
            }
        }
        let is_new = is_in_reserve && !state.is_reached;
        state.is_reached |= is_in_reserve;
        drop(state);
        if is_new {
            self.stop.request();
        }
        is_admitted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::prices::Prices;

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        let all = Limits::parse("bytes=20GiB,requests=20000,money=0.50").unwrap();
        assert_eq!((all.bytes, all.requests), (Some(20 << 30), Some(20_000)));
        assert_eq!(all.money, Some(Money::of_millionths(500_000)));
        for wrong in ["", "bytes", "bytes=much", "requests=0", "byte=1", "money=1e3"] {
            assert!(Limits::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_spent_beyond_a_budget_and_the_reserve_is_for_small_writes() {
        let stop = Stop::default();
        let budget = Budget::new(Limits::parse("requests=100").unwrap(), stop.clone());
        let admit = budget.admit(None, false);
        let (get, put) = (Spent { get: 1, ..Spent::default() }, Spent { put: 1, bytes_up: 1000, ..Spent::default() });
        assert_eq!((0..200).filter(|_| admit(&get)).count(), 88);
        assert!(stop.is_requested() && budget.reached().is_some());
        assert_eq!((0..200).filter(|_| admit(&put)).count(), 12);
        assert_eq!(budget.reached().unwrap().spent.requests(), 100);
    }

    #[test]
    fn an_amount_is_rounded_once_and_not_with_each_call() {
        let price = Prices::read(None).unwrap().of_server("https://s3.eu-west-1.amazonaws.com/backups").unwrap();
        let budget = Budget::new(Limits::default(), Stop::default());
        let places = [budget.admit(Some(Arc::clone(&price)), false), budget.admit(Some(Arc::clone(&price)), false)];
        let get = Spent { get: 1, ..Spent::default() };
        assert!(places.iter().all(|admit| (0..500).all(|_| admit(&get))));
        assert_eq!(budget.lock().total.money, price.of(&Spent { get: 1000, ..Spent::default() }));
    }

    #[test]
    fn a_folder_is_charged_bytes_alone() {
        let budget = Budget::new(Limits::parse("requests=2,bytes=1000").unwrap(), Stop::default());
        let admit = budget.admit(None, true);
        let put = Spent { put: 1, bytes_up: 100, ..Spent::default() };
        assert!((0..7).all(|_| admit(&put)));
        assert_eq!(budget.lock().total.spent, Spent { bytes_up: 700, ..Spent::default() });
    }
}
