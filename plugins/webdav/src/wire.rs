//! The way to the server: what the rest of this crate needs of the host, so that it runs natively against recorded answers.

use credenza_sdk::http::Request;
pub use credenza_sdk::wire::{Answer, Headers};
use credenza_sdk::{Body, Error, ErrorClass, Result, http, task};

/// Bytes looked at in one piece.
const PIECE_BYTES: u32 = 64 * 1024;
/// Random bytes of a name that nobody else chooses.
const NAME_BYTES: u32 = 16;

/// Sends requests and looks into bodies.
pub trait Wire: Clone + 'static {
    /// Bytes that the host holds.
    type Body: 'static;

    /// Sends a request; any status is an answer.
    fn send(&self, request: Request, body: Option<Self::Body>) -> Result<Answer<Self::Body>>;

    /// A body of these bytes.
    fn body_of(&self, bytes: Vec<u8>) -> Self::Body;

    /// The next bytes of a body; none is its end.
    fn read(&self, body: &Self::Body) -> Result<Vec<u8>>;

    /// The same bytes once more, of a body that was handed in.
    fn again(&self, body: &Self::Body) -> Result<Self::Body>;

    /// Length of a body, when the remote said.
    fn length(&self, body: &Self::Body) -> Option<u64>;

    /// The time, in seconds since 1970.
    fn now_seconds(&self) -> i64;

    /// A word that nobody else chooses, of letters and digits.
    fn unique_word(&self) -> String;
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

    fn read(&self, body: &Body) -> Result<Vec<u8>> {
        body.read(PIECE_BYTES).map_err(|e| Error::new(ErrorClass::Transient, e.reason, e.message))
    }

    fn again(&self, body: &Body) -> Result<Body> {
        let length = body.length().unwrap_or(0);
        body.slice(0, length).map_err(|e| Error::new(ErrorClass::Internal, e.reason, e.message))
    }

    fn length(&self, body: &Body) -> Option<u64> {
        body.length()
    }

    fn now_seconds(&self) -> i64 {
        i64::try_from(task::now_ms() / 1000).unwrap_or(i64::MAX)
    }

    fn unique_word(&self) -> String {
        task::random(NAME_BYTES).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
