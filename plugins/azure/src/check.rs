//! The self-test of each role, a line for each right that the role needs.

use credenza_sdk::check::{Proof, line, proven};
use credenza_sdk::{
    ByteRange, Check, Destination, Entry, EntryKind, ErrorClass, Found, Result, ScanOptions, Source, Store,
};

use crate::container::Container;
use crate::fault;
use crate::wire::Wire;

/// A name that no user's blob has.
const PROBE_KEY: &[u8] = b".credenza-check";

/// What the first request proves, in the order in which the service looks at it.
const PROOFS: [Proof; 2] = [
    Proof {
        name: "credentials",
        means: "are accepted",
        reasons: &[fault::CREDENTIALS, fault::NO_CREDENTIALS, fault::NO_KEYS, "azure.account-disabled"],
    },
    Proof { name: "container", means: "it is there", reasons: &[fault::NO_CONTAINER] },
];

impl<W: Wire> Container<W> {
    /// Lists a page, and reads a byte of a blob, once under a condition that cannot hold.
    pub(crate) fn check_source(&self) -> Vec<Check> {
        let everything = ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None };
        let listed = Source::scan(self, everything).and_then(|mut scan| scan.next(1000)).map(|batch| batch.found);
        let readable = |found: &Found| match found {
            Found::Entry(entry) if entry.kind == EntryKind::File && entry.size.is_some_and(|size| size > 0) => {
                Some(entry.clone())
            }
            _ => None,
        };
        let entry = listed.as_ref().ok().map(|found| found.iter().find_map(readable));
        let mut lines = proven(&PROOFS, "list", listed.map(|found| format!("{} blobs in the first page", found.len())));
        if let Some(entry) = entry {
            let read = self.check_read(entry.clone());
            let readable = entry.filter(|_| read.is_ok());
            lines.push(line("read", read));
            lines.extend(readable.map(|entry| line("conditions", self.check_condition(entry))));
        }
        lines
    }

    fn check_read(&self, entry: Option<Entry>) -> Result<String> {
        let Some(entry) = entry else { return Ok("nothing there to read".to_owned()) };
        Source::read(self, entry, Some(ByteRange { offset: 0, length: Some(1) }), None)?;
        Ok("a blob can be read, also in parts".to_owned())
    }

    fn check_condition(&self, entry: Entry) -> Result<String> {
        let first = Some(ByteRange { offset: 0, length: Some(1) });
        match Source::read(self, entry, first, Some("0x0".to_owned())) {
            Err(error) if error.class == ErrorClass::Precondition => {
                Ok("a blob that changed is not read for another".to_owned())
            }
            Ok(_) => Ok("ignored by the server: what it answers is compared instead".to_owned()),
            Err(error) => Err(error),
        }
    }

    /// Lists and looks. Whether it may write is found out by `create`, which leaves nothing that a check would have to delete.
    pub(crate) fn check_store(&self) -> Vec<Check> {
        let list = Store::list(self, "", None, 1).map(|page| {
            if page.objects.is_empty() && page.next.is_none() { "empty" } else { "blobs are there" }.to_owned()
        });
        let read = match Store::stat(self, "config") {
            Ok(_) => Ok("a repository is there".to_owned()),
            Err(error) if error.class == ErrorClass::NotFound => Ok("no repository yet".to_owned()),
            Err(error) => Err(error),
        };
        let mut lines = proven(&PROOFS, "list", list);
        lines.push(line("read", read));
        lines
    }

    /// Looks, and tries to write.
    pub(crate) fn check_destination(&self) -> Vec<Check> {
        let write = self.rehearse(PROBE_KEY).map(|()| "blobs can be written".to_owned());
        let look = Destination::stat(self, PROBE_KEY).map(|_| "blobs can be looked at".to_owned());
        let mut lines = proven(&PROOFS, "write", write);
        lines.push(line("read", look));
        lines
    }
}
