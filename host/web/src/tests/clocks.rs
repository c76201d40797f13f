//! Clocks that go as a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_engine::{Clock, Moment, SystemClock};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

/// A clock that stands until it is moved.
pub(crate) struct HandClock(Mutex<Moment>);

impl HandClock {
    pub(crate) fn now_standing() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock.now())))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += by;
        now.wall.seconds += i64::try_from(by.as_secs()).unwrap();
    }
}

impl Clock for HandClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

/// A clock that tells when somebody waits, and ends all waits when it is told to.
pub(crate) struct SteppedClock {
    waits: watch::Sender<usize>,
    seen: Mutex<usize>,
    end: Arc<Notify>,
    /// How much later it is than by the clock of the system.
    ahead: Mutex<Duration>,
}

impl SteppedClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            waits: watch::Sender::new(0),
            seen: Mutex::new(0),
            end: Arc::new(Notify::new()),
            ahead: Mutex::default(),
        })
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap() += by;
    }

    /// How often somebody has begun to wait.
    pub(crate) fn waits(&self) -> usize {
        *self.waits.borrow()
    }

    /// Returns when somebody has begun to wait since the last time that this was asked.
    pub(crate) async fn until_waited_for(&self) {
        let before = *self.seen.lock().unwrap();
        let now = *self.waits.subscribe().wait_for(|waits| *waits > before).await.unwrap();
        *self.seen.lock().unwrap() = now;
    }

    /// Ends all waits that are under way.
    pub(crate) fn end_all(&self) {
        self.end.notify_waiters();
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Moment {
        let mut now = SystemClock.now();
        let ahead = *self.ahead.lock().unwrap();
        now.monotonic += ahead;
        now.wall.seconds += i64::try_from(ahead.as_secs()).unwrap();
        now
    }

    fn wait(&self, _: Duration) -> BoxFuture<'static, ()> {
        let end = Arc::clone(&self.end);
        // It counts from when it is asked for, not from when it is first looked at.
        let ended = end.notified_owned();
        self.waits.send_modify(|waits| *waits += 1);
        ended.boxed()
    }
}
