//! Locate: the records that match a pattern, in one snapshot after another.
//!
//! A part of a tree in which nothing matched is passed over wherever it is met again, in this snapshot or another.
//! Called by `cli`. Bound: a cursor, and some 40 bytes for each tree node in which nothing matched.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_connect::Patterns;
use credenza_model::{ChunkId, Key, Record};

use super::cursor::{Cursor, Front};
use crate::Result;
use crate::blobs::BlobLoader;
use crate::repository::SnapshotHandle;
use crate::view::View;

/// Looks for records in snapshots.
pub struct Locator {
    loader: Arc<BlobLoader>,
    pattern: Pattern,
    /// Nodes below which nothing matches.
    barren: HashSet<ChunkId>,
    cursor: Option<Cursor>,
}

impl View {
    /// Looks for a pattern: an exact key, or one in gitignore syntax (`*.jpg`, `photos/**/raw`), which is then matched to each key by itself.
    ///
    /// # Errors
    /// [`Error::Pattern`](crate::Error::Pattern).
    pub fn locate(&self, pattern: &str) -> Result<Locator> {
        let pattern = Pattern::new(pattern)?;
        Ok(Locator { loader: Arc::clone(self.loader()), pattern, barren: HashSet::new(), cursor: None })
    }
}

impl Locator {
    /// Goes to the front of a snapshot.
    pub fn begin(&mut self, snapshot: &SnapshotHandle) {
        let prefix = self.pattern.prefix.clone();
        self.cursor = Some(Cursor::new(Arc::clone(&self.loader), &snapshot.snapshot.tree, prefix));
    }

    /// The next record that matches; `None` at the end of the snapshot.
    ///
    /// # Errors
    /// Damage when a node is lost.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        let Self { pattern, barren, cursor: Some(cursor), .. } = self else { return Ok(None) };
        loop {
            let subtree = match cursor.front() {
                Front::End => return Ok(None),
                Front::Record(_) => return Ok(cursor.pop()),
                Front::Subtree(subtree) => subtree,
            };
            if barren.contains(&subtree.id) {
                cursor.skip();
                continue;
            }
            cursor.open(|id| !barren.contains(id)).await?;
            cursor.retain(|record| pattern.matches(&record.entry.key));
            let nothing = match subtree.level.checked_sub(1) {
                None => !matches!(cursor.front(), Front::Record(_)),
                Some(below) => cursor.all_of(below, |id| barren.contains(id)),
            };
            if nothing {
                barren.insert(subtree.id);
            }
        }
    }
}

struct Pattern {
    exact: Vec<u8>,
    glob: Patterns,
    /// What every key that matches begins with, whole segments; empty where any may.
    prefix: Vec<u8>,
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let glob = Patterns::new([text])?;
        Ok(Self { exact: text.as_bytes().to_vec(), glob, prefix: literal_prefix(text) })
    }

    fn matches(&self, key: &Key) -> bool {
        let key = key.as_bytes();
        key == self.exact || key.strip_suffix(b"/") == Some(&self.exact) || self.glob.name(key)
    }
}

/// The folders that a pattern names before its first wildcard. Only one with a slash before its end means a place.
fn literal_prefix(text: &str) -> Vec<u8> {
    let literal =
        text.find(['*', '?', '[', '\\', '!', '#', ' ']).map_or(text, |end| text.get(..end).unwrap_or_default());
    let folders = literal.rfind('/').and_then(|end| literal.get(..end)).unwrap_or_default();
    let anchored = text.trim_end_matches('/').contains('/') && !text.starts_with('/');
    if anchored { folders.as_bytes().to_vec() } else { Vec::new() }
}
