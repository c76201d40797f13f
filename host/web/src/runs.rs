//! Runs that were started from a page, and go on whether or not anybody looks.
//!
//! Owned here: which are under way, what each has told, how it ended, and that both are in the log. Refused here: what a run does (`operations`), and how
//! it is shown (`pages`). All ends in good order when the server ends.
//!
//! Bound: one run at a time in each repository and of each job, and [`KEPT_MAX`] that have ended, each with [`LINES_MAX`] lines and what its operation shows at its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credenza_app::{App, Error, Notice, Notices, OpenRepository, Opened, Result, StoreUse};
use credenza_engine::{Clock, Error as EngineError, Event, Listener, Moment, Phase, RunContext, Stop};
use credenza_model::Timestamp;
use futures_util::future::LocalBoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::access::Action;
use crate::activity::{Activity, Entry, Who};
use crate::repositories::Repositories;
use crate::shown;

/// Runs that have ended and are still shown.
const KEPT_MAX: usize = 50;
/// Lines of what one has found or done.
pub(crate) const LINES_MAX: usize = 200;

/// Where a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// With a repository.
    Repository,
    /// With a job of the schedule.
    Job,
}

impl Room {
    /// The page that has the run.
    pub(crate) fn address(self, name: &str) -> String {
        match self {
            Self::Repository => format!("/r/{name}"),
            Self::Job => format!("/jobs/{name}"),
        }
    }
}

/// What a run does.
pub(crate) trait Operation: Send + Sync {
    /// What a person calls it.
    fn title(&self) -> String;

    /// The words behind `credenza at REPOSITORY` that do the same; of a job the whole command.
    fn commands(&self) -> Vec<String>;

    /// What whoever starts or cancels it must be allowed to do.
    fn action(&self) -> Action;

    /// Where it is shown.
    fn room(&self) -> Room {
        Room::Repository
    }

    /// Does it, on the thread where it begins.
    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>>;
}

/// What an operation works with.
pub(crate) struct At {
    pub(crate) repositories: Arc<Repositories>,
    pub(crate) run: Arc<Run>,
}

/// What a run has told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reported {
    pub(crate) phase: Option<Phase>,
    /// When the phase began.
    pub(crate) since: Option<Moment>,
    /// Entries or objects.
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Bytes that there may be in all; 0 where nobody knows.
    pub(crate) bytes_expected: u64,
    /// Entries that could not be read or written.
    pub(crate) failed: u64,
    pub(crate) damages: u64,
    /// What is waited for.
    pub(crate) waiting: Option<String>,
    /// The last thing that it has done, of several.
    pub(crate) did: Option<String>,
    pub(crate) end: Option<End>,
}

/// How a run ended, and when.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) ending: Arc<Ending>,
    pub(crate) at: Timestamp,
}

/// What an operation shows at its end.
#[derive(Default)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    /// What it did or found, the most important first; of more than [`LINES_MAX`] the first.
    pub(crate) lines: Vec<String>,
    /// Numbers, as `--json` has them, by what they count.
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) tables: Vec<Table>,
    /// The snapshot that it made, its whole id.
    pub(crate) made: Option<String>,
    /// What can be done now that this is known.
    pub(crate) offer: Option<Offer>,
}

/// Rows under heads.
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) heads: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Whether a column has amounts, which stand below each other.
    pub(crate) fn is_amount(&self, column: &usize) -> bool {
        self.heads.get(*column).is_some_and(|head| ["Size", "Alone frees"].contains(head))
    }
}

/// Something that follows from a run which only looked: the same, done.
pub(crate) struct Offer {
    pub(crate) operation: Arc<dyn Operation>,
    /// What is done, as a heading and on its button: `Remove 3 snapshots`.
    pub(crate) title: String,
    /// What goes by it; nothing where nothing is lost. Whoever does it is asked again where something is.
    pub(crate) loses: Vec<String>,
}

impl Ending {
    /// Adds how far it got, where it ended before it could say that itself.
    fn say_how_far(&mut self, reported: &Reported) {
        let Reported { entries, bytes, .. } = *reported;
        if entries == 0 && bytes == 0 {
            return;
        }
        let (counted, size) = (shown::count(entries, "entry", "entries"), shown::size(bytes));
        self.lines.push(format!("It got through {counted}, {size}, before it ended; what it has written stays there."));
        self.facts.push(("Entries before the end".to_owned(), entries.to_string()));
        self.facts.push(("Bytes before the end".to_owned(), format!("{bytes} ({size})")));
    }
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending").field("outcome", &self.outcome).field("lines", &self.lines).finish_non_exhaustive()
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Outcome {
    /// All is well.
    #[default]
    Done,
    /// It is done, and not all of it could be.
    Incomplete,
    /// Damage was found.
    Damaged,
    /// It failed.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl Outcome {
    /// In a word or two.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Incomplete => "Incomplete",
            Self::Damaged => "Damage found",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// One run.
pub(crate) struct Run {
    pub(crate) id: u64,
    /// The repository, as addresses have it, or the job.
    pub(crate) name: String,
    pub(crate) operation: Arc<dyn Operation>,
    pub(crate) by: Who,
    pub(crate) began: Timestamp,
    clock: Arc<dyn Clock>,
    stop: Stop,
    reported: watch::Sender<Reported>,
    trouble: Mutex<Vec<String>>,
    done: Mutex<Vec<String>>,
    requests: Mutex<Vec<Box<dyn Fn() -> u64 + Send>>>,
    applied: Mutex<Option<u64>>,
}

/// All runs of one server.
pub(crate) struct Runs {
    clock: Arc<dyn Clock>,
    activity: Arc<Activity>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    runs: BTreeMap<u64, Arc<Run>>,
}

impl Runs {
    pub(crate) fn new(clock: Arc<dyn Clock>, activity: Arc<Activity>) -> Self {
        Self { clock, activity, state: Mutex::default() }
    }

    /// Notes a run that begins now. Where one is under way in the repository, or of the job, that is given instead.
    pub(crate) fn begin(
        &self,
        name: &str,
        operation: Arc<dyn Operation>,
        by: Who,
        stop: Stop,
    ) -> Result<Arc<Run>, Arc<Run>> {
        let mut state = locked(&self.state);
        let room = operation.room();
        if let Some(other) = state.runs.values().find(|run| run.is_in(room, name) && !run.has_ended()) {
            return Err(Arc::clone(other));
        }
        state.last = state.last.saturating_add(1);
        let run = Arc::new(Run {
            id: state.last,
            name: name.to_owned(),
            operation,
            by,
            began: self.clock.now().wall,
            clock: Arc::clone(&self.clock),
            stop,
            reported: watch::Sender::default(),
            trouble: Mutex::default(),
            done: Mutex::default(),
            requests: Mutex::default(),
            applied: Mutex::default(),
        });
        state.runs.insert(run.id, Arc::clone(&run));
        let ended: Vec<u64> = state.runs.values().filter(|run| run.has_ended()).map(|run| run.id).collect();
        let surplus = ended.len().saturating_sub(KEPT_MAX);
        for id in ended.into_iter().take(surplus) {
            state.runs.remove(&id);
        }
        Ok(run)
    }

    /// Starts a run that goes on by itself, on a thread of its own: a backup stays on the one where it began.
    pub(crate) fn start(&self, repositories: &Arc<Repositories>, run: Arc<Run>) {
        let entry = Entry::begun(&run.by, run.repository(), run.operation.title(), run.began);
        let noted = self.activity.begin(&entry);
        let at = At { repositories: Arc::clone(repositories), run: Arc::clone(&run) };
        let runtime = Handle::current();
        let activity = Arc::clone(&self.activity);
        let log = Arc::new(move |End { ending, at }: &End| {
            let says = ending.lines.first().map(|line| shown::text(line)).unwrap_or_default();
            activity.end(&noted, ending.outcome.word(), &says, *at);
        });
        let logging = Arc::clone(&log);
        let working = tokio::task::spawn_blocking(move || {
            let went = runtime.block_on(at.run.operation.run(&at));
            at.run.end(went, &*logging);
        });
        tokio::spawn(async move {
            // A run that broke down has ended too.
            if working.await.is_err() && !run.has_ended() {
                let lines = vec!["A fault of the program ended it; please report that.".to_owned()];
                run.end(Ok(Ending { outcome: Outcome::Failed, lines, ..Ending::default() }), &*log);
            }
        });
    }

    /// One of a repository or a job.
    pub(crate) fn get(&self, room: Room, name: &str, id: &str) -> Option<Arc<Run>> {
        let id = id.parse().ok()?;
        locked(&self.state).runs.get(&id).filter(|run| run.is_in(room, name)).cloned()
    }

    /// Those of a repository or a job, newest first.
    pub(crate) fn of(&self, room: Room, name: &str) -> Vec<Arc<Run>> {
        locked(&self.state).runs.values().rev().filter(|run| run.is_in(room, name)).cloned().collect()
    }

    /// Those that are under way.
    pub(crate) fn under_way(&self) -> Vec<Arc<Run>> {
        locked(&self.state).runs.values().rev().filter(|run| !run.has_ended()).cloned().collect()
    }

    /// Returns when none is under way.
    pub(crate) async fn ended(&self) {
        for run in self.under_way() {
            let _ = run.reported.subscribe().wait_for(|reported| reported.end.is_some()).await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl At {
    /// The program's handle, whose notices the run tells and whose connectors end with it.
    pub(crate) fn app(&self) -> App {
        let notices = Arc::clone(&self.run) as Arc<dyn Notices>;
        self.repositories.app().clone().with_notices(notices).with_stop(self.run.stop.clone())
    }

    /// Opens the repository of the run.
    pub(crate) async fn open(&self, purpose: StoreUse) -> Result<OpenRepository> {
        self.open_other(&self.run.name, purpose).await
    }

    /// Opens another repository of the configuration.
    pub(crate) async fn open_other(&self, name: &str, purpose: StoreUse) -> Result<OpenRepository> {
        let open = self.repositories.open_again(&self.app(), name, purpose).await?;
        self.run.counts(&open.store);
        Ok(open)
    }
}

impl Run {
    /// What it has told.
    pub(crate) fn reported(&self) -> Reported {
        self.reported.borrow().clone()
    }

    /// Tells of each change.
    pub(crate) fn follow(&self) -> watch::Receiver<Reported> {
        self.reported.subscribe()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.reported.borrow().end.is_some()
    }

    fn is_in(&self, room: Room, name: &str) -> bool {
        self.operation.room() == room && self.name == name
    }

    /// The repository that it is about; empty of a job.
    pub(crate) fn repository(&self) -> &str {
        match self.operation.room() {
            Room::Repository => &self.name,
            Room::Job => "",
        }
    }

    /// The first [`LINES_MAX`] things that it has done, of several.
    pub(crate) fn done(&self) -> Vec<String> {
        locked(&self.done).clone()
    }

    /// Notes something that it has done.
    pub(crate) fn did(&self, line: String) {
        self.reported.send_modify(|reported| reported.did = Some(line.clone()));
        let mut done = locked(&self.done);
        if done.len() < LINES_MAX {
            done.push(line);
        }
    }

    /// The clock of the server.
    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The first [`LINES_MAX`] entries and objects that something is wrong with.
    pub(crate) fn trouble(&self) -> Vec<String> {
        locked(&self.trouble).clone()
    }

    /// Requests that were sent for it, retries included.
    pub(crate) fn requests(&self) -> u64 {
        locked(&self.requests).iter().map(|requests| requests()).sum()
    }

    /// The run that does what this one has offered, if one was begun. Held while one begins, so that there is no second.
    pub(crate) fn applied(&self) -> MutexGuard<'_, Option<u64>> {
        locked(&self.applied)
    }

    /// Counts the requests of a connector among its own.
    pub(crate) fn counts<T: ?Sized>(&self, opened: &Opened<T>) {
        if let Some(traffic) = opened.traffic.clone() {
            locked(&self.requests).push(Box::new(move || traffic.requests()));
        }
    }

    /// Now, by the clock of the server.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Asks it to end in good order.
    pub(crate) fn cancel(&self) {
        self.stop.request();
    }

    /// What the engine takes for it.
    pub(crate) fn context(self: &Arc<Self>) -> RunContext {
        RunContext { events: Arc::clone(self) as Arc<dyn Listener>, stop: self.stop.clone() }
    }

    /// Notes how it ended: first on the log, as the server ends as soon as all runs have.
    pub(crate) fn end(&self, went: Result<Ending>, log: impl FnOnce(&End)) {
        let mut ending = match went {
            Ok(ending) => ending,
            Err(Error::Engine(EngineError::Cancelled)) => Ending { outcome: Outcome::Cancelled, ..Ending::default() },
            Err(error) => Ending { outcome: Outcome::Failed, lines: shown::causes(&error), ..Ending::default() },
        };
        if matches!(ending.outcome, Outcome::Failed | Outcome::Cancelled) && ending.facts.is_empty() {
            ending.say_how_far(&self.reported.borrow());
        }
        ending.lines.truncate(LINES_MAX);
        let end = End { ending: Arc::new(ending), at: self.clock.now().wall };
        log(&end);
        self.reported.send_modify(|reported| reported.end = Some(end));
    }

    fn note(&self, line: impl FnOnce() -> String) {
        let mut trouble = locked(&self.trouble);
        if trouble.len() < LINES_MAX {
            trouble.push(line());
        }
    }
}

impl Listener for Run {
    fn on(&self, event: Event) {
        match &event {
            Event::EntryFailed { key, reason } => self.note(|| format!("{}: {reason}", shown::name(key.as_bytes()))),
            Event::Damage(damage) => self.note(|| damage.to_string()),
            Event::PartsLeft { key } => {
                self.note(|| format!("{}: what was sent of it stays there", shown::name(key.as_bytes())));
            }
            _ => {}
        }
        let now = self.clock.now();
        self.reported.send_modify(|reported| match event {
            Event::Phase { phase } => {
                let Reported { failed, damages, did, .. } = std::mem::take(reported);
                let (phase, since) = (Some(phase), Some(now));
                *reported = Reported { phase, since, failed, damages, did, ..Reported::default() };
            }
            Event::Expected { bytes, .. } => reported.bytes_expected = bytes,
            Event::Progress { entries, bytes } => {
                reported.entries = reported.entries.saturating_add(entries);
                reported.bytes = reported.bytes.saturating_add(bytes);
                reported.waiting = None;
            }
            Event::EntryFailed { .. } => reported.failed = reported.failed.saturating_add(1),
            Event::Damage(_) => reported.damages = reported.damages.saturating_add(1),
            Event::Compared { .. }
            | Event::Left { .. }
            | Event::PartsLeft { .. }
            | Event::Committed { .. }
            | Event::Kept { .. } => {}
        });
    }
}

impl Notices for Run {
    fn notice(&self, notice: Notice) {
        if let Notice::Waiting { cause, tries, .. } = notice {
            let tries = if tries > 0 {
                format!(" (after {})", shown::count(u64::from(tries), "try", "tries"))
            } else {
                String::new()
            };
            self.reported.send_modify(|reported| reported.waiting = Some(format!("{cause}{tries}")));
        }
    }
}
