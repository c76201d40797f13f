//! From what a user wrote to what a connector gets: locations, typed values, defaults, secrets.
//!
//! Owned here: the rules for values and the type [`SecretText`]. Refused here: files and the environment, which the
//! caller reads ([`Surroundings`]). Called by `connector` and by the command line, which shows the errors.

mod endpoint;
mod location;
mod proxy;
mod resolve;
mod secret;
mod surroundings;
mod value;

pub use endpoint::AwsEndpoint;
pub use proxy::ProxySettings;
pub use resolve::{HostSettings, Settings, SettingsError};
pub use secret::{SecretText, deceives};
pub use surroundings::{
    CredentialSource, CredentialsNotFound, FoundCredentials, Reserved, Surroundings, TokenKeeper, TokenNotKept,
};
pub use value::{BOOLEANS, InvalidValue, Value, parse_boolean};

pub(crate) use proxy::{Named, ProxyChoice};
pub(crate) use secret::Masker;

/// Settings and secrets by name, as they stand in the configuration file or on the command line. Which of them are secret only a manifest
/// says, so that each is held as if it were.
pub type RawSettings = std::collections::BTreeMap<String, SecretText>;

#[cfg(test)]
pub(crate) use resolve::tests::S3 as S3_MANIFEST;
