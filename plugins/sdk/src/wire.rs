//! The way to the remote as a trait: what a connector is written against so that it also runs natively, over recorded answers ([`Tape`]).
//!
//! Owned here: the trait, the wire of the sandbox ([`Host`]), and the one of tests. Refused here: what requests mean.
//!
//! ```
//! use credenza_sdk::Result;
//! use credenza_sdk::http::Request;
//! use credenza_sdk::wire::{Reply, Tape, Wire};
//!
//! fn is_there<W: Wire>(wire: &W, name: &str) -> Result<bool> {
//!     Ok(wire.send(Request::new("HEAD", "files", format!("/{name}")), None)?.is_success())
//! }
//!
//! let tape = Tape::new([Reply::new(200), Reply::new(404)]);
//! assert!(is_there(&tape, "a").unwrap());
//! assert!(!is_there(&tape, "b").unwrap());
//! assert_eq!(tape.lines(), ["HEAD /a", "HEAD /b"]);
//! ```

mod tape;

pub use tape::{Asked, Reply, Tape, TapeError};

use crate::http::{self, Request};
use crate::{Body, Result, task};

/// Random bytes of a word that nobody else chooses.
const WORD_BYTES: u32 = 16;

/// Sends requests and looks into bodies.
pub trait Wire: Clone + 'static {
    /// Bytes that the host holds.
    type Body: 'static;

    /// Sends a request; any status is an answer.
    ///
    /// # Errors
    /// As [`http::send`].
    fn send(&self, request: Request, body: Option<Self::Body>) -> Result<Answer<Self::Body>>;

    /// A body of these bytes.
    fn body_of(&self, bytes: Vec<u8>) -> Self::Body;

    /// The first `bytes_max` bytes of a body or fewer, and whether that is all.
    ///
    /// # Errors
    /// `transient` when the body broke off.
    fn read_up_to(&self, body: &Self::Body, bytes_max: usize) -> Result<(Vec<u8>, bool)>;

    /// Length of a body, when the remote said.
    fn length(&self, body: &Self::Body) -> Option<u64>;

    /// The time, in seconds since 1970.
    fn now_seconds(&self) -> i64;

    /// A word of letters and digits that nobody else chooses, for a name of what is on its way.
    fn unique_word(&self) -> String;
}

/// The head of an answer and its body.
#[derive(Debug)]
pub struct Answer<B> {
    /// Status of HTTP.
    pub status: u16,
    /// Names and values.
    pub headers: Headers,
    /// The body, of which nothing was read yet.
    pub body: B,
}

impl<B> Answer<B> {
    /// Whether the status is one of success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it is a page of somebody on the way, such as a login, whatever its status. An object of a repository is none, and has a tag.
    #[must_use]
    pub fn is_page(&self) -> bool {
        let kind = self.headers.get("content-type").unwrap_or_default();
        let is_page = ["text/html", "application/xml"].iter().any(|page| kind.starts_with(page));
        is_page && self.headers.get("etag").is_none()
    }
}

/// The headers of an answer, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of that name, in any case, without space around it; an empty value counts as none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of that name as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// The wire of the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Wire for Host {
    type Body = Body;

    fn send(&self, request: Request, body: Option<Body>) -> Result<Answer<Body>> {
        let response = http::send(&request, body)?;
        let (status, headers) = (response.status(), Headers(response.headers()));
        Ok(Answer { status, headers, body: http::Response::into_body(response) })
    }

    fn body_of(&self, bytes: Vec<u8>) -> Body {
        Body::from_bytes(&bytes)
    }

    fn read_up_to(&self, body: &Body, bytes_max: usize) -> Result<(Vec<u8>, bool)> {
        body.read_up_to(bytes_max)
    }

    fn length(&self, body: &Body) -> Option<u64> {
        body.length()
    }

    fn now_seconds(&self) -> i64 {
        i64::try_from(task::now_ms() / 1000).unwrap_or(i64::MAX)
    }

    fn unique_word(&self) -> String {
        task::random(WORD_BYTES).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_from_an_object_by_its_type_and_by_having_no_tag() {
        let answer = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Answer { status: 200, headers: Headers(headers.collect()), body: () }
        };
        assert!(answer(&[("content-type", "text/html; charset=utf-8")]).is_page());
        assert!(!answer(&[("content-type", "text/html"), ("etag", "\"e\"")]).is_page());
        assert!(!answer(&[("content-type", "application/octet-stream")]).is_page() && !answer(&[]).is_page());
    }

    #[test]
    fn a_header_is_found_in_any_case_and_an_empty_one_is_none() {
        let headers = Headers(vec![("X-Size".to_owned(), " 7 ".to_owned()), ("x-none".to_owned(), " ".to_owned())]);
        assert_eq!((headers.get("x-size"), headers.number("X-SIZE")), (Some("7"), Some(7)));
        assert_eq!((headers.get("x-none"), headers.get("x-other")), (None, None));
    }
}
