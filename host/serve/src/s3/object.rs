//! What the headers of an object say, from its entry: what its bucket said, where it was in one, and what clients of folders in buckets read else.
//!
//! Owned here: how attributes become headers; the names of attributes are those of `wit/CONTRACT.md`. Called by `read`, `list` and `versions`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_model::{AttributeValue, Entry, EntryKind, EntryStatus, Record, Timestamp as Time};
use s3s::dto::{Checksum, ETag, GetObjectOutput, HeadObjectOutput, StorageClass, Tag, Timestamp, TimestampFormat};

use crate::entry::{etag_of, is_printable, size_of, system_time, text_of};
use crate::tree::SnapshotTree;

/// The type of an object of which nothing is said.
const ANY_TYPE: &str = "binary/octet-stream";
/// The class of an object of which nothing is said.
const USUAL_CLASS: &str = "STANDARD";
/// Classes whose objects must be thawed before they are read. What is in a snapshot can be read at once, which listings must not deny.
const FROZEN_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// What is said of a frozen object that can be read.
const THAWED: &str = "ongoing-request=\"false\"";

/// Its ETag.
pub(super) fn etag(record: &Record) -> ETag {
    ETag::Strong(etag_of(record))
}

/// When the object was changed; as old as its snapshot where nobody knows.
pub(super) fn modified(record: &Record, tree: &SnapshotTree) -> Timestamp {
    time(record.entry.modified.unwrap_or(tree.snapshot().snapshot.finished))
}

/// A point in time, to the second, as S3 has it.
pub(super) fn time(time: Time) -> Timestamp {
    Timestamp::from(system_time(Time { nanoseconds: 0, ..time }))
}

/// Its size in bytes.
pub(super) fn size(record: &Record) -> i64 {
    i64::try_from(size_of(record)).unwrap_or(i64::MAX)
}

/// The class that listings give, by which clients judge whether it can be read.
pub(super) fn listed_class(record: &Record) -> String {
    let own = text_of(&record.entry, "s3.storage-class").filter(|class| !FROZEN_CLASSES.contains(class));
    own.unwrap_or(USUAL_CLASS).to_owned()
}

/// What GET and HEAD say alike; body, length, range and version are left to the caller.
pub(super) fn head(record: &Record, tree: &SnapshotTree) -> GetObjectOutput {
    let entry = &record.entry;
    let text = |name| text_of(entry, name).filter(|text| is_printable(text)).map(ToOwned::to_owned);
    let class = text("s3.storage-class");
    let is_frozen = class.as_deref().is_some_and(|class| FROZEN_CLASSES.contains(&class));
    let (metadata, missing) = metadata(record);
    let tags = i32::try_from(tags(entry).len()).unwrap_or(i32::MAX);
    GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: text("http.cache-control"),
        content_disposition: text("http.content-disposition"),
        content_encoding: text("http.content-encoding"),
        content_language: text("http.content-language"),
        content_type: Some(text("http.content-type").unwrap_or_else(|| usual_type(entry).to_owned())),
        e_tag: Some(etag(record)),
        expires: text("http.expires").and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, &text).ok()),
        last_modified: Some(modified(record, tree)),
        metadata: Some(metadata.into_iter().collect()),
        missing_meta: Some(missing).filter(|missing| *missing > 0),
        restore: is_frozen.then(|| THAWED.to_owned()),
        storage_class: class.filter(|class| class != USUAL_CLASS).map(StorageClass::from),
        tag_count: Some(tags).filter(|tags| *tags > 0),
        website_redirect_location: text("s3.website-redirect"),
        ..Default::default()
    }
}

/// The same for HEAD.
pub(super) fn of_head(head: GetObjectOutput) -> HeadObjectOutput {
    HeadObjectOutput {
        accept_ranges: head.accept_ranges,
        cache_control: head.cache_control,
        checksum_crc32: head.checksum_crc32,
        checksum_crc32c: head.checksum_crc32c,
        checksum_crc64nvme: head.checksum_crc64nvme,
        checksum_sha1: head.checksum_sha1,
        checksum_sha256: head.checksum_sha256,
        checksum_type: head.checksum_type,
        content_disposition: head.content_disposition,
        content_encoding: head.content_encoding,
        content_language: head.content_language,
        content_length: head.content_length,
        content_range: head.content_range,
        content_type: head.content_type,
        e_tag: head.e_tag,
        expires: head.expires,
        last_modified: head.last_modified,
        metadata: head.metadata,
        missing_meta: head.missing_meta,
        parts_count: head.parts_count,
        restore: head.restore,
        storage_class: head.storage_class,
        version_id: head.version_id,
        website_redirect_location: head.website_redirect_location,
        ..Default::default()
    }
}

/// Digests of the whole object that its bucket stated.
pub(super) fn checksum(record: &Record) -> Checksum {
    let is_whole = record.status == EntryStatus::Stable;
    let of = |algorithm: &str| {
        let sum = record.entry.checksums.iter().find(|sum| sum.algorithm == algorithm && is_whole)?;
        Some(BASE64.encode(&sum.value))
    };
    Checksum {
        checksum_crc32: of("crc32"),
        checksum_crc32c: of("crc32c"),
        checksum_crc64nvme: of("crc64nvme"),
        checksum_sha1: of("sha1"),
        checksum_sha256: of("sha256"),
        ..Default::default()
    }
}

/// Its tags.
pub(super) fn tags(entry: &Entry) -> Vec<Tag> {
    let tag = |(name, value): &(String, AttributeValue)| match (name.strip_prefix("s3.tag."), value) {
        (Some(name), AttributeValue::Text(value)) => {
            Some(Tag { key: Some(name.to_owned()), value: Some(value.clone()) })
        }
        _ => None,
    };
    entry.attributes.iter().filter_map(tag).collect()
}

/// User metadata, and how many names cannot be headers. What was in a folder has what s3fs and rclone read of one.
fn metadata(record: &Record) -> (Vec<(String, String)>, i32) {
    let (mut metadata, mut missing) = (Vec::new(), 0);
    for (name, value) in &record.entry.attributes {
        match (name.strip_prefix("user."), value) {
            (Some(name), AttributeValue::Text(text)) if is_token(name) => {
                metadata.push((name.to_owned(), header_text(text)));
            }
            (Some(_), _) => missing += 1,
            (None, AttributeValue::Integer(number)) => {
                let name = ["mode", "uid", "gid"].into_iter().find(|own| name.strip_prefix("posix.") == Some(own));
                metadata.extend(name.map(|name| (name.to_owned(), number.to_string())));
            }
            (None, _) => {}
        }
    }
    let is_of_folder = record.entry.attribute("posix.mode").is_some();
    if let Some(time) = record.entry.modified.filter(|_| is_of_folder) {
        metadata.push(("mtime".to_owned(), format!("{}.{:09}", time.seconds, time.nanoseconds)));
    }
    (metadata, missing)
}

const fn usual_type(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::Directory => "application/x-directory",
        EntryKind::Symlink => "inode/symlink",
        EntryKind::File | EntryKind::Other => ANY_TYPE,
    }
}

/// Text as the value of a header: what is not printable is written as RFC 2047, section 2 says, as S3 itself does.
fn header_text(text: &str) -> String {
    if is_printable(text) { text.to_owned() } else { format!("=?UTF-8?B?{}?=", BASE64.encode(text)) }
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
