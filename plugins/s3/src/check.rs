//! The self-test of each role, a line for each right that the role needs.

use credenza_sdk::{ByteRange, Check, Entry, EntryKind, ErrorClass, Found, Result, ScanOptions};

use crate::bucket::Bucket;
use crate::source::entry_of_head;
use crate::wire::{Answer, Headers, Wire};

/// A name that no user's object has, for an upload that is begun and never finished.
const PROBE_KEY: &[u8] = b".credenza-check";

impl<W: Wire> Bucket<W> {
    /// Lists a page and reads a byte of an object.
    pub(crate) fn check_source(&self) -> Vec<Check> {
        let everything = ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None };
        let listed = self.scan(&everything).next(1000);
        let readable = |found: &Found| match found {
            Found::Entry(entry) if entry.kind == EntryKind::File && entry.size.is_some_and(|s| s > 0) => {
                Some(entry.clone())
            }
            _ => None,
        };
        let read = listed.as_ref().ok().map(|found| self.check_read(found.iter().find_map(readable)));
        let list = listed.map(|found| format!("{} objects in the first page", found.len()));
        [Some(line("list", list)), read.map(|outcome| line("read", outcome))].into_iter().flatten().collect()
    }

    fn check_read(&self, entry: Option<Entry>) -> Result<String> {
        let Some(entry) = entry else { return Ok("nothing there to read".to_owned()) };
        self.read(entry, Some(ByteRange { offset: 0, length: Some(1) }), None)?;
        Ok("an object can be read, also in parts".to_owned())
    }

    /// Lists and looks. Whether it may write is found out by `create`, which leaves nothing that a check would have to delete.
    pub(crate) fn check_store(&self) -> Vec<Check> {
        let list = self
            .list("", None, 1)
            .map(|objects| if objects.is_empty() { "empty" } else { "objects are there" }.to_owned());
        let read = match self.stat("config") {
            Ok(_) => Ok("a repository is there".to_owned()),
            Err(error) if error.class == ErrorClass::NotFound => Ok("no repository yet".to_owned()),
            Err(error) => Err(error),
        };
        vec![line("list", list), line("read", read)]
    }

    /// Looks, and begins an upload that it aborts.
    pub(crate) fn check_destination(&self) -> Vec<Check> {
        let look = self.look(PROBE_KEY).map(|_| "objects can be looked at".to_owned());
        vec![line("read", look), line("write", self.check_write())]
    }

    fn check_write(&self) -> Result<String> {
        let nothing = Answer { status: 200, headers: Headers::default(), body: () };
        let Some(mut upload) = self.create(&entry_of_head(PROBE_KEY, &nothing), true)? else {
            return Ok("nothing to write".to_owned());
        };
        upload.rehearse()?;
        Ok("an upload was begun and aborted".to_owned())
    }
}

fn line(name: &str, outcome: Result<String>) -> Check {
    Check { name: name.to_owned(), outcome }
}
