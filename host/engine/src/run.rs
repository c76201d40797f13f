//! What goes with a long operation: who hears of it, and how it is told to end.
//!
//! Owned here: the pair, so that every long operation takes the same. Refused here: the time, which the repository tells
//! ([`Repository::with_clock`](crate::Repository::with_clock)). Called by whoever starts a run.

use std::sync::Arc;

use crate::{Listener, NoEvents, Stop};

/// The context of one run. Clones belong to the same run.
#[derive(Clone)]
pub struct RunContext {
    /// Hears what happens.
    pub events: Arc<dyn Listener>,
    /// Ends the run early.
    pub stop: Stop,
}

impl RunContext {
    /// A run that tells `events` what happens, and goes on to its end.
    #[must_use]
    pub fn telling(events: Arc<dyn Listener>) -> Self {
        Self { events, stop: Stop::default() }
    }
}

/// A run that nobody listens to.
impl Default for RunContext {
    fn default() -> Self {
        Self::telling(Arc::new(NoEvents))
    }
}
