//! The destination against recorded answers.

use super::*;

#[test]
fn a_small_object_is_restored_in_one_write_with_its_attributes() {
    let mut entry = file("a b");
    entry.attributes.push(("http.content-type".to_owned(), AttributeValue::Text("text/plain".to_owned())));
    let bucket = bucket(&[], vec![reply(404, &[], ""), reply(200, &[("etag", "\"n\"")], "")]);
    let mut upload = bucket.create(&entry, false).unwrap().unwrap();
    upload.write(b"abc".to_vec()).unwrap();
    assert!(upload.finish().unwrap().is_empty());
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

#[test]
fn a_large_object_is_restored_in_parts() {
    let part = |tag: &str| reply(200, &[("etag", tag)], "");
    let done =
        reply(200, &[], "<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag></CompleteMultipartUploadResult>");
    let bucket = bucket(&[], vec![begun(), part("\"1\""), part("\"2\""), done]);
    let mut upload = bucket.create(&file("k"), true).unwrap().unwrap();
    upload.write(b"one".to_vec()).unwrap();
    upload.write(b"two".to_vec()).unwrap();
    assert!(upload.finish().unwrap().is_empty());
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
    assert!(bucket.create(&huge, true).err().unwrap().message.contains("at most"));
    let folder = Entry { kind: EntryKind::Directory, ..file("k") };
    assert!(bucket.create(&folder, true).unwrap().is_none());
}

#[test]
fn an_object_of_one_part_is_uploaded_in_parts_when_the_original_was() {
    let single = Entry {
        fingerprint: Some("00000000000000000000000000000000-1".to_owned()),
        attributes: vec![("s3.parts".to_owned(), AttributeValue::Integer(1))],
        ..file("k")
    };
    let done = reply(
        200,
        &[],
        "<CompleteMultipartUploadResult><ETag>11111111111111111111111111111111-1</ETag></CompleteMultipartUploadResult>",
    );
    let bucket = bucket(&[], vec![begun(), reply(200, &[("etag", "1")], ""), done]);
    let mut upload = bucket.create(&single, true).unwrap().unwrap();
    upload.write(b"abc".to_vec()).unwrap();
    assert_eq!(upload.finish().unwrap(), ["s3.etag"], "another ETag came out, and that is said");
    assert_eq!(asked(&bucket)[0].line(), "POST /k?uploads");
}

#[test]
fn a_delete_marker_is_laid_upon_what_may_be_replaced() {
    let version = Version { id: "1".to_owned(), latest: true, deleted: true };
    let marker = Entry { version: Some(version), ..file("k") };
    let destination = bucket(&[], vec![reply(204, &[], "")]);
    assert!(destination.create(&marker, true).unwrap().is_none());
    assert_eq!(asked(&destination)[0].line(), "DELETE /k");
    let occupied = bucket(&[], vec![reply(200, &[("content-length", "3")], "")]);
    assert_eq!(occupied.create(&marker, false).err().unwrap().class, ErrorClass::Precondition);
    asked(&occupied);
}

fn locked(until: i64) -> Entry {
    let until = Timestamp { seconds: until, nanoseconds: 0 };
    let attributes = vec![
        ("s3.lock-mode".to_owned(), AttributeValue::Text("GOVERNANCE".to_owned())),
        ("s3.lock-until".to_owned(), AttributeValue::Time(until)),
        ("s3.legal-hold".to_owned(), AttributeValue::Text("ON".to_owned())),
    ];
    Entry { attributes, ..file("k") }
}

#[test]
fn locks_are_given_back_only_when_they_are_wanted_and_what_is_not_there_is_told() {
    let without = bucket(&[], vec![]);
    assert_eq!(without.lost(&locked(2_000_000_000)).len(), 3);
    let put = reply(200, &[("x-amz-version-id", "v")], "");
    let until = ("x-amz-object-lock-retain-until-date", "2033-05-18T03:33:20Z");
    let head = reply(200, &[("x-amz-object-lock-mode", "GOVERNANCE"), until], "");
    let with = bucket(&[("locks", "true")], vec![put, head]);
    assert!(with.lost(&locked(2_000_000_000)).is_empty());
    let mut upload = with.create(&locked(2_000_000_000), true).unwrap().unwrap();
    upload.write(b"abc".to_vec()).unwrap();
    assert_eq!(upload.finish().unwrap(), ["s3.legal-hold"]);
    let requests = asked(&with);
    let sent = [("x-amz-object-lock-mode", "GOVERNANCE"), until, ("x-amz-object-lock-legal-hold", "ON")];
    for (name, value) in sent {
        assert_eq!(requests[0].header(name), Some(value));
    }
    assert_eq!(requests[1].line(), "HEAD /k?versionId=v");
}

#[test]
fn a_lock_that_has_run_out_is_no_loss() {
    let held = reply(200, &[("x-amz-object-lock-legal-hold", "ON")], "");
    let bucket = bucket(&[("locks", "true")], vec![reply(200, &[], ""), held]);
    let mut upload = bucket.create(&locked(1_600_000_000), true).unwrap().unwrap();
    upload.write(b"abc".to_vec()).unwrap();
    assert!(upload.finish().unwrap().is_empty());
    assert_eq!(asked(&bucket)[0].header("x-amz-object-lock-mode"), None);
}
