//! The source against recorded answers.

use credenza_sdk::ByteRange;

use super::*;

#[test]
fn folders_are_walked_in_the_byte_order_of_keys() {
    let tree = || {
        vec![
            reported(&["/dav/", "/dav/b/", "/dav/b0", "/dav/b%21", "/dav/a"]),
            reported(&["/dav/b/", "/dav/b/c/", "/dav/b/c-", "/dav/b/z"]),
            reported(&["/dav/b/c/", "/dav/b/c/d"]),
        ]
    };
    let expected = ["", "a", "b!", "b/", "b/c-", "b/c/", "b/c/d", "b/z", "b0"];
    for max in [1, 2, 100] {
        let source = folder(&[], tree());
        assert_eq!(keys(&walk(&source, &everything(), max).unwrap()), expected);
        assert_eq!(lines(&source), ["PROPFIND /", "PROPFIND /b/", "PROPFIND /b/c/"]);
        assert_eq!(asked(&source)[0].header("depth"), Some("1"));
    }
}

#[test]
fn names_are_bytes_however_an_address_is_written() {
    let hrefs = ["http://h/dav/", "/dav/a%20b+c", "/dav/%25%23%3F", "/dav/ü", "/dav/%C3%A4", "/dav/&amp;"];
    let source = folder(&[], vec![reported(&hrefs)]);
    assert_eq!(keys(&walk(&source, &everything(), 100).unwrap()), ["", "%#?", "&", "a b+c", "ä", "ü"]);
}

#[test]
fn a_server_behind_a_proxy_may_know_itself_by_another_path() {
    let source =
        folder(&[], vec![reported(&["/inner/x", "/inner", "/inner/y/"]), reported(&["/inner/y/z", "/inner/y/"])]);
    let found = walk(&source, &everything(), 100);
    // `/inner` is a file by its address; a folder says so by its properties.
    assert_eq!(found.unwrap_err().reason, "webdav.no-folder");
    let source =
        folder(&[], vec![reported(&["/inner/x", "/inner/", "/inner/y/"]), reported(&["/inner/y/z", "/inner/y/"])]);
    assert_eq!(keys(&walk(&source, &everything(), 100).unwrap()), ["", "x", "y/", "y/z"]);
}

#[test]
fn what_a_server_tells_from_deeper_down_is_told_once() {
    let deep = ["/dav/", "/dav/b/", "/dav/b/c", "/dav/a", "/dav/a"];
    let source = folder(&[], vec![reported(&deep), reported(&["/dav/b/", "/dav/b/c"])]);
    assert_eq!(keys(&walk(&source, &everything(), 100).unwrap()), ["", "a", "b/", "b/c"]);
}

#[test]
fn a_prefix_is_bytes_and_costs_only_its_folder() {
    let options = |prefix: &str, one_level| ScanOptions { prefix: prefix.into(), one_level, ..everything() };
    let source =
        folder(&[], vec![reported(&["/dav/b/", "/dav/b/c1", "/dav/b/c2/", "/dav/b/d"]), reported(&["/dav/b/c2/"])]);
    assert_eq!(keys(&walk(&source, &options("b/c", false), 100).unwrap()), ["b/c1", "b/c2/"]);
    let source = folder(&[], vec![reported(&["/dav/b/", "/dav/b/c1", "/dav/b/c2/"])]);
    assert_eq!(keys(&walk(&source, &options("b/", true), 100).unwrap()), ["b/", "b/c1", "b/c2/"]);
    let source = folder(&[], vec![reply(404, &[], "")]);
    assert!(walk(&source, &options("none/", false), 100).unwrap().is_empty());
    // A server may take the doubled `/` for one.
    let source = folder(&[], vec![]);
    assert!(walk(&source, &options("b//", false), 100).unwrap().is_empty());
    // The server answers for the file of that name.
    let source = folder(&[], vec![reported(&["/dav/a"])]);
    assert!(walk(&source, &options("a/", false), 100).unwrap().is_empty());
}

#[test]
fn a_walk_begins_behind_a_key_without_what_lies_before() {
    let after = |key: &str| ScanOptions { start_after: Some(key.into()), ..everything() };
    let root = || reported(&["/dav/", "/dav/a/", "/dav/b/", "/dav/c"]);
    let source = folder(&[], vec![root(), reported(&["/dav/b/", "/dav/b/x", "/dav/b/y"])]);
    assert_eq!(keys(&walk(&source, &after("b/x"), 100).unwrap()), ["b/y", "c"]);
    let source = folder(&[], vec![root(), reported(&["/dav/b/", "/dav/b/x"])]);
    assert_eq!(keys(&walk(&source, &after("a0"), 100).unwrap()), ["b/", "b/x", "c"]);
}

#[test]
fn a_folder_that_cannot_be_listed_is_skipped_and_the_walk_goes_on() {
    let root = || reported(&["/dav/", "/dav/a/", "/dav/b"]);
    for (refusal, reason) in [
        (reply(403, &[], ""), "webdav.denied"),
        (reply(404, &[], ""), "webdav.not-found"),
        (reply(207, &[], "<multistatus>"), "webdav.not-webdav"),
        (reported(&["/dav/a/", "/other/x"]), "webdav.not-webdav"),
        (reported(&["/dav/a/", "/dav/a/%2e%2e"]), "webdav.not-webdav"),
    ] {
        let source = folder(&[], vec![root(), refusal]);
        let found = keys(&walk(&source, &everything(), 100).unwrap());
        assert_eq!(found, ["", "a/", &format!("skipped a/ ({reason})"), "b"]);
    }
}

#[test]
fn a_failure_that_passes_costs_the_walk_nothing() {
    let replies = vec![
        reported(&["/dav/", "/dav/a/", "/dav/b"]),
        reply(503, &[], ""),
        reply(503, &[], ""),
        reported(&["/dav/a/", "/dav/a/x"]),
    ];
    let source = folder(&[], replies);
    let mut scan = source.scan(everything()).unwrap();
    assert_eq!(keys(&scan.next(100).unwrap().found), ["", "a/"]);
    assert_eq!(scan.next(100).unwrap_err().class, ErrorClass::Transient);
    assert_eq!(keys(&scan.next(100).unwrap().found), ["a/x", "b"]);
}

#[test]
fn a_place_that_is_not_there_is_a_matter_of_the_settings() {
    for (answer, reason) in [
        (reply(404, &[], ""), "webdav.no-folder"),
        (reply(401, &[], ""), "webdav.unauthorised"),
        (reply(405, &[], ""), "webdav.method"),
        (reply(200, &[], "<html/>"), "webdav.not-webdav"),
        (reply(301, &[("location", "/dav")], ""), "webdav.moved"),
    ] {
        let source = folder(&[], vec![answer]);
        assert_eq!(walk(&source, &everything(), 100).unwrap_err().reason, reason);
    }
}

fn scanned() -> Entry {
    let source = folder(&[], vec![reported(&["/dav/", "/dav/a"])]);
    match walk(&source, &everything(), 100).unwrap().pop() {
        Some(Found::Entry(entry)) => entry,
        other => panic!("{other:?}"),
    }
}

fn good(body: &str) -> Reply {
    reply(200, &[("etag", "\"e\""), ("last-modified", MODIFIED)], body)
}

#[test]
fn a_file_is_read_as_it_was_scanned_or_not_at_all() {
    let entry = scanned();
    assert_eq!((entry.kind, entry.size, entry.fingerprint.as_deref()), (EntryKind::File, Some(3), Some("e")));
    assert_eq!(entry.modified, Some(Timestamp { seconds: MODIFIED_SECONDS, nanoseconds: 0 }));
    let source = folder(&[], vec![good("abc")]);
    source.read(entry.clone(), None, Some("e".to_owned())).unwrap();
    assert_eq!(asked(&source)[0].header("if-match"), Some("\"e\""));
    // Changed, and said so; changed, and read all the same.
    let later = reply(200, &[("etag", "\"f\""), ("last-modified", "Sun, 31 Dec 2023 00:00:01 GMT")], "abc");
    let longer = good("abcd");
    let changed = multistatus(&resource("/dav/a").replace("\"e\"", "\"f\""));
    for replies in [vec![reply(412, &[], ""), changed], vec![later], vec![longer]] {
        let source = folder(&[], replies);
        let answer = source.read(entry.clone(), None, Some("e".to_owned()));
        assert_eq!(answer.err().unwrap().class, ErrorClass::Precondition);
        asked(&source);
    }
    // A server that compares wrongly is asked without a condition.
    let source = folder(&[], vec![reply(412, &[], ""), reported(&["/dav/a"]), good("abc")]);
    source.read(entry, None, Some("e".to_owned())).unwrap();
    assert_eq!(asked(&source)[2].header("if-match"), None);
}

#[test]
fn a_part_is_that_part_or_an_error() {
    let part = Some(ByteRange { offset: 1, length: Some(1) });
    let right = reply(206, &[("content-range", "bytes 1-1/3"), ("etag", "\"e\"")], "b");
    let source = folder(&[], vec![right]);
    source.read(scanned(), part, Some("e".to_owned())).unwrap();
    assert_eq!(asked(&source)[0].header("range"), Some("bytes=1-1"));
    let source = folder(&[], vec![good("abc")]);
    assert_eq!(source.read(scanned(), part, None).err().unwrap().class, ErrorClass::Unsupported);
}

#[test]
fn a_file_without_a_tag_has_its_time_and_size_once_they_tell_it_apart() {
    let untagged = |time: &str| resource("/dav/a").replace("<D:getetag>\"e\"</D:getetag>", "").replace(MODIFIED, time);
    for (time, fingerprint) in
        [(MODIFIED, Some("=1703980800-3")), ("Mon, 01 Jan 2024 00:00:04 GMT", None), ("no time", None)]
    {
        let source = folder(&[], vec![multistatus(&(resource("/dav/") + &untagged(time)))]);
        let found = walk(&source, &everything(), 100).unwrap();
        let Some(Found::Entry(entry)) = found.last() else { panic!("{found:?}") };
        assert_eq!(entry.fingerprint.as_deref(), fingerprint, "{time}");
    }
    let source = folder(&[], vec![reply(200, &[("last-modified", MODIFIED)], "abc")]);
    source.read(scanned(), None, Some("=1703980800-3".to_owned())).unwrap();
    assert_eq!(asked(&source)[0].header("if-match"), None);
}

#[test]
fn a_self_test_ends_with_the_step_that_failed() {
    let outcome = |replies| {
        let checks = folder(&[], replies).check_source();
        checks.into_iter().map(|check| format!("{}:{}", check.name, check.outcome.is_ok())).collect::<Vec<_>>()
    };
    let byte = reply(206, &[("content-range", "bytes 0-0/3")], "a");
    let all = ["credentials:true", "folder:true", "list:true", "read:true"];
    assert_eq!(outcome(vec![reported(&["/dav/", "/dav/a"]), byte]), all);
    assert_eq!(outcome(vec![reported(&["/dav/"])]), all, "nothing there to read");
    assert_eq!(outcome(vec![reply(401, &[], "")]), ["credentials:false"]);
    assert_eq!(outcome(vec![reply(404, &[], "")]), ["credentials:true", "folder:false"]);
    assert_eq!(outcome(vec![reply(405, &[], "")]), ["credentials:true", "folder:false"]);
    assert_eq!(outcome(vec![reply(403, &[], "")]), ["credentials:true", "folder:true", "list:false"]);
    assert_eq!(outcome(vec![reply(200, &[], "<html>")]), ["list:false"]);
}
