//! Requests. A connector names an endpoint of its manifest and a path below it; the host resolves, checks, signs and sends.

use crate::bindings::credenza::host::http as host;
use crate::{Body, Error, ErrorClass, Result};

pub use crate::bindings::credenza::host::http::{FailureKind, Request, Response};

impl Request {
    /// A request to an endpoint of the manifest. `path_and_query` is percent-encoded by the connector, is sent as it is below the
    /// endpoint's own path, and is empty or begins with `/` or `?`.
    #[must_use]
    pub fn new(method: &str, endpoint: &str, path_and_query: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            endpoint: endpoint.to_owned(),
            target: path_and_query.into(),
            headers: Vec::new(),
        }
    }

    /// The same, with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Sends a request and waits for the head of its answer, whatever the status.
///
/// # Errors
/// `denied` when the host refused to send it, `transient` when no answer came or it broke off.
pub fn send(request: &Request, body: Option<Body>) -> Result<Response> {
    host::send(request, body).map_err(|failure| {
        let class = match failure.kind {
            FailureKind::Refused => ErrorClass::Denied,
            FailureKind::Unreachable | FailureKind::Interrupted => ErrorClass::Transient,
        };
        Error::new(class, failure.reason, failure.message)
    })
}
