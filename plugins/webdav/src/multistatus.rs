//! Reading the documents that answer PROPFIND (RFC 4918 section 14.16), as they arrive.
//!
//! Lenient where servers are careless (prefixes of namespaces, text around elements, unknown properties), strict about structure: a
//! document that breaks off is an error. Bounds: nothing is kept but the resource that is being read; one piece of text or markup has at
//! most [`EVENT_BYTES_MAX`] bytes, a document [`DOCUMENT_BYTES_MAX`], its nesting is at most [`DEPTH_MAX`].

use std::io::{self, BufRead, Read};

use credenza_sdk::xml::append_reference;
use credenza_sdk::{Error, Timestamp, time};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::wire::Wire;

const DEPTH_MAX: usize = 64;
const EVENT_BYTES_MAX: usize = 1 << 20;
const DOCUMENT_BYTES_MAX: usize = 256 << 20;

/// What a server tells of one resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    /// Its address as it is written.
    pub(crate) href: String,
    /// A collection.
    pub(crate) is_folder: bool,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    /// As it is written.
    pub(crate) etag: Option<String>,
}

/// Why a document could not be read.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The bytes did not come.
    Failed(Error),
    /// It is not what was asked for, in words.
    Document(String),
}

/// Hands each resource of a document to `each`, in the order of the document; those that are said to be gone are left out.
///
/// # Errors
/// [`Broken`]; what was handed out before is then not all.
pub(crate) fn read<W: Wire>(
    wire: &W,
    body: &W::Body,
    mut each: impl FnMut(Told) -> Result<(), Error>,
) -> Result<(), Broken> {
    let pieces = Pieces { wire, body, piece: Vec::new(), taken: 0, event_bytes: 0, bytes: 0, failure: None };
    let mut reader = Reader::from_reader(pieces);
    reader.config_mut().allow_dangling_amp = true;
    let (mut state, mut buffer) = (State::default(), Vec::new());
    loop {
        buffer.clear();
        reader.get_mut().event_bytes = 0;
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(cause) => {
                let words = format!("no XML ({cause})");
                return Err(reader.get_mut().failure.take().map_or(Broken::Document(words), Broken::Failed));
            }
        };
        match event {
            Event::Start(start) => state.open(start.local_name().into_inner())?,
            Event::Empty(start) => {
                state.open(start.local_name().into_inner())?;
                state.close().map(&mut each).transpose().map_err(Broken::Failed)?;
            }
            Event::End(_) => state.close().map(&mut each).transpose().map_err(Broken::Failed).map(drop)?,
            Event::Text(text) => state.text.push_str(&text),
            Event::CData(text) => state.text.push_str(&text),
            Event::GeneralRef(reference) => append_reference(&mut state.text, &reference),
            Event::Eof if state.open.is_empty() && state.is_read => return Ok(()),
            Event::Eof => return Err(Broken::Document("a document that breaks off".to_owned())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// Where in a document its reader is.
#[derive(Default)]
struct State {
    /// Names of the elements around.
    open: Vec<Name>,
    /// Text since the last tag.
    text: String,
    /// Of the resource that is being read.
    reported: Told,
    status: Option<u16>,
    /// Of the group of properties that is being read.
    properties: Told,
    group_status: Option<u16>,
    /// The root was read to its end.
    is_read: bool,
}

/// Elements that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Multistatus,
    Response,
    Href,
    Status,
    Propstat,
    Prop,
    ResourceType,
    Collection,
    Length,
    Modified,
    Etag,
    Other,
}

impl Name {
    fn of(name: &str) -> Self {
        match name {
            "multistatus" => Self::Multistatus,
            "response" => Self::Response,
            "href" => Self::Href,
            "status" => Self::Status,
            "propstat" => Self::Propstat,
            "prop" => Self::Prop,
            "resourcetype" => Self::ResourceType,
            "collection" => Self::Collection,
            "getcontentlength" => Self::Length,
            "getlastmodified" => Self::Modified,
            "getetag" => Self::Etag,
            _ => Self::Other,
        }
    }
}

impl State {
    fn open(&mut self, name: &str) -> Result<(), Broken> {
        let known = Name::of(name);
        if self.open.is_empty() && (known != Name::Multistatus || self.is_read) {
            return Err(Broken::Document(format!("`{}` instead of `multistatus`", crate::fault::quote(name))));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Broken::Document("a document that is nested too deeply".to_owned()));
        }
        match known {
            Name::Response => (self.reported, self.status) = (Told::default(), None),
            Name::Propstat => (self.properties, self.group_status) = (Told::default(), None),
            _ => {}
        }
        self.text.clear();
        self.open.push(known);
        Ok(())
    }

    /// Ends an element; the resource, when that was its last.
    fn close(&mut self) -> Option<Told> {
        use Name::{
            Collection, Etag, Href, Length, Modified, Multistatus, Prop, Propstat, ResourceType, Response, Status,
        };
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        match self.open.as_slice() {
            [Multistatus] => self.is_read = true,
            [Multistatus, Response, Href] => self.reported.href = text.to_owned(),
            [Multistatus, Response, Status] => self.status = status(text),
            [Multistatus, Response, Propstat, Status] => self.group_status = status(text),
            [Multistatus, Response, Propstat, Prop, ResourceType, Collection] => self.properties.is_folder = true,
            [Multistatus, Response, Propstat, Prop, Length] => self.properties.size = text.parse().ok(),
            [Multistatus, Response, Propstat, Prop, Modified] => self.properties.modified = time::parse_http(text),
            [Multistatus, Response, Propstat, Prop, Etag] => {
                self.properties.etag = Some(text.to_owned()).filter(|etag| !etag.is_empty());
            }
            [Multistatus, Response, Propstat] if is_good(self.group_status) => {
                let found = std::mem::take(&mut self.properties);
                self.reported.is_folder |= found.is_folder;
                self.reported.size = found.size.or(self.reported.size);
                self.reported.modified = found.modified.or(self.reported.modified);
                self.reported.etag = found.etag.or(self.reported.etag.take());
            }
            [Multistatus, Response] if is_good(self.status) => {
                self.open.pop();
                return Some(std::mem::take(&mut self.reported));
            }
            _ => {}
        }
        self.open.pop();
        None
    }
}

/// `HTTP/1.1 404 Not Found`.
fn status(line: &str) -> Option<u16> {
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What says nothing of a failure is there.
fn is_good(status: Option<u16>) -> bool {
    status.is_none_or(|status| (200..300).contains(&status))
}

/// A body as a stream of bytes.
struct Pieces<'a, W: Wire> {
    wire: &'a W,
    body: &'a W::Body,
    piece: Vec<u8>,
    /// Of the piece.
    taken: usize,
    /// Since the last event.
    event_bytes: usize,
    bytes: usize,
    /// Why the last piece did not come.
    failure: Option<Error>,
}

impl<W: Wire> BufRead for Pieces<'_, W> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.event_bytes > EVENT_BYTES_MAX || self.bytes > DOCUMENT_BYTES_MAX {
            return Err(io::Error::other("it is too long"));
        }
        if self.taken >= self.piece.len() {
            match self.wire.read(self.body) {
                Ok(piece) => (self.piece, self.taken) = (piece, 0),
                Err(error) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("it broke off"));
                }
            }
        }
        Ok(self.piece.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
        self.event_bytes = self.event_bytes.saturating_add(count);
        self.bytes = self.bytes.saturating_add(count);
    }
}

impl<W: Wire> Read for Pieces<'_, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut piece = self.fill_buf()?;
        let count = piece.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recorded::Tape;

    fn reported(document: &[u8]) -> Result<Vec<Told>, Broken> {
        let (tape, mut all) = (Tape::default(), Vec::new());
        read(&tape, &tape.body_of(document.to_vec()), |reported| {
            all.push(reported);
            Ok(())
        })
        .map(|()| all)
    }

    /// As `rclone serve webdav` and WsgiDAV write them, and as Apache and SabreDAV do.
    #[test]
    fn the_documents_of_servers_are_read() {
        let rclone = r#"<?xml version="1.0" encoding="UTF-8"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/a/</D:href><D:propstat><D:prop><D:resourcetype><D:collection xmlns:D="DAV:"/></D:resourcetype><D:getlastmodified>Sun, 29 Nov 2026 14:33:42 GMT</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop><D:getcontentlength></D:getcontentlength><D:getetag></D:getetag></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response><D:response><D:href>/a/t%20%25+%23%3F%C3%BC</D:href><D:propstat><D:prop><D:resourcetype></D:resourcetype><D:getcontentlength>5</D:getcontentlength><D:getlastmodified>Fri, 13 Feb 2009 23:31:30 GMT</D:getlastmodified><D:getetag>"112210f4768db4005"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"#;
        let [folder, file] = reported(rclone.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((folder.href.as_str(), folder.is_folder, folder.size), ("/a/", true, None));
        assert_eq!((file.href.as_str(), file.is_folder, file.size), ("/a/t%20%25+%23%3F%C3%BC", false, Some(5)));
        assert_eq!(file.modified.unwrap().seconds, 1_234_567_890);
        assert_eq!(file.etag.as_deref(), Some("\"112210f4768db4005\""));

        let apache = "<?xml version=\"1.0\"?>\n<D:multistatus xmlns:D=\"DAV:\" xmlns:ns0=\"DAV:\">\n<D:response xmlns:lp1=\"DAV:\">\n<D:href>http://h/x&amp;y</D:href>\n<D:propstat>\n<D:prop>\n<lp1:resourcetype/>\n<lp1:getcontentlength> 7 </lp1:getcontentlength><lp1:getetag>W/&quot;e&quot;</lp1:getetag>\n</D:prop>\n<D:status>HTTP/1.1 200 OK</D:status>\n</D:propstat>\n</D:response>\n</D:multistatus>\n";
        let [file] = reported(apache.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((file.href.as_str(), file.size, file.etag.as_deref()), ("http://h/x&y", Some(7), Some("W/\"e\"")));
    }

    #[test]
    fn what_is_said_to_be_gone_is_left_out() {
        let gone = r#"<multistatus xmlns="DAV:"><response><href>/a</href><status>HTTP/1.1 404 Not Found</status></response><response><href>/b</href><propstat><prop><getcontentlength>9</getcontentlength></prop><status>HTTP/1.1 404 Not Found</status></propstat></response></multistatus>"#;
        let [left] = reported(gone.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((left.href.as_str(), left.size), ("/b", None));
    }

    #[test]
    fn a_document_that_breaks_off_is_no_shorter_folder() {
        let whole = r#"<multistatus xmlns="DAV:"><response><href>/a</href></response><response><href>/b</href></response></multistatus>"#;
        assert_eq!(reported(whole.as_bytes()).unwrap().len(), 2);
        for end in 0..whole.len() {
            assert!(matches!(reported(&whole.as_bytes()[..end]), Err(Broken::Document(_))), "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_such_document_is_named() {
        for junk in ["<html><body>Hello</body></html>", "plain", "<multistatus/><multistatus/>", "<a>"] {
            assert!(matches!(reported(junk.as_bytes()), Err(Broken::Document(_))), "{junk}");
        }
        let deep = "<multistatus>".to_owned() + &"<a>".repeat(100);
        assert!(matches!(reported(deep.as_bytes()), Err(Broken::Document(_))));
        let long = format!("<multistatus><a>{}</a></multistatus>", "x".repeat(2 << 20));
        assert!(matches!(reported(long.as_bytes()), Err(Broken::Document(_))));
        assert!(reported(b"<multistatus/>").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn reading_takes_anything(bytes in any::<Vec<u8>>()) {
            let _ = reported(&bytes);
        }

        #[test]
        fn reading_takes_anything_that_looks_like_a_document(text in "<multistatus>(</?(response|href|propstat|prop|status|x)/?>|&[#x0-9a-z]{0,4};?|[a-z 0-9])*") {
            let _ = reported(text.as_bytes());
        }
    }
}
