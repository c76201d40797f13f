//! Everything that a user wrote for one connector, checked against its manifest.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::value::{BOOLEANS, parse_boolean};
use super::{
    AwsEndpoint, CredentialSource, InvalidValue, Masker, ProxySettings, RawSettings, SecretText, Surroundings,
    TokenKeeper, Value,
};
use crate::manifest::{
    Ambient, Auth, Endpoint, EndpointVariant, HOST_SETTINGS, Manifest, SettingSpec, capture, expand,
};

/// A setting that cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A location that does not name what the connector needs.
    #[error("the location `{}` cannot be used: {cause}; expected {form}", location.escape_debug())]
    Location {
        /// What was given.
        location: String,
        /// What is wrong.
        cause: String,
        /// The form that works.
        form: String,
    },
    /// A name that the connector does not know.
    #[error("connector {connector} has no setting `{}`{}; see `credenza connector inspect {connector}`", name.escape_debug(), suggestion.as_ref().map_or_else(String::new, |s| format!(", did you mean `{s}`?")))]
    Unknown {
        /// The connector.
        connector: String,
        /// What was given.
        name: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// A value that the setting does not allow.
    #[error("setting `{name}`: {cause}")]
    Value {
        /// The setting.
        name: String,
        /// What is wrong and what is allowed.
        cause: InvalidValue,
    },
    /// A required setting without a value.
    #[error("connector {connector} needs the setting `{name}`{}", if help.is_empty() { String::new() } else { format!(": {help}") })]
    Missing {
        /// The connector.
        connector: String,
        /// The setting.
        name: String,
        /// What the manifest says of it.
        help: String,
    },
    /// One of a pair of secrets without the other.
    #[error(
        "endpoint `{endpoint}` needs `{missing}` as well as `{given}`; give both, or neither for anonymous requests"
    )]
    HalfASecret {
        /// The endpoint.
        endpoint: String,
        /// The secret that was given.
        given: String,
        /// The one that was not.
        missing: String,
    },
    /// A refresh token that a login fetches, and nobody has logged in.
    #[error(
        "endpoint `{endpoint}` needs `{secret}`, which a login fetches and keeps: credenza login NAME, with the name of the place"
    )]
    NotLoggedIn {
        /// The endpoint.
        endpoint: String,
        /// The secret.
        secret: String,
    },
    /// A secret, or what a manifest makes of it, that cannot be used. It is not repeated.
    #[error("endpoint `{endpoint}`: `{name}` {why}")]
    Unusable {
        /// The endpoint.
        endpoint: String,
        /// The secret or header.
        name: String,
        /// What is wrong with it, as the end of the sentence.
        why: String,
    },
    /// An endpoint whose templates and settings yield no address.
    #[error("endpoint `{endpoint}`: `{}` is not an address of a server: {cause}", address.escape_debug())]
    Address {
        /// The endpoint.
        endpoint: String,
        /// What the settings yield.
        address: String,
        /// What is wrong.
        cause: String,
    },
    /// A preset that the connector does not have.
    #[error("connector {connector} has no preset `{}`; it has {known}", name.escape_debug())]
    Preset {
        /// The connector.
        connector: String,
        /// What was given.
        name: String,
        /// Those that it has.
        known: String,
    },
    /// Requests without credentials are wanted, and credentials are given.
    #[error("`{setting}` asks for requests without credentials, and `{secret}` is given; remove one of them")]
    NotAnonymous {
        /// The setting.
        setting: String,
        /// A secret that is given.
        secret: String,
    },
    /// No credentials were found.
    #[error("{cause}")]
    Credentials {
        /// Where they were looked for, and what to do.
        cause: String,
    },
    /// A server of AWS's tools that cannot be used. Its address may hold a password, and is not repeated.
    #[error("the server that {origin} names cannot be used: {cause}; name one in the location, or take that away")]
    Endpoint {
        /// Who names it.
        origin: String,
        /// What is wrong.
        cause: &'static str,
    },
    /// A proxy that cannot be used. Its address may hold a password, and is not repeated.
    #[error("the proxy that {origin} names cannot be used: {cause}; set `proxy` to another, or to `none`")]
    Proxy {
        /// Who names it.
        origin: String,
        /// What is wrong.
        cause: &'static str,
    },
    /// The file with certificates cannot be used.
    #[error("certificates for TLS (`ca_file` or the system's) cannot be used: {cause}")]
    Certificates {
        /// What is wrong.
        cause: String,
    },
}

/// What the host keeps for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// `use_tls`, default true, or as the server of the surroundings does: `{scheme}` in endpoints is `https`.
    pub use_tls: bool,
    /// `tls_insecure_no_verify`, default false: any certificate is accepted.
    pub tls_insecure_no_verify: bool,
    /// `ca_file`: PEM file with the roots to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `proxy`, an address or `none`, else what the environment says.
    pub proxy: ProxySettings,
}

/// Checked settings and secrets of one connector. Only names are shown when it is formatted for a developer: a setting may be sensitive.
#[derive(Clone)]
pub struct Settings {
    /// Typed values for the connector, by name, defaults filled in.
    pub values: BTreeMap<String, Value>,
    /// The same values as texts, for templates.
    pub texts: BTreeMap<String, String>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, SecretText>,
    /// What the host keeps for itself.
    pub host: HostSettings,
    /// Who names the server, when it is the machine.
    pub server_named_by: Option<String>,
    /// Whether the secrets were written by the user; else they are those of the environment.
    secrets_written: bool,
    /// Finds credentials where there are no secrets.
    aws_credentials: Option<Arc<dyn CredentialSource>>,
    /// Remembers refresh tokens from one run to the next.
    pub(crate) token_keeper: Option<Arc<dyn TokenKeeper>>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (texts, secrets): (Vec<_>, Vec<_>) = (self.texts.keys().collect(), self.secrets.keys().collect());
        f.debug_struct("Settings").field("texts", &texts).field("secrets", &secrets).finish_non_exhaustive()
    }
}

impl Settings {
    /// Checks what a user wrote. Secrets come from `raw`; when it holds none of them, and names no profile, from the environment.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting and what is allowed.
    pub fn resolve(
        manifest: &Manifest,
        raw: &RawSettings,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, SettingsError> {
        if let Some(name) = raw.keys().find(|name| !is_known(manifest, name)) {
            return Err(SettingsError::Unknown {
                connector: manifest.name.clone(),
                name: name.clone(),
                suggestion: nearest(name, known_names(manifest)),
            });
        }
        let preset = preset(manifest, raw)?;
        let mut texts = written_texts(manifest, raw)?;
        let ambient = ambient_server(manifest, &texts, &preset, surroundings);
        let mut use_tls = true;
        if let Some((name, endpoint)) = ambient {
            let unusable = |cause| SettingsError::Endpoint { origin: endpoint.origin.clone(), cause };
            let (server, with_tls) = endpoint.server().map_err(unusable)?;
            texts.insert(name.clone(), server.to_owned());
            use_tls = with_tls;
        }
        let host = host_settings(raw, surroundings, use_tls)?;
        complete(&mut texts, manifest, &preset, surroundings.aws_region.as_deref());
        let mut values = BTreeMap::new();
        for (name, spec) in &manifest.settings {
            match texts.get(name) {
                Some(text) => {
                    let hide = |cause| match spec.sensitive {
                        true => InvalidValue { text: "***".to_owned(), ..cause },
                        false => cause,
                    };
                    let invalid = |cause| SettingsError::Value { name: name.clone(), cause: hide(cause) };
                    let value = Value::parse(spec, text).map_err(invalid)?;
                    values.insert(name.clone(), value);
                }
                None if spec.required || spec.default.is_some() => {
                    return Err(SettingsError::Missing {
                        connector: manifest.name.clone(),
                        name: name.clone(),
                        help: spec.help.clone(),
                    });
                }
                None => {}
            }
        }
        let mut settings = Self {
            values,
            texts,
            secrets: written(manifest, raw),
            host,
            server_named_by: ambient.map(|(_, endpoint)| endpoint.origin.clone()),
            secrets_written: true,
            aws_credentials: surroundings.aws_credentials.clone(),
            token_keeper: surroundings.token_keeper.clone(),
        };
        settings.refuse_anonymous_secrets(manifest)?;
        if settings.secrets.is_empty() {
            settings.secrets_written = false;
            settings.secrets = settings.secrets_of_environment(manifest, surroundings);
        }
        Ok(settings)
    }

    /// A template of the manifest with these settings in it.
    pub(crate) fn expand(&self, template: &str, encode: impl Fn(&str) -> String) -> String {
        let scheme = if self.host.use_tls { "https" } else { "http" };
        expand(template, |name| match name {
            "scheme" => Some(scheme.to_owned()),
            name => self.texts.get(name).map(|text| encode(text)),
        })
    }

    /// Whether a setting has a value, as a manifest writes it: by what it means, not by how the user wrote it.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        match self.values.get(name) {
            Some(Value::Boolean(given)) => given.to_string() == value,
            Some(Value::Integer(given)) => given.to_string() == value,
            _ => self.texts.get(name).is_some_and(|given| given == value),
        }
    }

    /// The address of an endpoint, as templates of origin and path.
    pub(crate) fn address_of<'m>(&self, endpoint: &'m Endpoint) -> (&'m str, &'m str) {
        self.variants_of(endpoint).find_map(EndpointVariant::address).unwrap_or((&endpoint.url, &endpoint.path))
    }

    /// How the requests of an endpoint are authenticated.
    pub(crate) fn auth_of<'m>(&self, endpoint: &'m Endpoint) -> &'m Auth {
        self.variants_of(endpoint).find_map(|variant| variant.auth.as_ref()).unwrap_or(&endpoint.auth)
    }

    /// The variants of an endpoint whose conditions hold.
    fn variants_of<'m>(&self, endpoint: &'m Endpoint) -> impl Iterator<Item = &'m EndpointVariant> {
        endpoint.variants.iter().filter(|variant| variant.when.iter().all(|(name, value)| self.has(name, value)))
    }

    /// The text of a secret, or of a setting that stands where one may.
    pub(crate) fn credential(&self, name: &str) -> Option<&str> {
        let setting = || self.texts.get(name).map(String::as_str).filter(|text| !text.is_empty());
        self.secrets.get(name).map(SecretText::expose).or_else(setting)
    }

    /// Where the secrets are from, for a person.
    pub(crate) const fn origin_of_secrets(&self) -> &'static str {
        if self.secrets_written { "the settings" } else { "variables of the environment" }
    }

    /// Where credentials of an endpoint are looked for when no secrets give them.
    pub(crate) fn chain_for(&self, auth: &Auth) -> Option<Arc<dyn CredentialSource>> {
        let wanted = auth.profile_setting().is_some() && !self.is_anonymous(auth);
        self.aws_credentials.clone().filter(|_| wanted)
    }

    fn is_anonymous(&self, auth: &Auth) -> bool {
        let setting = auth.anonymous_setting().and_then(|name| self.values.get(name));
        setting == Some(&Value::Boolean(true))
    }

    fn refuse_anonymous_secrets(&self, manifest: &Manifest) -> Result<(), SettingsError> {
        for auth in manifest.endpoints.values().flat_map(Endpoint::auths).filter(|auth| self.is_anonymous(auth)) {
            let given = auth.secrets().into_iter().find(|name| self.secrets.contains_key(*name));
            if let (Some(secret), Some(setting)) = (given, auth.anonymous_setting()) {
                return Err(SettingsError::NotAnonymous { setting: setting.to_owned(), secret: secret.to_owned() });
            }
        }
        Ok(())
    }

    /// Those that environment variables hold; a profile that the user names goes before them, as with the tools of AWS.
    fn secrets_of_environment(
        &self,
        manifest: &Manifest,
        surroundings: &Surroundings<'_>,
    ) -> BTreeMap<String, SecretText> {
        let auths = || manifest.endpoints.values().flat_map(Endpoint::auths);
        let named = |auth: &Auth| {
            auth.profile_setting().and_then(|name| self.texts.get(name)).is_some_and(|profile| !profile.is_empty())
        };
        let unwanted: Vec<&str> =
            auths().filter(|auth| named(auth) || self.is_anonymous(auth)).flat_map(Auth::secrets).collect();
        let variable = |name: &String| (surroundings.variable)(name).filter(|text| !text.is_empty());
        let specs = manifest.secrets.iter().filter(|(name, _)| !unwanted.contains(&name.as_str()));
        let found = specs.filter_map(|(name, spec)| Some((name.clone(), spec.env.iter().find_map(variable)?)));
        found.collect()
    }

    /// Hides the values of secrets, and those of settings that the manifest calls sensitive. The latter, and names, are not searched for in bodies.
    pub(crate) fn masker(&self, manifest: &Manifest) -> Masker {
        let auths = manifest.endpoints.values().flat_map(Endpoint::auths);
        let names = auths.filter_map(|auth| self.secrets.get(auth.identity()?)).cloned();
        let sensitive = manifest.settings.iter().filter(|(_, spec)| spec.sensitive);
        let sensitive: Vec<SecretText> =
            sensitive.filter_map(|(name, _)| self.texts.get(name)).map(SecretText::new).collect();
        Masker::new(self.secrets.values().cloned().chain(sensitive.clone())).with_names(names.chain(sensitive))
    }
}

fn known_names(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let own = manifest.settings.keys().chain(manifest.secrets.keys()).map(String::as_str);
    own.chain(HOST_SETTINGS)
}

fn is_known(manifest: &Manifest, name: &str) -> bool {
    known_names(manifest).any(|known| known == name)
}

/// What was written, then what the location says.
fn written_texts(manifest: &Manifest, raw: &RawSettings) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut texts = match raw.get("location") {
        Some(location) => manifest.settings_from_location(location.expose())?,
        None => BTreeMap::new(),
    };
    let own = raw.iter().filter(|(name, _)| manifest.settings.contains_key(*name));
    texts.extend(own.map(|(name, text)| (name.clone(), text.expose().to_owned())));
    Ok(texts)
}

/// The server of the surroundings and the setting that it is for, where neither the user nor a preset names one.
fn ambient_server<'s>(
    manifest: &'s Manifest,
    written: &BTreeMap<String, String>,
    preset: &Preset,
    surroundings: &'s Surroundings<'_>,
) -> Option<(&'s String, &'s AwsEndpoint)> {
    let wanted = manifest.settings.iter().find(|(_, spec)| spec.ambient == Some(Ambient::AwsEndpoint));
    let is_named = |name: &String| written.contains_key(name) || preset.get(name).is_some_and(|text| !text.is_empty());
    let name = wanted.map(|(name, _)| name).filter(|name| !is_named(name))?;
    Some((name, surroundings.aws_endpoint.as_ref()?))
}

/// Adds what follows from other settings, what a preset says, what the surroundings say, and defaults. Where a preset says an empty text, the user
/// must say something: there is no default.
fn complete(texts: &mut BTreeMap<String, String>, manifest: &Manifest, preset: &Preset, aws_region: Option<&str>) {
    for (name, derive) in manifest.settings.iter().filter_map(|(n, s)| s.derive.as_ref().map(|d| (n, d))) {
        let found = texts.get(&derive.from).and_then(|text| derive.patterns.iter().find_map(|p| capture(p, text)));
        if let (Some(found), false) = (found.map(str::to_owned), texts.contains_key(name)) {
            texts.insert(name.clone(), found);
        }
    }
    let default = |name: &String, spec: &SettingSpec| {
        let ambient = aws_region.filter(|_| spec.ambient == Some(Ambient::AwsRegion)).map(str::to_owned);
        preset.get(name).cloned().or(ambient).or_else(|| spec.default.clone())
    };
    let defaults = manifest.settings.iter().filter_map(|(name, spec)| Some((name, default(name, spec)?)));
    let defaults = defaults.filter(|(name, text)| !text.is_empty() || !preset.contains_key(*name));
    let (templates, plain): (Vec<_>, Vec<_>) = defaults.partition(|(_, text)| text.contains('{'));
    for (name, default) in plain.into_iter().chain(templates) {
        if !texts.contains_key(name) {
            let text = expand(&default, |other| texts.get(other).cloned());
            texts.insert(name.clone(), text);
        }
    }
}

/// Settings of a manifest, which everybody may see.
type Preset = BTreeMap<String, String>;

/// The settings of the preset that the user chose, none without.
fn preset(manifest: &Manifest, raw: &RawSettings) -> Result<Preset, SettingsError> {
    let Some(name) = raw.get("preset").map(SecretText::expose).filter(|name| !name.is_empty()) else {
        return Ok(Preset::new());
    };
    manifest.presets.get(name).cloned().ok_or_else(|| SettingsError::Preset {
        connector: manifest.name.clone(),
        name: name.to_owned(),
        known: manifest.presets.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
    })
}

fn host_settings(
    raw: &RawSettings,
    surroundings: &Surroundings<'_>,
    use_tls: bool,
) -> Result<HostSettings, SettingsError> {
    let boolean = |name: &str, default: bool| match raw.get(name) {
        None => Ok(default),
        Some(text) => parse_boolean(text.expose()).ok_or_else(|| SettingsError::Value {
            name: name.to_owned(),
            cause: InvalidValue { text: text.expose().to_owned(), allowed: BOOLEANS.to_owned() },
        }),
    };
    Ok(HostSettings {
        use_tls: boolean("use_tls", use_tls)?,
        tls_insecure_no_verify: boolean("tls_insecure_no_verify", false)?,
        ca_file: raw.get("ca_file").filter(|path| !path.is_empty()).map(|path| path.expose().into()),
        proxy: ProxySettings::of(raw, surroundings),
    })
}

/// The secrets that the user wrote. When there are any, none are taken from elsewhere, which would pair keys of different owners.
fn written(manifest: &Manifest, raw: &RawSettings) -> BTreeMap<String, SecretText> {
    let written = |name: &String| raw.get(name).filter(|text| !text.is_empty()).cloned();
    manifest.secrets.keys().filter_map(|name| Some((name.clone(), written(name)?))).collect()
}

/// The known name with the fewest edits, when they are few.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let (distance, nearest) = known.map(|k| (edit_distance(name, k), k)).min()?;
    (distance <= 1 + name.chars().count() / 4).then(|| nearest.to_owned())
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A manifest with what the connectors for S3 need.
    pub(crate) const S3: &str = r#"
name = "s3"
version = "0.1.0"
api = "0.1"
roles = ["source", "store", "destination"]
schemes = ["s3"]
location = ["host?", "bucket", "prefix*"]
[settings.host]
type = "string"
default = "s3.{region}.amazonaws.com"
[settings.bucket]
type = "string"
required = true
[settings.prefix]
type = "string"
default = ""
[settings.region]
type = "string"
default = "us-east-1"
derive = { from = "host", patterns = ["s3.{}.amazonaws.com"] }
[settings.addressing]
type = "enum"
values = ["auto", "path", "virtual"]
default = "auto"
[settings.acl]
type = "boolean"
default = "false"
[secrets.access_key]
env = ["AWS_ACCESS_KEY_ID"]
[secrets.secret_access_key]
env = ["AWS_SECRET_ACCESS_KEY"]
[secrets.session_token]
env = ["AWS_SESSION_TOKEN"]
[endpoints.bucket]
url = "{scheme}://{host}"
path = "/{bucket}"
below = "{prefix}"
below_parameter = "prefix"
paths = "opaque"
auth = { scheme = "aws-sigv4", service = "s3", region = "{region}", key = "access_key", secret = "secret_access_key", token = "session_token" }
[[endpoints.bucket.variants]]
when = { addressing = "virtual" }
url = "{scheme}://{bucket}.{host}"
[endpoints.bucket.allow]
source = ["GET ?list-type=2 [prefix]", "GET /*", "HEAD /*", "POST /* ?restore"]
store = ["GET ?list-type=2 [prefix]", "GET /*", "HEAD /*", "PUT /*"]
prune = ["DELETE /*", "POST ?delete <s3-delete>"]
destination = ["HEAD", "HEAD /*", "PUT /*", "POST /* ?uploads", "POST /* ?uploadId", "DELETE /* ?uploadId"]
[endpoints.bucket.headers]
store = ["x-amz-storage-class"]
destination = ["x-amz-meta-*", "x-amz-acl when acl"]
"#;

    pub(crate) fn raw(pairs: &[(&str, &str)]) -> RawSettings {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))).collect()
    }

    pub(crate) fn resolve(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::resolve(&Manifest::parse(S3).unwrap(), &raw(pairs), &Surroundings::none())
    }

    fn text(settings: &Settings, name: &str) -> String {
        settings.texts.get(name).cloned().unwrap_or_default()
    }

    #[test]
    fn the_region_follows_from_the_host_and_the_host_from_the_region() {
        let named = resolve(&[("location", "s3://s3.eu-west-1.amazonaws.com/photos")]).unwrap();
        assert_eq!(text(&named, "region"), "eu-west-1");
        let short = resolve(&[("location", "s3://photos"), ("region", "eu-north-1")]).unwrap();
        assert_eq!(text(&short, "host"), "s3.eu-north-1.amazonaws.com");
        let bare = resolve(&[("location", "s3://photos")]).unwrap();
        assert_eq!(text(&bare, "host"), "s3.us-east-1.amazonaws.com");
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let error = resolve(&[("acess_key", "x")]).unwrap_err().to_string();
        assert!(error.contains("did you mean `access_key`"), "{error}");
        let error = resolve(&[("zzzzzzzzz", "x")]).unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn a_missing_or_wrong_setting_is_named() {
        assert!(matches!(resolve(&[]), Err(SettingsError::Missing { name, .. }) if name == "bucket"));
        let error = resolve(&[("bucket", "b"), ("addressing", "sideways")]).unwrap_err().to_string();
        assert!(error.contains("addressing") && error.contains("auto, path, virtual"), "{error}");
        let error = resolve(&[("bucket", "b"), ("use_tls", "maybe")]).unwrap_err().to_string();
        assert!(error.contains("use_tls"), "{error}");
    }

    #[test]
    fn secrets_come_from_one_place_only() {
        let manifest = Manifest::parse(S3).unwrap();
        let variable = |name: &str| Some(SecretText::new(format!("env-{name}")));
        let environment = Surroundings { variable: &variable, ..Surroundings::none() };
        let settings = Settings::resolve(&manifest, &raw(&[("bucket", "b")]), &environment).unwrap();
        assert_eq!(settings.secrets["access_key"].expose(), "env-AWS_ACCESS_KEY_ID");
        let written = raw(&[("bucket", "b"), ("access_key", "K"), ("secret_access_key", "S")]);
        let settings = Settings::resolve(&manifest, &written, &environment).unwrap();
        assert_eq!(settings.secrets["access_key"].expose(), "K");
        assert!(
            !settings.secrets.contains_key("session_token"),
            "a session of the environment must not join written keys"
        );
        assert!(!format!("{settings:?}").contains("env-AWS"));
    }

    const PRESETS: &str = r#"
[presets.wasabi]
host = "s3.{region}.wasabisys.com"
region = "us-east-2"
[presets.own]
host = ""
region = "garage"
"#;

    fn resolve_with_preset(pairs: &[(&str, &str)], aws_region: Option<&str>) -> Result<Settings, SettingsError> {
        let manifest = S3.replace("default = \"us-east-1\"", "default = \"us-east-1\"\nambient = \"aws-region\"");
        let manifest = Manifest::parse(&format!("{manifest}{PRESETS}")).unwrap();
        let surroundings = Surroundings { aws_region: aws_region.map(str::to_owned), ..Surroundings::none() };
        Settings::resolve(&manifest, &raw(pairs), &surroundings)
    }

    #[test]
    fn a_preset_goes_before_defaults_and_behind_what_is_written() {
        let host = |pairs: &[(&str, &str)]| text(&resolve_with_preset(pairs, None).unwrap(), "host");
        assert_eq!(host(&[("bucket", "b"), ("preset", "wasabi")]), "s3.us-east-2.wasabisys.com");
        let elsewhere = [("bucket", "b"), ("preset", "wasabi"), ("region", "eu-west-1")];
        assert_eq!(host(&elsewhere), "s3.eu-west-1.wasabisys.com");
        assert_eq!(host(&[("location", "s3://s3.example.com/b"), ("preset", "wasabi")]), "s3.example.com");
    }

    #[test]
    fn what_a_preset_leaves_empty_must_be_given() {
        let missing = resolve_with_preset(&[("bucket", "b"), ("preset", "own")], None);
        assert!(matches!(missing, Err(SettingsError::Missing { name, .. }) if name == "host"));
        assert!(resolve_with_preset(&[("location", "s3://h:1/b"), ("preset", "own")], None).is_ok());
        let unknown = resolve_with_preset(&[("bucket", "b"), ("preset", "wasab")], None).unwrap_err().to_string();
        assert!(unknown.contains("own, wasabi"), "{unknown}");
    }

    #[test]
    fn the_region_of_the_surroundings_counts_where_nothing_else_names_one() {
        let region = |pairs: &[(&str, &str)]| text(&resolve_with_preset(pairs, Some("eu-north-1")).unwrap(), "region");
        assert_eq!(region(&[("bucket", "b")]), "eu-north-1");
        assert_eq!(region(&[("location", "s3://s3.eu-west-1.amazonaws.com/b")]), "eu-west-1");
        assert_eq!(region(&[("bucket", "b"), ("region", "eu-west-2")]), "eu-west-2");
        assert_eq!(region(&[("location", "s3://h:1/b"), ("preset", "own")]), "garage");
    }

    #[test]
    fn the_server_of_the_surroundings_counts_where_nothing_else_names_one_and_decides_tls() {
        let manifest = S3.replacen("[settings.host]", "[settings.host]\nambient = \"aws-endpoint\"", 1);
        let manifest = Manifest::parse(&format!("{manifest}{PRESETS}")).unwrap();
        let resolve = |url: &str, pairs: &[(&str, &str)]| {
            let endpoint = AwsEndpoint { origin: "AWS_ENDPOINT_URL".to_owned(), url: url.to_owned() };
            let surroundings = Surroundings { aws_endpoint: Some(endpoint), ..Surroundings::none() };
            Settings::resolve(&manifest, &raw(pairs), &surroundings)
        };
        let server = |pairs: &[(&str, &str)]| {
            let settings = resolve("http://h:9000", pairs).unwrap();
            (text(&settings, "host"), settings.host.use_tls, settings.server_named_by.is_some())
        };
        assert_eq!(server(&[("bucket", "b")]), ("h:9000".to_owned(), false, true));
        assert_eq!(server(&[("bucket", "b"), ("use_tls", "true")]), ("h:9000".to_owned(), true, true));
        assert_eq!(server(&[("bucket", "b"), ("preset", "own"), ("region", "r")]), ("h:9000".to_owned(), false, true));
        for named in [("location", "s3://s3.example.com/b"), ("host", "s3.example.com"), ("preset", "wasabi")] {
            let (host, use_tls, by_machine) = server(&[("bucket", "b"), named]);
            assert!(host != "h:9000" && use_tls && !by_machine, "{named:?}: {host}");
        }
        let derived = resolve("https://s3.eu-west-1.amazonaws.com", &[("bucket", "b")]).unwrap();
        assert_eq!(text(&derived, "region"), "eu-west-1");
        let refused = resolve("h:9000", &[("bucket", "b")]).unwrap_err().to_string();
        assert!(refused.contains("AWS_ENDPOINT_URL"), "{refused}");
        assert!(resolve("h:9000", &[("bucket", "b"), ("host", "s3.example.com")]).is_ok());
    }

    #[test]
    fn requests_without_credentials_do_not_go_with_keys() {
        let anonymous = r#"token = "session_token", profile = "prefix", anonymous = "anonymous" }"#;
        let manifest = S3.replace(r#"token = "session_token" }"#, anonymous);
        let manifest = Manifest::parse(&format!("{manifest}[settings.anonymous]\ntype = \"boolean\"\n")).unwrap();
        let variable = |_: &str| Some(SecretText::new("of the environment"));
        let surroundings = Surroundings { variable: &variable, ..Surroundings::none() };
        let resolve = |pairs: &[(&str, &str)]| Settings::resolve(&manifest, &raw(pairs), &surroundings);
        assert!(resolve(&[("bucket", "b"), ("anonymous", "true")]).unwrap().secrets.is_empty());
        assert!(resolve(&[("bucket", "b"), ("prefix", "a-profile")]).unwrap().secrets.is_empty());
        assert_eq!(resolve(&[("bucket", "b")]).unwrap().secrets.len(), 3);
        let both = resolve(&[("bucket", "b"), ("anonymous", "true"), ("access_key", "K")]);
        assert!(matches!(both, Err(SettingsError::NotAnonymous { secret, .. }) if secret == "access_key"));
    }

    #[test]
    fn a_manifest_with_a_mistake_names_the_field() {
        for (from, to, field) in [
            ("required = true", "required = maybe", "required"),
            ("\"prefix*\"]", "\"prefix*\", \"bucket\"]", "location"),
            ("key = \"access_key\"", "key = \"no_such\"", "no_such"),
            ("path = \"/{bucket}\"", "path = \"/{pail}\"", "pail"),
            ("path = \"/{bucket}\"", "path = \"bucket\"", "endpoints.bucket.path"),
            ("\"HEAD /*\", \"POST /* ?restore\"]", "\"head\"]", "head"),
            ("x-amz-meta-*", "x-*", "x-*"),
            ("\"x-amz-storage-class\"", "\"x-amz-copy-source\"", "x-amz-copy-source <path>"),
            ("when acl", "when no_such", "no_such"),
            ("when acl", "when acl=yes", "cannot be"),
            ("addressing = \"virtual\"", "addressing = \"sideways\"", "cannot be"),
            ("paths = \"opaque\"", "paths = \"other\"", "paths"),
            ("[settings.host]", "[settings.host]\nsensitive = true", "sensitive"),
            ("[settings.acl]", "[settings.access_key_file]", "_file"),
            ("name = \"s3\"", "name = \"S3!\"", "name"),
            ("[settings.prefix]", "[settings.use_tls]", "use_tls"),
            ("api = \"0.1\"", "api = \"0.2\"", "0.2"),
            ("[settings.host]", "[settings.host]\ncolour = 1", "colour"),
        ] {
            assert!(S3.contains(from), "{from}");
            let error = Manifest::parse(&S3.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(field), "{from} -> {to}: {error}");
        }
    }
}
