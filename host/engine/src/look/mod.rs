//! Looking into snapshots: what differs between two, which hold a key, what the digest of their content is.
//!
//! Owned here: how little is read for an answer. Refused here: listing (`walk`), reading one entry (`read`), printing.
//! Called by `cli`. Every answer comes as a stream in key order, in the memory that its file states.

mod cursor;
mod diff;
mod digest;
mod locate;
#[cfg(test)]
mod tests;

pub use diff::{Change, ChangeKind, Diff};
pub use digest::{DigestAlgorithm, Digests, EntryDigest, SnapshotDigest};
pub use locate::Locator;
