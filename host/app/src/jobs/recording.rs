//! A run on its record: what it did, what failed, how it ended; each is told and written at once.
//!
//! A run goes on record before it begins and when it has ended. Where the record cannot be written (a full disk), the run does its work all the same, and
//! that is said.
//!
//! Owned here: the lines of one run, and which of several endings holds. Refused here: what a run does (`run`, `verify`), and telling anybody ([`Heard`]).

pub(super) mod aside;

use std::sync::{Arc, PoisonError};

use credenza_engine::{Clock, Listener, Stop};
use credenza_model::Timestamp;

use super::error::JobsError;
use super::file::Retry;
use super::hook::HookError;
use super::log::{Log, Record, run_id};
use super::outcome::{Ending, Step};
use super::state::State;
use crate::error::Error;
use aside::Aside;

/// Why a part of a run failed.
#[derive(Debug)]
pub enum Cause {
    /// What the app or the engine says.
    App(Error),
    /// A hook.
    Hook(HookError),
    /// What is kept of jobs.
    Jobs(JobsError),
}

/// Hears of a run while it goes on.
pub trait Heard {
    /// Something was done, or failed; of that, the cause comes with it.
    fn step(&self, step: &Step, cause: Option<Cause>);

    /// What the engine tells.
    fn events(&self) -> Arc<dyn Listener>;
}

/// What a run is for.
#[derive(Debug, Clone, Default)]
pub struct Occasion {
    /// The due time; none where somebody asked for it.
    pub due: Option<Timestamp>,
    /// Due times before that passed without a run.
    pub missed: u32,
    /// Tries of it that failed before.
    pub tries: u32,
}

/// A run under way.
pub(super) struct Recording<'a> {
    name: String,
    pub(super) id: String,
    pub(super) due: Option<Timestamp>,
    tries: u32,
    pub(super) log: Log,
    heard: &'a dyn Heard,
    clock: &'a dyn Clock,
    stop: &'a Stop,
    /// The worst so far.
    pub(super) ending: Ending,
    pub(super) reason: Option<String>,
    /// Where what was done is kept until it is taken over by the record of the whole run.
    aside: Option<Aside>,
}

impl<'a> Recording<'a> {
    /// Puts on record that a run begins.
    pub(super) fn begin(
        name: &str,
        occasion: &Occasion,
        (state, clock, stop): (&State, &'a dyn Clock, &'a Stop),
        heard: &'a dyn Heard,
    ) -> Self {
        let (began, name) = (clock.now().wall, name.to_owned());
        let Occasion { due, missed, tries } = *occasion;
        let (id, log, ending) = (run_id(&name, began), state.log(), Ending::Done);
        let recording = Self { name, id, due, tries, log, heard, clock, stop, ending, reason: None, aside: None };
        let (run, job) = (recording.id.clone(), recording.name.clone());
        recording.record(&Record::Began { run, job, at: began, due, missed, tries });
        recording
    }

    /// Puts on record how it ended.
    pub(super) fn end(&self, retry: Retry) -> Ending {
        // As the scheduler counts them; nobody tries again what somebody has asked for.
        let tries_left = match (self.ending, self.due) {
            (Ending::Failed, Some(_)) => retry.tries.saturating_sub(self.tries.saturating_add(1)),
            _ => 0,
        };
        self.record(&Record::Ended {
            run: self.id.clone(),
            job: self.name.clone(),
            at: self.clock.now().wall,
            due: self.due,
            ending: self.ending,
            tries_left,
            reason: self.reason.clone(),
        });
        self.ending
    }

    /// The record of a part of the run, which this one [takes over](Self::take) when its turn has come.
    fn beside(&self, aside: Aside) -> Self {
        let Self { due, tries, heard, clock, stop, .. } = *self;
        let (name, id, log, ending) = (self.name.clone(), self.id.clone(), self.log.clone(), Ending::Done);
        Self { name, id, due, tries, log, heard, clock, stop, ending, reason: None, aside: Some(aside) }
    }

    /// Takes over what a part has done, and how it ended.
    pub(super) fn take(&mut self, part: Self) {
        let steps = part.aside.map(|aside| aside.steps.into_inner().unwrap_or_else(PoisonError::into_inner));
        for (step, cause) in steps.unwrap_or_default() {
            self.tell(step, cause);
        }
        self.worsen(part.ending, || part.reason.unwrap_or_default());
    }

    /// What the engine tells.
    pub(super) fn events(&self) -> Arc<dyn Listener> {
        match &self.aside {
            Some(aside) => aside.events(self.heard.events()),
            None => self.heard.events(),
        }
    }

    pub(super) fn did(&self, step: Step) {
        self.tell(step, None);
    }

    fn tell(&self, step: Step, cause: Option<Cause>) {
        if let Some(aside) = &self.aside {
            return aside.steps.lock().unwrap_or_else(PoisonError::into_inner).push((step, cause));
        }
        self.heard.step(&step, cause);
        self.record(&Record::Step { run: self.id.clone(), step });
    }

    pub(super) fn failed(&mut self, doing: &str, ending: Ending, cause: Cause) {
        // What asks the run to end may have ended its commands too: what fails then has not had its try.
        let ending = match ending {
            Ending::Failed | Ending::Refused if self.stop.is_requested() => Ending::Interrupted,
            ending => ending,
        };
        let reason = cause.to_string();
        self.failed_because(doing, ending, reason, cause);
    }

    /// The same with a reason that says more than its cause.
    pub(super) fn failed_because(&mut self, doing: &str, ending: Ending, reason: String, cause: Cause) {
        self.worsen(ending, || format!("{doing}: {reason}"));
        self.tell(Step::Failed { doing: doing.to_owned(), reason }, Some(cause));
    }

    /// Takes an ending that is worse than what there was, with its reason.
    pub(super) fn worsen(&mut self, ending: Ending, reason: impl FnOnce() -> String) {
        if ending > self.ending {
            self.ending = ending;
            self.reason = Some(reason());
        }
    }

    /// Puts something on record; a run is not left out because that fails.
    fn record(&self, record: &Record) {
        if let Err(error) = self.log.add(record) {
            let step = Step::Failed { doing: "keeping the record of the run".to_owned(), reason: error.to_string() };
            self.heard.step(&step, Some(Cause::Jobs(error)));
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error: &dyn std::error::Error = match self {
            Self::App(error) => error,
            Self::Hook(error) => error,
            Self::Jobs(error) => error,
        };
        write!(f, "{error}")?;
        // What is transparent repeats itself.
        let why = error.source().map(ToString::to_string).filter(|why| !why.is_empty());
        why.map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
