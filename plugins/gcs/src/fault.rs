//! From a status and a document of an error to what the host should do and what a person should know.
//!
//! The reasons are those of <https://cloud.google.com/storage/docs/json_api/v1/status-codes>. Reading and sending bytes fails with a line of text instead of a
//! document; whoever answers neither is judged by the status alone.

use credenza_sdk::{Error, ErrorClass, quote, status};
use serde_json::Value;

use crate::json;
use crate::wire::Headers;

/// Longest document of an error that is looked at.
pub(crate) const ERROR_BYTES_MAX: usize = 64 * 1024;

pub(crate) const NOT_FOUND: &str = "gcs.not-found";
pub(crate) const NO_BUCKET: &str = "gcs.no-such-bucket";
pub(crate) const PRECONDITION: &str = "gcs.precondition";
pub(crate) const UNAUTHORISED: &str = "gcs.unauthorised";
pub(crate) const NO_SERVICE: &str = "gcs.service-disabled";
pub(crate) const NO_BILLING: &str = "gcs.billing";
pub(crate) const REQUESTER_PAYS: &str = "gcs.requester-pays";
pub(crate) const NO_LOCKS: &str = "gcs.no-retention";

/// A failed request.
#[derive(Clone, Copy)]
pub(crate) struct Failure<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a Headers,
    /// The body, cut at [`ERROR_BYTES_MAX`].
    pub(crate) body: &'a [u8],
    /// What was tried, to what: `reading "a/b"`.
    pub(crate) action: &'a str,
    /// The bucket and its host.
    pub(crate) place: &'a str,
}

/// What an answer says of the failure.
#[derive(Default)]
struct Said {
    /// Google's word for it.
    reason: String,
    message: String,
}

/// What the host should do, the reason's name, and why, for a person.
type Verdict = (ErrorClass, &'static str, String);

/// The error of a failed request.
pub(crate) fn classify(failure: &Failure<'_>) -> Error {
    let said = said(failure.body);
    let verdict = of_caller(failure, &said).or_else(|| of_object(failure, &said));
    let (class, reason, why) = verdict.unwrap_or_else(|| of_status(failure));
    let detail = match (said.reason.as_str(), said.message.as_str()) {
        ("", "") if failure.body.is_empty() => String::new(),
        ("", "") => " (the answer is no document of Google's; check that the host speaks the JSON API)".to_owned(),
        (_, message) => format!(" ({message})"),
    };
    let error = Error::new(class, reason, format!("{} failed: {why}{detail}", failure.action));
    error.with_retry_after_ms(status::retry_after_ms(failure.headers))
}

/// The error for an answer that is none of the service.
pub(crate) fn not_gcs(action: &str, place: &str, found: &str) -> Error {
    let message = format!("{action} failed: {place} answered {found}; check that the host speaks Google's JSON API");
    Error::new(ErrorClass::Corrupt, "gcs.not-gcs", message)
}

fn said(body: &[u8]) -> Said {
    match serde_json::from_slice::<Value>(body) {
        Ok(document) => {
            let error = document.get("error").unwrap_or(&Value::Null);
            let first = json::list(error, "errors").first().unwrap_or(&Value::Null);
            let message = json::text(error, "message").or_else(|| json::text(&document, "error_description"));
            Said {
                reason: quote(json::text(first, "reason").or_else(|| error.as_str()).unwrap_or_default()),
                message: quote(message.unwrap_or_default()),
            }
        }
        Err(_) => {
            let text = std::str::from_utf8(body).unwrap_or_default();
            // A page for a browser says nothing to a person.
            let is_line = !text.trim_start().starts_with('<') && text.trim().lines().count() == 1;
            Said { reason: String::new(), message: if is_line { quote(text) } else { String::new() } }
        }
    }
}

/// What speaks of who asks: credentials, rights, the project and how often.
fn of_caller(failure: &Failure<'_>, said: &Said) -> Option<Verdict> {
    use ErrorClass::{Configuration, Denied, Exhausted, Transient};
    let place = failure.place;
    Some(match (failure.status, said.reason.as_str()) {
        (401, _) | (_, "authError" | "invalid_grant" | "invalid_client") => (
            Configuration,
            UNAUTHORISED,
            format!("{place} wants valid credentials; set key_file to the key of a service account, or login"),
        ),
        (403, "rateLimitExceeded" | "userRateLimitExceeded") | (429, _) => {
            (Transient, "gcs.slow-down", format!("{place} asks for fewer requests"))
        }
        (_, "quotaExceeded" | "dailyLimitExceeded") => {
            (Exhausted, "gcs.quota", format!("a quota of the project of {place} is spent"))
        }
        (_, "accessNotConfigured" | "SERVICE_DISABLED" | "keyInvalid") => (
            Configuration,
            NO_SERVICE,
            "the project may not use Cloud Storage; run: gcloud services enable storage.googleapis.com".to_owned(),
        ),
        (_, "accountDisabled" | "billingDisabled" | "projectDisabled") => {
            (Configuration, NO_BILLING, format!("the project of {place} is disabled, or nobody pays for it"))
        }
        (_, "userProjectMissing" | "userProjectAccountProblem") => (
            Configuration,
            REQUESTER_PAYS,
            format!(
                "{place} lets those pay who ask (requester pays), which is not supported; use credentials of its project"
            ),
        ),
        (403, "retentionPolicyNotMet" | "objectUnderActiveHold") => {
            (Denied, "gcs.locked", "it is locked against deletion and change".to_owned())
        }
        (403, _) => (
            Denied,
            "gcs.access-denied",
            format!("{place} refuses it to these credentials; grant them the role roles/storage.objectUser there"),
        ),
        _ => return None,
    })
}

/// What speaks of the object or the bucket.
fn of_object(failure: &Failure<'_>, said: &Said) -> Option<Verdict> {
    use ErrorClass::{Configuration, Corrupt, NotFound, Transient, Unsupported};
    let place = failure.place;
    let says = |words: &str| said.message.to_ascii_lowercase().contains(words);
    Some(match failure.status {
        404 | 410 if says("bucket does not exist") => {
            (Configuration, NO_BUCKET, format!("{place} does not exist; check its name"))
        }
        // The service answers with documents of JSON or plain words, and no page.
        404 | 410 if failure.body.trim_ascii_start().starts_with(b"<") => {
            (Corrupt, "gcs.not-gcs", "a page answered that something is not there".to_owned())
        }
        404 | 410 => (NotFound, NOT_FOUND, "there is no such object".to_owned()),
        400 if says("storage class") => (
            Configuration,
            "gcs.storage-class",
            format!("{place} does not have that storage class; check storage_class"),
        ),
        400 if says("hash") || says("md5") || says("crc32c") => {
            (Transient, "gcs.bad-digest", "its bytes were changed on their way".to_owned())
        }
        400 | 409 | 412 if says("retention") => {
            (Unsupported, NO_LOCKS, format!("{place} was not made with object retention"))
        }
        _ => return None,
    })
}

fn of_status(failure: &Failure<'_>) -> Verdict {
    use ErrorClass::{Configuration, Corrupt, Exhausted, Internal, Precondition, Transient, Unsupported};
    let Failure { status, place, .. } = *failure;
    match status {
        304 | 412 => (Precondition, PRECONDITION, "the object is not in the state that was asked for".to_owned()),
        300..=399 => (Configuration, "gcs.moved", format!("{place} redirects to another address; check host")),
        // Two changes at once: the other may be through at the next try.
        408 | 409 | 425 => (Transient, "gcs.conflict", format!("{place} is busy with another change of it")),
        413 => (Unsupported, "gcs.too-large", format!("it is larger than {place} takes")),
        416 => (Corrupt, "gcs.past-the-end", "the object is shorter than the range that was asked for".to_owned()),
        405 | 501 => (Unsupported, "gcs.not-implemented", format!("{place} cannot do that")),
        400..=499 => (Unsupported, "gcs.not-taken", format!("{place} does not take it (status {status})")),
        507 => (Exhausted, "gcs.full", format!("{place} is full, or its quota is spent")),
        500..=599 => (Transient, "gcs.unavailable", format!("{place} cannot serve it just now (status {status})")),
        _ => (Internal, "gcs.unexpected", format!("{place} answered status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(status: u16, body: &str) -> Error {
        let headers = Headers(vec![("retry-after".to_owned(), "7".to_owned())]);
        classify(&Failure {
            status,
            headers: &headers,
            body: body.as_bytes(),
            action: "listing",
            place: "bucket `b` at h",
        })
    }

    fn document(reason: &str, message: &str) -> String {
        format!(
            r#"{{"error": {{"code": 1, "message": "{message}", "errors": [{{"domain": "global", "reason": "{reason}"}}]}}}}"#
        )
    }

    #[test]
    fn a_reason_counts_more_than_its_status() {
        use ErrorClass::*;
        for (status, reason, message, class, name) in [
            (
                401,
                "required",
                "Anonymous caller does not have storage.objects.list access",
                Configuration,
                UNAUTHORISED,
            ),
            (403, "forbidden", "no storage.objects.list access", Denied, "gcs.access-denied"),
            (403, "rateLimitExceeded", "", Transient, "gcs.slow-down"),
            (403, "accessNotConfigured", "", Configuration, NO_SERVICE),
            (403, "retentionPolicyNotMet", "Object is subject to its retention policy", Denied, "gcs.locked"),
            (400, "userProjectMissing", "", Configuration, REQUESTER_PAYS),
            (404, "notFound", "The specified bucket does not exist.", Configuration, NO_BUCKET),
            (404, "notFound", "No such object: b/a", NotFound, NOT_FOUND),
            (
                412,
                "conditionNotMet",
                "At least one of the pre-conditions you specified did not hold.",
                Precondition,
                PRECONDITION,
            ),
            (400, "invalid", "Object retention is not enabled for the bucket", Unsupported, NO_LOCKS),
            (400, "invalid", "Provided MD5 hash does not match calculated MD5 hash", Transient, "gcs.bad-digest"),
            (429, "rateLimitExceeded", "", Transient, "gcs.slow-down"),
            (503, "backendError", "", Transient, "gcs.unavailable"),
        ] {
            let error = judge(status, &document(reason, message));
            assert_eq!((error.class, error.reason.as_str()), (class, name), "{status} {reason}");
            assert_eq!(error.retry_after_ms, Some(7000));
            assert!(
                error.message.starts_with("listing failed: ") && error.message.contains(message),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn a_line_of_text_is_quoted_and_a_page_for_browsers_is_not() {
        assert!(judge(404, "No such object: b/a\n").message.ends_with("(No such object: b/a)"));
        let page = judge(404, "<html><title>404</title>\n</html>");
        assert!(page.message.contains("speaks the JSON API") && !page.message.contains("html"), "{}", page.message);
        assert!(judge(500, "").message.ends_with("(status 500)"));
    }

    proptest! {
        #[test]
        fn any_answer_has_an_error(status in any::<u16>(), body in any::<String>()) {
            let error = judge(status, &body);
            prop_assert!(error.message.len() <= 2048);
            prop_assert_eq!(error.class == ErrorClass::NotFound, error.reason == NOT_FOUND);
        }
    }
}
