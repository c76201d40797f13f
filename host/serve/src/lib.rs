//! Snapshots to be looked into with the tools that are at hand.
//!
//! Owned here: which snapshots are shown and in which folders (`shelf`), how the keys of a snapshot become files and folders and back (`tree`), and the
//! fronts by which programs reach them: the kernel (`mount`), clients of S3 (`s3`), and those of HTTP and WebDAV (`http`), over a listener (`listen`), with what all of them say of an entry (`entry`). Refused here: opening packs, walking trees and verifying, which the engine's
//! [view](credenza_engine::view) does for all fronts. Called by `cli`.
//!
//! Bound: the view, [`READS_MAX`](mount::READS_MAX) answers at once, and little for each file of several names that the kernel remembers.

mod entry;
mod error;
pub mod http;
mod listen;
pub mod mount;
mod random;
pub mod s3;
pub mod shelf;
pub mod tree;

pub use credenza_listen::{Certificate, Error as ListenError};
pub use entry::Trouble;
pub use error::{Error, Result};
pub use http::{HttpFront, Speech, USER as HTTP_USER};
pub use listen::{Others, Reach};
pub use mount::{Mount, MountOptions};
pub use s3::{S3Front, S3Keys};
pub use shelf::{Pinned, Shelf, Shown};
