//! How a policy of replication stands, measured at its repositories: what each target lacks, how far it is behind, and what is proven there.
//!
//! Owned here: the figures and how they are found. Nothing is written. Refused here: carrying (the parent), and what is told when they change (`look`).
//!
//! Bound: what `credenza_engine::copies` says, for one target at a time.

use std::time::Duration;

use credenza_engine::copies::{ClassLocked, Lag, Proofs, Proven, Selection, lag, locked, newest_meant};
use credenza_engine::latest::last_drill;
use credenza_engine::replica::{self, Divided, Role, divided};
use credenza_engine::{Repository, RunContext, SnapshotHandle, Snapshots};
use credenza_model::Timestamp;
use serde::Serialize;

use super::super::log::Past;
use super::super::outcome::{Replicated, Step};
use super::super::promise::{Kept, Promise};
use super::super::recording::Cause;
use super::super::runner::Runner;
use super::super::sections::replicate::{Replicate, To};
use super::silence::{is_silent, silence};
use super::{Sides, copies_in, meant, select_for, tagged};
use crate::error::Error;
use crate::open::StoreUse;
use crate::repository::OpenRepository;

/// A repository that says nothing for so long is not waited for.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Runs that are looked back at for how fast a target takes what it lacks.
const PAST_MAX: usize = 1000;
/// And of them those that carried something.
const RATES_MAX: usize = 5;

/// How a policy stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Its name in the file, without `replicate.`.
    pub name: String,
    /// The origin, as it is written.
    pub from: String,
    /// When the newest snapshot was made there that is meant, by the time of its store.
    pub newest: Option<Timestamp>,
    /// Whether that is longer ago than the policy says: the origin itself gets no new snapshots.
    pub is_silent: bool,
    /// Whether it rests.
    pub is_paused: bool,
    /// Why nothing is known of the origin, where that is so.
    pub unknown: Option<String>,
    /// In the order of the file.
    pub targets: Vec<TargetStatus>,
}

impl Status {
    /// A policy of which nothing is known, and why. Its targets are named all the same: on such a day one of them is perhaps promoted.
    #[must_use]
    pub fn unknown(runner: &Runner<'_>, policy: &Replicate, why: String) -> Self {
        let not_compared = |to: &To| TargetStatus {
            unknown: Some("it could not be compared with its origin".to_owned()),
            ..TargetStatus::of(to)
        };
        let targets = policy.targets.iter().map(not_compared).collect();
        Self { unknown: Some(why), targets, ..Self::of(runner, policy) }
    }

    /// A policy of which nothing is measured yet.
    fn of(runner: &Runner<'_>, policy: &Replicate) -> Self {
        let paused = runner.state.paused().now(runner.clock.now().wall);
        Self {
            name: policy.short_name().to_owned(),
            from: policy.from.clone(),
            newest: None,
            is_silent: false,
            is_paused: paused.is_ok_and(|paused| paused.contains(&policy.name)),
            unknown: None,
            targets: policy.targets.iter().map(TargetStatus::of).collect(),
        }
    }
}

/// How one target of a policy stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetStatus {
    /// The target, as it is written.
    pub target: String,
    /// Whether this machine carries to it; another one does where not.
    pub is_here: bool,
    /// When the newest snapshot was made that is meant and that it has.
    pub newest: Option<Timestamp>,
    /// Snapshots that are meant, that its retention would keep, and that it lacks.
    pub missing: u64,
    /// Snapshots of the origin that its retention does not keep: they are not missing.
    pub spared: u64,
    /// Seconds since the first snapshot was made that it lacks and that is newer than all that it has; 0 where it has the newest.
    pub lag_seconds: u64,
    /// What the next run adds to it.
    pub lag: Option<Lag>,
    /// Seconds that the copy may be behind.
    pub rpo_seconds: Option<u64>,
    /// How the copy stands against that.
    pub kept: Kept,
    /// Seconds that it takes to carry what it lacks, by the rate of its last runs; nothing where none is known.
    pub left_seconds: Option<u64>,
    /// Snapshots that it has and whose packs are not proven there: they are no copies yet, or no more.
    pub unproven: u64,
    /// When the newest snapshot was made whose packs are proven there, as are those of all that are older.
    pub verified_until: Option<Timestamp>,
    /// When a sample was restored for trial the last time, without a fault.
    pub drilled: Option<Timestamp>,
    /// Since when it takes nothing from this origin any more, because it was promoted.
    pub promoted: Option<Timestamp>,
    /// What either side has and the other lacks, where the target was promoted.
    pub divided: Option<Divided>,
    /// For how many days it locks what is stored; nothing where it does not.
    pub lock_days: Option<u32>,
    /// For how many the policy asks.
    pub lock_days_asked: Option<u32>,
    /// How long it locks what the rules of its retention keep, where the policy asks for that.
    pub locks: Vec<ClassLocked>,
    /// Why nothing is known of it, where that is so.
    pub unknown: Option<String>,
}

impl TargetStatus {
    /// A target of which nothing is known yet.
    pub(super) fn of(to: &To) -> Self {
        Self {
            target: to.target.clone(),
            is_here: to.is_here,
            newest: None,
            missing: 0,
            spared: 0,
            lag_seconds: 0,
            lag: None,
            rpo_seconds: to.rpo.map(|rpo| rpo.as_secs()),
            kept: Kept::Kept,
            left_seconds: None,
            unproven: 0,
            verified_until: None,
            drilled: None,
            promoted: None,
            divided: None,
            lock_days: None,
            lock_days_asked: to.lock_days,
            locks: Vec::new(),
            unknown: None,
        }
    }
}

/// How a policy stood after its last runs, by the record on this machine: nothing is asked for, so that it is there at once. What no run says is not known.
#[must_use]
pub fn recorded(runner: &Runner<'_>, policy: &Replicate) -> Status {
    let past = runner.state.log().past(Some(&policy.name), PAST_MAX).unwrap_or_default();
    let now = runner.clock.now().wall;
    let steps = || past.iter().flat_map(|past| past.steps.iter().rev());
    let newest = steps().find_map(|step| match step {
        Step::Replicated(replicated) => replicated.newest_there,
        _ => None,
    });
    let of = |to: &To| {
        let carried = steps().find_map(|step| carried(to, step, now));
        let verified_until = steps().find_map(|step| match step {
            Step::Proven { target, until, .. } if *target == to.target => Some(*until),
            _ => None,
        });
        match carried {
            Some(line) => TargetStatus { verified_until: verified_until.flatten(), ..line },
            None => TargetStatus {
                unknown: Some("the record of this machine has no run that has carried anything there".to_owned()),
                ..TargetStatus::of(to)
            },
        }
    };
    let targets = policy.targets.iter().map(of).collect();
    Status {
        newest,
        // As the alarm has it: nobody has looked since the last run.
        is_silent: silence(policy, &past).is_some_and(|silence| silence.is_silent),
        targets,
        ..Status::of(runner, policy)
    }
}

/// How a target stood when something was carried there.
fn carried(to: &To, step: &Step, now: Timestamp) -> Option<TargetStatus> {
    let Step::Replicated(replicated) = step else { return None };
    let behind = replicated.behind_since.map_or(0, |since| now.seconds.saturating_sub(since.seconds));
    let lag_seconds = u64::try_from(behind).unwrap_or(0);
    let line = || TargetStatus {
        newest: replicated.newest_here,
        missing: replicated.lacking,
        lag_seconds,
        kept: judge(to, lag_seconds),
        ..TargetStatus::of(to)
    };
    (replicated.target == to.target).then(line)
}

/// Measures how a policy stands, at its repositories.
///
/// # Errors
/// When the configuration or the record on this machine cannot be read. Of a repository that does not answer the status says so.
pub async fn status(runner: &Runner<'_>, policy: &Replicate) -> Result<Status, Error> {
    let (origin, there) = match within(opened(runner, &policy.from)).await {
        Ok(origin) => origin,
        Err(why) => return Ok(Status::unknown(runner, policy, why)),
    };
    // By the origin alone: it is not silent because no target answers.
    let newest = newest_meant(&there, &meant(runner.app, policy)?);
    let is_silent = is_silent(policy, newest, runner.clock.now().wall);
    let mut status = Status { newest, is_silent, ..Status::of(runner, policy) };
    let past = runner.state.log().past(Some(&policy.name), PAST_MAX).unwrap_or_default();
    for (to, line) in policy.targets.iter().zip(&mut status.targets) {
        let measured = within(Box::pin(target(runner, policy, (&origin, &there), to))).await;
        match measured {
            Ok(measured) => {
                *line = measured;
                line.left_seconds = left(&past, line);
            }
            Err(why) => line.unknown = Some(why),
        }
    }
    Ok(status)
}

async fn opened(runner: &Runner<'_>, word: &str) -> Result<(OpenRepository, Snapshots), Error> {
    let open = runner.open_named(word, StoreUse::Read).await?;
    let snapshots = tagged(&open.repository).await?;
    Ok((open, snapshots))
}

async fn within<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| Cause::App(error).to_string()),
        Err(_) => Err(format!("it did not answer within {} s", TIMEOUT.as_secs())),
    }
}

/// One target.
async fn target(
    runner: &Runner<'_>,
    policy: &Replicate,
    (origin, there): (&OpenRepository, &Snapshots),
    to: &To,
) -> Result<TargetStatus, Error> {
    let (open, here) = opened(runner, &to.target).await?;
    let sides = Sides { origin: &origin.repository, there, target: &open.repository, here: &here };
    let selection = select_for(runner.app, policy, to, &sides)?;
    let run = RunContext { stop: runner.stop.clone(), ..RunContext::default() };
    let lag = lag(sides.origin, sides.target, (&selection.missing, &selection.shared), &run).await?;
    let now = runner.clock.now().wall;
    let (lag_seconds, kept) = standing(to, &selection, now);
    let meant = meant(runner.app, policy)?;
    let handles = copies_in(&here, &meant);
    let proven = proven(sides.target, to, &handles).await?;
    let promoted = match replica::state(sides.target) {
        Some(Role::Promoted { origin, at }) if origin == sides.origin.config().repository => Some(at),
        _ => None,
    };
    let locks = match super::plan_of(policy, to, sides.origin, &here)? {
        Some(plan) if !to.locks.is_empty() => locked(sides.target, (&plan, here.now), &to.locks).await?,
        _ => Vec::new(),
    };
    Ok(TargetStatus {
        locks,
        newest: selection.newest_here,
        missing: selection.missing.len() as u64,
        spared: selection.spared,
        lag_seconds,
        lag: Some(lag),
        kept,
        unproven: proven.unproven,
        verified_until: proven.until.and_then(SnapshotHandle::time),
        drilled: drilled(sides.target).await?,
        promoted,
        divided: promoted.map(|_| divided(there, &here)),
        lock_days: open.repository.config().retain_days,
        ..TargetStatus::of(to)
    })
}

/// How far behind a copy is, and how that stands against what is promised.
pub(super) fn standing(to: &To, selection: &Selection, now: Timestamp) -> (u64, Kept) {
    let behind = selection.behind_since.map_or(0, |since| now.seconds.saturating_sub(since.seconds));
    let behind = u64::try_from(behind).unwrap_or(0);
    (behind, judge(to, behind))
}

/// How a copy stands that is behind for so many seconds.
pub(super) fn judge(to: &To, behind: u64) -> Kept {
    let Some(promise) = to.rpo.map(Promise::of) else { return Kept::Kept };
    match Duration::from_secs(behind) {
        behind if behind > promise.age => Kept::Broken,
        behind if behind >= promise.risk => Kept::Risk,
        _ => Kept::Kept,
    }
}

/// How far some snapshots of the target, the oldest first, are proven.
pub(super) async fn proven<'a>(
    target: &Repository,
    to: &To,
    handles: &[&'a SnapshotHandle],
) -> Result<Proven<'a>, Error> {
    let proofs = Proofs::load(target, to.prove.of_packs()).await?;
    Ok(proofs.proven(target, handles.iter().copied()).await?)
}

async fn drilled(target: &Repository) -> Result<Option<Timestamp>, Error> {
    let drill = last_drill(target).await?;
    Ok(drill.filter(|drill| drill.errors == 0 && drill.reason.is_none() && drill.entries > 0).map(|drill| drill.at))
}

/// Seconds that carrying what a target lacks takes, by the last runs that carried something there.
fn left(past: &[Past], status: &TargetStatus) -> Option<u64> {
    let bytes = status.lag.as_ref().map(|lag| lag.bytes)?;
    let of_step = |step: &Step| match step {
        Step::Replicated(Replicated { target, bytes, seconds, .. }) if *target == status.target && *bytes > 0 => {
            Some((*bytes, (*seconds).max(1)))
        }
        _ => None,
    };
    let rates = past.iter().flat_map(|past| past.steps.iter().filter_map(of_step)).take(RATES_MAX);
    let (carried, seconds) =
        rates.fold((0_u64, 0_u64), |(bytes, seconds), (more, took)| (bytes + more, seconds + took));
    (carried > 0)
        .then(|| (u128::from(bytes) * u128::from(seconds)).div_ceil(u128::from(carried)))
        .and_then(|left| u64::try_from(left).ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use credenza_engine::{Stop, SystemClock};

    use super::super::super::file::JobsFile;
    use super::super::super::log::{Record, run_id};
    use super::super::super::outcome::Ending;
    use super::super::super::state::State;
    use super::*;
    use crate::app::{App, AppOptions};

    const FILE: &str = "version = 1\n[replicate.main]\nfrom = \"@main\"\nsilent = \"26h\"\n[[replicate.main.to]]\ntarget = \"@paris\"\n";

    fn hour(hour: i64) -> Timestamp {
        Timestamp { seconds: hour * 3600, nanoseconds: 0 }
    }

    /// Puts a run on record that ended at an hour, and found the newest snapshot of hour 9 at the origin.
    fn add(state: &State, at: i64) {
        let (job, at) = ("replicate.main".to_owned(), hour(at));
        let run = run_id(&job, at);
        let step = Step::Replicated(Replicated {
            target: "@paris".to_owned(),
            newest_there: Some(hour(9)),
            newest_here: Some(hour(9)),
            ..Replicated::default()
        });
        let began = Record::Began { run: run.clone(), job: job.clone(), at, due: None, missed: 0, tries: 0 };
        let step = Record::Step { run: run.clone(), step };
        let ended = Record::Ended { run, job, at, due: None, ending: Ending::Done, tries_left: 0, reason: None };
        [began, step, ended].iter().for_each(|record| state.log().add(record).unwrap());
    }

    #[test]
    fn the_record_calls_an_origin_silent_only_as_of_the_last_look() {
        let folder = tempfile::tempdir().unwrap();
        let file = JobsFile::parse(Path::new("jobs.toml"), FILE, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let policy = file.replicates.get("replicate.main").unwrap();
        let state = State::of(Path::new("jobs.toml"), Some(folder.path().to_owned())).unwrap();
        let (app, stop) = (App::new(AppOptions::default()), Stop::default());
        let runner = Runner { app: &app, state: &state, clock: &SystemClock, stop: &stop };
        add(&state, 10);
        let status = recorded(&runner, policy);
        assert!(status.newest == Some(hour(9)) && !status.is_silent, "what came since nobody knows: {status:?}");
        add(&state, 36);
        assert!(recorded(&runner, policy).is_silent);
    }
}
