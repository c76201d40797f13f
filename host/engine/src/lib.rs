//! The engine: a repository and the lines of stages that fill, read and verify it.
//!
//! Owned here: the order in which objects are read and written, queues and their bounds, which failure ends a run and
//! which is recorded, and the events that a run emits. Refused here: providers (`connect`), bytes on disk (`format`),
//! WebAssembly (`sandbox`), printing and asking (`cli`). Called by `cli`.
//!
//! ```text
//! backup   scan > join > load > mill (cut, hash, compress) > tree > write (seal, pack, upload, commit)
//! restore  walk the tree > plan in pack order > fetch ranges > open and verify > lay
//! sync     usage list, or records > fetch ranges > open and verify > write
//! repair   look > copy what can be read of damaged packs > index > condemn > usage lists
//! collect  mark > repack > condemn > look again > delete > merge the index > expire
//! view     load the index once > seek in the tree > a page of a folder, or any bytes of a content
//! ```

pub mod audit;
pub mod backup;
mod blobs;
mod cached;
pub mod check;
mod clock;
pub mod collect;
mod contents;
mod error;
mod event;
mod findings;
mod listing;
pub mod look;
mod pulse;
pub mod remove;
pub mod repair;
mod repository;
pub mod restore;
pub mod retention;
pub mod sync;
mod task;
#[cfg(test)]
mod testing;
pub mod view;
mod walk;
mod window;
mod write;

pub use cached::{CachedStore, ObjectCache};
pub use clock::{Clock, Moment, SystemClock};
pub use error::{Damage, DamageKind, Error, Result};
pub use event::{Event, Listener, Phase, Silent};
pub use repository::{
    AHEAD_SECONDS, CreateOptions, Created, DamagedSnapshot, ListedSlot, Lock, Repository, Rotation, Secret,
    SnapshotHandle, SnapshotName, Snapshots, key_slots, probe,
};
pub use walk::Records;
