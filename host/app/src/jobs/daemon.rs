//! The process that runs jobs when they are due, until it is asked to end.
//!
//! Owned here: the loop around the [`Scheduler`]: the clock, tasks, the file that is read again, and the end in good order. Refused here: signals, the service
//! manager and printing (`cli`, which [`Listens`]), and every decision (`scheduler`).
//!
//! It holds no truth: what it knows at its start is in the log, and what it does is there before it does it. Idle, it wakes when something is due, when it is
//! [woken](Daemon::waker) because the clock was set or the machine has slept, and at least once a [`pulse`](Options::pulse).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use credenza_engine::{Clock, Heeding, Listener, NoEvents, Stop};
use credenza_model::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::change::{Changes, Seen, Unwatched};
use super::error::JobsError;
use super::file::{Job, JobsFile, Verify, Work};
use super::lock::Held;
use super::log::{Past, Record};
use super::look::book::Book;
use super::look::{Hears, Look, Looked, Told};
use super::metrics::Figures;
use super::mirror::{self, Wish};
use super::outcome::{Ending, Step};
use super::recording::{Cause, Heard, Occasion};
use super::runner::Runner;
use super::schedule::{instant, later, timestamp};
use super::scheduler::{Decision, Rules, Scheduler, Skipped, Start};
use super::sections::mirror::{Mirror, Route};
use super::sections::replicate::Replicate;
use super::state::State;
use super::{replicate, verify};
use crate::app::App;

/// How long a look at what is to be told waits for runs that are under way.
const RUN_FIRST: Duration = Duration::from_mins(5);
/// A pause is a file, of whose end nobody tells: while a run waits for it, it is looked at so often.
const PAUSE_AGAIN: Duration = Duration::from_mins(1);
/// After a look that broke down comes another.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What a daemon works with.
pub struct Options {
    /// The file of the jobs.
    pub path: PathBuf,
    /// Where the record is.
    pub state: State,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ends it, and its runs in good order.
    pub stop: Stop,
    /// Asks for the file to be read again.
    pub reload: Arc<Notify>,
    /// The longest that it waits at once.
    pub pulse: Duration,
}

/// What a daemon tells.
#[derive(Debug)]
pub enum News<'a> {
    /// It is at work, with so many jobs.
    Ready(usize),
    /// It goes on living.
    Alive,
    /// It is about to read the file again.
    Reloading,
    /// It goes by another version of the file, with so many jobs.
    Reloaded(usize),
    /// It goes on by the old version: the new one cannot be used.
    NotReloaded(&'a JobsError),
    /// A run before ended with its process.
    Lost(&'a Past),
    /// A run begins.
    Began(&'a Start),
    /// A run did something.
    Did(&'a str, &'a Step),
    /// A run ended.
    Ended(&'a str, Ending),
    /// Due times pass without a run.
    Skipped(&'a Decision),
    /// What is kept of jobs cannot be read or written.
    Fault(&'a JobsError),
    /// Changes of a job's sources are not seen: it runs by its schedule alone.
    Unwatched(&'a str, &'a Unwatched),
    /// It looks at what is to be told.
    Looking,
    /// What that look tells.
    Told(Told<'a>),
    /// It has looked.
    Looked,
    /// It ends, after the runs that are under way.
    Stopping(usize),
}

/// Hears of what a daemon does.
pub trait Listens: Send + Sync {
    /// Something happened.
    fn hear(&self, news: News<'_>);

    /// A run of a job begins, which `stop` ends in good order: hands back who hears what the engine tells of it.
    fn follow(&self, _job: &str, _stop: &Stop) -> Arc<dyn Listener> {
        Arc::new(NoEvents)
    }
}

/// Something that went on beside has come to its end.
enum Over {
    /// A run.
    Run(Start, Ending),
    /// A look at what is to be told.
    Look(Looked),
}

/// The daemon of one file of jobs.
pub struct Daemon {
    app: App,
    options: Options,
    listens: Arc<dyn Listens>,
    jobs: JobsFile,
    scheduler: Scheduler,
    over: (UnboundedSender<Over>, UnboundedReceiver<Over>),
    watch: Watch,
    figures: Arc<Figures>,
    woken: Arc<Notify>,
    _held: Held,
}

impl Daemon {
    /// Reads the file, takes the place of its one daemon, and puts on record which runs were lost.
    ///
    /// # Errors
    /// When the file cannot be used, another daemon has the place, or the record, or which jobs are paused, cannot be read.
    pub fn start(app: App, options: Options, listens: Arc<dyn Listens>) -> Result<Self, JobsError> {
        let now = options.clock.now().wall;
        let jobs = JobsFile::read(&options.path, instant(now))?;
        let held = options.state.be_daemon()?;
        // A job that somebody has paused must not run because nobody can tell.
        let paused = options.state.paused().now(now)?;
        let log = options.state.log();
        match log.close_lost(|job| options.state.runs(job), now) {
            Ok(lost) => lost.iter().for_each(|past| listens.hear(News::Lost(past))),
            Err(error) => listens.hear(News::Fault(&error)),
        }
        let (served, unwritten) = log.see(&names(&jobs), now)?;
        if let Some(error) = unwritten {
            listens.hear(News::Fault(&error));
        }
        let served = served.into_iter().map(|(job, due)| (job, instant(due))).collect();
        let mut scheduler = Scheduler::new(rules(&jobs), &served, instant(now));
        scheduler.pause(paused);
        let watch = Watch { next: Some(now), ..Watch::default() };
        let (state, clock) = (options.state.clone(), Arc::clone(&options.clock));
        let figures = Arc::new(Figures::new(jobs.clone(), state, clock));
        let (over, woken) = (unbounded_channel(), Arc::default());
        Ok(Self { app, options, listens, jobs, scheduler, over, watch, figures, woken, _held: held })
    }

    /// Runs jobs until it is asked to end, and the runs that are under way have ended.
    pub async fn run(mut self) {
        let stop = self.options.stop.clone();
        let _heeding: Heeding<'_> = stop.heeding();
        let mut changes = self.follow_changes();
        self.listens.hear(News::Ready(self.jobs.works().count()));
        self.publish();
        while !stop.is_requested() {
            self.listens.hear(News::Alive);
            let now = self.options.clock.now().wall;
            self.look_at_pauses(now);
            for decision in self.scheduler.tick(instant(now)) {
                self.carry_out(decision, now);
            }
            self.look(now);
            let wait = self.wait(now);
            tokio::select! {
                () = stop.requested() => {}
                () = self.options.reload.notified() => {
                    self.reload();
                    changes = self.follow_changes();
                }
                Some(seen) = changes.next() => self.seen(seen),
                Some(over) = self.over.1.recv() => self.note(over),
                () = self.woken.notified() => {}
                () = self.options.clock.wait(wait) => {}
            }
        }
        self.listens.hear(News::Stopping(self.scheduler.running().len()));
        while self.watch.is_looking || !self.scheduler.running().is_empty() {
            let Some(over) = self.over.1.recv().await else { break };
            self.note(over);
        }
    }

    /// Watches what the jobs of this version of the file want to hear of.
    fn follow_changes(&self) -> Changes {
        let (changes, unwatched) = Changes::of(&self.app, &self.jobs, &self.options.clock);
        for (job, why) in &unwatched {
            self.listens.hear(News::Unwatched(job, why));
        }
        changes
    }

    fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::Changed(job) => self.scheduler.want(&job, instant(self.options.clock.now().wall)),
            Seen::Lost(job, why) => self.listens.hear(News::Unwatched(&job, &Unwatched::Watch(why))),
        }
    }

    fn note(&mut self, over: Over) {
        match over {
            Over::Run(start, ending) => self.note_end(&start, ending),
            Over::Look(Looked { again_at, unwritten }) => {
                self.watch.is_looking = false;
                self.watch.unwritten = unwritten;
                self.watch.next = if self.watch.is_wanted { Some(self.options.clock.now().wall) } else { again_at };
                self.watch.is_wanted = false;
                self.listens.hear(News::Looked);
                self.publish();
            }
        }
    }

    /// When to look at what is to be told.
    fn look_at(&self) -> Option<Timestamp> {
        self.watch.held.map_or(self.watch.next, |since| Some(later(since, RUN_FIRST)))
    }

    /// Whether it is time for a look. What runs may change what is found: that is waited for, and not for long, so that what a run is about to make up for
    /// is no alarm.
    fn is_time_to_look(&mut self, now: Timestamp) -> bool {
        if self.watch.is_looking || self.watch.next.is_none_or(|next| next > now) {
            return false;
        }
        let since = *self.watch.held.get_or_insert(now);
        self.scheduler.running().is_empty() || later(since, RUN_FIRST) <= now
    }

    /// Looks at what is to be told, on a thread of its own, where it is time and nobody does.
    fn look(&mut self, now: Timestamp) {
        if !self.is_time_to_look(now) {
            return;
        }
        (self.watch.is_looking, self.watch.next, self.watch.held) = (true, None, None);
        self.listens.hear(News::Looking);
        let Options { state, clock, stop, .. } = &self.options;
        let (app, state, clock, stop) = (self.app.clone(), state.clone(), Arc::clone(clock), stop.child());
        let (jobs, unwritten, runtime) = (self.jobs.clone(), self.watch.unwritten.take(), Handle::current());
        let (listens, sender) = (Arc::clone(&self.listens), self.over.0.clone());
        // A look that breaks down forgets nothing, and is not the last.
        let (again, known, timer) = (sender.clone(), unwritten.clone(), Arc::clone(&clock));
        let broken = move || Looked { again_at: Some(later(timer.now().wall, LOOK_AGAIN)), unwritten: known.clone() };
        let broken_down = broken.clone();
        let work = tokio::task::spawn_blocking(move || {
            let app = app.with_stop(stop.clone());
            let runner = Runner { app: &app, state: &state, clock: &*clock, stop: &stop };
            let hears: Arc<dyn Hears> = Arc::new(Passing(Arc::clone(&listens)));
            let looked = runtime.block_on(Look { runner, jobs: &jobs, hears }.at_all(unwritten));
            let looked = looked.unwrap_or_else(|error| {
                listens.hear(News::Fault(&error));
                broken()
            });
            // Where nobody waits for it any more, the daemon is gone.
            let _ = sender.send(Over::Look(looked));
        });
        tokio::spawn(async move {
            if work.await.is_err() {
                let _ = again.send(Over::Look(broken_down()));
            }
        });
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let now = instant(now);
        let look = self.look_at().filter(|_| !self.watch.is_looking).map(instant);
        let next = self.scheduler.next_wake(now).into_iter().chain(look).min().map(|next| next.duration_since(now));
        let longest = if self.scheduler.waits_for_resumption() { PAUSE_AGAIN } else { self.options.pulse };
        let next = next.map_or(longest, |next| Duration::try_from(next).unwrap_or_default());
        // A clock that is read just before a due time must not be asked without a pause.
        next.min(longest.min(self.options.pulse)).max(Duration::from_millis(100))
    }

    /// Where it cannot be read, what it said before holds.
    fn look_at_pauses(&mut self, now: Timestamp) {
        match self.options.state.paused().now(now) {
            Ok(paused) => self.scheduler.pause(paused),
            Err(error) => self.listens.hear(News::Fault(&error)),
        }
    }

    fn note_end(&mut self, start: &Start, ending: Ending) {
        self.scheduler.ended(start, ending, instant(self.options.clock.now().wall));
        self.listens.hear(News::Ended(&start.job, ending));
        self.follow_with_copies(&start.job, ending);
        self.watch.want(self.options.clock.now().wall);
        self.publish();
    }

    /// What a job has backed up is carried on at once, by the policies that follow it.
    fn follow_with_copies(&mut self, job: &str, ending: Ending) {
        let Some(job) = self.jobs.jobs.get(job).filter(|_| ending.has_backup()) else { return };
        let now = instant(self.options.clock.now().wall);
        let follows = |policy: &&Replicate| policy.follows && policy.is_here() && policy.from == job.repository;
        for policy in self.jobs.replicates.values().filter(follows) {
            self.scheduler.want(&policy.name, now);
        }
    }

    /// Has it look at the clock again, where that was set, or where it has gone on while the machine slept.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }

    /// What makes the figures for who asks.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Where who asks is to be answered, by the file as it was read at the start.
    #[must_use]
    pub const fn metrics(&self) -> Option<SocketAddr> {
        self.jobs.metrics
    }

    fn publish(&self) {
        if let Err(error) = self.figures.publish() {
            self.listens.hear(News::Fault(&error));
        }
    }

    fn reload(&mut self) {
        self.listens.hear(News::Reloading);
        let now = self.options.clock.now().wall;
        match JobsFile::read(&self.options.path, instant(now)) {
            Ok(jobs) => {
                match self.options.state.log().see(&names(&jobs), now) {
                    Ok((_, None)) => {}
                    Ok((_, Some(error))) | Err(error) => self.listens.hear(News::Fault(&error)),
                }
                self.scheduler.replace(rules(&jobs), instant(now));
                self.figures.replace(jobs.clone());
                self.jobs = jobs;
                self.watch.want(now);
                self.listens.hear(News::Reloaded(self.jobs.works().count()));
            }
            Err(error) => self.listens.hear(News::NotReloaded(&error)),
        }
    }

    fn carry_out(&self, decision: Decision, now: Timestamp) {
        match &decision {
            Decision::Start(start) => self.begin(start.clone()),
            Decision::Skip { job, due, count, why } => {
                let why = match why {
                    Skipped::Paused => "paused",
                    Skipped::Missed => "missed",
                };
                let (job, due, why) = (job.clone(), timestamp(*due), why.to_owned());
                if let Err(error) =
                    self.options.state.log().add(&Record::Skipped { job, at: now, due, count: *count, why })
                {
                    self.listens.hear(News::Fault(&error));
                }
                self.listens.hear(News::Skipped(&decision));
            }
        }
    }

    /// Begins a run, on a thread of its own: a backup stays on the one where it began.
    fn begin(&self, start: Start) {
        self.listens.hear(News::Began(&start));
        let Some(work) = self.jobs.work(&start.job).ok().map(|work| Owned::of(work, &self.jobs)) else { return };
        let Options { state, clock, stop, .. } = &self.options;
        let (app, state, clock, stop) = (self.app.clone(), state.clone(), Arc::clone(clock), stop.child());
        let (listens, sender, runtime) = (Arc::clone(&self.listens), self.over.0.clone(), Handle::current());
        let occasion = Occasion { due: Some(timestamp(start.due)), missed: start.missed, tries: start.tries };
        let broken = (start.clone(), sender.clone());
        let running = tokio::task::spawn_blocking(move || {
            let app = app.with_stop(stop.clone());
            let runner = Runner { app: &app, state: &state, clock: &*clock, stop: &stop };
            let telling = Telling { job: &start.job, listens: &*listens, events: listens.follow(&start.job, &stop) };
            let ended = match &work {
                Owned::Job(job) => runtime.block_on(runner.run(job, &occasion, &telling)),
                Owned::Verify(verify) => runtime.block_on(verify::run(&runner, verify, &occasion, &telling)),
                Owned::Replicate(policy) => {
                    runtime.block_on(replicate::run(&runner, policy, false, &occasion, &telling))
                }
                Owned::Mirror(mirror, all) => {
                    let wish = Wish::default();
                    runtime.block_on(mirror::run(&runner, (mirror, all), (&occasion, &wish), &telling))
                }
            };
            let ending = ended.unwrap_or_else(|error| {
                listens.hear(News::Fault(&error));
                Ending::Busy
            });
            // Where nobody waits for it any more, the daemon is gone.
            let _ = sender.send(Over::Run(start, ending));
        });
        tokio::spawn(async move {
            // A run that broke down has ended too, and the log has its begin.
            if running.await.is_err() {
                let _ = broken.1.send(Over::Run(broken.0, Ending::Failed));
            }
        });
    }
}

/// When to look at what is to be told.
#[derive(Default)]
struct Watch {
    next: Option<Timestamp>,
    /// Since when a look that is due waits for runs.
    held: Option<Timestamp>,
    is_looking: bool,
    /// Something happened while it looked.
    is_wanted: bool,
    /// What the last look could not write.
    unwritten: Option<Box<Book>>,
}

impl Watch {
    const fn want(&mut self, now: Timestamp) {
        self.is_wanted = self.is_looking;
        self.next = Some(now);
    }
}

/// Passes on what a look tells.
struct Passing(Arc<dyn Listens>);

impl Hears for Passing {
    fn told(&self, told: Told<'_>) {
        self.0.hear(News::Told(told));
    }
}

/// What a run works by, whatever the file says meanwhile.
enum Owned {
    Job(Box<Job>),
    Verify(Box<Verify>),
    Replicate(Box<Replicate>),
    Mirror(Box<Mirror>, Vec<Route>),
}

impl Owned {
    fn of(work: Work<'_>, file: &JobsFile) -> Self {
        match work {
            Work::Job(job) => Self::Job(Box::new(job.clone())),
            Work::Verify(verify) => Self::Verify(Box::new(verify.clone())),
            Work::Replicate(policy) => Self::Replicate(Box::new(policy.clone())),
            Work::Mirror(mirror) => Self::Mirror(Box::new(mirror.clone()), file.routes()),
        }
    }
}

/// Tells what a run does.
struct Telling<'a> {
    job: &'a str,
    listens: &'a dyn Listens,
    events: Arc<dyn Listener>,
}

impl Heard for Telling<'_> {
    fn step(&self, step: &Step, _cause: Option<Cause>) {
        self.listens.hear(News::Did(self.job, step));
    }

    fn events(&self) -> Arc<dyn Listener> {
        Arc::clone(&self.events)
    }
}

fn names(jobs: &JobsFile) -> BTreeSet<String> {
    jobs.works().map(|work| work.name().to_owned()).collect()
}

fn rules(jobs: &JobsFile) -> impl Iterator<Item = (&str, Rules)> {
    jobs.works().map(|work| (work.name(), Rules::from(work)))
}
