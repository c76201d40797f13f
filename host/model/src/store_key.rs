//! Names of objects in a store: a small alphabet that any backend can hold unescaped.

use std::fmt;

use crate::limits::STORE_KEY_BYTES_MAX;

/// A name for an object of a repository: `[a-z0-9/._-]`, 1 to 200 bytes, no empty, `.` or `..` segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey(String);

/// A text that cannot name an object of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot name an object of a repository: allowed are 1 to {STORE_KEY_BYTES_MAX} of a-z 0-9 / . _ - without empty, `.` or `..` segments", text.escape_debug())]
pub struct InvalidStoreKey {
    /// What was given.
    pub text: String,
}

impl StoreKey {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`InvalidStoreKey`] when the text breaks the rules of the type.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidStoreKey> {
        let text = text.into();
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-');
        let segment_ok = |segment: &str| !matches!(segment, "" | "." | "..");
        if text.len() <= STORE_KEY_BYTES_MAX && text.bytes().all(allowed) && text.split('/').all(segment_ok) {
            Ok(Self(text))
        } else {
            Err(InvalidStoreKey { text })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_every_backend_holds_are_accepted() {
        for good in ["config", "data/0f/0f00", "a.b_c-d/e"] {
            assert!(StoreKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "a/../b", ".", "A", "a b", &"a".repeat(201)] {
            assert!(StoreKey::new(bad).is_err(), "{bad}");
        }
    }
}
