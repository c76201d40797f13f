//! Tries transient failures again: with growing, random pauses, a limit on tries and one on time. A pause that makes somebody wait is reported.
//!
//! Owned here: the pause between tries, the verdict whether a put whose answer was lost has succeeded, and going on
//! with a body that breaks off ([`resume`]). Refused here: failures of any other class. Memory: none beyond the call's own.

mod destination;
mod resume;
mod source;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::wait::TOLD_AFTER;
use crate::{Error, Result, SourceInfo, Wait, Waits};

/// How long and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Shortest pause.
    pub pause_min: Duration,
    /// Longest pause, unless the remote asks for a longer one.
    pub pause_max: Duration,
    /// Tries of one call in all, the first included.
    pub tries_max: u32,
    /// Time from the first failure of a call after which no further try begins; a wish of the remote that reaches past it ends the tries at once.
    pub time_max: Duration,
}

impl Default for RetryPolicy {
    /// Rides out a remote that restarts, and gives up on one that is gone after five minutes.
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(200),
            pause_max: Duration::from_secs(20),
            tries_max: 10,
            time_max: Duration::from_secs(300),
        }
    }
}

/// A connector whose transient failures are tried again.
#[derive(Debug)]
pub struct Retry<T: ?Sized> {
    inner: Arc<T>,
    patience: Patience,
    /// What the source said of itself, asked for once.
    source_info: OnceCell<SourceInfo>,
}

impl<T: ?Sized> Retry<T> {
    /// Wraps a connector.
    #[must_use]
    pub fn new(inner: Arc<T>, policy: RetryPolicy) -> Self {
        Self { inner, patience: Patience { policy, waits: Waits::default() }, source_info: OnceCell::new() }
    }

    /// With somebody who hears what is waited for.
    #[must_use]
    pub fn telling(self, waits: Waits) -> Self {
        Self { patience: Patience { waits, ..self.patience }, ..self }
    }
}

/// How long and how often to try, and who hears of it.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    policy: RetryPolicy,
    waits: Waits,
}

/// Calls until it succeeds, fails for good, or the policy is spent.
async fn retried<T, F: Future<Output = Result<T>>>(patience: &Patience, mut call: impl FnMut() -> F) -> Result<T> {
    let mut tries = Tries::new(patience);
    loop {
        match call().await {
            Ok(done) => return Ok(done),
            Err(error) => tries.pause_after(error).await?,
        }
    }
}

/// The tries of one call so far.
#[derive(Debug)]
pub(super) struct Tries {
    patience: Patience,
    made: u32,
    pause: Duration,
    since: Option<Instant>,
}

impl Tries {
    pub(super) fn new(patience: &Patience) -> Self {
        Self { patience: patience.clone(), made: 0, pause: patience.policy.pause_min, since: None }
    }

    /// Waits until the next try may begin.
    ///
    /// # Errors
    /// The failure itself when it is not transient or the policy is spent; its message then says how often it was tried.
    pub(super) async fn pause_after(&mut self, error: Error) -> Result<()> {
        if !error.is_transient() {
            return Err(error);
        }
        let policy = self.patience.policy;
        let since = *self.since.get_or_insert_with(Instant::now);
        self.made = self.made.saturating_add(1);
        self.pause = between(policy.pause_min, self.pause.saturating_mul(3)).min(policy.pause_max);
        let pause = self.pause.max(error.retry_after.unwrap_or_default());
        if self.made >= policy.tries_max || since.elapsed().saturating_add(pause) > policy.time_max {
            return Err(given_up(error, self.made, since.elapsed()));
        }
        tracing::info!("trying again in {pause:.1?}, after {} tries: {}", self.made, error.message);
        if since.elapsed().saturating_add(pause) >= TOLD_AFTER {
            let Error { reason, message: cause, .. } = error;
            self.patience.waits.tell(&Wait { reason, cause, tries: self.made, next_in: Some(pause) });
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn given_up(mut error: Error, tries: u32, elapsed: Duration) -> Error {
    if tries > 1 {
        error.message = format!("{} (given up after {tries} tries in {} s)", error.message, elapsed.as_secs());
    }
    error
}

/// A random pause of the decorrelated kind, which spreads clients that failed together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
fn between(low: Duration, high: Duration) -> Duration {
    // Without randomness the pauses merely stop being spread.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    low.saturating_add(high.saturating_sub(low).mul_f64(f64::from(random) / f64::from(u32::MAX)))
}
