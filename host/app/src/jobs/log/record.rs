//! The lines of the log, and what they come to: one run, or due times without one.

use credenza_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::notify::Notice;
use super::super::outcome::{Ending, Step};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase", try_from = "Line")]
pub enum Record {
    /// A run begins.
    Began {
        /// Its id: the job and the time.
        run: String,
        /// The job.
        job: String,
        /// When.
        at: Timestamp,
        /// The due time that it is for; none of one that somebody asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// Due times before that passed without a run.
        missed: u32,
        /// Tries before.
        tries: u32,
    },
    /// It has done something.
    Step {
        /// The run.
        run: String,
        /// What.
        step: Step,
    },
    /// It has ended.
    Ended {
        /// The run.
        run: String,
        /// The job.
        job: String,
        /// When.
        at: Timestamp,
        /// The due time that it was for.
        #[serde(skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// How.
        ending: Ending,
        /// How often it may be tried again for the same due time, where it failed.
        #[serde(skip_serializing_if = "is_none_left")]
        tries_left: u32,
        /// Why, where it is not well.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Due times passed without a run, as was meant.
    Skipped {
        /// The job.
        job: String,
        /// When that was seen.
        at: Timestamp,
        /// The last of them.
        due: Timestamp,
        /// How many.
        count: u32,
        /// Why: `paused` or `missed`.
        why: String,
    },
    /// A notice was taken by one who hears, or was given up.
    Told {
        /// When.
        at: Timestamp,
        /// Who hears, as far as it may be shown.
        to: String,
        /// What was told.
        notice: Notice,
        /// Why it was given up.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// The job is waited for since then: it was seen for the first time, or the line that says so of its last run is in a log that goes.
    Seen {
        /// The job.
        job: String,
        /// Since when; what is due later is not done with.
        at: Timestamp,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_none_left(tries: &u32) -> bool {
    *tries == 0
}

/// A line as it is read. It is flat: an enum with its tag inside is buffered as a whole before it is understood, which for a long record takes most of the time.
#[derive(Deserialize)]
struct Line {
    event: Event,
    run: Option<String>,
    job: Option<String>,
    at: Option<Timestamp>,
    due: Option<Timestamp>,
    #[serde(default)]
    missed: u32,
    #[serde(default)]
    tries: u32,
    step: Option<Step>,
    ending: Option<Ending>,
    #[serde(default)]
    tries_left: u32,
    reason: Option<String>,
    #[serde(default)]
    count: u32,
    why: Option<String>,
    to: Option<String>,
    notice: Option<Notice>,
    failed: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Event {
    Began,
    Step,
    Ended,
    Skipped,
    Told,
    Seen,
}

impl TryFrom<Line> for Record {
    /// What is missing.
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let Line { event, run, job, at, due, missed, tries, step, ending, tries_left, reason, count, why, to, .. } =
            line;
        let (run, job, at) = (run.ok_or("run"), job.ok_or("job"), at.ok_or("at"));
        Ok(match event {
            Event::Began => Self::Began { run: run?, job: job?, at: at?, due, missed, tries },
            Event::Step => Self::Step { run: run?, step: step.ok_or("step")? },
            Event::Ended => {
                let ending = ending.ok_or("ending")?;
                Self::Ended { run: run?, job: job?, at: at?, due, ending, tries_left, reason }
            }
            Event::Skipped => {
                let (due, why) = (due.ok_or("due")?, why.ok_or("why")?);
                Self::Skipped { job: job?, at: at?, due, count, why }
            }
            Event::Told => {
                let (to, notice) = (to.ok_or("to")?, line.notice.ok_or("notice")?);
                Self::Told { at: at?, to, notice, failed: line.failed }
            }
            Event::Seen => Self::Seen { job: job?, at: at? },
        })
    }
}

/// One run, or due times without one, put together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Past {
    /// The job.
    pub job: String,
    /// When it began, or was seen to be left out.
    pub began: Timestamp,
    /// When it ended; none of one that is under way.
    pub ended: Option<Timestamp>,
    /// The due time that it was for.
    pub due: Option<Timestamp>,
    /// Due times before that passed without a run.
    pub missed: u32,
    /// Tries for the same due time that failed before.
    pub tries: u32,
    /// How it ended; none of one that is under way, and of one that was left out.
    pub ending: Option<Ending>,
    /// Why it is not well, or was left out.
    pub reason: Option<String>,
    /// What it did.
    pub steps: Vec<Step>,
}

impl Past {
    /// Whether it has no end: it is under way, or was lost.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.ended.is_none() && self.ending.is_none() && self.reason.is_none()
    }
}

/// The id of the run of a job that begins then.
#[must_use]
pub fn run_id(job: &str, began: Timestamp) -> String {
    format!("{job}@{began}")
}
