//! The connector against recorded answers: a wire that replies in order, and remembers what it was asked.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use credenza_sdk::http::{Request, Target};
use credenza_sdk::{
    AttributeValue, ByteRange, Entry, EntryKind, ErrorClass, Found, PutOptions, Result, ScanOptions, Timestamp, Version,
};

use crate::bucket::Bucket;
use crate::place::Place;
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
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    (status, headers, body.as_bytes().to_vec())
}

fn bucket(settings: &[(&str, &str)], replies: Vec<Reply>) -> Bucket<Tape> {
    let tape = Tape { replies: Rc::new(RefCell::new(replies.into())), ..Tape::default() };
    Bucket { place: Place::of(&config(settings)), wire: tape }
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
    ScanOptions { prefix: Vec::new(), start_after: None, one_level: false }
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
        let found = scan.next(max)?;
        if found.is_empty() {
            return Ok(all);
        }
        assert!(found.len() <= max as usize);
        all.extend(found);
    }
}

fn file(key: &str) -> Entry {
    let listing = bucket(&[], vec![page(&[key], None)]);
    match walk(&listing, &everything(), 10).unwrap().remove(0) {
        Found::Entry(entry) => entry,
        Found::Skipped(_) => panic!("skipped"),
    }
}

#[test]
fn a_walk_turns_pages_and_costs_one_request_each() {
    let bucket =
        bucket(&[("prefix", "p")], vec![page(&["p/a", "p/b%20c"], Some("t1")), page(&["p/", "p/d", "pq"], None)]);
    let found = walk(&bucket, &everything(), 1).unwrap();
    assert_eq!(keys(&found), ["a", "b c", "d"], "below the prefix, without its name");
    let lines: Vec<String> = asked(&bucket).iter().map(Asked::line).collect();
    let first = "GET ?list-type=2&encoding-type=url&max-keys=1000&prefix=p%2F";
    assert_eq!(lines, [first.to_owned(), format!("{first}&continuation-token=t1")]);
}

#[test]
fn a_walk_that_never_ends_or_cannot_begin_is_an_error() {
    let circle = bucket(&[], vec![page(&["a"], Some("t")), page(&["b"], Some("t"))]);
    assert_eq!(walk(&circle, &everything(), 10).unwrap_err().reason, "s3.endless-listing");
    for (answer, reason) in [
        (error(404, "NoSuchBucket"), "s3.no-such-bucket"),
        (reply(404, &[], ""), "s3.no-such-bucket"),
        (reply(200, &[], "<html></html>"), "s3.not-s3"),
        (reply(200, &[], "plain text"), "s3.not-s3"),
        (error(200, "SlowDown"), "s3.slow-down"),
    ] {
        assert_eq!(walk(&bucket(&[], vec![answer]), &everything(), 10).unwrap_err().reason, reason);
    }
}

#[test]
fn one_level_folds_what_lies_deeper() {
    let document = "<ListBucketResult><Contents><Key>a/z</Key></Contents><CommonPrefixes><Prefix>a/b/</Prefix></CommonPrefixes></ListBucketResult>";
    let bucket = bucket(&[], vec![reply(200, &[], document)]);
    let options = ScanOptions { prefix: b"a/".to_vec(), start_after: None, one_level: true };
    let found = walk(&bucket, &options, 10).unwrap();
    assert_eq!(keys(&found), ["a/b/", "a/z"]);
    assert!(matches!(&found[0], Found::Entry(entry) if entry.kind == EntryKind::Directory));
}

#[test]
fn a_server_that_ignores_where_to_begin_is_filtered() {
    let bucket = bucket(&[], vec![page(&["a", "b", "c"], None)]);
    let options = ScanOptions { start_after: Some(b"b".to_vec()), ..everything() };
    assert_eq!(keys(&walk(&bucket, &options, 10).unwrap()), ["c"]);
}

#[test]
fn a_read_completes_the_entry_in_one_request() {
    let headers = [
        ("etag", "\"e\""),
        ("content-type", "text/plain"),
        ("x-amz-meta-owner", "me"),
        ("x-amz-tagging-count", "2"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    ];
    let bucket = bucket(&[], vec![reply(200, &headers, "abc")]);
    let opened = bucket.read(file("k"), None, Some("e")).unwrap();
    assert_eq!(opened.body, b"abc");
    let has = |name: &str, value: AttributeValue| opened.entry.attributes.contains(&(name.to_owned(), value));
    assert!(has("http.content-type", AttributeValue::Text("text/plain".to_owned())));
    assert!(has("user.owner", AttributeValue::Text("me".to_owned())));
    assert!(has("s3.tag-count", AttributeValue::Integer(2)));
    assert_eq!(opened.entry.checksums[0].algorithm, "crc32");
    assert_eq!(opened.entry.fingerprint.as_deref(), Some("e"));
    let requests = asked(&bucket);
    assert_eq!((requests[0].line().as_str(), requests[0].header("if-match")), ("GET /k", Some("\"e\"")));
}

#[test]
fn a_changed_object_is_not_handed_out() {
    let refused = bucket(&[], vec![error(412, "PreconditionFailed"), error(412, "PreconditionFailed")]);
    assert_eq!(refused.read(file("k"), None, Some("e")).err().unwrap().class, ErrorClass::Precondition);
    assert_eq!(asked(&refused)[1].header("if-match"), Some("e"), "some servers want no quotes");
    let ignored = bucket(&[], vec![reply(200, &[("etag", "\"f\"")], "longer")]);
    assert_eq!(ignored.read(file("k"), None, Some("e")).err().unwrap().class, ErrorClass::Precondition);
    let lists_another = bucket(&[], vec![reply(200, &[("etag", "\"f\"")], "abc")]);
    assert!(
        lists_another.read(file("k"), None, Some("e")).is_ok(),
        "same size, same time: the listing's ETag is its own"
    );
}

#[test]
fn a_range_that_is_ignored_is_noticed() {
    let part = || Some(ByteRange { offset: 1, length: Some(1) });
    let whole = bucket(&[], vec![reply(200, &[], "abc")]);
    assert_eq!(whole.read(file("k"), part(), None).err().unwrap().reason, "s3.range-ignored");
    let right = bucket(&[], vec![reply(206, &[("content-range", "bytes 1-1/3")], "b")]);
    let opened = right.read(file("k"), part(), None).unwrap();
    assert_eq!((opened.entry.size, asked(&right)[0].header("range")), (Some(3), Some("bytes=1-1")));
    let careless = bucket(&[], vec![reply(200, &[], "b")]);
    assert!(careless.read(file("k"), part(), None).is_ok());
}

#[test]
fn versions_are_listed_and_read_by_id() {
    let document = "<ListVersionsResult><Version><Key>k</Key><VersionId>v1</VersionId><IsLatest>true</IsLatest><ETag>\"e\"</ETag></Version><DeleteMarker><Key>l</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest></DeleteMarker></ListVersionsResult>";
    let bucket =
        bucket(&[("versions", "true")], vec![reply(200, &[], document), reply(200, &[("etag", "\"e\"")], "abc")]);
    let found = walk(&bucket, &everything(), 10).unwrap();
    let [Found::Entry(version), Found::Entry(marker)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(version.fingerprint.as_deref(), Some("e v1"));
    assert_eq!(marker.version, Some(Version { id: "v2".to_owned(), latest: true, deleted: true }));
    bucket.read(version.clone(), None, version.fingerprint.as_deref()).unwrap();
    let requests = asked(&bucket);
    assert_eq!((requests[1].line().as_str(), requests[1].header("if-match")), ("GET /k?versionId=v1", Some("\"e\"")));
}

#[test]
fn tags_are_fetched_only_where_there_are_some() {
    let mut tagged = file("k");
    tagged.attributes.push(("s3.tag-count".to_owned(), AttributeValue::Integer(1)));
    let document = "<Tagging><TagSet><Tag><Key>colour</Key><Value>red</Value></Tag></TagSet></Tagging>";
    let bucket = bucket(&[], vec![reply(200, &[], document)]);
    let described = bucket.describe(&[file("j"), tagged]);
    let tags = described[1].as_ref().unwrap();
    assert_eq!(tags, &[("s3.tag.colour".to_owned(), AttributeValue::Text("red".to_owned()))]);
    assert_eq!(asked(&bucket)[0].line(), "GET /k?tagging");
}

fn put_options(if_absent: bool, hint: &str) -> PutOptions {
    PutOptions { if_absent, if_match: None, retain_until: None, hint: hint.to_owned() }
}

#[test]
fn a_put_states_its_condition_and_only_data_has_a_storage_class() {
    let settings = [("prefix", "repo"), ("storage_class", "STANDARD_IA")];
    let bucket = bucket(
        &settings,
        vec![reply(200, &[("etag", "\"t\""), ("x-amz-version-id", "v")], ""), error(412, "PreconditionFailed")],
    );
    let stored = bucket.put("data/ab", b"x".to_vec(), &put_options(false, "data")).unwrap();
    assert_eq!((stored.tag.as_deref(), stored.version.as_deref()), (Some("t"), Some("v")));
    let refused = bucket.put("index/ab", b"x".to_vec(), &put_options(true, "index"));
    assert_eq!(refused.unwrap_err().class, ErrorClass::Precondition);
    let requests = asked(&bucket);
    assert_eq!(requests[0].line(), "PUT /repo/data/ab");
    assert_eq!(
        (requests[0].header("x-amz-storage-class"), requests[0].header("if-none-match")),
        (Some("STANDARD_IA"), None)
    );
    assert_eq!((requests[1].header("x-amz-storage-class"), requests[1].header("if-none-match")), (None, Some("*")));
}

const UNTIL: Timestamp = Timestamp { seconds: 1_735_689_600, nanoseconds: 0 };

#[test]
fn a_put_that_locks_names_the_mode_that_nobody_can_lift_and_wants_a_checksum() {
    let dated = [("date", "Wed, 01 Jan 2025 00:00:00 GMT"), ("x-amz-version-id", "v")];
    let bucket = bucket(&[], vec![reply(200, &dated, "")]);
    let options = PutOptions { retain_until: Some(UNTIL), ..put_options(true, "data") };
    assert_eq!(bucket.put("data/ab", b"x".to_vec(), &options).unwrap().modified, Some(UNTIL));
    let requests = asked(&bucket);
    for (name, value) in [
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-object-lock-retain-until-date", "2025-01-01T00:00:00Z"),
        ("x-amz-sdk-checksum-algorithm", "SHA256"),
        ("if-none-match", "*"),
    ] {
        assert_eq!(requests[0].header(name), Some(value));
    }
}

#[test]
fn a_lock_is_extended_for_the_version_that_was_written() {
    let bucket = bucket(&[], vec![reply(200, &[], ""), error(404, "NoSuchVersion")]);
    bucket.retain("data/ab", Some("v/1"), UNTIL).unwrap();
    assert_eq!(bucket.retain("data/ab", None, UNTIL).unwrap_err().class, ErrorClass::NotFound);
    let requests = asked(&bucket);
    assert_eq!(requests[0].line(), "PUT /data/ab?retention&versionId=v%2F1");
    assert_eq!(requests[1].line(), "PUT /data/ab?retention");
    assert!(requests[0].header("content-md5").is_some());
    assert!(
        requests[0].body.contains("<Mode>COMPLIANCE</Mode><RetainUntilDate>2025-01-01T00:00:00Z</RetainUntilDate>")
    );
}

#[test]
fn a_lock_that_ends_later_already_is_a_success_and_a_refusal_is_not() {
    let lock = |mode: &str, until: &str| {
        let document = format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>");
        reply(200, &[], &document)
    };
    for (found, enough) in [
        (lock("COMPLIANCE", "2025-01-02T00:00:00.000Z"), true),
        (lock("COMPLIANCE", "2024-12-31T00:00:00Z"), false),
        (lock("GOVERNANCE", "2025-01-02T00:00:00Z"), false),
        (error(403, "AccessDenied"), false),
    ] {
        let bucket = bucket(&[], vec![error(403, "AccessDenied"), found]);
        let outcome = bucket.retain("data/ab", None, UNTIL);
        assert_eq!(outcome.is_ok(), enough);
        assert!(outcome.err().is_none_or(|cause| cause.class == ErrorClass::Denied));
        assert_eq!(asked(&bucket)[1].line(), "GET /data/ab?retention");
    }
}

#[test]
fn a_look_tells_the_version_and_its_lock() {
    let head = |mode| {
        let lock = [("x-amz-object-lock-mode", mode), ("x-amz-object-lock-retain-until-date", "2025-01-01T00:00:00Z")];
        reply(200, &[&lock[..], &[("content-length", "3"), ("x-amz-version-id", "v")]].concat(), "")
    };
    let bucket = bucket(&[], vec![head("COMPLIANCE"), head("GOVERNANCE")]);
    let found = bucket.stat("data/ab").unwrap();
    assert_eq!((found.version.as_deref(), found.retain_until), (Some("v"), Some(UNTIL)));
    assert_eq!(bucket.stat("data/ab").unwrap().retain_until, None, "this one can be lifted");
    assert_eq!(asked(&bucket).len(), 2);
}

#[test]
fn a_store_reads_parts_and_misses_what_is_not_there() {
    let bucket = bucket(
        &[],
        vec![reply(206, &[("content-range", "bytes 4-5/9")], "ef"), error(404, "NoSuchKey"), reply(404, &[], "")],
    );
    assert_eq!(bucket.get("data/a", Some(ByteRange { offset: 4, length: Some(2) }), None).unwrap(), b"ef");
    assert_eq!(bucket.get("data/b", None, None).unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(bucket.stat("data/b").unwrap_err().class, ErrorClass::NotFound);
}

#[test]
fn a_store_lists_in_order_or_says_that_it_cannot() {
    let ended = bucket(&[], vec![page(&["data/b", "data/a", "data/a"], None)]);
    let listed: Vec<String> = ended.list("data/", None, 10).unwrap().into_iter().map(|o| o.key).collect();
    assert_eq!(listed, ["data/a", "data/b"]);
    let endless = bucket(&[], vec![page(&["data/b", "data/a"], Some("t"))]);
    assert_eq!(endless.list("data/", None, 10).unwrap_err().reason, "s3.unordered-listing");
    let next = bucket(&[], vec![page(&["data/a"], None)]);
    assert!(next.list("data/", Some("data/a"), 10).unwrap().is_empty());
}

#[test]
fn a_batch_is_deleted_in_one_request_with_an_outcome_for_each_key() {
    let answer = "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code><Message/></Error><Error><Key>c</Key><Code>NoSuchKey</Code></Error></DeleteResult>";
    let bucket = bucket(&[], vec![reply(200, &[], answer)]);
    let outcomes = bucket.delete(&["a", "b", "c", "d"].map(str::to_owned)).unwrap();
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert_eq!(outcomes[1].as_ref().unwrap_err().class, ErrorClass::Denied);
    assert!(outcomes[3].is_err(), "not mentioned is not deleted");
    let requests = asked(&bucket);
    assert_eq!(requests[0].line(), "POST ?delete");
    assert!(requests[0].body.contains("<Key>a</Key>") && requests[0].header("content-md5").is_some());
}

#[test]
fn a_server_without_batches_gets_single_deletes() {
    for refusal in [error(501, "NotImplemented"), reply(200, &[], "<ListBucketResult/>"), reply(405, &[], "")] {
        let bucket = bucket(&[], vec![refusal, reply(204, &[], ""), reply(404, &[], "")]);
        assert!(bucket.delete(&["a", "b"].map(str::to_owned)).unwrap().iter().all(Result::is_ok));
        assert_eq!(asked(&bucket)[2].line(), "DELETE /b");
    }
}

#[test]
fn a_small_object_is_restored_in_one_write_with_its_attributes() {
    let mut entry = file("a b");
    entry.attributes.push(("http.content-type".to_owned(), AttributeValue::Text("text/plain".to_owned())));
    let bucket = bucket(&[], vec![reply(404, &[], ""), reply(200, &[("etag", "\"n\"")], "")]);
    let mut upload = bucket.create(&entry, false).unwrap().unwrap();
    upload.write(b"abc".to_vec()).unwrap();
    assert_eq!(upload.finish().unwrap().as_deref(), Some("n"));
    let requests = asked(&bucket);
    assert_eq!((requests[1].line().as_str(), requests[1].body.as_str()), ("PUT /a%20b", "abc"));
    assert_eq!(
        (requests[1].header("if-none-match"), requests[1].header("content-type")),
        (Some("*"), Some("text/plain"))
    );
}

#[test]
fn an_object_that_exists_is_not_overwritten_even_where_conditions_are_ignored() {
    let bucket = bucket(&[], vec![reply(200, &[("content-length", "3")], "")]);
    assert_eq!(bucket.create(&file("k"), false).err().unwrap().class, ErrorClass::Precondition);
    assert_eq!(asked(&bucket)[0].line(), "HEAD /k");
}

fn begun() -> Reply {
    reply(200, &[], "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>")
}

#[test]
fn a_large_object_is_restored_in_parts() {
    let part = |tag: &str| reply(200, &[("etag", tag)], "");
    let done =
        reply(200, &[], "<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag></CompleteMultipartUploadResult>");
    let bucket = bucket(&[], vec![begun(), part("\"1\""), part("\"2\""), done]);
    let mut upload = bucket.create(&file("k"), true).unwrap().unwrap();
    upload.write(b"one".to_vec()).unwrap();
    upload.write(b"two".to_vec()).unwrap();
    assert_eq!(upload.finish().unwrap().as_deref(), Some("x-2"));
    let requests = asked(&bucket);
    let lines: Vec<String> = requests.iter().map(Asked::line).collect();
    assert_eq!(
        lines,
        [
            "POST /k?uploads",
            "PUT /k?partNumber=1&uploadId=u%2F1",
            "PUT /k?partNumber=2&uploadId=u%2F1",
            "POST /k?uploadId=u%2F1"
        ]
    );
    assert!(requests[3].body.contains("<Part><PartNumber>2</PartNumber><ETag>&quot;2&quot;</ETag></Part>"));
}

#[test]
fn a_server_that_names_its_documents_otherwise_is_understood() {
    let answer = "<InitiateMultipartUpload><UploadId>u</UploadId></InitiateMultipartUpload>";
    let destination = bucket(&[], vec![reply(404, &[], ""), reply(200, &[], answer), reply(204, &[], "")]);
    assert!(destination.check_destination().iter().all(|check| check.outcome.is_ok()));
}

#[test]
fn a_completion_that_fails_behind_a_good_status_is_an_error_and_is_aborted() {
    let part = || reply(200, &[("etag", "\"1\"")], "");
    let bucket = bucket(&[], vec![begun(), part(), part(), error(200, "InternalError"), reply(204, &[], "")]);
    let mut upload = bucket.create(&file("k"), true).unwrap().unwrap();
    upload.write(b"one".to_vec()).unwrap();
    upload.write(b"two".to_vec()).unwrap();
    assert_eq!(upload.finish().unwrap_err().class, ErrorClass::Transient);
    upload.abort();
    assert_eq!(asked(&bucket)[4].line(), "DELETE /k?uploadId=u%2F1");
}

#[test]
fn what_a_bucket_cannot_hold_is_said() {
    let bucket = bucket(&[], vec![]);
    let link = Entry { kind: EntryKind::Symlink, ..file("k") };
    assert_eq!(bucket.create(&link, true).err().unwrap().class, ErrorClass::Unsupported);
    let huge = Entry { size: Some(u64::MAX), ..file("k") };
    assert!(bucket.create(&huge, true).err().unwrap().message.contains("raise part_size"));
    let folder = Entry { kind: EntryKind::Directory, ..file("k") };
    assert!(bucket.create(&folder, true).unwrap().is_none());
}

fn names_of(checks: Vec<credenza_sdk::Check>) -> Vec<(String, bool)> {
    checks.into_iter().map(|check| (check.name, check.outcome.is_ok())).collect()
}

#[test]
fn a_self_test_names_each_right() {
    let versioning = || reply(200, &[], "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>");
    let source = bucket(&[], vec![page(&["a"], None), error(403, "AccessDenied"), versioning()]);
    let proven = [("signature", true), ("region", true), ("bucket", true), ("list", true)];
    let expected = proven.iter().chain(&[("read", false), ("versions", true)]);
    let expected: Vec<(String, bool)> = expected.map(|(name, ok)| ((*name).to_owned(), *ok)).collect();
    assert_eq!(names_of(source.check_source()), expected);
    let destination = bucket(&[], vec![reply(404, &[], ""), begun(), reply(204, &[], "")]);
    assert!(destination.check_destination().iter().all(|check| check.outcome.is_ok()));
}

#[test]
fn a_self_test_ends_with_the_step_that_the_first_request_failed() {
    let refusals = [
        (error(403, "RequestTimeTooSkewed"), vec![("signature", false)]),
        (reply(301, &[("x-amz-bucket-region", "eu-west-1")], ""), vec![("signature", true), ("region", false)]),
        (error(404, "NoSuchBucket"), vec![("signature", true), ("region", true), ("bucket", false)]),
        (reply(200, &[], "<html><body>Sign in</body></html>"), vec![("list", false)]),
        (error(403, "AccessDenied"), vec![("signature", true), ("region", true), ("bucket", true), ("list", false)]),
    ];
    for (refusal, expected) in refusals {
        let expected: Vec<(String, bool)> = expected.into_iter().map(|(name, ok)| (name.to_owned(), ok)).collect();
        assert_eq!(names_of(bucket(&[], vec![refusal]).check_source()), expected);
    }
}

#[test]
fn a_self_test_says_when_a_server_ignores_conditions_or_lists_in_no_order() {
    let object = || reply(206, &[("content-range", "bytes 0-0/3"), ("etag", "\"e\"")], "x");
    let other = || reply(200, &[], "<ListBucketResult/>");
    let source = bucket(&[], vec![page(&["b", "a"], None), object(), object(), other()]);
    let texts: Vec<String> =
        source.check_source().into_iter().map(|check| check.outcome.unwrap_or_else(|e| e.message)).collect();
    for text in ["in no order", "ignored by the server", "unknown: looking at the versioning"] {
        assert!(texts.iter().any(|said| said.contains(text)), "{text}: {texts:?}");
    }
}
