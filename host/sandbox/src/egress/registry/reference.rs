//! `oci://server/repository:tag`, `…@sha256:DIGEST`, or both: which artifact of which registry is meant.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::Authority;

/// What such an address begins with.
pub const OCI: &str = "oci://";
/// Longest name of a repository, of the specification.
const REPOSITORY_BYTES_MAX: usize = 255;
/// Longest tag, of the specification.
const TAG_BYTES_MAX: usize = 128;
/// How a digest begins; registries know no other kind that is common.
const SHA256: &str = "sha256:";

/// The address of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// Host, and port when it is not the usual one.
    pub server: String,
    /// Its repository there.
    pub repository: String,
    /// A name that leads to another artifact tomorrow.
    pub tag: Option<String>,
    /// SHA-256 of its manifest, in hexadecimal behind `sha256:`.
    pub digest: Option<String>,
}

/// A text that is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no address in a registry: {why}", text.escape_debug())]
pub struct InvalidReference {
    text: String,
    why: &'static str,
}

impl ImageReference {
    /// What names the manifest at the registry: its digest when that is known.
    pub(super) fn name(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or_default()
    }

    /// Without TLS on this machine, and nowhere else.
    pub(super) fn scheme(&self) -> &'static str {
        if is_loopback(&self.server) { "http" } else { "https" }
    }
}

/// Whether a server is on this machine by its name.
pub(super) fn is_loopback(authority: &str) -> bool {
    let host = authority.parse::<Authority>().map(|authority| authority.host().to_ascii_lowercase());
    let host = host.unwrap_or_default();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // Names below it are for whoever answers names to say.
        Err(_) => host == "localhost",
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |why| InvalidReference { text: text.to_owned(), why };
        let rest = text.strip_prefix(OCI).ok_or_else(|| invalid("it must begin with oci://"))?;
        let (server, rest) = rest.split_once('/').ok_or_else(|| invalid("it names no repository"))?;
        let is_server = server.parse::<Authority>().is_ok_and(|server| !server.host().is_empty());
        if !is_server || server.contains('@') {
            return Err(invalid("what stands before the first `/` must be a host, with a port or without"));
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_ascii_lowercase())),
            None => (rest, None),
        };
        if digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            return Err(invalid("a digest is `sha256:` and 64 hexadecimal digits"));
        }
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(invalid("a repository is made of names of a-z, 0-9, `.`, `_` and `-`, with `/` between them"));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("a tag has 1 to 128 letters, digits, `.`, `_` and `-`"));
        }
        if tag.is_none() && digest.is_none() {
            return Err(invalid("it ends in no tag, such as :1.0.0, and in no digest, such as @sha256:…"));
        }
        Ok(Self { server: server.to_ascii_lowercase(), repository: repository.to_owned(), tag, digest })
    }
}

impl Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OCI}{}/{}", self.server, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// `sha256:` and 64 hexadecimal digits in lower case.
pub(super) fn is_digest(text: &str) -> bool {
    let hexadecimal = |digits: &str| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.strip_prefix(SHA256).is_some_and(|digits| digits.len() == 64 && hexadecimal(digits))
}

fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.ends_with(|last: char| last.is_ascii_alphanumeric())
    };
    text.len() <= REPOSITORY_BYTES_MAX && text.split('/').all(is_name)
}

fn is_tag(text: &str) -> bool {
    (1..=TAG_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_server_repository_tag_and_digest_and_is_written_as_it_was_read() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, server, repository, name) in [
            ("oci://ghcr.io/me/shop:1.0.0".to_owned(), "ghcr.io", "me/shop", "1.0.0"),
            ("oci://127.0.0.1:5000/shop:latest".to_owned(), "127.0.0.1:5000", "shop", "latest"),
            (format!("oci://[::1]:5000/a/b-c/d@{digest}"), "[::1]:5000", "a/b-c/d", digest.as_str()),
            (format!("oci://h.x/shop:1@{digest}"), "h.x", "shop", digest.as_str()),
        ] {
            let read: ImageReference = text.parse().unwrap();
            assert_eq!((read.server.as_str(), read.repository.as_str(), read.name()), (server, repository, name));
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "https://h/a:1",
            "oci://h",
            "oci:///a:1",
            "oci://h/a",
            "oci://h/:1",
            "oci://h/A:1",
            "oci://h/a:",
            "oci://h/a:.x",
            "oci://h/a//b:1",
            "oci://h/../a:1",
            "oci://h/a@sha256:ab",
            "oci://h/a@md5:ab",
            "oci://me:secret@h/a:1",
            "oci://h/a b:1",
            "oci://h/a:1?x",
            "oci://h/a:1#x",
            "oci://h/-a:1",
        ] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        let scheme = |server: &str| format!("oci://{server}/a:1").parse::<ImageReference>().unwrap().scheme();
        for near in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert_eq!(scheme(near), "http", "{near}");
        }
        for far in
            ["ghcr.io", "10.0.0.1:5000", "localhost.example.com", "127.0.0.1.example.com", "169.254.1.1", "a.localhost"]
        {
            assert_eq!(scheme(far), "https", "{far}");
        }
    }
}
