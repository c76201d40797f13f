//! Whether promises are kept: how old the newest good snapshot of each source is, measured at the repository and by the time of its store.
//!
//! Owned here: the measure and what it means. Refused here: the record of runs, which proves nothing: a run that said it was done is not asked.

use std::time::Duration;

use credenza_engine::{SnapshotHandle, Snapshots};
use credenza_model::{SnapshotId, Timestamp};
use jiff::SignedDuration;
use serde::Serialize;

use super::file::Job;
use super::run::{of_job, sources};
use super::runner::Runner;
use super::schedule::{instant, later};
use crate::app::App;
use crate::error::Error;
use crate::open::StoreUse;
use crate::repository::OpenRepository;

/// A promise that has used so much of its time is at risk, unless a run comes in time.
pub(super) const RISK_PERCENT: u64 = 80;

/// What is promised of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The newest good snapshot is never older.
    pub age: Duration,
    /// From this age on that is at risk.
    pub risk: Duration,
}

impl Promise {
    /// One that nothing is done for by itself.
    #[must_use]
    pub const fn of(age: Duration) -> Self {
        Self { age, risk: Duration::from_secs(age.as_secs().saturating_mul(RISK_PERCENT).div_ceil(100)) }
    }

    /// That of a job, after a newest good snapshot of that time. Where the next run is due before the promise is broken, that it is not there yet is no risk:
    /// that begins when half of the time between has passed and it has brought nothing.
    #[must_use]
    pub fn of_job(job: &Job, newest: Timestamp) -> Option<Self> {
        let promise = Self::of(job.promise?);
        let newest = instant(newest);
        let made_for = newest.checked_add(CLOCKS_APART).unwrap_or(newest);
        let next =
            job.schedule.next_after(made_for).and_then(|due| Duration::try_from(due.duration_since(newest)).ok());
        let Some(left) = next.and_then(|next| promise.age.checked_sub(next)) else { return Some(promise) };
        Some(Self { risk: promise.risk.max(promise.age.saturating_sub(left / 2)), ..promise })
    }
}

/// The clocks of a store and of this machine are no more than that apart: what a store dates so little before a due time was made for that one.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(1);
/// As sharp as times are looked at.
const SECOND: Duration = Duration::from_secs(1);

/// How a promise stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// It is kept.
    Kept,
    /// It is kept, and will not be for long.
    Risk,
    /// It is broken.
    Broken,
}

/// The promise for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The job.
    pub job: String,
    /// The source, as its snapshots have it.
    pub source: String,
    /// The newest snapshot in which nothing failed.
    pub snapshot: Option<SnapshotId>,
    /// When it was made, by the time of the store.
    pub time: Option<Timestamp>,
    /// Seconds that are left until the promise is broken; negative where it is.
    pub slack: i64,
    /// How it stands.
    pub kept: Kept,
}

/// How the promise of a job stands for each of its sources; nothing where it gives none.
///
/// # Errors
/// When the repository cannot be opened and listed: then nothing is known, which is no promise kept.
pub async fn measure(runner: &Runner<'_>, job: &Job) -> Result<Vec<Standing>, Error> {
    if job.promise.is_none() {
        return Ok(Vec::new());
    }
    measure_in(&runner.open(job, StoreUse::Write).await?, runner.app, job).await
}

/// The same in a repository that is open.
///
/// # Errors
/// When the repository cannot be listed.
pub(super) async fn measure_in(open: &OpenRepository, app: &App, job: &Job) -> Result<Vec<Standing>, Error> {
    let Some(promise) = job.promise else { return Ok(Vec::new()) };
    let sources = sources(app, job)?;
    let snapshots = open.repository.snapshots_by_age().await?.filtered(&of_job(job));
    Ok(sources.into_iter().map(|source| standing(job, source, promise, &snapshots)).collect())
}

/// How the promise of a job stands for a newest good snapshot of that time, where nothing newer is known.
pub(super) fn judge_at(job: &Job, time: Timestamp, now: Timestamp) -> Kept {
    Promise::of_job(job, time).map_or(Kept::Kept, |promise| judge(promise, Some(time), now).1)
}

/// When the promise of a job becomes worse by the clock alone, for a newest good snapshot of that time; nothing where it is broken.
pub(super) fn next_change(job: &Job, time: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let promise = Promise::of_job(job, time)?;
    let changes = [promise.risk, promise.age.saturating_add(SECOND)].map(|age| later(time, age));
    changes.into_iter().find(|change| *change > now)
}

fn standing(job: &Job, source: String, promise: Duration, snapshots: &Snapshots) -> Standing {
    // What is dated after now says nothing of when it was made.
    let is_good = |handle: &&SnapshotHandle| {
        let snapshot = &handle.snapshot;
        snapshot.source.location == source && snapshot.statistics.errors == 0 && !snapshots.is_ahead(handle)
    };
    let newest = snapshots.whole.iter().rfind(is_good);
    let time = newest.and_then(SnapshotHandle::time);
    let promise = time.and_then(|time| Promise::of_job(job, time)).unwrap_or(Promise::of(promise));
    let (slack, kept) = judge(promise, time, snapshots.now);
    Standing { job: job.name.clone(), source, snapshot: newest.map(|newest| newest.snapshot.id), time, slack, kept }
}

/// Seconds that are left, and what that means.
pub(crate) fn judge(promise: Promise, time: Option<Timestamp>, now: Timestamp) -> (i64, Kept) {
    let seconds = i64::try_from(promise.age.as_secs()).unwrap_or(i64::MAX);
    let Some(time) = time else { return (0_i64.saturating_sub(seconds), Kept::Broken) };
    let age = now.seconds.saturating_sub(time.seconds).max(0);
    let slack = seconds.saturating_sub(age);
    let is_at_risk = u64::try_from(age).unwrap_or(0) >= promise.risk.as_secs();
    let kept = match (slack < 0, is_at_risk) {
        (true, _) => Kept::Broken,
        (false, true) => Kept::Risk,
        (false, false) => Kept::Kept,
    };
    (slack, kept)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::JobsFile;
    use super::super::schedule::timestamp;
    use super::*;

    #[test]
    fn a_promise_is_at_risk_before_it_is_broken_and_without_a_snapshot_it_is_broken() {
        let time = |seconds| Timestamp { seconds, nanoseconds: 0 };
        let judged = |age: i64| judge(Promise::of(Duration::from_secs(100)), Some(time(1000)), time(1000 + age));
        assert_eq!(judged(0), (100, Kept::Kept));
        assert_eq!(judged(79), (21, Kept::Kept));
        assert_eq!(judged(80), (20, Kept::Risk));
        assert_eq!(judged(100), (0, Kept::Risk));
        assert_eq!(judged(101), (-1, Kept::Broken));
        assert_eq!(judged(-50), (100, Kept::Kept), "the clock of the store went back");
        assert_eq!(judge(Promise::of(Duration::from_secs(100)), None, time(0)), (-100, Kept::Broken));
    }

    #[test]
    fn that_the_next_run_is_not_there_yet_is_no_risk() {
        let now = instant(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 });
        let text = "version = 1\n[defaults]\nzone = \"UTC\"\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\nat = \"02:30\"\npromise = ";
        let promised = |age: &str, newest: &str| {
            let file = JobsFile::parse(Path::new("jobs.toml"), &format!("{text}\"{age}\""), now).unwrap();
            let newest = timestamp(newest.parse().unwrap());
            Promise::of_job(file.job("a").unwrap(), newest).unwrap()
        };
        let hours = |hours: u64| Duration::from_hours(hours);
        assert_eq!(promised("26h", "2026-03-01T02:30:00Z").risk, hours(25), "due after 24 h, broken after 26");
        let behind = promised("26h", "2026-03-01T02:29:30Z").risk;
        assert_eq!(behind, hours(25) + Duration::from_secs(15), "the clock of the store is half a minute behind");
        assert_eq!(promised("30d", "2026-03-01T02:30:00Z").risk, hours(24 * 24), "four fifths are later");
        // It comes too late.
        assert_eq!(promised("20h", "2026-03-01T02:30:00Z").risk, hours(16));
    }
}
