//! A part of a bucket or container: nothing of it, or all below a path. Keys of entries begin behind it.
//!
//! ```
//! use credenza_sdk::prefix::Prefix;
//!
//! let photos = Prefix::new("photos");
//! assert_eq!(photos.full(b"a.jpg"), b"photos/a.jpg");
//! assert_eq!(photos.key(b"photos/a.jpg"), Some(&b"a.jpg"[..]));
//! assert_eq!(photos.key(b"photosets/a.jpg"), None);
//! ```

use std::fmt;

use crate::Config;
use crate::settings::FromConfig;

/// Empty, or ends in `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(Vec<u8>);

impl Prefix {
    /// As a user writes it, with or without `/` at its end.
    #[must_use]
    pub fn new(written: &str) -> Self {
        let end = if written.is_empty() || written.ends_with('/') { "" } else { "/" };
        Self([written, end].concat().into_bytes())
    }

    /// The name in the bucket of an entry's key.
    #[must_use]
    pub fn full(&self, key: &[u8]) -> Vec<u8> {
        [self.0.as_slice(), key].concat()
    }

    /// The entry's key of a name in the bucket; nothing when it lies elsewhere.
    #[must_use]
    pub fn key<'a>(&self, full: &'a [u8]) -> Option<&'a [u8]> {
        full.strip_prefix(self.0.as_slice())
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is all of the bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// For messages and identities.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl FromConfig for Prefix {
    const TYPES: &'static [&'static str] = &["string"];

    fn find(config: &Config, name: &str) -> Self {
        Self::new(&String::find(config, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_whole_path() {
        for written in ["foo", "foo/"] {
            let prefix = Prefix::new(written);
            assert_eq!(prefix.key(b"foo/bar"), Some(&b"bar"[..]));
            assert_eq!(prefix.key(b"foobar"), None);
            assert_eq!(prefix.full(prefix.key(b"foo//z").unwrap()), b"foo//z");
            assert_eq!(prefix.to_string(), "foo/");
        }
        assert_eq!(Prefix::new("").full(b"k"), b"k");
    }
}
