//! Uploads in parts.

use bytes::Bytes;
use http::StatusCode;

use super::super::files::{Details, Files, Staged};
use super::super::{content, md5};
use super::fields::{details, precondition_failed, written};
use super::{document, error, hex};
use crate::exchange::{Answer, Asked, escape, texts};

fn no_such_upload() -> Answer {
    error(StatusCode::NOT_FOUND, "NoSuchUpload", "it was never begun, or has ended")
}

/// The name of the upload that a request belongs to.
fn name(asked: &Asked) -> Vec<u8> {
    asked.parameter("uploadId").unwrap_or_default().to_vec()
}

pub(super) fn begin(files: &mut Files, asked: &Asked) -> Answer {
    let id = format!("u{}", files.count());
    files.staged.insert(id.clone().into_bytes(), Staged { details: details(asked), ..Staged::default() });
    document("InitiateMultipartUploadResult", &format!("<UploadId>{id}</UploadId>"))
}

pub(super) fn part(files: &mut Files, asked: &Asked) -> Answer {
    let number = asked.word("partNumber").and_then(|number| number.parse::<u32>().ok());
    let (Some(upload), Some(number)) = (files.staged.get_mut(&name(asked)), number) else { return no_such_upload() };
    upload.parts.insert(number.to_string(), asked.body.clone());
    Answer::plain(StatusCode::OK).with("etag", &format!("\"{}\"", hex(&md5(&asked.body))))
}

pub(super) fn complete(files: &mut Files, asked: &Asked) -> Answer {
    let Some(upload) = files.staged.get(&name(asked)) else { return no_such_upload() };
    let named = texts(&String::from_utf8_lossy(&asked.body), "PartNumber");
    let parts: Option<Vec<Bytes>> = named.iter().map(|number| upload.parts.get(number.trim()).cloned()).collect();
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else {
        return error(StatusCode::BAD_REQUEST, "InvalidPart", "a part was never sent");
    };
    if !content::may_write(asked, files.file(&asked.path)) {
        return precondition_failed();
    }
    let digests: Vec<u8> = parts.iter().flat_map(md5).collect();
    let etag = format!("\"{}-{}\"", hex(&md5(&digests.into())), parts.len());
    let details = Details { etag: Some(etag.clone()), ..upload.details.clone() };
    files.staged.remove(&name(asked));
    let file = files.put_with(&asked.path, parts.concat().into(), details);
    written(document("CompleteMultipartUploadResult", &format!("<ETag>{}</ETag>", escape(&etag))), &file)
}

pub(super) fn abort(files: &mut Files, asked: &Asked) -> Answer {
    match files.staged.remove(&name(asked)) {
        Some(_) => Answer::plain(StatusCode::NO_CONTENT),
        None => no_such_upload(),
    }
}
