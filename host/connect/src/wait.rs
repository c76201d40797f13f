//! What is waited for, told to a person: another try of what failed, or an answer that does not come.
//!
//! Owned here: how often the same is reported. Refused here: waiting itself (`wrap::Retry`, the sandbox's connections), and printing. Kept: a few
//! words for each cause, [`CAUSES_MAX`] of them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is waited for so long is reported.
pub(crate) const TOLD_AFTER: Duration = Duration::from_secs(2);
/// The same cause is reported again after this time, and each time after twice as long as before.
const AGAIN_MIN: Duration = Duration::from_secs(30);
/// But no later than this.
const AGAIN_MAX: Duration = Duration::from_mins(10);
/// Causes that are kept apart; of more, the oldest is forgotten, and reported again.
const CAUSES_MAX: usize = 16;

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Short machine-readable cause, such as `connect` or `s3.slow-down`.
    pub reason: String,
    /// For a person: what happened, to what.
    pub cause: String,
    /// Tries that were made; what is reported without any waits for the answer to the one under way.
    pub tries: u32,
    /// Time until the next try, if there is one to come.
    pub next_in: Option<Duration>,
}

/// Hears what is waited for, from any thread; must not block for long.
pub trait WaitListener: Send + Sync {
    /// One wait, which has just begun or goes on.
    fn on_wait(&self, wait: &Wait);
}

/// Tells waits to a listener: each cause once, then less and less often. Clones share what was reported.
#[derive(Clone, Default)]
pub struct Waits(Option<Arc<Inner>>);

struct Inner {
    listener: Arc<dyn WaitListener>,
    reported: Mutex<Vec<Reported>>,
}

struct Reported {
    reason: String,
    at: Instant,
    /// How long nothing more is reported of it.
    rest: Duration,
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Waits(told)" } else { "Waits(untold)" })
    }
}

impl Waits {
    /// Waits that somebody hears of; those of [`Default`] nobody does.
    #[must_use]
    pub fn told_to(listener: Arc<dyn WaitListener>) -> Self {
        Self(Some(Arc::new(Inner { listener, reported: Mutex::default() })))
    }

    /// Tells of one, unless its cause was reported lately.
    pub fn tell(&self, wait: &Wait) {
        if let Some(inner) = &self.0
            && inner.is_due(&wait.reason, Instant::now())
        {
            inner.listener.on_wait(wait);
        }
    }
}

impl Inner {
    /// Whether a cause is to be reported now, which is noted. One that was not heard of for twice its rest is a new one.
    fn is_due(&self, reason: &str, now: Instant) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let place = reported.iter().position(|reported| reported.reason == reason);
        let rest = match place.and_then(|place| reported.get(place)) {
            Some(last) if now.duration_since(last.at) < last.rest => return false,
            Some(last) if now.duration_since(last.at) < last.rest.saturating_mul(2) => {
                last.rest.saturating_mul(2).min(AGAIN_MAX)
            }
            _ => AGAIN_MIN,
        };
        if let Some(place) = place {
            reported.remove(place);
        } else if reported.len() >= CAUSES_MAX {
            reported.remove(0);
        }
        reported.push(Reported { reason: reason.to_owned(), at: now, rest });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(String, u64)>>);

    impl WaitListener for Heard {
        fn on_wait(&self, wait: &Wait) {
            self.0.lock().unwrap().push((wait.reason.clone(), u64::from(wait.tries)));
        }
    }

    fn waits() -> (Waits, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        (Waits::told_to(Arc::clone(&heard) as Arc<dyn WaitListener>), heard)
    }

    fn wait(reason: &str, tries: u32) -> Wait {
        Wait { reason: reason.to_owned(), cause: "it is away".to_owned(), tries, next_in: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_told_once_and_then_less_and_less_often() {
        let (waits, heard) = waits();
        for second in 0..3600 {
            waits.clone().tell(&wait("connect", second));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let at: Vec<u64> = heard.0.lock().unwrap().iter().map(|(_, second)| *second).collect();
        assert_eq!(at, [0, 30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_cause_is_told_at_once_and_one_that_comes_back_is_new() {
        let (waits, heard) = waits();
        for reason in ["connect", "s3.slow-down", "connect"] {
            waits.tell(&wait(reason, 0));
        }
        tokio::time::advance(AGAIN_MIN * 2).await;
        waits.tell(&wait("connect", 1));
        tokio::time::advance(AGAIN_MIN).await;
        waits.tell(&wait("connect", 2));
        let reported: Vec<String> =
            heard.0.lock().unwrap().iter().map(|(reason, tries)| format!("{reason} {tries}")).collect();
        assert_eq!(reported, ["connect 0", "s3.slow-down 0", "connect 1", "connect 2"]);
    }

    #[test]
    fn causes_that_are_never_the_same_take_no_more_memory() {
        let (waits, heard) = waits();
        (0..1000).for_each(|number| waits.tell(&wait(&number.to_string(), 0)));
        assert_eq!(heard.0.lock().unwrap().len(), 1000);
        assert_eq!(waits.0.unwrap().reported.lock().unwrap().len(), CAUSES_MAX);
    }
}
