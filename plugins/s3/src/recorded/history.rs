//! A bucket with versions, now and as it was, against recorded answers.

use credenza_sdk::Store;

use super::*;

#[test]
fn versions_are_listed_and_read_by_id() {
    let document = "<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>k</Key><VersionId>v1</VersionId><IsLatest>true</IsLatest><Size>3</Size><LastModified>2024-01-01T00:00:00Z</LastModified><ETag>\"e\"</ETag></Version><DeleteMarker><Key>l</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest><LastModified>2024-01-01T00:00:00Z</LastModified></DeleteMarker></ListVersionsResult>";
    let replies = vec![reply(200, &[], document), page(&[], None), reply(200, &[("etag", "\"e\"")], "abc")];
    let bucket = bucket(&[("versions", "true")], replies);
    let found = walk(&bucket, &everything(), 10).unwrap();
    let [Found::Entry(version), Found::Entry(marker)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(version.fingerprint.as_deref(), Some("e v1"));
    assert_eq!(marker.version, Some(Version { id: "v2".to_owned(), latest: true, deleted: true }));
    bucket.read(version.clone(), None, version.fingerprint.as_deref()).unwrap();
    let requests = asked(&bucket);
    assert_eq!(requests[1].line(), "GET ?list-type=2&encoding-type=url&max-keys=4", "is that all?");
    assert_eq!((requests[2].line().as_str(), requests[2].header("if-match")), ("GET /k?versionId=v1", Some("\"e\"")));
}

/// A page of versions: key, id, second of that minute, whether it is a delete marker.
fn versions(listed: &[(&str, &str, u8, bool)]) -> Reply {
    versions_until(listed, "<IsTruncated>false</IsTruncated>")
}

/// A page of versions that ends so.
fn versions_until(listed: &[(&str, &str, u8, bool)], end: &str) -> Reply {
    let version = |(key, id, second, deleted): &(&str, &str, u8, bool)| {
        let element = if *deleted { "DeleteMarker" } else { "Version" };
        format!(
            "<{element}><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>false</IsLatest><Size>3</Size><ETag>&quot;e&quot;</ETag><LastModified>2024-01-01T00:00:{second:02}Z</LastModified></{element}>"
        )
    };
    let listed: String = listed.iter().map(version).collect();
    reply(200, &[], &format!("<ListVersionsResult>{end}{listed}</ListVersionsResult>"))
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
    let read = reply(200, &[("content-length", "3"), ("etag", "\"e\"")], "abc");
    let bucket = bucket(&[], vec![listed, page(&[], None), read]);
    let then = Some(Timestamp { seconds: 1_704_067_205, nanoseconds: 0 });
    let found = walk(&bucket, &ScanOptions { as_of: then, ..everything() }, 10).unwrap();
    let [Found::Entry(entry)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((entry.version.as_ref(), entry.fingerprint.as_deref()), (None, Some("e 2")));
    bucket.read(entry.clone(), None, entry.fingerprint.as_deref()).unwrap();
    assert_eq!(asked(&bucket)[2].line(), "GET /a?versionId=2");
}

#[test]
fn a_repository_as_of_a_time_is_read_as_it_was_and_cannot_be_changed() {
    let past = [("as_of", "2024-01-01T00:00:05Z"), ("versions", "")];
    let hidden = || versions(&[("k", "3", 9, true), ("k", "2", 5, false)]);
    let end = || page(&[], None);
    let store = bucket(&past, vec![hidden(), end(), hidden(), end(), reply(200, &[], "abc")]);
    assert_eq!(store.list("", None, 10).unwrap().objects[0].key, "k");
    assert_eq!(store.get("k", None, None).unwrap(), b"abc");
    assert_eq!(asked(&store)[4].line(), "GET /k?versionId=2");
    let store = bucket(&past, vec![versions(&[("k", "3", 9, false), ("kk", "1", 1, false)]), end()]);
    assert_eq!(store.get("k", None, None).unwrap_err().class, ErrorClass::NotFound);
    let store = bucket(&past, vec![]);
    assert_eq!(store.put("k", Vec::new(), put_options(false, "")).unwrap_err().reason, "s3.past");
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

/// The end of a page that goes on behind a version of a key.
fn behind(key: &str, id: &str) -> String {
    format!(
        "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker><NextVersionIdMarker>{id}</NextVersionIdMarker>"
    )
}

#[test]
fn a_page_of_versions_that_leaves_nothing_is_not_the_end_of_a_repository() {
    let past = [("as_of", "2024-01-01T00:00:05Z"), ("versions", "")];
    let young = versions_until(&[("a", "9", 9, false), ("a", "8", 8, false)], &behind("a", "8"));
    let old = versions_until(&[("a", "4", 4, false)], &behind("a", "4"));
    let older = versions(&[("a", "3", 3, false), ("b", "1", 1, false)]);
    let store = bucket(&past, vec![young, page(&["a"], None), old, older, page(&[], None)]);
    let mut reported = Vec::new();
    let mut cursor = None;
    loop {
        // Another session each time: the cursor is all that it takes.
        let listed = Bucket::new(&config(&past), store.wire.clone()).list("", cursor.as_deref(), 10).unwrap();
        reported.extend(listed.objects.into_iter().map(|object| (object.key, object.version.unwrap())));
        let Some(next) = listed.next else { break };
        cursor = Some(next);
    }
    assert_eq!(reported, [("a".to_owned(), "4".to_owned()), ("b".to_owned(), "1".to_owned())]);
    let lines: Vec<String> = asked(&store).iter().map(Asked::line).collect();
    assert!(lines[2].ends_with("&key-marker=a&version-id-marker=8"), "{lines:?}");
}

#[test]
fn a_listing_of_versions_that_stops_early_is_held_against_the_plain_one() {
    let then = Some(Timestamp { seconds: 1_704_067_205, nanoseconds: 0 });
    let wish = ScanOptions { as_of: then, ..everything() };
    let silent = versions_until(&[("a", "1", 1, false)], "");
    let error = walk(&bucket(&[], vec![silent.clone()]), &wish, 10).unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Unsupported, "s3.not-s3"), "{error:?}");
    assert_eq!(
        walk(&bucket(&[("versions", "true")], vec![silent]), &everything(), 10).unwrap_err().class,
        ErrorClass::Corrupt
    );

    let capped = || versions(&[("a", "1", 1, false)]);
    let more = || page(&["b"], None);
    let lying = vec![capped(), more(), versions(&[]), more()];
    let error = walk(&bucket(&[], lying.clone()), &wish, 10).unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Unsupported, "s3.versions-cut-short"), "{error:?}");
    assert_eq!(
        walk(&bucket(&[("versions", "true")], lying), &everything(), 10).unwrap_err().class,
        ErrorClass::Corrupt
    );
    let nothing = vec![versions(&[]), more()];
    assert_eq!(walk(&bucket(&[], nothing), &wish, 10).unwrap_err().reason, "s3.versions-cut-short");

    let goes_on = bucket(&[], vec![capped(), more(), versions(&[("b", "2", 2, false)]), page(&[], None)]);
    assert_eq!(keys(&walk(&goes_on, &wish, 10).unwrap()), ["a", "b"], "it told the rest when asked again");
    let lines: Vec<String> = asked(&goes_on).iter().map(Asked::line).collect();
    assert!(lines[2].ends_with("&key-marker=a&version-id-marker=1"), "{lines:?}");
    let after = ScanOptions { start_after: Some(b"a".to_vec()), ..wish };
    let unordered = bucket(&[], vec![versions(&[("d", "1", 1, false)]), page(&["A", "c"], None)]);
    assert_eq!(keys(&walk(&unordered, &after, 10).unwrap()), ["d"], "no order tells what is missing");
}

#[test]
fn what_a_listing_of_versions_leaves_out_among_others_is_asked_for_by_itself() {
    let all = |replies| bucket(&[("versions", "true")], replies);
    let first = || versions_until(&[("a", "1", 1, false), ("d", "1", 1, false)], &behind("d", "1"));
    let last = || [versions(&[("e", "1", 1, false)]), page(&["e"], None)];
    let lacking = || vec![first(), page(&["a", "b", "c", "d"], Some("more"))];
    let of = |key: &str| versions(&[(key, "2", 2, false), (key, "1", 1, false), (&format!("{key}x"), "1", 1, false)]);

    let told = all([lacking(), vec![of("b"), of("c")], last().into()].concat());
    assert_eq!(keys(&walk(&told, &everything(), 10).unwrap()), ["a", "b", "b", "c", "c", "d", "e"]);
    let lines: Vec<String> = asked(&told).iter().map(Asked::line).collect();
    assert!(lines[1].contains("list-type=2") && lines[1].contains("max-keys=4"), "{lines:?}");
    assert!(lines[2].contains("prefix=b") && lines[3].contains("prefix=c"), "{lines:?}");

    // One was deleted for good between the two listings; of the other nothing tells a version.
    let gone = vec![versions(&[]), page(&[], None)];
    let told = all([lacking(), gone, vec![of("c")], last().into()].concat());
    assert_eq!(keys(&walk(&told, &everything(), 10).unwrap()), ["a", "c", "c", "d", "e"]);
    let contradicted = vec![versions(&[("bx", "1", 1, false)]), page(&["b"], None)];
    let error = walk(&all([lacking(), contradicted].concat()), &everything(), 10).unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "s3.versions-cut-short"), "{error:?}");
    assert!(error.message.contains("leaves \"b\" out"), "{error:?}");

    let wish = ScanOptions { as_of: Some(Timestamp { seconds: 1_704_067_209, nanoseconds: 0 }), ..everything() };
    let told = bucket(&[], [lacking(), vec![of("b"), of("c")], last().into()].concat());
    assert_eq!(keys(&walk(&told, &wish, 10).unwrap()), ["a", "b", "c", "d", "e"], "one version of each");
}

#[test]
fn nothing_that_every_listing_tells_may_be_missing() {
    let row = |left_out: &str| {
        let fields = [
            "<Key>k</Key>",
            "<VersionId>1</VersionId>",
            "<IsLatest>true</IsLatest>",
            "<Size>3</Size>",
            "<LastModified>2024-01-01T00:00:00Z</LastModified>",
        ];
        fields.iter().filter(|field| !field.contains(left_out)).copied().collect::<String>()
    };
    for left_out in ["<Key>", "<VersionId>", "<IsLatest>", "<Size>", "<LastModified>"] {
        let document = format!(
            "<ListVersionsResult><IsTruncated>false</IsTruncated><Version>{}</Version></ListVersionsResult>",
            row(left_out)
        );
        let versioned = bucket(&[("versions", "true")], vec![reply(200, &[], &document)]);
        let error = walk(&versioned, &everything(), 10).unwrap_err();
        assert_eq!(error.class, ErrorClass::Corrupt, "{left_out}: {error:?}");
        let document = format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>{}</Contents></ListBucketResult>",
            row(left_out)
        );
        let plain = walk(&bucket(&[], vec![reply(200, &[], &document)]), &everything(), 10);
        assert_eq!(plain.is_err(), ["<Key>", "<Size>"].contains(&left_out), "{left_out}");
    }
}
