//! Snapshots to be looked into with the tools that are at hand.
//!
//! Owned here: which snapshots are shown and in which folders (`shelf`), how the keys of a snapshot become files and folders and back (`tree`), and the
//! fronts by which programs reach them: the kernel (`mount`). Refused here: opening packs, walking trees and verifying, which the engine's
//! [view](credenza_engine::view) does for all fronts. Called by `cli`.
//!
//! Bound: the view, [`READS_MAX`](mount::READS_MAX) answers at once, and for each file that the kernel knows its key.

mod error;
pub mod mount;
pub mod shelf;
pub mod tree;

pub use error::{Error, Result};
pub use mount::{Mount, MountOptions};
pub use shelf::{Shelf, Shown};
