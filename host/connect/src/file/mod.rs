//! Local folders, natively: what a sandbox cannot give (owners, extended attributes, hard links, sparse files).
//!
//! Owned here: [`FileSource`], [`FileStore`], [`FileDestination`] over the system calls of `platform`, and the one mapping between
//! keys and names ([`escape`]). Refused here: what the patterns of excluded files mean (`patterns`) and what to
//! overwrite (the engine's decision).
//! Called by `cli`, which builds them for a location that is a path.

mod accounts;
mod attributes;
mod cause;
mod destination;
pub mod escape;
mod foreign;
mod marker;
mod metadata;
mod platform;
mod racy;
mod reader;
mod root;
mod source;
mod store;
mod walk;

pub use destination::FileDestination;
pub use foreign::{IMPLIED, KEY};
pub use platform::{Watch, WatchError, Watched, host_name, watches_max};
pub use source::FileSource;
pub use store::FileStore;

/// What the reasons of all errors of this connector begin with.
pub const REASONS: &str = "file.";
/// The reason of an error of a folder that is not there.
pub const NO_ROOT: &str = "file.no-root";
