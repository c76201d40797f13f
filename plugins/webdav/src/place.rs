//! The settings of a location, and how keys and addresses on the server follow from each other.

use credenza_sdk::http::Request;
use credenza_sdk::settings::{Given, broken};
use credenza_sdk::{Config, Problem, percent};

/// Endpoints of the manifest: of a user with a password or nobody, and of who has a token.
const ENDPOINT: &str = "folder";
const ENDPOINT_OF_TOKEN: &str = "token";

credenza_sdk::settings! {
    /// What the user configured.
    pub(crate) struct Place {
        host: String,
        /// Without `/` at either end.
        path: String,
        /// Most bytes of a file that is restored.
        pub(crate) largest_file: u64,
        token: Given,
        user: Given,
    }
}

impl Place {
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
        let endpoint = if self.token.0 { ENDPOINT_OF_TOKEN } else { ENDPOINT };
        Request::new(method, endpoint, percent::path(key))
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
    let Place { host, path, token, user, .. } = &Place::of(config);
    broken([
        (host.contains(['/', '?', '#']), "host", "name a host, and a port if need be; the folder goes into path"),
        (
            !path.is_empty() && !is_path(path.as_bytes()),
            "path",
            "a folder is written like `backup/laptop`: no `/` at either end, no empty name, no `.` and no `..`",
        ),
        (token.0 && user.0, "token", "give either a token, or user and password"),
    ])
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
    use super::*;

    /// A configuration, completed as the host does it.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        Config::of_texts(&[pairs, &[("host", "h"), ("path", "dav"), ("largest_file", "268435456")]].concat())
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
        assert_eq!(problems(&config(&[("!token", ""), ("!user", ""), ("host", "h/x")])).len(), 2);
    }
}
