//! `jobs`: what runs by itself, and what has run.
//!
//! Owned here: the arguments of each subcommand. What is printed of runs is in `jobs/shown.rs`; what jobs are and do is in `credenza_app::jobs`.

mod acknowledge;
pub(crate) mod arrays;
mod check;
pub(super) mod pausing;
mod promises;
pub(super) mod shown;
pub(super) mod telling;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use credenza_app::cost::Bill;
use credenza_app::environment;
use credenza_app::jobs::arrays::Array;
use credenza_app::jobs::log::Record;
use credenza_app::jobs::look::{self, Look};
use credenza_app::jobs::metrics;
use credenza_app::jobs::mirror::{self, Wish};
use credenza_app::jobs::run::{Heard, Occasion};
use credenza_app::jobs::runner::Runner;
use credenza_app::jobs::schedule::{instant, timestamp};
use credenza_app::jobs::state::State;
use credenza_app::jobs::units::Unit;
use credenza_app::jobs::{self, Cause, Ending, JobsError, JobsFile, Step, Work, replicate, units, verify};
use credenza_engine::{Clock, Listener, SystemClock};
use credenza_model::Timestamp;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::{Zone, printable};
use arrays::Understand;
pub(crate) use promises::Promises;
use shown::{BEGIN_LAST, JobLine, PastLine, PlanLine, PlannedCostLine, SchemaLine, StepLine, UnitLine};
use telling::Telling;

/// Runs that are looked back at for what each job costs.
const COSTS_LOOKED_AT: usize = 1000;

/// Where the jobs are.
#[derive(Debug, Args)]
pub(crate) struct JobsAt {
    /// The file of the jobs, instead of `jobs.toml` in the folder of the configuration.
    #[arg(long = "jobs", value_name = "FILE", value_parser = path_parser())]
    file: Option<PathBuf>,
}

impl JobsAt {
    pub(super) fn path(&self, session: &Session<'_>) -> Result<PathBuf, Failure> {
        Ok(JobsFile::path(self.file.as_deref(), session.app.configuration_folder().ok())?)
    }

    /// The file that was named.
    pub(super) fn given(&self) -> Option<PathBuf> {
        self.file.clone()
    }

    pub(super) fn read(&self, session: &Session<'_>) -> Result<JobsFile, Failure> {
        Ok(JobsFile::read(&self.path(session)?, instant(now()))?)
    }
}

pub(super) fn now() -> Timestamp {
    SystemClock.now().wall
}

pub(super) fn state(path: &Path) -> Result<State, Failure> {
    Ok(State::of(path, environment::state_folder())?)
}

/// See, run and pause what `jobs.toml` says is to run by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Read the file and look for what its jobs need, without running anything.
    Check(check::Check),
    /// Say when each job runs, over the next days.
    Plan(Plan),
    /// List the jobs, with the last and the next run of each.
    List(List),
    /// Run a job now.
    Run(Run),
    /// Let a job rest until it is resumed.
    Pause(pausing::Pause),
    /// Let a job that rests go on.
    Resume(pausing::Resume),
    /// Say what has run, and how it ended.
    History(History),
    /// Say that you have looked at suspect snapshots.
    Acknowledge(acknowledge::Acknowledge),
    /// Send a test to those whom a section `[notify.NAME]` tells.
    Notify(Notify),
    /// Write units for systemd.
    Units(Units),
    /// Print the JSON schema of the file, for editors.
    Schema,
}

/// Say when each job runs, over the next days.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    at: JobsAt,

    /// How many days are shown.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
}

/// List the jobs, with the last and the next run of each.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    at: JobsAt,
}

/// Run a job now, with its hooks and all that comes after it.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The job.
    #[arg(value_name = "NAME")]
    name: String,

    /// Run it as a timer does: leave it out while it is paused, and put that on record; if it fails, try again as its `retry` says.
    #[arg(long)]
    due: bool,

    #[command(flatten)]
    at: JobsAt,

    /// What is wished of a mirror, by the command of those.
    #[arg(skip)]
    wish: Wish,
}

/// Say what has run, and how it ended, the newest first.
///
/// It reads the log on this machine. Where that log is gone, --from-repository lists the snapshots of the job in its repository: they bear the tag job:NAME.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Only of this job.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// How many runs are shown.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    number: usize,

    /// List the snapshots of the job in its repository, instead of the log.
    #[arg(long, requires = "name")]
    from_repository: bool,

    #[command(flatten)]
    at: JobsAt,
}

/// Send a test to those whom a section `[notify.NAME]` of the file tells. One that does not take it ends this with 1.
#[derive(Debug, Args)]
pub(crate) struct Notify {
    /// The section.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    at: JobsAt,
}

/// Write units for systemd: one service for the daemon, or a service and a timer for each job. Or what starts one job on many machines at once.
#[derive(Debug, Args)]
pub(crate) struct Units {
    /// A service and a timer for each job, instead of the daemon.
    #[arg(long)]
    timers: bool,

    #[command(flatten)]
    together: arrays::Together,

    /// Write them there, instead of printing them: /etc/systemd/system, or ~/.config/systemd/user.
    #[arg(long, value_name = "FOLDER", value_parser = path_parser())]
    into: Option<PathBuf>,

    #[command(flatten)]
    at: JobsAt,
}

impl JobsCommand {
    /// `understand` reads a command that `jobs units` is to write down.
    pub(crate) async fn run(self, session: &Session<'_>, understand: Understand) -> Result<Exit, Failure> {
        match self {
            Self::Check(command) => command.run(session),
            Self::Plan(command) => command.run(session),
            Self::List(command) => command.run(session),
            Self::Run(command) => command.run(session).await,
            Self::Pause(command) => command.run(session, work),
            Self::Resume(command) => command.run(session, work),
            Self::History(command) => command.run(session).await,
            Self::Acknowledge(command) => command.run(session).await,
            Self::Notify(command) => command.run(session).await,
            Self::Units(command) => command.run(session, understand),
            Self::Schema => {
                session.reporter.result(&SchemaLine(jobs::schema()))?;
                Ok(Exit::Done)
            }
        }
    }
}

/// The whole name of what runs by itself.
fn work<'f>(file: &'f JobsFile, name: &str) -> Result<&'f str, JobsError> {
    Ok(file.work(name)?.name())
}

impl Plan {
    fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let now = instant(now());
        let costs = last_costs(&file)?;
        let end = now.checked_add(jiff::SignedDuration::from_hours(i64::from(self.days) * 24)).unwrap_or(now);
        let zone = Zone::new(false);
        // By time, then by name; each job has one next run at a time.
        let mut next: BTreeMap<(jiff::Timestamp, &str), Work<'_>> = BTreeMap::new();
        let following = |work: Work<'_>, after| work.schedule().next_after(after).filter(|due| *due <= end);
        for work in file.works() {
            next.extend(following(work, now).map(|due| ((due, work.name()), work)));
        }
        let mut sums: BTreeMap<&str, (u64, u64, Bill)> = BTreeMap::new();
        while let Some(((due, name), work)) = next.pop_first() {
            let cost = costs.get(name);
            session.reporter.result(&PlanLine::new(name, timestamp(due), cost, &zone))?;
            let (runs, unknown, sum) = sums.entry(work.repository()).or_default();
            (*runs, *unknown) = (*runs + 1, *unknown + u64::from(cost.is_none()));
            *sum = cost.map_or_else(|| sum.clone(), |cost| sum.clone().plus(cost));
            next.extend(following(work, due).map(|due| ((due, name), work)));
        }
        for (repository, (runs, unknown, cost)) in sums {
            session.reporter.result(&PlannedCostLine { repository, days: self.days, runs, unknown, cost })?;
        }
        Ok(Exit::Done)
    }
}

/// What the last run of each job has spent that opened its repository.
fn last_costs(file: &JobsFile) -> Result<BTreeMap<String, Bill>, Failure> {
    let mut costs = BTreeMap::new();
    // Where nothing is noted of runs, nothing is known of what they cost.
    let Ok(state) = state(&file.path) else { return Ok(costs) };
    let log = state.log();
    for past in log.past(None, COSTS_LOOKED_AT)? {
        let spent = past.steps.into_iter().rev().find_map(|step| match step {
            Step::Spent { bill } => Some(bill),
            _ => None,
        });
        if let Some(bill) = spent {
            costs.entry(past.job).or_insert(bill);
        }
    }
    Ok(costs)
}

impl List {
    fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let state = state(&file.path)?;
        let (now, zone) = (now(), Zone::new(false));
        let paused = state.paused().now(now)?;
        for work in file.works() {
            let name = work.name();
            let last = state.log().past(Some(name), 1)?.pop();
            let next = work.schedule().next_after(instant(now)).map(timestamp);
            let line = JobLine::new(work, last, next, (paused.contains(name), state.runs(name)), &zone);
            session.reporter.result(&line)?;
        }
        if state.daemon().is_none() {
            session.reporter.note("note: no daemon runs these jobs: start one with `credenza daemon`, or write units: `credenza jobs units`");
        }
        Ok(Exit::Done)
    }
}

impl Run {
    /// The same for a mirror.
    pub(super) fn of_mirror(name: String, at: JobsAt, wish: Wish) -> Self {
        Self { name, due: false, at, wish }
    }

    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let work = file.work(&self.name)?;
        let state = state(&file.path)?;
        let now = now();
        if self.due && state.paused().now(now)?.contains(work.name()) {
            let (job, why) = (work.name().to_owned(), "paused".to_owned());
            session.reporter.note(format!("the job `{job}` is paused: this run is left out"));
            state.log().add(&Record::Skipped { job, at: now, due: now, count: 1, why })?;
            return Ok(Exit::Done);
        }
        let occasion = Occasion::default();
        ran(session, (&file, &state), async |runner, printed, publish| match work {
            Work::Job(job) if self.due => runner.run_with_tries(job, printed, publish).await,
            Work::Job(job) => runner.run(job, &occasion, printed).await,
            Work::Verify(verify) => verify::run(runner, verify, &occasion, printed).await,
            Work::Replicate(policy) => replicate::run(runner, policy, false, &occasion, printed).await,
            Work::Mirror(mirror) => {
                mirror::run(runner, (mirror, &file.routes()), (&occasion, &self.wish), printed).await
            }
        })
        .await
    }
}

/// Runs something by hand as the daemon would: on record, with its figures, and with a look at what is to be told.
pub(super) async fn ran(
    session: &Session<'_>,
    (file, state): (&JobsFile, &State),
    work: impl AsyncFnOnce(&Runner<'_>, &Printed<'_>, &dyn Fn(Ending)) -> Result<Ending, JobsError>,
) -> Result<Exit, Failure> {
    state.log().close_lost(|job| state.runs(job), now())?;
    let runner = Runner { app: &session.app, state, clock: &SystemClock, stop: &session.stop };
    let _heeding = session.stop.heeding();
    let publish = |_| {
        if let Err(error) = metrics::publish(file, state, now()) {
            session.reporter.failure(&error.into());
        }
    };
    let ending = work(&runner, &Printed { session }, &publish).await?;
    let hears = Arc::new(Telling { reporter: Arc::clone(session.reporter) });
    // What could not be sent or written is told by the daemon, or after the next run.
    if let Err(error) = (Look { runner, jobs: file, hears }).at_all(None).await {
        session.reporter.failure(&error.into());
    }
    publish(ending);
    Ok(exit(ending))
}

/// Prints what a run does.
pub(super) struct Printed<'a> {
    session: &'a Session<'a>,
}

impl Heard for Printed<'_> {
    fn step(&self, step: &Step, cause: Option<Cause>) {
        let (Step::Failed { doing, .. }, Some(cause)) = (step, cause) else {
            return self.session.reporter.done(&StepLine { step });
        };
        let failure = match cause {
            Cause::App(error) => error.into(),
            Cause::Jobs(error) => error.into(),
            Cause::Hook(error) => Failure::of_hook(&error),
        };
        let what = format!("{} failed: {}", printable(doing), failure.what);
        self.session.reporter.failure(&Failure { what, ..failure });
    }

    fn events(&self) -> Arc<dyn Listener> {
        Arc::clone(self.session.reporter) as Arc<dyn Listener>
    }
}

/// What an ending is to a script.
pub(super) const fn exit(ending: Ending) -> Exit {
    match ending {
        Ending::Done => Exit::Done,
        Ending::Incomplete => Exit::Incomplete,
        Ending::Damaged => Exit::DamageFound,
        Ending::Busy => Exit::Conflict,
        Ending::Interrupted => Exit::Interrupted,
        Ending::Spent => Exit::BudgetSpent,
        Ending::Failed | Ending::Refused | Ending::Unreachable | Ending::Lost => Exit::Failed,
    }
}

impl History {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let path = self.at.path(session)?;
        let (state, zone) = (state(&path)?, Zone::new(false));
        if self.from_repository {
            let file = self.at.read(session)?;
            let job = file.job(self.name.as_deref().unwrap_or_default())?;
            let runner = Runner { app: &session.app, state: &state, clock: &SystemClock, stop: &session.stop };
            for past in runner.past_in_repository(job, self.number).await? {
                session.reporter.result(&PastLine::new(past, false, &zone))?;
            }
            return Ok(Exit::Done);
        }
        let log = state.log();
        let mut printed = Ok(());
        log.each_past(self.name.as_deref(), self.number, |past| {
            let is_under_way = past.is_open() && state.runs(&past.job);
            printed = session.reporter.result(&PastLine::new(past, is_under_way, &zone));
            printed.is_ok()
        })?;
        printed?;
        Ok(Exit::Done)
    }
}

impl Notify {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let sections = &file.notify.sections;
        let Some(section) = sections.iter().find(|section| section.name == self.name) else {
            let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
            let hint = match names.as_slice() {
                [] => "add one: [notify.NAME] with to = [\"ntfy:https://…\"]".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            let what = format!("there is no section [notify.{}] in {}", printable(&self.name), file.path.display());
            return Err(Failure::new(what).hint(hint));
        };
        let state = state(&file.path)?;
        let runner = Runner { app: &session.app, state: &state, clock: &SystemClock, stop: &session.stop };
        let hears = Arc::new(Telling { reporter: Arc::clone(session.reporter) });
        match look::test(&Look { runner, jobs: &file, hears }, section).await {
            Ok(()) => Ok(Exit::Done),
            Err(_) => Ok(Exit::Failed),
        }
    }
}

impl Units {
    fn run(self, session: &Session<'_>, understand: Understand) -> Result<Exit, Failure> {
        let together = self.together.array(session, || self.at.read(session), understand)?;
        let is_for_systemd = together.is_none();
        let (units, begin_last) = match together {
            Some(Array { units, begin_last }) => (units, begin_last),
            None => (self.for_systemd(&self.at.read(session)?)?, None),
        };
        for unit in units {
            let begin_last = begin_last.clone();
            let Some(folder) = &self.into else {
                session.reporter.result(&UnitLine {
                    name: unit.name,
                    text: Some(unit.text),
                    path: None,
                    begin_last,
                })?;
                continue;
            };
            let path = folder.join(&unit.name);
            // Whole, or not at all: systemd may look at any time.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(unit.text.as_bytes())?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.persist(&path).map_err(|error| error.error)?;
            session.reporter.done(&UnitLine { name: unit.name, text: None, path: Some(path), begin_last });
        }
        if self.into.is_some() && is_for_systemd {
            let what = if self.timers { "its timers" } else { "credenza.service" };
            session.reporter.note(format!("have systemd read them (systemctl daemon-reload), and enable {what}"));
        }
        // What was printed may have gone to kubectl.
        if let Some(command) = begin_last.filter(|_| self.into.is_none()) {
            session.reporter.note(format!("{BEGIN_LAST}: {command}"));
        }
        Ok(Exit::Done)
    }

    fn for_systemd(&self, file: &JobsFile) -> Result<Vec<Unit>, Failure> {
        let program = std::env::current_exe()?;
        let state = std::path::absolute(environment::state_folder().ok_or(JobsError::NoFolder)?)?;
        let paths = units::Paths { program: &program, state: &state };
        Ok(if self.timers { units::timers(paths, file)? } else { vec![units::daemon(paths, &file.path)] })
    }
}
