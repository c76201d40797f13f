//! What runs need: the program, the record, the time, and what ends them early.
//!
//! Owned here: opening a repository as a file of jobs names it, and limits that follow the time of day. Refused here: what a run does. Each kind of run begins
//! with it: `run`, `verify`, `replicate`, `mirror`.

use std::time::Duration;

use credenza_engine::{Clock, Stop};
use jiff::tz::TimeZone;

use super::limits::Limits;
use super::outcome::Ending;
use super::schedule::instant;
use super::sections::job::Job;
use super::state::State;
use crate::app::App;
use crate::error::Error;
use crate::open::StoreUse;
use crate::repository::OpenRepository;

/// How often a run looks whether other limits hold by now.
const LIMITS_EVERY: Duration = Duration::from_mins(1);

/// What runs need.
pub struct Runner<'a> {
    /// The program.
    pub app: &'a App,
    /// Where the record is.
    pub state: &'a State,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Ends the run early, in good order.
    pub stop: &'a Stop,
}

impl Runner<'_> {
    /// Does something within limits that follow the time of day.
    pub(super) async fn limited(
        &self,
        limits: &Limits,
        zone: &TimeZone,
        work: impl AsyncFnOnce(&Runner<'_>) -> Ending,
    ) -> Ending {
        if limits.is_empty() {
            return work(self).await;
        }
        let rates = limits.rates(instant(self.clock.now().wall), zone);
        let app = self.app.clone().with_rates(rates.clone());
        let limited = Runner { app: &app, ..*self };
        let mut work = std::pin::pin!(work(&limited));
        loop {
            tokio::select! {
                ending = &mut work => return ending,
                () = self.clock.wait(LIMITS_EVERY) => limits.hold(&rates, instant(self.clock.now().wall), zone),
            }
        }
    }

    /// Opens the repository of a job.
    ///
    /// # Errors
    /// When its place, its secret or the repository itself cannot be had.
    pub async fn open(&self, job: &Job, purpose: StoreUse) -> Result<OpenRepository, Error> {
        self.open_named(&job.repository, purpose).await
    }

    /// The same of one that is named as a file of jobs does.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_named(&self, repository: &str, purpose: StoreUse) -> Result<OpenRepository, Error> {
        self.app.open_named(repository, purpose).await
    }
}
