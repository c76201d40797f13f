//! The settings of a location, and how keys and addresses on the server follow from each other.

use credenza_sdk::http::Request;
use credenza_sdk::{Config, Problem};

use credenza_sdk::percent;

/// Endpoints of the manifest: of a user with a password or nobody, and of who has a token.
const ENDPOINT: &str = "folder";
const ENDPOINT_OF_TOKEN: &str = "token";

const LARGEST_FILE_DEFAULT: u64 = 256 * 1024 * 1024;

/// What the user configured.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    host: String,
    /// Without `/` at either end.
    path: String,
    endpoint: &'static str,
    /// Most bytes of a file that is restored.
    pub(crate) largest_file: u64,
}

impl Place {
    /// Reads the settings; the host has checked their types.
    pub(crate) fn of(config: &Config) -> Self {
        let text = |name| config.text(name).unwrap_or_default().to_owned();
        let has_token = config.secrets_present.iter().any(|name| name == "token");
        Self {
            host: text("host"),
            path: text("path"),
            endpoint: if has_token { ENDPOINT_OF_TOKEN } else { ENDPOINT },
            largest_file: config
                .integer("largest_file")
                .and_then(|n| n.try_into().ok())
                .unwrap_or(LARGEST_FILE_DEFAULT),
        }
    }

    /// The location as a person writes it; equal for equal places.
    pub(crate) fn identity(&self) -> String {
        format!("webdav://{}/{}", self.host, self.path)
    }

    /// The server and the folder, for messages.
    pub(crate) fn name(&self) -> String {
        format!("`{}`", self.identity())
    }

    /// A request for a key: that of a folder ends with `/`, that of the place itself is empty.
    pub(crate) fn request(&self, method: &str, key: &[u8]) -> Request {
        Request::new(method, self.endpoint, percent::path(key))
    }

    /// The decoded address of a key, its names joined by `/` and nothing at either end.
    pub(crate) fn names(&self, key: &[u8]) -> Vec<u8> {
        let key = key.strip_suffix(b"/").unwrap_or(key);
        let between: &[u8] = if self.path.is_empty() || key.is_empty() { b"" } else { b"/" };
        [self.path.as_bytes(), between, key].concat()
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let host = config.text("host").unwrap_or_default();
    let path = config.text("path").unwrap_or_default();
    let has = |name: &str| config.secrets_present.iter().any(|present| present == name);
    let rules = [
        (host.contains(['/', '?', '#']), "host", "name a host, and a port if need be; the folder goes into path"),
        (
            !path.is_empty() && !is_path(path.as_bytes()),
            "path",
            "a folder is written like `backup/laptop`: no `/` at either end, no empty name, no `.` and no `..`",
        ),
        (has("token") && has("user"), "token", "give either a token, or user and password"),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken.map(|(_, setting, rule)| Problem { setting: Some(setting.to_owned()), message: rule.to_owned() }).collect()
}

/// Whether a server that keeps folders can hold names of that kind: none is empty, `.` or `..`.
pub(crate) fn is_path(key: &[u8]) -> bool {
    key.split(|byte| *byte == b'/').all(is_name)
}

/// Whether it can be the name of a file or a folder.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

/// The key of the folder that something lies in: empty, or with a `/` at its end.
pub(crate) fn parent(key: &[u8]) -> &[u8] {
    let key = key.strip_suffix(b"/").unwrap_or(key);
    key.iter().rposition(|byte| *byte == b'/').and_then(|slash| key.get(..=slash)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use credenza_sdk::{Setting, Value};

    use super::*;

    /// A configuration of text settings; `token` is a secret.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        let setting = |(name, text): &(&str, &str)| Setting {
            name: (*name).to_owned(),
            value: text.parse().map_or_else(|_| Value::Text((*text).to_owned()), Value::Integer),
        };
        let settings = pairs.iter().chain(&[("host", "h"), ("path", "dav")]).map(setting).collect();
        let secrets = pairs.iter().filter(|(name, _)| matches!(*name, "token" | "user"));
        let secrets_present = secrets.map(|(name, _)| (*name).to_owned()).collect();
        Config { settings, secrets_present, purpose: "backup".to_owned() }
    }

    #[test]
    fn a_key_has_an_address_below_the_place() {
        let place = Place::of(&config(&[("path", "my dav/x")]));
        assert_eq!(place.names(b"a+b/"), b"my dav/x/a+b");
        assert_eq!(place.names(b""), b"my dav/x");
        let root = Place::of(&config(&[("path", "")]));
        assert_eq!(root.names(b"k/l/"), b"k/l");
    }

    #[test]
    fn a_parent_is_the_folder_above() {
        assert_eq!((parent(b"a"), parent(b"a/b"), parent(b"a/b/")), (&b""[..], &b"a/"[..], &b"a/"[..]));
    }

    #[test]
    fn what_cannot_be_a_place_is_named() {
        assert!(problems(&config(&[])).is_empty());
        for path in ["/a", "a/", "a//b", "../a", "."] {
            assert_eq!(problems(&config(&[("path", path)])).len(), 1, "{path}");
        }
        assert_eq!(problems(&config(&[("token", "t"), ("user", "u"), ("host", "h/x")])).len(), 2);
    }
}
