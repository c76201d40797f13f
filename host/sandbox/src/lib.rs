//! The only crate that knows WebAssembly: it loads connectors, verifies them, grants them their endpoints, holds them to their
//! limits, and offers them to the engine behind the traits of `connect`.
//!
//! Owned here: the manifest and its settings, the way out (`egress`: connections, policy, signatures), the runtime and its limits, and
//! the translation between `wit/` and `connect`. Refused here: files and the environment (the caller hands over bytes and
//! what the machine offers), retries and rate limits (`connect`), and every decision about backups. Called by `app`.
//!
//! The way of a call: `connector` configures, `adapt` is what the engine holds, `guest` runs one instance, `egress` sends.

mod adapt;
mod connector;
mod egress;
mod guest;
mod manifest;
mod runtime;
mod settings;
mod ticker;
mod verify;

pub use connector::{ConfigureError, Configured, Connector, Sandbox, SandboxOptions};
pub use egress::{
    ArtifactNotes, DeviceCode, DeviceLogin, DownloadError, Egress, EgressError, ExchangeError, Granted, GuestRequest,
    ImageReference, InvalidLogin, InvalidReference, Letter, LoginError, LookupClient, MailError, MailServer, MailTls,
    MessageAddress, MessageError, OCI, Permit, Recorder, RegistryError, RegistryLogin, Response, Traffic, download,
    fetch_artifact, is_this_machine, message_proof, parse_mail_address, post, publish_artifact, send_mail,
};
pub use guest::{IsStopped, LogListener};
pub use manifest::{
    API_VERSION, Ambient, Auth, Derive, Digests, Endpoint, EndpointVariant, Grant, GrantLine, GrantTopic, HeaderRule,
    HeaderRuleError, Limits, MANIFEST_BYTES_MAX, Manifest, ManifestError, Oauth2, OauthGrant, Paths, Role,
    SECRET_COMMAND, SECRET_FILE, SecretSpec, SettingKind, SettingSpec, Verb, VerbError, Wasi,
};
pub use runtime::{CacheError, RuntimeError};
pub use settings::{
    AwsEndpoint, BOOLEANS, CredentialSource, CredentialsNotFound, FoundCredentials, HostSettings, InvalidValue,
    ProxySettings, RawSettings, Reserved, SecretText, Settings, SettingsError, Surroundings, TokenKeeper, TokenNotKept,
    Value, deceives, parse_boolean,
};
pub use verify::{Anatomy, LoadError, verify};
