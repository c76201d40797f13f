//! One file per command: its arguments with their help, and what it does.
//!
//! Owned here: what a command does with the crates below. Refused here: the grammar (`arguments`), and which command runs (`program`).

mod agree;
pub(crate) mod audit;
mod background;
pub(crate) mod backup;
pub(crate) mod bootstrap;
pub(crate) mod browse;
pub(crate) mod cat;
pub(crate) mod check;
mod clock_set;
pub(crate) mod completions;
mod compression;
pub(crate) mod connector;
pub(crate) mod create;
pub(crate) mod daemon;
pub(crate) mod diff;
pub(crate) mod digest;
pub(crate) mod dump;
mod filters;
pub(crate) mod find;
mod guarantees;
pub(crate) mod info;
pub(crate) mod jobs;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod ls;
pub(crate) mod maintain;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod mirror;
pub(crate) mod mount;
mod newest;
pub(crate) mod place;
pub(crate) mod policy;
pub(crate) mod promote;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod replicate;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod serve;
mod session;
mod sharding;
mod shown;
mod sizes;
mod source_name;
mod space;
pub(crate) mod spending;
pub(crate) mod sync;
pub(crate) mod tag;
pub(crate) mod ui;

pub(crate) use session::Session;
