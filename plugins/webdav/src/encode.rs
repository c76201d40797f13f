//! Percent-encoding of keys in paths, and its inverse for the addresses in documents.

/// A key as the path of a request: `/` and the key, where everything but `/` and the unreserved characters of RFC 3986 section 2.3 is
/// `%XX`. Nothing is cleaned or collapsed.
pub(crate) fn path(key: &[u8]) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut encoded = String::from("/");
    for &byte in key {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte))
            }
            other => encoded.extend(['%', hex(other >> 4), hex(other & 0xf)]),
        }
    }
    encoded
}

/// The bytes of a segment of an address: `%XX` is a byte. What is no escape stays, `+` too.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (first, tail),
            },
            _ => (first, tail),
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
        assert_eq!(path(b"a b/+%2F?#\xff"), "/a%20b/%2B%252F%3F%23%FF");
        assert_eq!(path(b""), "/");
    }

    #[test]
    fn a_plus_is_a_plus() {
        assert_eq!(decode(b"a+b%2Bc%20%zz"), b"a+b+c %zz");
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes in any::<Vec<u8>>()) {
            let encoded = path(&bytes);
            prop_assert_eq!(decode(encoded.strip_prefix('/').unwrap().as_bytes()), bytes);
        }

        #[test]
        fn decoding_takes_anything(bytes in any::<Vec<u8>>()) {
            prop_assert!(decode(&bytes).len() <= bytes.len());
        }
    }
}
