//! What a run does: the operations of the engine with the options that the command line has by itself, one file each.
//!
//! Owned here: which they are, and what is shown of their reports. What removes or replaces something is not started by itself: a run that only looks
//! ends with the offer to do it. Refused here: what else is under way (`runs`), and what is true (`credenza-app`, `credenza-engine`).

mod acknowledge;
mod backup;
mod check;
mod job;
mod maintain;
mod mirror;
mod policy;
mod promote;
mod prune;
mod remove;
mod repair;
mod restore;
mod spending;
mod sync;
mod tag;

pub(crate) use acknowledge::Acknowledge;
pub(crate) use backup::Backup;
pub(crate) use check::Check;
pub(crate) use job::{JobRun, ended};
pub(crate) use maintain::Maintain;
pub(crate) use mirror::MirrorPlan;
pub(crate) use policy::{SetPolicy, rules};
pub(crate) use promote::Promote;
pub(crate) use prune::Prune;
pub(crate) use remove::Remove;
pub(crate) use repair::Repair;
pub(crate) use restore::{How, Picked, Restore};
pub(crate) use sync::Sync;
pub(crate) use tag::Tag;

/// A number that is counted, for a table of facts.
fn fact(what: &str, number: impl ToString) -> (String, String) {
    (what.to_owned(), number.to_string())
}

/// The first digits of an id.
fn short(id: impl ToString) -> String {
    id.to_string().chars().take(8).collect()
}
