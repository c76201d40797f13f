//! Above: the folders on the way to the parts that are restored, where the restore makes them: they become what they are in the snapshot.
//!
//! A folder that the destination has already is somebody's own and stays as it is: where several processes restore, one of them may have made it, and where
//! it is as in the snapshot it becomes so again when this one has written in it. Called by `restore::run`.

use std::collections::BTreeSet;

use credenza_model::{Entry, EntryKind, Key, Record};

use super::ground::folders_above;
use super::scope::{Origin, Scope};
use super::work::{Lost, NotRestored, bare, refused};
use super::writer::RestoreWriter;
use crate::parts::Parts;
use crate::{Conflict, Error, Result};

/// The way to parts of a snapshot.
pub(super) struct Way<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) scope: &'a Scope,
    pub(super) writer: &'a RestoreWriter<'a>,
}

impl Way<'_> {
    /// The records of the folders above the parts that the destination does not have, and those that the snapshot lost. `again` gets those that are to be as
    /// they are.
    pub(super) async fn missing_above(
        &self,
        parts: &Parts,
        again: &mut Vec<Entry>,
    ) -> Result<(Vec<Record>, Vec<Lost>)> {
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
                Ok(Some(there)) => {
                    again.extend(self.if_as_it_is(&key, &there).await?);
                    continue;
                }
                // What is in the way shows when something is written there.
                Err(_) => continue,
            }
            match self.origin.record(&key).await {
                Ok(record) => found.extend(record),
                Err(Error::Damage(damage)) => lost.push(Lost { key, failure: NotRestored::Damage(damage) }),
                Err(cause) => return Err(cause),
            }
        }
        Ok((found, lost))
    }

    /// The folder of a key, if others may have made what is there.
    async fn if_as_it_is(&self, key: &Key, there: &Entry) -> Result<Option<Entry>> {
        if !self.scope.is_shared() {
            return Ok(None);
        }
        let entry = match self.origin.record(key).await {
            Ok(record) => record.and_then(|record| self.scope.map(record.entry)).map(|(entry, _)| entry),
            Err(Error::Damage(_)) => None,
            Err(cause) => return Err(cause),
        };
        Ok(entry.filter(|entry| self.writer.describes(entry, there)))
    }

    /// Whether something that is no folder has the name of a folder.
    async fn is_taken(&self, key: &Key) -> Result<bool> {
        let is_named = self.writer.has_own_names() && !key.as_bytes().is_empty();
        Ok(is_named && self.writer.look(&Key::new(bare(key))).await?.is_ok_and(|found| found.is_some()))
    }
}
