//! What a connector says of itself before any of its code runs: the manifest in the custom section `credenza:manifest`.
//!
//! Owned here: finding the section, its schema, the meaning of verbs. Refused here: values that a user gives
//! (`settings`) and anything that compiles or runs a component. Called by `connector` and, for `connector inspect`, by the command line.

mod allow;
mod auth;
mod check;
mod error;
mod grant;
mod header;
mod query;
mod schema;
mod section;
mod template;

pub(crate) use allow::{Document, When};
pub use allow::{Verb, VerbError};
pub use auth::{Auth, Oauth2, OauthGrant};
pub use error::{MANIFEST_BYTES_MAX, ManifestError};
pub use grant::{Grant, GrantLine, GrantTopic};
pub(crate) use header::Reach;
pub use header::{HeaderRule, HeaderRuleError};
pub(crate) use query::{Query, is_unreserved};
pub use schema::{
    Ambient, Derive, Endpoint, EndpointVariant, Limits, Manifest, Paths, Role, SECRET_COMMAND, SECRET_FILE, SecretSpec,
    SettingKind, SettingSpec, Wasi,
};
pub use section::Digests;
pub(crate) use section::{SECTION_NAME, manifest_text};
pub(crate) use template::{capture, expand, template_names};

pub(crate) use schema::HOST_SETTINGS;

/// The version of the contract in `wit/` that this host speaks.
pub const API_VERSION: &str = "0.1";
