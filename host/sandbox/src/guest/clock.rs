//! How much time of a call was the guest's own: what passes while it runs, not while the host waits for a remote or for its turn.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::ticker::TICK_MS;

/// A guest is looked at with every tick, so that a longer stretch is not its own: the machine was busy elsewhere.
const STRETCH_MAX: Duration = Duration::from_millis(2 * TICK_MS);

/// The time of one call. It runs from [`Clock::resume`] to [`Clock::pause`].
#[derive(Debug)]
pub(crate) struct Clock {
    zero: Instant,
    /// Nanoseconds after `zero`.
    resumed_at: AtomicU64,
    own: AtomicU64,
}

impl Clock {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { zero: now, resumed_at: AtomicU64::new(0), own: AtomicU64::new(0) }
    }

    /// Forgets the call before.
    pub(crate) fn restart(&self, now: Instant) {
        self.own.store(0, Relaxed);
        self.resume(now);
    }

    /// The guest goes on.
    pub(crate) fn resume(&self, now: Instant) {
        self.resumed_at.store(self.nanoseconds(now), Relaxed);
    }

    /// The guest stops here, for a while or for good: what it has used so far.
    pub(crate) fn pause(&self, now: Instant) -> Duration {
        let now_at = self.nanoseconds(now);
        let stretch = Duration::from_nanos(now_at.saturating_sub(self.resumed_at.swap(now_at, Relaxed)));
        let stretch = u64::try_from(stretch.min(STRETCH_MAX).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.own.fetch_add(stretch, Relaxed).saturating_add(stretch))
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.zero).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_the_host_that_takes_no_time_gives_none_away() {
        let zero = Instant::now();
        let clock = Clock::new(zero);
        let mut now = zero;
        for _ in 0..1000 {
            now += Duration::from_millis(5);
            clock.pause(now);
            clock.resume(now);
        }
        assert_eq!(clock.pause(now), Duration::from_secs(5));
        clock.restart(now);
        assert_eq!(clock.pause(now), Duration::ZERO);
    }

    #[test]
    fn waiting_and_a_busy_machine_are_not_the_guests_own_time() {
        let zero = Instant::now();
        let clock = Clock::new(zero);
        clock.pause(zero + Duration::from_millis(3));
        clock.resume(zero + Duration::from_secs(60));
        assert_eq!(clock.pause(zero + Duration::from_secs(90)), Duration::from_millis(3) + STRETCH_MAX);
    }
}
