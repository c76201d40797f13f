//! Keys of a snapshot as keys of S3, which are text, and back; and keys as listings carry them.
//!
//! A key that is UTF-8 is itself, whatever stands in it. In one that is not, each segment that is not, or that looks escaped, has the escaped name
//! that a restore to a folder gives it.

use std::fmt::Write as _;

use credenza_connect::file::escape::{escaped_text_names_of, key_of_path};

/// What every escaped segment begins with.
const MARK: &[u8] = b"%~";

/// A key as text.
pub(super) fn text_of(key: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(key) {
        return text.to_owned();
    }
    let segment = |segment: &[u8]| match std::str::from_utf8(segment) {
        Ok(text) if !segment.starts_with(MARK) => text.to_owned(),
        _ => String::from_utf8_lossy(&escaped_text_names_of(segment).join(&b'/')).into_owned(),
    };
    key.split(|byte| *byte == b'/').map(segment).collect::<Vec<_>>().join("/")
}

/// The key that is no text and has this one; none where there is no such key.
pub(super) fn hidden_key(text: &str) -> Option<Vec<u8>> {
    let key = key_of_path(text.as_bytes())?;
    (std::str::from_utf8(&key).is_err() && text_of(&key) == text).then_some(key)
}

/// The bytes that a prefix, or a place in a listing, means.
pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    hidden_key(text).unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Text as a listing carries it: where the client wants it `url` encoded, as AWS does, which leaves `/` and makes `+` of a space.
pub(super) fn listed(text: &str, is_url: bool) -> String {
    if !is_url {
        return text.to_owned();
    }
    let mut listed = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => listed.push(char::from(byte)),
            b' ' => listed.push('+'),
            // A text takes whatever is written to it.
            byte => drop(write!(listed, "%{byte:02X}")),
        }
    }
    listed
}

/// Where a listing goes on, as a token that any client hands back unharmed.
pub(super) fn token_of(key: &[u8]) -> String {
    key.iter().fold("k".to_owned(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// The key in a token; none where it is no token.
pub(super) fn key_of_token(token: &str) -> Option<Vec<u8>> {
    let digits = token.strip_prefix('k')?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|pair| if pair.len() == 2 { byte(pair) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_has_one_text_by_which_it_is_found(segments in proptest::collection::vec(
            prop_oneof![Just(b"%~x".to_vec()), Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..300)], 1..4,
        )) {
            let key = segments.join(&b'/');
            let text = text_of(&key);
            match std::str::from_utf8(&key) {
                Ok(own) => prop_assert_eq!(own, text),
                Err(_) => prop_assert_eq!(hidden_key(&text), Some(key.clone())),
            }
            prop_assert_eq!(key_of_token(&token_of(&key)), Some(key));
        }
    }

    #[test]
    fn listings_are_encoded_as_aws_encodes_them() {
        assert_eq!(listed("a b+c%/d\u{7}é*", true), "a+b%2Bc%25/d%07%C3%A9*");
        assert_eq!(listed("a b+c%", false), "a b+c%");
        assert_eq!(key_of_token("k6"), None);
        assert_eq!(key_of_token("zz"), None);
    }
}
