//! A bucket to restore to: what is there, what an object of it can be, and how one is begun.
//!
//! Owned here: which entries become objects. Refused here: with which fields (`attributes`), and sending them (`upload`).

use credenza_sdk::{Check, Destination, DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result, Writer};

use crate::attributes;
use crate::bucket::{Bucket, shown};
use crate::fault;
use crate::listing::ALL_FIELDS;
use crate::source::entry_of;
use crate::store::OBJECT_BYTES_MAX;
use crate::upload::Upload;
use crate::wire::Wire;

/// Longest name of an object (<https://cloud.google.com/storage/docs/objects#naming>).
const NAME_BYTES_MAX: usize = 1024;
/// What no name may begin with.
const RESERVED: &[u8] = b".well-known/acme-challenge/";

impl<W: Wire> Destination<W::Body> for Bucket<W> {
    fn info(&self) -> Result<DestinationInfo> {
        if self.place.as_of().is_some() {
            return Err(self.of_the_past("restoring"));
        }
        let mut traits = ["atomic-finish", "own-times", "removal", "attributes:http"].map(str::to_owned).to_vec();
        traits.extend(self.history()?.map(|_| "history".to_owned()));
        Ok(DestinationInfo { identity: self.place.identity(), namespace: "flat".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        self.check_destination()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        if unfit(&self.place.prefix.full(key)).is_some() {
            return Ok(None);
        }
        match self.look_at(key, ALL_FIELDS) {
            Ok(listed) => Ok(Some(entry_of(key.to_vec(), listed))),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer<W::Body>>>> {
        let upload = self.begin_entry(&entry, overwrite)?;
        Ok(upload.map(|upload| Box::new(upload) as Box<dyn Writer<W::Body>>))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        Ok(entries.iter().map(|entry| Ok(self.lost(entry))).collect())
    }
}

impl<W: Wire> Bucket<W> {
    /// Begins an object. A folder is complete at once: a bucket has none. So is a deletion, when it was done.
    ///
    /// # Errors
    /// `precondition` when it exists and may not be overwritten, and `unsupported` for what a bucket cannot hold.
    pub(crate) fn begin_entry(&self, entry: &Entry, overwrite: bool) -> Result<Option<Upload<W>>> {
        let action = format!("writing {}", shown(&entry.key));
        let unsupported = |reason: &str, why: &str| {
            Err(Error::new(ErrorClass::Unsupported, reason, format!("{action} failed: {why}")))
        };
        match entry.kind {
            EntryKind::Directory => return Ok(None),
            EntryKind::File => {}
            _ => return unsupported("gcs.no-object", "a bucket holds objects only, no links or devices"),
        }
        if let Some(why) = unfit(&self.place.prefix.full(&entry.key)) {
            return unsupported("gcs.name", why);
        }
        if entry.size.is_some_and(|size| size > OBJECT_BYTES_MAX) {
            return unsupported("gcs.too-large", "an object has at most 5 TiB");
        }
        if entry.version.as_ref().is_some_and(|version| version.deleted) {
            return match self.delete_object(&entry.key, entry.fingerprint.as_deref()) {
                // It was removed by the same request, whose answer was lost.
                Err(error) if error.class == ErrorClass::Precondition && self.stat_entry(&entry.key)?.is_none() => {
                    Ok(None)
                }
                removed => removed.map(|()| None),
            };
        }
        // Emulators ignore conditions and would overwrite without a word; the condition closes the gap between this look and the write.
        if !overwrite && self.stat_entry(&entry.key)?.is_some() {
            let message = format!("{action} failed: the object exists, and may not be overwritten");
            return Err(Error::new(ErrorClass::Precondition, fault::PRECONDITION, message));
        }
        Ok(Some(Upload::new(self, entry, overwrite, action)))
    }

    fn stat_entry(&self, key: &[u8]) -> Result<Option<Entry>> {
        Destination::stat(self, key)
    }

    /// The names of the attributes that an object cannot have.
    fn lost(&self, entry: &Entry) -> Vec<String> {
        let (_, mut lost) = attributes::restore(entry, self.place.locks);
        // It comes back with what lies in it; an empty one does not.
        lost.extend((entry.kind == EntryKind::Directory).then(|| "kind.directory".to_owned()));
        lost
    }
}

/// Why bytes cannot be the name of an object.
fn unfit(name: &[u8]) -> Option<&'static str> {
    let rules = [
        (name.is_empty() || name.len() > NAME_BYTES_MAX, "a name has 1 to 1,024 bytes"),
        (std::str::from_utf8(name).is_err(), "a name is UTF-8"),
        (name.iter().any(|byte| matches!(byte, b'\r' | b'\n')), "a name has no line breaks"),
        (name == b"." || name == b"..", "a name is not `.` or `..`"),
        (name.starts_with(RESERVED), "a name does not begin with `.well-known/acme-challenge/`"),
    ];
    rules.into_iter().find(|(is_broken, _)| *is_broken).map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_name_is_told_before_anything_is_sent() {
        for name in [&b""[..], b"..", b".", b"a\nb", b"\xff", b".well-known/acme-challenge/x", &[b'a'; 1025]] {
            assert!(unfit(name).is_some(), "{name:?}");
        }
        for name in [&b"..."[..], b"a/../b", b"/", b"//", b"\x01", "\u{fc}".as_bytes(), &[b'a'; 1024]] {
            assert_eq!(unfit(name), None, "{name:?}");
        }
    }
}
