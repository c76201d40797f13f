//! The endpoint of the manifest below which every request stays.

use credenza_sdk::http::Request;

pub(crate) use credenza_sdk::wire::{Answer, Headers, Wire};

/// As `connector.toml` names it.
pub(crate) const ENDPOINT: &str = "container";
/// The version of the protocol that requests are written in
/// (<https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services>): the first one with immutable versions and
/// with names in listings that XML cannot hold.
const VERSION: &str = "2021-12-02";

/// A request below the container: `target` is empty or begins with `/` or `?`.
pub(crate) fn request(method: &str, target: impl Into<String>) -> Request {
    Request::new(method, ENDPOINT, target).with_header("x-ms-version", VERSION)
}
