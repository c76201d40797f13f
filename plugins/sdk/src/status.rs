//! What a status of HTTP means to the host, where a protocol says no more.
//!
//! ```
//! use credenza_sdk::{ErrorClass, status};
//!
//! assert_eq!(status::class_of(404), ErrorClass::NotFound);
//! assert_eq!(status::class_of(503), ErrorClass::Transient);
//! ```

use crate::wire::{Answer, Headers};
use crate::{Error, ErrorClass};

/// The class of a failed request by its status alone. A protocol whose 404 can mean a missing bucket looks closer.
#[must_use]
pub const fn class_of(status: u16) -> ErrorClass {
    match status {
        304 | 409 | 412 => ErrorClass::Precondition,
        300..=399 | 401 | 407 => ErrorClass::Configuration,
        403 => ErrorClass::Denied,
        404 | 410 => ErrorClass::NotFound,
        408 | 425 | 429 => ErrorClass::Transient,
        416 => ErrorClass::Corrupt,
        400..=499 | 501 => ErrorClass::Unsupported,
        507 => ErrorClass::Exhausted,
        500..=599 => ErrorClass::Transient,
        _ => ErrorClass::Internal,
    }
}

/// The error of a failed answer. `action` names what was tried, for a person: `reading "a/b"`.
#[must_use]
pub fn error_of<B>(answer: &Answer<B>, action: &str) -> Error {
    let status = answer.status;
    let message = format!("{action} failed: the server answered status {status}");
    Error::new(class_of(status), format!("http.{status}"), message).with_retry_after_ms(retry_after_ms(&answer.headers))
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3); the form with a date is left to the host's own backoff.
#[must_use]
pub fn retry_after_ms(headers: &Headers) -> Option<u64> {
    headers.number("retry-after")?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_to_wait_is_handed_on() {
        for (value, expected) in
            [("7", Some(7000)), ("Thu, 01 Jan 1970 00:00:00 GMT", None), ("18446744073709551615", None)]
        {
            let headers = Headers(vec![("retry-after".to_owned(), value.to_owned())]);
            let error = error_of(&Answer { status: 503, headers, body: () }, "listing");
            assert_eq!((error.class, error.retry_after_ms), (ErrorClass::Transient, expected));
        }
    }

    #[test]
    fn every_status_has_a_class_and_no_failure_passes_for_a_missing_object() {
        for status in 0..=u16::MAX {
            assert_eq!(class_of(status) == ErrorClass::NotFound, status == 404 || status == 410, "{status}");
        }
    }
}
