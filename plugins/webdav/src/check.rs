//! The self-test of each role: reach, authenticate, find the folder, list, read.

use credenza_sdk::check::{Proof, line, proven};
use credenza_sdk::{ByteRange, Check, Entry, EntryKind, ErrorClass, Result, Source};

use crate::fault;
use crate::folder::{Folder, Listing};
use crate::source::entry_of;
use crate::wire::Wire;

/// A name that no user's file has.
const PROBE_KEY: &[u8] = b"~credenza-check";

/// What the first request proves, in this order.
const PROOFS: [Proof; 2] = [
    Proof { name: "credentials", means: "are accepted", reasons: &[fault::UNAUTHORISED] },
    Proof {
        name: "folder",
        means: "it is there, and speaks WebDAV",
        reasons: &[fault::NO_FOLDER, fault::MOVED, fault::NO_METHOD],
    },
];

impl<W: Wire> Folder<W> {
    /// Lists the folder, and reads a byte of a file in it.
    pub(crate) fn check_source(&self) -> Vec<Check> {
        let listing = self.demand_listing();
        let file = listing.as_ref().ok().map(first_file);
        let mut lines = proven(&PROOFS, "list", listing.map(|listing| listing_text(&listing)));
        lines.extend(file.map(|file| line("read", self.check_read(file))));
        lines
    }

    fn check_read(&self, file: Option<Entry>) -> Result<String> {
        let Some(file) = file else { return Ok("no file directly in the folder that could be read".to_owned()) };
        self.read(file, Some(ByteRange { offset: 0, length: Some(1) }), None)?;
        Ok("a file can be read, also in parts".to_owned())
    }

    /// Lists and looks. Whether it may write is found out by `create`, which leaves nothing that a check would have to delete.
    pub(crate) fn check_store(&self) -> Vec<Check> {
        let list = match self.list(b"") {
            Ok(Some(listing)) => Ok(listing_text(&listing)),
            Ok(None) => Ok("the folder is not there yet; the first write makes it".to_owned()),
            Err(error) => Err(error),
        };
        let mut lines = proven(&PROOFS, "list", list);
        lines.push(line(
            "read",
            match self.look(b"config") {
                Ok(Some(_)) => Ok("a repository is there".to_owned()),
                Ok(None) => Ok("no repository yet".to_owned()),
                Err(error) => Err(error),
            },
        ));
        lines
    }

    /// Sends an empty file to a name of its own, and removes it.
    pub(crate) fn check_destination(&self) -> Vec<Check> {
        let mut lines = proven(&PROOFS, "write", self.check_write());
        lines.push(line("read", self.look(PROBE_KEY).map(|_| "files can be looked at".to_owned())));
        lines
    }

    fn check_write(&self) -> Result<String> {
        let nothing = self.wire.body_of(Vec::new());
        self.send(PROBE_KEY, nothing, &[], "writing a file")?;
        self.remove(PROBE_KEY)?;
        Ok("a file was written and deleted".to_owned())
    }

    fn demand_listing(&self) -> Result<Listing> {
        let missing = || {
            let message =
                format!("listing failed: {} is not there, or no folder; check host and path", self.place.name());
            credenza_sdk::Error::new(ErrorClass::Configuration, fault::NO_FOLDER, message)
        };
        self.list(b"")?.ok_or_else(missing)
    }
}

/// A file of a folder that holds a byte.
fn first_file(listing: &Listing) -> Option<Entry> {
    let child = listing.children.iter().find(|child| !child.is_folder && child.size.is_some_and(|size| size > 0))?;
    let entry = entry_of(child.name.clone(), child.clone(), listing.at);
    (entry.kind == EntryKind::File).then_some(entry)
}

fn listing_text(listing: &Listing) -> String {
    let folders = listing.children.iter().filter(|child| child.is_folder).count();
    format!("{} files and {folders} folders directly in it", listing.children.len() - folders)
}
