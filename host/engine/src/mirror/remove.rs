//! Remove: what is gone leaves the target when all else is there, and with it the folders that keys implied and that nothing lies in any more.
//!
//! Owned here: the order, and which folders go. Refused here: what is gone (`join`). Called by `mirror`.
//!
//! Bound: the folders above one key.

use credenza_connect::{DestinationInfo, Error as ConnectError, ability};
use credenza_model::{Entry, EntryKind, Key};

use super::Target;
use super::cuts::Cuts;
use crate::key_list::KeyList;
use crate::{Error, Event, Result, RunContext};

/// Removes what is gone.
pub(super) struct Removal<'a> {
    pub(super) cuts: &'a Cuts<'a>,
    pub(super) target: &'a Target,
    pub(super) info: &'a DestinationInfo,
    pub(super) run: &'a RunContext,
}

/// A folder that is done with when all that is gone of it was removed.
struct Open {
    folder: Key,
    /// It is gone itself; else it goes where keys alone have implied it, and nothing lies in it any more.
    is_gone: bool,
}

impl Removal<'_> {
    /// How many were removed; what refuses is told and stays.
    ///
    /// # Errors
    /// When the target cannot be asked any more.
    pub(super) async fn all(&self, keys: KeyList) -> Result<u64> {
        let is_tree = self.info.namespace == ability::TREE;
        let (mut removed, mut open) = (0, Vec::new());
        let mut cursor = keys.cursor();
        while let Some(key) = cursor.next()? {
            removed += self.leave(&mut open, Some(&key)).await?;
            if is_tree && self.cuts.is_of_keys() {
                imply(&mut open, &key);
            }
            if is_tree && key.as_bytes().ends_with(b"/") {
                open.push(Open { folder: key, is_gone: true });
            } else {
                removed += self.one(key, EntryKind::File).await?;
            }
        }
        Ok(removed + self.leave(&mut open, None).await?)
    }

    /// Leaves the folders in which the next one does not lie, the innermost first: they are removed behind what was in them.
    async fn leave(&self, open: &mut Vec<Open>, next: Option<&Key>) -> Result<u64> {
        let is_left = |left: &mut Open| next.is_none_or(|next| !next.as_bytes().starts_with(left.folder.as_bytes()));
        let mut removed = 0;
        while let Some(Open { folder, is_gone }) = open.pop_if(is_left) {
            match is_gone {
                true => removed += self.one(folder, EntryKind::Directory).await?,
                // Where it is in the cut, or something else lies in it, it stays, and nothing is amiss.
                false if self.cuts.has(&folder).await? => {}
                false => drop(self.ask(&folder, EntryKind::Directory).await?),
            }
        }
        Ok(removed)
    }

    async fn one(&self, key: Key, kind: EntryKind) -> Result<u64> {
        let Err(cause) = self.ask(&key, kind).await? else { return Ok(1) };
        self.run.events.on(Event::EntryFailed { key, reason: cause.message });
        Ok(0)
    }

    /// Removes one; what refuses for good is the inner error.
    async fn ask(&self, key: &Key, kind: EntryKind) -> Result<Result<(), ConnectError>> {
        match self.target.destination.remove(&Entry::new(key.clone(), kind)).await {
            Err(cause) if cause.is_transient() => {
                Err(Error::connector(format!("removing `{key}` at the target"))(cause))
            }
            done => Ok(done),
        }
    }
}

/// Opens the folders above a key in which nobody is yet.
fn imply(open: &mut Vec<Open>, key: &Key) {
    let bytes = key.as_bytes();
    let inner = bytes.strip_suffix(b"/").unwrap_or(bytes);
    let depth = open.last().map_or(0, |left| left.folder.as_bytes().len());
    let ends = inner.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at >= depth).map(|(at, _)| at + 1);
    open.extend(
        ends.filter_map(|end| inner.get(..end)).map(|folder| Open { folder: Key::new(folder), is_gone: false }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_above_a_key_are_opened_once() {
        let mut open = Vec::new();
        imply(&mut open, &Key::from("a/b/c"));
        imply(&mut open, &Key::from("a/b/d"));
        imply(&mut open, &Key::from("a/b/e/"));
        let folders: Vec<String> = open.iter().map(|left| left.folder.to_string()).collect();
        assert_eq!(folders, ["a/", "a/b/"]);
    }
}
