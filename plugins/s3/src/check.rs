//! The self-test of each role, a line for each right that the role needs.

use credenza_sdk::check::{Proof, line, proven};
use credenza_sdk::{ByteRange, Check, Entry, EntryKind, ErrorClass, Found, Result, ScanOptions, Scanner, Store};

use crate::bucket::Bucket;
use crate::source::entry_of_head;
use crate::wire::{Answer, Headers, Wire};

/// A name that no user's object has, for an upload that is begun and never finished.
const PROBE_KEY: &[u8] = b".credenza-check";

/// What the first request proves, in the order in which servers look at it.
const PROOFS: [Proof; 3] = [
    Proof {
        name: "signature",
        means: "credentials and clock are accepted",
        reasons: &[
            "s3.signature",
            "s3.access-key",
            "s3.expired-token",
            "s3.invalid-token",
            "s3.unauthorised",
            "s3.clock-skew",
        ],
    },
    Proof { name: "region", means: "the bucket answers in this region", reasons: &["s3.wrong-region"] },
    Proof { name: "bucket", means: "it is there", reasons: &["s3.no-such-bucket", "s3.invalid-bucket"] },
];

impl<W: Wire> Bucket<W> {
    /// Lists a page, reads a byte of an object, and asks what the bucket keeps.
    pub(crate) fn check_source(&self) -> Vec<Check> {
        let everything = ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None };
        let listed = self.scan(&everything).next(1000).map(|batch| batch.found);
        let readable = |found: &Found| match found {
            Found::Entry(entry) if entry.kind == EntryKind::File && entry.size.is_some_and(|s| s > 0) => {
                Some(entry.clone())
            }
            _ => None,
        };
        let entry = listed.as_ref().ok().map(|found| found.iter().find_map(readable));
        let mut lines = proven(&PROOFS, "list", listed.map(|found| listing_text(&found)));
        if let Some(entry) = entry {
            let read = self.check_read(entry.clone());
            let readable = entry.filter(|_| read.is_ok());
            lines.push(line("read", read));
            lines.extend(readable.map(|entry| line("conditions", self.check_condition(entry))));
            lines.push(line("versions", self.check_versions()));
        }
        lines
    }

    fn check_read(&self, entry: Option<Entry>) -> Result<String> {
        let Some(entry) = entry else { return Ok("nothing there to read".to_owned()) };
        self.read(entry, Some(ByteRange { offset: 0, length: Some(1) }), None)?;
        Ok("an object can be read, also in parts".to_owned())
    }

    /// Reads under a condition that cannot hold.
    fn check_condition(&self, entry: Entry) -> Result<String> {
        let first = Some(ByteRange { offset: 0, length: Some(1) });
        match self.read(entry, first, Some("no-object-has-this-tag")) {
            Err(error) if error.class == ErrorClass::Precondition => {
                Ok("an object that changed is not read for another".to_owned())
            }
            Ok(_) => Ok("ignored by the server: what it answers is compared instead".to_owned()),
            Err(error) => Err(error),
        }
    }

    fn check_versions(&self) -> Result<String> {
        Ok(match self.history()? {
            Some(_) => "are kept: a backup sees the bucket as it was at one time",
            None => "are not kept, or not reported: an object that is replaced during a backup is taken as it is then",
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

    /// Looks, and begins an upload that it aborts.
    pub(crate) fn check_destination(&self) -> Vec<Check> {
        let look = self.look(PROBE_KEY).map(|_| "objects can be looked at".to_owned());
        let mut lines = proven(&PROOFS, "write", self.check_write());
        lines.push(line("read", look));
        lines
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

/// How much came, and in which order.
fn listing_text(found: &[Found]) -> String {
    let keys =
        || found.iter().filter_map(|found| if let Found::Entry(entry) = found { Some(&entry.key) } else { None });
    let order = match keys().is_sorted() {
        true => "in the order of their keys",
        false => "in no order, so that a backup sorts them first",
    };
    format!("{} objects in the first page, {order}", found.len())
}
