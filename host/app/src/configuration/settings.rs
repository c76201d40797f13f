//! Settings of a location: which the host itself knows, which are secret, what a misspelt one may have meant.

use credenza_sandbox::{RawSettings, SECRET_COMMAND, SECRET_FILE, SecretText};
use toml_edit::{Item, Value};

use super::Kind;

/// Settings by name; who uses a setting parses it. Each is held as a secret, since only the connector says which are.
///
/// ```
/// use credenza_app::{SecretText, Settings};
///
/// let settings = Settings::from([("access_key".to_owned(), SecretText::new("AKIAIOSFODNN7EXAMPLE"))]);
/// assert_eq!(format!("{settings:?}"), r#"{"access_key": ***}"#);
/// assert_eq!(settings["access_key"].expose(), "AKIAIOSFODNN7EXAMPLE");
/// ```
pub type Settings = RawSettings;

/// A setting that the host uses itself, whatever the connector.
#[derive(Debug)]
pub struct HostSetting {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// Only repositories have it.
    pub repository_only: bool,
}

/// The settings that the host uses itself. Those of a connector are in its manifest.
pub const HOST_SETTINGS: [HostSetting; 20] = [
    common("location", "where it is: a folder, or a location such as s3://host/bucket/prefix"),
    common("connector", "the component that reaches it: a path, or a name in the connectors folder"),
    common("preset", "what is known of a provider, such as wasabi: credenza connector inspect NAME lists them"),
    common("use_tls", "true or false: whether to use https"),
    common("tls_insecure_no_verify", "true or false: accept any certificate, which protects against nobody"),
    common("ca_file", "a file of certificates (PEM) to trust instead of the system's"),
    common("proxy", "the proxy to go through, such as http://user:password@proxy.example.com:3128, or none"),
    of_repository("passphrase", "the passphrase itself"),
    of_repository("passphrase_file", "a file that holds the passphrase"),
    of_repository("passphrase_cmd", "a shell command that prints the passphrase"),
    of_repository("key_file", "a key file that opens it"),
    of_repository("identity", "a file with a recipient's secret key that opens it"),
    of_repository("recovery_code", "a recovery code that opens it"),
    of_repository("repository_id", "the id that it must have, as `info` prints it: anything else there is refused"),
    of_repository("plaintext", "true or false: whether to back up to it although it is not encrypted"),
    of_repository("signing_key", "a file that holds the key to sign snapshots with, as `key signer` makes it"),
    of_repository(
        "replicas",
        "repositories with copies of its snapshots, with commas between them: read where this one is damaged or gone",
    ),
    of_repository("provider", "who runs the store, as promises count: copies with one provider are with one"),
    of_repository("site", "where the store stands, as promises count; without it its region, or its provider"),
    of_repository("trusted_signers", "public keys that `audit` accepts signatures of, with commas between them"),
];

const fn common(name: &'static str, help: &'static str) -> HostSetting {
    HostSetting { name, help, repository_only: false }
}

const fn of_repository(name: &'static str, help: &'static str) -> HostSetting {
    HostSetting { name, help, repository_only: true }
}

impl HostSetting {
    /// Whether a place of that kind has the setting.
    #[must_use]
    pub fn fits(&self, kind: Kind) -> bool {
        !self.repository_only || kind == Kind::Repository
    }
}

/// Whether a setting is the host's own business with a repository, which no connector needs to know.
#[must_use]
pub fn is_for_repositories(setting: &str) -> bool {
    HOST_SETTINGS.iter().any(|known| known.repository_only && known.name == setting)
}

/// Whether a value is a path on this machine, where `~` may stand for the home folder.
#[must_use]
pub fn is_path(setting: &str, value: &str) -> bool {
    match setting {
        "passphrase_file" | "key_file" | "identity" | "signing_key" | "ca_file" => true,
        "connector" => value.contains('/') || value.ends_with(".wasm"),
        _ => setting.ends_with(SECRET_FILE),
    }
}

/// Whether a value is a command that is run on this machine.
pub(crate) fn is_command(setting: &str) -> bool {
    setting.ends_with(SECRET_COMMAND)
}

/// Whether a setting of the host is true or false.
#[must_use]
pub fn is_boolean(setting: &str) -> bool {
    matches!(setting, "use_tls" | "tls_insecure_no_verify" | "plaintext")
}

/// Whether a value must never be shown, judged by the name of its setting alone: a connector that is not at hand cannot say which of its settings are secret.
#[must_use]
pub fn is_secret(setting: &str) -> bool {
    if let Some(known) = HOST_SETTINGS.iter().find(|known| known.name == setting) {
        return matches!(known.name, "passphrase" | "recovery_code" | "proxy");
    }
    if is_command(setting) || setting.ends_with(SECRET_FILE) {
        return false;
    }
    let name = setting.to_ascii_lowercase();
    ["pass", "secret", "key", "token", "credential", "auth"].iter().any(|part| name.contains(part))
}

/// The name that a misspelt one probably meant.
#[must_use]
pub fn suggestion<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILARITY_MIN: f64 = 0.8;
    let scored = names.into_iter().map(|name| (strsim::jaro_winkler(wrong, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILARITY_MIN).then_some(best.1)
}

/// A value of the file as text; `None` when it is nothing that a setting can be.
pub(super) fn text_of(item: &Item) -> Option<SecretText> {
    Some(match item.as_value()? {
        Value::String(text) => SecretText::new(text.value().as_str()),
        Value::Integer(number) => SecretText::new(number.value().to_string()),
        Value::Boolean(yes) => SecretText::new(yes.value().to_string()),
        Value::Array(list) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            SecretText::new(texts?.join(","))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_recognised_and_nonsense_is_not() {
        let names = || HOST_SETTINGS.iter().map(|setting| setting.name);
        assert_eq!(suggestion("locaton", names()), Some("location"));
        assert_eq!(suggestion("passprase", names()), Some("passphrase"));
        assert_eq!(suggestion("zzz", names()), None);
    }

    #[test]
    fn secrets_are_recognised_by_name() {
        for secret in
            ["passphrase", "access_key", "secret_access_key", "session_token", "Password", "recovery_code", "proxy"]
        {
            assert!(is_secret(secret), "{secret}");
        }
        for open in ["location", "passphrase_cmd", "passphrase_file", "key_file", "identity", "signing_key", "region"] {
            assert!(!is_secret(open), "{open}");
        }
        // Where a secret of a connector is.
        assert!(!is_secret("secret_access_key_file") && !is_secret("token_cmd"));
        assert!(is_path("secret_access_key_file", "k") && is_command("token_cmd") && !is_command("token"));
    }
}
