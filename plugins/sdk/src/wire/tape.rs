//! A wire for tests: it gives answers in order, and remembers what was asked.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

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
}

impl Reply {
    /// One with that status, without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
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
        self.asked.borrow_mut().push(asked);
        let reply = self.replies.borrow_mut().pop_front();
        let Reply { status, headers, body } = reply.ok_or_else(|| {
            Error::new(ErrorClass::Internal, "tape.end", format!("the tape has no answer for {line}"))
        })?;
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
