//! The destination against recorded answers.

use super::*;

#[test]
fn a_small_object_is_restored_in_one_write_with_its_attributes() {
    let mut entry = file("a b");
    entry.attributes.push(("http.content-type".to_owned(), AttributeValue::Text("text/plain".to_owned())));
    let bucket = bucket(&[], vec![reply(404, &[], ""), reply(200, &[("etag", "\"n\"")], "")]);
    let mut upload = bucket.create(&entry, false).unwrap().unwrap();
    assert!(upload.finish(b"abc".to_vec()).unwrap().is_empty());
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
    assert!(upload.finish(b"two".to_vec()).unwrap().is_empty());
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
    assert_eq!(upload.finish(b"two".to_vec()).unwrap_err().class, ErrorClass::Transient);
    upload.abort();
    assert_eq!(asked(&bucket)[4].line(), "DELETE /k?uploadId=u%2F1");
}

#[test]
fn a_part_that_failed_in_passing_comes_again_and_counts_once() {
    let part = |tag: &str| reply(200, &[("etag", tag)], "");
    let done = reply(200, &[], "<CompleteMultipartUploadResult><ETag>x-2</ETag></CompleteMultipartUploadResult>");
    let slow = || error(503, "SlowDown");
    let bucket = bucket(&[], vec![begun(), slow(), part("\"1\""), slow(), part("\"2\""), slow(), done]);
    let mut upload = bucket.create(&file("k"), true).unwrap().unwrap();
    assert_eq!(upload.write(b"one".to_vec()).unwrap_err().class, ErrorClass::Transient);
    upload.write(b"one".to_vec()).unwrap();
    for _ in 0..2 {
        assert_eq!(upload.finish(b"two".to_vec()).unwrap_err().class, ErrorClass::Transient);
    }
    upload.finish(b"two".to_vec()).unwrap();
    let sent: Vec<_> = asked(&bucket).into_iter().map(|asked| (asked.line(), asked.body)).collect();
    let part = |number, body: &str| (format!("PUT /k?partNumber={number}&uploadId=u%2F1"), body.to_owned());
    assert_eq!(sent[1..5], [part(1, "one"), part(1, "one"), part(2, "two"), part(2, "two")]);
    assert_eq!(sent[5], sent[6], "the same two parts are completed");
    assert_eq!(sent[6].1.matches("<Part>").count(), 2);
}

#[test]
fn a_completion_whose_answer_was_lost_is_told_by_the_etag_of_its_parts() {
    let part = |tag: &str| reply(200, &[("etag", tag)], "");
    // The MD5s of `one` and `two`, and that of both.
    let (one, two) = ("f97c5d29941bfb1b2fdab0874906ab82", "b8a9f715dbb64fd5c56e7783c6820a61");
    for (there, found) in [("1397b7ee3222e3980d0d20f23a871b02-2", true), ("00000000000000000000000000000000-2", false)]
    {
        let head = reply(200, &[("etag", there)], "");
        let replies =
            vec![begun(), part(one), part(two), error(500, "InternalError"), error(404, "NoSuchUpload"), head];
        let bucket = bucket(&[], replies);
        let mut upload = bucket.create(&file("k"), true).unwrap().unwrap();
        upload.write(b"one".to_vec()).unwrap();
        assert_eq!(upload.finish(b"two".to_vec()).unwrap_err().class, ErrorClass::Transient);
        let again = upload.finish(b"two".to_vec());
        assert_eq!(again.map_err(|error| error.class), if found { Ok(vec![]) } else { Err(ErrorClass::NotFound) });
        assert_eq!(asked(&bucket)[5].line(), "HEAD /k");
    }
}

#[test]
fn a_server_that_calls_a_key_occupied_where_nothing_is_gets_the_object_without_the_condition() {
    let replies = vec![reply(404, &[], ""), error(412, "PreconditionFailed"), reply(404, &[], ""), reply(200, &[], "")];
    let bucket = bucket(&[], replies);
    let mut upload = bucket.create(&file("a"), false).unwrap().unwrap();
    assert_eq!(upload.finish(b"abc".to_vec()).unwrap_err().class, ErrorClass::Transient);
    upload.finish(b"abc".to_vec()).unwrap();
    let requests = asked(&bucket);
    assert_eq!((requests[1].header("if-none-match"), requests[3].header("if-none-match")), (Some("*"), None));
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
fn what_an_object_was_in_a_folder_is_kept_as_user_metadata_as_far_as_that_goes() {
    let attributes = vec![
        ("tree.posix.mode".to_owned(), AttributeValue::Integer(0o644)),
        ("tree.xattr.user.long".to_owned(), AttributeValue::Blob(vec![7; 2000])),
        ("tree.xattr.user.short".to_owned(), AttributeValue::Blob(vec![7])),
        ("user.colour".to_owned(), AttributeValue::Text("red".to_owned())),
    ];
    let bucket = bucket(&[], vec![reply(200, &[], "")]);
    let entry = Entry { attributes, ..file("k") };
    assert_eq!(bucket.lost(&entry), ["tree.xattr.user.long"]);
    bucket.create(&entry, true).unwrap().unwrap().finish(Vec::new()).unwrap();
    let asked = asked(&bucket);
    let kept = |name: &str| asked[0].header(&format!("x-amz-meta-{name}"));
    assert_eq!(
        (kept("credenza-posix.mode"), kept("credenza-xattr.user.short"), kept("colour")),
        (Some("i420"), Some("bBw=="), Some("red"))
    );
    assert_eq!(kept("credenza-xattr.user.long"), None);
}

#[test]
fn an_upload_in_parts_gets_the_checksum_and_the_lock_of_the_original() {
    let text = |value: &str| AttributeValue::Text(value.to_owned());
    let attributes = vec![
        ("s3.checksum-algorithm".to_owned(), text("CRC32")),
        ("s3.legal-hold".to_owned(), text("ON")),
        ("s3.parts".to_owned(), AttributeValue::Integer(1)),
    ];
    let part = reply(200, &[("etag", "\"1\""), ("x-amz-checksum-crc32", "AAAAAA==")], "");
    let done = |sum: &str| {
        reply(
            200,
            &[],
            &format!(
                "<CompleteMultipartUploadResult><ChecksumCRC32>{sum}</ChecksumCRC32></CompleteMultipartUploadResult>"
            ),
        )
    };
    let held = || reply(200, &[("x-amz-object-lock-legal-hold", "ON")], "");
    for (sum, lost) in [("BBBBBB==-1", vec![]), ("BBBBBB==", vec!["s3.checksum-algorithm"])] {
        let bucket = bucket(&[("locks", "true")], vec![begun(), part.clone(), done(sum), held()]);
        let entry = Entry { attributes: attributes.clone(), ..file("k") };
        let mut upload = bucket.create(&entry, true).unwrap().unwrap();
        assert_eq!(upload.finish(b"abc".to_vec()).unwrap(), lost, "{sum}");
        let asked = asked(&bucket);
        assert_eq!(asked[0].header("x-amz-checksum-algorithm"), Some("CRC32"));
        assert_eq!(asked[0].header("x-amz-object-lock-legal-hold"), Some("ON"));
        assert_eq!(asked[1].header("x-amz-sdk-checksum-algorithm"), Some("CRC32"));
        assert!(asked[2].body.contains("<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"), "{}", asked[2].body);
    }
}

#[test]
fn a_server_that_refuses_a_checksum_gets_the_object_without_and_that_is_told() {
    let checked = |key: &str| {
        let sum = credenza_sdk::Checksum { algorithm: "crc64nvme".to_owned(), value: vec![0; 8] };
        Entry { checksums: vec![sum], ..file(key) }
    };
    let taken = || reply(200, &[], "");
    let bucket = bucket(&[], vec![error(501, "NotImplemented"), taken(), taken()]);
    let mut first = bucket.create(&checked("k"), true).unwrap().unwrap();
    assert_eq!(first.finish(b"abc".to_vec()).unwrap_err().class, ErrorClass::Transient);
    assert_eq!(first.finish(b"abc".to_vec()).unwrap(), ["s3.checksum-algorithm"]);
    let mut second = bucket.create(&checked("l"), true).unwrap().unwrap();
    assert_eq!(second.finish(b"abc".to_vec()).unwrap(), ["s3.checksum-algorithm"]);
    let asked = asked(&bucket);
    let sums: Vec<_> = asked.iter().map(|asked| asked.header("x-amz-sdk-checksum-algorithm")).collect();
    assert_eq!(sums, [Some("CRC64NVME"), None, None]);
}

#[test]
fn an_object_that_is_refused_with_and_without_its_checksum_is_refused() {
    let sum = credenza_sdk::Checksum { algorithm: "crc32".to_owned(), value: vec![0; 4] };
    let entry = Entry { checksums: vec![sum], ..file("k") };
    let bucket = bucket(&[], vec![error(400, "InvalidArgument"), error(400, "InvalidArgument")]);
    let mut upload = bucket.create(&entry, true).unwrap().unwrap();
    assert_eq!(upload.finish(b"abc".to_vec()).unwrap_err().class, ErrorClass::Transient);
    assert_eq!(upload.finish(b"abc".to_vec()).unwrap_err().class, ErrorClass::Unsupported);
}

#[test]
fn a_bucket_is_created_only_where_that_is_asked_for_and_none_is_there() {
    let versioning = || reply(200, &[], "<VersioningConfiguration/>");
    let lines = |settings: &[(&str, &str)], replies: Vec<Reply>| {
        let bucket = bucket(settings, replies);
        bucket.destination_info().unwrap();
        asked(&bucket).iter().map(|asked| format!("{} {}", asked.line(), asked.body)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[], vec![versioning()]).len(), 1);
    let wanted = [("create_bucket", "true"), ("region", "eu-west-9")];
    assert_eq!(lines(&wanted, vec![reply(200, &[], ""), versioning()]).len(), 2);
    let created = lines(&wanted, vec![reply(404, &[], ""), reply(200, &[], ""), versioning()]);
    assert!(created[1].starts_with("PUT ") && created[1].contains("<LocationConstraint>eu-west-9<"), "{created:?}");
    let raced = vec![reply(404, &[], ""), error(409, "BucketAlreadyOwnedByYou"), versioning()];
    assert_eq!(lines(&wanted, raced).len(), 3);
    let taken = bucket(&wanted, vec![reply(404, &[], ""), error(409, "BucketAlreadyExists")]);
    assert_eq!(taken.destination_info().unwrap_err().reason, "s3.bucket-of-another");
}

#[test]
fn a_mark_that_a_server_made_of_a_folder_by_itself_is_written_upon_and_that_of_a_user_is_not() {
    let bare = || reply(200, &[("content-length", "0"), ("content-type", "application/octet-stream")], "");
    let named = reply(200, &[("content-length", "0"), ("x-amz-meta-colour", "red")], "");
    let made_before = bucket(&[], vec![bare(), reply(200, &[], "")]);
    made_before.create(&file("k/"), false).unwrap().unwrap().finish(Vec::new()).unwrap();
    let requests = asked(&made_before);
    assert_eq!((requests[1].line().as_str(), requests[1].header("if-none-match")), ("PUT /k/", None));
    let made_meanwhile =
        bucket(&[], vec![reply(404, &[], ""), error(412, "PreconditionFailed"), bare(), reply(200, &[], "")]);
    let mut upload = made_meanwhile.create(&file("k/"), false).unwrap().unwrap();
    assert_eq!(upload.finish(Vec::new()).unwrap_err().class, ErrorClass::Transient);
    upload.finish(Vec::new()).unwrap();
    let of_a_user = bucket(&[], vec![named]);
    assert_eq!(of_a_user.create(&file("k/"), false).err().unwrap().class, ErrorClass::Precondition);
    let no_mark = bucket(&[], vec![bare()]);
    assert_eq!(no_mark.create(&file("k"), false).err().unwrap().class, ErrorClass::Precondition);
}

#[test]
fn what_a_server_forgets_of_a_key_that_it_takes_for_a_folder_is_told() {
    let attributes = vec![
        ("http.content-type".to_owned(), AttributeValue::Text("text/plain".to_owned())),
        ("tree.kind".to_owned(), AttributeValue::Text("directory".to_owned())),
        ("user.colour".to_owned(), AttributeValue::Text("red".to_owned())),
    ];
    let found = reply(200, &[("content-type", "text/plain"), ("x-amz-meta-colour", "blue")], "");
    let bucket = bucket(&[], vec![reply(200, &[], ""), found]);
    let mut folder = bucket.create(&Entry { attributes, ..file("k/") }, true).unwrap().unwrap();
    assert_eq!(folder.finish(Vec::new()).unwrap(), ["user.colour", "tree.kind"]);
    let asked = asked(&bucket);
    assert_eq!((asked[0].line().as_str(), asked[1].line().as_str()), ("PUT /k/", "HEAD /k/"));
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
    assert_eq!(upload.finish(b"abc".to_vec()).unwrap(), ["s3.etag"], "another ETag came out, and that is said");
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

#[test]
fn what_was_found_is_removed_only_while_it_is_there() {
    let version = Version { id: String::new(), latest: true, deleted: true };
    let found = Entry { version: Some(version), fingerprint: Some("e v1".to_owned()), ..file("k") };
    let failed = || reply(412, &[], "<Error><Code>PreconditionFailed</Code></Error>");
    let there = |etag: &str| reply(200, &[("content-length", "3"), ("etag", etag)], "");
    let removed = |answers| {
        let bucket = bucket(&[], answers);
        let class = bucket.create(&found, true).err().map(|error| error.class);
        let asked = asked(&bucket);
        assert_eq!((asked[0].line().as_str(), asked[0].header("if-match")), ("DELETE /k", Some("\"e\"")));
        let later = asked.iter().skip(1).map(|request| (request.line(), request.header("if-match").is_some()));
        (class, later.collect::<Vec<_>>())
    };
    let lines = |lines: &[&str]| lines.iter().map(|line| ((*line).to_owned(), false)).collect::<Vec<_>>();
    assert_eq!(removed(vec![reply(204, &[], "")]), (None, lines(&[])));
    let another = Some(ErrorClass::Precondition);
    assert_eq!(removed(vec![failed(), there("\"f\"")]), (another, lines(&["HEAD /k"])), "another object stays");
    assert_eq!(removed(vec![failed(), reply(404, &[], "")]), (None, lines(&["HEAD /k"])), "it is gone already");
    // Servers that do not know the condition, or not their own tags.
    let refused = reply(501, &[], "<Error><Code>NotImplemented</Code></Error>");
    assert_eq!(removed(vec![refused, reply(204, &[], "")]), (None, lines(&["DELETE /k"])));
    let twice = vec![failed(), there("\"e\""), reply(204, &[], "")];
    assert_eq!(removed(twice), (None, lines(&["HEAD /k", "DELETE /k"])));
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
    assert_eq!(upload.finish(b"abc".to_vec()).unwrap(), ["s3.legal-hold"]);
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
    assert!(upload.finish(b"abc".to_vec()).unwrap().is_empty());
    assert_eq!(asked(&bucket)[0].header("x-amz-object-lock-mode"), None);
}
