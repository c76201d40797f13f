//! The self-test of each role, a line for each right that the role needs.

use credenza_sdk::check::{Proof, line, proven};
use credenza_sdk::{
    ByteRange, Check, Entry, EntryKind, ErrorClass, Found, Result, ScanOptions, Scanner, Source, Store,
};

use crate::bucket::Bucket;
use crate::fault;
use crate::upload::Upload;
use crate::wire::Wire;

/// A name that no user's object has, for an upload that is begun and never finished.
const PROBE_KEY: &[u8] = b".credenza-check";
/// Most objects that are looked through for one that can be read.
const LOOKED_AT: u32 = 1000;

/// What the first request proves, in this order.
const PROOFS: [Proof; 3] = [
    Proof { name: "credentials", means: "are accepted", reasons: &[fault::UNAUTHORISED] },
    Proof {
        name: "project",
        means: "may use the service",
        reasons: &[fault::NO_SERVICE, fault::NO_BILLING, fault::REQUESTER_PAYS],
    },
    Proof { name: "bucket", means: "it is there", reasons: &[fault::NO_BUCKET] },
];

impl<W: Wire> Bucket<W> {
    /// Lists a page, reads a byte of an object, and asks what the bucket keeps.
    pub(crate) fn check_source(&self) -> Vec<Check> {
        let everything = ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None };
        let listed = self.walk(&everything).next(LOOKED_AT).map(|batch| batch.found);
        let readable = |found: &Found| match found {
            Found::Entry(entry) if entry.kind == EntryKind::File && entry.size.is_some_and(|size| size > 0) => {
                Some(entry.clone())
            }
            _ => None,
        };
        let entry = listed.as_ref().ok().map(|found| found.iter().find_map(readable));
        let mut lines =
            proven(&PROOFS, "list", listed.map(|found| format!("{} objects in the first page", found.len())));
        if let Some(entry) = entry {
            lines.push(line("read", self.check_read(entry)));
            lines.push(line("generations", self.check_generations()));
        }
        lines
    }

    fn check_read(&self, entry: Option<Entry>) -> Result<String> {
        let Some(entry) = entry else { return Ok("nothing there to read".to_owned()) };
        let generation = entry.fingerprint.clone();
        Source::read(self, entry, Some(ByteRange { offset: 0, length: Some(1) }), generation)?;
        Ok("an object can be read, also in parts".to_owned())
    }

    fn check_generations(&self) -> Result<String> {
        Ok(match self.history()? {
            Some(_) => "are kept: a backup sees the bucket as it was at one time",
            None => {
                "are not kept, or may not be asked for (storage.buckets.get): an object that is replaced during a backup is taken as it is then"
            }
        }
        .to_owned())
    }

    /// Lists and looks. Whether it may write is found out by `create`, which leaves nothing that a check would have to delete.
    pub(crate) fn check_store(&self) -> Vec<Check> {
        let list = Store::list(self, "", None, 1).map(|page| {
            if page.objects.is_empty() && page.next.is_none() { "empty" } else { "objects are there" }.to_owned()
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

    /// Begins an upload that it gives up, and looks.
    pub(crate) fn check_destination(&self) -> Vec<Check> {
        let probe = Entry::new(PROBE_KEY, EntryKind::File);
        let write = Upload::new(self, &probe, true, "beginning an upload".to_owned()).rehearse();
        let read = credenza_sdk::Destination::stat(self, PROBE_KEY).map(|_| "objects can be looked at".to_owned());
        let mut lines = proven(&PROOFS, "write", write.map(|()| "an upload was begun and given up".to_owned()));
        lines.push(line("read", read));
        lines
    }
}
