//! What runs by itself: `jobs.toml`, when each job is due, the runs, their hooks and their record.
//!
//! Owned here: the file of the jobs ([`file`](mod@file), [`sections`]), the decision what runs when ([`scheduler`], pure: events in, decisions out), what a run does
//! ([`run`], [`verify`], [`replicate`], [`mirror`]), the record of runs ([`log`]), and the process that does all of it ([`daemon`]). Refused here: printing and arguments (`cli`), signals, what
//! a backup or a removal is (`engine`). Called by `cli`.
//!
//! The daemon holds no truth. History is the repositories' own snapshots, which bear the tag `job:NAME`, and a log that may be deleted.

pub mod arrays;
mod backwards;
pub mod change;
mod clauses;
pub mod daemon;
mod error;
pub mod file;
pub mod guard;
#[cfg(test)]
mod guard_tests;
mod hook;
mod keys;
pub mod limits;
pub mod lock;
pub mod log;
pub mod look;
pub mod metrics;
pub mod mirror;
pub mod needs;
pub mod notify;
mod outcome;
pub mod pause;
pub mod preflight;
pub mod promise;
mod reader;
mod recording;
mod remembered;
pub mod replicate;
pub mod run;
pub mod runner;
pub mod schedule;
pub mod scheduler;
pub mod sections;
mod span;
pub mod state;
#[cfg(test)]
mod tests;
pub mod units;
pub mod verify;

pub use error::{JobsError, Problem};
pub use file::{Hook, Job, JobsFile, Moment, Verify, When, Work};
pub use hook::HookError;
pub use keys::schema;
pub use outcome::{Ending, Mirrored, Replicated, Step};
pub use run::Cause;
pub use sections::mirror::{Mirror, Route};
