//! Bounds the requests in flight and finds the bound by itself: one more for each round of success, half as many when
//! the remote says slow down (additive increase, multiplicative decrease; Chiu and Jain, 1989).
//!
//! A slot is held for the call, not for the body that it returns: a caller may hold any number of unread bodies without
//! stopping its own next call. Calls that wait are served in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::gated::{Gate, Gated};
use crate::{Error, Result};

/// How many requests may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitPolicy {
    /// At the beginning.
    pub start: u32,
    /// However often the remote says slow down; at least 1.
    pub min: u32,
    /// However well it goes.
    pub max: u32,
}

impl Default for LimitPolicy {
    /// Enough to hide the latency of a distant remote; S3 takes thousands of requests a second per prefix.
    fn default() -> Self {
        Self { start: 8, min: 1, max: 32 }
    }
}

/// A connector with a bound on requests in flight.
pub type Limit<T> = Gated<T, Slots>;

impl<T: ?Sized> Limit<T> {
    /// Wraps a connector.
    #[must_use]
    pub fn new(inner: Arc<T>, policy: LimitPolicy) -> Self {
        let policy = LimitPolicy { min: policy.min.max(1), max: policy.max.max(policy.min).max(1), ..policy };
        let allowed = f64::from(policy.start.clamp(policy.min, policy.max));
        let state = State { allowed, in_flight: 0, begun: 0, slowed_at: 0 };
        Self { inner, gate: Arc::new(Slots { policy, state: Mutex::new(state), freed: Notify::new() }) }
    }

    /// Requests that may be in flight now.
    #[must_use]
    pub fn allowed(&self) -> u32 {
        self.gate.lock().allowed as u32
    }
}

/// The slots of a connector.
#[derive(Debug)]
pub struct Slots {
    policy: LimitPolicy,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    allowed: f64,
    in_flight: u32,
    /// Calls begun so far.
    begun: u64,
    /// `begun` when the remote last said slow down: complaints of calls begun before tell nothing new.
    slowed_at: u64,
}

/// A slot, given back when dropped.
struct Slot<'a> {
    gate: &'a Slots,
    number: u64,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.gate.freed.notify_one();
    }
}

impl Gate for Slots {
    fn call<R: Send>(&self, call: impl Future<Output = Result<R>> + Send) -> impl Future<Output = Result<R>> + Send {
        self.run(call)
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self) -> Slot<'_> {
        loop {
            let freed = self.freed.notified();
            if let Some(slot) = self.try_enter() {
                return slot;
            }
            freed.await;
        }
    }

    fn try_enter(&self) -> Option<Slot<'_>> {
        let mut state = self.lock();
        if f64::from(state.in_flight) + 1.0 > state.allowed {
            return None;
        }
        state.in_flight = state.in_flight.saturating_add(1);
        state.begun = state.begun.saturating_add(1);
        if f64::from(state.in_flight) + 1.0 <= state.allowed {
            self.freed.notify_one();
        }
        Some(Slot { gate: self, number: state.begun })
    }

    async fn run<R>(&self, call: impl Future<Output = Result<R>>) -> Result<R> {
        let slot = self.enter().await;
        let done = call.await;
        match &done {
            Err(error) if says_slow_down(error) => self.slow_down(slot.number),
            Err(error) if error.is_transient() => {}
            _ => self.speed_up(),
        }
        done
    }

    fn speed_up(&self) {
        let mut state = self.lock();
        state.allowed = (state.allowed + 1.0 / state.allowed).min(f64::from(self.policy.max));
    }

    fn slow_down(&self, number: u64) {
        let mut state = self.lock();
        if number > state.slowed_at {
            state.slowed_at = state.begun;
            state.allowed = (state.allowed / 2.0).max(f64::from(self.policy.min));
        }
    }
}

/// Whether an answer means too many requests, by the words that connectors use in `reason` or by a wish to be left alone.
fn says_slow_down(error: &Error) -> bool {
    let words = ["slow-down", "503", "429", "throttl", "too-many"];
    let is_answer = error.is_transient() && !error.is_unanswered();
    is_answer && (error.retry_after.is_some() || words.iter().any(|word| error.reason.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    fn limit(start: u32, min: u32, max: u32) -> Limit<()> {
        Limit::new(Arc::new(()), LimitPolicy { start, min, max })
    }

    async fn fail(gate: &Slots, reason: &str) {
        let _ = gate.run::<()>(async { Err(Error::new(ErrorClass::Transient, reason, "")) }).await;
    }

    #[tokio::test]
    async fn no_more_calls_are_in_flight_than_allowed_and_all_get_their_turn() {
        let limit = Arc::new(limit(3, 1, 3));
        let seen = Arc::new(Mutex::new((0, 0, 0)));
        let calls = (0..50).map(|_| {
            let (limit, seen) = (Arc::clone(&limit), Arc::clone(&seen));
            tokio::spawn(async move {
                let call = async {
                    let now = {
                        let mut seen = seen.lock().unwrap();
                        seen.0 += 1;
                        seen.1 = seen.1.max(seen.0);
                        seen.0
                    };
                    tokio::task::yield_now().await;
                    let mut seen = seen.lock().unwrap();
                    seen.0 -= 1;
                    seen.2 += 1;
                    Ok(now)
                };
                limit.gate.run(call).await
            })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(call.await.unwrap().unwrap() <= 3);
        }
        assert_eq!(*seen.lock().unwrap(), (0, 3, 50));
    }

    #[tokio::test]
    async fn slow_down_halves_success_adds_and_other_failures_change_nothing() {
        let limit = limit(16, 2, 18);
        fail(&limit.gate, "s3.slow-down").await;
        assert_eq!(limit.allowed(), 8);
        fail(&limit.gate, "dns").await;
        assert_eq!(limit.allowed(), 8);
        for _ in 0..5 {
            fail(&limit.gate, "http.503").await;
        }
        assert_eq!(limit.allowed(), 2);
        for _ in 0..1000 {
            limit.gate.run(async { Ok(()) }).await.unwrap();
        }
        assert_eq!(limit.allowed(), 18);
    }

    #[tokio::test]
    async fn nobody_who_does_not_answer_says_slow_down_whatever_the_time_of_the_next_try() {
        let limit = limit(16, 2, 18);
        let gone = Error {
            retry_after: Some(std::time::Duration::from_secs(2)),
            ..Error::new(ErrorClass::Transient, "connect", "")
        };
        limit.gate.run::<()>(async { Err(gone) }).await.unwrap_err();
        assert_eq!(limit.allowed(), 16);
    }

    #[tokio::test]
    async fn one_wave_of_complaints_counts_once() {
        let limit = limit(16, 1, 16);
        let failing = (0..16).map(|_| {
            let gate = Arc::clone(&limit.gate);
            async move {
                gate.run::<()>(async {
                    tokio::task::yield_now().await;
                    Err(Error::new(ErrorClass::Transient, "s3.slow-down", ""))
                })
                .await
            }
        });
        futures_util::future::join_all(failing).await;
        assert_eq!(limit.allowed(), 8);
    }
}
