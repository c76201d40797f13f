//! What time it is on this machine. It decides nothing but that a run has taken too long to commit, and when it describes what it has uploaded.
//!
//! Owned here: the clock, which tests replace, and the lease of a run. Called by `write` and `repository`.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use credenza_model::Timestamp;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::{Error, Result};

/// How long a collector leaves alone what a run has put without a snapshot: its intents, usage lists and packs. By the store's clock.
pub(crate) const LEASE: Duration = Duration::from_hours(7 * 24);
/// How long a run may take. The day between it and [`LEASE`] is for clocks that run at different speeds.
pub(crate) const RUN_MAX: Duration = Duration::from_hours(6 * 24);

/// A point in time by both clocks of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since some point in the past; it never goes back, and may stand still while the machine sleeps.
    pub monotonic: Duration,
    /// The calendar, which somebody may set.
    pub wall: Timestamp,
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Moment;

    /// Ends when so much time has passed.
    fn wait(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

/// The clocks of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static FIRST_LOOK: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Moment {
        Moment { monotonic: FIRST_LOOK.elapsed(), wall: Timestamp::from_system(SystemTime::now()) }
    }
}

/// How long a run is under way.
pub(crate) struct Lease {
    clock: Arc<dyn Clock>,
    began: Moment,
}

impl Lease {
    pub(crate) fn begin(clock: Arc<dyn Clock>) -> Self {
        Self { began: clock.now(), clock }
    }

    /// The calendar now.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Ends when so much time has passed.
    pub(crate) async fn wait(&self, time: Duration) {
        self.clock.wait(time).await;
    }

    /// Whether the run has taken longer than it may.
    pub(crate) fn is_over(&self) -> bool {
        self.is_longer_than(RUN_MAX)
    }

    /// Whether the run has taken longer, by either clock: one stands still in sleep, the other may be set.
    pub(crate) fn is_longer_than(&self, time: Duration) -> bool {
        let now = self.clock.now();
        let slept = now.wall.seconds.saturating_sub(self.began.wall.seconds);
        let awake = now.monotonic.saturating_sub(self.began.monotonic);
        awake > time || slept > seconds(time)
    }

    /// # Errors
    /// [`Error::LeaseExpired`] when the lease is over.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_over() { Err(Error::LeaseExpired { days: RUN_MAX.as_secs() / 86_400 }) } else { Ok(()) }
    }
}

/// Until when collectors leave alone what the store wrote at `modified`.
pub(crate) fn lease_end(modified: Timestamp) -> Timestamp {
    Timestamp { seconds: modified.seconds.saturating_add(seconds(LEASE)), ..modified }
}

/// Whether what the store wrote at `modified` has outlived its lease. What has no time never has.
pub(crate) fn is_expired(modified: Option<Timestamp>, store_now: Timestamp) -> bool {
    modified.is_some_and(|modified| store_now.seconds.saturating_sub(modified.seconds) > seconds(LEASE))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
