//! What a bucket is filled with: hard keys, and objects that have each attribute.

use crate::keys;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use credenza_e2e::tree::noise;
use ring::digest;
use std::time::{Duration, SystemTime};

/// What `part_size` of a destination is unless it is said.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// The least that S3 takes for a part that is not the last.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is done to one key.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The row of the table that it is in.
    pub(crate) row: &'static str,
    pub(crate) key: String,
    /// One after the other; where there are no versions, one.
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Put {
        /// One is put whole, more are an upload in parts.
        parts: Vec<Bytes>,
        headers: Vec<(&'static str, String)>,
    },
    Delete,
}

impl Sample {
    fn new(row: &'static str, key: &str, body: impl Into<Bytes>) -> Self {
        Self { row, key: key.to_owned(), steps: vec![put(body, &[])] }
    }

    fn with(row: &'static str, key: &str, headers: &[(&'static str, &str)]) -> Self {
        Self { row, key: key.to_owned(), steps: vec![put(format!("body of {key}"), headers)] }
    }
}

fn put(body: impl Into<Bytes>, headers: &[(&'static str, &str)]) -> Step {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Step::Put { parts: vec![body.into()], headers }
}

/// Every hard key, and every attribute that an unversioned bucket can hold.
pub(crate) fn flat() -> Vec<Sample> {
    let keys = keys::HARD.iter().flat_map(|(row, keys)| keys.iter().map(|key| (*row, (*key).to_owned())));
    let keys = keys.chain(keys::longest().map(|key| (keys::LONGEST, key)));
    let mut samples: Vec<_> = keys.map(|(row, key)| Sample::new(row, &key, format!("body of {key:?}"))).collect();
    samples.extend(headers());
    samples.extend(metadata());
    samples.extend(tags());
    samples.extend(services());
    samples.extend(sizes());
    samples
}

fn headers() -> Vec<Sample> {
    let with = Sample::with;
    vec![
        with("content type", "attr/type", &[("content-type", "text/x-credenza; charset=utf-8")]),
        with("content type", "attr/type.html", &[("content-type", "application/x-odd")]),
        with("content encoding", "attr/encoding", &[("content-encoding", "gzip")]),
        with("content language", "attr/language", &[("content-language", "de-CH, fr")]),
        with(
            "content disposition",
            "attr/disposition",
            &[("content-disposition", "attachment; filename=\"a b.txt\"; filename*=UTF-8''%e2%82%ac.txt")],
        ),
        with("cache control", "attr/cache", &[("cache-control", "private, max-age=60")]),
        with("expires", "attr/expires", &[("expires", "Wed, 21 Oct 2037 07:28:00 GMT")]),
        with("expires that is no date", "attr/expires-odd", &[("expires", "0")]),
        with("website redirect", "attr/redirect", &[("x-amz-website-redirect-location", "/elsewhere")]),
    ]
}

fn metadata() -> Vec<Sample> {
    let odd = |key: &str, name: &'static str, value: &str| Sample::with("user metadata, odd", key, &[(name, value)]);
    vec![
        Sample::with(
            "user metadata",
            "meta/plain",
            &[("x-amz-meta-colour", "green"), ("x-amz-meta-with-dash", "a b c")],
        ),
        odd("meta/empty", "x-amz-meta-empty", ""),
        odd("meta/underscore", "x-amz-meta-under_score", "x"),
        odd("meta/dot", "x-amz-meta-do.t", "x"),
        odd("meta/digits", "x-amz-meta-0", "0"),
        odd("meta/spaces", "x-amz-meta-spaces", "in  side"),
        odd("meta/signs", "x-amz-meta-signs", "a,b;c=\"d\" %41+%zz <&>"),
        odd("meta/encoded", "x-amz-meta-encoded", "=?UTF-8?B?SsO8cmdlbg==?="),
        odd("meta/looks-encoded", "x-amz-meta-looks-encoded", "=?UTF-8?Q?broken"),
        odd("meta/utf-8", "x-amz-meta-raw", "J\u{fc}rgen"),
        odd("meta/long", "x-amz-meta-long", &"v".repeat(1900)),
    ]
}

fn tags() -> Vec<Sample> {
    let ten = (0..10).map(|number| format!("tag{number}=value{number}")).collect::<Vec<_>>().join("&");
    let tagged = |key: &str, tags: &str| Sample::with("tags", key, &[("x-amz-tagging", tags)]);
    vec![
        tagged("tags/two", "team=blue&cost%20centre=4%2F7"),
        tagged("tags/empty-value", "empty="),
        tagged("tags/signs", "a%2Bb%3Dc.d_e%3Af%2Fg%40h-=%2B%20%3D"),
        tagged("tags/unicode", "gr%C3%BC%C3%9Fe=%E2%98%82"),
        tagged("tags/ten", &ten),
    ]
}

fn services() -> Vec<Sample> {
    let with = Sample::with;
    let checked = |name: &str, header: &'static str, digest: &dyn Fn(&[u8]) -> Vec<u8>| {
        let key = format!("checksum/{name}");
        with("checksum", &key, &[(header, &BASE64.encode(digest(format!("body of {key}").as_bytes())))])
    };
    let sha = |algorithm| move |body: &[u8]| digest::digest(algorithm, body).as_ref().to_vec();
    let crc = |algorithm, bytes: usize| {
        move |body: &[u8]| {
            crc_fast::checksum(algorithm, body).to_be_bytes().into_iter().skip(8 - bytes).collect::<Vec<u8>>()
        }
    };
    vec![
        with("storage class", "class/ia", &[("x-amz-storage-class", "STANDARD_IA")]),
        with("storage class", "class/reduced", &[("x-amz-storage-class", "REDUCED_REDUNDANCY")]),
        with("ACL", "acl/public", &[("x-amz-acl", "public-read")]),
        with("encryption by the server", "sse/aes", &[("x-amz-server-side-encryption", "AES256")]),
        checked("sha256", "x-amz-checksum-sha256", &sha(&digest::SHA256)),
        checked("sha1", "x-amz-checksum-sha1", &sha(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
        checked("crc32", "x-amz-checksum-crc32", &crc(CrcAlgorithm::Crc32IsoHdlc, 4)),
        checked("crc32c", "x-amz-checksum-crc32c", &crc(CrcAlgorithm::Crc32Iscsi, 4)),
        checked("crc64nvme", "x-amz-checksum-crc64nvme", &crc(CrcAlgorithm::Crc64Nvme, 8)),
    ]
}

fn sizes() -> Vec<Sample> {
    let row = "empty, a part long, a byte longer";
    vec![
        Sample::new(row, "size/empty", ""),
        Sample::new(row, "size/part", noise(1, PART_BYTES)),
        Sample::new(row, "size/part+1", noise(2, PART_BYTES + 1)),
        in_parts("ETag of an upload in parts", "parts/odd", &[PART_BYTES_MIN + 1, PART_BYTES_MIN + 4096, 3], &[]),
        in_parts("ETag of an upload in parts", "parts/even", &[PART_BYTES, 1000], &[]),
        in_parts("checksum of an upload in parts", "parts/checked", &[PART_BYTES, 1000], &CHECKED),
        in_parts(
            "checksum of an upload in parts",
            "parts/checked-whole",
            &[PART_BYTES, 2000],
            &[CHECKED[0], ("x-amz-checksum-type", "FULL_OBJECT")],
        ),
    ]
}

/// Of the checksums of the parts, unless another type is asked for.
const CHECKED: [(&str, &str); 1] = [("x-amz-checksum-algorithm", "CRC32")];

fn in_parts(row: &'static str, key: &str, sizes: &[u64], more: &[(&'static str, &str)]) -> Sample {
    let parts = (0..).zip(sizes).map(|(seed, size)| noise(seed, *size).into()).collect();
    let own = [("content-type", "text/x-parts"), ("x-amz-meta-colour", "green")];
    let headers = own.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect();
    Sample { row, key: key.to_owned(), steps: vec![Step::Put { parts, headers }] }
}

/// What a bucket with Object Lock can hold.
pub(crate) fn locked() -> Vec<Sample> {
    let until = until();
    let sum = |key: &str| BASE64.encode(digest::digest(&digest::SHA256, format!("body of {key}").as_bytes()));
    let locked = |row, key: &str, headers: &[(&'static str, &str)]| {
        let sum = sum(key);
        // S3 demands a digest of what is locked.
        Sample::with(row, key, &[headers, &[("x-amz-checksum-sha256", &sum)]].concat())
    };
    let governed = [("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", until.as_str())];
    let strict = [("x-amz-object-lock-mode", "COMPLIANCE"), ("x-amz-object-lock-retain-until-date", until.as_str())];
    vec![
        locked("object lock", "lock/governance", &governed),
        locked("object lock", "lock/compliance", &strict),
        locked("legal hold", "lock/hold", &[("x-amz-object-lock-legal-hold", "ON")]),
        in_parts(
            "object lock of an upload in parts",
            "lock/parts",
            &[PART_BYTES, 1000],
            &[CHECKED[0], governed[0], governed[1]],
        ),
    ]
}

/// Histories, which a bucket with versions can hold.
pub(crate) fn versioned() -> Vec<Sample> {
    let history = |row, key: &str, steps: Vec<Step>| Sample { row, key: key.to_owned(), steps };
    let saying = |text: &str| put(text.to_owned(), &[("x-amz-meta-says", text), ("content-type", "text/x-credenza")]);
    let tagged = |tags| put("tagged", &[("x-amz-tagging", tags)]);
    vec![
        history("versions", "once", vec![saying("one")]),
        history("versions", "three times", vec![saying("one"), saying("two"), saying("three")]),
        history("versions", "the same twice", vec![saying("one"), saying("one")]),
        history("versions", "tags/of/each", vec![tagged("a=1"), tagged("a=2&b=3")]),
        history("versions", "emptied", vec![saying("one"), put("", &[])]),
        history("delete markers", "deleted", vec![saying("one"), Step::Delete]),
        history("delete markers", "deleted and back", vec![saying("one"), Step::Delete, saying("two")]),
        history("delete markers", "deleted twice", vec![saying("one"), Step::Delete, saying("two"), Step::Delete]),
        history("delete markers", "never there", vec![Step::Delete]),
    ]
}

/// Tomorrow, as S3 writes it.
fn until() -> String {
    credenza_e2e::s3::iso_date(SystemTime::now() + DAY)
}
