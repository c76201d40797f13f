//! From a status and the code of an error to what the host should do and what a person should know.
//!
//! Codes: <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes> and `common-rest-api-error-codes` beside it.

use credenza_sdk::xml::Element;
use credenza_sdk::{Error, ErrorClass, quote, status};

use crate::wire::Headers;
pub(crate) use credenza_sdk::shown;

/// Longest document of an error that is looked at.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

pub(crate) const NO_CONTAINER: &str = "azure.no-container";
pub(crate) const CREDENTIALS: &str = "azure.authentication";
pub(crate) const NO_CREDENTIALS: &str = "azure.no-credentials";
pub(crate) const NO_KEYS: &str = "azure.keys-disabled";
pub(crate) const EXISTS: &str = "azure.exists";
pub(crate) const PRECONDITION: &str = "azure.precondition";
pub(crate) const CONTAINER_EXISTS: &str = "azure.container-exists";
pub(crate) const BLOCKS: &str = "azure.block-list";

/// A failed answer.
#[derive(Clone, Copy)]
pub(crate) struct Failure<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a Headers,
    pub(crate) body: &'a [u8],
    /// What was tried, as in `reading "a/b"`.
    pub(crate) action: &'a str,
    /// The container and its account.
    pub(crate) place: &'a str,
    /// The setting `login`.
    pub(crate) login: &'a str,
}

/// What the host should do, the reason's name, and why, for a person.
type Verdict = (ErrorClass, &'static str, String);

/// The error of a failed request.
pub(crate) fn classify(failure: &Failure<'_>) -> Error {
    let document = Element::parse(failure.body).filter(|root| root.name == "Error");
    // The first line says what is wrong; what follows it are ids.
    let line = |text: &str| quote(text.trim().lines().next().unwrap_or_default());
    let text = |name: &str| document.as_ref().and_then(|root| root.text_of(name)).map(line);
    // An answer to HEAD has no document.
    let code = failure.headers.get("x-ms-error-code").map(quote).or_else(|| text("Code")).unwrap_or_default();
    let verdict = of_caller(&code, failure)
        .or_else(|| of_blob(&code, failure.place))
        .or_else(|| of_container(&code, failure.place))
        .unwrap_or_else(|| by_status(failure, &code));
    let (class, reason, why) = verdict;
    let said = text("AuthenticationErrorDetail").or_else(|| text("Message")).unwrap_or_default();
    let detail = match (code.is_empty(), said.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(" ({code})"),
        (true, false) => format!(" ({said})"),
        (false, false) => format!(" ({code}: {said})"),
    };
    let error = Error::new(class, reason, format!("{} failed: {why}{detail}", failure.action));
    error.with_retry_after_ms(status::retry_after_ms(failure.headers))
}

/// The error of an answer that is none of the service.
pub(crate) fn not_azure(action: &str, place: &str, expected: &str, found: &str) -> Error {
    let message = format!(
        "{action} failed: {place} answered {found} instead of {expected}; check that host is that of a blob service"
    );
    Error::new(ErrorClass::Corrupt, "azure.not-azure", message)
}

/// Codes that speak of who asks: credentials, rights, and the clock.
fn of_caller(code: &str, failure: &Failure<'_>) -> Option<Verdict> {
    use ErrorClass::{Configuration, Denied};
    let (place, login) = (failure.place, failure.login);
    let check = match login {
        "sas" => "check sas: whether it has begun, has not ended, and is for this container",
        "entra" => "check tenant, client_id and client_secret",
        "machine" => "check that this machine has an identity",
        _ => "check account, account_key and the clock of this machine",
    };
    Some(match code {
        "AuthenticationFailed" | "InvalidAuthenticationInfo" => {
            (Configuration, CREDENTIALS, format!("{place} does not accept the credentials; {check}"))
        }
        "NoAuthenticationInformation" => (
            Configuration,
            NO_CREDENTIALS,
            format!("{place} wants credentials; set account_key, or login and what it needs"),
        ),
        "KeyBasedAuthenticationNotPermitted" => (
            Configuration,
            NO_KEYS,
            format!("the account of {place} takes no keys; set login to sas, entra or machine"),
        ),
        "AccountIsDisabled" => (Configuration, "azure.account-disabled", format!("the account of {place} is disabled")),
        "PublicAccessNotPermitted" => (
            Configuration,
            NO_CREDENTIALS,
            format!("the account of {place} allows no anonymous requests; set account_key, or login and what it needs"),
        ),
        "AuthorizationPermissionMismatch"
        | "InsufficientAccountPermissions"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch" => {
            let why = match login {
                "sas" => {
                    "the shared access signature lacks that permission; make one with read, list and what is written"
                }
                _ => "this identity lacks a role for that, such as Storage Blob Data Contributor",
            };
            (Denied, "azure.permission", format!("{place} refuses it: {why}"))
        }
        "AuthorizationSourceIPMismatch" | "AuthorizationProtocolMismatch" => (
            Denied,
            "azure.network",
            format!("{place} refuses it from this address or by this protocol; check sas and use_tls"),
        ),
        "AuthorizationFailure" => (
            Denied,
            "azure.denied",
            format!("{place} refuses it; check what the credentials may do, and the firewall of the account"),
        ),
        _ => return None,
    })
}

/// Codes that speak of the blob.
fn of_blob(code: &str, place: &str) -> Option<Verdict> {
    use ErrorClass::{Corrupt, Denied, NotFound, Precondition, Transient, Unsupported};
    Some(match code {
        "BlobNotFound" | "ResourceNotFound" => (NotFound, "azure.no-blob", "there is no such blob".to_owned()),
        "BlobAlreadyExists" | "UnauthorizedBlobOverwrite" => {
            (Precondition, EXISTS, "a blob of that name exists".to_owned())
        }
        "BlobTypeMismatch" | "InvalidBlobType" => {
            (Denied, "azure.blob-type", "a blob of another type has its name; delete it first".to_owned())
        }
        "ConditionNotMet" | "TargetConditionNotMet" => {
            (Precondition, PRECONDITION, "the blob is not in the state that was asked for".to_owned())
        }
        "LeaseIdMissing" | "LeaseAlreadyPresent" => {
            (Denied, "azure.leased", "somebody holds a lease on the blob; break it, or wait until it ends".to_owned())
        }
        "BlobArchived" => {
            (Denied, "azure.archived", "the blob is in the tier Archive, and must be rehydrated first".to_owned())
        }
        "BlobBeingRehydrated" => (
            Denied,
            "azure.rehydrating",
            "the blob is on its way out of the tier Archive; try again when it is there".to_owned(),
        ),
        "SnapshotsPresent" => (Denied, "azure.snapshots", "the blob has snapshots; delete them first".to_owned()),
        "BlobImmutableDueToPolicy" | "BlobImmutableDueToLegalHold" | "ContainerImmutableDueToPolicy" => {
            (Denied, "azure.immutable", "a policy keeps it from being changed".to_owned())
        }
        "InvalidRange" => {
            (Corrupt, "azure.past-the-end", "the blob is shorter than the range that was asked for".to_owned())
        }
        "InvalidBlockList" | "InvalidBlobOrBlock" | "InvalidBlockId" => {
            (Transient, BLOCKS, "another upload of the same name has removed its blocks".to_owned())
        }
        "Md5Mismatch" | "Crc64Mismatch" => {
            (Transient, "azure.digest", "its bytes were changed on their way".to_owned())
        }
        "RequestBodyTooLarge" => (Unsupported, "azure.too-large", format!("it is larger than {place} takes")),
        "InvalidMetadata" | "EmptyMetadataKey" | "MetadataTooLarge" => {
            (Unsupported, "azure.metadata", "its user metadata is not what Azure takes".to_owned())
        }
        "InvalidUri" | "InvalidResourceName" | "OutOfRangeInput" => {
            (Unsupported, "azure.name", "Azure takes no such name".to_owned())
        }
        _ => return None,
    })
}

/// Codes that speak of the container, or of the service as a whole.
fn of_container(code: &str, place: &str) -> Option<Verdict> {
    use ErrorClass::{Configuration, Exhausted, Precondition, Transient, Unsupported};
    Some(match code {
        "ContainerNotFound" | "ContainerDisabled" => {
            (Configuration, NO_CONTAINER, format!("{place} does not exist; check its name and the account"))
        }
        "ContainerAlreadyExists" => (Precondition, CONTAINER_EXISTS, format!("{place} is there already")),
        "ContainerBeingDeleted" => (
            Transient,
            "azure.container-being-deleted",
            format!("{place} is being deleted; that takes half a minute or more"),
        ),
        "ServerBusy" | "OperationTimedOut" | "InternalError" | "AccountBeingCreated" => {
            (Transient, "azure.busy", format!("{place} cannot serve it just now"))
        }
        "FeatureVersionMismatch"
        | "FeatureNotSupportedForAccount"
        | "UnsupportedHeader"
        | "UnsupportedQueryParameter"
        | "UnsupportedHttpVerb"
        | "VersionNotSupportedForOperation" => (Unsupported, "azure.feature", format!("{place} cannot do that")),
        "AccountLimitExceeded" | "BlockCountExceedsLimit" | "BlockListTooLong" => {
            (Exhausted, "azure.limit", format!("a limit of {place} is reached"))
        }
        _ => return None,
    })
}

/// A conflict whose code is not known is one with how the account or the container is made, not with a condition.
fn by_status(failure: &Failure<'_>, code: &str) -> Verdict {
    let Failure { status, place, .. } = *failure;
    let is_of_the_account = status == 409 && !code.is_empty();
    let class = if is_of_the_account { ErrorClass::Unsupported } else { status::class_of(status) };
    let no_service = "check that host is that of a blob service, and use_tls";
    let (reason, why) = match class {
        ErrorClass::Precondition => (PRECONDITION, "the blob is not in the state that was asked for".to_owned()),
        ErrorClass::Configuration if status == 401 => {
            (NO_CREDENTIALS, format!("{place} wants valid credentials; set account_key, or login and what it needs"))
        }
        ErrorClass::Configuration => ("azure.moved", format!("{place} redirects to another address; {no_service}")),
        ErrorClass::Denied => ("azure.denied", format!("{place} refuses it; check what the credentials may do")),
        // The service says with each of its errors which it is.
        ErrorClass::NotFound if code.is_empty() => {
            let why = format!("{place} answered as no blob service does that something is not there; {no_service}");
            return (ErrorClass::Corrupt, "azure.not-azure", why);
        }
        ErrorClass::NotFound => ("azure.not-found", "there is no such blob, or no such container".to_owned()),
        ErrorClass::Corrupt => {
            ("azure.past-the-end", "the blob is shorter than the range that was asked for".to_owned())
        }
        ErrorClass::Exhausted => ("azure.full", format!("{place} is full")),
        _ if is_of_the_account => ("azure.conflict", format!("{place} is not made for that")),
        ErrorClass::Transient => ("azure.busy", format!("{place} cannot serve it just now (status {status})")),
        _ => ("azure.not-taken", format!("{place} does not take it (status {status}); {no_service}")),
    };
    (class, reason, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(status: u16, headers: &[(&str, &str)], body: &str, login: &str) -> Error {
        let headers = Headers(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        let (action, place) = ("listing", "container `c`");
        classify(&Failure { status, headers: &headers, body: body.as_bytes(), action, place, login })
    }

    fn document(code: &str) -> String {
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>said\nRequestId:1\nTime:2</Message></Error>"
        )
    }

    #[test]
    fn a_code_counts_more_than_its_status() {
        for (status, code, class) in [
            (404, "ContainerNotFound", ErrorClass::Configuration),
            (404, "BlobNotFound", ErrorClass::NotFound),
            (403, "AuthenticationFailed", ErrorClass::Configuration),
            (403, "AuthorizationPermissionMismatch", ErrorClass::Denied),
            (409, "BlobAlreadyExists", ErrorClass::Precondition),
            (409, "BlobArchived", ErrorClass::Denied),
            (409, "ContainerBeingDeleted", ErrorClass::Transient),
            (409, "SnapshotsPresent", ErrorClass::Denied),
            (412, "LeaseIdMissing", ErrorClass::Denied),
            (400, "InvalidBlockList", ErrorClass::Transient),
            (503, "ServerBusy", ErrorClass::Transient),
            (413, "RequestBodyTooLarge", ErrorClass::Unsupported),
        ] {
            let by_document = judge(status, &[], &document(code), "key");
            assert_eq!(by_document.class, class, "{code}");
            assert!(by_document.message.ends_with(&format!("({code}: said)")), "{}", by_document.message);
            assert_eq!(judge(status, &[("x-ms-error-code", code)], "", "key").class, class, "{code} of a HEAD");
        }
    }

    #[test]
    fn without_a_code_the_status_counts() {
        for (status, class) in [
            (302, ErrorClass::Configuration),
            (400, ErrorClass::Unsupported),
            (401, ErrorClass::Configuration),
            (403, ErrorClass::Denied),
            (404, ErrorClass::Corrupt),
            (412, ErrorClass::Precondition),
            (416, ErrorClass::Corrupt),
            (500, ErrorClass::Transient),
        ] {
            assert_eq!(judge(status, &[], "<html>Bad gateway", "key").class, class, "{status}");
        }
        assert_eq!(judge(503, &[("retry-after", "7")], "", "key").retry_after_ms, Some(7000));
    }

    #[test]
    fn wrong_credentials_name_the_settings_of_their_kind() {
        for (login, setting) in [("key", "account_key"), ("sas", "check sas"), ("entra", "client_secret")] {
            let error = judge(403, &[], &document("AuthenticationFailed"), login);
            assert!(error.message.contains(setting), "{}", error.message);
        }
    }

    proptest! {
        #[test]
        fn any_answer_gets_a_sentence(status in any::<u16>(), body in any::<String>(), value in any::<String>()) {
            let error = judge(status, &[("retry-after", &value), ("x-ms-error-code", &value)], &body, &value);
            prop_assert!(error.message.starts_with("listing failed: "));
        }
    }
}
