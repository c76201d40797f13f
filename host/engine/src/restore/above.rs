//! Above: the folders on the way to the part that is restored, where the restore makes them: they become what they are in the snapshot.
//!
//! A folder that the destination has already is somebody's own and stays as it is. Called by `restore::run`.

use std::sync::Arc;

use credenza_model::{Entry, EntryKind, Key, Record};

use super::entry_writer::{NotRestored, refused};
use super::writer::RestoreWriter;
use crate::blobs::BlobLoader;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Error, Result};

/// The way to a part of a snapshot.
pub(super) struct Way<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a SnapshotHandle,
    pub(super) loader: &'a Arc<BlobLoader>,
    pub(super) writer: &'a RestoreWriter<'a>,
}

/// A folder on the way that cannot be looked up.
pub(super) struct Lost {
    pub(super) key: Key,
    pub(super) failure: NotRestored,
}

impl Way<'_> {
    /// The records of the folders above `prefix` that the destination does not have, and those that the snapshot lost.
    pub(super) async fn missing_above(&self, prefix: &[u8]) -> Result<(Vec<Record>, Vec<Lost>)> {
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        for key in above(prefix) {
            match self.writer.look(&key).await? {
                Ok(None) => {}
                // Whether the restore makes it is not known.
                Err(cause) if cause.is_transient() => {
                    let failure = refused(&Entry::new(key.clone(), EntryKind::Directory), cause);
                    lost.push(Lost { key, failure });
                    continue;
                }
                // What is in the way shows when something is written there.
                Ok(Some(_)) | Err(_) => continue,
            }
            match self.record(&key).await {
                Ok(record) => found.extend(record),
                Err(Error::Damage(damage)) => lost.push(Lost { key, failure: NotRestored::Damage(damage) }),
                Err(cause) => return Err(cause),
            }
        }
        Ok((found, lost))
    }

    async fn record(&self, key: &Key) -> Result<Option<Record>> {
        let mut records = self.repository.walk(self.loader, &self.snapshot.snapshot.tree, key.as_bytes());
        Ok(records.next().await?.filter(|record| record.entry.key == *key))
    }
}

/// The keys of the folders above, the root first.
fn above(prefix: &[u8]) -> Vec<Key> {
    let inner = prefix.strip_suffix(b"/").unwrap_or(prefix);
    let ends = inner.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    let ends = (!prefix.is_empty()).then_some(0).into_iter().chain(ends);
    ends.filter_map(|end| inner.get(..end)).map(Key::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_below_the_root_and_each_folder_on_the_way() {
        let keys = |prefix: &str| above(prefix.as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(keys(""), [""; 0]);
        assert_eq!(keys("a"), [""]);
        assert_eq!(keys("a/"), [""]);
        assert_eq!(keys("a/b/c"), ["", "a/", "a/b/"]);
        assert_eq!(keys("a/b/c/"), ["", "a/", "a/b/"]);
    }
}
