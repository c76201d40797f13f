//! The endpoint of the manifest below which every request stays.

use credenza_sdk::http::Request;

pub use credenza_sdk::wire::{Answer, Headers, Wire};

/// As `connector.toml` names it.
pub(crate) const ENDPOINT: &str = "bucket";

/// A request below the bucket: `target` is empty or begins with `/` or `?`.
pub(crate) fn request(method: &str, target: impl Into<String>) -> Request {
    Request::new(method, ENDPOINT, target)
}
