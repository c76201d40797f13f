//! The store against recorded answers.

use credenza_sdk::Store;

use super::*;

#[test]
fn a_put_states_its_condition_and_only_data_has_a_storage_class() {
    let settings = [("prefix", "repo"), ("storage_class", "STANDARD_IA")];
    let bucket = bucket(
        &settings,
        vec![reply(200, &[("etag", "\"t\""), ("x-amz-version-id", "v")], ""), error(412, "PreconditionFailed")],
    );
    let stored = bucket.put("data/ab", b"x".to_vec(), put_options(false, "data")).unwrap();
    assert_eq!((stored.tag.as_deref(), stored.version.as_deref()), (Some("t"), Some("v")));
    let refused = bucket.put("index/ab", b"x".to_vec(), put_options(true, "index"));
    assert_eq!(refused.unwrap_err().class, ErrorClass::Precondition);
    let requests = asked(&bucket);
    assert_eq!(requests[0].line(), "PUT /repo/data/ab");
    assert_eq!(
        (requests[0].header("x-amz-storage-class"), requests[0].header("if-none-match")),
        (Some("STANDARD_IA"), None)
    );
    assert_eq!((requests[1].header("x-amz-storage-class"), requests[1].header("if-none-match")), (None, Some("*")));
}

#[test]
fn a_put_that_succeeds_without_naming_the_object_was_taken_by_somebody_on_the_way() {
    let portal = || reply(200, &[("content-type", "text/html")], "<html>Please log in</html>");
    let bucket = bucket(&[], vec![portal(), portal()]);
    let put = bucket.put("data/ab", b"x".to_vec(), put_options(true, "data"));
    assert_eq!(put.unwrap_err().class, ErrorClass::Corrupt);
    let mut upload = bucket.create(&file("k"), true).unwrap().unwrap();
    assert_eq!(upload.finish(b"x".to_vec()).unwrap_err().class, ErrorClass::Corrupt);
}

const UNTIL: Timestamp = Timestamp { seconds: 1_735_689_600, nanoseconds: 0 };

#[test]
fn a_put_that_locks_names_the_mode_that_nobody_can_lift_and_wants_a_checksum() {
    let dated = [("date", "Wed, 01 Jan 2025 00:00:00 GMT"), ("x-amz-version-id", "v"), ("etag", "\"t\"")];
    let bucket = bucket(&[], vec![reply(200, &dated, "")]);
    let options = PutOptions { retain_until: Some(UNTIL), ..put_options(true, "data") };
    assert_eq!(bucket.put("data/ab", b"x".to_vec(), options).unwrap().modified, Some(UNTIL));
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
    let part = reply(206, &[("content-range", "bytes 4-5/9")], "ef");
    let mute = || reply(404, &[], "");
    let replies =
        vec![part, error(404, "NoSuchKey"), mute(), mute(), page(&["data/bb"], None), mute(), page(&["data/b"], None)];
    let bucket = bucket(&[], replies);
    assert_eq!(bucket.get("data/a", Some(ByteRange { offset: 4, length: Some(2) }), None).unwrap(), b"ef");
    assert_eq!(bucket.get("data/b", None, None).unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(bucket.stat("data/b").unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(bucket.get("data/b", None, None).unwrap_err().class, ErrorClass::NotFound);
    let hidden = bucket.get("data/b", None, None).unwrap_err();
    assert_eq!((hidden.class, hidden.reason.as_str()), (ErrorClass::Transient, "s3.not-found-but-listed"));
    assert_eq!(asked(&bucket)[4].line(), "GET ?list-type=2&encoding-type=url&max-keys=1&prefix=data%2Fb");
}

#[test]
fn a_store_lists_in_order_or_says_that_it_cannot() {
    let ended = bucket(&[], vec![page(&["data/b", "data/a", "data/a"], None)]);
    let listed: Vec<String> = ended.list("data/", None, 10).unwrap().objects.into_iter().map(|o| o.key).collect();
    assert_eq!(listed, ["data/a", "data/b"]);
    let endless = bucket(&[], vec![page(&["data/b", "data/a"], Some("t"))]);
    assert_eq!(endless.list("data/", None, 10).unwrap_err().reason, "s3.unordered-listing");
}

#[test]
fn a_store_goes_on_by_the_servers_token_or_behind_the_last_key() {
    let tokens = bucket(&[], vec![page(&["data/a"], Some("t/+")), page(&[], Some("u")), page(&["data/b"], None)]);
    let first = tokens.list("data/", None, 10).unwrap();
    let second = tokens.list("data/", first.next.as_deref(), 10).unwrap();
    assert!(second.objects.is_empty() && second.next.is_some(), "an empty page is no end");
    let third = tokens.list("data/", second.next.as_deref(), 10).unwrap();
    assert_eq!((third.objects.len(), third.next), (1, None));
    assert!(asked(&tokens)[1].line().ends_with("&continuation-token=t%2F%2B"));
    let old = |keys: &[&str], truncated| {
        let ended = page_of(keys, None);
        reply(200, &[], &if truncated { ended.replace(">false<", ">true<") } else { ended })
    };
    let keys = bucket(&[], vec![old(&["data/a", "data/b"], true), old(&["data/b", "data/c"], false)]);
    let first = keys.list("data/", None, 10).unwrap();
    let second = keys.list("data/", first.next.as_deref(), 10).unwrap();
    assert_eq!(second.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["data/c"]);
    assert!(asked(&keys)[1].line().ends_with("&start-after=data%2Fb&marker=data%2Fb"));
    let stuck = bucket(&[], vec![old(&["data/a"], true), old(&["data/a"], true)]);
    let first = stuck.list("data/", None, 10).unwrap();
    assert_eq!(stuck.list("data/", first.next.as_deref(), 10).unwrap_err().reason, "s3.endless-listing");
    assert_eq!(stuck.list("data/", Some("nonsense"), 10).unwrap_err().reason, "s3.cursor");
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
