//! The way to the bucket: what the rest of this crate needs of the host, so that it runs natively against recorded answers.

use credenza_sdk::http::Request;
use credenza_sdk::{Body, Result, http, task};

/// The endpoint of the manifest below which every request stays.
const ENDPOINT: &str = "bucket";

/// Sends requests and looks into bodies.
pub trait Wire: Clone + 'static {
    /// Bytes that the host holds.
    type Body: 'static;

    /// Sends a request; any status is an answer.
    fn send(&self, request: Request, body: Option<Self::Body>) -> Result<Answer<Self::Body>>;

    /// A body of these bytes.
    fn body_of(&self, bytes: Vec<u8>) -> Self::Body;

    /// The first `bytes_max` bytes of a body or fewer, and whether that is all.
    fn read_up_to(&self, body: &Self::Body, bytes_max: usize) -> Result<(Vec<u8>, bool)>;

    /// Length of a body, when the remote said.
    fn length(&self, body: &Self::Body) -> Option<u64>;

    /// The time, in seconds since 1970.
    fn now_seconds(&self) -> i64;
}

/// The head of an answer and its body.
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
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The headers of an answer, names in lower case.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of that name, without space around it; an empty value counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim())?;
        (!value.is_empty()).then_some(value)
    }

    /// The value of that name as a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// A request below the bucket: `target` is empty or begins with `/` or `?`.
pub(crate) fn request(method: &str, target: impl Into<String>) -> Request {
    Request::new(method, ENDPOINT, target)
}

/// The wire of the sandbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host;

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
}
