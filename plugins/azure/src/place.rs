//! The settings of a location, and how keys of entries and names of blobs follow from each other.

use credenza_sdk::prefix::Prefix;
use credenza_sdk::settings::{Given, broken};
use credenza_sdk::{Config, Problem, percent};

credenza_sdk::settings! {
    /// What the user configured.
    pub(crate) struct Place {
        host: String,
        account: String,
        container: String,
        pub(crate) prefix: Prefix,
        /// Which proof requests carry, for messages.
        pub(crate) login: String,
        client_id: String,
        /// Empty leaves it to the account.
        pub(crate) access_tier: String,
        /// Whether every version and snapshot is listed.
        pub(crate) versions: bool,
        /// Whether what protects blobs is restored.
        pub(crate) locks: bool,
        /// Whether the container that is restored to is created when it is not there.
        pub(crate) create_container: bool,
        /// Bytes of a block of a large upload.
        pub(crate) part_size: u64,
        account_key: Given,
        client_secret: Given,
        sas: Given,
    }
}

impl Place {
    /// The location as a person writes it; equal for equal places.
    pub(crate) fn identity(&self) -> String {
        format!("azure://{}/{}/{}/{}", self.host, self.account, self.container, self.prefix)
    }

    /// The container and its account, for messages.
    pub(crate) fn name(&self) -> String {
        format!("container `{}` of account `{}` at {}", self.container, self.account, self.host)
    }

    /// The target of a request for a blob.
    pub(crate) fn target(&self, key: &[u8]) -> String {
        percent::path(&self.prefix.full(key))
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let Place { account, container, prefix, login, client_id, access_tier, account_key, client_secret, sas, .. } =
        &Place::of(config);
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    broken([
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
            prefix.to_string().chars().count() > 900,
            "prefix",
            "a prefix leaves room for a name: at most 900 of the 1,024 characters",
        ),
        (!access_tier.bytes().all(|b| b.is_ascii_alphanumeric()), "access_tier", "a tier is a word such as `Cool`"),
        (sas.0 && login != "sas", "login", "a shared access signature was given: set login=sas, or leave sas out"),
        (
            client_secret.0 && login != "entra",
            "login",
            "the secret of an application was given: set login=entra, or leave client_secret out",
        ),
        (
            account_key.0 && login != "key",
            "login",
            "the key of the account was given: set login=key, or leave account_key out",
        ),
        (login == "sas" && !sas.0, "sas", "give the shared access signature, the query that begins with `sv=`"),
        (login == "entra" && client_id.is_empty(), "client_id", "give the id of the application"),
        (login == "entra" && !client_secret.0, "client_secret", "give the secret of the application"),
    ])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration, completed as the host does it.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        let defaults =
            [("host", "h"), ("account", "acc"), ("container", "con"), ("login", "key"), ("part_size", "8388608")];
        Config::of_texts(&[pairs, &defaults].concat())
    }

    #[test]
    fn a_blob_has_an_address_below_the_prefix() {
        let place = Place::of(&config(&[("prefix", "a b")]));
        assert_eq!(place.target(b"c+d/../e"), "/a%20b/c%2Bd/../e");
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
            ("!sas", ""),
            ("!client_secret", ""),
            ("login", "sas"),
        ] {
            assert_eq!(problems(&config(&[pair])).len(), 1, "{pair:?}");
        }
        assert!(problems(&config(&[("login", "sas"), ("!sas", "")])).is_empty());
        assert!(problems(&config(&[("login", "entra"), ("client_id", "i"), ("!client_secret", "")])).is_empty());
    }
}
