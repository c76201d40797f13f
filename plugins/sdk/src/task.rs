//! The host's clock, randomness, progress line and wish to stop. `SystemTime` and `Instant` of the standard library trap in the sandbox.

use crate::bindings::credenza::host::task as host;

/// Shows a line of progress to the user.
pub fn status(message: &str) {
    host::status(message);
}

/// Whether the run is to end. What goes on for long by its own will asks now and then, and ends with `transient`.
#[must_use]
pub fn cancelled() -> bool {
    host::cancelled()
}

/// Unix time in milliseconds.
#[must_use]
pub fn now_ms() -> u64 {
    host::now()
}

/// Random bytes, at most 1,024.
#[must_use]
pub fn random(count: u32) -> Vec<u8> {
    host::random(count)
}
