//! Buckets for tests: filled with the keys and metadata that clients get wrong, and compared.
//!
//! The in-memory server is filled without the wire; real servers over [`S3`], with the keys they can hold.

use crate::s3::S3;
use crate::tree::noise;
use anyhow::{Result, ensure};
use bytes::Bytes;
use credenza_s3_server::{Attributes, Buckets};
use std::collections::BTreeMap;

/// Keys that a client, a proxy or a server may mistake for others, with no two the same after any such mistake.
pub const ODD_KEYS: [&str; 22] = [
    "plain",
    "a",
    "a/",
    "a/b",
    "a/../b",
    "a/./b",
    "c//d",
    "/lead",
    "//two",
    "trail/",
    "%2F",
    "%252F",
    "sp ace",
    "pl+us",
    "a&b=c?d#e",
    "quote\"'<>&amp;",
    "tab\tand\nline",
    "bell\u{7}",
    "ünïcode/☂/𝄞",
    "..",
    "~tilde*(star)",
    "back\\slash",
];

/// Keys that every real server of the tests can hold.
pub const TAME_KEYS: [&str; 9] = [
    "plain",
    "folder/one",
    "folder/two",
    "folder/deep/three",
    "sp ace/and+plus",
    "per%cent",
    "a&b=c",
    "ünïcode/☂",
    "quote'(x)",
];

/// Attributes that fill every field but the storage class.
pub fn full_attributes() -> Attributes {
    let text = |text: &str| Some(text.to_owned());
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Attributes {
        content_type: text("text/x-credenza; charset=utf-8"),
        content_encoding: text("identity"),
        content_language: text("de-CH"),
        content_disposition: text("attachment; filename=\"x.txt\""),
        cache_control: text("max-age=60"),
        website_redirect: text("/elsewhere"),
        metadata: pairs(&[("colour", "green"), ("with-dash", "a b c")]),
        tags: pairs(&[("team", "blue"), ("cost centre", "4/7")]),
        ..Attributes::default()
    }
}

/// Fills `bucket` with every odd key, one object with full attributes, and some larger objects.
pub fn fill_odd(buckets: &Buckets, bucket: &str) {
    buckets.create(bucket);
    for key in ODD_KEYS {
        buckets.put_object(bucket, key, format!("body of {key:?}").into_bytes(), Attributes::default());
    }
    buckets.put_object(bucket, &"k".repeat(1024), "the longest key", Attributes::default());
    buckets.put_object(bucket, "attributes/full", "with everything", full_attributes());
    buckets.put_object(bucket, "size/empty", "", Attributes::default());
    buckets.put_object(bucket, "size/large", noise(3, 20 * 1024 * 1024 + 1), Attributes::default());
}

/// Fills `bucket` with `objects` objects of 1 to 16 KiB.
pub fn fill_many(buckets: &Buckets, bucket: &str, objects: u64) {
    buckets.create(bucket);
    for number in 0..objects {
        let bytes = 1024 + number.wrapping_mul(7919) % (15 * 1024);
        let key = format!("dir-{:03}/object-{number:06}", number / 200);
        buckets.put_object(bucket, &key, noise(number, bytes), Attributes::default());
    }
}

/// Compares two buckets of an in-memory server: keys, bodies and attributes.
///
/// # Errors
/// With a line for every difference.
pub fn compare(buckets: &Buckets, left: &str, right: &str) -> Result<()> {
    let (ours, theirs) = (buckets.keys(left), buckets.keys(right));
    let mut differences = Vec::new();
    differences.extend(ours.iter().filter(|key| !theirs.contains(key)).map(|key| format!("{key:?} is missing")));
    differences.extend(theirs.iter().filter(|key| !ours.contains(key)).map(|key| format!("{key:?} is too many")));
    for key in &ours {
        let (Some(a), Some(b)) = (buckets.get(left, key), buckets.get(right, key)) else { continue };
        if a.body() != b.body() {
            differences.push(format!("{key:?} has other bytes"));
        }
        let (ours, theirs) = (as_served(a.attributes()), as_served(b.attributes()));
        if ours != theirs {
            differences.push(format!("{key:?}:\n    {ours:?}\n    {theirs:?}"));
        }
    }
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// What an object shows of its attributes: with the type that S3 gives to one without.
fn as_served(attributes: &Attributes) -> Attributes {
    let content_type = attributes.content_type.clone().or_else(|| Some("binary/octet-stream".to_owned()));
    Attributes { content_type, ..attributes.clone() }
}

/// Fills a bucket of a real server under `prefix` with every tame key.
///
/// # Errors
/// When the server refuses.
pub fn put_tame(s3: &S3, bucket: &str, prefix: &str) -> Result<()> {
    for (seed, key) in (0..).zip(TAME_KEYS) {
        let headers = [("content-type", "text/x-credenza"), ("x-amz-meta-colour", "green")];
        s3.put(bucket, &format!("{prefix}{key}"), noise(seed, 1000 + seed), &headers)?;
    }
    s3.put(bucket, &format!("{prefix}large"), noise(99, 9 * 1024 * 1024), &[])
}

/// The objects under `prefix` of a real server, by what follows the prefix.
///
/// # Errors
/// When the server refuses.
pub fn read_all(s3: &S3, bucket: &str, prefix: &str) -> Result<BTreeMap<String, Bytes>> {
    let mut objects = BTreeMap::new();
    for key in s3.keys(bucket, prefix)? {
        let body = s3.get(bucket, &key)?.body;
        objects.insert(key.strip_prefix(prefix).unwrap_or(&key).to_owned(), body);
    }
    Ok(objects)
}
