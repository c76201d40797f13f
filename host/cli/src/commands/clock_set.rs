//! When the clock of the machine was set, or has gone on while the machine slept: whoever waits by it looks again.
//!
//! Owned here: hearing of it, by a timer that ends never and is cancelled then (timerfd_create(2)). Called by `daemon`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Hears of it.
pub(super) struct ClockSet {
    timer: AsyncFd<OwnedFd>,
}

impl ClockSet {
    /// Hears of it from now on.
    ///
    /// # Errors
    /// When the system offers no such timer.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        arm(&timer)?;
        Ok(Self { timer: registered(timer)? })
    }

    /// Waits until it happens.
    pub(super) async fn next(&mut self) {
        loop {
            // A descriptor that cannot be waited for tells of nothing.
            let Ok(mut ready) = self.timer.readable().await else { return std::future::pending().await };
            let read = rustix::io::read(ready.get_inner(), &mut [0; 8]);
            ready.clear_ready();
            if read == Err(Errno::CANCELED) {
                // It has happened, whether it can be heard of again or not.
                let _ = arm(ready.get_inner());
                return;
            }
        }
    }
}

/// At the end of all time, which comes only by being cancelled.
fn arm(timer: &OwnedFd) -> io::Result<()> {
    let (never, once) = (Timespec { tv_sec: i64::MAX, tv_nsec: 0 }, Timespec { tv_sec: 0, tv_nsec: 0 });
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(timer, flags, &Itimerspec { it_interval: once, it_value: never })?;
    Ok(())
}

/// What it is called by now is unsafe, since a type might give away another descriptor than it owns: this one is owned.
#[expect(deprecated, reason = "its successor is unsafe, which is forbidden here")]
fn registered(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(timer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_clock_that_nobody_sets_tells_of_nothing() {
        let mut set = ClockSet::new().unwrap();
        let heard = tokio::time::timeout(Duration::from_millis(20), set.next()).await;
        assert!(heard.is_err(), "it would wake the daemon for nothing");
    }
}
