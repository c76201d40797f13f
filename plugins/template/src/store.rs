//! The folder as somewhere to keep a repository.

use std::rc::Rc;

use credenza_sdk::range::Part;
use credenza_sdk::wire::{Headers, Wire};
use credenza_sdk::{
    Body, ByteRange, Check, Entry, Error, ErrorClass, Found, Object, Page, PutOptions, Result, Store, StoreInfo,
    Stored, etag, shown, time,
};

use crate::Files;
use crate::dav::{Dav, request};
use crate::walk::{Extent, Walk};

impl Store for Files {
    fn info(&self) -> Result<StoreInfo> {
        // What the protocol promises: the host tries it before a repository relies on it.
        let traits = ["if-absent", "if-match", "ranged-get", "ordered-list", "list-after-write"];
        let traits = traits.map(str::to_owned).to_vec();
        Ok(StoreInfo { identity: self.0.identity.clone(), traits, max_object_bytes: None })
    }

    fn check(&self) -> Vec<Check> {
        self.0.check()
    }

    fn put(&self, key: &str, data: Body, options: PutOptions) -> Result<Stored> {
        self.0.put(key, data, &options)
    }

    fn get(&self, key: &str, range: Option<ByteRange>, version: Option<String>) -> Result<Body> {
        match version {
            Some(_) => Err(Error::new(ErrorClass::Unsupported, "dav.versions", "a WebDAV server keeps no versions")),
            None => self.0.get(key, range),
        }
    }

    fn stat(&self, key: &str) -> Result<Object> {
        self.0.stat(key)
    }

    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        page(&self.0, prefix, cursor, max)
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        Ok(keys.iter().map(|key| self.0.delete(key)).collect())
    }
}

/// A page of the files. The cursor is the last key that was reported.
fn page<W: Wire>(dav: &Rc<Dav<W>>, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
    let after = cursor.map(|key| key.as_bytes().to_vec());
    let mut walk = Walk::new(Rc::clone(dav), Extent { prefix: prefix.into(), after, one_level: false });
    let (mut objects, mut more) = (Vec::new(), true);
    let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
    while more && objects.len() < max {
        let batch = walk.next(max - objects.len())?;
        more = batch.more;
        for found in batch.found {
            match found {
                Found::Entry(entry) if entry.key.ends_with(b"/") => {}
                // What the host did not name cannot be an object of the repository.
                Found::Entry(entry) => objects.extend(object(entry)?),
                Found::Skipped((_, error)) => return Err(error),
            }
        }
    }
    let next = objects.last().filter(|_| more).map(|last| last.key.clone());
    Ok(Page { objects, next })
}

/// An object of a listing; nothing for a name that is no text.
fn object(entry: Entry) -> Result<Option<Object>> {
    let Ok(key) = String::from_utf8(entry.key) else { return Ok(None) };
    let sizeless = || {
        let message = format!("listing failed: the server does not tell the size of {}", shown(key.as_bytes()));
        Error::new(ErrorClass::Corrupt, "dav.no-size", message)
    };
    let size = entry.size.ok_or_else(sizeless)?;
    Ok(Some(Object { key, size, modified: entry.modified, tag: entry.fingerprint, version: None, retain_until: None }))
}

impl<W: Wire> Dav<W> {
    /// Writes an object.
    ///
    /// # Errors
    /// `precondition` when a condition does not hold; else the cause, by class.
    pub fn put(&self, key: &str, data: W::Body, options: &PutOptions) -> Result<Stored> {
        let action = format!("writing {}", shown(key.as_bytes()));
        if options.retain_until.is_some() {
            let message = format!("{action} failed: a WebDAV server cannot lock it against deletion");
            return Err(Error::new(ErrorClass::Unsupported, "dav.retention", message));
        }
        self.make_folders(key.as_bytes())?;
        let mut asked = request("PUT", key.as_bytes());
        if options.if_absent {
            asked = asked.with_header("if-none-match", "*");
        }
        if let Some(tag) = &options.if_match {
            asked = asked.with_header("if-match", etag::quoted(tag));
        }
        let headers = self.ask(asked, Some(data), &action)?.headers;
        Ok(Stored { tag: tag(&headers), version: None, modified: headers.get("date").and_then(time::parse_http) })
    }

    /// Reads an object or a part of it.
    ///
    /// # Errors
    /// `not-found` when there is none; else the cause, by class.
    pub fn get(&self, key: &str, part: Option<ByteRange>) -> Result<W::Body> {
        let part = Part::of(part);
        let asked = part.ask(request("GET", key.as_bytes()));
        let answer = self.ask(asked, None, &format!("reading {}", shown(key.as_bytes())))?;
        part.check(&answer.headers, self.wire.length(&answer.body), None)?;
        if answer.is_page() {
            let message = format!(
                "reading {} failed: the answer is a page; check that the host speaks WebDAV",
                shown(key.as_bytes())
            );
            return Err(Error::new(ErrorClass::Corrupt, "dav.answer", message));
        }
        Ok(answer.body)
    }

    /// Describes an object.
    ///
    /// # Errors
    /// `not-found` when there is none; else the cause, by class.
    pub fn stat(&self, key: &str) -> Result<Object> {
        let action = format!("looking for {}", shown(key.as_bytes()));
        let headers = self.ask(request("HEAD", key.as_bytes()), None, &action)?.headers;
        let size = headers.number("content-length").ok_or_else(|| {
            let message = format!("{action} failed: the server does not tell its size");
            Error::new(ErrorClass::Corrupt, "dav.no-size", message)
        })?;
        let modified = headers.get("last-modified").and_then(time::parse_http);
        Ok(Object { key: key.to_owned(), size, modified, tag: tag(&headers), version: None, retain_until: None })
    }

    /// Deletes an object; one that is not there counts as deleted.
    ///
    /// # Errors
    /// The cause, by class.
    pub fn delete(&self, key: &str) -> Result<()> {
        match self.ask(request("DELETE", key.as_bytes()), None, &format!("deleting {}", shown(key.as_bytes()))) {
            Err(error) if error.class != ErrorClass::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn tag(headers: &Headers) -> Option<String> {
    headers.get("etag").and_then(etag::bare)
}

#[cfg(test)]
mod tests {
    use credenza_sdk::wire::{Reply, Tape};

    use super::*;

    #[test]
    fn a_put_states_its_conditions_after_its_folders_are_made() {
        let dav = Dav::new(String::new(), Tape::new([Reply::new(201), Reply::new(412)]));
        let options =
            PutOptions { if_absent: true, if_match: Some("t".to_owned()), retain_until: None, hint: String::new() };
        let refused = dav.put("data/a", b"x".to_vec(), &options).unwrap_err();
        assert_eq!(refused.class, ErrorClass::Precondition);
        let asked = dav.wire.asked();
        assert_eq!(dav.wire.lines(), ["MKCOL /data/", "PUT /data/a"]);
        assert_eq!((asked[1].header("if-none-match"), asked[1].header("if-match")), (Some("*"), Some("\"t\"")));
    }

    #[test]
    fn what_is_not_there_is_deleted() {
        let dav = Dav::new(String::new(), Tape::new([Reply::new(404), Reply::new(403)]));
        dav.delete("a").unwrap();
        assert_eq!(dav.delete("a").unwrap_err().class, ErrorClass::Denied);
    }
}
