//! Why a manifest cannot be used.

use super::API_VERSION;

/// Longest manifest.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

/// A component whose manifest cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are something else.
    #[error("this is not a WebAssembly component: {cause}")]
    NotAComponent {
        /// What the parser says.
        cause: String,
    },
    /// No section of that name.
    #[error(
        "this component has no manifest (custom section `credenza:manifest`), so it is not a credenza connector; `credenza connector build` adds it"
    )]
    Missing,
    /// Two sections of that name.
    #[error("this component has more than one manifest; build it again")]
    Repeated,
    /// Longer than [`MANIFEST_BYTES_MAX`].
    #[error("the manifest is {bytes} bytes long; at most {MANIFEST_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not TOML, or a field that does not exist or has the wrong type; the cause names field and line.
    #[error("the manifest cannot be read: {cause}")]
    Syntax {
        /// What the parser says.
        cause: String,
    },
    /// A field breaks a rule.
    #[error("the manifest field `{field}` {rule}")]
    Field {
        /// Where, as a dotted path.
        field: String,
        /// What is wrong and what is allowed.
        rule: String,
    },
    /// Built for another version of the contract.
    #[error(
        "connector {name} {version} was built for connector interface {api}, this credenza speaks {API_VERSION}; install a release of the connector for {API_VERSION}, or another credenza"
    )]
    Api {
        /// Name of the connector.
        name: String,
        /// Version of the connector.
        version: String,
        /// The interface it was built for.
        api: String,
    },
}
