//! The connector against recorded answers.

mod check;
mod destination;
mod history;
mod source;
mod store;

use credenza_sdk::wire::{Asked, Reply, Tape};
use credenza_sdk::{
    AttributeValue, Batch, ByteRange, Entry, EntryKind, ErrorClass, Found, PutOptions, Result, ScanOptions, Scanner,
    Timestamp, Version, Writer,
};

use crate::bucket::Bucket;
use crate::place::tests::config;
use crate::wire::ENDPOINT;

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let plain = Reply::new(status).with_body(body);
    headers.iter().fold(plain, |reply, (name, value)| reply.with_header(name, *value))
}

fn bucket(settings: &[(&str, &str)], replies: Vec<Reply>) -> Bucket<Tape> {
    Bucket::new(&config(settings), Tape::new(replies))
}

fn asked(bucket: &Bucket<Tape>) -> Vec<Asked> {
    assert_eq!(bucket.wire.left(), 0, "answers that nobody asked for");
    let asked = bucket.wire.asked();
    assert!(asked.iter().all(|asked| asked.endpoint == ENDPOINT));
    asked
}

fn page(keys: &[&str], next: Option<&str>) -> Reply {
    reply(200, &[], &page_of(keys, next))
}

fn page_of(keys: &[&str], next: Option<&str>) -> String {
    let object = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><Size>3</Size><ETag>&quot;e&quot;</ETag><LastModified>2024-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let next = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |token| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    });
    let objects: String = keys.iter().map(object).collect();
    format!("<ListBucketResult><EncodingType>url</EncodingType>{next}{objects}</ListBucketResult>")
}

fn error(status: u16, code: &str) -> Reply {
    reply(status, &[], &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

fn everything() -> ScanOptions {
    ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None }
}

fn keys(found: &[Found]) -> Vec<String> {
    let key = |found: &Found| match found {
        Found::Entry(entry) => String::from_utf8(entry.key.clone()).unwrap(),
        Found::Skipped((key, _)) => panic!("skipped {key:?}"),
    };
    found.iter().map(key).collect()
}

/// Everything that a walk finds, `max` at a time.
fn walk(bucket: &Bucket<Tape>, options: &ScanOptions, max: u32) -> Result<Vec<Found>> {
    let (mut scan, mut all) = (bucket.scan(options), Vec::new());
    loop {
        let Batch { found, more } = scan.next(max)?;
        assert!(found.len() <= max as usize);
        all.extend(found);
        if !more {
            return Ok(all);
        }
    }
}

fn file(key: &str) -> Entry {
    let listing = bucket(&[], vec![page(&[key], None)]);
    match walk(&listing, &everything(), 10).unwrap().remove(0) {
        Found::Entry(entry) => entry,
        Found::Skipped(_) => panic!("skipped"),
    }
}

fn put_options(if_absent: bool, hint: &str) -> PutOptions {
    PutOptions { if_absent, if_match: None, retain_until: None, hint: hint.to_owned() }
}

const ENABLED: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

const DATE: (&str, &str) = ("date", "Mon, 01 Jan 2024 00:00:05 GMT");

fn begun() -> Reply {
    reply(200, &[], "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>")
}
