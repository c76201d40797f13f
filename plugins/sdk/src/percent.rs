//! Percent-encoding of keys and query values (RFC 3986 section 2), and its inverse.
//!
//! ```
//! use credenza_sdk::percent;
//!
//! assert_eq!(percent::path("b\u{fc}cher/a b".as_bytes()), "/b%C3%BCcher/a%20b");
//! assert_eq!(percent::query(&[("delete", None), ("prefix", Some(b"a/b"))]), "?delete&prefix=a%2Fb");
//! assert_eq!(percent::decode(b"b%C3%BCcher/a%20b"), "b\u{fc}cher/a b".as_bytes());
//! ```

/// Appends `bytes`: unreserved characters of RFC 3986 section 2.3 as they are, everything else as `%XX` in capitals, as
/// the signature of AWS wants it. `/` stays when `keep_slashes`.
fn append(encoded: &mut String, bytes: &[u8], keep_slashes: bool) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if keep_slashes => encoded.push('/'),
            other => encoded.extend(['%', hex(other >> 4), hex(other & 0xf)]),
        }
    }
}

/// A key as the path of a request: `/` and the encoded bytes, nothing cleaned or collapsed.
#[must_use]
pub fn path(key: &[u8]) -> String {
    let mut encoded = String::from("/");
    append(&mut encoded, key, true);
    encoded
}

/// A value of a query.
#[must_use]
pub fn value(bytes: &[u8]) -> String {
    let mut encoded = String::new();
    append(&mut encoded, bytes, false);
    encoded
}

/// A query such as `?delete` or `?list-type=2&prefix=a%2Fb`, of names that need no encoding and any values.
#[must_use]
pub fn query(pairs: &[(&str, Option<&[u8]>)]) -> String {
    let mut encoded = String::new();
    for (name, value) in pairs {
        encoded.push(if encoded.is_empty() { '?' } else { '&' });
        encoded.push_str(name);
        if let Some(value) = value {
            encoded.push('=');
            append(&mut encoded, value, false);
        }
    }
    encoded
}

/// The bytes of a path: `%XX` is a byte. What is no escape stays.
#[must_use]
pub fn decode(text: &[u8]) -> Vec<u8> {
    decode_where(text, |byte| byte)
}

/// The bytes of a value of a query or a form: `%XX` is a byte and `+` a space. What is no escape stays.
#[must_use]
pub fn decode_form(text: &[u8]) -> Vec<u8> {
    decode_where(text, |byte| if byte == b'+' { b' ' } else { byte })
}

fn decode_where(text: &[u8], plain: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (first, tail),
            },
            _ => (plain(first), tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    bytes
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_keeps_every_byte_in_its_path() {
        assert_eq!(path(b"a/../c//d "), "/a/../c//d%20");
        assert_eq!(path(b"/+%2F?\xff"), "//%2B%252F%3F%FF");
    }

    #[test]
    fn a_query_escapes_values_and_keeps_bare_names() {
        assert_eq!(query(&[("delete", None)]), "?delete");
        assert_eq!(query(&[("list-type", Some(b"2")), ("prefix", Some(b"a/b&c"))]), "?list-type=2&prefix=a%2Fb%26c");
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode(value(&bytes).as_bytes()), bytes.clone());
            prop_assert_eq!(decode_form(value(&bytes).as_bytes()), bytes.clone());
            prop_assert_eq!(decode(&path(&bytes).as_bytes()[1..]), bytes);
        }

        #[test]
        fn decoding_takes_anything(bytes in any::<Vec<u8>>()) {
            prop_assert!(decode(&bytes).len() <= bytes.len());
        }
    }
}
