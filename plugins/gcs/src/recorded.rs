//! Exchanges with the service, as its documentation has them: what no emulator does, and answers that are lost.

use credenza_sdk::wire::{Reply, Tape};
use credenza_sdk::{
    ByteRange, Config, Destination, Entry, EntryKind, ErrorClass, Found, PutOptions, ScanOptions, Scanner, Source,
    Store, Timestamp, Version, Writer,
};

use crate::bucket::Bucket;
use crate::listing::PAGE_BYTES_MAX;
use crate::place::tests::config;

const SESSION: &str = "https://storage.googleapis.com/upload/storage/v1/b/b/o?uploadType=resumable&upload_id=S";
const MADE: &str = r#"{"name": "k", "generation": "9", "size": "5"}"#;
const UNIT: usize = 256 * 1024;

fn bucket_of(config: &Config, replies: impl IntoIterator<Item = Reply>) -> (Bucket<Tape>, Tape) {
    let tape = Tape::new(replies);
    (Bucket::new(config, tape.clone()), tape)
}

fn bucket(replies: impl IntoIterator<Item = Reply>) -> (Bucket<Tape>, Tape) {
    bucket_of(&config(&[("part_size", "262144")]), replies)
}

fn begun() -> Reply {
    Reply::new(200).with_header("location", SESSION)
}

fn incomplete(bytes: usize) -> Reply {
    Reply::new(308).with_header("range", format!("bytes=0-{}", bytes - 1))
}

fn failed(status: u16, reason: &str, message: &str) -> Reply {
    let error =
        serde_json::json!({"code": status, "message": message, "errors": [{"reason": reason, "message": message}]});
    Reply::new(status).with_body(serde_json::json!({ "error": error }).to_string())
}

fn listing(document: serde_json::Value) -> Reply {
    let mut document = document;
    document["kind"] = "storage#objects".into();
    Reply::new(200).with_body(document.to_string())
}

fn item(name: &str, generation: u64) -> serde_json::Value {
    serde_json::json!({"name": name, "generation": generation.to_string(), "size": "5", "timeCreated": "2024-01-01T00:00:00Z"})
}

fn ranges(tape: &Tape) -> Vec<String> {
    let asked = tape.asked().into_iter();
    asked.map(|asked| format!("{} {}", asked.method, asked.header("content-range").unwrap_or("-"))).collect()
}

fn writer(bucket: &Bucket<Tape>) -> Box<dyn Writer<Vec<u8>>> {
    bucket.create(Entry::new("k", EntryKind::File), true).unwrap().unwrap()
}

#[test]
fn an_object_of_several_parts_is_sent_behind_what_has_arrived() {
    let (bucket, tape) = bucket([begun(), incomplete(UNIT), incomplete(2 * UNIT), Reply::new(200).with_body(MADE)]);
    let mut writer = writer(&bucket);
    assert_eq!(writer.part_bytes(), Some(UNIT as u64));
    writer.write(vec![1; UNIT]).unwrap();
    writer.write(vec![2; UNIT]).unwrap();
    assert_eq!(writer.finish(vec![3; 5]).unwrap(), Vec::<String>::new());
    assert_eq!(
        ranges(&tape),
        ["POST -", "PUT bytes 0-262143/*", "PUT bytes 262144-524287/*", "PUT bytes 524288-524292/524293"]
    );
    assert_eq!(tape.lines()[1], "PUT ?uploadType=resumable&upload_id=S");
    writer.abort();
    assert_eq!(tape.asked().len(), 4, "what is published is not given up");
}

#[test]
fn a_part_counts_only_once_it_has_arrived() {
    let replies = [begun(), Reply::new(503), incomplete(100), incomplete(UNIT), Reply::new(200).with_body(MADE)];
    let (bucket, tape) = bucket(replies);
    let mut writer = writer(&bucket);
    for reason in ["gcs.unavailable", "gcs.short-upload"] {
        let error = writer.write(vec![1; UNIT]).unwrap_err();
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Transient, reason));
    }
    writer.write(vec![1; UNIT]).unwrap();
    writer.finish(Vec::new()).unwrap();
    let part = "PUT bytes 0-262143/*";
    assert_eq!(ranges(&tape), ["POST -", part, part, part, "PUT bytes */262144"]);
}

#[test]
fn an_object_that_was_published_although_the_answer_was_lost_is_there() {
    let (bucket, tape) = bucket([begun(), Reply::new(503), Reply::new(200).with_body(MADE)]);
    let mut writer = writer(&bucket);
    assert_eq!(writer.finish(b"12345".to_vec()).unwrap_err().class, ErrorClass::Transient);
    writer.finish(b"12345".to_vec()).unwrap();
    assert_eq!(ranges(&tape), ["POST -", "PUT -", "PUT bytes */5"]);
}

#[test]
fn an_object_that_was_not_published_is_sent_again() {
    let (bucket, tape) = bucket([begun(), Reply::new(503), Reply::new(308), Reply::new(200).with_body(MADE)]);
    let mut writer = writer(&bucket);
    writer.finish(b"12345".to_vec()).unwrap_err();
    writer.finish(b"12345".to_vec()).unwrap();
    assert_eq!(ranges(&tape), ["POST -", "PUT -", "PUT bytes */5", "PUT -"]);
}

#[test]
fn what_is_given_up_is_told_to_the_service() {
    let (bucket, tape) = bucket([begun(), incomplete(UNIT), Reply::new(499)]);
    let mut writer = writer(&bucket);
    writer.write(vec![1; UNIT]).unwrap();
    writer.abort();
    assert_eq!(tape.lines().last().unwrap(), "DELETE ?uploadType=resumable&upload_id=S");
}

#[test]
fn without_overwrite_nothing_that_is_there_is_written_over() {
    let (there, tape) = bucket([Reply::new(200).with_body(MADE)]);
    let refused = there.create(Entry::new("k", EntryKind::File), false).err().unwrap();
    assert_eq!((refused.class, tape.asked().len()), (ErrorClass::Precondition, 1));
    // It came in between.
    let (raced, tape) = bucket([failed(404, "notFound", "No such object: b/k"), failed(412, "conditionNotMet", "")]);
    let mut writer = raced.create(Entry::new("k", EntryKind::File), false).unwrap().unwrap();
    assert_eq!(writer.finish(b"x".to_vec()).unwrap_err().class, ErrorClass::Precondition);
    assert!(tape.lines()[1].contains("&ifGenerationMatch=0"), "{:?}", tape.lines());
}

#[test]
fn a_put_is_one_request_and_two_with_more_than_bytes() {
    let made = || Reply::new(200).with_body(r#"{"generation": "7", "timeCreated": "2024-01-01T00:00:05Z"}"#);
    let options = PutOptions { if_absent: true, if_match: None, retain_until: None, hint: "data".to_owned() };
    let (plain, tape) = bucket([made()]);
    let stored = plain.put("a/b", b"x".to_vec(), options.clone()).unwrap();
    assert_eq!((stored.tag.as_deref(), stored.version.as_deref()), (Some("7"), Some("7")));
    assert_eq!(stored.modified, Some(Timestamp { seconds: 1_704_067_205, nanoseconds: 0 }));
    assert!(tape.lines()[0].starts_with("POST ?uploadType=media&name=a%2Fb&"), "{:?}", tape.lines());
    let locked = PutOptions { retain_until: Some(Timestamp { seconds: 1_900_000_000, nanoseconds: 0 }), ..options };
    let (bucket, tape) = bucket([begun(), made()]);
    bucket.put("a/b", b"x".to_vec(), locked).unwrap();
    assert_eq!(tape.asked()[0].body, r#"{"retention":{"mode":"Locked","retainUntilTime":"2030-03-17T17:46:40Z"}}"#);
}

#[test]
fn a_bucket_without_retention_locks_nothing_and_stores_nothing() {
    let refused = failed(400, "invalid", "Object retention is not enabled for the bucket.");
    let (bucket, _) = bucket([refused]);
    let until = Some(Timestamp { seconds: 1_900_000_000, nanoseconds: 0 });
    let options = PutOptions { if_absent: true, if_match: None, retain_until: until, hint: String::new() };
    assert_eq!(bucket.put("a", b"x".to_vec(), options).unwrap_err().class, ErrorClass::Unsupported);
}

#[test]
fn a_lock_that_ends_later_stays_as_it_is() {
    let locked = |time: &str| {
        let document = serde_json::json!({"retention": {"mode": "Locked", "retainUntilTime": time}});
        [failed(403, "forbidden", "cannot be shortened"), Reply::new(200).with_body(document.to_string())]
    };
    let until = Timestamp { seconds: 1_900_000_000, nanoseconds: 0 };
    let (later, _) = bucket(locked("2031-01-01T00:00:00Z"));
    later.retain("a", Some("7"), until).unwrap();
    let (sooner, tape) = bucket(locked("2029-01-01T00:00:00Z"));
    assert_eq!(sooner.retain("a", Some("7"), until).unwrap_err().class, ErrorClass::Denied);
    assert!(tape.lines().iter().all(|line| line.contains("/a?fields=") && line.ends_with("&generation=7")));
}

fn scan(bucket: &Bucket<Tape>, options: ScanOptions) -> credenza_sdk::Result<Vec<Entry>> {
    let mut scanner = bucket.walk(&options);
    let mut entries = Vec::new();
    loop {
        let batch = scanner.next(1000)?;
        entries.extend(batch.found.into_iter().map(|found| match found {
            Found::Entry(entry) => entry,
            Found::Skipped((key, error)) => panic!("{key:?}: {error:?}"),
        }));
        if !batch.more {
            return Ok(entries);
        }
    }
}

fn everything() -> ScanOptions {
    ScanOptions { prefix: Vec::new(), start_after: None, one_level: false, as_of: None }
}

#[test]
fn pages_join_also_when_one_holds_nothing() {
    let pages = [
        serde_json::json!({"items": [item("p/a", 1)], "nextPageToken": "t1"}),
        serde_json::json!({"nextPageToken": "t2"}),
        serde_json::json!({"items": [item("p/", 2), item("p/b", 3)]}),
    ];
    let (bucket, tape) = bucket_of(&config(&[("prefix", "p")]), pages.map(listing));
    let keys: Vec<_> = scan(&bucket, everything()).unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, [b"a".to_vec(), b"b".to_vec()]);
    assert!(tape.lines()[2].ends_with("&prefix=p%2F&pageToken=t2"), "{:?}", tape.lines());
}

#[test]
fn the_name_to_begin_behind_is_told_and_passed_over() {
    let page = serde_json::json!({"items": [item("b", 1), item("b!", 2)]});
    let (bucket, tape) = bucket([listing(page)]);
    let found = scan(&bucket, ScanOptions { start_after: Some(b"b".to_vec()), ..everything() }).unwrap();
    assert_eq!(found.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), [b"b!".to_vec()]);
    assert!(tape.lines()[0].ends_with("&startOffset=b"), "{:?}", tape.lines());
}

#[test]
fn a_page_that_is_too_long_is_asked_for_in_fewer_objects() {
    let long = Reply::new(200).with_body(vec![b' '; PAGE_BYTES_MAX + 1]);
    let (bucket, tape) = bucket([long, listing(serde_json::json!({"items": [item("a", 1)]}))]);
    assert_eq!(scan(&bucket, everything()).unwrap().len(), 1);
    let counts: Vec<bool> =
        tape.lines().iter().zip(["1000", "100"]).map(|(l, n)| l.ends_with(&format!("maxResults={n}"))).collect();
    assert_eq!(counts, [true, true]);
}

#[test]
fn a_listing_that_gets_no_further_is_an_error_and_no_shorter_bucket() {
    let endless = || listing(serde_json::json!({"items": [item("a", 1)], "nextPageToken": "t"}));
    let (bucket, _) = bucket([endless(), endless()]);
    assert_eq!(scan(&bucket, everything()).unwrap_err().reason, "gcs.endless-listing");
    for other in ["", "[]", "<html>", r#"{"kind": "storage#buckets"}"#] {
        let (bucket, _) = crate::recorded::bucket([Reply::new(200).with_body(other)]);
        assert_eq!(scan(&bucket, everything()).unwrap_err().class, ErrorClass::Corrupt, "{other}");
    }
}

fn listed(attributes: &[(&str, &str)]) -> Entry {
    let text =
        |(name, value): &(&str, &str)| ((*name).to_owned(), credenza_sdk::AttributeValue::Text((*value).to_owned()));
    Entry {
        size: Some(5),
        fingerprint: Some("7".to_owned()),
        checksums: vec![credenza_sdk::Checksum { algorithm: "crc32c".to_owned(), value: vec![0; 4] }],
        attributes: attributes.iter().map(text).collect(),
        ..Entry::new("a/b", EntryKind::File)
    }
}

#[test]
fn a_read_is_of_the_generation_that_was_listed() {
    let content = || Reply::new(200).with_body("12345").with_header("x-goog-generation", "7");
    let (plain, tape) = bucket([content()]);
    plain.read(listed(&[]), None, Some("7".to_owned())).unwrap();
    assert_eq!(tape.lines(), ["GET /a%2Fb?alt=media&ifGenerationMatch=7"]);
    assert_eq!(tape.asked()[0].header("accept-encoding"), Some("identity"));
    let (encoded, tape) = bucket([content()]);
    let pinned = Entry { locator: Some(b"7".to_vec()), ..listed(&[("http.content-encoding", "gzip")]) };
    encoded.read(pinned, None, Some("7".to_owned())).unwrap();
    assert_eq!(tape.lines(), ["GET /a%2Fb?alt=media&generation=7"]);
    assert_eq!(tape.asked()[0].header("accept-encoding"), Some("gzip"), "else it is decoded");
}

#[test]
fn a_success_that_is_not_googles_is_none() {
    let portal = || Reply::new(200).with_body("<html>Please log in</html>");
    let disguised = Reply::new(200).with_body(r#"{"error":{"code":503,"message":"try later"}}"#);
    let (store, _) = bucket([portal(), portal(), disguised]);
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::Corrupt);
    for _ in 0..2 {
        let options = PutOptions { if_absent: true, if_match: None, retain_until: None, hint: "meta".to_owned() };
        assert_eq!(store.put("k", b"x".to_vec(), options).unwrap_err().class, ErrorClass::Corrupt);
    }
}

#[test]
fn a_page_tells_nothing_of_what_is_not_there() {
    let (store, _) = bucket([
        Reply::new(404).with_body("<html>Please log in</html>"),
        Reply::new(404).with_body("No such object: b/k"),
    ]);
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::Corrupt);
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::NotFound);
}

#[test]
fn a_session_that_is_gone_is_begun_again() {
    let begun = || Reply::new(200).with_header("location", "http://x/upload?upload_id=7");
    let (store, _) = bucket([begun(), Reply::new(410)]);
    let locked = Some(Timestamp { seconds: 1_900_000_000, nanoseconds: 0 });
    let options = PutOptions { if_absent: true, if_match: None, retain_until: locked, hint: "data".to_owned() };
    assert_eq!(store.put("k", b"x".to_vec(), options).unwrap_err().class, ErrorClass::Transient);
}

#[test]
fn an_answer_that_contradicts_the_listing_is_no_copy_of_it() {
    let answers = [
        (failed(412, "conditionNotMet", ""), ErrorClass::Precondition),
        (Reply::new(200).with_body("12345").with_header("x-goog-generation", "8"), ErrorClass::Precondition),
        (Reply::new(200).with_body("1234"), ErrorClass::Precondition),
        (Reply::new(200).with_body("12345").with_header("x-goog-hash", "crc32c=AAAAAQ=="), ErrorClass::Precondition),
        (
            Reply::new(200).with_body("decoded").with_header("x-guploader-response-body-transformations", "gunzipped"),
            ErrorClass::Unsupported,
        ),
        (Reply::new(404).with_body("No such object: b/a/b"), ErrorClass::NotFound),
    ];
    for (answer, class) in answers {
        let (bucket, _) = bucket([answer]);
        let error = bucket.read(listed(&[]), None, Some("7".to_owned())).err().unwrap();
        assert_eq!(error.class, class, "{error:?}");
    }
}

#[test]
fn a_range_that_is_ignored_is_noticed() {
    let (bucket, _) = bucket([Reply::new(200).with_body("12345")]);
    let range = ByteRange { offset: 1, length: Some(2) };
    assert_eq!(bucket.read(listed(&[]), Some(range), None).err().unwrap().class, ErrorClass::Unsupported);
}

#[test]
fn who_may_not_look_at_the_bucket_finds_no_history_and_backs_up_without() {
    let dated = |reply: Reply| reply.with_header("date", "Mon, 01 Jan 2024 00:00:05 GMT");
    for (reply, now) in [
        (dated(Reply::new(200).with_body(r#"{"versioning": {"enabled": true}}"#)), Some(1_704_067_205)),
        (dated(Reply::new(200).with_body("{}")), None),
        (failed(403, "forbidden", "does not have storage.buckets.get access"), None),
    ] {
        let (bucket, _) = bucket([reply]);
        assert_eq!(bucket.now().unwrap().map(|now| now.seconds), now);
    }
    let (missing, _) = bucket([failed(404, "notFound", "The specified bucket does not exist.")]);
    assert_eq!(missing.now().unwrap_err().class, ErrorClass::Configuration);
    let (denied, _) = bucket_of(&config(&[("as_of", "2024-01-01T00:00:00Z")]), [failed(403, "forbidden", "")]);
    assert_eq!(denied.now().unwrap_err().reason, "gcs.no-history");
}

#[test]
fn what_is_configured_has_a_document_and_what_may_not_be_read_an_error() {
    let replies = [
        Reply::new(200).with_body(r#"{"lifecycle": {"rule": []}, "labels": {}, "versioning": {"enabled": true}}"#),
        failed(403, "forbidden", "does not have storage.buckets.getIamPolicy access"),
    ];
    let (bucket, _) = bucket(replies);
    let documents = bucket.configuration().unwrap();
    let reported: Vec<_> =
        documents.iter().map(|document| (document.name.as_str(), document.content.is_ok())).collect();
    assert_eq!(reported, [("gcs.lifecycle", true), ("gcs.versioning", true), ("gcs.iam-policy", false)]);
}

#[test]
fn a_check_names_the_step_that_failed() {
    for (reply, steps) in [
        (failed(401, "authError", "Invalid Credentials"), &["credentials"][..]),
        (failed(403, "accessNotConfigured", ""), &["credentials", "project"]),
        (failed(404, "notFound", "The specified bucket does not exist."), &["credentials", "project", "bucket"]),
        (failed(403, "forbidden", ""), &["credentials", "project", "bucket", "list"]),
    ] {
        let (bucket, _) = bucket([reply]);
        let lines = bucket.check_source();
        assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), steps);
        assert!(lines.last().unwrap().outcome.is_err());
    }
}

#[test]
fn nothing_is_written_to_a_bucket_that_is_read_as_it_was() {
    let (bucket, tape) = bucket_of(&config(&[("as_of", "2024-01-01T00:00:00Z")]), []);
    let options = PutOptions { if_absent: true, if_match: None, retain_until: None, hint: String::new() };
    let until = Timestamp { seconds: 0, nanoseconds: 0 };
    let refusals = [
        bucket.put("a", Vec::new(), options).err(),
        bucket.delete(&["a".to_owned()]).err(),
        bucket.retain("a", None, until).err(),
        Destination::info(&bucket).err(),
    ];
    assert!(refusals.iter().flatten().all(|error| error.class == ErrorClass::Denied), "{refusals:?}");
    assert_eq!((refusals.iter().flatten().count(), tape.asked().len()), (4, 0));
}

#[test]
fn what_was_found_is_removed_only_while_it_is_there() {
    let version = Version { id: String::new(), latest: true, deleted: true };
    let found = Entry {
        version: Some(version),
        fingerprint: Some("7".to_owned()),
        ..Entry::new(b"k".to_vec(), EntryKind::File)
    };
    let is_another =
        || failed(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
    let there = || Reply::new(200).with_body(item("k", 8).to_string());
    for (replies, class) in [
        (vec![Reply::new(204)], None),
        (vec![is_another(), there()], Some(ErrorClass::Precondition)),
        (vec![is_another(), failed(404, "notFound", "")], None),
    ] {
        let (bucket, tape) = bucket(replies);
        assert_eq!(bucket.begin_entry(&found, true).err().map(|error| error.class), class, "another object stays");
        assert_eq!(tape.lines()[0], "DELETE /k?ifGenerationMatch=7");
    }
}
