//! The folder as somewhere to restore to.

use std::rc::Rc;

use credenza_sdk::wire::{Host, Wire};
use credenza_sdk::{
    Body, Check, Destination, DestinationInfo, Entry, EntryKind, Error, ErrorClass, Result, Writer, shown,
};

use crate::Files;
use crate::dav::{Dav, is_path, request};

/// Bytes of a part. Small files take one request.
const PART_BYTES: u64 = 8 * 1024 * 1024;

impl Destination for Files {
    fn info(&self) -> Result<DestinationInfo> {
        let traits = vec!["own-times".to_owned()];
        Ok(DestinationInfo { identity: self.0.identity.clone(), namespace: "tree".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        self.0.check()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        Ok(self.0.look(key)?.map(|member| member.into_entry(key.to_vec())))
    }

    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let upload = Upload::begin(&self.0, entry, overwrite)?;
        Ok(upload.map(|upload| Box::new(upload) as Box<dyn Writer>))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        // The protocol has no place for any of them.
        let names = |entry: &Entry| entry.attributes.iter().map(|(name, _)| name.clone()).collect();
        Ok(entries.iter().map(|entry| Ok(names(entry))).collect())
    }
}

/// A file being written: its first part replaces what was there, others are put behind it (RFC 9110 section 14.5).
pub struct Upload<W> {
    dav: Rc<Dav<W>>,
    key: Vec<u8>,
    overwrite: bool,
    /// Bytes that the server has.
    written: u64,
}

impl<W: Wire> Upload<W> {
    /// Begins an entry; nothing is left to do for a folder.
    ///
    /// # Errors
    /// `unsupported` for what the server cannot hold; else the cause, by class.
    pub fn begin(dav: &Rc<Dav<W>>, entry: Entry, overwrite: bool) -> Result<Option<Self>> {
        let key = entry.key;
        let is_folder = entry.kind == EntryKind::Directory;
        if is_folder && key.is_empty() {
            return Ok(None);
        }
        if !is_path(&key) || is_folder != key.ends_with(b"/") || !(is_folder || entry.kind == EntryKind::File) {
            let message = format!("writing {} failed: a WebDAV server cannot hold it", shown(&key));
            return Err(Error::new(ErrorClass::Unsupported, "dav.kind", message));
        }
        dav.make_folders(&key)?;
        Ok((!is_folder).then(|| Self { dav: Rc::clone(dav), key, overwrite, written: 0 }))
    }

    fn send(&self, part: W::Body) -> Result<u64> {
        let length = self.dav.wire.length(&part).unwrap_or(0);
        let mut asked = request("PUT", &self.key);
        if self.written > 0 {
            if length == 0 {
                return Ok(0);
            }
            let last = self.written.saturating_add(length).saturating_sub(1);
            asked = asked.with_header("content-range", format!("bytes {}-{last}/*", self.written));
        } else if !self.overwrite {
            asked = asked.with_header("if-none-match", "*");
        }
        self.dav.ask(asked, Some(part), &format!("writing {}", shown(&self.key)))?;
        Ok(length)
    }

    /// Sends the next part.
    ///
    /// # Errors
    /// The cause, by class.
    pub fn write(&mut self, part: W::Body) -> Result<()> {
        self.written = self.written.saturating_add(self.send(part)?);
        Ok(())
    }

    /// Removes what was sent.
    pub fn abort(&mut self) {
        if self.written > 0 {
            // Nothing more can be done where this fails.
            let _ = self.dav.ask(request("DELETE", &self.key), None, &format!("removing {}", shown(&self.key)));
        }
    }
}

impl Writer for Upload<Host> {
    fn part_bytes(&self) -> Option<u64> {
        Some(PART_BYTES)
    }

    fn write(&mut self, part: Body) -> Result<()> {
        Self::write(self, part)
    }

    fn finish(&mut self, last: Body) -> Result<Vec<String>> {
        Self::write(self, last)?;
        Ok(Vec::new())
    }

    fn abort(&mut self) {
        Self::abort(self);
    }
}

#[cfg(test)]
mod tests {
    use credenza_sdk::wire::{Reply, Tape};

    use super::*;

    #[test]
    fn parts_follow_each_other_and_the_first_one_keeps_what_is_there() {
        let dav = Rc::new(Dav::new(String::new(), Tape::new([Reply::new(201), Reply::new(204), Reply::new(204)])));
        let mut upload = Upload::begin(&dav, Entry::new(*b"a", EntryKind::File), false).unwrap().unwrap();
        upload.write(b"12345".to_vec()).unwrap();
        upload.write(b"67".to_vec()).unwrap();
        upload.write(Vec::new()).unwrap();
        upload.abort();
        assert_eq!(dav.wire.lines(), ["PUT /a", "PUT /a", "DELETE /a"]);
        let asked = dav.wire.asked();
        assert_eq!((asked[0].header("if-none-match"), asked[0].header("content-range")), (Some("*"), None));
        assert_eq!(asked[1].header("content-range"), Some("bytes 5-6/*"));
    }

    #[test]
    fn what_a_tree_cannot_hold_is_refused() {
        let dav = Rc::new(Dav::new(String::new(), Tape::default()));
        for (key, kind) in [
            ("a/../b", EntryKind::File),
            ("a//b", EntryKind::File),
            ("a/", EntryKind::File),
            ("a", EntryKind::Symlink),
            ("a", EntryKind::Directory),
        ] {
            let refused = Upload::begin(&dav, Entry::new(key, kind), false).err().unwrap();
            assert_eq!(refused.class, ErrorClass::Unsupported, "{key}");
        }
    }
}
