//! One run of a job: hooks, a snapshot of each source, removal by a policy, reclaiming; each through what the command line calls too.
//!
//! Owned here: the order, what a failure of one part means for the others, and how the run ended. Refused here: when it runs (`scheduler`), and telling
//! anybody ([`Heard`]). A repository is opened and never made: a disk that is not there must not lead to a new one.
//!
//! A run is on record (`recording`) before it begins.

mod after;
mod back_up;

use std::ffi::OsStr;
use std::sync::{Mutex, PoisonError};

use credenza_engine::{Error as EngineError, SnapshotFilter, SnapshotHandle, Stop};
use credenza_model::SnapshotId;

use super::error::JobsError;
use super::hook::{self, Facts, HookError};
use super::lock::Held;
use super::log::Past;
use super::notify::ping;
use super::outcome::{Ending, Step};
use super::recording::Recording;
pub use super::recording::{Cause, Heard, Occasion};
use super::runner::Runner;
use super::sections::job::{Hook, Job, Moment};
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::cost::Bill;
use crate::cost::budget::Budget;
use crate::environment;
use crate::error::Error;
use crate::open::StoreUse;
use crate::repository::OpenRepository;
use crate::{bootstrap, signing, stream};

/// A run under way.
struct Run<'a> {
    runner: &'a Runner<'a>,
    job: &'a Job,
    recording: Recording<'a>,
    /// The snapshots, each with the location of its source.
    made: Vec<(String, SnapshotId)>,
    /// What was spent on sources.
    bill: Mutex<Bill>,
}

impl Runner<'_> {
    /// Runs a job to its end.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where the job runs already. All else is an ending.
    pub async fn run(&self, job: &Job, occasion: &Occasion, heard: &dyn Heard) -> Result<Ending, JobsError> {
        let _held = self.state.be_run(&job.name)?;
        // A budget ends this run alone.
        let stop = self.stop.child();
        let app = match job.budget {
            Some(limits) => self.app.clone().with_budget(Budget::new(limits, stop.clone())),
            None => self.app.clone(),
        };
        let within = Runner { app: &app, stop: &stop, ..*self };
        let zone = job.schedule.zone();
        Ok(within.limited(&job.limits, zone, async |runner| runner.on_record(job, occasion, heard).await).await)
    }

    /// The same where no scheduler stands behind it, as for a timer: a source that fails and a repository that cannot be reached are tried again as the
    /// job says, by this call. `ended` hears of each try.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn run_with_tries(
        &self,
        job: &Job,
        heard: &dyn Heard,
        ended: impl Fn(Ending),
    ) -> Result<Ending, JobsError> {
        let due = Some(self.clock.now().wall);
        let mut tries = 0;
        loop {
            let ending = self.run(job, &Occasion { due, missed: 0, tries }, heard).await?;
            ended(ending);
            tries += 1;
            let is_tried = matches!(ending, Ending::Failed | Ending::Unreachable) && tries < job.retry.tries;
            if !is_tried {
                return Ok(ending);
            }
            tokio::select! {
                () = self.clock.wait(job.retry.wait_after(tries)) => {}
                () = self.stop.requested() => return Ok(ending),
            }
        }
    }

    async fn on_record(&self, job: &Job, occasion: &Occasion, heard: &dyn Heard) -> Ending {
        let recording = Recording::begin(&job.name, occasion, (self.state, self.clock, self.stop), heard);
        let mut run = Run { runner: self, job, recording, made: Vec::new(), bill: Mutex::default() };
        let started = match &job.ping {
            // A service that does not answer keeps no backup waiting.
            Some(to) => tokio::join!(run.all(), ping::begin(to, self.clock)).1,
            None => {
                run.all().await;
                Ok(())
            }
        };
        let ending = run.recording.end(job.retry);
        if let Some(to) = &job.ping {
            let reason = run.recording.reason.as_deref().unwrap_or_default();
            let ended = ping::end(to, ending, reason, self.clock).await;
            for error in [started, ended].into_iter().filter_map(Result::err) {
                run.did(Step::Failed { doing: "giving a sign of life".to_owned(), reason: error.to_string() });
            }
        }
        ending
    }
}

impl Runner<'_> {
    /// The snapshots of a job in its repository as runs, the newest first.
    ///
    /// # Errors
    /// When the repository cannot be opened and listed.
    pub async fn past_in_repository(&self, job: &Job, most: usize) -> Result<Vec<Past>, Error> {
        let open = self.open(job, StoreUse::Read).await?;
        let snapshots = open.repository.snapshots().await?.filtered(&of_job(job));
        let past = |handle: &SnapshotHandle| {
            let snapshot = &handle.snapshot;
            let figures = snapshot.statistics;
            let step = Step::BackedUp {
                source: snapshot.source.location.clone(),
                snapshot: Some(snapshot.id),
                entries: figures.entries,
                errors: figures.errors,
                bytes_read: figures.bytes_read,
                bytes_added: figures.bytes_added,
            };
            Past {
                job: job.name.clone(),
                began: snapshot.started,
                ended: Some(snapshot.finished),
                due: None,
                missed: 0,
                tries: 0,
                ending: Some(if figures.errors == 0 { Ending::Done } else { Ending::Incomplete }),
                reason: None,
                steps: vec![step],
            }
        };
        Ok(snapshots.whole.iter().rev().take(most).map(past).collect())
    }
}

/// The sources of a job as its snapshots have them; nothing is asked for that.
///
/// # Errors
/// When the configuration cannot be read, or names no such source.
pub fn sources(app: &App, job: &Job) -> Result<Vec<String>, Error> {
    let mut sources = Vec::new();
    for word in &job.sources {
        sources.push(app.place(Kind::Source, OsStr::new(word), Settings::new())?.text());
    }
    let streams = job.hooks.iter().filter(|hook| hook.moment == Moment::During);
    sources.extend(streams.filter_map(|hook| hook.stdin_of.as_deref()).map(stream::location));
    Ok(sources)
}

impl Run<'_> {
    /// The run itself, and the hooks that run after it whatever became of it.
    async fn all(&mut self) {
        match self.hold().map_err(|failed| *failed) {
            Ok(_held) => self.around().await,
            // Nothing has begun, and it is tried again: there is nobody to tell.
            Err((Ending::Busy, cause)) => return self.failed("opening the repository", Ending::Busy, cause),
            Err((ending, cause)) => self.failed("opening the repository", ending, cause),
        }
        let hooks: Vec<&Hook> = self.job.hooks.iter().filter(|hook| hook.moment == Moment::After).collect();
        for hook in hooks {
            if hook.when.iter().any(|when| when.covers(self.recording.ending)) {
                // What is to say that a run was ended is run all the same.
                let is_ended = self.recording.ending == Ending::Interrupted || self.over_budget().is_some();
                let stop = if is_ended { Stop::default() } else { self.runner.stop.clone() };
                self.hook(hook, &stop).await;
            }
        }
    }

    async fn around(&mut self) {
        let stop = self.runner.stop.clone();
        for hook in self.job.hooks.iter().filter(|hook| hook.moment == Moment::Before) {
            if !self.hook(hook, &stop).await {
                return;
            }
        }
        let open = match self.open().await {
            Ok(open) => open,
            Err((ending, cause)) => return self.failed("opening the repository", ending, cause),
        };
        self.in_repository(&open).await;
        let bill = open.store.billed(self.bill.lock().unwrap_or_else(PoisonError::into_inner).clone());
        self.did(Step::Spent { bill });
    }

    async fn in_repository(&mut self, open: &OpenRepository) {
        let signing_key = match signing::provided(None, &open.place.settings) {
            Ok(key) => key,
            Err(error) => return self.failed("reading the signing key", Ending::Unreachable, Cause::App(error.into())),
        };
        self.back_up_all(open, signing_key.as_ref()).await;
        self.keep_configuration(open).await;
        // A snapshot that nobody has looked at hides what it holds from the next: however the run ends, what it has made is looked at.
        let is_looked_at = !self.made.is_empty() || self.recording.ending.has_backup();
        let has_judged = is_looked_at && self.look_at_all(open).await;
        if !has_judged || self.recording.ending > Ending::Incomplete {
            return;
        }
        if let Some(prune) = &self.job.prune {
            match self.prune(prune, open, signing_key.as_ref()).await {
                Ok(step) => {
                    if let Step::Held { removals, delete_max } = step {
                        self.worsen(Ending::Incomplete, || {
                            format!("{removals} snapshots were to be removed, and delete_max is {delete_max}")
                        });
                    }
                    self.did(step);
                }
                Err(error) => self.failed("removing snapshots", Ending::Incomplete, Cause::App(error)),
            }
        }
        if self.is_maintain_due() {
            self.maintain(open).await;
        }
    }

    /// Keeps beside the snapshots what it takes to set up another machine in the place of this one.
    async fn keep_configuration(&mut self, open: &OpenRepository) {
        // What nobody encrypts anybody reads, and what is left out of it is a guess.
        if self.made.is_empty() || !open.repository.config().encrypted {
            return;
        }
        let kept = bootstrap::keep(self.runner.app, &open.repository, Some(self.runner.state.jobs())).await;
        if let Err(error) = kept {
            self.failed("keeping the configuration of this machine", Ending::Incomplete, Cause::App(error));
        }
    }

    /// Holds the place of the one run in the repository.
    fn hold(&self) -> Result<Held, Box<(Ending, Cause)>> {
        let place = self.runner.app.place(Kind::Repository, OsStr::new(&self.job.repository), Settings::new());
        let location = place.map_err(|error| Box::new((Ending::Unreachable, Cause::App(error))))?.text();
        self.runner.state.be_in_repository(&location).map_err(|error| Box::new((Ending::Busy, Cause::Jobs(error))))
    }

    async fn open(&self) -> Result<OpenRepository, (Ending, Cause)> {
        let unreachable = |error| (Ending::Unreachable, Cause::App(error));
        let open = tokio::select! {
            open = self.runner.open(self.job, StoreUse::Write) => open.map_err(unreachable)?,
            () = self.runner.stop.requested() => return Err((Ending::Interrupted, Cause::App(EngineError::Cancelled.into()))),
        };
        self.runner.app.require_encryption(&open, false).map_err(unreachable)?;
        Ok(open)
    }

    /// What a hook is told.
    fn facts(&self, hook: &Hook) -> Facts {
        Facts {
            job: self.job.name.clone(),
            run: self.recording.id.clone(),
            repository: self.job.repository.clone(),
            moment: hook.moment,
            ending: (hook.moment == Moment::After).then_some(self.recording.ending),
            reason: self.recording.reason.clone(),
            snapshots: self.made.iter().map(|(_, snapshot)| *snapshot).collect(),
        }
    }

    /// Runs a hook; whether it did its work.
    async fn hook(&mut self, hook: &Hook, stop: &Stop) -> bool {
        let has_ended = hook.moment == Moment::After;
        let facts = self.facts(hook);
        let program = hook.program.to_string_lossy().into_owned();
        match hook::run(hook, &facts, stop).await {
            Ok(output) => {
                self.did(Step::Hooked { program, output });
                true
            }
            Err(error) => {
                let ending = match (&error, has_ended) {
                    (HookError::Stopped { .. }, false) => Ending::Interrupted,
                    (_, false) => Ending::Refused,
                    (_, true) => Ending::Incomplete,
                };
                self.failed(&format!("running the hook {program}"), ending, Cause::Hook(error));
                false
            }
        }
    }

    fn did(&self, step: Step) {
        self.recording.did(step);
    }

    fn failed(&mut self, doing: &str, ending: Ending, cause: Cause) {
        match (self.over_budget(), ending) {
            (Some(reason), Ending::Failed | Ending::Interrupted | Ending::Unreachable) => {
                self.recording.failed_because(doing, Ending::Spent, reason, cause);
            }
            _ => self.recording.failed(doing, ending, cause),
        }
    }

    /// What was spent of which budget, where the run ends for that.
    fn over_budget(&self) -> Option<String> {
        let budget = self.runner.app.budget()?;
        let spent = budget.reached()?.spent;
        let (requests, bytes) = (spent.requests(), spent.bytes());
        Some(format!("the budget of the run is spent: {requests} requests, {bytes} bytes, of {}", budget.limits()))
    }

    fn worsen(&mut self, ending: Ending, reason: impl FnOnce() -> String) {
        self.recording.worsen(ending, reason);
    }
}

/// Lets through the snapshots that a job has made on this machine.
pub(super) fn of_job(job: &Job) -> SnapshotFilter {
    SnapshotFilter { tags: vec![job.tag()], hosts: vec![environment::host_name()], ..SnapshotFilter::default() }
}
