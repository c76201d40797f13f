//! Remove: what is gone leaves the target when all else is there, and with it the folders that keys implied and that nothing lies in any more.
//!
//! What is removed is what was listed: where somebody has put something else there since, a target that knows conditions keeps that, and it is told.
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
        while let Some((key, fingerprint)) = cursor.next()? {
            removed += self.leave(&mut open, Some(&key)).await?;
            if is_tree && self.cuts.is_of_keys() {
                imply(&mut open, &key);
            }
            if is_tree && key.as_bytes().ends_with(b"/") {
                open.push(Open { folder: key, is_gone: true });
            } else {
                removed += self.one(Entry { fingerprint, ..Entry::new(key, EntryKind::File) }).await?;
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
                true => removed += self.one(Entry::new(folder, EntryKind::Directory)).await?,
                // Where it is in the cut, or something else lies in it, it stays, and nothing is amiss.
                false if self.cuts.has(&folder).await? => {}
                false => drop(self.ask(&Entry::new(folder, EntryKind::Directory)).await?),
            }
        }
        Ok(removed)
    }

    async fn one(&self, listed: Entry) -> Result<u64> {
        let Err(cause) = self.ask(&listed).await? else { return Ok(1) };
        self.run.events.on(Event::EntryFailed { key: listed.key, reason: cause.message });
        Ok(0)
    }

    /// Removes one; what refuses for good is the inner error.
    async fn ask(&self, listed: &Entry) -> Result<Result<(), ConnectError>> {
        match self.target.destination.remove(listed).await {
            Err(cause) if cause.is_transient() => {
                Err(Error::connector(format!("removing `{}` at the target", listed.key))(cause))
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
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use credenza_connect::memory::{MemorySource, MemoryStore};
    use credenza_connect::{Check, Destination, ErrorClass, Result as Answer, Writer};

    use super::*;
    use crate::Listener;
    use crate::key_list::KeyWriter;
    use crate::testing::{handle, repository, secret, snapshot};

    /// A bucket that knows conditions.
    #[derive(Default)]
    struct Bucket(Mutex<BTreeMap<Key, String>>);

    #[async_trait]
    impl Destination for Bucket {
        async fn info(&self) -> Answer<DestinationInfo> {
            Ok(DestinationInfo {
                identity: "bucket".to_owned(),
                namespace: ability::FLAT.to_owned(),
                traits: Vec::new(),
            })
        }

        async fn check(&self) -> Vec<Check> {
            Vec::new()
        }

        async fn stat(&self, _: &Key) -> Answer<Option<Entry>> {
            Ok(None)
        }

        async fn create(&self, _: &Entry, _: bool) -> Answer<Option<Box<dyn Writer>>> {
            Ok(None)
        }

        async fn set_metadata(&self, _: &[Entry]) -> Answer<Vec<Answer<Vec<String>>>> {
            Ok(Vec::new())
        }

        async fn remove(&self, found: &Entry) -> Answer<()> {
            let mut held = self.0.lock().unwrap();
            if found.fingerprint.is_some() && held.get(&found.key) != found.fingerprint.as_ref() {
                return Err(ConnectError::new(ErrorClass::Precondition, "test", "it is another".to_owned()));
            }
            held.remove(&found.key);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_somebody_has_put_there_since_it_was_listed_stays_and_is_told() {
        let source = MemorySource::new();
        source.put("a", b"a".to_vec());
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let id = snapshot(&repository, &source).await;
        let cut = handle(&repository, id).await;
        let cuts = Cuts::of(&repository, &cut, None).await.unwrap();
        let bucket = Arc::new(Bucket::default());
        let target = Target { destination: bucket.clone(), listing: Arc::new(source) };
        let info = bucket.info().await.unwrap();
        let mut listed = KeyWriter::new();
        for (key, then, now) in [("x", "1", "1"), ("y", "1", "2"), ("z", "", "3")] {
            bucket.0.lock().unwrap().insert(Key::from(key), now.to_owned());
            listed.add_found(&Key::from(key), Some(then)).unwrap();
        }
        let told = Arc::new(Told::default());
        let run = RunContext { events: told.clone(), ..RunContext::default() };
        let removal = Removal { cuts: &cuts, target: &target, info: &info, run: &run };
        assert_eq!(removal.all(listed.list().unwrap()).await.unwrap(), 2);
        let left: Vec<String> = bucket.0.lock().unwrap().keys().map(ToString::to_string).collect();
        assert_eq!(left, ["y"], "without a fingerprint there is no condition");
        assert_eq!(*told.0.lock().unwrap(), ["y"]);
    }

    /// The keys of what failed.
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Listener for Told {
        fn on(&self, event: Event) {
            if let Event::EntryFailed { key, .. } = event {
                self.0.lock().unwrap().push(key.to_string());
            }
        }
    }

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
