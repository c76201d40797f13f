//! What a registry wants to see: a name and a password, or a token that somebody else hands out for them (RFC 7235, and the token authentication of
//! the distribution specification).

use http::Uri;

/// What a `www-authenticate` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The name and password themselves.
    Basic,
    /// A token from that address.
    Bearer {
        /// Where tokens are handed out.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads one challenge; schemes that are not known are none.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |wanted: &str| {
            parameters(rest).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        Some(Self::Bearer { realm: parameter("realm")?, service: parameter("service"), scope: parameter("scope") })
    }
}

/// `name="value",name=value`; values in quotes may hold commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some((name, behind)) = rest.split_once('=') {
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => behind.split_once(',').map_or((behind, ""), |(value, after)| (value, after)),
        };
        found.push((name.trim().to_owned(), value.to_owned()));
        rest = after.trim_start_matches([',', ' ']);
    }
    found
}

/// Where a token is asked for: the realm with service and scope.
pub(super) fn token_address(realm: &str, service: Option<&str>, scope: &str) -> Option<Uri> {
    let separator = if realm.contains('?') { '&' } else { '?' };
    let service = service.map(|service| format!("service={}&", encoded(service))).unwrap_or_default();
    format!("{realm}{separator}{service}scope={}", encoded(scope)).parse().ok()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let header =
            "Bearer realm=\"https://auth.x/token?a=b\",service=\"registry.x\",scope=\"repository:me/a:pull,push\"";
        let Some(Challenge::Bearer { realm, service, scope }) = Challenge::parse(header) else { panic!("no bearer") };
        assert_eq!((service.as_deref(), scope.as_deref()), (Some("registry.x"), Some("repository:me/a:pull,push")));
        let address = token_address(&realm, service.as_deref(), "repository:me/a:pull").unwrap();
        assert_eq!(address.to_string(), "https://auth.x/token?a=b&service=registry.x&scope=repository%3Ame%2Fa%3Apull");
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        for none in ["", "Negotiate", "Bearer", "Bearer service=x"] {
            assert_eq!(Challenge::parse(none), None, "{none}");
        }
    }
}
