//! From a status and an error document to what the host should do and what a person should know.
//!
//! The codes are those of <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>; servers that answer no
//! document, or one of their own, are judged by the status alone.

use credenza_sdk::{Error, ErrorClass, quote, status};

use crate::wire::Headers;
use credenza_sdk::xml::Element;

/// Longest error document that is looked at.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// A failed request.
pub(crate) struct Failure<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a Headers,
    /// The body, cut at [`DOCUMENT_BYTES_MAX`].
    pub(crate) body: &'a [u8],
    /// What was tried, to what: `reading "a/b"`.
    pub(crate) action: &'a str,
    /// The bucket and its host.
    pub(crate) place: &'a str,
}

/// The reasons of errors of requests that a server does not know in this form.
pub(crate) const NOT_IMPLEMENTED: &str = "s3.not-implemented";
pub(crate) const NOT_TAKEN: &str = "s3.not-taken";
/// The reason of an error of a status alone: some server on the way may have said it.
pub(crate) const BARE_NOT_FOUND: &str = "s3.not-found";
/// The reason of an error of an object that is archived.
pub(crate) const ARCHIVED: &str = "s3.archived";
/// The reason of an error of a bucket that is not there.
pub(crate) const NO_BUCKET: &str = "s3.no-such-bucket";
/// The reason of an error of a bucket that cannot be created once more.
pub(crate) const ALREADY_OWNED: &str = "s3.bucket-is-there";

/// What an error document says.
struct Said {
    code: String,
    message: String,
    region: Option<String>,
}

/// The error of a failed request.
pub(crate) fn classify(failure: &Failure<'_>) -> Error {
    let said = said(failure.body);
    let code = said.as_ref().map_or("", |said| said.code.as_str());
    let error = by_code(code, failure, said.as_ref()).unwrap_or_else(|| by_status(failure, said.as_ref()));
    error.with_retry_after_ms(status::retry_after_ms(failure.headers))
}

/// The error in a document that came with a status of success, if it is one.
pub(crate) fn in_disguise(document: &Element, failure: &Failure<'_>) -> Option<Error> {
    (document.name == "Error").then(|| classify(failure))
}

/// The error for one key of a batch, from its code and message.
pub(crate) fn of_code(code: &str, message: &str, action: &str, place: &str) -> Error {
    let document = format!(
        "<Error><Code>{}</Code><Message>{}</Message></Error>",
        credenza_sdk::xml::escape(code),
        credenza_sdk::xml::escape(message)
    );
    classify(&Failure { status: 200, headers: &Headers::default(), body: document.as_bytes(), action, place })
}

/// The error for an answer that is no answer of S3.
pub(crate) fn not_s3(action: &str, place: &str, expected: &str, found: &str) -> Error {
    let message =
        format!("{action} failed: {place} answered {found} instead of {expected}; check that the host speaks S3");
    Error::new(ErrorClass::Corrupt, "s3.not-s3", message)
}

fn said(body: &[u8]) -> Option<Said> {
    let root = Element::parse(body)?;
    // Some servers wrap the error once more.
    let error = if root.name == "Error" { &root } else { root.child("Error")? };
    Some(Said {
        code: error.text_of("Code").unwrap_or_default().trim().to_owned(),
        message: quote(error.text_of("Message").unwrap_or_default()),
        region: error.text_of("Region").map(quote),
    })
}

/// What the host should do, the reason's name, and why, for a person.
type Verdict = (ErrorClass, &'static str, String);

fn by_code(code: &str, failure: &Failure<'_>, said: Option<&Said>) -> Option<Error> {
    let verdict = of_caller(code, failure, said).or_else(|| of_object(code, failure.place, said));
    let (class, reason, why) = verdict.or_else(|| of_bucket(code, failure.place))?;
    let detail = said.map(|said| said.message.as_str()).unwrap_or_default();
    Some(explained(class, reason, failure.action, &why, detail))
}

/// Codes that speak of who asks: credentials, rights, the region and the clock.
fn of_caller(code: &str, failure: &Failure<'_>, said: Option<&Said>) -> Option<Verdict> {
    use ErrorClass::{Configuration, Denied};
    let place = failure.place;
    let region = || {
        let named =
            failure.headers.get("x-amz-bucket-region").map(quote).or_else(|| said.and_then(|s| s.region.clone()));
        match named {
            Some(region) => format!("{place} is in region `{region}`; set region to it"),
            None => format!("{place} is in another region; set region, or host, to that of the bucket"),
        }
    };
    Some(match code {
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => {
            (Denied, "s3.access-denied", format!("{place} refuses it to this access key; check the key's policy"))
        }
        "SignatureDoesNotMatch" => (
            Configuration,
            "s3.signature",
            format!("{place} does not accept the signature; check secret_access_key and region"),
        ),
        "InvalidAccessKeyId" | "NotSignedUp" => {
            (Configuration, "s3.access-key", format!("{place} does not know the access key; check access_key"))
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            (Configuration, "s3.expired-token", "the session token has expired; get new credentials".to_owned())
        }
        "InvalidToken" => {
            (Configuration, "s3.invalid-token", "the session token is not valid; check session_token".to_owned())
        }
        "RequestTimeTooSkewed" => (
            Configuration,
            "s3.clock-skew",
            format!("the clock of this machine differs too much from that of {place}; set it"),
        ),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => (Configuration, "s3.wrong-region", region()),
        _ => return None,
    })
}

/// Codes that speak of the object.
fn of_object(code: &str, place: &str, said: Option<&Said>) -> Option<Verdict> {
    use ErrorClass::{Configuration, Denied, NotFound, Precondition, Transient, Unsupported};
    Some(match code {
        "NoSuchKey" => (NotFound, "s3.no-such-key", "there is no such object".to_owned()),
        "NoSuchVersion" => (NotFound, "s3.no-such-version", "there is no such version".to_owned()),
        "NoSuchUpload" => (NotFound, "s3.no-such-upload", "the upload was ended by somebody else".to_owned()),
        "InvalidObjectState" => {
            (Denied, ARCHIVED, "the object is archived and must be restored from its storage class first".to_owned())
        }
        "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
            (Transient, "s3.bad-digest", "its bytes were changed on their way".to_owned())
        }
        "RestoreAlreadyInProgress" => (
            Precondition,
            "s3.copy-under-way",
            "a copy that can be read is under way: back up again when it is there".to_owned(),
        ),
        // The code is that of many mistakes, and the text alone tells this one from the others.
        "InvalidRequest" if said.is_some_and(|said| said.message.contains("Server Side Encryption")) => (
            Denied,
            "s3.customer-key",
            "the object is encrypted with a key of its owner (SSE-C), which the bucket does not keep".to_owned(),
        ),
        "PreconditionFailed" => {
            (Precondition, "s3.precondition", "the object is not in the state that was asked for".to_owned())
        }
        "EntityTooLarge" => (Unsupported, "s3.too-large", format!("it is larger than {place} takes")),
        "MetadataTooLarge" => {
            (Unsupported, "s3.metadata-too-large", "its user metadata is larger than S3 takes (2 KB)".to_owned())
        }
        "KeyTooLongError" => {
            (Unsupported, "s3.key-too-long", "its key is longer than S3 takes (1,024 bytes)".to_owned())
        }
        "InvalidStorageClass" => (
            Configuration,
            "s3.storage-class",
            format!("{place} does not have that storage class; check storage_class"),
        ),
        _ => return None,
    })
}

/// Codes that speak of the bucket, or of the server as a whole.
fn of_bucket(code: &str, place: &str) -> Option<Verdict> {
    use ErrorClass::{Configuration, Exhausted, Precondition, Transient, Unsupported};
    Some(match code {
        "NoSuchBucket" => (Configuration, NO_BUCKET, format!("{place} does not exist; check its name and the host")),
        "InvalidBucketName" => (Configuration, "s3.invalid-bucket", format!("{place} is no valid name of a bucket")),
        "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests" | "RequestLimitExceeded" => {
            (Transient, "s3.slow-down", format!("{place} asks for fewer requests"))
        }
        "ServiceUnavailable"
        | "InternalError"
        | "RequestTimeout"
        | "OperationAborted"
        | "ConditionalRequestConflict" => (Transient, "s3.unavailable", format!("{place} cannot serve it just now")),
        "BucketAlreadyOwnedByYou" => (Precondition, ALREADY_OWNED, format!("{place} is there already")),
        "BucketAlreadyExists" => {
            (Configuration, "s3.bucket-of-another", format!("{place} belongs to somebody else; choose another name"))
        }
        "NotImplemented" | "MethodNotAllowed" => (Unsupported, NOT_IMPLEMENTED, format!("{place} cannot do that")),
        "NoSuchObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError" => {
            (Unsupported, "s3.no-lock", format!("{place} was not made with Object Lock"))
        }
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" | "StorageFull" => {
            (Exhausted, "s3.full", format!("{place} is full, or its quota is spent"))
        }
        _ => return None,
    })
}

fn by_status(failure: &Failure<'_>, said: Option<&Said>) -> Error {
    use ErrorClass::{
        Configuration, Corrupt, Denied, Exhausted, Internal, NotFound, Precondition, Transient, Unsupported,
    };
    let Failure { status, action, place, headers, body } = *failure;
    let (class, reason, why) = match status {
        301 | 302 | 303 | 307 | 308 => {
            let region = headers.get("x-amz-bucket-region").map_or_else(
                || "redirects to another address; check host and region".to_owned(),
                |region| format!("is in region `{}`; set region to it", quote(region)),
            );
            (Configuration, "s3.wrong-region", format!("{place} {region}"))
        }
        401 => (
            Configuration,
            "s3.unauthorised",
            format!("{place} wants valid credentials; check access_key and secret_access_key"),
        ),
        403 => (Denied, "s3.access-denied", format!("{place} refuses it to this access key; check the key's policy")),
        404 | 410 => (NotFound, BARE_NOT_FOUND, "there is no such object, or no such bucket".to_owned()),
        405 | 501 => (Unsupported, NOT_IMPLEMENTED, format!("{place} cannot do that")),
        409 | 412 | 304 => {
            (Precondition, "s3.precondition", "the object is not in the state that was asked for".to_owned())
        }
        413 => (Unsupported, "s3.too-large", format!("it is larger than {place} takes")),
        416 => (Corrupt, "s3.past-the-end", "the object is shorter than the range that was asked for".to_owned()),
        507 => (Exhausted, "s3.full", format!("{place} is full, or its quota is spent")),
        408 | 425 | 429 => (Transient, "s3.slow-down", format!("{place} asks for fewer requests")),
        400..=499 => (Unsupported, NOT_TAKEN, format!("{place} does not take it (status {status})")),
        500..=599 => (Transient, "s3.unavailable", format!("{place} cannot serve it just now (status {status})")),
        _ => (Internal, "s3.unexpected", format!("{place} answered status {status}")),
    };
    let detail = match said {
        Some(said) if said.code.is_empty() => said.message.clone(),
        Some(said) => format!("{}: {}", quote(&said.code), said.message),
        None if body.is_empty() => String::new(),
        None if status == 400 => {
            "the answer is no document of S3; set use_tls=true if it is a server with TLS, else check that the host speaks S3".to_owned()
        }
        None => "the answer is no document of S3; check that the host speaks S3".to_owned()
    };
    explained(class, reason, action, &why, &detail)
}

fn explained(class: ErrorClass, reason: &str, action: &str, why: &str, detail: &str) -> Error {
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    Error::new(class, reason, format!("{action} failed: {why}{detail}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
        let headers = Headers(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        classify(&Failure {
            status,
            headers: &headers,
            body: body.as_bytes(),
            action: "listing",
            place: "bucket `b` at h",
        })
    }

    fn document(code: &str) -> String {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said</Message></Error>")
    }

    #[test]
    fn a_code_counts_more_than_its_status() {
        for (status, code, class) in [
            (404, "NoSuchBucket", ErrorClass::Configuration),
            (404, "NoSuchKey", ErrorClass::NotFound),
            (403, "SignatureDoesNotMatch", ErrorClass::Configuration),
            (403, "AccessDenied", ErrorClass::Denied),
            (403, "RequestTimeTooSkewed", ErrorClass::Configuration),
            (403, "InvalidObjectState", ErrorClass::Denied),
            (400, "ExpiredToken", ErrorClass::Configuration),
            (503, "SlowDown", ErrorClass::Transient),
            (409, "ConditionalRequestConflict", ErrorClass::Transient),
            (412, "PreconditionFailed", ErrorClass::Precondition),
            (400, "EntityTooLarge", ErrorClass::Unsupported),
        ] {
            assert_eq!(judge(status, &[], &document(code)).class, class, "{code}");
        }
    }

    #[test]
    fn without_a_document_the_status_counts() {
        for (status, class) in [
            (301, ErrorClass::Configuration),
            (403, ErrorClass::Denied),
            (404, ErrorClass::NotFound),
            (400, ErrorClass::Unsupported),
            (405, ErrorClass::Unsupported),
            (412, ErrorClass::Precondition),
            (500, ErrorClass::Transient),
            (501, ErrorClass::Unsupported),
            (507, ErrorClass::Exhausted),
        ] {
            assert_eq!(judge(status, &[], "").class, class, "{status}");
        }
        assert!(judge(502, &[], "<html><body>Bad gateway").message.contains("speaks S3"));
    }

    #[test]
    fn another_region_is_named() {
        let by_header = judge(301, &[("x-amz-bucket-region", "eu-west-1")], "");
        let by_document = judge(
            400,
            &[],
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message/><Region>eu-west-1</Region></Error>",
        );
        for error in [by_header, by_document] {
            assert_eq!(error.reason, "s3.wrong-region");
            assert!(error.message.contains("region `eu-west-1`"), "{}", error.message);
        }
    }

    #[test]
    fn an_object_whose_key_only_its_owner_has_is_named() {
        let text =
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided.";
        let document = format!("<Error><Code>InvalidRequest</Code><Message>{text}</Message></Error>");
        let error = judge(400, &[], &document);
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Denied, "s3.customer-key"));
        assert_eq!(judge(400, &[], "<Error><Code>InvalidRequest</Code></Error>").class, ErrorClass::Unsupported);
    }

    #[test]
    fn the_wish_to_wait_is_handed_on() {
        assert_eq!(judge(503, &[("retry-after", "7")], "").retry_after_ms, Some(7000));
        assert_eq!(judge(503, &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")], "").retry_after_ms, None);
        assert_eq!(judge(503, &[("retry-after", "18446744073709551615")], "").retry_after_ms, None);
    }

    proptest! {
        #[test]
        fn any_answer_gets_a_sentence(status in any::<u16>(), body in any::<String>(), value in any::<String>()) {
            let error = judge(status, &[("retry-after", &value), ("x-amz-bucket-region", &value)], &body);
            prop_assert!(error.message.starts_with("listing failed: "));
        }
    }
}
