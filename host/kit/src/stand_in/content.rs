//! Answers with the content of a file: whole or a range of it, under conditions (RFC 9110 sections 13 and 14).

use bytes::Bytes;
use http::{Method, StatusCode};

use super::files::File;
use crate::exchange::{Answer, Asked};

/// What is asked for of a file, after the conditions were looked at. `range` is the header that names a part.
pub(super) fn read(asked: &Asked, file: &File, range: Option<&str>) -> Answer {
    let tag = file.etag();
    if asked.header("if-match").is_some_and(|wanted| !names(wanted, &tag)) {
        return Answer::plain(StatusCode::PRECONDITION_FAILED);
    }
    if asked.header("if-none-match").is_some_and(|known| names(known, &tag)) {
        return described(Answer::plain(StatusCode::NOT_MODIFIED), file);
    }
    let length = file.bytes.len();
    let (status, bytes, part) = match range.and_then(|range| parse_range(range, length)) {
        None => (StatusCode::OK, file.bytes.clone(), None),
        Some((first, last)) if first >= length || last < first => {
            return Answer::plain(StatusCode::RANGE_NOT_SATISFIABLE);
        }
        Some((first, last)) => {
            let part = Some(format!("bytes {first}-{last}/{length}"));
            (StatusCode::PARTIAL_CONTENT, file.bytes.slice(first..=last), part)
        }
    };
    // Said of an empty file, too, in the answer to a HEAD.
    let answer = Answer::plain(status).with("content-length", &bytes.len().to_string());
    let answer = part.iter().fold(answer, |answer, part| answer.with("content-range", part));
    let answer = described(answer, file);
    if asked.method == Method::HEAD { answer } else { Answer { body: bytes, ..answer } }
}

/// Whether a condition names a tag, or any.
pub(super) fn names(condition: &str, tag: &str) -> bool {
    condition.split(',').map(str::trim).any(|named| named == "*" || named == tag || format!("\"{named}\"") == tag)
}

/// Tag, time and what else travels beside the bytes.
pub(super) fn described(answer: Answer, file: &File) -> Answer {
    let kept = file.details.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let answer = kept.fold(answer, |answer, (name, value)| answer.with(name, value));
    answer.with("etag", &file.etag()).with("last-modified", &file.modified())
}

/// Whether the conditions of a write hold for what is there.
pub(super) fn may_write(asked: &Asked, there: Option<&File>) -> bool {
    let is_absent_wanted = asked.header("if-none-match") == Some("*");
    let is_other = |wanted: &str| there.is_none_or(|file| !names(wanted, &file.etag()));
    !(is_absent_wanted && there.is_some() || asked.header("if-match").is_some_and(is_other))
}

/// First and last byte of a range; the last is within the file unless the first is not either.
fn parse_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = length.saturating_sub(1);
    let last = if last.is_empty() { end } else { last.parse::<usize>().ok()?.min(end) };
    Some((first, last))
}

/// A file with a part of it replaced or put behind it; nothing where it would have a hole, or the part is not as long as it says.
pub(super) fn put_into(there: Option<&File>, range: &str, part: &Bytes) -> Option<Bytes> {
    let (first, last) = range.strip_prefix("bytes ")?.strip_suffix("/*")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    let old = &there?.bytes;
    if end.checked_sub(first)? != part.len() {
        return None;
    }
    let (head, tail) = (old.get(..first)?, old.get(end..).unwrap_or_default());
    Some([head, part, tail].concat().into())
}
