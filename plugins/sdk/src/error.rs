//! Making errors: what the host should do, the cause in a word, a sentence for a person.

use crate::{Error, ErrorClass};

/// The result of anything that a connector does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest text of a server that is handed on, in characters.
const QUOTE_CHARS_MAX: usize = 300;

/// A key for a message: quoted, with what a terminal could misread escaped.
#[must_use]
pub fn shown(key: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(key).escape_debug())
}

/// A text of a server for a message: on one line, at most 300 characters.
#[must_use]
pub fn quote(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(QUOTE_CHARS_MAX).collect()
}

impl Error {
    /// An error without a wish for the time of the next try. `reason` is short and machine-readable, such as `s3.slow-down`;
    /// `message` says what happened, to what, why, and what to do.
    #[must_use]
    pub fn new(class: ErrorClass, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), message: message.into(), retry_after_ms: None }
    }

    /// The same, with the time that the remote asked to be left alone.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: Option<u64>) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }
}
