//! Requests for the bucket: what it is, its listings, and deleting many objects.

use std::fmt::Write as _;

use http::StatusCode;

use super::super::files::{File, Files};
use super::super::listing::{self, Item, Question};
use super::fields::id_of;
use super::{ROOT, document, error, not_implemented};
use crate::exchange::{Answer, Asked, encode, escape, texts};
use crate::peer::Paging;

/// Most keys of a page.
const PAGE_KEYS_MAX: usize = 1000;

pub(super) fn answer(files: &mut Files, asked: &Asked, paging: Paging) -> Answer {
    match asked.method.as_str() {
        "HEAD" => Answer::plain(StatusCode::OK),
        "PUT" => error(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", "it is there"),
        "POST" if asked.has("delete") => delete(files, asked),
        "GET" if asked.has("versioning") => document("VersioningConfiguration", "<Status>Enabled</Status>"),
        "GET" if asked.has("object-lock") => {
            document("ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>")
        }
        "GET" if asked.has("versions") => versions(files, asked),
        "GET" if asked.word("list-type") == Some("2") => list(files, asked, paging),
        _ => not_implemented(),
    }
}

fn max_keys(asked: &Asked) -> usize {
    asked.word("max-keys").and_then(|max| max.parse().ok()).unwrap_or(PAGE_KEYS_MAX).min(PAGE_KEYS_MAX)
}

/// A key as the listing is to write it.
fn shown(asked: &Asked, key: &[u8]) -> String {
    if asked.has("encoding-type") { encode(key) } else { escape(&String::from_utf8_lossy(key)) }
}

fn list(files: &Files, asked: &Asked, paging: Paging) -> Answer {
    let question = Question {
        root: ROOT,
        prefix: asked.parameter("prefix").unwrap_or_default(),
        is_folded: asked.has("delimiter"),
        start_after: asked.parameter("start-after").unwrap_or_default(),
        token: asked.word("continuation-token"),
        max: max_keys(asked),
    };
    let Some(page) = listing::page(files, &question, paging) else {
        return error(StatusCode::BAD_REQUEST, "InvalidArgument", "the continuation token was never given");
    };
    let mut content = head(asked, page.next.is_some());
    let _ = write!(content, "<KeyCount>{}</KeyCount>", page.items.len());
    if let Some(next) = &page.next {
        let _ = write!(content, "<NextContinuationToken>{next}</NextContinuationToken>");
    }
    for Item { name, file } in &page.items {
        let key = shown(asked, name);
        content += &match file {
            Some(file) => format!("<Contents><Key>{key}</Key>{}</Contents>", fields(file)),
            None => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
        };
    }
    document("ListBucketResult", &content)
}

fn head(asked: &Asked, is_truncated: bool) -> String {
    let encoded = if asked.has("encoding-type") { "<EncodingType>url</EncodingType>" } else { "" };
    format!("<Name>kit</Name><IsTruncated>{is_truncated}</IsTruncated>{encoded}")
}

fn fields(file: &File) -> String {
    format!(
        "<LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size><StorageClass>{}</StorageClass>",
        file.modified_iso(),
        escape(&file.etag()),
        file.bytes.len(),
        escape(file.header("x-amz-storage-class").unwrap_or("STANDARD"))
    )
}

/// A page of ListObjectVersions, which goes on behind a key and a version of it.
fn versions(files: &Files, asked: &Asked) -> Answer {
    let prefix = [ROOT, asked.parameter("prefix").unwrap_or_default()].concat();
    let (marker, id) = (asked.parameter("key-marker").unwrap_or_default(), asked.word("version-id-marker"));
    let (mut content, mut reported, mut latest, mut is_behind) = (String::new(), 0_usize, Vec::new(), false);
    let mut next = None;
    let mut last = (String::new(), String::new());
    for (path, version) in files.versions(&prefix) {
        let key = path.strip_prefix(ROOT).unwrap_or(path);
        let own_id = id_of(version.number);
        let is_latest = std::mem::replace(&mut latest, key.to_vec()) != key;
        let is_passed = key < marker || key == marker && !marker.is_empty() && !is_behind;
        is_behind |= key == marker && id == Some(own_id.as_str());
        if is_passed {
            continue;
        }
        if reported == max_keys(asked) {
            next = Some(last);
            break;
        }
        reported = reported.saturating_add(1);
        let shown = shown(asked, key);
        let common = format!("<Key>{shown}</Key><VersionId>{own_id}</VersionId><IsLatest>{is_latest}</IsLatest>");
        content += &match &version.file {
            Some(file) => format!("<Version>{common}{}</Version>", fields(file)),
            None => {
                format!("<DeleteMarker>{common}<LastModified>2024-01-01T00:00:00.000Z</LastModified></DeleteMarker>")
            }
        };
        last = (shown, own_id);
    }
    let mut page = head(asked, next.is_some());
    if let Some((key, id)) = next {
        let _ = write!(page, "<NextKeyMarker>{key}</NextKeyMarker><NextVersionIdMarker>{id}</NextVersionIdMarker>");
    }
    document("ListVersionsResult", &(page + &content))
}

fn delete(files: &mut Files, asked: &Asked) -> Answer {
    let keys = texts(&String::from_utf8_lossy(&asked.body), "Key");
    let mut outcomes = String::new();
    for key in keys {
        files.hide(&[ROOT, key.as_bytes()].concat());
        let _ = write!(outcomes, "<Deleted><Key>{}</Key></Deleted>", escape(&key));
    }
    document("DeleteResult", &outcomes)
}
