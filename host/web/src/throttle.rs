//! How often one may guess at a password: after some failures each takes its time.
//!
//! Failures are counted for the name that is tried and for the address that tries, so that neither many addresses nor many names help. Who goes on guessing
//! at a name can keep its user waiting, a minute each time, but not at an address from which the user has logged in since the server began: there, what is
//! tried from that address alone counts. Bound: [`BUCKETS`] counts and as many addresses of users, of some 32 bytes each, chosen by a secret hash; who shares a
//! count by chance waits for both, and of addresses that share a place the last is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blake3::Hash;
use credenza_engine::{Clock, Moment};

use crate::error::Result;
use crate::session::{has_passed, random_bytes};

/// Counts that are kept.
const BUCKETS: usize = 4096;
/// Failures that cost nothing.
const FREE: u32 = 5;
/// After so long without a failure they are forgotten.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// Who guesses, or at what.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guess<'a> {
    /// The name of a user.
    At(&'a str),
    /// The same at an address from which the user has logged in.
    Known(&'a str, &'a str),
    /// The name of a repository, at its passphrase.
    Opens(&'a str),
    /// An address, as [`line_of`](crate::door::line_of) has it.
    From(&'a str),
}

impl Guess<'_> {
    /// How long one waits at most.
    const fn wait_max(self) -> Duration {
        match self {
            // Others can cause it.
            Self::At(_) | Self::Known(..) | Self::Opens(_) => Duration::from_mins(1),
            Self::From(_) => Duration::from_mins(15),
        }
    }
}

/// Counts of failures.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    key: [u8; 32],
    counts: Mutex<Vec<Option<(u32, Moment)>>>,
    /// Hashes of users with addresses from which they have logged in.
    known: Mutex<Vec<Option<Hash>>>,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Result<Self> {
        let (counts, known) = (Mutex::new(vec![None; BUCKETS]), Mutex::new(vec![None; BUCKETS]));
        Ok(Self { clock, key: random_bytes()?, counts, known })
    }

    /// What an attempt at the password of a user counts for.
    pub(crate) fn at_password<'a>(&self, name: &'a str, address: &'a str) -> [Guess<'a>; 2] {
        let known = Guess::Known(name, address);
        let hash = self.hash(known);
        let is_known = self.known().get(bucket(&hash)) == Some(&Some(hash));
        [if is_known { known } else { Guess::At(name) }, Guess::From(address)]
    }

    /// Remembers that a user has logged in from an address, unless nobody knows which.
    pub(crate) fn know(&self, name: &str, address: &str) {
        let hash = self.hash(Guess::Known(name, address));
        if let Some(known) = self.known().get_mut(bucket(&hash)).filter(|_| !address.is_empty()) {
            *known = Some(hash);
        }
    }

    /// Takes down an attempt, which counts as a failure until it is [forgiven](Self::forgive); or says how long nothing is tried, and then nothing is
    /// counted.
    pub(crate) fn attempt(&self, guesses: &[Guess<'_>]) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut counts = self.counts();
        let waits = guesses.iter().filter_map(|guess| {
            let (failures, last) = (*counts.get(self.bucket(*guess))?)?;
            let pause = pause(failures, guess.wait_max());
            let passed = now.monotonic.saturating_sub(last.monotonic);
            (!has_passed(last, now, pause)).then(|| pause.saturating_sub(passed))
        });
        if let Some(longest) = waits.max() {
            return Err(longest);
        }
        for guess in guesses {
            let Some(count) = counts.get_mut(self.bucket(*guess)) else { continue };
            let before =
                count.filter(|(_, last)| !has_passed(*last, now, FORGOTTEN)).map_or(0, |(failures, _)| failures);
            *count = Some((before.saturating_add(1), now));
        }
        Ok(())
    }

    /// The attempt was right.
    pub(crate) fn forgive(&self, guesses: &[Guess<'_>]) {
        let mut counts = self.counts();
        for guess in guesses {
            if let Some(count) = counts.get_mut(self.bucket(*guess)) {
                *count = None;
            }
        }
    }

    fn bucket(&self, guess: Guess<'_>) -> usize {
        bucket(&self.hash(guess))
    }

    fn hash(&self, guess: Guess<'_>) -> Hash {
        let (sort, text, address) = match guess {
            Guess::At(name) => (b'n', name, ""),
            Guess::Known(name, address) => (b'k', name, address),
            Guess::Opens(name) => (b'o', name, ""),
            Guess::From(address) => (b'a', "", address),
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // No text in UTF-8 has a byte of 255, which keeps the two apart.
        hasher.update(&[sort]).update(text.as_bytes()).update(&[255]).update(address.as_bytes());
        hasher.finalize()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Option<Hash>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Option<(u32, Moment)>>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket(hash: &Hash) -> usize {
    let [low, high, ..] = *hash.as_bytes();
    usize::from(u16::from_le_bytes([low, high])) % BUCKETS
}

/// How long nothing is tried after so many failures: nothing, then a second, and twice as long each time.
fn pause(failures: u32, max: Duration) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1 << beyond.min(16)).min(max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::HandClock;

    #[test]
    fn guesses_take_their_time_and_what_was_right_is_forgiven() {
        let clock = HandClock::now_standing();
        let throttle = Throttle::new(Arc::clone(&clock) as _).unwrap();
        let guess = [Guess::At("ana"), Guess::From("192.0.2.1")];
        for _ in 0..FREE {
            assert_eq!(throttle.attempt(&guess), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60] {
            assert_eq!(throttle.attempt(&[Guess::At("ana")]), Err(Duration::from_secs(seconds)), "from everywhere");
            clock.advance(Duration::from_secs(seconds));
            assert_eq!(throttle.attempt(&[Guess::At("ana")]), Ok(()));
        }
        assert_eq!(throttle.attempt(&[Guess::At("bo")]), Ok(()), "others go on");
        throttle.forgive(&[Guess::At("ana")]);
        assert_eq!(throttle.attempt(&[Guess::At("ana")]), Ok(()));
    }

    #[test]
    fn what_others_guess_does_not_keep_a_user_waiting_where_that_user_has_logged_in() {
        let clock = HandClock::now_standing();
        // A key with which none of these share a count.
        let throttle = Throttle { key: [7; 32], ..Throttle::new(Arc::clone(&clock) as _).unwrap() };
        let try_from = |address: &str| throttle.attempt(&throttle.at_password("ana", address));
        throttle.know("ana", "192.0.2.1");
        throttle.know("ana", "");
        for _ in 0..FREE {
            assert_eq!(try_from("203.0.113.9"), Ok(()));
        }
        let second = Err(Duration::from_secs(1));
        assert_eq!((try_from("203.0.113.9"), try_from("198.51.100.7"), try_from("")), (second, second, second));
        for _ in 0..FREE {
            assert_eq!(try_from("192.0.2.1"), Ok(()), "at home");
        }
        assert_eq!(try_from("192.0.2.1"), second, "who guesses there waits as well");
    }

    #[test]
    fn an_address_waits_a_quarter_of_an_hour_at_most_and_is_forgotten_after_an_hour() {
        let clock = HandClock::now_standing();
        let throttle = Throttle::new(Arc::clone(&clock) as _).unwrap();
        let from = [Guess::From("192.0.2.1")];
        let mut attempts = 0;
        // Whatever is tried in a day: counted, not measured.
        for _ in 0..24 * 60 {
            attempts += u32::from(throttle.attempt(&from).is_ok());
            clock.advance(Duration::from_mins(1));
        }
        assert!((96..=115).contains(&attempts), "{attempts} a day");
        clock.advance(FORGOTTEN);
        assert_eq!((throttle.attempt(&from), throttle.attempt(&from)), (Ok(()), Ok(())));
    }
}
