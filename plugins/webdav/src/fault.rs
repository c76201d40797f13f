//! From a status to what the host should do and what a person should know.
//!
//! The documents of failures are not looked at: each server has its own, most of them for a browser.

use credenza_sdk::{Error, ErrorClass};
pub(crate) use credenza_sdk::{quote, shown};

use crate::wire::Headers;

/// The reason of a refusal because of somebody's lock.
const LOCKED: &str = "webdav.locked";
/// The reason of a refusal because of too many requests.
const SLOW_DOWN: &str = "webdav.slow-down";
/// The reason of a failure of the server itself, such as that of WsgiDAV when two move to one name at once.
const FAILED: &str = "webdav.failed";
/// The reason of an error of a resource whose folder is missing (RFC 4918 sections 9.3.1, 9.7.1, 9.9.4).
pub(crate) const NO_PARENT: &str = "webdav.no-parent";
/// The reason of an error of a method that is not known there.
pub(crate) const NO_METHOD: &str = "webdav.method";
pub(crate) const NOT_FOUND: &str = "webdav.not-found";
pub(crate) const NO_FOLDER: &str = "webdav.no-folder";
pub(crate) const UNAUTHORISED: &str = "webdav.unauthorised";
pub(crate) const MOVED: &str = "webdav.moved";
pub(crate) const PRECONDITION: &str = "webdav.precondition";

/// The error of a failed request. `action` is what was tried, as in `reading "a/b"`, and `place` the server and the folder.
pub(crate) fn classify(status: u16, headers: &Headers, action: &str, place: &str) -> Error {
    use ErrorClass::{
        Configuration, Corrupt, Denied, Exhausted, Internal, NotFound, Precondition, Transient, Unsupported,
    };
    let (class, reason, why) = match status {
        301 | 302 | 303 | 307 | 308 => {
            let to = headers.get("location").map_or("another address".to_owned(), |to| format!("`{}`", quote(to)));
            (
                Configuration,
                MOVED,
                format!(
                    "{place} redirects to {to}; set host and path to where it is, and use_tls if that is what differs"
                ),
            )
        }
        401 => {
            (Configuration, UNAUTHORISED, format!("{place} wants valid credentials; set user and password, or token"))
        }
        403 => (Denied, "webdav.denied", format!("{place} refuses it to this user; check what the user may do there")),
        404 | 410 => (NotFound, NOT_FOUND, "there is nothing of that name".to_owned()),
        405 | 501 => (
            Unsupported,
            NO_METHOD,
            format!("{place} cannot do that (status {status}); check that host and path are those of a WebDAV folder"),
        ),
        409 => (Denied, NO_PARENT, format!("{place} has no folder for it, or something else of that name")),
        412 => (Precondition, PRECONDITION, "it is not in the state that was asked for".to_owned()),
        413 => (Unsupported, "webdav.too-large", format!("it is larger than {place} takes")),
        414 => (Unsupported, "webdav.name-too-long", format!("its name is longer than {place} takes")),
        416 => (Corrupt, "webdav.past-the-end", "the file is shorter than the range that was asked for".to_owned()),
        423 => (Transient, LOCKED, "somebody else holds a lock on it".to_owned()),
        507 => (Exhausted, "webdav.full", format!("{place} is full, or its quota is spent")),
        408 | 425 | 429 => (Transient, SLOW_DOWN, format!("{place} asks for fewer requests")),
        400..=499 => (Unsupported, "webdav.not-taken", format!("{place} does not take it (status {status})")),
        500 => (Transient, FAILED, format!("{place} failed at it (status 500)")),
        502..=599 => (Transient, "webdav.unavailable", format!("{place} cannot serve it just now (status {status})")),
        200..=299 => (
            Corrupt,
            "webdav.not-webdav",
            format!(
                "{place} answered status {status}, which is no answer to that; check that host and path are those of a WebDAV folder"
            ),
        ),
        _ => (Internal, "webdav.unexpected", format!("{place} answered status {status}")),
    };
    let error = Error::new(class, reason, format!("{action} failed: {why}"));
    // In seconds (RFC 9110 section 10.2.3); the form with a date is left to the host's own backoff.
    error.with_retry_after_ms(headers.number("retry-after").and_then(|seconds| seconds.checked_mul(1000)))
}

/// Whether what was asked for may be carried out in spite of its failure, then or later: nobody has said what came of it, or a gateway alone has.
pub(crate) fn is_open(error: &Error) -> bool {
    error.class == ErrorClass::Transient && ![LOCKED, SLOW_DOWN, FAILED].contains(&error.reason.as_str())
}

/// The error of a document that is none of WebDAV, or contradicts itself.
pub(crate) fn not_webdav(action: &str, place: &str, found: &str) -> Error {
    let message =
        format!("{action} failed: {place} answered {found}; check that host and path are those of a WebDAV folder");
    Error::new(ErrorClass::Corrupt, "webdav.not-webdav", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(status: u16, headers: &[(&str, &str)]) -> Error {
        let headers = Headers(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        classify(status, &headers, "listing", "`webdav://h/dav`")
    }

    #[test]
    fn a_status_says_what_to_do() {
        for (status, class) in [
            (200, ErrorClass::Corrupt),
            (301, ErrorClass::Configuration),
            (400, ErrorClass::Unsupported),
            (401, ErrorClass::Configuration),
            (403, ErrorClass::Denied),
            (404, ErrorClass::NotFound),
            (405, ErrorClass::Unsupported),
            (412, ErrorClass::Precondition),
            (416, ErrorClass::Corrupt),
            (423, ErrorClass::Transient),
            (429, ErrorClass::Transient),
            (500, ErrorClass::Transient),
            (501, ErrorClass::Unsupported),
            (507, ErrorClass::Exhausted),
        ] {
            assert_eq!(judge(status, &[]).class, class, "{status}");
        }
        assert!(judge(301, &[("location", "https://h/other/")]).message.contains("`https://h/other/`"));
        assert_eq!(judge(503, &[("retry-after", "7")]).retry_after_ms, Some(7000));
    }

    proptest! {
        #[test]
        fn any_answer_gets_a_sentence(status in any::<u16>(), value in any::<String>()) {
            let error = judge(status, &[("retry-after", &value), ("location", &value)]);
            prop_assert!(error.message.starts_with("listing failed: "));
        }
    }
}
