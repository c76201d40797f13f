//! A folder on a WebDAV server that answers: requests whose failures are errors, what is there, what lies in a folder.
//!
//! Memory: of one folder at most [`CHILDREN_MAX`] names of together [`NAME_BYTES_MAX`] bytes, because the answer to a PROPFIND is one
//! document; a folder with more is an error of its own, never a shorter folder.

use std::cell::Cell;
use std::rc::Rc;

use credenza_sdk::http::Request;
use credenza_sdk::{Config, Error, ErrorClass, Result, Timestamp, time};

use crate::fault::{self, shown};
use crate::multistatus::{self, Broken, Told};
use crate::place::{self, Place};
use crate::wire::{Answer, Headers, Wire};
use credenza_sdk::percent;

/// Most things in one folder, and most bytes of their addresses.
const CHILDREN_MAX: usize = 100_000;
const NAME_BYTES_MAX: usize = 24 << 20;

/// What is asked of each resource (RFC 4918 section 9.1). Not `allprop`: some servers compute much for it.
const QUESTION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>";

/// The place and the way to it.
#[derive(Debug, Clone)]
pub struct Folder<W> {
    pub(crate) place: Place,
    pub(crate) wire: W,
    /// What interrupted writers left behind was looked for.
    pub(crate) is_swept: Rc<Cell<bool>>,
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Child {
    /// Bytes, decoded.
    pub(crate) name: Vec<u8>,
    pub(crate) is_folder: bool,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) etag: Option<String>,
}

impl Child {
    fn of(name: Vec<u8>, reported: Told) -> Self {
        let Told { is_folder, size, modified, etag, .. } = reported;
        Self { name, is_folder, size, modified, etag: etag.as_deref().map(normalise_etag) }
    }

    /// The name, of a folder with a `/`: in the byte order of these all that lies in a folder follows it at once.
    pub(crate) fn key_name(&self) -> Vec<u8> {
        let slash: &[u8] = if self.is_folder { b"/" } else { b"" };
        [self.name.as_slice(), slash].concat()
    }
}

/// What a folder holds.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The folder itself.
    pub(crate) own: Child,
    /// In the byte order of their keys, each once.
    pub(crate) children: Vec<Child>,
    /// When that was, by the clock of the server.
    pub(crate) at: Option<Timestamp>,
}

impl<W: Wire> Folder<W> {
    /// The folder that the settings name; no request is sent.
    pub fn new(config: &Config, wire: W) -> Self {
        Self { place: Place::of(config), wire, is_swept: Rc::default() }
    }

    /// Sends a request; `action` names it for a person, as in `reading "a/b"`.
    ///
    /// # Errors
    /// Any status but success, explained; `207` is one, where it is not what the method answers. A page with status 200 is no success of a
    /// change: it is that of somebody on the way, such as a login, who has changed nothing.
    pub(crate) fn ask(&self, request: Request, body: Option<W::Body>, action: &str) -> Result<Answer<W::Body>> {
        let is_change = matches!(request.method.as_str(), "PUT" | "MOVE" | "MKCOL" | "DELETE");
        let answer = self.wire.send(request, body)?;
        let is_page = is_change && answer.status == 200 && self.wire.length(&answer.body) != Some(0);
        let is_success = (200..300).contains(&answer.status) && answer.status != 207 && !is_page;
        if is_success { Ok(answer) } else { Err(self.explain(&answer, action)) }
    }

    pub(crate) fn explain(&self, answer: &Answer<W::Body>, action: &str) -> Error {
        fault::classify(answer.status, &answer.headers, action, &self.place.name())
    }

    /// What is there under a key; nothing is `None`. That of a folder may end with `/`.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn look(&self, key: &[u8]) -> Result<Option<Child>> {
        let action = format!("looking at {}", shown(key));
        let Some((reported, _)) = self.propfind(key, "0", &action)? else { return Ok(None) };
        let expected = self.place.names(key);
        let mut reported = reported.into_iter();
        match (reported.next(), reported.next()) {
            (Some((names, found)), None) => {
                let asked = key.strip_suffix(b"/").unwrap_or(key);
                let name = asked.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
                // Behind a proxy the server may know itself by another path, but not by another name.
                let is_it = names == expected || name.is_empty() || names.ends_with(&name);
                if is_it { Ok(Some(Child::of(name, found))) } else { Err(self.stranger(&action, &names)) }
            }
            (None, _) => Ok(None),
            (Some(_), Some((names, _))) => Err(self.stranger(&action, &names)),
        }
    }

    /// What lies in a folder, whose key is empty or ends with `/`; nothing when it is not there, or no folder.
    ///
    /// # Errors
    /// The cause, by class; `exhausted` when it holds too much.
    pub(crate) fn list(&self, key: &[u8]) -> Result<Option<Listing>> {
        let action = format!("listing the folder {}", shown(key));
        let Some((reported, headers)) = self.propfind(key, "1", &action)? else { return Ok(None) };
        let own_names = own_names(&reported, &self.place.names(key));
        let mut own = Child::of(Vec::new(), Told { is_folder: true, ..Told::default() });
        let mut children = Vec::with_capacity(reported.len());
        for (names, found) in reported {
            if names == own_names {
                if !found.is_folder {
                    // A file has a length. Of what is neither nothing is said, and so nothing of what it holds.
                    let is_file = found.size.is_some();
                    let untold = || fault::not_webdav(&action, &self.place.name(), "no word whether it is a folder");
                    return if is_file { Ok(None) } else { Err(untold()) };
                }
                own = Child::of(Vec::new(), found);
                continue;
            }
            let below = if own_names.is_empty() {
                Some(names.as_slice())
            } else {
                names.strip_prefix(own_names.as_slice()).and_then(|rest| rest.strip_prefix(b"/"))
            };
            match below {
                None => return Err(self.stranger(&action, &names)),
                // Told by servers that look deeper than they were asked to; its folder is asked in its turn.
                Some(below) if below.contains(&b'/') => {}
                Some(below) => children.push(Child::of(below.to_vec(), found)),
            }
        }
        children.sort_by_cached_key(Child::key_name);
        children.dedup_by(|a, b| a.is_folder == b.is_folder && a.name == b.name);
        Ok(Some(Listing { own, children, at: headers.get("date").and_then(time::parse_http) }))
    }

    /// Asks for properties; nothing when there is nothing of that name.
    fn propfind(&self, key: &[u8], depth: &str, action: &str) -> Result<Option<(Vec<Named>, Headers)>> {
        let request = self.place.request("PROPFIND", key);
        let request = request.with_header("depth", depth).with_header("content-type", "application/xml; charset=utf-8");
        let answer = self.wire.send(request, Some(self.wire.body_of(QUESTION.as_bytes().to_vec())))?;
        match answer.status {
            207 => {}
            404 | 410 => return Ok(None),
            _ => return Err(self.explain(&answer, action)),
        }
        let (mut all, mut bytes) = (Vec::new(), 0_usize);
        let read = multistatus::read(&self.wire, &answer.body, |reported| {
            bytes = bytes.saturating_add(reported.href.len());
            if all.len() > CHILDREN_MAX || bytes > NAME_BYTES_MAX {
                return Err(self.too_much(action));
            }
            let address = Some(reported.href.as_str()).filter(|address| !address.is_empty());
            let names = address.and_then(names_of).ok_or_else(|| {
                let found =
                    format!("the address `{}`, which can be no name", fault::quote(&reported.href).escape_debug());
                fault::not_webdav(action, &self.place.name(), &found)
            })?;
            all.push((names, reported));
            Ok(())
        });
        match read {
            Ok(()) => Ok(Some((all, answer.headers))),
            Err(Broken::Failed(error)) => Err(error),
            Err(Broken::Document(found)) => Err(fault::not_webdav(action, &self.place.name(), &found)),
        }
    }

    fn too_much(&self, action: &str) -> Error {
        let message = format!(
            "{action} failed: it holds more than the {CHILDREN_MAX} names, or {NAME_BYTES_MAX} bytes of names, that are kept in memory; split it into several folders"
        );
        Error::new(ErrorClass::Exhausted, "webdav.folder-too-large", message)
    }

    fn stranger(&self, action: &str, names: &[u8]) -> Error {
        fault::not_webdav(action, &self.place.name(), &format!("with {}, which lies elsewhere", shown(names)))
    }
}

/// What was reported, by the names of its address joined by `/`.
type Named = (Vec<u8>, Told);

/// The address by which a server knows the folder that it was asked for: as it was asked, or, behind a proxy that rewrites paths, the
/// one above all others that it told.
fn own_names(reported: &[Named], expected: &[u8]) -> Vec<u8> {
    let below = |names: &[u8]| {
        expected.is_empty()
            || names.strip_prefix(expected).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    if reported.iter().all(|(names, _)| below(names)) {
        return expected.to_vec();
    }
    let shortest = reported.iter().map(|(names, _)| names).min_by_key(|names| names.len());
    shortest.cloned().unwrap_or_default()
}

/// The decoded names of an address, absolute or not, with any number of `/` between them; nothing when one cannot be a name.
fn names_of(href: &str) -> Option<Vec<u8>> {
    let path =
        href.split_once("://").map_or(href, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let names: Vec<Vec<u8>> =
        path.split('/').filter(|name| !name.is_empty()).map(|name| percent::decode(name.as_bytes())).collect();
    names.iter().all(|name| place::is_name(name)).then(|| names.join(&b'/'))
}

/// Without quotes, which some servers leave out: `abc`, or `W/abc` of one that promises less.
pub(crate) fn normalise_etag(etag: &str) -> String {
    let (weak, tag) = etag.trim().strip_prefix("W/").map_or(("", etag.trim()), |tag| ("W/", tag));
    format!("{weak}{}", tag.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_all_its_forms() {
        for href in ["/dav/a%20b/", "dav/a b", "//dav//a%20b", "http://h:80/dav/a%20b", "/dav/a%20b/?x#y"] {
            assert_eq!(names_of(href).as_deref(), Some(&b"dav/a b"[..]), "{href}");
        }
        assert_eq!(names_of("/a+%2B%25%23%3f%C3%BC").as_deref(), Some("a++%#?\u{fc}".as_bytes()));
        assert_eq!(names_of("http://h").as_deref(), Some(&b""[..]));
        for href in ["/a/../b", "/a/%2e%2E", "/a%2Fb", "/a%00"] {
            assert_eq!(names_of(href), None, "{href}");
        }
    }

    #[test]
    fn an_etag_is_the_same_with_its_quotes_and_without() {
        assert_eq!(normalise_etag("\"abc\""), normalise_etag("abc"));
        assert_eq!(normalise_etag("W/\"abc\""), "W/abc");
    }
}
