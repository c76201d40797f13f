//! Above: the folders on the way to the parts that are restored, where the restore makes them: they become what they are in the snapshot.
//!
//! A folder that the destination has already is somebody's own and stays as it is. Called by `restore::run`.

use std::collections::BTreeSet;

use credenza_model::{Entry, EntryKind, Key, Record};

use super::ground::folders_above;
use super::scope::Origin;
use super::work::{Lost, NotRestored, bare, refused};
use super::writer::RestoreWriter;
use crate::parts::Parts;
use crate::{Conflict, Error, Result};

/// The way to parts of a snapshot.
pub(super) struct Way<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) writer: &'a RestoreWriter<'a>,
}

impl Way<'_> {
    /// The records of the folders above the parts that the destination does not have, and those that the snapshot lost.
    pub(super) async fn missing_above(&self, parts: &Parts) -> Result<(Vec<Record>, Vec<Lost>)> {
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        let above: BTreeSet<Key> = parts.as_slice().iter().flat_map(|part| folders_above(part.key())).collect();
        // What is above a part may be in another, and comes with that.
        let above = above.into_iter().filter(|key| !parts.as_slice().iter().any(|part| part.covers(key)));
        let mut taken: Option<Key> = None;
        for key in above {
            if taken.as_ref().is_some_and(|taken| key.as_bytes().starts_with(taken.as_bytes())) {
                continue;
            }
            match self.writer.look(&key).await? {
                // What has the name and is no folder stays, and nothing is written through it.
                Ok(None) if self.is_taken(&key).await? => {
                    taken = Some(key.clone());
                    lost.push(Lost { key, failure: NotRestored::Left(Conflict::Kind) });
                    continue;
                }
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
            match self.origin.record(&key).await {
                Ok(record) => found.extend(record),
                Err(Error::Damage(damage)) => lost.push(Lost { key, failure: NotRestored::Damage(damage) }),
                Err(cause) => return Err(cause),
            }
        }
        Ok((found, lost))
    }

    /// Whether something that is no folder has the name of a folder.
    async fn is_taken(&self, key: &Key) -> Result<bool> {
        let is_named = self.writer.has_own_names() && !key.as_bytes().is_empty();
        Ok(is_named && self.writer.look(&Key::new(bare(key))).await?.is_ok_and(|found| found.is_some()))
    }
}
