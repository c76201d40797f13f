//! The protocol (RFC 4918): requests, and what their answers mean.

use std::cell::RefCell;
use std::collections::BTreeSet;

use credenza_sdk::http::Request;
use credenza_sdk::wire::{Answer, Wire};
use credenza_sdk::xml::Element;
use credenza_sdk::{Check, Entry, EntryKind, Error, ErrorClass, Result, Timestamp, etag, percent, shown, status, time};

/// The endpoint that `connector.toml` declares.
const ENDPOINT: &str = "files";
/// Longest listing of a folder that is read.
const LISTING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Folders that are known to exist, so that they are not made once more.
const KNOWN_MAX: usize = 10_000;

/// A folder on a server.
#[derive(Debug)]
pub struct Dav<W> {
    /// Of the place, equal for equal places.
    pub identity: String,
    /// The way to the server.
    pub wire: W,
    known: RefCell<BTreeSet<Vec<u8>>>,
}

/// A file or folder, as the server describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name; that of a folder ends in `/`.
    pub name: Vec<u8>,
    /// Bytes of a file.
    pub size: Option<u64>,
    /// When it was written.
    pub modified: Option<Timestamp>,
    /// Without quotes.
    pub etag: Option<String>,
}

impl Member {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.name.ends_with(b"/")
    }

    /// The entry of that key.
    #[must_use]
    pub fn into_entry(self, key: Vec<u8>) -> Entry {
        let kind = if self.is_folder() { EntryKind::Directory } else { EntryKind::File };
        Entry { size: self.size, modified: self.modified, fingerprint: self.etag, ..Entry::new(key, kind) }
    }
}

/// A request for a key.
#[must_use]
pub fn request(method: &str, key: &[u8]) -> Request {
    Request::new(method, ENDPOINT, percent::path(key))
}

/// Whether a key can be a path on a server: a tree has no empty names, and servers resolve `.` and `..`.
#[must_use]
pub fn is_path(key: &[u8]) -> bool {
    let key = key.strip_suffix(b"/").unwrap_or(key);
    !key.split(|byte| *byte == b'/').any(|name| name.is_empty() || name == b"." || name == b"..")
}

impl<W: Wire> Dav<W> {
    /// The folder of the endpoint; no request is sent.
    pub fn new(identity: String, wire: W) -> Self {
        Self { identity, wire, known: RefCell::default() }
    }

    /// Sends a request; `action` names it for a person, as in `reading "a"`.
    ///
    /// # Errors
    /// Any status but success, by class.
    pub fn ask(&self, request: Request, body: Option<W::Body>, action: &str) -> Result<Answer<W::Body>> {
        let as_folder = format!("{}/", request.target);
        let is_change = matches!(request.method.as_str(), "PUT" | "MKCOL");
        let answer = self.wire.send(request, body)?;
        // A page with status 200 is that of somebody on the way, such as a login, who has changed nothing.
        if is_change && answer.status == 200 && self.wire.length(&answer.body) != Some(0) {
            let message = format!("{action} failed: the answer is a page; check that the host speaks WebDAV");
            return Err(Error::new(ErrorClass::Corrupt, "dav.answer", message));
        }
        if answer.is_success() {
            return Ok(answer);
        }
        let error = status::error_of(&answer, action);
        let is_sent_to_folder = answer.headers.get("location").is_some_and(|to| to.ends_with(&as_folder));
        Err(match answer.status {
            // A server sends whoever asks for a folder as a file to the folder. To anywhere else, nothing is said of what is there.
            300..=399 if is_sent_to_folder => Error { class: ErrorClass::NotFound, ..error },
            // A folder on the way is missing, which somebody has removed meanwhile.
            409 => Error { class: ErrorClass::Transient, ..error },
            _ => error,
        })
    }

    /// A folder and what it holds, in the order of their names; nothing where there is no such folder.
    ///
    /// # Errors
    /// The cause, by class.
    pub fn list(&self, folder: &[u8]) -> Result<Option<(Member, Vec<Member>)>> {
        let Some(found) = self.find(folder, "1")? else { return Ok(None) };
        let mut members = found.into_iter().map(|(_, member)| member);
        let Some(itself) = members.next().filter(Member::is_folder) else { return Ok(None) };
        let mut members: Vec<Member> = members.collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some((itself, members)))
    }

    /// A file or folder; nothing where there is none.
    ///
    /// # Errors
    /// The cause, by class.
    pub fn look(&self, key: &[u8]) -> Result<Option<Member>> {
        if !key.is_empty() && !is_path(key) {
            return Ok(None);
        }
        Ok(self.find(key, "0")?.and_then(|found| found.into_iter().next()).map(|(_, member)| member))
    }

    /// What lies at a path and, with depth `1`, directly below, with the number of names in their paths: the one itself first, and there always.
    fn find(&self, key: &[u8], depth: &str) -> Result<Option<Vec<(usize, Member)>>> {
        let action = format!("listing {}", shown(key));
        let asked = request("PROPFIND", key).with_header("depth", depth);
        let answer = match self.ask(asked, None, &action) {
            Err(error) if error.class == ErrorClass::NotFound => return Ok(None),
            answer => answer?,
        };
        let odd = |what: &str| {
            let message = format!("{action} failed: the answer is {what}; check that the host speaks WebDAV");
            Error::new(ErrorClass::Corrupt, "dav.answer", message)
        };
        let (bytes, is_whole) = self.wire.read_up_to(&answer.body, LISTING_BYTES_MAX)?;
        let document = Element::parse(&bytes).filter(|root| is_whole && root.name == "multistatus");
        let document = document.ok_or_else(|| odd("no document of WebDAV"))?;
        let found: Option<Vec<(usize, Member)>> = document.all("response").map(member).collect();
        let mut found = found.ok_or_else(|| odd("a listing with a name that is none"))?;
        found.sort_by_key(|(depth, _)| *depth);
        if found.is_empty() { Err(odd("a listing without the folder itself")) } else { Ok(Some(found)) }
    }

    /// Makes the folders that a key lies in, unless they are there.
    ///
    /// # Errors
    /// `unsupported` where a file is in the way; else the cause, by class.
    pub fn make_folders(&self, key: &[u8]) -> Result<()> {
        let ends = key.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(place, _)| place);
        for folder in ends.filter_map(|end| key.get(..=end)) {
            if self.known.borrow().contains(folder) {
                continue;
            }
            let action = format!("making the folder {}", shown(folder));
            let answer = self.wire.send(request("MKCOL", folder), None)?;
            match answer.status {
                201 | 204 => {}
                200 if self.wire.length(&answer.body) == Some(0) => {}
                405 if self.look(folder)?.is_some_and(|there| there.is_folder()) => {}
                405 | 409 => {
                    let message = format!("{action} failed: there is a file of that name");
                    return Err(Error::new(ErrorClass::Unsupported, "dav.file-in-the-way", message));
                }
                200..=299 => {
                    let message = format!("{action} failed: the answer is a page; check that the host speaks WebDAV");
                    return Err(Error::new(ErrorClass::Corrupt, "dav.answer", message));
                }
                _ => return Err(status::error_of(&answer, &action)),
            }
            let mut known = self.known.borrow_mut();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(folder.to_vec());
        }
        Ok(())
    }

    /// The line of a self-test: the folder is there.
    #[must_use]
    pub fn check(&self) -> Vec<Check> {
        let outcome = self.list(b"").and_then(|members| match members {
            Some((_, members)) => Ok(format!("{} files and folders", members.len())),
            None => Err(self.missing()),
        });
        vec![Check { name: "list the folder".to_owned(), outcome }]
    }

    /// The error of a place that is not there.
    #[must_use]
    pub fn missing(&self) -> Error {
        let message = format!("{} does not exist; check host and folder", self.identity);
        Error::new(ErrorClass::Configuration, "dav.no-folder", message)
    }
}

/// A response of a listing: how deep it lies, and what it is.
fn member(response: &Element) -> Option<(usize, Member)> {
    let href = response.text_of("href")?.trim();
    let path = href.split_once("://").map_or(href, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let properties = response.all("propstat").find_map(|found| found.child("prop"))?;
    let is_folder = properties.child("resourcetype").is_some_and(|kind| kind.child("collection").is_some());
    let mut name = percent::decode(names.last().copied().unwrap_or_default().as_bytes());
    if name.contains(&b'/') {
        return None;
    }
    if is_folder {
        name.push(b'/');
    }
    let text = |name| properties.text_of(name).map(str::trim).filter(|text| !text.is_empty());
    let member = Member {
        name,
        size: text("getcontentlength").and_then(|size| size.parse().ok()).filter(|_| !is_folder),
        modified: text("getlastmodified").and_then(time::parse_http),
        etag: text("getetag").and_then(etag::bare).filter(|_| !is_folder),
    };
    Some((names.len(), member))
}

#[cfg(test)]
mod tests {
    use credenza_sdk::wire::{Reply, Tape};

    use super::*;

    fn response(href: &str, properties: &str) -> String {
        format!(
            "<d:response><d:href>{href}</d:href><d:propstat><d:prop>{properties}</d:prop></d:propstat></d:response>"
        )
    }

    fn dav(responses: &[String]) -> Dav<Tape> {
        let document = format!("<d:multistatus xmlns:d=\"DAV:\">{}</d:multistatus>", responses.concat());
        Dav::new("template://h/f".to_owned(), Tape::new([Reply::new(207).with_body(document)]))
    }

    const FOLDER: &str = "<d:resourcetype><d:collection/></d:resourcetype>";

    #[test]
    fn a_folder_is_told_in_the_order_of_its_names_and_without_itself() {
        let file = "<d:getcontentlength>3</d:getcontentlength><d:getetag>\"e\"</d:getetag>";
        let listed = dav(&[
            response("/f/%C3%BC.txt", file),
            response("/f/", FOLDER),
            response("https://h/f/a%20b/", FOLDER),
            response("/f/a!", file),
        ]);
        let (_, members) = listed.list(b"").unwrap().unwrap();
        let names: Vec<String> = members.iter().map(|m| String::from_utf8_lossy(&m.name).into_owned()).collect();
        assert_eq!(names, ["a b/", "a!", "\u{fc}.txt"]);
        assert_eq!((members[1].size, members[1].etag.as_deref()), (Some(3), Some("e")));
        assert_eq!(listed.wire.lines(), ["PROPFIND /"]);
    }

    #[test]
    fn what_is_no_listing_is_corrupt_and_what_is_not_there_is_nothing() {
        for body in ["", "<html/>", "<d:multistatus xmlns:d=\"DAV:\"/>"] {
            let odd = Dav::new(String::new(), Tape::new([Reply::new(207).with_body(body)]));
            assert_eq!(odd.list(b"a/").unwrap_err().class, ErrorClass::Corrupt, "{body}");
        }
        let missing = Dav::new(String::new(), Tape::new([Reply::new(404)]));
        assert_eq!(missing.list(b"a/").unwrap(), None);
        let folder = Reply::new(301).with_header("location", "http://h/a/");
        let to_folder = Dav::new(String::new(), Tape::new([folder]));
        assert_eq!(to_folder.list(b"a").unwrap(), None);
        let login = Reply::new(302).with_header("location", "http://h/login");
        let elsewhere = Dav::new(String::new(), Tape::new([login]));
        assert_eq!(elsewhere.list(b"a/").unwrap_err().class, ErrorClass::Configuration);
        let busy = Dav::new(String::new(), Tape::new([Reply::new(503)]));
        assert_eq!(busy.list(b"a/").unwrap_err().class, ErrorClass::Transient);
    }

    #[test]
    fn folders_are_made_once_and_a_file_in_the_way_is_told() {
        let made = Dav::new(String::new(), Tape::new([Reply::new(201), Reply::new(201)]));
        made.make_folders(b"a/b/c").unwrap();
        made.make_folders(b"a/b/d").unwrap();
        assert_eq!(made.wire.lines(), ["MKCOL /a/", "MKCOL /a/b/"]);
        let there = response("/f/a", "<d:getcontentlength>3</d:getcontentlength>");
        let document = format!("<d:multistatus xmlns:d=\"DAV:\">{there}</d:multistatus>");
        let blocked = Dav::new(String::new(), Tape::new([Reply::new(405), Reply::new(207).with_body(document)]));
        assert_eq!(blocked.make_folders(b"a/b").unwrap_err().class, ErrorClass::Unsupported);
    }
}
