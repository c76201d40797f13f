//! The store against recorded answers.

use credenza_sdk::{ByteRange, PutOptions, Store, Timestamp};

use super::*;

const UNTIL: Timestamp = Timestamp { seconds: 1_735_689_600, nanoseconds: 0 };

fn options(if_absent: bool, hint: &str) -> PutOptions {
    PutOptions { if_absent, if_match: None, retain_until: None, hint: hint.to_owned() }
}

#[test]
fn a_put_states_its_condition_and_only_data_has_a_tier() {
    let headers =
        [("etag", "\"0xE\""), ("x-ms-version-id", "2024-01"), ("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT")];
    let replies = vec![reply(201, &headers, ""), error(409, "BlobAlreadyExists"), error(412, "ConditionNotMet")];
    let store = container(&[("prefix", "repo"), ("access_tier", "Cool")], replies);
    let stored = store.put("data/ab", b"x".to_vec(), options(false, "data")).unwrap();
    assert_eq!((stored.tag.as_deref(), stored.version.as_deref()), (Some("0xE"), Some("2024-01")));
    assert_eq!(stored.modified, Some(UNTIL));
    let absent = store.put("index/ab", b"x".to_vec(), options(true, "index"));
    assert_eq!(absent.unwrap_err().class, ErrorClass::Precondition);
    let swap = PutOptions { if_match: Some("0xE".to_owned()), ..options(false, "meta") };
    assert_eq!(store.put("k", b"x".to_vec(), swap).unwrap_err().class, ErrorClass::Precondition);
    let requests = asked(&store);
    assert_eq!(requests[0].line(), "PUT /repo/data/ab");
    assert_eq!(requests[0].header("x-ms-blob-type"), Some("BlockBlob"));
    assert_eq!((requests[0].header("x-ms-access-tier"), requests[0].header("if-none-match")), (Some("Cool"), None));
    assert_eq!((requests[1].header("x-ms-access-tier"), requests[1].header("if-none-match")), (None, Some("*")));
    assert_eq!(requests[2].header("if-match"), Some("\"0xE\""));
}

#[test]
fn a_put_that_locks_names_the_mode_that_nobody_can_lift() {
    let store = container(&[], vec![reply(201, &[], ""), error(409, "ImmutableStorageNotEnabled")]);
    let locked = PutOptions { retain_until: Some(UNTIL), ..options(true, "data") };
    store.put("k", b"x".to_vec(), locked.clone()).unwrap();
    let cannot = store.put("k", b"x".to_vec(), locked).unwrap_err();
    assert_eq!(cannot.class, ErrorClass::Unsupported, "a container that was not made for locks");
    let requests = asked(&store);
    assert_eq!(requests[0].header("x-ms-immutability-policy-mode"), Some("Locked"));
    let until = requests[0].header("x-ms-immutability-policy-until-date");
    assert_eq!(until, Some("Wed, 01 Jan 2025 00:00:00 GMT"));
}

#[test]
fn a_lock_is_extended_and_one_that_ends_later_already_is_a_success() {
    let lock = |mode| {
        let until = ("x-ms-immutability-policy-until-date", "Thu, 02 Jan 2025 00:00:00 GMT");
        reply(200, &[("x-ms-immutability-policy-mode", mode), until], "")
    };
    let refusal = || error(409, "BlobImmutableDueToPolicy");
    let replies =
        vec![reply(200, &[], ""), refusal(), lock("locked"), refusal(), lock("unlocked"), error(404, "BlobNotFound")];
    let store = container(&[], replies);
    store.retain("k", Some("2024-01"), UNTIL).unwrap();
    store.retain("k", None, UNTIL).unwrap();
    assert!(store.retain("k", None, UNTIL).is_err(), "a lock that can be lifted is none");
    assert_eq!(store.retain("k", None, UNTIL).unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(
        lines(&store)[..2],
        ["PUT /k?comp=immutabilityPolicies&versionid=2024-01", "PUT /k?comp=immutabilityPolicies"]
    );
}

#[test]
fn a_look_tells_size_version_and_lock() {
    let headers = [
        ("content-length", "3"),
        ("etag", "\"0xE\""),
        ("x-ms-version-id", "2024-01"),
        ("x-ms-immutability-policy-mode", "Locked"),
        ("x-ms-immutability-policy-until-date", "Wed, 01 Jan 2025 00:00:00 GMT"),
    ];
    let store = container(&[], vec![reply(200, &headers, ""), error(404, "BlobNotFound")]);
    let found = store.stat("k").unwrap();
    assert_eq!((found.size, found.version.as_deref(), found.retain_until), (3, Some("2024-01"), Some(UNTIL)));
    assert_eq!(store.stat("k").unwrap_err().class, ErrorClass::NotFound);
}

#[test]
fn a_success_that_is_not_azures_is_none() {
    let portal = || reply(200, &[("content-type", "text/html")], "<html>Please log in</html>");
    let store = container(&[], vec![portal(), portal(), portal()]);
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::Corrupt);
    assert_eq!(store.stat("k").unwrap_err().class, ErrorClass::Corrupt);
    assert_eq!(store.put("k", b"x".to_vec(), options(false, "data")).unwrap_err().class, ErrorClass::Corrupt);
}

#[test]
fn a_delete_that_the_service_did_not_confirm_is_none() {
    let replies = vec![reply(200, &[], "<html/>"), reply(202, &[], ""), error(404, "BlobNotFound")];
    let outcomes = container(&[], replies).delete(&["a", "b", "c"].map(str::to_owned)).unwrap();
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn a_store_reads_parts_and_versions_and_misses_what_is_not_there() {
    let replies = vec![
        reply(206, &[("content-range", "bytes 4-5/9"), ("etag", "0xE")], "ef"),
        reply(200, &[("etag", "0xE")], "abc"),
        error(404, "BlobNotFound"),
        error(416, "InvalidRange"),
    ];
    let store = container(&[], replies);
    assert_eq!(store.get("k", Some(ByteRange { offset: 4, length: Some(2) }), None).unwrap(), b"ef");
    assert_eq!(store.get("k", None, Some("2024-01".to_owned())).unwrap(), b"abc");
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::NotFound);
    let past = store.get("k", Some(ByteRange { offset: 9, length: None }), None);
    assert_eq!(past.unwrap_err().class, ErrorClass::Corrupt);
    assert!(store.get("k", Some(ByteRange { offset: 0, length: Some(0) }), None).unwrap().is_empty());
    assert_eq!(lines(&store)[1], "GET /k?versionid=2024-01");
}

#[test]
fn a_store_goes_on_by_the_services_marker_and_says_where_it_lists_out_of_order() {
    let replies =
        vec![page(&["data/a"], Some("m/+")), page(&[], Some("n")), page(&["data/b", "of others \u{fc}"], None)];
    let store = container(&[], replies);
    let first = store.list("data/", None, 10).unwrap();
    let second = store.list("data/", first.next.as_deref(), 10).unwrap();
    assert!(second.objects.is_empty() && second.next.is_some(), "an empty page is no end");
    let third = store.list("data/", second.next.as_deref(), 10).unwrap();
    assert_eq!((third.objects.len(), third.next), (1, None));
    assert!(lines(&store)[1].ends_with("&maxresults=10&prefix=data%2F&marker=m%2F%2B"));
    let pages = container(&[], vec![page(&["b"], Some("m")), page(&["a"], None)]);
    let first = pages.list("", None, 10).unwrap();
    assert_eq!(pages.list("", first.next.as_deref(), 10).unwrap_err().reason, "azure.unordered-listing");
    assert_eq!(pages.list("", Some("nonsense"), 10).unwrap_err().reason, "azure.cursor");
}

#[test]
fn keys_are_deleted_one_by_one_with_an_outcome_for_each() {
    let replies = vec![reply(202, &[], ""), error(404, "BlobNotFound"), error(409, "SnapshotsPresent")];
    let store = container(&[], replies);
    let outcomes = store.delete(&["a", "b", "c"].map(str::to_owned)).unwrap();
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok());
    assert_eq!(outcomes[2].as_ref().unwrap_err().class, ErrorClass::Denied);
    assert_eq!(lines(&store), ["DELETE /a", "DELETE /b", "DELETE /c"]);
}
