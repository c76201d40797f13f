//! One run of a job: hooks, a snapshot of each source, removal by a policy, reclaiming; each through what the command line calls too.
//!
//! Owned here: the order, what a failure of one part means for the others, and how the run ended. Refused here: when it runs (`scheduler`), and telling
//! anybody ([`Heard`]). A repository is opened and never made: a disk that is not there must not lead to a new one.
//!
//! A run is on record (`recording`) before it begins.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use credenza_connect::{Marker, Source};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::{Clock, Error as EngineError, RunContext, SnapshotFilter, SnapshotHandle, Stop};
use credenza_format::SigningKey;
use credenza_model::SnapshotId;
use jiff::tz::TimeZone;

use super::error::JobsError;
use super::file::{Hook, Job, Maintain, Moment, Prune};
use super::guard;
use super::hook::{self, Facts, HookError};
use super::limits::Limits;
use super::lock::Held;
use super::log::Past;
use super::notify::ping;
use super::outcome::{Ending, Step};
use super::recording::Recording;
pub use super::recording::{Cause, Heard, Occasion};
use super::schedule::instant;
use super::state::State;
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::cost::Bill;
use crate::cost::budget::Budget;
use crate::environment;
use crate::error::Error;
use crate::open::{Opened, StoreUse};
use crate::patterns::PatternList;
use crate::repository::OpenRepository;
use crate::stream::Stream;
use crate::{bootstrap, prune, remove, signing, stream};

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

/// What a run that was broken off has made.
#[derive(Debug, Clone)]
struct Found {
    /// The location of the source.
    source: String,
    snapshot: SnapshotId,
    /// Entries that could not be read.
    errors: u64,
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

    async fn back_up_all(&mut self, open: &OpenRepository, signing_key: Option<&SigningKey>) {
        let found = self.found(open).await;
        for word in &self.job.sources {
            let place = self.runner.app.place(Kind::Source, OsStr::new(word), Settings::new());
            if place.as_ref().is_ok_and(|place| self.has_found(&found, &place.text())) {
                continue;
            }
            let prepared = async {
                let place = place?;
                let options = BackupOptions { location: place.text(), ..self.options(&place.location)? };
                Ok::<_, Error>((self.runner.app.source(&place, None).await?, options))
            };
            let done = match prepared.await {
                Ok((source, options)) => self.back_up(source, options, open, signing_key).await,
                Err(error) => Err((Ending::Failed, error)),
            };
            if !self.backed_up(word, done) {
                return;
            }
        }
        for hook in self.job.hooks.iter().filter(|hook| hook.moment == Moment::During) {
            let Some(name) = &hook.stdin_of else { continue };
            if self.has_found(&found, &stream::location(name)) {
                continue;
            }
            let done = self.stream(hook, name, open, signing_key).await;
            if !self.backed_up(&stream::location(name), done) {
                return;
            }
        }
    }

    /// What runs for the same due time have made that did not come to their end: their process was killed, or asked to end. By the repository, since the
    /// log of such a run may lack its last lines.
    async fn found(&self, open: &OpenRepository) -> Vec<Found> {
        let Some(due) = self.recording.due else { return Vec::new() };
        let past = self.recording.log.past(Some(&self.job.name), BROKEN_MAX).unwrap_or_default();
        let is_broken = |past: &&Past| matches!(past.ending, Some(Ending::Lost | Ending::Interrupted));
        let broken = past.iter().filter(is_broken).filter(|past| past.due == Some(due));
        let Some(began) = broken.map(|past| past.began).min() else { return Vec::new() };
        let Ok(snapshots) = open.repository.snapshots().await else { return Vec::new() };
        let snapshots = snapshots.filtered(&of_job(self.job)).whole.into_iter();
        let made = snapshots.filter(|handle| handle.snapshot.started >= began);
        made.map(|handle| Found {
            source: handle.snapshot.source.location.clone(),
            snapshot: handle.snapshot.id,
            errors: handle.snapshot.statistics.errors,
        })
        .collect()
    }

    /// Whether a source was found, which is noted; it is as incomplete as it was left.
    fn has_found(&mut self, found: &[Found], location: &str) -> bool {
        let Some(Found { source, snapshot, errors }) = found.iter().find(|found| found.source == location).cloned()
        else {
            return false;
        };
        self.made.push((source.clone(), snapshot));
        self.note_errors(&source, errors);
        self.did(Step::Found { source, snapshot, errors });
        true
    }

    fn note_errors(&mut self, source: &str, errors: u64) {
        if errors > 0 {
            self.worsen(Ending::Incomplete, || format!("{errors} entries of {source} could not be read"));
        }
    }

    async fn back_up(
        &self,
        source: Opened<dyn Source>,
        options: BackupOptions,
        open: &OpenRepository,
        signing_key: Option<&SigningKey>,
    ) -> Result<BackupReport, (Ending, Error)> {
        self.back_up_until(source, options, (open, signing_key), self.runner.stop.clone()).await
    }

    async fn back_up_until(
        &self,
        source: Opened<dyn Source>,
        options: BackupOptions,
        (open, signing_key): (&OpenRepository, Option<&SigningKey>),
        stop: Stop,
    ) -> Result<BackupReport, (Ending, Error)> {
        let options = BackupOptions {
            tags: self.job.tags.iter().cloned().chain([self.job.tag()]).collect(),
            skip_unchanged: self.job.skip_if_unchanged,
            host: environment::host_name(),
            user: environment::user_name(),
            provenance: source.provenance.clone(),
            component: source.component.clone(),
            signing_key: signing_key.cloned(),
            ..options
        };
        let context = RunContext { events: self.recording.events(), stop };
        let done = backup::run(&open.repository, Arc::clone(&source.connector), &options, &context).await;
        let mut bill = self.bill.lock().unwrap_or_else(PoisonError::into_inner);
        *bill = source.billed(std::mem::take(&mut bill));
        drop(bill);
        done.map_err(|error| {
            let ending = match &error {
                EngineError::Cancelled => Ending::Interrupted,
                error if error.is_of_source() => Ending::Failed,
                _ => Ending::Unreachable,
            };
            (ending, error.into())
        })
    }

    /// Backs up what a command prints; one that takes too long ends without a snapshot.
    async fn stream(
        &self,
        hook: &Hook,
        name: &OsStr,
        open: &OpenRepository,
        signing_key: Option<&SigningKey>,
    ) -> Result<BackupReport, (Ending, Error)> {
        let told = self.facts(hook).variables();
        let source = self.runner.app.stream(name, None, Stream::Group(&hook.program, &hook.arguments, &told));
        let source = source.map_err(|error| (Ending::Failed, error))?;
        let options = BackupOptions { location: stream::location(name), ..BackupOptions::default() };
        let stop = self.runner.stop.child();
        let mut work = std::pin::pin!(self.back_up_until(source, options, (open, signing_key), stop.clone()));
        let Some(timeout) = hook.timeout else { return work.await };
        tokio::select! {
            done = &mut work => done,
            () = self.runner.clock.wait(timeout) => {
                stop.request();
                // A snapshot that was on its way is made.
                work.await.map_err(|(ending, error)| match (ending, self.runner.stop.is_requested()) {
                    (Ending::Interrupted, false) => (Ending::Failed, error),
                    _ => (ending, error),
                })
            }
        }
    }

    fn options(&self, location: &crate::location::Location) -> Result<BackupOptions, Error> {
        let out = &self.job.leaving_out;
        Ok(BackupOptions {
            excludes: PatternList::gather(&out.patterns, &out.files)?.of(location)?,
            markers: out.caches.then(Marker::of_caches).into_iter().collect(),
            size_max: out.larger_than,
            one_file_system: out.other_file_systems,
            ..BackupOptions::default()
        })
    }

    /// Notes what came of a source; whether the next is to be backed up.
    fn backed_up(&mut self, source: &str, done: Result<BackupReport, (Ending, Error)>) -> bool {
        let report = match done {
            Ok(report) => report,
            Err((ending, error)) => {
                self.failed(&format!("backing up {source}"), ending, Cause::App(error));
                return ending == Ending::Failed && !self.runner.stop.is_requested();
            }
        };
        self.made.extend(report.snapshot.map(|snapshot| (report.source.clone(), snapshot)));
        self.note_errors(source, report.errors);
        if !report.damages.is_empty() {
            self.worsen(Ending::Damaged, || format!("{} objects of the repository are damaged", report.damages.len()));
        }
        let BackupReport { snapshot, entries, errors, bytes_read, bytes_added, source, .. } = report;
        self.did(Step::BackedUp { source, snapshot, entries, errors, bytes_read, bytes_added });
        true
    }

    /// Has the guard look at each snapshot that nobody has looked at. Whether snapshots may be removed after it: where one cannot be judged, nobody knows
    /// what is still needed.
    async fn look_at_all(&mut self, open: &OpenRepository) -> bool {
        let Some(guard) = self.job.guard else { return true };
        // What is to say that a snapshot is suspect does so also where the run was ended.
        let is_ended = self.runner.stop.is_requested();
        let stop = if is_ended { Stop::default() } else { self.runner.stop.clone() };
        let mut has_judged = true;
        for (source, snapshot) in self.not_judged(open).await {
            let context = RunContext { events: self.recording.events(), stop: stop.clone() };
            match guard::examine(&open.repository, snapshot, &guard, &context).await {
                Ok(None) => {}
                Ok(Some(reason)) => {
                    self.worsen(Ending::Incomplete, || format!("the snapshot of {source} is suspect: {reason}"));
                    self.did(Step::Suspect { source, snapshot, reason });
                }
                Err(error) => {
                    let ending = if self.runner.stop.is_requested() { Ending::Interrupted } else { Ending::Incomplete };
                    self.failed(&format!("{LOOKING} {source} is suspect"), ending, Cause::App(error));
                    has_judged = false;
                }
            }
        }
        has_judged
    }

    /// What the guard is to look at, each with the location of its source: what came after the last that it has looked at, such as the snapshots of a run
    /// that was killed or of a backup by hand, and what this run has made.
    async fn not_judged(&self, open: &OpenRepository) -> Vec<(String, SnapshotId)> {
        let made = self.made.clone();
        // Where they cannot be listed, those that were made cannot be looked at either, which is told.
        let Ok(snapshots) = open.repository.snapshots().await else { return made };
        let of_host = SnapshotFilter { hosts: vec![environment::host_name()], ..SnapshotFilter::default() };
        let (snapshots, judged) = (snapshots.filtered(&of_host), self.judged());
        let sources = sources(self.runner.app, self.job);
        let sources = sources.unwrap_or_else(|_| made.iter().map(|(source, _)| source.clone()).collect());
        let mut found = Vec::new();
        for source in &sources {
            let unjudged = guard::unjudged(&snapshots, source, &judged);
            found.extend(unjudged.into_iter().map(|snapshot| (source.clone(), snapshot)));
        }
        let listed: BTreeSet<SnapshotId> = found.iter().map(|(_, snapshot)| *snapshot).collect();
        found.extend(made.into_iter().filter(|(_, snapshot)| !listed.contains(snapshot)));
        found
    }

    /// The snapshots of the runs that came to their end, by the log: those were looked at, unless that failed.
    fn judged(&self) -> BTreeSet<SnapshotId> {
        let has_failed = |step: &Step| matches!(step, Step::Failed { doing, .. } if doing.starts_with(LOOKING));
        let snapshot = |step: &Step| match step {
            Step::BackedUp { snapshot, .. } => *snapshot,
            Step::Found { snapshot, .. } | Step::Suspect { snapshot, .. } => Some(*snapshot),
            _ => None,
        };
        let past = self.recording.log.past(Some(&self.job.name), PAST_MAX).unwrap_or_default();
        let mut judged = BTreeSet::new();
        for past in past.iter().filter(|past| past.ending.is_some_and(|ending| ending != Ending::Lost)) {
            if !past.steps.iter().any(has_failed) {
                judged.extend(past.steps.iter().filter_map(snapshot));
            }
        }
        judged
    }

    /// Removes what the policy does not keep of the snapshots of this job on this machine.
    async fn prune(&self, by: &Prune, open: &OpenRepository, key: Option<&SigningKey>) -> Result<Step, Error> {
        let filter = of_job(self.job);
        let policy = match by {
            Prune::By(policy) => Some(policy.clone()),
            Prune::OfRepository => None,
        };
        let plan = prune::plan(&open.repository, policy, &filter, true).await?;
        prune::require_usual(&plan)?;
        let removed = prune::removed(&plan);
        if let Some(delete_max) = self.job.guard.and_then(|guard| guard.delete_max)
            && removed.len() > usize::try_from(delete_max).unwrap_or(usize::MAX)
        {
            return Ok(Step::Held { removals: removed.len(), delete_max });
        }
        let kept = plan.decisions().count().saturating_sub(removed.len());
        if !removed.is_empty() {
            remove::remove_all(open, &removed, key).await?.verdict?;
        }
        Ok(Step::Pruned { kept, removed: removed.len() })
    }

    /// Whether space is to be reclaimed now, by what the log says of the last time.
    fn is_maintain_due(&self) -> bool {
        let span = match self.job.maintain {
            None => return false,
            Some(Maintain::Always) => return true,
            Some(Maintain::After(span)) => span,
        };
        let now = self.runner.clock.now().wall.seconds;
        let has_maintained = |step: &Step| matches!(step, Step::Maintained { .. });
        let past = self.recording.log.past(Some(&self.job.name), PAST_MAX).unwrap_or_default();
        let last = past.iter().find(|past| past.steps.iter().any(has_maintained)).map(|past| past.began.seconds);
        last.is_none_or(|last| now.saturating_sub(last) >= i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
    }

    async fn maintain(&mut self, open: &OpenRepository) {
        let context = RunContext { events: self.recording.events(), stop: self.runner.stop.clone() };
        match gc::run(&open.repository, &GcOptions { dry_run: false, repack_bytes_max: None }, &context).await {
            Ok(report) => {
                self.did(Step::Maintained { bytes_freed: report.bytes_freed });
                if !report.damages.is_empty() {
                    self.worsen(Ending::Damaged, || format!("{} objects are damaged", report.damages.len()));
                }
            }
            Err(EngineError::Cancelled) => {
                let cause = Cause::App(EngineError::Cancelled.into());
                self.failed("reclaiming space", Ending::Incomplete, cause);
            }
            Err(error) => self.failed("reclaiming space", Ending::Incomplete, Cause::App(error.into())),
        }
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

/// How often a run looks whether other limits hold by now.
const LIMITS_EVERY: Duration = Duration::from_mins(1);
/// With these words begins what is said of a look of the guard that failed, by which the next run knows it.
const LOOKING: &str = "looking whether";
/// Runs that are looked back at for the last that reclaimed space, and for what the guard has looked at.
const PAST_MAX: usize = 10_000;
/// And for those that did not come to their end.
const BROKEN_MAX: usize = 100;

/// Lets through the snapshots that a job has made on this machine.
pub(super) fn of_job(job: &Job) -> SnapshotFilter {
    SnapshotFilter { tags: vec![job.tag()], hosts: vec![environment::host_name()], ..SnapshotFilter::default() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use credenza_engine::{Listener, NoEvents, SystemClock};

    use super::super::file::JobsFile;
    use super::*;
    use crate::app::AppOptions;

    struct Steps(Mutex<Vec<Step>>);

    impl Heard for Steps {
        fn step(&self, step: &Step, _cause: Option<Cause>) {
            self.0.lock().unwrap().push(step.clone());
        }

        fn events(&self) -> Arc<dyn Listener> {
            Arc::new(NoEvents)
        }
    }

    #[test]
    fn a_snapshot_that_is_taken_over_is_as_incomplete_as_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let text = "version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\nat = \"02:30\"\n";
        let file = JobsFile::parse(Path::new("jobs.toml"), text, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let state = State::of(Path::new("jobs.toml"), Some(folder.path().to_owned())).unwrap();
        let (app, stop, heard) = (App::new(AppOptions::default()), Stop::default(), Steps(Mutex::default()));
        let runner = Runner { app: &app, state: &state, clock: &SystemClock, stop: &stop };
        let mut run = Run {
            runner: &runner,
            job: &file.jobs["a"],
            recording: Recording::begin("a", &Occasion::default(), (&state, &SystemClock, &stop), &heard),
            made: Vec::new(),
            bill: Mutex::default(),
        };
        let snapshot: SnapshotId = "00112233445566778899aabbccddeeff".parse().unwrap();
        let found =
            [("/a", 0), ("/b", 2)].map(|(source, errors)| Found { source: source.to_owned(), snapshot, errors });
        assert!(run.has_found(&found, "/a") && run.recording.ending == Ending::Done);
        assert!(run.has_found(&found, "/b") && run.recording.ending == Ending::Incomplete);
        assert_eq!(run.recording.reason.as_deref(), Some("2 entries of /b could not be read"));
        assert!(!run.has_found(&found, "/c"));
        assert_eq!(heard.0.lock().unwrap()[1], Step::Found { source: "/b".to_owned(), snapshot, errors: 2 });
    }
}
