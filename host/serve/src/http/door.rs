//! Who is let in: whoever knows the password of this run, and whoever has a link to one path, until it ends.
//!
//! Owned here: the password and links. A page elsewhere cannot ask by a name of its own (DNS rebinding), because only its own names
//! are answered.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use blake3::Hash;
use credenza_model::Timestamp;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;

use crate::Result;
use crate::listen::Origin;
use crate::random::{random, random_hex};

/// Who is asked for, with the password.
pub const USER: &str = "credenza";
/// Bytes of a password, which is twice as long in hexadecimal.
const PASSWORD_BYTES: usize = 10;
/// How long a link lets in unless it is told, and at the most.
const LINK: Duration = Duration::from_hours(24);
const LINK_MAX: Duration = Duration::from_hours(30 * 24);

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another server was asked for.
    Host,
    /// Neither the password nor a link.
    Unknown,
    /// A link that has ended, or is for another path.
    Link,
}

pub(super) struct Door {
    origin: Origin,
    /// Of what a client sends who knows the password.
    credentials: Hash,
    key: [u8; 32],
}

impl Door {
    /// A door at an address, and the password that opens it.
    pub(super) fn new(origin: Origin) -> Result<(Self, String)> {
        let password = random_hex::<PASSWORD_BYTES>()?;
        let credentials = blake3::hash(format!("{USER}:{password}").as_bytes());
        Ok((Self { origin, credentials, key: random()? }, password))
    }

    /// Lets a request in, or not.
    pub(super) fn admit(&self, request: &Parts, now: Timestamp) -> std::result::Result<(), Refusal> {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.origin.is(host) {
            return Err(Refusal::Host);
        }
        if let Some((until, key)) = by_link(request) {
            let is_valid = until.parse().is_ok_and(|until: i64| {
                until > now.seconds
                    && Hash::from_hex(key).is_ok_and(|key| key == self.link_key(request.uri.path(), until))
            });
            return if is_valid { Ok(()) } else { Err(Refusal::Link) };
        }
        let given = request.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
        let given =
            given.and_then(|header| header.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("basic"));
        let given = given.and_then(|(_, encoded)| BASE64.decode(encoded.trim()).ok());
        // Hashes are compared in constant time.
        let is_known = given.is_some_and(|given| blake3::hash(&given) == self.credentials);
        if is_known { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// A link to one path that lets in for so many seconds, or for a day.
    pub(super) fn link(&self, request: &Parts, seconds: &str, now: Timestamp) -> Option<String> {
        let seconds = if seconds.is_empty() { LINK.as_secs() } else { seconds.parse().ok()? };
        let seconds = i64::try_from(seconds.min(LINK_MAX.as_secs())).ok()?;
        let (path, until) = (request.uri.path(), now.seconds.saturating_add(seconds));
        let origin = self.origin.url();
        Some(format!("{origin}{path}?until={until}&key={}", self.link_key(path, until).to_hex()))
    }

    fn link_key(&self, path: &str, until: i64) -> Hash {
        blake3::keyed_hash(&self.key, format!("{until} {path}").as_bytes())
    }
}

/// Until when a request says that it is let in by a link, and the proof of it.
pub(super) fn by_link(request: &Parts) -> Option<(&str, &str)> {
    Some((parameter(request, "until")?, parameter(request, "key")?))
}

/// A parameter of a request, as it stands there; none has a value that would be encoded.
pub(super) fn parameter<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = request.uri.query().unwrap_or_default().split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

    fn request(uri: &str, host: &str, authorization: &str) -> Parts {
        let mut request = Request::builder().uri(uri).header(HOST, host);
        if !authorization.is_empty() {
            request = request.header(AUTHORIZATION, format!("Basic {}", BASE64.encode(authorization)));
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_password_opens_by_a_name_of_this_machine_alone() {
        let (door, password) = Door::new(Origin::here("127.0.0.1:8080".parse().unwrap())).unwrap();
        let right = format!("{USER}:{password}");
        for (host, authorization, admitted) in [
            ("127.0.0.1:8080", right.as_str(), Ok(())),
            ("LOCALHOST:8080", &right, Ok(())),
            ("evil.example:8080", &right, Err(Refusal::Host)),
            ("127.0.0.1", &right, Err(Refusal::Host)),
            ("127.0.0.1:8080", "", Err(Refusal::Unknown)),
            ("127.0.0.1:8080", "credenza:", Err(Refusal::Unknown)),
            ("127.0.0.1:8080", &format!("{right}x"), Err(Refusal::Unknown)),
        ] {
            assert_eq!(door.admit(&request("/a", host, authorization), NOW), admitted, "{host} {authorization}");
        }
    }

    #[test]
    fn a_link_opens_one_path_until_it_ends() {
        let (door, _) = Door::new(Origin::here("127.0.0.1:8080".parse().unwrap())).unwrap();
        let host = "127.0.0.1:8080";
        let link = door.link(&request("/a%20b", host, ""), "60", NOW).unwrap();
        let link = link.strip_prefix("http://127.0.0.1:8080").unwrap();
        let at = |seconds| Timestamp { seconds: NOW.seconds + seconds, ..NOW };
        assert_eq!(door.admit(&request(link, host, ""), at(59)), Ok(()));
        assert_eq!(door.admit(&request(link, host, ""), at(60)), Err(Refusal::Link));
        for other in [link.replace("a%20b", "a"), link.replace("until=18", "until=19"), link.replace("key=", "key=0")] {
            assert_eq!(door.admit(&request(&other, host, ""), at(1)), Err(Refusal::Link), "{other}");
        }
        assert_eq!(door.link(&request("/", host, ""), "soon", NOW), None);
        assert!(by_link(&request(&format!("{link}&link=3600"), host, "")).is_some());
        assert!(by_link(&request("/a?link=3600", host, "")).is_none());
        let (another, _) = Door::new(Origin::here("127.0.0.1:8080".parse().unwrap())).unwrap();
        assert_eq!(another.admit(&request(link, host, ""), at(1)), Err(Refusal::Link));
    }
}
