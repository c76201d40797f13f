//! Listings: objects in byte order, their versions, common prefixes, pages.

use super::{Storage, quirks};
use crate::buckets::{Bucket, hex};
use crate::faults::Quirks;
use crate::object::Version;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};
use std::ops::Bound;

/// The most entries of a page, as AWS has it.
const PAGE_ENTRIES_MAX: i32 = 1000;

/// What a listing asks for.
struct Question<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    /// Where the page begins: after this key, or after all keys under this common prefix.
    after: After,
    entries_max: usize,
}

#[derive(Clone, PartialEq)]
enum After {
    Nothing,
    Key(String),
    /// After a version of this key, which the rows tell.
    Version(String),
    Prefix(String),
}

impl After {
    fn admits(&self, key: &str) -> bool {
        match self {
            Self::Nothing => true,
            Self::Key(after) => key > after.as_str(),
            Self::Version(after) => key >= after.as_str(),
            Self::Prefix(prefix) => key > prefix.as_str() && !key.starts_with(prefix.as_str()),
        }
    }

    fn bound(&self) -> Bound<&str> {
        match self {
            Self::Nothing => Bound::Unbounded,
            Self::Key(key) | Self::Version(key) | Self::Prefix(key) => Bound::Included(key),
        }
    }

    /// An opaque token: the hexadecimal form hides odd characters from XML and queries.
    fn token(&self) -> String {
        match self {
            Self::Nothing => "n".to_owned(),
            Self::Key(key) | Self::Version(key) => format!("k{}", hex(key.as_bytes())),
            Self::Prefix(prefix) => format!("p{}", hex(prefix.as_bytes())),
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Key(key) | Self::Version(key) | Self::Prefix(key) => key,
        }
    }

    fn parse(token: &str) -> S3Result<Self> {
        let invalid = || s3_error!(InvalidArgument, "The continuation token provided is incorrect");
        let token = token.split('-').next().unwrap_or_default();
        let digits = token.get(1..).ok_or_else(invalid)?.as_bytes();
        let pairs = digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        let text = String::from_utf8(pairs.collect::<Option<Vec<u8>>>().ok_or_else(invalid)?).map_err(|_| invalid())?;
        match token.as_bytes().first() {
            Some(b'n') => Ok(Self::Nothing),
            Some(b'k') => Ok(Self::Key(text)),
            Some(b'p') => Ok(Self::Prefix(text)),
            _ => Err(invalid()),
        }
    }
}

struct Page<'a> {
    entries: Vec<(&'a str, &'a [Version])>,
    prefixes: Vec<String>,
    /// Where the next page begins, unless this is the last one.
    next: Option<After>,
}

/// One page of the keys for which `wanted` holds.
fn page<'a>(bucket: &'a Bucket, question: &Question<'_>, wanted: impl Fn(&[Version]) -> bool) -> Page<'a> {
    let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), next: None };
    let mut last = After::Nothing;
    let from = match question.after.bound() {
        Bound::Included(after) if after > question.prefix => Bound::Included(after),
        _ => Bound::Included(question.prefix),
    };
    for (key, versions) in bucket.objects.range::<str, _>((from, Bound::Unbounded)) {
        let Some(rest) = key.strip_prefix(question.prefix) else { break };
        if !question.after.admits(key) || !last_covers_not(&last, key) || !wanted(versions) {
            continue;
        }
        if page.entries.len().saturating_add(page.prefixes.len()) >= question.entries_max {
            page.next = Some(if last == After::Nothing { question.after.clone() } else { last });
            break;
        }
        let cut = rest.find(question.delimiter).filter(|_| !question.delimiter.is_empty());
        let common = cut.and_then(|at| rest.get(..at.saturating_add(question.delimiter.len())));
        last = match common {
            Some(common) => After::Prefix(format!("{}{common}", question.prefix)),
            None => After::Key(key.clone()),
        };
        match &last {
            After::Prefix(prefix) => page.prefixes.push(prefix.clone()),
            _ => page.entries.push((key, versions)),
        }
    }
    page
}

fn last_covers_not(last: &After, key: &str) -> bool {
    !matches!(last, After::Prefix(prefix) if key.starts_with(prefix.as_str()))
}

impl Storage {
    pub(super) async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<ListObjectsV2Output> {
        let quirks = quirks(&request);
        let input = request.input;
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => After::parse(token)?,
            (None, Some(key)) if !quirks.start_after_ignored => After::Key(key.clone()),
            _ => After::Nothing,
        };
        let url = wants_url(input.encoding_type.as_ref());
        let asked = entries_max(input.max_keys);
        let question = Question {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: strayed(after, quirks),
            entries_max: self.paging.entries(asked, true),
        };
        self.with(&input.bucket, |bucket| {
            let page = page(bucket, &question, is_visible);
            let next = page.next.as_ref().filter(|_| asked > 0).map(|next| next.token() + &self.paging.nonce());
            let token = if quirks.endless { Some("k00".to_owned()) } else { next };
            let contents = contents(&page, url, quirks);
            let prefixes = common_prefixes(&page, url);
            Ok(ListObjectsV2Output {
                name: Some(input.bucket.clone()),
                prefix: Some(encoded(question.prefix, url)),
                delimiter: input.delimiter.as_deref().map(|delimiter| encoded(delimiter, url)),
                start_after: input.start_after.as_deref().map(|key| encoded(key, url)),
                max_keys: i32::try_from(asked).ok(),
                key_count: i32::try_from(contents.len().saturating_add(prefixes.len())).ok(),
                is_truncated: Some(token.is_some()),
                continuation_token: input.continuation_token.clone(),
                next_continuation_token: token,
                contents: Some(contents),
                common_prefixes: Some(prefixes),
                encoding_type: input.encoding_type.clone(),
                ..Default::default()
            })
        })
    }

    pub(super) async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<ListObjectsOutput> {
        let quirks = quirks(&request);
        let input = request.input;
        let url = wants_url(input.encoding_type.as_ref());
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let after = match input.marker.clone() {
            Some(marker) if !delimiter.is_empty() && marker.ends_with(&delimiter) => After::Prefix(marker),
            Some(marker) => After::Key(marker),
            None => After::Nothing,
        };
        let question = Question {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: &delimiter,
            after: strayed(after, quirks),
            entries_max: self.paging.entries(entries_max(input.max_keys), false),
        };
        self.with(&input.bucket, |bucket| {
            let page = page(bucket, &question, is_visible);
            let next_marker = page.next.as_ref().map(|next| encoded(next.key(), url));
            Ok(ListObjectsOutput {
                name: Some(input.bucket.clone()),
                prefix: Some(encoded(question.prefix, url)),
                marker: input.marker.as_deref().map(|marker| encoded(marker, url)),
                delimiter: input.delimiter.as_deref().map(|delimiter| encoded(delimiter, url)),
                max_keys: i32::try_from(question.entries_max).ok(),
                is_truncated: Some(next_marker.is_some()),
                next_marker,
                contents: Some(contents(&page, url, quirks)),
                common_prefixes: Some(common_prefixes(&page, url)),
                encoding_type: input.encoding_type.clone(),
                ..Default::default()
            })
        })
    }

    /// Versions and delete markers of a key may be split over two pages.
    pub(super) async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<ListObjectVersionsOutput> {
        let quirks = quirks(&request);
        let input = request.input;
        let url = wants_url(input.encoding_type.as_ref());
        let question = Question {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: strayed(after_version(input.key_marker.clone(), input.version_id_marker.as_deref()), quirks),
            entries_max: entries_max(input.max_keys),
        };
        let rows_max = self.paging.entries(question.entries_max, false);
        self.with(&input.bucket, |bucket| {
            let mut page = page(bucket, &question, |_| true);
            let mut rows = rows_of(&page, &question.after, input.version_id_marker.as_deref());
            if rows.len() > rows_max {
                rows.truncate(rows_max);
                let last = rows.last().map(|row| row.key.to_owned()).unwrap_or_default();
                page.prefixes.retain(|prefix| *prefix < last);
                page.next = Some(After::Version(last));
            }
            if quirks.versions_left_out {
                rows.retain(|row| {
                    row.key == question.prefix || !row.key.bytes().map(u64::from).sum::<u64>().is_multiple_of(3)
                });
            }
            let (mut versions, mut markers) = (Vec::new(), Vec::new());
            for Row { key, version, is_latest } in &rows {
                match version.content {
                    Some(_) => versions.push(version_of(&encoded(key, url), version, *is_latest)),
                    None => markers.push(marker_of(&encoded(key, url), version, *is_latest)),
                }
            }
            let next = page.next.as_ref().map(|next| encoded(next.key(), url));
            let last_id = rows.last().filter(|row| page.next.as_ref().is_some_and(|next| next.key() == row.key));
            Ok(ListObjectVersionsOutput {
                name: Some(input.bucket.clone()),
                prefix: Some(encoded(question.prefix, url)),
                key_marker: input.key_marker.as_deref().map(|marker| encoded(marker, url)),
                max_keys: i32::try_from(question.entries_max).ok(),
                is_truncated: Some(next.is_some()),
                next_version_id_marker: last_id.map(|row| row.version.id.clone()),
                next_key_marker: next,
                versions: Some(versions),
                delete_markers: Some(markers),
                common_prefixes: Some(common_prefixes(&page, url)),
                encoding_type: input.encoding_type.clone(),
                ..Default::default()
            })
        })
    }
}

/// A version in a listing.
struct Row<'a> {
    key: &'a str,
    version: &'a Version,
    is_latest: bool,
}

/// The versions of a page, newest first, without those of the first key that came before.
fn rows_of<'a>(page: &Page<'a>, after: &After, version_marker: Option<&str>) -> Vec<Row<'a>> {
    let rows = page.entries.iter().flat_map(|&(key, versions)| {
        versions.iter().rev().enumerate().map(move |(age, version)| Row { key, version, is_latest: age == 0 })
    });
    let mut rows: Vec<Row<'a>> = rows.collect();
    if let After::Version(key) = after {
        let reported = rows.iter().position(|row| row.key == *key && Some(row.version.id.as_str()) == version_marker);
        let of_key = rows.iter().take_while(|row| row.key == *key).count();
        rows.drain(..reported.map_or(of_key, |place| place + 1));
    }
    rows
}

fn after_version(key: Option<String>, version: Option<&str>) -> After {
    match key {
        None => After::Nothing,
        Some(key) if version.is_some_and(|version| !version.is_empty()) => After::Version(key),
        Some(key) => After::Key(key),
    }
}

fn is_visible(versions: &[Version]) -> bool {
    versions.last().is_some_and(|version| version.content.is_some())
}

/// Where a misbehaving server begins its page: at the start again, or at the last key instead of after it.
fn strayed(after: After, quirks: Quirks) -> After {
    match after {
        _ if quirks.endless => After::Nothing,
        After::Key(key) if quirks.repeats => {
            let mut before = key;
            before.pop();
            After::Key(before)
        }
        after => after,
    }
}

fn entries_max(asked: Option<i32>) -> usize {
    usize::try_from(asked.unwrap_or(PAGE_ENTRIES_MAX).clamp(0, PAGE_ENTRIES_MAX)).unwrap_or(0)
}

fn contents(page: &Page<'_>, url: bool, quirks: Quirks) -> Vec<Object> {
    let objects = page.entries.iter().filter_map(|(key, versions)| Some((key, versions.last()?)));
    let mut objects: Vec<Object> = objects
        .map(|(key, version)| Object {
            key: Some(encoded(key, url)),
            size: i64::try_from(version.bytes()).ok(),
            e_tag: Some(ETag::Strong(version.etag.clone())),
            last_modified: Some(version.last_modified.clone()),
            storage_class: Some(ObjectStorageClass::from(storage_class(version))),
            ..Default::default()
        })
        .collect();
    if quirks.unordered {
        objects.reverse();
    }
    objects
}

fn common_prefixes(page: &Page<'_>, url: bool) -> Vec<CommonPrefix> {
    page.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encoded(prefix, url)) }).collect()
}

fn version_of(key: &str, version: &Version, is_latest: bool) -> ObjectVersion {
    ObjectVersion {
        key: Some(key.to_owned()),
        version_id: Some(version.id.clone()),
        is_latest: Some(is_latest),
        size: i64::try_from(version.bytes()).ok(),
        e_tag: Some(ETag::Strong(version.etag.clone())),
        last_modified: Some(version.last_modified.clone()),
        storage_class: Some(ObjectVersionStorageClass::from(storage_class(version))),
        ..Default::default()
    }
}

fn marker_of(key: &str, version: &Version, is_latest: bool) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(key.to_owned()),
        version_id: Some(version.id.clone()),
        is_latest: Some(is_latest),
        last_modified: Some(version.last_modified.clone()),
        ..Default::default()
    }
}

fn storage_class(version: &Version) -> String {
    version.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned())
}

fn wants_url(encoding: Option<&EncodingType>) -> bool {
    encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL)
}

/// A key as a listing carries it: with `encoding-type=url` as AWS encodes, which leaves `/` and turns a space
/// into `+`.
fn encoded(key: &str, url: bool) -> String {
    if !url {
        return key.to_owned();
    }
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => text.push(char::from(byte)),
            b' ' => text.push('+'),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
