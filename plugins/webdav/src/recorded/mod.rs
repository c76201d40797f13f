//! The connector against recorded answers: a wire that replies in order, and remembers what it was asked.

mod destination;
mod source;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use credenza_sdk::http::Request;
use credenza_sdk::{Entry, EntryKind, ErrorClass, Found, PutOptions, Result, ScanOptions, Source, Timestamp, Version};

use crate::folder::Folder;
use crate::place::tests::config;
use crate::wire::{Answer, Headers, Wire};

/// Bytes of a body that are read at once: few, so that documents come in pieces.
const PIECE_BYTES: usize = 50;

/// An answer to give: status, headers, body.
type Reply = (u16, Vec<(String, String)>, Vec<u8>);

/// A request that was made: method, target, headers and body.
#[derive(Debug, Clone)]
struct Asked {
    label: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// Bytes, and how many of them were read.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<u8>, Cell<usize>);

/// A wire with answers to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    replies: Rc<RefCell<VecDeque<Reply>>>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Wire for Tape {
    type Body = Held;

    fn send(&self, request: Request, body: Option<Held>) -> Result<Answer<Held>> {
        let body = body.unwrap_or_default().0;
        self.asked.borrow_mut().push(Asked {
            label: request.endpoint,
            method: request.method,
            target: request.target,
            headers: request.headers,
            body,
        });
        let (status, headers, body) = self.replies.borrow_mut().pop_front().expect("an answer for each request");
        Ok(Answer { status, headers: Headers(headers), body: self.body_of(body) })
    }

    fn body_of(&self, bytes: Vec<u8>) -> Held {
        Held(bytes, Cell::new(0))
    }

    fn read(&self, body: &Held) -> Result<Vec<u8>> {
        let piece: Vec<u8> = body.0.iter().skip(body.1.get()).take(PIECE_BYTES).copied().collect();
        body.1.set(body.1.get() + piece.len());
        Ok(piece)
    }

    fn again(&self, body: &Held) -> Result<Held> {
        Ok(self.body_of(body.0.clone()))
    }

    fn length(&self, body: &Held) -> Option<u64> {
        Some(body.0.len() as u64)
    }

    fn now_seconds(&self) -> i64 {
        1_704_067_205
    }

    fn unique_word(&self) -> String {
        "word".to_owned()
    }
}

const DATE: (&str, &str) = ("date", "Mon, 01 Jan 2024 00:00:05 GMT");
const MODIFIED: &str = "Sun, 31 Dec 2023 00:00:00 GMT";
const MODIFIED_SECONDS: i64 = 1_703_980_800;

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    (status, headers, body.as_bytes().to_vec())
}

fn folder(settings: &[(&str, &str)], replies: Vec<Reply>) -> Folder<Tape> {
    let tape = Tape { replies: Rc::new(RefCell::new(replies.into())), ..Tape::default() };
    Folder::new(&config(settings), tape)
}

fn asked(folder: &Folder<Tape>) -> Vec<Asked> {
    assert!(folder.wire.replies.borrow().is_empty(), "answers that nobody asked for");
    folder.wire.asked.borrow().clone()
}

fn lines(folder: &Folder<Tape>) -> Vec<String> {
    asked(folder).iter().map(Asked::line).collect()
}

/// A resource of a document: a folder when its address ends with `/`.
fn resource(href: &str) -> String {
    let properties = if href.ends_with('/') {
        "<D:resourcetype><D:collection/></D:resourcetype>".to_owned()
    } else {
        format!(
            "<D:resourcetype/><D:getcontentlength>3</D:getcontentlength><D:getlastmodified>{MODIFIED}</D:getlastmodified><D:getetag>\"e\"</D:getetag>"
        )
    };
    format!(
        "<D:response><D:href>{href}</D:href><D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
}

fn multistatus(resources: &str) -> Reply {
    reply(207, &[DATE], &format!("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{resources}</D:multistatus>"))
}

/// The answer for what is reported by its addresses.
fn reported(hrefs: &[&str]) -> Reply {
    multistatus(&hrefs.iter().map(|href| resource(href)).collect::<String>())
}

fn keys(found: &[Found]) -> Vec<String> {
    let key = |found: &Found| match found {
        Found::Entry(entry) => String::from_utf8(entry.key.clone()).unwrap(),
        Found::Skipped((key, error)) => format!("skipped {} ({})", String::from_utf8_lossy(key), error.reason),
    };
    found.iter().map(key).collect()
}

fn everything() -> ScanOptions {
    ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None }
}

/// Everything that a walk finds, `max` at a time.
fn walk(folder: &Folder<Tape>, options: &ScanOptions, max: u32) -> Result<Vec<Found>> {
    let (mut scan, mut all) = (Source::scan(folder, options.clone())?, Vec::new());
    loop {
        let batch = scan.next(max)?;
        assert!(batch.found.len() <= max as usize);
        all.extend(batch.found);
        if !batch.more {
            return Ok(all);
        }
    }
}

#[test]
fn who_has_a_token_asks_the_endpoint_of_tokens() {
    for (settings, label) in [(&[][..], "folder"), (&[("!user", "")][..], "folder"), (&[("!token", "")][..], "token")] {
        let place = folder(settings, vec![reply(404, &[], "")]);
        assert_eq!(place.look(b"x").unwrap(), None);
        assert_eq!(asked(&place)[0].label, label);
    }
}
