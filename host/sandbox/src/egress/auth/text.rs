//! How signatures write bytes: in hexadecimal, percent-encoded, as the date of HTTP.

use std::time::SystemTime;

use credenza_model::Timestamp;
use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};

use crate::egress::EgressError;
use crate::manifest::is_unreserved;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything but the unreserved characters of RFC 3986 section 2.3 is escaped, `/` too.
pub(super) fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in bytes {
        match is_unreserved(*byte) {
            true => encoded.push(char::from(*byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The bytes that a text stands for; a `%` without two digits stands for itself.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Pairs as `application/x-www-form-urlencoded`.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        format!("{}={}", percent_encoded(name.as_bytes()), percent_encoded(value.as_bytes()))
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// The preferred form of RFC 9110 section 5.6.7, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(now: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = Timestamp { nanoseconds: 0, ..Timestamp::from_system(now) };
    let (year, month, day) = now.date();
    let nth = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    let weekday = nth(&DAYS, now.seconds.div_euclid(86_400).rem_euclid(7));
    let month = nth(&MONTHS, month - 1);
    let second = now.seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Sets a header that nobody shall see.
pub(super) fn set_secret(headers: &mut HeaderMap, name: &HeaderName, value: &str) -> Result<(), EgressError> {
    let unusable = || format!("a request could not be signed: the header `{name}` cannot hold its value");
    let mut value = HeaderValue::from_str(value).map_err(|_| EgressError::refused("egress.sign", unusable()))?;
    value.set_sensitive(true);
    headers.insert(name.clone(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let date = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(1_435_361_952), "Fri, 26 Jun 2015 23:39:12 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(percent_decoded(&percent_encoded(&all)), all);
        assert_eq!(percent_encoded(b"a b/~c"), "a%20b%2F~c");
        assert_eq!(percent_decoded("%2f%2G%"), b"/%2G%");
        assert_eq!(form(&[("a", "b&c"), ("d", "")]), "a=b%26c&d=");
    }
}
