//! The endpoints of the manifest, below which every request stays.

use credenza_sdk::http::Request;

pub use credenza_sdk::wire::{Answer, Headers, Host, Wire};

/// Something of the service, as `connector.toml` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Objects, by name, and their listing.
    Objects,
    /// What is configured for the bucket.
    Bucket,
    /// Who may do what with it.
    Policy,
    /// Where objects are sent.
    Upload,
}

impl Endpoint {
    const fn label(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Bucket => "bucket",
            Self::Policy => "policy",
            Self::Upload => "upload",
        }
    }

    /// A request there: `target` is empty or begins with `/` or `?`.
    pub(crate) fn request(self, method: &str, target: impl Into<String>) -> Request {
        Request::new(method, self.label(), target)
    }
}
