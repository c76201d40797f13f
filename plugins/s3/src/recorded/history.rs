//! A bucket with versions, now and as it was, against recorded answers.

use super::*;

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

/// A page of versions: key, id, second of that minute, whether it is a delete marker.
fn versions(listed: &[(&str, &str, u8, bool)]) -> Reply {
    let version = |(key, id, second, deleted): &(&str, &str, u8, bool)| {
        let element = if *deleted { "DeleteMarker" } else { "Version" };
        format!(
            "<{element}><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>false</IsLatest><Size>3</Size><ETag>&quot;e&quot;</ETag><LastModified>2024-01-01T00:00:{second:02}Z</LastModified></{element}>"
        )
    };
    let listed: String = listed.iter().map(version).collect();
    reply(200, &[], &format!("<ListVersionsResult><IsTruncated>false</IsTruncated>{listed}</ListVersionsResult>"))
}

#[test]
fn a_bucket_with_versions_has_a_history_and_states_its_clock() {
    let bucket = bucket(&[], vec![reply(200, &[DATE], ENABLED)]);
    assert_eq!(bucket.now().unwrap(), Some(Timestamp { seconds: 1_704_067_205, nanoseconds: 0 }));
    assert_eq!(asked(&bucket)[0].line(), "GET ?versioning");
}

#[test]
fn a_bucket_without_versions_has_no_history() {
    let suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    for replies in [
        vec![reply(200, &[DATE], "<VersioningConfiguration/>")],
        vec![reply(200, &[DATE], suspended)],
        vec![reply(200, &[DATE], "<ListBucketResult/>")],
        vec![error(501, "NotImplemented")],
        vec![error(403, "AccessDenied")],
    ] {
        let bucket = bucket(&[], replies);
        assert_eq!(bucket.now().unwrap(), None);
        asked(&bucket);
    }
    let missing = bucket(&[], vec![error(404, "NoSuchBucket")]);
    assert_eq!(missing.now().unwrap_err().class, ErrorClass::Configuration);
    let past = bucket(&[("as_of", "2024-01-01T00:00:00Z")], vec![reply(200, &[], "<VersioningConfiguration/>")]);
    assert_eq!(past.now().unwrap_err().reason, "s3.no-history");
}

#[test]
fn a_scan_as_of_a_time_reads_the_versions_that_were_there() {
    let listed = versions(&[("a", "3", 9, false), ("a", "2", 5, false), ("a", "1", 1, false), ("b", "4", 4, true)]);
    let bucket = bucket(&[], vec![listed, reply(200, &[("content-length", "3"), ("etag", "\"e\"")], "abc")]);
    let then = Some(Timestamp { seconds: 1_704_067_205, nanoseconds: 0 });
    let found = walk(&bucket, &ScanOptions { as_of: then, ..everything() }, 10).unwrap();
    let [Found::Entry(entry)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((entry.version.as_ref(), entry.fingerprint.as_deref()), (None, Some("e 2")));
    bucket.read(entry.clone(), None, entry.fingerprint.as_deref()).unwrap();
    assert_eq!(asked(&bucket)[1].line(), "GET /a?versionId=2");
}

#[test]
fn a_repository_as_of_a_time_is_read_as_it_was_and_cannot_be_changed() {
    let past = [("as_of", "2024-01-01T00:00:05Z"), ("versions", "")];
    let hidden = || versions(&[("k", "3", 9, true), ("k", "2", 5, false)]);
    let store = bucket(&past, vec![hidden(), hidden(), reply(200, &[], "abc")]);
    assert_eq!(store.list("", None, 10).unwrap()[0].key, "k");
    assert_eq!(store.get("k", None, None).unwrap(), b"abc");
    assert_eq!(asked(&store)[2].line(), "GET /k?versionId=2");
    let store = bucket(&past, vec![versions(&[("k", "3", 9, false), ("kk", "1", 1, false)])]);
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::NotFound);
    let store = bucket(&past, vec![]);
    assert_eq!(store.put("k", Vec::new(), &put_options(false, "")).unwrap_err().reason, "s3.past");
    assert_eq!(store.delete(&["k".to_owned()]).unwrap_err().reason, "s3.past");
    assert_eq!(store.retain("k", None, Timestamp { seconds: 1, nanoseconds: 0 }).unwrap_err().reason, "s3.past");
    assert_eq!(store.destination_info().unwrap_err().reason, "s3.past");
}

#[test]
fn versions_that_may_not_be_listed_are_no_reason_to_fail_unless_they_were_asked_for() {
    let then = Some(Timestamp { seconds: 1_704_067_205, nanoseconds: 0 });
    let wished = bucket(&[], vec![error(403, "AccessDenied")]);
    let refused = walk(&wished, &ScanOptions { as_of: then, ..everything() }, 10).unwrap_err();
    assert_eq!(refused.class, ErrorClass::Unsupported);
    let wanted = bucket(&[("as_of", "2024-01-01T00:00:05Z")], vec![error(403, "AccessDenied")]);
    assert_eq!(walk(&wanted, &everything(), 10).unwrap_err().class, ErrorClass::Denied);
}
