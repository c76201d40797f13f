//! Snapshots for browsers and other programs that speak HTTP, and as a WebDAV server; both are read only.
//!
//! | request | answer |
//! |---|---|
//! | GET, HEAD of a file | its bytes; `Range`, `If-Range`, `If-None-Match` |
//! | GET of a folder | a plain page; with `?download=zip` or `tar` all of it |
//! | GET with `?link=SECONDS` | a link to that path, which lets in without the password and ends by itself; to a folder, it gives all below as an archive |
//! | PROPFIND, OPTIONS | of a WebDAV server alone: class 1 of RFC 4918, to the depth of 0 and 1 |
//!
//! Read only, WebDAV is the two methods of the last row: a crate for all of it would bring a locking system, a file system and an XML tree that
//! nothing here needs.
//!
//! Owned here: methods and headers. Refused here: who is let in (`door`), what a path names (`place`), pages (`page`). Called by `cli`.
//!
//! Bound: what `listen` and `entry` state; [`ARCHIVES_MAX`] archives at once.

mod body;
mod door;
mod page;
mod place;

use std::sync::{Arc, Mutex, PoisonError};

use credenza_engine::archive::{self, ArchiveFormat, Chosen};
use credenza_engine::view::never_read;
use credenza_engine::{Clock, Error as EngineError, Event, Listener, Parts, RunContext, Stop, SystemClock};
use credenza_listen::written;
use credenza_model::{EntryKind, Key, Record};
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts as Head;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use self::body::Sent;
use self::door::{Door, Refusal, by_link, parameter};
use self::place::Node;
use crate::entry::{Readers, Trouble, etag_of, http_date, is_printable, size_of, text_of};
use crate::listen::{Answering, Listening, Reach};
use crate::shelf::Shelf;
use crate::tree::SnapshotTree;
use crate::{Error, Result};

pub use self::door::USER;

/// Archives that are written at once.
const ARCHIVES_MAX: usize = 4;
/// The type of a file of which nothing is said.
const ANY_TYPE: &str = "application/octet-stream";
/// What is in a snapshot runs nothing, and sends nothing anywhere.
const POLICY: &str =
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'";

/// Which of the two is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// HTTP for browsers.
    Http,
    /// WebDAV.
    WebDav,
}

/// An HTTP server that listens, and answers as soon as it is [run](Self::run).
pub struct HttpFront {
    listening: Listening,
    site: Site,
    password: String,
}

struct Site {
    door: Door,
    shelf: Shelf,
    readers: Readers,
    archives: Arc<Semaphore>,
    speech: Speech,
    clock: Arc<dyn Clock>,
    stop: Stop,
}

impl HttpFront {
    /// Listens, and makes a password.
    ///
    /// # Errors
    /// [`Error::Listen`], [`Error::NotLoopback`], [`Error::Random`].
    pub async fn bind(reach: &Reach, speech: Speech, shelf: Shelf, trouble: Trouble, stop: Stop) -> Result<Self> {
        let listening = Listening::at(reach).await?;
        let (door, password) = Door::new(listening.origin().clone())?;
        let archives = Arc::new(Semaphore::new(ARCHIVES_MAX));
        let readers = Readers::new(trouble);
        let site = Site { door, shelf, readers, archives, speech, clock: Arc::new(SystemClock), stop };
        Ok(Self { listening, site, password })
    }

    /// Where it is asked for, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.listening.origin().url()
    }

    /// What lets in, with the name [`USER`].
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Answers until the [`Stop`] is requested that it was made with.
    pub async fn run(self) {
        let stop = self.site.stop.clone();
        self.listening.run(self.site, &stop).await;
    }
}

type Answer = Response<Sent>;

impl Answering for Site {
    type Answer = Sent;

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        // Of the methods that are answered only PROPFIND has a body, which asks for less than it gets.
        let (head, _) = request.into_parts();
        let mut answer = match self.door.admit(&head, self.clock.now().wall) {
            Ok(()) => self.admitted(&head).await,
            Err(refusal) => refused(refusal),
        };
        put(&mut answer, CONTENT_SECURITY_POLICY, POLICY);
        put(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
        put(&mut answer, http::header::REFERRER_POLICY, "no-referrer");
        answer
    }
}

impl Site {
    async fn admitted(&self, head: &Head) -> Answer {
        let is_dav = self.speech == Speech::WebDav;
        match head.method.as_str() {
            "GET" | "HEAD" | "PROPFIND" if is_dav || head.method != "PROPFIND" => {}
            "OPTIONS" if is_dav => {
                let mut answer = Response::new(Sent::Whole(None));
                put(&mut answer, HeaderName::from_static("dav"), "1");
                put(&mut answer, HeaderName::from_static("ms-author-via"), "DAV");
                return self.allowing(answer);
            }
            _ => return self.allowing(said(StatusCode::METHOD_NOT_ALLOWED, "Snapshots can only be read.")),
        }
        match place::find(&self.shelf, head.uri.path()).await {
            Ok(None) => said(StatusCode::NOT_FOUND, "There is nothing of that name."),
            Err(cause) => self.broken(&cause),
            Ok(Some(node)) if head.method == "PROPFIND" => self.properties(head, node),
            Ok(Some(node)) => self.got(head, node).await,
        }
    }

    fn allowing(&self, mut answer: Answer) -> Answer {
        let is_dav = self.speech == Speech::WebDav;
        put(&mut answer, ALLOW, if is_dav { "GET, HEAD, OPTIONS, PROPFIND" } else { "GET, HEAD" });
        answer
    }

    /// Tells of an error, and what the reader gets for it: never that something is not there.
    fn broken(&self, cause: &EngineError) -> Answer {
        self.readers.tell(cause);
        said(StatusCode::INTERNAL_SERVER_ERROR, &cause.to_string())
    }

    fn properties(&self, head: &Head, node: Node) -> Answer {
        let depth = head.headers.get("depth").map_or(&b"infinity"[..], HeaderValue::as_bytes);
        if !matches!(depth, b"0" | b"1") {
            let mut answer = Response::new(Sent::text(
                "<?xml version=\"1.0\"?><D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>",
            ));
            *answer.status_mut() = StatusCode::FORBIDDEN;
            put(&mut answer, CONTENT_TYPE, "application/xml; charset=utf-8");
            return answer;
        }
        let mut answer = Response::new(page::properties(node, head.uri.path(), depth == b"1", &self.readers));
        *answer.status_mut() = StatusCode::MULTI_STATUS;
        put(&mut answer, CONTENT_TYPE, "application/xml; charset=utf-8");
        answer
    }

    async fn got(&self, head: &Head, node: Node) -> Answer {
        let path = head.uri.path();
        if let Some(seconds) = parameter(head, "link") {
            // It would outlast the one that was given.
            if by_link(head).is_some() {
                return said(StatusCode::FORBIDDEN, "Only who knows the password makes links.");
            }
            return match self.door.link(head, seconds, self.clock.now().wall) {
                Some(link) => said(StatusCode::OK, &link),
                None => said(StatusCode::BAD_REQUEST, "A link lasts for a number of seconds: ?link=3600"),
            };
        }
        match (parameter(head, "download"), node.archived()) {
            (Some("zip"), Some((tree, prefix))) => return self.archive(tree, prefix, ArchiveFormat::Zip),
            (Some("tar"), Some((tree, prefix))) => return self.archive(tree, prefix, ArchiveFormat::Tar),
            (Some(_), _) => {
                return said(
                    StatusCode::BAD_REQUEST,
                    "A folder in a snapshot is downloaded as ?download=zip or ?download=tar",
                );
            }
            (None, _) => {}
        }
        match node {
            Node::In(tree, _, Some(record)) if node_is_file(&record) => self.file(head, &tree, &record).await,
            node if path.ends_with('/') => {
                let mut answer = Response::new(page::listing(node, path, &self.readers));
                put(&mut answer, CONTENT_TYPE, "text/html; charset=utf-8");
                answer
            }
            _ => {
                let mut answer = said(StatusCode::MOVED_PERMANENTLY, "A folder ends with a slash.");
                put(&mut answer, LOCATION, &format!("{path}/"));
                answer
            }
        }
    }

    async fn file(&self, head: &Head, tree: &SnapshotTree, record: &Record) -> Answer {
        if let Some(reason) = never_read(record) {
            return said(StatusCode::CONFLICT, &reason);
        }
        let (bytes, tag) = (size_of(record), format!("\"{}\"", etag_of(record)));
        let given = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        let is_known =
            given(IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.split(',').any(|one| one.trim() == tag));
        let is_same = given(IF_RANGE).is_none_or(|one| one == tag);
        let range = given(RANGE).filter(|_| is_same).and_then(|range| s3s::dto::Range::parse(range).ok());
        let mut answer = Response::new(Sent::Whole(None));
        put(&mut answer, ETAG, &tag);
        put(&mut answer, LAST_MODIFIED, &http_date(record.entry.modified.unwrap_or(tree.snapshot().snapshot.finished)));
        put(&mut answer, ACCEPT_RANGES, "bytes");
        put(
            &mut answer,
            CONTENT_TYPE,
            text_of(&record.entry, "http.content-type").filter(|kind| is_printable(kind)).unwrap_or(ANY_TYPE),
        );
        let range = match range.map(|range| range.check(bytes)) {
            _ if is_known => {
                *answer.status_mut() = StatusCode::NOT_MODIFIED;
                return answer;
            }
            None => 0..bytes,
            Some(Ok(range)) => {
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                let last = range.end.saturating_sub(1);
                put(&mut answer, CONTENT_RANGE, &format!("bytes {}-{last}/{bytes}", range.start));
                range
            }
            Some(Err(_)) => {
                *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                put(&mut answer, CONTENT_RANGE, &format!("bytes */{bytes}"));
                return answer;
            }
        };
        put(&mut answer, CONTENT_LENGTH, &range.end.saturating_sub(range.start).to_string());
        if head.method == "HEAD" {
            return answer;
        }
        match self.readers.body(tree, record, range).await {
            Ok(body) => answer.map(|_| Sent::Content(body)),
            Err(cause) => said(StatusCode::INTERNAL_SERVER_ERROR, &cause.to_string()),
        }
    }

    /// All of a folder as one archive, which is visibly broken where something of it is lost.
    fn archive(&self, tree: &SnapshotTree, prefix: &[u8], format: ArchiveFormat) -> Answer {
        let Ok(turn) = Arc::clone(&self.archives).try_acquire_owned() else {
            return said(StatusCode::SERVICE_UNAVAILABLE, "As many archives as may be are written already; try again.");
        };
        let (end, kind) = match format {
            ArchiveFormat::Zip => ("zip", "application/zip"),
            ArchiveFormat::Tar => ("tar", "application/x-tar"),
        };
        let chosen = [Chosen { snapshot: tree.snapshot().clone(), parts: Parts::under(Key::new(prefix)) }];
        let (view, readers) = (tree.view().clone(), self.readers.clone());
        let lacking = Arc::new(Lacking::default());
        let context = RunContext { stop: self.stop.child(), events: Arc::clone(&lacking) as _ };
        let (mut pen, sent) = written();
        tokio::spawn(async move {
            match (archive::write(&view, &chosen, format, &mut pen, &context).await, lacking.first()) {
                (Ok(_), None) => pen.end().await,
                // What lacks entries is not to pass for the whole.
                (Ok(_), Some(lacks)) => readers.told(&lacks),
                // Whoever asked is gone, or the server ends.
                (Err(EngineError::Output { .. } | EngineError::Cancelled), _) => {}
                (Err(cause), _) => readers.tell(&cause),
            }
            drop(turn);
        });
        let mut answer = Response::new(Sent::Written(sent));
        put(&mut answer, CONTENT_TYPE, kind);
        put(&mut answer, CONTENT_DISPOSITION, &format!("attachment; filename=\"snapshot.{end}\""));
        answer
    }
}

/// Hears which entry an archive lacks first.
#[derive(Default)]
struct Lacking(Mutex<Option<(Key, String)>>);

impl Listener for Lacking {
    fn on(&self, event: Event) {
        if let Event::EntryFailed { key, reason } = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((key, reason));
        }
    }
}

impl Lacking {
    fn first(&self) -> Option<Error> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map(|(key, reason)| Error::Lacks { key: key.to_string(), reason })
    }
}

fn node_is_file(record: &Record) -> bool {
    record.entry.kind != EntryKind::Directory
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Host => said(StatusCode::MISDIRECTED_REQUEST, "This server has another name."),
        Refusal::Link => said(StatusCode::FORBIDDEN, "This link has ended, or leads elsewhere."),
        Refusal::Unknown => {
            let mut answer = said(StatusCode::UNAUTHORIZED, "The terminal that serves this says who is let in.");
            put(&mut answer, WWW_AUTHENTICATE, "Basic realm=\"credenza\", charset=\"UTF-8\"");
            answer
        }
    }
}

/// An answer that is a sentence.
fn said(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Sent::text(format!("{text}\n")));
    *answer.status_mut() = status;
    put(&mut answer, CONTENT_TYPE, "text/plain; charset=utf-8");
    answer
}

/// Sets a header. What no header can hold is left out.
fn put(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
