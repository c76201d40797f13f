//! Query: what differs between two snapshots or from what is there now, which hold what, what takes the space, what the digest of their content is.
//!
//! Owned here: how little is read for an answer. Refused here: listing (`walk`), reading one entry (`view`), printing.
//! Called by `cli` and `web`. Every answer comes as a stream in key order, in the memory that its file states.

mod cursor;
mod diff;
mod digest;
mod find;
mod live;
mod matching;
mod space;
#[cfg(test)]
mod tests;

pub(crate) use diff::Pair;
pub use diff::{Change, ChangeKind, Diff};
pub use digest::{DigestAlgorithm, Digests, EntryDigest, SnapshotDigest};
pub use find::{Finder, Found, TREES_AT_ONCE};
pub use live::{Difference, LiveDiff, Side};
pub use matching::{FindQuery, NamePattern};
pub use space::{FolderPart, Space, SpaceWalk};

use credenza_model::Key;

/// A key without the prefix that it lies under: what is compared of two places.
fn below<'a>(key: &'a Key, prefix: &[u8]) -> &'a [u8] {
    let rest = key.as_bytes().strip_prefix(prefix).unwrap_or_default();
    if prefix.is_empty() { rest } else { rest.strip_prefix(b"/").unwrap_or(rest) }
}
