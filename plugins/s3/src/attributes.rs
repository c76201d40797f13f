//! What the headers of S3 say about an object, as attributes, and the way back. The names are listed in `wit/CONTRACT.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::{AttributeValue, Attributes, Checksum, Entry};

use crate::acl::{ACL_NAME, is_canned};
use crate::place::WriteOptions;
use crate::sum::{self, ALGORITHMS, is_of_parts};
use crate::wire::Headers;
use credenza_sdk::facts::is_fact;
use credenza_sdk::tree::Room;
use credenza_sdk::{percent, time, tree};

/// Most user metadata of an object, names and values
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
const METADATA_BYTES_MAX: usize = 2048;

/// How the value of a header is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Time,
}

/// Headers of an answer and the attributes that they become; the first six go back as they came.
const HEADERS: [(&str, &str, Kind); 16] = [
    ("content-type", "http.content-type", Kind::Text),
    ("content-language", "http.content-language", Kind::Text),
    ("content-disposition", "http.content-disposition", Kind::Text),
    ("cache-control", "http.cache-control", Kind::Text),
    ("expires", "http.expires", Kind::Text),
    ("x-amz-website-redirect-location", "s3.website-redirect", Kind::Text),
    ("x-amz-storage-class", "s3.storage-class", Kind::Text),
    ("x-amz-server-side-encryption", "s3.sse", Kind::Text),
    ("x-amz-server-side-encryption-aws-kms-key-id", "s3.sse-kms-key", Kind::Text),
    ("x-amz-object-lock-mode", "s3.lock-mode", Kind::Text),
    ("x-amz-object-lock-retain-until-date", "s3.lock-until", Kind::Time),
    ("x-amz-object-lock-legal-hold", "s3.legal-hold", Kind::Text),
    ("x-amz-tagging-count", "s3.tag-count", Kind::Integer),
    ("x-amz-missing-meta", "s3.missing-meta", Kind::Integer),
    ("x-amz-mp-parts-count", "s3.parts", Kind::Integer),
    ("x-amz-replication-status", "s3.replication", Kind::Text),
];

const ENCODING: (&str, &str) = ("content-encoding", "http.content-encoding");
const USER_HEADER: &str = "x-amz-meta-";
const USER_NAME: &str = "user.";
const TAG_NAME: &str = "s3.tag.";
/// Object Lock is given back by `protect`.
const LOCKS: [&str; 3] = ["s3.lock-mode", "s3.lock-until", "s3.legal-hold"];
/// What the bucket decides for its copy, beside the facts that nobody misses.
const OF_THE_BUCKET: [&str; 2] = ["s3.sse", "s3.storage-class"];

/// Completes attributes of a listing with those of an answer, which win.
pub(crate) fn complete(attributes: &mut Attributes, headers: &Headers, etag: Option<&str>) {
    for (header, name, kind) in HEADERS {
        if let Some(value) = headers.get(header).and_then(|text| value_of(text, kind)) {
            set(attributes, name.to_owned(), value);
        }
    }
    if let Some(encoding) = headers.get(ENCODING.0).and_then(own_encoding) {
        set(attributes, ENCODING.1.to_owned(), AttributeValue::Text(encoding));
    }
    for algorithm in ALGORITHMS {
        let value = headers.get(&format!("x-amz-checksum-{algorithm}"));
        if value.is_some_and(is_of_parts) {
            set(attributes, sum::ATTRIBUTE.to_owned(), AttributeValue::Text(algorithm.to_ascii_uppercase()));
        }
    }
    if let Some(id) = headers.get("x-amz-version-id").filter(|id| *id != "null") {
        set(attributes, "s3.version-id".to_owned(), AttributeValue::Text(id.to_owned()));
    }
    if let Some(parts) = etag.and_then(parts_of) {
        set(attributes, "s3.parts".to_owned(), AttributeValue::Integer(parts));
    }
    for (header, value) in &headers.0 {
        if let Some(name) = header.strip_prefix(USER_HEADER) {
            let own = || (format!("{USER_NAME}{name}"), AttributeValue::Text(value.clone()));
            let (name, value) = tree::attribute_of(name, value).unwrap_or_else(own);
            set(attributes, name, value);
        }
    }
}

/// Sets an attribute, in place of one of that name.
pub(crate) fn set(attributes: &mut Attributes, name: String, value: AttributeValue) {
    attributes.retain(|(present, _)| *present != name);
    attributes.push((name, value));
}

fn value_of(text: &str, kind: Kind) -> Option<AttributeValue> {
    match kind {
        Kind::Text => Some(AttributeValue::Text(text.to_owned())),
        Kind::Integer => text.parse().ok().map(AttributeValue::Integer),
        Kind::Time => time::parse_iso(text).map(AttributeValue::Time),
    }
}

/// The encoding of the object: `aws-chunked` is one of its upload, which some servers keep.
fn own_encoding(text: &str) -> Option<String> {
    let own: Vec<&str> =
        text.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "aws-chunked").collect();
    (!own.is_empty()).then(|| own.join(", "))
}

/// How many parts an object was uploaded in: its ETag ends in `-N`.
fn parts_of(etag: &str) -> Option<i64> {
    let (digest, parts) = etag.split_once('-')?;
    (digest.len() == 32).then(|| parts.parse().ok()).flatten()
}

/// Digests of the whole object that the answer states. The ETag is its MD5 only when it looks like one, the object was
/// uploaded whole, and no key of the customer or of KMS encrypts it
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>, ETag).
pub(crate) fn checksums(headers: &Headers, etag: Option<&str>) -> Vec<Checksum> {
    let composite = headers.get("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("composite"));
    let mut checksums: Vec<Checksum> = ALGORITHMS
        .into_iter()
        .filter(|_| !composite)
        .filter_map(|algorithm| {
            // The checksum of checksums of a multipart upload ends in `-N`, which is not Base64.
            let value = BASE64.decode(headers.get(&format!("x-amz-checksum-{algorithm}"))?).ok()?;
            Some(Checksum { algorithm: algorithm.to_owned(), value })
        })
        .collect();
    let own_keys = headers.get("x-amz-server-side-encryption").is_some_and(|sse| sse.starts_with("aws:"))
        || headers.get("x-amz-server-side-encryption-customer-algorithm").is_some();
    if let Some(value) = etag.filter(|_| !own_keys).and_then(md5_of) {
        checksums.push(Checksum { algorithm: "md5".to_owned(), value });
    }
    checksums
}

/// The text of an attribute.
pub(crate) fn text_of<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    entry.attributes.iter().find_map(|(present, value)| match value {
        AttributeValue::Text(text) if present == name => Some(text.as_str()),
        _ => None,
    })
}

/// The digest in an ETag that is one.
pub(crate) fn md5_of(etag: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = etag.chars().collect();
    let byte = |pair: &[char]| {
        let text: String = pair.iter().collect();
        pair.iter().all(char::is_ascii_hexdigit).then(|| u8::from_str_radix(&text, 16).ok()).flatten()
    };
    (digits.len() == 32).then(|| digits.chunks(2).map(byte).collect()).flatten()
}

/// The headers with which an object is written so that it has these attributes, and the names of those that it will lack.
pub(crate) fn restore(attributes: &Attributes, options: WriteOptions) -> (Vec<(String, String)>, Vec<String>) {
    let (mut headers, mut tags, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let (of_a_tree, own): (Vec<_>, Vec<_>) = attributes
        .iter()
        .map(|(name, value)| (name, value, tree::metadata_of(name, value)))
        .partition(|(.., kept)| kept.is_some());
    for (name, value, _) in own {
        match (header_of(name, value), name.strip_prefix(TAG_NAME), value) {
            (Some(header), ..) => {
                // Written in another form, which not every server reads back.
                let is_encoded = matches!(value, AttributeValue::Text(text) if *text != header.1);
                lost.extend(is_encoded.then(|| name.clone()));
                headers.push(header);
            }
            (None, Some(tag), AttributeValue::Text(text)) => {
                tags.push(format!("{}={}", percent::value(tag.as_bytes()), percent::value(text.as_bytes())));
            }
            (None, None, AttributeValue::Text(acl)) if name == ACL_NAME && options.acl && is_canned(acl) => {
                headers.push(("x-amz-acl".to_owned(), acl.clone()));
            }
            _ if is_fact(name) || OF_THE_BUCKET.contains(&name.as_str()) => {}
            _ if options.locks && LOCKS.contains(&name.as_str()) => {}
            _ => lost.push(name.clone()),
        }
    }
    let mut room = Room::beside(METADATA_BYTES_MAX, headers.iter().filter(|(name, _)| name.starts_with(USER_HEADER)));
    for (name, _, kept) in of_a_tree {
        let header = kept.map(|(name, value)| (format!("{USER_HEADER}{name}"), value));
        match header.filter(|(name, value)| room.take(name, value)) {
            Some(header) => headers.push(header),
            None => lost.push(name.clone()),
        }
    }
    if !tags.is_empty() {
        headers.push(("x-amz-tagging".to_owned(), tags.join("&")));
    }
    (headers, lost)
}

/// The header that gives an object an attribute, when there is one.
fn header_of(name: &str, value: &AttributeValue) -> Option<(String, String)> {
    let AttributeValue::Text(text) = value else { return None };
    let own = HEADERS.iter().take(6).map(|(header, name, _)| (*header, *name)).chain([ENCODING]);
    if let Some((header, _)) = own.into_iter().find(|(_, attribute)| *attribute == name) {
        return is_printable(text).then(|| (header.to_owned(), text.clone()));
    }
    let user = name.strip_prefix(USER_NAME)?;
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    (!user.is_empty() && user.bytes().all(token)).then(|| (format!("{USER_HEADER}{user}"), header_text(text)))
}

/// Text as the value of a header: what is not printable ASCII is written as RFC 2047 section 2 says, which is how S3
/// itself shows such values.
fn header_text(text: &str) -> String {
    if is_printable(text) { text.to_owned() } else { format!("=?UTF-8?B?{}?=", BASE64.encode(text)) }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    fn text(name: &str, value: &str) -> (String, AttributeValue) {
        (name.to_owned(), AttributeValue::Text(value.to_owned()))
    }

    #[test]
    fn what_a_read_tells_comes_back_in_a_write() {
        let reported = [
            ("content-type", "text/html; charset=utf-8"),
            ("content-encoding", "gzip"),
            ("content-disposition", "attachment"),
            ("x-amz-meta-owner", "=?UTF-8?Q?J=C3=BCrgen?="),
            ("x-amz-website-redirect-location", "/x"),
        ];
        let mut attributes = Vec::new();
        complete(&mut attributes, &headers(&reported), None);
        let (mut restored, lost) = restore(&attributes, WriteOptions::default());
        let mut expected: Vec<_> = headers(&reported).0;
        restored.sort();
        expected.sort();
        assert_eq!((restored, lost), (expected, vec![]));
    }

    #[test]
    fn an_attribute_appears_once_and_the_read_wins() {
        let mut attributes = vec![text("s3.storage-class", "STANDARD")];
        complete(
            &mut attributes,
            &headers(&[("x-amz-storage-class", "GLACIER"), ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]),
            None,
        );
        assert_eq!(attributes, [text("s3.storage-class", "GLACIER"), text("user.a", "2")]);
    }

    #[test]
    fn what_s3_cannot_hold_is_named_and_facts_are_not_missed() {
        let attributes = vec![
            ("posix.mode".to_owned(), AttributeValue::Integer(0o644)),
            text("user.not a token", "x"),
            text("s3.lock-mode", "COMPLIANCE"),
            text("s3.version-id", "v"),
            text("s3.tag.a b", "c=d"),
        ];
        let (headers, lost) = restore(&attributes, WriteOptions::default());
        assert_eq!(headers, [("x-amz-tagging".to_owned(), "a%20b=c%3Dd".to_owned())]);
        assert_eq!(lost, ["posix.mode", "user.not a token", "s3.lock-mode"]);
    }

    #[test]
    fn an_etag_is_a_checksum_only_when_it_is_one() {
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(checksums(&Headers::default(), Some(md5))[0].value.len(), 16);
        assert!(checksums(&Headers::default(), Some("d41d8cd98f00b204e9800998ecf8427e-2")).is_empty());
        assert!(checksums(&headers(&[("x-amz-server-side-encryption", "aws:kms")]), Some(md5)).is_empty());
        let composite = [("x-amz-checksum-type", "COMPOSITE"), ("x-amz-checksum-crc32", "AAAAAA==")];
        assert!(checksums(&headers(&composite), None).is_empty());
        assert_eq!(checksums(&headers(&composite[1..]), None)[0].value, [0; 4]);
    }

    #[test]
    fn an_encoding_of_the_upload_is_not_one_of_the_object() {
        assert_eq!(own_encoding("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(own_encoding("aws-chunked"), None);
    }

    proptest! {
        #[test]
        fn any_header_is_taken_and_any_value_written_is_printable(name in "[a-z-]{0,30}", value in any::<String>(), etag in any::<String>()) {
            let reported = headers(&[(&format!("x-amz-meta-{name}"), &value), ("x-amz-checksum-crc32", &value), ("content-type", &value)]);
            let mut attributes = Vec::new();
            complete(&mut attributes, &reported, Some(&etag));
            let _ = checksums(&reported, Some(&etag));
            for (_, written) in restore(&attributes, WriteOptions::default()).0 {
                prop_assert!(is_printable(&written));
            }
        }
    }
}
