//! Space: what takes the room in a folder of a snapshot, by what lies directly in it. Sizes are those of contents, as they were in the source.
//!
//! Called by `web` and `cli`. Bound: a window of leaves, and of the parts twice as many as are asked for.

use std::cmp::Reverse;

use credenza_model::{EntryKind, Key};

use crate::Result;
use crate::repository::SnapshotHandle;
use crate::view::View;
use crate::walk::Records;

/// Something directly in a folder, with all that lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPart {
    /// Its key; that of a folder ends with a slash.
    pub key: Key,
    /// Bytes of contents, all versions of them.
    pub bytes: u64,
    /// Files or objects.
    pub files: u64,
}

/// What takes the room in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Space {
    /// The largest parts, largest first.
    pub parts: Vec<FolderPart>,
    /// Parts beside those.
    pub others: u64,
    /// Bytes of those others.
    pub others_bytes: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Files or objects of all.
    pub files: u64,
}

/// A count under way.
pub struct SpaceWalk {
    records: Records,
    prefix: Vec<u8>,
    parts_max: usize,
    current: Option<FolderPart>,
    space: Space,
}

impl View {
    /// Begins to count what lies under a prefix that is empty or ends with a slash, and names at most so many parts.
    #[must_use]
    pub fn space(&self, snapshot: &SnapshotHandle, prefix: &[u8], parts_max: usize) -> SpaceWalk {
        let records = self.records(snapshot, prefix);
        SpaceWalk { records, prefix: prefix.to_vec(), parts_max, current: None, space: Space::default() }
    }
}

impl SpaceWalk {
    /// Counts some thousand entries more; false when all are counted.
    ///
    /// # Errors
    /// Damage when a part of the tree is lost.
    pub async fn advance(&mut self) -> Result<bool> {
        let batch = self.records.next_batch().await?;
        let is_more = !batch.is_empty();
        for record in batch.into_iter().filter(|record| record.entry.kind == EntryKind::File) {
            let key = record.entry.key.as_bytes();
            let rest = key.strip_prefix(self.prefix.as_slice()).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'/').map_or(rest.len(), |slash| slash + 1);
            let part = key.get(..self.prefix.len() + end).unwrap_or(key);
            self.count(part, record.entry.size.unwrap_or_default());
        }
        Ok(is_more)
    }

    fn count(&mut self, key: &[u8], bytes: u64) {
        if self.current.as_ref().is_none_or(|part| part.key.as_bytes() != key) {
            self.close();
            self.current = Some(FolderPart { key: Key::new(key), bytes: 0, files: 0 });
        }
        if let Some(part) = &mut self.current {
            part.bytes = part.bytes.saturating_add(bytes);
            part.files += 1;
        }
        self.space.bytes = self.space.bytes.saturating_add(bytes);
        self.space.files += 1;
    }

    /// Keys of one part follow each other, so that it is whole when another begins.
    fn close(&mut self) {
        self.space.parts.extend(self.current.take());
        if self.space.parts.len() > 2 * self.parts_max {
            self.keep_largest();
        }
    }

    fn keep_largest(&mut self) {
        let Space { parts, others, others_bytes, .. } = &mut self.space;
        parts.sort_by_key(|part| Reverse(part.bytes));
        for part in parts.drain(self.parts_max.min(parts.len())..) {
            *others += 1;
            *others_bytes = others_bytes.saturating_add(part.bytes);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn finish(mut self) -> Space {
        self.close();
        self.keep_largest();
        self.space
    }
}
