//! A folder that holds a repository.
//!
//! An object is sent to a name that no listing tells and moved to its own when it is whole: WebDAV promises of a PUT neither that it is
//! all or nothing nor, on many servers, that `If-None-Match` holds; of a MOVE with `Overwrite: F` it does (RFC 4918 section 9.9.3).

use credenza_sdk::range::Part;
use credenza_sdk::{
    ByteRange, Check, Error, ErrorClass, Object, Page, PutOptions, Result, Store, StoreInfo, Stored, time,
};

use crate::fault::{self, shown};
use crate::folder::{Child, Folder};
use crate::walk::{Route, Step, Walk};
use crate::wire::{Answer, Wire};
use credenza_sdk::percent;

/// The folder of what is on its way. No key of a repository has a `~`.
const ON_THEIR_WAY: &[u8] = b"~credenza-partial/";
/// What lies there longer than this was left behind: no upload takes a day.
const ABANDONED_AFTER_SECONDS: i64 = 24 * 3600;
/// Most of them that one call removes.
const SWEPT_MAX: usize = 100;
/// Requests of one page of a listing at most; then it ends, however short.
const REQUESTS_MAX: u32 = 256;

impl<W: Wire> Store<W::Body> for Folder<W> {
    /// The host probes before it relies on it. No tags: those of many servers are times in seconds.
    fn info(&self) -> Result<StoreInfo> {
        let traits = ["if-absent", "ranged-get", "ordered-list", "list-after-write"];
        Ok(StoreInfo {
            identity: self.place.identity(),
            traits: traits.map(str::to_owned).to_vec(),
            max_object_bytes: None,
        })
    }

    fn check(&self) -> Vec<Check> {
        self.check_store()
    }

    /// Two requests, and some more for the first in a folder. What is left of a failure that passes is removed by a later `delete`.
    fn put(&self, key: &str, data: W::Body, options: PutOptions) -> Result<Stored> {
        let action = format!("writing {}", shown(key.as_bytes()));
        if options.if_match.is_some() || options.retain_until.is_some() {
            let message =
                format!("{action} failed: WebDAV has no locks against deletion and no condition on what is replaced");
            return Err(Error::new(ErrorClass::Unsupported, "webdav.condition", message));
        }
        let partial = [ON_THEIR_WAY, self.wire.unique_word().as_bytes()].concat();
        self.send(&partial, data, &[], &action)?;
        let published = self.publish(&partial, key.as_bytes(), !options.if_absent, &action);
        let answer = published.inspect_err(|error| {
            // A move that is still carried out must not lose what it moves.
            if !fault::is_open(error) {
                // It was sent in vain; what cannot be removed now is found later.
                let _ = self.remove(&partial);
            }
        })?;
        // The answer is dated by the server's clock (RFC 9110 section 6.6.1).
        Ok(Stored { tag: None, version: None, modified: answer.headers.get("date").and_then(time::parse_http) })
    }

    fn get(&self, key: &str, part: Option<ByteRange>, version: Option<String>) -> Result<W::Body> {
        if version.is_some() {
            let message = format!("reading `{key}` failed: a WebDAV server keeps no versions");
            return Err(Error::new(ErrorClass::Unsupported, "webdav.version", message));
        }
        let action = format!("reading {}", shown(key.as_bytes()));
        let part = Part::of(part);
        if part.is_empty() {
            return Ok(self.wire.body_of(Vec::new()));
        }
        let answer = self.get(key.as_bytes(), part, None, &action)?;
        part.check(&answer.headers, self.wire.length(&answer.body), None)?;
        if answer.is_page() {
            return Err(fault::not_webdav(&action, &self.place.name(), "a page"));
        }
        Ok(answer.body)
    }

    fn stat(&self, key: &str) -> Result<Object> {
        match self.look(key.as_bytes())? {
            Some(child) if !child.is_folder => self.object(key.to_owned(), &child),
            _ => {
                let message = format!("looking at {} failed: there is no such object", shown(key.as_bytes()));
                Err(Error::new(ErrorClass::NotFound, fault::NOT_FOUND, message))
            }
        }
    }

    /// The cursor is the key that it comes behind; each page lists again the folders
    /// on the way there. A place that is not there yet holds nothing.
    /// One folder that cannot be listed is an error, because what is missing may be anything.
    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        let after = cursor.map(|key| key.as_bytes().to_vec());
        let mut walk = Walk::new(self, Route { prefix: prefix.as_bytes().to_vec(), after, one_level: false });
        let (mut objects, mut requests) = (Vec::new(), 0);
        loop {
            if let Some(pending) = walk.pending() {
                if requests >= REQUESTS_MAX {
                    let next = String::from_utf8_lossy(pending).into_owned();
                    return Ok(Page { objects, next: Some(next) });
                }
                requests += 1;
            }
            match walk.step() {
                Ok(Some(Step::Found { key, child, .. })) => match String::from_utf8(key) {
                    // Of others, and no key could name it.
                    Err(_) => walk.pass_over(),
                    Ok(key) if key.as_bytes() == ON_THEIR_WAY => walk.pass_over(),
                    Ok(_) if child.is_folder => {}
                    Ok(key) => {
                        objects.push(self.object(key.clone(), &child)?);
                        if objects.len() == max {
                            return Ok(Page { objects, next: Some(key) });
                        }
                    }
                },
                Ok(Some(Step::Asked)) => {}
                // It was deleted meanwhile, with all that was in it.
                Ok(Some(Step::Failed(_, error))) if error.class == ErrorClass::NotFound => {}
                Ok(Some(Step::Failed(_, error))) => return Err(error),
                Ok(None) => return Ok(Page { objects, next: None }),
                Err(error) if error.reason == fault::NO_FOLDER => return Ok(Page { objects, next: None }),
                Err(error) => return Err(error),
            }
        }
    }

    /// The first call also removes what interrupted writers left behind.
    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        if !self.is_swept.replace(true) {
            self.sweep();
        }
        Ok(keys.iter().map(|key| self.remove(key.as_bytes())).collect())
    }
}

impl<W: Wire> Folder<W> {
    fn object(&self, key: String, child: &Child) -> Result<Object> {
        let size = child.size.ok_or_else(|| {
            let found = format!("no size of {}", shown(key.as_bytes()));
            fault::not_webdav("listing", &self.place.name(), &found)
        })?;
        Ok(Object { key, size, modified: child.modified, tag: None, version: None, retain_until: None })
    }

    /// What cannot be removed now is removed by another.
    fn sweep(&self) {
        let Ok(Some(listing)) = self.list(ON_THEIR_WAY) else { return };
        let now = listing.at.map_or_else(|| self.wire.now_seconds(), |at| at.seconds);
        let is_old = |child: &&Child| {
            let age = child.modified.map(|modified| now.saturating_sub(modified.seconds));
            !child.is_folder && age.is_some_and(|age| age > ABANDONED_AFTER_SECONDS)
        };
        for child in listing.children.iter().filter(is_old).take(SWEPT_MAX) {
            let _ = self.remove(&[ON_THEIR_WAY, &child.name].concat());
        }
    }

    /// Removes a file; one that is not there is removed.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<()> {
        let action = format!("deleting {}", shown(key));
        match self.ask(self.place.request("DELETE", key), None, &action) {
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            removed => removed.map(drop),
        }
    }

    /// Sends bytes to a name, and makes its folder if that is missing.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn send(
        &self,
        key: &[u8],
        data: W::Body,
        headers: &[(&str, String)],
        action: &str,
    ) -> Result<Answer<W::Body>> {
        let once_more = self.wire.again(&data)?;
        let asked = headers
            .iter()
            .fold(self.place.request("PUT", key), |asked, (name, value)| asked.with_header(name, value.clone()));
        match self.ask(asked.clone(), Some(data), action) {
            Err(error) if is_of_the_folder(&error) => {
                self.make_folder(crate::place::parent(key))?;
                self.ask(asked, Some(once_more), action).map_err(in_the_way)
            }
            answer => answer,
        }
    }

    /// Gives what was sent its own name, and makes the folder of that if it is missing.
    ///
    /// # Errors
    /// `precondition` when the name is taken and must not be.
    pub(crate) fn publish(&self, partial: &[u8], key: &[u8], overwrite: bool, action: &str) -> Result<Answer<W::Body>> {
        let asked = self.place.request("MOVE", partial);
        let asked = asked.with_header("destination", percent::path(key));
        let asked = asked.with_header("overwrite", if overwrite { "T" } else { "F" });
        match self.ask(asked.clone(), None, action) {
            // Go's servers answer 403 where the standard wants 409.
            Err(error) if is_of_the_folder(&error) => {
                self.make_folder(crate::place::parent(key))?;
                self.ask(asked, None, action)
            }
            answer => answer,
        }
    }

    /// Makes a folder, and those above it that are missing. One that is there is made.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn make_folder(&self, key: &[u8]) -> Result<()> {
        let action = format!("making the folder {}", shown(key));
        let make = || match self.ask(self.place.request("MKCOL", key), None, &action) {
            // RFC 4918 section 9.3.1: it is there.
            Err(error) if matches!(error.reason.as_str(), fault::NO_METHOD | fault::MOVED) => Ok(()),
            made => made.map(drop),
        };
        match make() {
            Err(error) if is_of_the_folder(&error) && !key.is_empty() => {
                self.make_folder(crate::place::parent(key))?;
                make()
            }
            made => made,
        }
    }
}

/// A folder that was made, or was there, and still is none: a file has its name.
fn in_the_way(error: Error) -> Error {
    if error.reason == fault::NO_PARENT { Error { class: ErrorClass::Unsupported, ..error } } else { error }
}

/// Whether a failure may only say that the folder of a name is missing: servers answer 409, 404 or 403.
fn is_of_the_folder(error: &Error) -> bool {
    matches!(error.class, ErrorClass::Denied | ErrorClass::NotFound)
}
