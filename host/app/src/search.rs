//! What a person looks for in snapshots by a name, a pattern or a path.
//!
//! Owned here: which of these a text means. Refused here: reading trees (`credenza_engine::query`), and what is printed of it (the program).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use credenza_engine::query::NamePattern;
use credenza_engine::{Error as EngineError, SnapshotHandle};
use credenza_model::Key;

use crate::snapshot_path::spellings;

/// What a pattern means in some snapshots: a part of a name, or a pattern; it is also a key, or a path as it was where the source was.
///
/// # Errors
/// When it is no pattern.
pub fn names(pattern: &str, any_case: bool, snapshots: &[SnapshotHandle]) -> Result<Vec<NamePattern>, EngineError> {
    let mut names = exact(OsStr::new(pattern), snapshots);
    names.push(NamePattern::new(pattern, any_case)?);
    Ok(names)
}

/// The keys that a path may mean in some snapshots.
#[must_use]
pub fn exact(path: &OsStr, snapshots: &[SnapshotHandle]) -> Vec<NamePattern> {
    let sources: BTreeSet<&str> = snapshots.iter().map(|handle| handle.snapshot.source.location.as_str()).collect();
    let keys: BTreeSet<Vec<u8>> = sources
        .into_iter()
        .flat_map(|source| spellings(path.as_bytes(), source))
        .filter(|key| !key.is_empty())
        .collect();
    keys.into_iter().map(|key| NamePattern::Exact(Key::new(key))).collect()
}
