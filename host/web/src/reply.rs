//! What is sent back: a status, headers and a body that is a text or a stream.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// The type of a stream of events.
pub(crate) const EVENTS: &str = "text/event-stream";

/// Why a stream ends before its end.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;
/// A text, or a stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;
/// What is sent back.
pub(crate) type Reply = http::Response<Body>;

/// A text of some type.
pub(crate) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Reply {
    let mut reply = Reply::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// A page of HTML.
pub(crate) fn page(status: StatusCode, html: String) -> Reply {
    text(status, "text/html; charset=utf-8", html)
}

/// Asks for another page with GET. The path is made here of names and ids, which are plain.
pub(crate) fn see(path: &str) -> Reply {
    let mut reply = text(StatusCode::SEE_OTHER, "text/plain", "");
    if let Ok(path) = HeaderValue::from_str(path) {
        reply.headers_mut().insert(LOCATION, path);
    }
    reply
}
