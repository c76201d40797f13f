//! What travels beside the bytes of an object, and how its versions are called.

use http::StatusCode;

use super::super::files::{Details, File};
use super::error;
use crate::exchange::{Answer, Asked, decode};

/// Headers of a write that a read gives back.
const KEPT: [&str; 11] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-checksum-*",
    "x-amz-meta-*",
    "x-amz-object-lock-legal-hold",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// How a version is called.
pub(super) fn id_of(number: i64) -> String {
    format!("v{number}")
}

pub(super) fn precondition_failed() -> Answer {
    error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", "a condition of the request does not hold")
}

/// What a write says beside the bytes.
pub(super) fn details(asked: &Asked) -> Details {
    let tags = asked.header("x-amz-tagging").unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let plain = |text: &str| String::from_utf8_lossy(&decode(text.replace('+', " ").as_bytes())).into_owned();
    let mut headers = asked.headers_like(&KEPT);
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "binary/octet-stream".to_owned()));
    }
    Details {
        headers,
        tags: tags.map(|(name, value)| (plain(name), plain(value))).collect(),
        locked_until: asked.header("x-amz-object-lock-retain-until-date").map(str::to_owned),
        ..Details::default()
    }
}

/// What every write tells.
pub(super) fn written(answer: Answer, file: &File) -> Answer {
    answer.with("etag", &file.etag()).with("x-amz-version-id", &id_of(file.number))
}
