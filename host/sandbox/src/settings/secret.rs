//! Values that must not be seen: [`SecretText`] holds one, [`Masker`] hides them in texts that come out of a connector.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use zeroize::Zeroize;

/// A text that may be secret: wiped when dropped, printed as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a text over; what is borrowed is copied, and the copy of its owner is not wiped.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for who signs with it, opens something with it, or has judged that it may be seen.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Cleans texts that come from a connector or a remote before a person sees them, and bodies before a guest does.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    /// The longest first: one may be a part of another.
    secrets: RwLock<Vec<SecretText>>,
    /// Those among them that are names: of a user, of a key.
    names: Vec<SecretText>,
}

/// Shorter secrets are not searched for in texts: they would blot out ordinary words.
const MASKED_BYTES_MIN: usize = 4;
/// Shorter ones are not searched for in bodies, where a word that is hidden may be part of the name of an object.
const NEEDLE_BYTES_MIN: usize = 12;

impl Masker {
    pub(crate) fn new(secrets: impl IntoIterator<Item = SecretText>) -> Self {
        let masker = Self::default();
        secrets.into_iter().for_each(|secret| masker.learn(secret));
        masker
    }

    /// That these secrets are names.
    pub(crate) fn with_names(mut self, names: impl IntoIterator<Item = SecretText>) -> Self {
        self.names.extend(names);
        self
    }

    /// What must not be in a body that a guest reads: secrets that are no ordinary words, and so no names either, unless they look like those of
    /// AWS's keys.
    pub(crate) fn needles(&self) -> Vec<SecretText> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let is_word = |secret: &SecretText| {
            let is_of_aws = secret.expose().bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            secret.expose().len() < NEEDLE_BYTES_MIN || (self.names.contains(secret) && !is_of_aws)
        };
        secrets.iter().filter(|secret| !is_word(secret)).cloned().collect()
    }

    /// All that is hidden in texts, the longest first: one may be a part of another.
    pub(crate) fn secrets(&self) -> Vec<SecretText> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hides one more secret from now on. All are remembered: an answer may still repeat one that was replaced.
    pub(crate) fn learn(&self, secret: SecretText) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if secret.expose().len() >= MASKED_BYTES_MIN && !secrets.contains(&secret) {
            let behind = secrets.partition_point(|known| known.expose().len() >= secret.expose().len());
            secrets.insert(behind, secret);
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

    /// The text without known secrets, on one line, without characters that deceive, at most `bytes_max` long.
    pub(crate) fn clean(&self, text: String, bytes_max: usize) -> String {
        let mut clean = String::new();
        for character in self.mask(self.beginning(text, bytes_max)).chars() {
            if clean.len() >= bytes_max {
                clean.push('…');
                break;
            }
            if deceives(character) {
                clean.extend(character.escape_unicode());
            } else {
                clean.push(character);
            }
        }
        clean
    }

    /// As much of a long text as is needed to clean it: so that what is cut off is no part of a secret in what is shown.
    fn beginning(&self, mut text: String, bytes_max: usize) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let longest = secrets.iter().map(|secret| secret.expose().len()).max().unwrap_or(0);
        // Each secret may shrink to three characters; so far on, nothing is shown of what remains.
        let enough = bytes_max.saturating_add(1).saturating_mul(longest.max(1));
        if text.len() > enough {
            text.truncate(text.floor_char_boundary(enough));
        }
        text
    }
}

/// Whether a character could make a text look like another: control characters and line ends, those that turn the direction of what follows,
/// and those that cannot be seen (Unicode, general categories Cc, Cf, Zl and Zp, as far as terminals heed them).
#[must_use]
pub fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", SecretText::new("hunter2")), "***");
    }

    #[test]
    fn secrets_and_control_characters_do_not_reach_a_terminal() {
        let masker = Masker::new([SecretText::new("hunter2"), SecretText::new("a")]);
        assert_eq!(masker.clean("\x1b[2J a hunter2!".to_owned(), 100), "\\u{1b}[2J a ***!");
        assert_eq!(masker.clean("x".repeat(20), 5), "xxxxx…");
        assert_eq!(masker.clean("a\nb\u{202e}c\u{200b}".to_owned(), 100), "a\\u{a}b\\u{202e}c\\u{200b}");
        let long = "hunter2".repeat(10_000);
        assert_eq!(masker.clean(long, 12), "************…");
    }

    #[test]
    fn in_a_body_words_are_not_hidden_and_keys_are() {
        let names = ["backup-of-the-office", "AKIAIOSFODNN7EXAMPLE"].map(SecretText::new);
        let others = ["hunter2", "wJalrXUtnFEMI/K7MDENG"].map(SecretText::new);
        let masker = Masker::new(names.clone().into_iter().chain(others)).with_names(names);
        let needles: Vec<String> = masker.needles().iter().map(|needle| needle.expose().to_owned()).collect();
        assert_eq!(needles, ["wJalrXUtnFEMI/K7MDENG", "AKIAIOSFODNN7EXAMPLE"], "the longest first");
    }
}
