//! A wire for tests: it gives answers in order, and remembers what was asked. The answers are made up, or were recorded ([`Tape::parse`]).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Answer, Headers, Wire};
use crate::http::Request;
use crate::{Error, ErrorClass, Result};

/// The time on every tape, in seconds since 1970: 2024-01-01T00:00:05Z.
const NOW_SECONDS: i64 = 1_704_067_205;

/// An answer to give.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Method, endpoint and target of the request that it was given to, where it was recorded.
    given_to: Option<String>,
}

impl Reply {
    /// One with that status, without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), given_to: None }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with that body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }
}

/// A text that is no tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeError {
    /// The line, from 1.
    pub line: usize,
    why: &'static str,
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the tape: {}", self.line, self.why)
    }
}

impl std::error::Error for TapeError {}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET` and the like.
    pub method: String,
    /// Label of the endpoint.
    pub endpoint: String,
    /// Path and query below the endpoint.
    pub target: String,
    /// As the connector wrote them.
    pub headers: Vec<(String, String)>,
    /// What was sent; bytes that are no text are replaced.
    pub body: String,
}

impl Asked {
    /// The first value of a header of exactly that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Method and target.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// A wire with answers to give. Clones are one tape.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    replies: Rc<RefCell<VecDeque<Reply>>>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Tape {
    /// One that gives these answers, one a request. A request beyond them fails as `internal` with the reason `tape.end`.
    #[must_use]
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { replies: Rc::new(RefCell::new(replies.into_iter().collect())), asked: Rc::default() }
    }

    /// A tape that `credenza connector record` made. It gives the answers of the service, and only to the requests that it was asked then, in that order:
    /// another one fails as `internal` with the reason `tape.other`.
    ///
    /// A line begins with `>` and a request's method, endpoint and target, with `<` and an answer's status, with `:` and a header, with `|` and a line of the
    /// body, or with `=` and a piece of the body in base64. Lines that begin with `#` and empty ones are for people.
    ///
    /// # Errors
    /// [`TapeError`] names the line.
    pub fn parse(text: &str) -> std::result::Result<Self, TapeError> {
        let mut replies: Vec<Reply> = Vec::new();
        let mut given_to: Option<String> = None;
        let mut is_first_line = true;
        for (line, number) in text.lines().zip(1..) {
            let wrong = |why| TapeError { line: number, why };
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            // What was sent is for people; the connector under test writes its own.
            let reply = replies.last_mut().filter(|_| given_to.is_none());
            match kind {
                "" | "#" => {}
                ">" => given_to = Some(rest.to_owned()),
                "<" => {
                    let status = rest.trim().parse().map_err(|_| wrong("an answer begins with its status"))?;
                    let to = given_to.take().ok_or_else(|| wrong("an answer has a request before it"))?;
                    replies.push(Reply { given_to: Some(to), ..Reply::new(status) });
                    is_first_line = true;
                }
                ":" => {
                    let (name, value) = rest.split_once(':').ok_or_else(|| wrong("a header has a name and a value"))?;
                    reply.into_iter().for_each(|reply| reply.headers.push((name.to_owned(), value.trim().to_owned())));
                }
                "|" => reply.into_iter().for_each(|reply| {
                    let end: &[u8] = if std::mem::take(&mut is_first_line) { b"" } else { b"\n" };
                    reply.body.extend_from_slice(&[end, rest.as_bytes()].concat());
                }),
                "=" => {
                    let piece = STANDARD.decode(rest.trim()).map_err(|_| wrong("it is no base64"))?;
                    reply.into_iter().for_each(|reply| reply.body.extend_from_slice(&piece));
                }
                _ => return Err(wrong("it begins with none of > < : | = #")),
            }
        }
        Ok(Self::new(replies))
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// The same, method and target alone.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.asked.borrow().iter().map(Asked::line).collect()
    }

    /// Answers that nobody has asked for yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.replies.borrow().len()
    }
}

impl Wire for Tape {
    type Body = Vec<u8>;

    fn send(&self, request: Request, body: Option<Vec<u8>>) -> Result<Answer<Vec<u8>>> {
        let Request { method, endpoint, target, headers } = request;
        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        let asked = Asked { method, endpoint, target, headers, body };
        let line = asked.line();
        let whole = format!("{} {} {}", asked.method, asked.endpoint, asked.target);
        self.asked.borrow_mut().push(asked);
        let reply = self.replies.borrow_mut().pop_front();
        let Reply { status, headers, body, given_to } = reply.ok_or_else(|| {
            Error::new(ErrorClass::Internal, "tape.end", format!("the tape has no answer for {line}"))
        })?;
        if let Some(recorded) = given_to.filter(|recorded| *recorded != whole) {
            let message = format!("the tape answers `{recorded}`, and `{whole}` was asked");
            return Err(Error::new(ErrorClass::Internal, "tape.other", message));
        }
        Ok(Answer { status, headers: Headers(headers), body })
    }

    fn body_of(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn read_up_to(&self, body: &Vec<u8>, bytes_max: usize) -> Result<(Vec<u8>, bool)> {
        Ok((body.iter().copied().take(bytes_max).collect(), body.len() <= bytes_max))
    }

    fn length(&self, body: &Vec<u8>) -> Option<u64> {
        Some(body.len() as u64)
    }

    fn now_seconds(&self) -> i64 {
        NOW_SECONDS
    }

    fn unique_word(&self) -> String {
        "word".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "# made by hand\n> PUT files /a\n: depth: 1\n| sent\n< 207\n: etag: \"a: b\"\n| <a>\n|\n| </a>\n| \n\n> GET files /b\n< 200\n= AAE=\n= Ag==\n";

    #[test]
    fn a_recorded_answer_is_given_as_it_came() {
        let tape = Tape::parse(RECORDED).unwrap();
        let first = tape.send(Request::new("PUT", "files", "/a"), None).unwrap();
        assert_eq!((first.status, first.headers.get("etag")), (207, Some("\"a: b\"")));
        assert_eq!(first.body, b"<a>\n\n</a>\n");
        assert_eq!(tape.send(Request::new("GET", "files", "/b"), None).unwrap().body, [0, 1, 2]);
        assert_eq!(tape.left(), 0);
    }

    #[test]
    fn a_recorded_answer_is_given_to_no_other_request() {
        for other in
            [Request::new("PUT", "files", "/b"), Request::new("GET", "files", "/a"), Request::new("PUT", "api", "/a")]
        {
            let refused = Tape::parse(RECORDED).unwrap().send(other, None).unwrap_err();
            assert_eq!((refused.class, refused.reason.as_str()), (ErrorClass::Internal, "tape.other"));
            assert!(refused.message.contains("PUT files /a"), "{}", refused.message);
        }
    }

    #[test]
    fn what_is_no_tape_is_told_with_its_line() {
        for (text, line) in [
            ("> GET f /\nhello", 2),
            ("< 200", 1),
            ("> GET f /\n< OK", 2),
            ("> GET f /\n< 200\n: etag", 3),
            ("> GET f /\n< 200\n= ?", 3),
            ("> GET f /\n< 200\n< 200", 3),
        ] {
            assert_eq!(Tape::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
