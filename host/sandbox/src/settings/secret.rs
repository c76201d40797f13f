//! Values that must not be seen: [`Secret`] holds one, [`Masker`] hides them in texts that come out of a connector.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use zeroize::Zeroize;

/// A secret text: wiped when dropped, printed as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that signs with it.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Cleans texts that come from a connector or a remote before a person sees them.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    secrets: RwLock<Vec<Secret>>,
}

/// Shorter secrets are not searched for: they would blot out ordinary words.
const MASKED_BYTES_MIN: usize = 4;

impl Masker {
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let masker = Self::default();
        secrets.into_iter().for_each(|secret| masker.learn(secret));
        masker
    }

    /// Hides one more secret from now on. All are remembered: an answer may still repeat one that was replaced.
    pub(crate) fn learn(&self, secret: Secret) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if secret.expose().len() >= MASKED_BYTES_MIN && !secrets.contains(&secret) {
            secrets.push(secret);
        }
    }

    /// The text without known secrets.
    pub(crate) fn mask(&self, text: String) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(text, |text, secret| match text.contains(secret.expose()) {
            true => text.replace(secret.expose(), "***"),
            false => text,
        })
    }

    /// The text without known secrets, control characters escaped, at most `bytes_max` long.
    pub(crate) fn clean(&self, text: String, bytes_max: usize) -> String {
        let mut clean = String::new();
        for character in self.mask(text).chars() {
            if clean.len() >= bytes_max {
                clean.push('…');
                break;
            }
            if character.is_control() {
                clean.extend(character.escape_default());
            } else {
                clean.push(character);
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn secrets_and_control_characters_do_not_reach_a_terminal() {
        let masker = Masker::new([Secret::new("hunter2"), Secret::new("a")]);
        assert_eq!(masker.clean("\x1b[2J a hunter2!".to_owned(), 100), "\\u{1b}[2J a ***!");
        assert_eq!(masker.clean("x".repeat(20), 5), "xxxxx…");
    }
}
