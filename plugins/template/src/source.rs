//! The files as something to back up.

use std::rc::Rc;

use credenza_sdk::range::Part;
use credenza_sdk::wire::Wire;
use credenza_sdk::{
    ByteRange, Check, Content, Entry, Error, ErrorClass, Opened, Result, ScanOptions, Scanner, Source, SourceInfo,
    etag, shown, time,
};

use crate::Files;
use crate::dav::{Dav, is_path, request};
use crate::walk::{Extent, Walk};

impl Source for Files {
    fn info(&self) -> Result<SourceInfo> {
        // `fingerprints` relies on servers that give ETags, as all common ones do.
        let traits = ["ordered-scan", "start-after", "ranged-read", "fingerprints"].map(str::to_owned).to_vec();
        Ok(SourceInfo { identity: self.0.identity.clone(), namespace: "tree".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        self.0.check()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        let ScanOptions { prefix, start_after: after, one_level, .. } = options;
        Ok(Box::new(Walk::new(Rc::clone(&self.0), Extent { prefix, after, one_level })))
    }

    fn read(&self, entry: Entry, range: Option<ByteRange>, if_match: Option<String>) -> Result<Opened> {
        let (entry, body) = self.0.read(entry, range, if_match.as_deref())?;
        Ok(Opened { entry, content: Content::Ready(body) })
    }
}

impl<W: Wire> Dav<W> {
    /// A file, or a part of it, unless it is another than the fingerprint is of.
    ///
    /// # Errors
    /// `precondition` when it is another; else the cause, by class.
    pub fn read(&self, entry: Entry, part: Option<ByteRange>, if_match: Option<&str>) -> Result<(Entry, W::Body)> {
        let action = format!("reading {}", shown(&entry.key));
        if !is_path(&entry.key) {
            let message = format!("{action} failed: no file on a WebDAV server has such a path");
            return Err(Error::new(ErrorClass::NotFound, "dav.no-path", message));
        }
        let part = Part::of_entry(part, &entry);
        let answer = self.ask(part.ask(request("GET", &entry.key)), None, &action)?;
        let size = part.check(&answer.headers, self.wire.length(&answer.body), entry.size)?;
        let fingerprint = answer.headers.get("etag").and_then(etag::bare);
        let is_other = if_match.is_some_and(|expected| fingerprint.as_deref().is_some_and(|found| found != expected));
        let is_resized = entry.size.zip(size).is_some_and(|(listed, found)| listed != found);
        if is_other || if_match.is_some() && is_resized {
            let message = format!("{action} failed: it was changed since it was listed");
            return Err(Error::new(ErrorClass::Precondition, "dav.changed", message));
        }
        let modified = answer.headers.get("last-modified").and_then(time::parse_http).or(entry.modified);
        Ok((Entry { size: size.or(entry.size), modified, fingerprint, ..entry }, answer.body))
    }
}

#[cfg(test)]
mod tests {
    use credenza_sdk::EntryKind;
    use credenza_sdk::wire::{Reply, Tape};

    use super::*;

    fn read(reply: Reply, part: Option<ByteRange>) -> Result<(Entry, Vec<u8>)> {
        let dav = Dav::new(String::new(), Tape::new([reply.with_header("etag", "\"e\"")]));
        dav.read(Entry::new(*b"a", EntryKind::File), part, Some("e"))
    }

    #[test]
    fn a_read_describes_what_it_reads() {
        let (entry, body) = read(Reply::new(200).with_body("abc"), None).unwrap();
        assert_eq!((entry.size, entry.fingerprint.as_deref(), body.as_slice()), (Some(3), Some("e"), &b"abc"[..]));
    }

    #[test]
    fn a_server_that_ignores_the_range_is_noticed() {
        let part = Some(ByteRange { offset: 1, length: Some(1) });
        let refused = read(Reply::new(200).with_body("abc"), part).unwrap_err();
        assert_eq!(refused.class, ErrorClass::Unsupported);
        let answered = Reply::new(206).with_header("content-range", "bytes 1-1/3").with_body("b");
        assert_eq!(read(answered, part).unwrap().0.size, Some(3));
    }

    #[test]
    fn another_file_is_not_read_in_the_place_of_the_one_that_was_listed() {
        let dav = Dav::new(String::new(), Tape::new([Reply::new(200).with_header("etag", "\"other\"")]));
        let changed = dav.read(Entry::new(*b"a", EntryKind::File), None, Some("e")).unwrap_err();
        assert_eq!(changed.class, ErrorClass::Precondition);
        let shorter = Dav::new(String::new(), Tape::new([Reply::new(200).with_body("abc")]));
        let listed = Entry { size: Some(9), ..Entry::new(*b"a", EntryKind::File) };
        assert_eq!(shorter.read(listed, None, Some("e")).unwrap_err().class, ErrorClass::Precondition);
    }

    #[test]
    fn a_key_that_is_no_path_is_not_asked_for() {
        let dav = Dav::new(String::new(), Tape::default());
        for key in ["a/../b", ".", "a//b"] {
            let missing = dav.read(Entry::new(key, EntryKind::File), None, None).unwrap_err();
            assert_eq!(missing.class, ErrorClass::NotFound, "{key}");
            assert_eq!(dav.look(key.as_bytes()), Ok(None), "{key}");
        }
        assert!(dav.wire.lines().is_empty());
    }
}
