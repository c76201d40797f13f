//! The words and numbers that every crate shares: ids, keys, entries, contents, snapshots and limits.
//!
//! Owned here: plain data with its invariants. Refused here: input and output, clocks, codecs, errors of
//! other crates. Every other crate of the host may depend on this one; it depends on none of ours.

mod content;
mod entry;
mod id;
mod key;
pub mod limits;
mod store_key;
mod text;
mod time;

pub use content::{ChunkRef, Content, ListRef};
pub use entry::{Attribute, AttributeValue, Checksum, Entry, EntryKind, EntryStatus, Record, SkippedEntry, Version};
pub use id::{ChunkId, InvalidId, ObjectId, RepositoryId, SnapshotId};
pub use key::Key;
pub use store_key::{InvalidStoreKey, StoreKey};
pub use time::{InvalidTime, Timestamp};
