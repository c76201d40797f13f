//! The source against recorded answers.

use super::*;

#[test]
fn a_walk_turns_pages_of_as_many_as_are_asked_for_and_costs_one_request_each() {
    // A server may give more than it was asked for.
    for (max, asked_for) in [(1, 1), (200, 200), (5000, 1000)] {
        let pages = vec![page(&["p/a", "p/b%20c"], Some("t1")), page(&["p/", "p/d", "pq"], None)];
        let bucket = bucket(&[("prefix", "p")], pages);
        let found = walk(&bucket, &everything(), max).unwrap();
        assert_eq!(keys(&found), ["a", "b c", "d"], "below the prefix, without its name");
        let lines: Vec<String> = asked(&bucket).iter().map(Asked::line).collect();
        let first = format!("GET ?list-type=2&encoding-type=url&max-keys={asked_for}&prefix=p%2F");
        assert_eq!(lines, [first.clone(), format!("{first}&continuation-token=t1")]);
    }
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
    let document = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a/z</Key><Size>3</Size></Contents><CommonPrefixes><Prefix>a/b/</Prefix></CommonPrefixes></ListBucketResult>";
    let bucket = bucket(&[], vec![reply(200, &[], document)]);
    let options = ScanOptions { prefix: b"a/".to_vec(), one_level: true, ..everything() };
    let found = walk(&bucket, &options, 10).unwrap();
    assert_eq!(keys(&found), ["a/b/", "a/z"]);
    assert!(matches!(&found[0], Found::Entry(entry) if entry.kind == EntryKind::Directory));
}

#[test]
fn a_server_that_ignores_where_to_begin_is_found_out() {
    let options = ScanOptions { start_after: Some(b"b".to_vec()), ..everything() };
    let including = bucket(&[], vec![page(&["b", "c"], None)]);
    assert_eq!(keys(&walk(&including, &options, 10).unwrap()), ["c"]);
    for reported in [["a", "b", "c"], ["c", "d", "a"]] {
        let error = walk(&bucket(&[], vec![page(&reported, None)]), &options, 10).unwrap_err();
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Unsupported, "s3.start-after"), "{reported:?}");
        assert!(error.message.contains("told \"a\" when it was to begin after \"b\""), "{}", error.message);
    }
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
    assert_eq!(whole.read(file("k"), part(), None).err().unwrap().reason, "range-ignored");
    let right = bucket(&[], vec![reply(206, &[("content-range", "bytes 1-1/3")], "b")]);
    let opened = right.read(file("k"), part(), None).unwrap();
    assert_eq!((opened.entry.size, asked(&right)[0].header("range")), (Some(3), Some("bytes=1-1")));
    let careless = bucket(&[], vec![reply(200, &[], "b")]);
    assert!(careless.read(file("k"), part(), None).is_ok());
}

#[test]
fn what_becomes_of_an_archived_object_is_the_users_choice() {
    let archived = || error(403, "InvalidObjectState");
    let failure = |policy: &str, more: Vec<Reply>| {
        let bucket = bucket(&[("archived", policy)], [vec![archived()], more].concat());
        let error = bucket.read(file("k"), None, None).err().unwrap();
        (error, asked(&bucket).iter().map(Asked::line).collect::<Vec<_>>())
    };
    let (reported, lines) = failure("report", vec![]);
    assert_eq!((reported.reason.as_str(), lines.len()), ("s3.archived", 1));
    let (referenced, lines) = failure("reference", vec![]);
    assert_eq!((referenced.reason.as_str(), lines.len()), ("by-reference", 1));
    let (requested, lines) = failure("request", vec![reply(202, &[], "")]);
    assert!(requested.reason == "s3.archived" && requested.message.contains("was asked for"), "{requested:?}");
    assert_eq!(lines, ["GET /k", "POST /k?restore"]);
    let (under_way, _) = failure("request", vec![error(409, "RestoreAlreadyInProgress")]);
    assert!(under_way.reason == "s3.archived" && under_way.message.contains("under way"), "{under_way:?}");
    let (denied, _) = failure("request", vec![error(403, "AccessDenied")]);
    assert!(denied.reason == "s3.archived" && denied.message.contains("no copy could be asked for"), "{denied:?}");
}

#[test]
fn tags_that_are_there_and_not_told_are_no_reason_to_keep_none() {
    let mut tagged = file("k");
    tagged.attributes.push(("s3.tag-count".to_owned(), AttributeValue::Integer(1)));
    for reported in ["", "<TagSet/>", "<TagSet><Tag><Value>red</Value></Tag></TagSet>"] {
        let bucket = bucket(&[], vec![reply(200, &[], &format!("<Tagging>{reported}</Tagging>"))]);
        assert_eq!(
            bucket.describe(&[tagged.clone()])[0].as_ref().unwrap_err().class,
            ErrorClass::Corrupt,
            "{reported}"
        );
    }
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

#[test]
fn what_is_configured_for_a_bucket_is_kept_and_what_it_does_not_know_is_not() {
    let policy = "{\"Statement\":[]}";
    let replies = vec![
        error(403, "AccessDenied"),
        error(404, "NoSuchCORSConfiguration"),
        error(501, "NotImplemented"),
        reply(200, &[], "<LifecycleConfiguration><Rule/></LifecycleConfiguration>"),
        reply(200, &[], "<BucketLoggingStatus/>"),
        reply(200, &[], "<ListBucketResult><Name>b</Name></ListBucketResult>"),
        error(404, "ObjectLockConfigurationNotFoundError"),
        error(400, "UnknownParameter"),
        reply(200, &[], policy),
        error(404, "NoSuchPublicAccessBlockConfiguration"),
        error(404, "ReplicationConfigurationNotFoundError"),
        error(404, "NoSuchTagSet"),
        reply(200, &[], ENABLED),
        error(404, "NoSuchWebsiteConfiguration"),
    ];
    let bucket = bucket(&[], replies);
    let documents = bucket.documents().unwrap();
    asked(&bucket);
    let names: Vec<(&str, bool)> = documents.iter().map(|d| (d.name.as_str(), d.content.is_ok())).collect();
    assert_eq!(names, [("s3.acl", false), ("s3.lifecycle", true), ("s3.policy", true), ("s3.versioning", true)]);
    assert_eq!(documents[2].content.as_deref().unwrap(), policy);
}

#[test]
fn how_an_object_was_cut_is_asked_only_of_those_in_parts() {
    let cut = [("content-length", "8388608"), ("x-amz-mp-parts-count", "2")];
    let bucket = bucket(&[], vec![reply(206, &cut, "")]);
    let parts = |count| ("s3.parts".to_owned(), AttributeValue::Integer(count));
    let large = Entry { size: Some(10_000_000), attributes: vec![parts(2)], ..file("k") };
    let reported = bucket.describe(&[large.clone(), file("small")]).remove(0).unwrap();
    assert_eq!(reported, [("s3.part-bytes".to_owned(), AttributeValue::Integer(8_388_608))]);
    assert_eq!(asked(&bucket)[0].line(), "HEAD /k?partNumber=1");
}

#[test]
fn grants_are_asked_for_and_given_back_only_when_they_are_wanted() {
    let acl = "<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>";
    let source = bucket(&[("acl", "true")], vec![reply(200, &[], acl)]);
    let reported = source.describe(&[file("k")]).remove(0).unwrap();
    assert_eq!(reported, [("s3.acl".to_owned(), AttributeValue::Text("public-read".to_owned()))]);
    assert_eq!(asked(&source)[0].line(), "GET /k?acl");
    let public = Entry { attributes: reported, ..file("k") };
    assert_eq!(bucket(&[], vec![]).lost(&public), ["s3.acl"]);
    let destination = bucket(&[("acl", "true")], vec![reply(200, &[], "")]);
    assert!(destination.lost(&public).is_empty());
    let mut upload = destination.create(&public, true).unwrap().unwrap();
    upload.finish(b"abc".to_vec()).unwrap();
    assert_eq!(asked(&destination)[0].header("x-amz-acl"), Some("public-read"));
}

#[test]
fn an_object_that_is_handed_out_decoded_is_asked_for_with_its_encoding() {
    let plain = reply(200, &[("etag", "\"e\"")], "decoded");
    let stored =
        reply(200, &[("etag", "\"e\""), ("content-encoding", "gzip"), ("x-amz-checksum-crc32", "AAAAAA==")], "abc");
    let bucket = bucket(&[], vec![plain, stored]);
    let opened = bucket.read(file("k"), None, Some("e")).unwrap();
    assert_eq!((opened.body.as_slice(), opened.entry.size), (&b"abc"[..], Some(3)));
    assert_eq!(opened.entry.checksums.len(), 1);
    let asked: Vec<Option<String>> =
        asked(&bucket).iter().map(|asked| asked.header("accept-encoding").map(str::to_owned)).collect();
    assert_eq!(asked, [Some("identity".to_owned()), Some("gzip".to_owned())]);
}

#[test]
fn an_object_that_is_only_handed_out_decoded_counts_as_changed_and_keeps_what_came() {
    let decoded = || reply(200, &[("etag", "\"e\""), ("x-amz-checksum-crc32", "AAAAAA==")], "decoded");
    let bucket = bucket(&[], vec![decoded(), decoded(), decoded(), decoded()]);
    let error = bucket.read(file("k"), None, Some("e")).err().unwrap();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Precondition, "s3.decoded"));
    let opened = bucket.read(file("k"), None, None).unwrap();
    assert_eq!((opened.body.as_slice(), opened.entry.size), (&b"decoded"[..], Some(7)));
    assert!(opened.entry.checksums.is_empty(), "they are of other bytes: {:?}", opened.entry.checksums);
}

#[test]
fn a_part_of_an_encoded_object_is_asked_for_with_its_encoding() {
    let mut entry = file("k");
    entry.attributes.push(("http.content-encoding".to_owned(), AttributeValue::Text("gzip".to_owned())));
    let bucket = bucket(&[], vec![reply(206, &[("content-range", "bytes 1-2/3")], "bc")]);
    bucket.read(entry, Some(ByteRange { offset: 1, length: None }), None).unwrap();
    assert_eq!(asked(&bucket)[0].header("accept-encoding"), Some("gzip"));
}
