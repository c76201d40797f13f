//! A gate at which requests wait until a test lets them go on, so that a test meets a run in a state which would pass by otherwise.
//!
//! Owned here: who waits at the gate, and how a test learns of it. Which requests come to it is decided by a rule, see [`crate::Fault`]. Called by
//! [`crate::door`], by tests, and by whatever else stands before a server.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// It only ends a test that hangs: what is waited for comes as soon as the machine gets to it.
const WAIT_MAX: Duration = Duration::from_mins(5);

/// A gate that holds whoever comes to it until it is released, and nobody from then on; clones are the same gate.
#[derive(Clone, Default)]
pub struct Hold(Arc<Gate>);

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    /// One more is held.
    arrived: Condvar,
    released: Notify,
}

#[derive(Default)]
struct State {
    held: usize,
    is_released: bool,
}

/// Fewer requests were held than a test has waited for.
#[derive(Debug, thiserror::Error)]
#[error("{held} requests were held within {} s, where {wanted} were waited for", .within.as_secs())]
pub struct NotHeld {
    wanted: usize,
    held: usize,
    within: Duration,
}

impl Hold {
    /// How many requests are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.lock().held
    }

    /// Returns as soon as so many requests are held at once.
    ///
    /// # Errors
    /// When that does not come about within five minutes.
    pub fn wait_for(&self, number: usize) -> Result<(), NotHeld> {
        self.wait_within(number, WAIT_MAX)
    }

    fn wait_within(&self, wanted: usize, within: Duration) -> Result<(), NotHeld> {
        let too_few = |state: &mut State| state.held < wanted;
        let waited = self.0.arrived.wait_timeout_while(self.0.lock(), within, too_few);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.held < wanted { Err(NotHeld { wanted, held: state.held, within }) } else { Ok(()) }
    }

    /// Lets all go that are held, and whoever comes later.
    pub fn release(&self) {
        self.0.lock().is_released = true;
        self.0.released.notify_waiters();
    }

    /// Returns when the gate is released; what is dropped before is held no more.
    pub async fn pass(&self) {
        // Made before the look at the state, so that no release in between is missed.
        let released = self.0.released.notified();
        let Some(_held) = self.0.arrive() else { return };
        released.await;
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Hold {}

impl Gate {
    /// Counts one more until what is handed back is dropped; nothing when the gate is open.
    fn arrive(&self) -> Option<Held<'_>> {
        let mut state = self.lock();
        if state.is_released {
            return None;
        }
        state.held = state.held.saturating_add(1);
        self.arrived.notify_all();
        Some(Held(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Held<'a>(&'a Gate);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.held = state.held.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_is_held_until_the_release_and_nobody_after_it() {
        let hold = Hold::default();
        let passing: Vec<_> =
            (0..2).map(|_| hold.clone()).map(|hold| tokio::spawn(async move { hold.pass().await })).collect();
        let waiting = hold.clone();
        tokio::task::spawn_blocking(move || waiting.wait_for(2)).await.unwrap().unwrap();
        assert!(passing.iter().all(|one| !one.is_finished()));
        hold.release();
        for one in passing {
            one.await.unwrap();
        }
        assert_eq!(hold.held(), 0);
        hold.pass().await;
    }

    #[tokio::test]
    async fn whoever_gives_up_is_held_no_more() {
        let hold = Hold::default();
        let mut passing = Box::pin(hold.pass());
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(passing.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        assert_eq!(hold.held(), 1);
        drop(passing);
        assert_eq!(hold.held(), 0);
    }

    #[test]
    fn waiting_for_what_does_not_come_ends_and_says_what_was_wanted() {
        let missed = Hold::default().wait_within(3, Duration::ZERO).unwrap_err().to_string();
        assert_eq!(missed, "0 requests were held within 0 s, where 3 were waited for");
    }
}
