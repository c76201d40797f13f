//! The fields of a manifest and the rules between them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{API_VERSION, Auth, HeaderRule, ManifestError, Verb, When, manifest_text};

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

/// Headers that say how a request is framed, or to whom it goes (RFC 9110 sections 7.2 and 7.6.1).
const FRAMING: [&str; 8] =
    ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// What stands behind the name of a secret in a setting that names a file which holds it.
pub const SECRET_FILE: &str = "_file";
/// What stands behind the name of a secret in a setting that is a command which prints it.
pub const SECRET_COMMAND: &str = "_cmd";
const SECRET_SOURCES: [&str; 2] = [SECRET_FILE, SECRET_COMMAND];

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
        manifest.check_identity()?;
        manifest.check_settings()?;
        manifest.check_location()?;
        manifest.check_endpoints()?;
        manifest.check_presets()?;
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

    fn check_identity(&self) -> Result<(), ManifestError> {
        let plain = |t: &str| {
            !t.is_empty() && t.len() <= 64 && t.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        ensure(plain(&self.name), "name", "must be 1 to 64 lower-case letters, digits or `-`")?;
        let dotted =
            !self.version.is_empty() && self.version.len() <= 64 && self.version.bytes().all(|b| b.is_ascii_graphic());
        ensure(dotted, "version", "must be a version such as `1.2.3`")?;
        if self.api != API_VERSION {
            return Err(ManifestError::Api {
                name: self.name.clone(),
                version: self.version.clone(),
                api: self.api.escape_debug().to_string(),
            });
        }
        ensure(!self.roles.is_empty(), "roles", "must name at least one of source, store, destination")?;
        ensure(
            !self.roles.iter().any(|role| role.is_grant()),
            "roles",
            "may name source, store and destination; `prune` and `replay` are grants under `allow`",
        )?;
        ensure(self.schemes.iter().all(|s| plain(s)), "schemes", "must hold lower-case words such as `s3`")
    }

    fn check_settings(&self) -> Result<(), ManifestError> {
        for name in self.settings.keys().chain(self.secrets.keys()) {
            let field = format!("settings.{name}");
            let plain = !name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            ensure(plain, &field, "must have a name of lower-case letters, digits and `_`")?;
            let reserved = HOST_SETTINGS.contains(&name.as_str()) || name == "scheme";
            ensure(!reserved, &field, "has a name that the host keeps for itself")?;
        }
        let taken =
            |name: &String| SECRET_SOURCES.iter().any(|source| self.settings.contains_key(&format!("{name}{source}")));
        ensure(
            !self.secrets.keys().any(taken),
            "settings",
            "must not end a secret's name with `_file` or `_cmd`, which say where it is",
        )?;
        let both = self.settings.keys().find(|name| self.secrets.contains_key(*name));
        ensure(both.is_none(), "secrets", "must not repeat a name of `settings`")?;
        for (name, spec) in &self.settings {
            let is_enum = spec.kind == SettingKind::Enum;
            ensure(
                is_enum != spec.values.is_empty(),
                &format!("settings.{name}.values"),
                "goes with `type = \"enum\"` and must not be empty",
            )?;
            ensure(
                !(spec.required && spec.default.is_some()),
                &format!("settings.{name}"),
                "cannot be both required and have a default",
            )?;
            self.check_template(&format!("settings.{name}.default"), spec.default.as_deref().unwrap_or(""))?;
            if let Some(derive) = &spec.derive {
                self.check_setting(&format!("settings.{name}.derive.from"), &derive.from)?;
                let one_hole = derive.patterns.iter().all(|p| p.matches("{}").count() == 1);
                ensure(one_hole, &format!("settings.{name}.derive.patterns"), "must each hold `{}` once")?;
            }
        }
        Ok(())
    }

    fn check_location(&self) -> Result<(), ManifestError> {
        for (index, part) in self.location.iter().enumerate() {
            let name = part.trim_end_matches(['?', '*']);
            self.check_setting("location", name)?;
            ensure(
                !part.ends_with('*') || index + 1 == self.location.len(),
                "location",
                "may use `*` only in its last part",
            )?;
            ensure(!part.ends_with('?') || index == 0, "location", "may use `?` only in its first part")?;
        }
        Ok(())
    }

    fn check_endpoints(&self) -> Result<(), ManifestError> {
        for (label, endpoint) in &self.endpoints {
            let field = |name: &str| format!("endpoints.{label}.{name}");
            for variant in &endpoint.variants {
                variant
                    .when
                    .iter()
                    .try_for_each(|(name, value)| self.check_condition(&field("variants.when"), name, value))?;
                let says = variant.url.is_some() || (variant.auth.is_some() && variant.path.is_none());
                ensure(says, &field("variants"), "must each say a `url`, perhaps with a `path`, or an `auth`")?;
            }
            for (url, path) in endpoint.addresses() {
                self.check_address(&field("url"), url)?;
                self.check_open_template(&field("path"), path)?;
                let rooted = path.is_empty() || (path.starts_with('/') && !path.ends_with('/'));
                ensure(rooted, &field("path"), "must be empty, or begin with `/` and not end in it")?;
            }
            endpoint.auths().try_for_each(|auth| self.check_auth(&field("auth"), auth))?;
            self.check_open_template(&field("below"), &endpoint.below)?;
            let verbs = endpoint.allow.values().flatten().filter_map(Verb::when);
            let headers = endpoint.headers.values().flatten().filter_map(HeaderRule::when);
            for When { setting, value } in verbs.chain(headers) {
                self.check_condition(&format!("endpoints.{label}"), setting, value)?;
            }
        }
        Ok(())
    }

    fn check_address(&self, field: &str, url: &str) -> Result<(), ManifestError> {
        self.check_open_template(field, url)?;
        let schemed = ["{scheme}://", "https://", "http://"].iter().any(|s| url.starts_with(s));
        ensure(schemed, field, "must begin with `{scheme}://`, `https://` or `http://`")
    }

    fn check_auth(&self, field: &str, auth: &Auth) -> Result<(), ManifestError> {
        for secret in auth.secrets() {
            let known = self.secrets.contains_key(secret);
            ensure(known, field, &format!("names `{secret}`, which is not under `secrets`"))?;
        }
        let is_whole = |template: &&str| super::template::template_names(template).iter().all(Option::is_some);
        ensure(auth.secret_templates().iter().all(is_whole), field, "has a `{` without its `}`")?;
        for name in auth.secrets_or_settings() {
            let known = self.secrets.contains_key(name) || self.settings.contains_key(name);
            ensure(known, field, &format!("names `{name}`, which is neither under `secrets` nor under `settings`"))?;
        }
        for (name, template) in auth.templates() {
            self.check_open_template(&format!("{field}.{name}"), template)?;
        }
        for (name, url) in [("token_url", auth.token_url()), ("device_url", auth.device_url())] {
            url.map_or(Ok(()), |url| self.check_address(&format!("{field}.{name}"), url))?;
        }
        if let Auth::Query { parameters, signed } = auth {
            ensure(
                parameters.is_empty() == signed.is_some(),
                field,
                "must name either `parameters` or a `signed` query",
            )?;
        }
        for name in auth.header_names() {
            let usable = name.parse::<http::HeaderName>().is_ok_and(|name| !FRAMING.contains(&name.as_str()));
            ensure(usable, field, &format!("cannot set the header `{}`", name.escape_debug()))?;
        }
        let settings = auth.profile_setting().into_iter().chain(auth.anonymous_setting());
        settings.into_iter().try_for_each(|name| self.check_setting(field, name))
    }

    /// A condition names a setting, and a value that it can have.
    fn check_condition(&self, field: &str, name: &str, value: &str) -> Result<(), ManifestError> {
        self.check_setting(field, name)?;
        let possible = self.settings.get(name).is_some_and(|spec| match spec.kind {
            SettingKind::Boolean => ["true", "false"].contains(&value),
            SettingKind::Enum => spec.values.iter().any(|one| one == value),
            SettingKind::Integer | SettingKind::Size | SettingKind::Duration => value.parse::<i64>().is_ok(),
            SettingKind::String | SettingKind::Url | SettingKind::List => true,
        });
        ensure(possible, field, &format!("asks whether `{name}` is `{}`, which it cannot be", value.escape_debug()))
    }

    fn check_presets(&self) -> Result<(), ManifestError> {
        for (preset, values) in &self.presets {
            for (name, value) in values {
                let field = format!("presets.{preset}");
                self.check_setting(&field, name)?;
                self.check_template(&field, value)?;
            }
        }
        Ok(())
    }

    fn check_setting(&self, field: &str, name: &str) -> Result<(), ManifestError> {
        ensure(self.settings.contains_key(name), field, &format!("names `{name}`, which is not under `settings`"))
    }

    /// A template of what is shown to people.
    fn check_open_template(&self, field: &str, template: &str) -> Result<(), ManifestError> {
        self.check_template(field, template)?;
        let is_sensitive = |name: &&str| self.settings.get(*name).is_some_and(|spec| spec.sensitive);
        let hidden = super::template::template_names(template).into_iter().flatten().find(is_sensitive);
        let rule = || format!("names `{}`, which is sensitive, and is shown", hidden.unwrap_or_default());
        ensure(hidden.is_none(), field, &rule())
    }

    fn check_template(&self, field: &str, template: &str) -> Result<(), ManifestError> {
        for name in super::template::template_names(template) {
            match name {
                None => ensure(false, field, "has a `{` without its `}`")?,
                Some("scheme") => {}
                Some(name) => self.check_setting(field, name)?,
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, field: &str, rule: &str) -> Result<(), ManifestError> {
    if holds { Ok(()) } else { Err(ManifestError::Field { field: field.to_owned(), rule: rule.to_owned() }) }
}
