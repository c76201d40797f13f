//! The settings of a location, and how keys of entries and names of blobs follow from each other.

use credenza_sdk::{Config, Problem, percent};

/// What the user configured.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    host: String,
    account: String,
    container: String,
    /// Empty, or ends in `/`.
    prefix: Vec<u8>,
    /// Which proof requests carry, for messages.
    pub(crate) login: String,
    /// Empty leaves it to the account.
    pub(crate) access_tier: String,
    /// Whether every version and snapshot is listed.
    pub(crate) versions: bool,
    /// Whether what protects blobs is restored.
    pub(crate) locks: bool,
    /// Whether the container that is restored to is created when it is not there.
    pub(crate) create_container: bool,
    /// Bytes of a block of a large upload.
    pub(crate) part_bytes: u64,
}

/// Length of a block when the settings name none.
const PART_BYTES_DEFAULT: u64 = 8 * 1024 * 1024;

impl Place {
    /// Reads the settings; the host has checked their types.
    pub(crate) fn of(config: &Config) -> Self {
        let text = |name| config.text(name).unwrap_or_default().to_owned();
        let flag = |name| config.boolean(name).unwrap_or(false);
        let mut prefix = text("prefix").into_bytes();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        Self {
            host: text("host"),
            account: text("account"),
            container: text("container"),
            prefix,
            login: text("login"),
            access_tier: text("access_tier"),
            versions: flag("versions"),
            locks: flag("locks"),
            create_container: flag("create_container"),
            part_bytes: config.integer("part_size").and_then(|n| n.try_into().ok()).unwrap_or(PART_BYTES_DEFAULT),
        }
    }

    /// The location as a person writes it; equal for equal places.
    pub(crate) fn identity(&self) -> String {
        let prefix = String::from_utf8_lossy(&self.prefix);
        format!("azure://{}/{}/{}/{prefix}", self.host, self.account, self.container)
    }

    /// The container and its account, for messages.
    pub(crate) fn name(&self) -> String {
        format!("container `{}` of account `{}` at {}", self.container, self.account, self.host)
    }

    /// The name of the blob of an entry's key.
    pub(crate) fn blob(&self, key: &[u8]) -> Vec<u8> {
        [self.prefix.as_slice(), key].concat()
    }

    /// The entry's key of a blob; nothing when it lies elsewhere.
    pub(crate) fn key<'a>(&self, blob: &'a [u8]) -> Option<&'a [u8]> {
        blob.strip_prefix(self.prefix.as_slice())
    }

    /// The target of a request for a blob.
    pub(crate) fn target(&self, key: &[u8]) -> String {
        percent::path(&self.blob(key))
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let text = |name| config.text(name).unwrap_or_default();
    let (account, container, login) = (text("account"), text("container"), text("login"));
    let has = |name: &str| config.secrets_present.iter().any(|present| present == name);
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let rules = [
        (
            !(is_word(account) && account.len() <= 63),
            "account",
            "name a storage account: lower-case letters and digits, without its domain, which goes into host",
        ),
        (
            !is_word(container.strip_prefix('$').unwrap_or(container)),
            "container",
            "name a container: lower-case letters, digits and `-`",
        ),
        (
            text("prefix").chars().count() > 900,
            "prefix",
            "a prefix leaves room for a name: at most 900 of the 1,024 characters",
        ),
        (
            !text("access_tier").bytes().all(|b| b.is_ascii_alphanumeric()),
            "access_tier",
            "a tier is a word such as `Cool`",
        ),
        (has("sas") && login != "sas", "login", "a shared access signature was given: set login=sas, or leave sas out"),
        (
            has("client_secret") && login != "entra",
            "login",
            "the secret of an application was given: set login=entra, or leave client_secret out",
        ),
        (
            has("account_key") && login != "key",
            "login",
            "the key of the account was given: set login=key, or leave account_key out",
        ),
        (login == "sas" && !has("sas"), "sas", "give the shared access signature, the query that begins with `sv=`"),
        (login == "entra" && text("client_id").is_empty(), "client_id", "give the id of the application"),
        (login == "entra" && !has("client_secret"), "client_secret", "give the secret of the application"),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken.map(|(_, setting, rule)| Problem { setting: Some(setting.to_owned()), message: rule.to_owned() }).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use credenza_sdk::{Setting, Value};

    use super::*;

    /// A configuration of text, boolean and integer settings; what ends in `_key`, `_secret` or is `sas` is a secret.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        let is_secret = |name: &str| matches!(name, "account_key" | "client_secret" | "sas");
        let value = |text: &str| match text {
            "true" | "false" => Value::Boolean(text == "true"),
            _ => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer),
        };
        let defaults = [("host", "h"), ("account", "acc"), ("container", "con"), ("login", "key")];
        let settings = pairs.iter().chain(&defaults).filter(|(name, _)| !is_secret(name));
        let settings = settings.map(|(name, text)| Setting { name: (*name).to_owned(), value: value(text) }).collect();
        let secrets_present = pairs.iter().map(|(name, _)| *name).filter(|name| is_secret(name)).map(str::to_owned);
        Config { settings, secrets_present: secrets_present.collect(), purpose: "backup".to_owned() }
    }

    #[test]
    fn a_prefix_is_a_path_and_comes_off_again() {
        let place = Place::of(&config(&[("prefix", "a b")]));
        assert_eq!(place.target(b"c+d/../e"), "/a%20b/c%2Bd/../e");
        assert_eq!((place.key(b"a b/c"), place.key(b"a bc")), (Some(&b"c"[..]), None));
        assert_eq!(place.identity(), "azure://h/acc/con/a b/");
        assert_eq!(Place::of(&config(&[])).target(b"k"), "/k");
    }

    #[test]
    fn what_cannot_be_a_place_is_named() {
        assert!(problems(&config(&[])).is_empty());
        assert!(problems(&config(&[("container", "$web")])).is_empty());
        for pair in [
            ("account", "acc.blob.core.windows.net"),
            ("account", ""),
            ("container", "a/b"),
            ("access_tier", "cool & cold"),
            ("sas", "sv=1"),
            ("client_secret", "s"),
            ("login", "sas"),
        ] {
            assert_eq!(problems(&config(&[pair])).len(), 1, "{pair:?}");
        }
        assert!(problems(&config(&[("login", "sas"), ("sas", "sv=1")])).is_empty());
        assert!(problems(&config(&[("login", "entra"), ("client_id", "i"), ("client_secret", "s")])).is_empty());
    }
}
