//! The fields of a manifest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Auth, HeaderRule, ManifestError, Verb, manifest_text};

/// What a connector can be used as. `Prune` and `Replay` are grants, not exports: the right of a store to delete, and that of a
/// destination to lay delete markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Backed up.
    Source,
    /// Holds a repository.
    Store,
    /// Deletes from a repository.
    Prune,
    /// Restored to.
    Destination,
    /// Lays the delete markers of a history that is restored.
    Replay,
}

/// Roles that are granted beside others and not exported.
const GRANTS: [Role; 2] = [Role::Prune, Role::Replay];

impl Role {
    /// Whether it is a right beside a role instead of a role.
    #[must_use]
    pub fn is_grant(self) -> bool {
        GRANTS.contains(&self)
    }

    /// The word in manifests and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Store => "store",
            Self::Prune => "prune",
            Self::Destination => "destination",
            Self::Replay => "replay",
        }
    }
}

/// The manifest of a connector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name: lower-case letters, digits and `-`.
    pub name: String,
    /// Version of the connector.
    pub version: String,
    /// One line for a person.
    #[serde(default)]
    pub summary: String,
    /// SPDX expression.
    #[serde(default)]
    pub licence: String,
    /// The version of the contract it was built for, such as `0.1`.
    pub api: String,
    /// What it exports.
    pub roles: Vec<Role>,
    /// Schemes of locations that it serves, such as `s3`.
    #[serde(default)]
    pub schemes: Vec<String>,
    /// What the parts of a location `scheme://a/b/c` mean, in order: names of settings. A name that ends in `?` is taken only
    /// by a part that looks like a host, one that ends in `*` takes the rest and may be empty.
    #[serde(default)]
    pub location: Vec<String>,
    /// Settings by name.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingSpec>,
    /// Secrets by name; their values never enter the component.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSpec>,
    /// What it may reach, by label.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Sets of settings by name, such as what one provider needs.
    #[serde(default)]
    pub presets: BTreeMap<String, BTreeMap<String, String>>,
    /// Which WASI it is given beside the contract; none, where it does not say.
    pub wasi: Option<Wasi>,
    /// Narrower limits than the host's.
    #[serde(default)]
    pub limits: Limits,
}

/// A WASI that a connector may have whose toolchain insists on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wasi {
    /// One that reaches nothing: no arguments, no environment, no folder, no socket; the clock and random bytes are the host's, and what it
    /// prints goes to its log.
    Inert,
}

/// One setting.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingSpec {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: SettingKind,
    /// One sentence for a person.
    #[serde(default)]
    pub help: String,
    /// The value when none is given; may name other settings, as in `s3.{region}.example.com`.
    pub default: Option<String>,
    /// Whether a value must be given.
    #[serde(default)]
    pub required: bool,
    /// The values of an `enum`.
    #[serde(default)]
    pub values: Vec<String>,
    /// Least number, size in bytes, or duration in milliseconds.
    pub min: Option<i64>,
    /// Greatest number, size in bytes, or duration in milliseconds.
    pub max: Option<i64>,
    /// For help texts.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Hidden in short help and forms.
    #[serde(default)]
    pub advanced: bool,
    /// The connector gets it, and nobody else is shown it.
    #[serde(default)]
    pub sensitive: bool,
    /// Finds the value in that of another setting, when none is given.
    pub derive: Option<Derive>,
    /// Takes the value from the surroundings, when none is given or found.
    pub ambient: Option<Ambient>,
}

/// What the machine may say of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ambient {
    /// The region that the tools of AWS would use: of the environment, else of the profile.
    AwsRegion,
    /// The server that the tools of AWS would use: of the environment, else of the profile. Whether it speaks TLS decides `use_tls` too, unless that is written.
    AwsEndpoint,
}

/// How a setting follows from another: `s3.{}.example.com` against its text, where `{}` is one part without a dot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derive {
    /// The other setting.
    pub from: String,
    /// Patterns with one `{}` each; the first that fits counts.
    pub patterns: Vec<String>,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One of `values`.
    Enum,
    /// An `http` or `https` address.
    Url,
    /// Such as `500ms`, `30s`, `5m`, `2h`, `1d`; the connector gets milliseconds.
    Duration,
    /// Such as `512`, `64KiB`, `8MB`; the connector gets bytes.
    Size,
    /// Texts separated by commas.
    List,
}

/// One secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// One sentence for a person.
    #[serde(default)]
    pub help: String,
    /// Environment variables that may hold it, first first. Settings may hold it too, or say by `NAME_file` and `NAME_cmd` where it is.
    #[serde(default)]
    pub env: Vec<String>,
}

/// Something that a connector may reach. Templates name settings as `{bucket}`; `{scheme}` is `https`, or `http` with `use_tls=false`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Template of scheme, host and port.
    pub url: String,
    /// Template of the path below which every request stays; empty or begins with `/`.
    #[serde(default)]
    pub path: String,
    /// Other templates under a condition; the first that holds counts.
    #[serde(default)]
    pub variants: Vec<EndpointVariant>,
    /// How requests are authenticated.
    #[serde(default)]
    pub auth: Auth,
    /// What its paths are.
    #[serde(default)]
    pub paths: Paths,
    /// Template of the folder, below the path, in which everything that is asked for lies; empty is the path itself.
    #[serde(default)]
    pub below: String,
    /// Query parameter of requests for the endpoint itself that must begin with that folder, where their verb takes it: a listing's prefix.
    pub below_parameter: Option<String>,
    /// What each role may ask.
    #[serde(default)]
    pub allow: BTreeMap<Role, Vec<Verb>>,
    /// The headers that each role may send, beside those of HTTP itself.
    #[serde(default)]
    pub headers: BTreeMap<Role, Vec<HeaderRule>>,
}

impl Endpoint {
    /// The templates of its addresses and paths, those of its variants behind its own.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.variants.iter().filter_map(EndpointVariant::address);
        std::iter::once((self.url.as_str(), self.path.as_str())).chain(others)
    }

    /// How its requests may be authenticated, as its variants say behind its own.
    pub fn auths(&self) -> impl Iterator<Item = &Auth> {
        std::iter::once(&self.auth).chain(self.variants.iter().filter_map(|variant| variant.auth.as_ref()))
    }
}

/// What the paths of an endpoint are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paths {
    /// Ways through folders: `.` and `..` would climb out, and are refused.
    #[default]
    Folders,
    /// Names of objects, byte by byte, as those of object stores: `..` in them is data.
    Opaque,
    /// Each the name of one object in one segment, in which `/` is written `%2F`. `.` and `..` are refused, because what is on the way resolves them.
    Names,
}

/// What holds instead when settings have certain values: another address, another authentication, or both. Of each, the first counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointVariant {
    /// Settings and the values that they must have.
    #[serde(deserialize_with = "conditions")]
    pub when: BTreeMap<String, String>,
    /// Template of scheme, host and port.
    pub url: Option<String>,
    /// Template of the path; it goes with `url`, and is empty without.
    pub path: Option<String>,
    /// How requests are authenticated.
    pub auth: Option<Auth>,
}

impl EndpointVariant {
    /// Its templates of address and path, if it has others than the endpoint.
    #[must_use]
    pub fn address(&self) -> Option<(&str, &str)> {
        Some((self.url.as_deref()?, self.path.as_deref().unwrap_or_default()))
    }
}

/// Values as settings have them: `true` and `"true"` are one.
fn conditions<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text, a whole number, true or false")]
    enum Plain {
        Text(String),
        Number(i64),
        Boolean(bool),
    }
    let plain = BTreeMap::<String, Plain>::deserialize(deserializer)?;
    let text = |value| match value {
        Plain::Text(text) => text,
        Plain::Number(number) => number.to_string(),
        Plain::Boolean(yes) => yes.to_string(),
    };
    Ok(plain.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Limits that the connector sets itself; they only narrow those of the host.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory_bytes_max: Option<usize>,
    /// Time of its own code in one call, in milliseconds.
    pub call_cpu_ms_max: Option<u64>,
}

/// What stands behind the name of a secret in a setting that names a file which holds it.
pub const SECRET_FILE: &str = "_file";
/// What stands behind the name of a secret in a setting that is a command which prints it.
pub const SECRET_COMMAND: &str = "_cmd";
pub(super) const SECRET_SOURCES: [&str; 2] = [SECRET_FILE, SECRET_COMMAND];

/// Names that the host keeps for itself, valid for every connector.
pub(crate) const HOST_SETTINGS: [&str; 7] =
    ["location", "connector", "preset", "use_tls", "tls_insecure_no_verify", "ca_file", "proxy"];

impl Manifest {
    /// Reads and checks the manifest in the bytes of a component; nothing is compiled.
    ///
    /// # Errors
    /// [`ManifestError`] names the field and what is allowed.
    pub fn of_component(component: &[u8]) -> Result<Self, ManifestError> {
        Self::parse(manifest_text(component)?)
    }

    /// Reads and checks the text of a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] names the field and what is allowed.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self =
            toml::from_str(text).map_err(|e| ManifestError::Syntax { cause: e.to_string().trim_end().to_owned() })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The setting that names a profile of AWS, where an endpoint has one.
    #[must_use]
    pub fn profile_setting(&self) -> Option<&str> {
        self.endpoints.values().flat_map(Endpoint::auths).find_map(Auth::profile_setting)
    }

    /// Whether a setting says where one of its secrets is: `NAME_file` or `NAME_cmd`.
    #[must_use]
    pub fn is_secret_source(&self, setting: &str) -> bool {
        let secret = SECRET_SOURCES.iter().find_map(|source| setting.strip_suffix(source));
        secret.is_some_and(|secret| self.secrets.contains_key(secret))
    }
}
