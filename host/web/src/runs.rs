//! Runs that were started from a page, and go on whether or not anybody looks.
//!
//! Owned here: which are under way, what each has told, and how it ended. Refused here: what a run does (`credenza-engine`), and how it is shown (`pages`).
//! All ends in good order when the server ends.
//!
//! Bound: one run at a time in each repository, and [`KEPT_MAX`] that have ended, each with [`LINES_MAX`] lines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credenza_app::Error;
use credenza_engine::{Error as EngineError, Event, Listener, Phase, RunContext, Stop};
use credenza_model::Timestamp;
use tokio::sync::watch;

/// Runs that have ended and are still shown.
const KEPT_MAX: usize = 50;
/// Lines of what one has found or done.
pub(crate) const LINES_MAX: usize = 200;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Verifies the repository; every byte of it, or its structure.
    Check {
        /// Whether every byte is read.
        read_data: bool,
    },
    /// Backs up a source of the configuration.
    Backup {
        /// Its name.
        source: String,
    },
}

/// What a run has told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reported {
    pub(crate) phase: Option<Phase>,
    /// Entries or objects.
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Bytes that there may be in all; 0 where nobody knows.
    pub(crate) bytes_expected: u64,
    /// Entries that could not be read.
    pub(crate) failed: u64,
    pub(crate) damages: u64,
    pub(crate) end: Option<End>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    /// What it did or found, at most [`LINES_MAX`] lines.
    pub(crate) lines: Vec<String>,
    pub(crate) at: Timestamp,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// It is done, and not everything could be read.
    Incomplete,
    /// Damage was found.
    Damaged,
    /// It failed.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// One run.
pub(crate) struct Run {
    pub(crate) id: u64,
    /// The repository, as addresses have it.
    pub(crate) name: String,
    pub(crate) what: What,
    pub(crate) began: Timestamp,
    stop: Stop,
    reported: watch::Sender<Reported>,
}

/// All runs of one server.
#[derive(Default)]
pub(crate) struct Runs(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    runs: BTreeMap<u64, Arc<Run>>,
}

impl Runs {
    /// Notes a run that begins now. Where one is under way in the repository, that is given instead.
    pub(crate) fn begin(&self, name: &str, what: What, began: Timestamp, stop: Stop) -> Result<Arc<Run>, Arc<Run>> {
        let mut state = self.state();
        if let Some(other) = state.runs.values().find(|run| run.name == name && !run.has_ended()) {
            return Err(Arc::clone(other));
        }
        state.last = state.last.saturating_add(1);
        let run = Run { id: state.last, name: name.to_owned(), what, began, stop, reported: watch::Sender::default() };
        let run = Arc::new(run);
        state.runs.insert(run.id, Arc::clone(&run));
        let ended: Vec<u64> = state.runs.values().filter(|run| run.has_ended()).map(|run| run.id).collect();
        let surplus = ended.len().saturating_sub(KEPT_MAX);
        for id in ended.into_iter().take(surplus) {
            state.runs.remove(&id);
        }
        Ok(run)
    }

    /// One of a repository.
    pub(crate) fn get(&self, name: &str, id: &str) -> Option<Arc<Run>> {
        let id = id.parse().ok()?;
        self.state().runs.get(&id).filter(|run| run.name == name).cloned()
    }

    /// Those of a repository, newest first.
    pub(crate) fn of(&self, name: &str) -> Vec<Arc<Run>> {
        self.state().runs.values().rev().filter(|run| run.name == name).cloned().collect()
    }

    /// Returns when none is under way.
    pub(crate) async fn ended(&self) {
        let all: Vec<Arc<Run>> = self.state().runs.values().cloned().collect();
        for run in all {
            let _ = run.reported.subscribe().wait_for(|reported| reported.end.is_some()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Asks it to end in good order.
    pub(crate) fn cancel(&self) {
        self.stop.request();
    }

    /// What the engine takes for it.
    pub(crate) fn context(self: &Arc<Self>) -> RunContext {
        RunContext { events: Arc::clone(self) as Arc<dyn Listener>, stop: self.stop.clone() }
    }

    /// Notes how it ended.
    pub(crate) fn end(&self, went: Result<(Outcome, Vec<String>), Error>, at: Timestamp) {
        let (outcome, mut lines) = match went {
            Ok(ended) => ended,
            Err(Error::Engine(EngineError::Cancelled)) => (Outcome::Cancelled, Vec::new()),
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                (Outcome::Failed, std::iter::once(error.to_string()).chain(why).collect())
            }
        };
        lines.truncate(LINES_MAX);
        self.reported.send_modify(|reported| reported.end = Some(End { outcome, lines, at }));
    }
}

impl Listener for Run {
    fn on(&self, event: Event) {
        self.reported.send_modify(|reported| match event {
            Event::Phase { phase } => {
                *reported = Reported {
                    phase: Some(phase),
                    failed: reported.failed,
                    damages: reported.damages,
                    ..Reported::default()
                };
            }
            Event::Expected { bytes, .. } => reported.bytes_expected = bytes,
            Event::Progress { entries, bytes } => {
                reported.entries = reported.entries.saturating_add(entries);
                reported.bytes = reported.bytes.saturating_add(bytes);
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
