//! The name of an entry: bytes, because object keys and Unix names need not be UTF-8.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The key of an entry within its source, exact bytes.
///
/// Hierarchical sources separate with `/`, and a folder's key ends in `/`; the root folder is the empty key. A bucket's keys are whatever the bucket holds. Keys sort by byte value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// Wraps exact bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The exact bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The exact bytes, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The key as text, when it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether this key lies at or below `prefix`, where `prefix` names a whole path: `foo` covers `foo` and `foo/bar` but not `foobar`; a prefix that ends in `/`, and the empty one, cover all that begins with them.
    #[must_use]
    pub fn is_under(&self, prefix: &[u8]) -> bool {
        match self.0.strip_prefix(prefix) {
            Some(rest) => prefix.is_empty() || prefix.ends_with(b"/") || rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }
}

/// For JSON: a map of one, `key` with the text or `key_base64` where it is not UTF-8. To be flattened into what the key belongs to.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.as_str() {
            Some(text) => map.serialize_entry("key", text)?,
            None => map.serialize_entry("key_base64", &BASE64_STANDARD.encode(&self.0))?,
        }
        map.end()
    }
}

impl fmt::Display for Key {
    /// Text for a person: control characters and bytes that are not UTF-8 are escaped as `\xNN`, a backslash as `\\`, so that a terminal is safe and two different keys never look the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_control() => {
                        let mut buffer = [0; 4];
                        c.encode_utf8(&mut buffer).bytes().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                    }
                    c => write!(f, "{c}")?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_whole_path_segments() {
        let cases = [
            ("foo", "foo", true),
            ("foo/bar", "foo", true),
            ("foobar", "foo", false),
            ("foobar", "", true),
            ("foo/", "foo/", true),
            ("foo", "foo/", false),
        ];
        for (key, prefix, expected) in cases {
            assert_eq!(Key::from(key).is_under(prefix.as_bytes()), expected, "{key} under {prefix}");
        }
    }

    #[test]
    fn different_keys_print_differently_and_without_control_characters() {
        let keys: [&[u8]; 5] = [b"a\x1b[2J", b"a\\x1b[2J", b"\xff", b"\\xff", "é".as_bytes()];
        let shown: std::collections::BTreeSet<String> = keys.iter().map(|k| Key::new(*k).to_string()).collect();
        assert_eq!(shown.len(), keys.len());
        assert!(shown.iter().all(|s| !s.chars().any(char::is_control)));
    }
}
