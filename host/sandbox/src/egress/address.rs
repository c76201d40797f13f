//! How the addresses of endpoints are written: origins from templates, texts as parts of a path.

use http::uri::{Authority, Scheme};

use crate::settings::SettingsError;

/// Scheme and server of an address that settings yield for an endpoint.
///
/// # Errors
/// [`SettingsError::Address`] says what is wrong with it.
pub(super) fn origin(label: &str, address: &str) -> Result<(Scheme, Authority), SettingsError> {
    let invalid =
        |cause: String| SettingsError::Address { endpoint: label.to_owned(), address: address.to_owned(), cause };
    let (scheme, authority) = address.split_once("://").ok_or_else(|| invalid("it has no scheme".to_owned()))?;
    let scheme: Scheme = scheme.parse().map_err(|e| invalid(format!("{e}")))?;
    if authority.contains('@') {
        return Err(invalid("a name and password do not belong there".to_owned()));
    }
    let authority: Authority = authority.trim_end_matches('/').parse().map_err(|e| invalid(format!("{e}")))?;
    if authority.host().is_empty()
        || (authority.as_str().contains(':') && authority.port_u16().is_none() && !authority.as_str().ends_with(']'))
    {
        return Err(invalid("host or port is missing or wrong".to_owned()));
    }
    // The default port is left out of the `host` header and of the signature, so of the address too.
    let default_port = if scheme == Scheme::HTTPS { ":443" } else { ":80" };
    let without_port = authority.as_str().strip_suffix(default_port).and_then(|host| host.parse().ok());
    Ok((scheme, without_port.unwrap_or(authority)))
}

/// The text as one or more path segments: everything but RFC 3986 "unreserved" and `/` is escaped.
pub(super) fn encode_segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// The text as a part of one segment or of a value: `/` is escaped too.
pub(super) fn encode_name(text: &str) -> String {
    encode_segment(text).replace('/', "%2F")
}
