//! Local folders, natively: what a sandbox cannot give (owners, extended attributes, hard links, sparse files).
//!
//! Owned here: [`FileSource`], [`FileStore`], [`FileDestination`] over Linux system calls, and the one mapping between
//! keys and names ([`escape`]). Refused here: what the patterns of excluded files mean (`patterns`) and what to
//! overwrite (the engine's decision).
//! Called by `cli`, which builds them for a location that is a path.

mod accounts;
mod attributes;
mod beneath;
mod cause;
mod destination;
pub mod escape;
mod folder;
mod foreign;
mod marker;
mod medium;
mod metadata;
mod racy;
mod reader;
mod root;
mod source;
mod store;
mod walk;

pub use destination::FileDestination;
pub use foreign::{IMPLIED, KEY};
pub use source::FileSource;
pub use store::FileStore;
