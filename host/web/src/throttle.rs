//! How often one may guess at a password: after some failures each takes its time.
//!
//! Failures are counted for the name that is tried and for the address that tries, so that neither many addresses nor many names help. Others can make
//! somebody wait by that, a minute at most. Bound: [`BUCKETS`] counts of 32 bytes, chosen by a secret hash; who shares one by chance waits for both.

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
            Self::At(_) | Self::Opens(_) => Duration::from_mins(1),
            Self::From(_) => Duration::from_mins(15),
        }
    }
}

/// Counts of failures.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    key: [u8; 32],
    counts: Mutex<Vec<Option<(u32, Moment)>>>,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self { clock, key: random_bytes()?, counts: Mutex::new(vec![None; BUCKETS]) })
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
        let (sort, text) = match guess {
            Guess::At(name) => (b'n', name),
            Guess::Opens(name) => (b'o', name),
            Guess::From(address) => (b'a', address),
        };
        let hash: Hash = blake3::Hasher::new_keyed(&self.key).update(&[sort]).update(text.as_bytes()).finalize();
        let [low, high, ..] = *hash.as_bytes();
        usize::from(u16::from_le_bytes([low, high])) % BUCKETS
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Option<(u32, Moment)>>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
