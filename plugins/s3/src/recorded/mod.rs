//! The connector against recorded answers: a wire that replies in order, and remembers what it was asked.

mod check;
mod destination;
mod history;
mod source;
mod store;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use credenza_sdk::http::{Request, Target};
use credenza_sdk::{
    AttributeValue, Batch, ByteRange, Entry, EntryKind, ErrorClass, Found, PutOptions, Result, ScanOptions, Timestamp,
    Version,
};

use crate::bucket::Bucket;
use crate::place::tests::config;
use crate::wire::{Answer, Headers, Wire};

/// An answer to give: status, headers, body.
type Reply = (u16, Vec<(String, String)>, Vec<u8>);

/// A request that was made: method, target, headers and body.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// A wire with answers to give.
#[derive(Debug, Clone, Default)]
struct Tape {
    replies: Rc<RefCell<VecDeque<Reply>>>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Wire for Tape {
    type Body = Vec<u8>;

    fn send(&self, request: Request, body: Option<Vec<u8>>) -> Result<Answer<Vec<u8>>> {
        let Target::Endpoint((label, target)) = request.target else { panic!("an absolute address") };
        assert_eq!(label, "bucket");
        let body = String::from_utf8(body.unwrap_or_default()).unwrap();
        self.asked.borrow_mut().push(Asked { method: request.method, target, headers: request.headers, body });
        let (status, headers, body) = self.replies.borrow_mut().pop_front().expect("an answer for each request");
        Ok(Answer { status, headers: Headers(headers), body })
    }

    fn body_of(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn read_up_to(&self, body: &Vec<u8>, bytes_max: usize) -> Result<(Vec<u8>, bool)> {
        Ok((body[..body.len().min(bytes_max)].to_vec(), body.len() <= bytes_max))
    }

    fn length(&self, body: &Vec<u8>) -> Option<u64> {
        Some(body.len() as u64)
    }

    fn now_seconds(&self) -> i64 {
        1_704_067_205
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    (status, headers, body.as_bytes().to_vec())
}

fn bucket(settings: &[(&str, &str)], replies: Vec<Reply>) -> Bucket<Tape> {
    let tape = Tape { replies: Rc::new(RefCell::new(replies.into())), ..Tape::default() };
    Bucket::new(&config(settings), tape)
}

fn asked(bucket: &Bucket<Tape>) -> Vec<Asked> {
    assert!(bucket.wire.replies.borrow().is_empty(), "answers that nobody asked for");
    bucket.wire.asked.borrow().clone()
}

fn page(keys: &[&str], next: Option<&str>) -> Reply {
    let object = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><Size>3</Size><ETag>&quot;e&quot;</ETag><LastModified>2024-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let next = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |token| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    });
    let objects: String = keys.iter().map(object).collect();
    reply(200, &[], &format!("<ListBucketResult><EncodingType>url</EncodingType>{next}{objects}</ListBucketResult>"))
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
