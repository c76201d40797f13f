//! The name of a place in the configuration.

use super::{ConfigurationError, Kind};

const NAME_BYTES_MAX: usize = 64;

/// A name that needs no quotes in the file and cannot be taken for an option: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceName(String);

impl PlaceName {
    /// Checks a name; an `@` before it, as it is written in a location, is dropped.
    ///
    /// # Errors
    /// [`ConfigurationError::Name`].
    pub fn new(kind: Kind, text: &str) -> Result<Self, ConfigurationError> {
        let name = text.strip_prefix('@').unwrap_or(text);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(ConfigurationError::Name { kind, name: text.to_owned() })
        }
    }

    /// Without an `@`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlaceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for bad in ["", "@", "-o", ".x", "a b", "a/b", "é", "a@b", &"x".repeat(65)] {
            assert!(PlaceName::new(Kind::Source, bad).is_err(), "{bad}");
        }
        assert_eq!(PlaceName::new(Kind::Source, "@s3").unwrap().as_str(), "s3");
    }
}
