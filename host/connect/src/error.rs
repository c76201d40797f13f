//! The one error of every connector: what to do about a failure, its cause in a word, and a sentence for a person.

use std::time::Duration;

/// The reason of bytes that do not have the checksum that was stated of them.
const CONTRADICTED: &str = "body.checksum";
/// The reason of an error that is none: the entry is to be recorded without its content.
const BY_REFERENCE: &str = "by-reference";
/// The reasons of the host for requests that got no whole answer.
const UNANSWERED: [&str; 9] = [
    "dns",
    "proxy",
    "connect",
    "tls",
    "http.not-http",
    "http.timeout",
    "http.idle",
    "http.interrupted",
    "body.too-short",
];
/// The reason of bytes that all came and may be of more than one moment.
const TORN: &str = "file.changed";

/// What the engine should do about a failure. A closed set of behaviours; the cause is in [`Error::reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Nothing has that name.
    NotFound,
    /// A condition (`if_absent`, `if_match`) did not hold. Expected, never retried blindly.
    Precondition,
    /// The same call may succeed later.
    Transient,
    /// The user must mend configuration or credentials.
    Configuration,
    /// The remote understood and refused.
    Denied,
    /// This connector or this endpoint cannot do that.
    Unsupported,
    /// Bytes or answers that contradict each other.
    Corrupt,
    /// The remote is full, or a quota is spent.
    Exhausted,
    /// The connector broke its contract: it trapped, looped, ate memory, lied or answered nonsense.
    Internal,
}

/// A failed call of a connector.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What to do about it.
    pub class: ErrorClass,
    /// Short machine-readable cause, such as `s3.slow-down`, `dns`, `tls.expired`, `file.not-found`.
    pub reason: String,
    /// One sentence for a person: what happened, to what, why.
    pub message: String,
    /// How long the remote asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// The result of a call of a connector.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure that says nothing of the time of the next try.
    #[must_use]
    pub fn new(class: ErrorClass, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), message: message.into(), retry_after: None }
    }

    /// The error behind one of a [`BodyReader::Blocking`](crate::BodyReader::Blocking): the connector's own when the
    /// reader wrapped one, such as `Precondition` for a file that changed under the reader; else `Transient`.
    #[must_use]
    pub fn from_io(error: std::io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::new(ErrorClass::Transient, "file.read", format!("reading failed: {error}")),
        }
    }

    /// Whether an entry is to be recorded without its content, as the user wishes.
    #[must_use]
    pub fn is_by_reference(&self) -> bool {
        self.reason == BY_REFERENCE
    }

    /// Bytes that do not have the checksum that was stated of them.
    pub(crate) fn contradicted(algorithm: &str) -> Self {
        let message = format!("its bytes do not have the checksum that is stated of them ({algorithm})");
        Self::new(ErrorClass::Corrupt, CONTRADICTED, message)
    }

    /// Whether bytes do not have the checksum that was stated of them.
    #[must_use]
    pub fn is_contradicted(&self) -> bool {
        self.reason == CONTRADICTED
    }

    /// Whether no whole answer came back, neither a result nor a refusal: nothing at all, or one that broke off. "Not now" is an answer.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.is_transient() && UNANSWERED.contains(&self.reason.as_str())
    }

    /// What was read changed meanwhile: all of its bytes came, and they may be of more than one moment.
    pub(crate) fn torn() -> Self {
        Self::new(ErrorClass::Precondition, TORN, "it was changed while it was being read")
    }

    /// Whether all bytes came, and may be of more than one moment: the error follows the last of them.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.reason == TORN
    }

    /// Whether the same call may be tried again unchanged.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.class, ErrorClass::Transient)
    }
}
