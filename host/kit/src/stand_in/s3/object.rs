//! Requests for an object: reading, writing, deleting it, its tags and its lock.

use http::StatusCode;

use super::super::files::{Details, File, Files};
use super::super::{content, md5};
use super::fields::{details, id_of, precondition_failed, written};
use super::{ROOT, document, error, hex, not_implemented, upload};
use crate::exchange::{Answer, Asked, escape, texts};

const CHECKSUMS: &str = "x-amz-checksum-";

pub(super) fn answer(files: &mut Files, asked: &Asked) -> Answer {
    match asked.method.as_str() {
        "GET" if asked.has("tagging") => tags(files, asked),
        "GET" if asked.has("retention") => lock(files, asked),
        "GET" | "HEAD" if asked.has("acl") => not_implemented(),
        "GET" | "HEAD" => read(files, asked),
        "PUT" if asked.has("partNumber") => upload::part(files, asked),
        "PUT" if asked.has("retention") => retain(files, asked),
        "PUT" if asked.has("tagging") || asked.has("acl") || asked.header("x-amz-copy-source").is_some() => {
            not_implemented()
        }
        "PUT" => put(files, asked),
        "POST" if asked.has("uploads") => upload::begin(files, asked),
        "POST" if asked.has("uploadId") => upload::complete(files, asked),
        "DELETE" if asked.has("uploadId") => upload::abort(files, asked),
        "DELETE" => {
            files.hide(&asked.path);
            Answer::plain(StatusCode::NO_CONTENT).with("x-amz-delete-marker", "true")
        }
        _ => not_implemented(),
    }
}

fn no_such_key() -> Answer {
    error(StatusCode::NOT_FOUND, "NoSuchKey", "there is no such object")
}

/// The version that a request names, else the one that is there.
fn named(files: &Files, asked: &Asked) -> Option<File> {
    match asked.word("versionId") {
        None => files.file(&asked.path).cloned(),
        Some(id) => {
            let mut versions = files.versions(&asked.path).filter(|(path, _)| *path == asked.path.as_slice());
            versions.find(|(_, version)| id_of(version.number) == id).and_then(|(_, version)| version.file.clone())
        }
    }
}

fn read(files: &Files, asked: &Asked) -> Answer {
    let Some(mut file) = named(files, asked) else { return no_such_key() };
    let tags = file.details.tags.len();
    if asked.header("x-amz-checksum-mode").is_none() {
        file.details.headers.retain(|(name, _)| !name.starts_with(CHECKSUMS));
    }
    let answer = content::read(asked, &file, asked.header("range")).with("x-amz-version-id", &id_of(file.number));
    let answer = if tags > 0 { answer.with("x-amz-tagging-count", &tags.to_string()) } else { answer };
    let answer = match &file.details.locked_until {
        Some(until) => {
            answer.with("x-amz-object-lock-mode", "COMPLIANCE").with("x-amz-object-lock-retain-until-date", until)
        }
        None => answer,
    };
    match answer.status {
        StatusCode::PRECONDITION_FAILED => precondition_failed(),
        StatusCode::RANGE_NOT_SATISFIABLE => error(answer.status, "InvalidRange", "it is not as long"),
        _ => answer,
    }
}

fn put(files: &mut Files, asked: &Asked) -> Answer {
    if !content::may_write(asked, files.file(&asked.path)) {
        return precondition_failed();
    }
    let etag = Some(format!("\"{}\"", hex(&md5(&asked.body))));
    let file = files.put_with(&asked.path, asked.body.clone(), Details { etag, ..details(asked) });
    written(Answer::plain(StatusCode::OK), &file)
}

fn tags(files: &Files, asked: &Asked) -> Answer {
    let Some(file) = named(files, asked) else { return no_such_key() };
    let tag = |(name, value): &(String, String)| {
        format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(name), escape(value))
    };
    let tags: String = file.details.tags.iter().map(tag).collect();
    document("Tagging", &format!("<TagSet>{tags}</TagSet>"))
}

fn lock(files: &Files, asked: &Asked) -> Answer {
    let Some(file) = named(files, asked) else { return no_such_key() };
    match file.details.locked_until {
        Some(until) => document(
            "Retention",
            &format!("<Mode>COMPLIANCE</Mode><RetainUntilDate>{}</RetainUntilDate>", escape(&until)),
        ),
        None => error(StatusCode::NOT_FOUND, "NoSuchObjectLockConfiguration", "it is not locked"),
    }
}

/// Locks the object that is there; a lock only ever moves to a later time.
fn retain(files: &mut Files, asked: &Asked) -> Answer {
    let Some(file) = named(files, asked).filter(|_| asked.path.starts_with(ROOT)) else { return no_such_key() };
    let Some(until) = texts(&String::from_utf8_lossy(&asked.body), "RetainUntilDate").pop() else {
        return error(StatusCode::BAD_REQUEST, "MalformedXML", "it names no time");
    };
    // Times of one form are in the order of their texts.
    if file.details.locked_until.is_some_and(|now| until < now) {
        return error(StatusCode::FORBIDDEN, "AccessDenied", "a lock cannot be shortened");
    }
    files.amend(&asked.path, |details| details.locked_until = Some(until.clone()));
    Answer::plain(StatusCode::OK)
}
