//! Looking into snapshots: what differs between two or from what is there now, which hold a key, what the digest of their content is.
//!
//! Owned here: how little is read for an answer. Refused here: listing (`walk`), reading one entry (`read`), printing.
//! Called by `cli`. Every answer comes as a stream in key order, in the memory that its file states.

mod cursor;
mod diff;
mod digest;
mod live;
mod locate;
#[cfg(test)]
mod tests;

pub use diff::{Change, ChangeKind, Diff};
pub use digest::{DigestAlgorithm, Digests, EntryDigest, SnapshotDigest};
pub use live::{Difference, LiveDiff, Side};
pub use locate::Locator;
