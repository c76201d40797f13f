//! The destination against recorded answers.

use credenza_sdk::AttributeValue;

use credenza_sdk::Destination;

use super::*;

fn file(key: &str) -> Entry {
    let modified = Some(Timestamp { seconds: MODIFIED_SECONDS, nanoseconds: 0 });
    Entry { size: Some(3), modified, ..Entry::new(key, EntryKind::File) }
}

fn statuses<const COUNT: usize>(statuses: [u16; COUNT]) -> Vec<Reply> {
    statuses.map(|status| reply(status, &[], "")).into()
}

#[test]
fn a_file_is_published_whole_with_its_time() {
    let replies = [vec![reported(&["/dav/a/"])], statuses([404, 201, 201])].concat();
    let target = folder(&[], replies);
    let mut upload = target.create(file("a/f"), false).unwrap().unwrap();
    assert_eq!(upload.part_bytes(), Some(3));
    assert!(upload.finish(target.wire.body_of(b"abc".to_vec())).unwrap().is_empty());
    let expected = ["PROPFIND /a/", "PROPFIND /a/f", "PUT /a/~credenza-partial-word", "MOVE /a/~credenza-partial-word"];
    assert_eq!(lines(&target), expected);
    let [.., sent, moved] = asked(&target).try_into().map(|asked: [Asked; 4]| asked).unwrap();
    assert_eq!((sent.header("x-oc-mtime"), sent.body.as_slice()), (Some("1703980800"), &b"abc"[..]));
    assert_eq!((moved.header("destination"), moved.header("overwrite")), (Some("/a/f"), Some("F")));
}

#[test]
fn a_file_of_unknown_size_is_put_together_first() {
    let replies = [vec![reported(&["/dav/"])], statuses([404, 503, 201, 201])].concat();
    let target = folder(&[], replies);
    let entry = Entry { size: None, ..file("f") };
    let mut upload = target.create(entry.clone(), false).unwrap().unwrap();
    assert_eq!(upload.part_bytes(), None);
    let body = |bytes: &[u8]| target.wire.body_of(bytes.to_vec());
    upload.write(body(b"ab")).unwrap();
    assert_eq!(upload.finish(body(b"c")).unwrap_err().class, ErrorClass::Transient);
    upload.finish(body(b"c")).unwrap();
    assert_eq!(asked(&target)[3].body, b"abc");
    // More than is held is refused, not cut.
    let target = folder(&[], [vec![reported(&["/dav/"])], statuses([404])].concat());
    let mut upload = target.create(entry.clone(), false).unwrap().unwrap();
    let error = upload.write(target.wire.body_of(vec![b'x'; (16 << 20) + 1])).unwrap_err();
    assert_eq!(error.reason, "webdav.size-unknown");
}

#[test]
fn a_move_whose_answer_was_lost_counts_once() {
    let begun = || [vec![reported(&["/dav/"])], statuses([404, 201, 504])].concat();
    // It is gone from where it was sent to, and there.
    let target = folder(&[], [begun(), statuses([404]), vec![reported(&["/dav/f"])]].concat());
    let mut upload = target.create(file("f"), false).unwrap().unwrap();
    let body = || target.wire.body_of(b"abc".to_vec());
    assert_eq!(upload.finish(body()).unwrap_err().class, ErrorClass::Transient);
    upload.finish(body()).unwrap();
    asked(&target);
    // It is still where it was sent to.
    let again = [begun(), vec![reported(&["/dav/~credenza-partial-word"])], statuses([201, 201])].concat();
    let target = folder(&[], again);
    let mut upload = target.create(file("f"), false).unwrap().unwrap();
    let body = || target.wire.body_of(b"abc".to_vec());
    upload.finish(body()).unwrap_err();
    upload.finish(body()).unwrap();
    asked(&target);
}

#[test]
fn a_name_that_servers_mistake_replaces_nothing_else_and_is_looked_for() {
    let replies = [vec![reported(&["/dav/"]), reported(&["/dav/what%3F"])], statuses([201, 204, 201, 404])].concat();
    let target = folder(&[], replies);
    let mut upload = target.create(file("what?"), true).unwrap().unwrap();
    assert_eq!(upload.finish(target.wire.body_of(b"abc".to_vec())).unwrap_err().reason, "webdav.other-name");
    let expected =
        ["PUT /~credenza-partial-word", "DELETE /what%3F", "MOVE /~credenza-partial-word", "PROPFIND /what%3F"];
    assert_eq!(lines(&target)[2..], expected);
    assert_eq!(asked(&target)[4].header("overwrite"), Some("F"));
}

#[test]
fn what_is_given_up_leaves_nothing() {
    let target = folder(&[], [vec![reported(&["/dav/"])], statuses([404, 201, 507, 204])].concat());
    let mut upload = target.create(file("f"), true).unwrap().unwrap();
    assert_eq!(upload.finish(target.wire.body_of(b"abc".to_vec())).unwrap_err().class, ErrorClass::Exhausted);
    upload.abort();
    assert_eq!(lines(&target).last().map(String::as_str), Some("DELETE /~credenza-partial-word"));
    // Nothing was sent yet.
    let target = folder(&[], [vec![reported(&["/dav/"])], statuses([404])].concat());
    target.create(file("f"), true).unwrap().unwrap().abort();
    asked(&target);
}

#[test]
fn nothing_is_replaced_that_must_not_be() {
    let there = |href: &str| vec![reported(&["/dav/"]), reported(&[href])];
    for (href, overwrite, class) in [
        ("/dav/f", false, Some(ErrorClass::Precondition)),
        ("/dav/f", true, None),
        ("/dav/f/", false, Some(ErrorClass::Unsupported)),
        ("/dav/f/", true, Some(ErrorClass::Unsupported)),
    ] {
        let target = folder(&[], there(href));
        let answer = target.create(file("f"), overwrite);
        assert_eq!(answer.err().map(|error| error.class), class, "{href}, {overwrite}");
        asked(&target);
    }
}

#[test]
fn a_deletion_removes_a_file_and_of_folders_only_what_is_empty() {
    let gone = |key: &str, kind| {
        let version = Some(Version { id: String::new(), latest: true, deleted: true });
        Entry { version, ..Entry::new(key, kind) }
    };
    let (file, tree) = (EntryKind::File, EntryKind::Directory);
    let there = |all: &[&[&str]]| all.iter().map(|hrefs| reported(hrefs)).collect::<Vec<_>>();
    let page = vec![reply(200, &[], "<html/>")];
    let cases = [
        ("a/f", file, [there(&[&["/dav/a/f"]]), statuses([204])].concat(), None, "DELETE /a/f"),
        ("a/f", file, [there(&[&["/dav/a/f"]]), statuses([404])].concat(), None, "DELETE /a/f"),
        ("a/f", file, [there(&[&["/dav/a/f"]]), statuses([200])].concat(), None, "DELETE /a/f"),
        // Somebody on the way wants a password, and nothing is removed.
        ("a/f", file, [there(&[&["/dav/a/f"]]), page].concat(), Some(ErrorClass::Corrupt), "DELETE /a/f"),
        ("a/f", file, statuses([404]), None, "PROPFIND /a/f"),
        // A folder with all that lies in it would go.
        ("a", file, there(&[&["/dav/a/"]]), Some(ErrorClass::Denied), "PROPFIND /a"),
        ("a/", tree, there(&[&["/dav/a/"], &["/dav/a/", "/dav/a/f"]]), Some(ErrorClass::Denied), "PROPFIND /a/"),
        ("a/", tree, there(&[&["/dav/a"]]), Some(ErrorClass::Denied), "PROPFIND /a"),
        ("a/", tree, [there(&[&["/dav/a/"], &["/dav/a/"]]), statuses([204])].concat(), None, "DELETE /a/"),
    ];
    for (key, kind, replies, class, last) in cases {
        let target = folder(&[], replies);
        let removed = target.create(gone(key, kind), true);
        assert!(!matches!(removed, Ok(Some(_))), "a deletion has no writer");
        assert_eq!(removed.err().map(|error| error.class), class, "{key}");
        assert_eq!(lines(&target).last().map(String::as_str), Some(last), "{key}");
    }
    let target = folder(&[], vec![]);
    for key in ["", "a//b", "../x"] {
        assert_eq!(target.create(gone(key, tree), true).err().unwrap().class, ErrorClass::Unsupported, "{key}");
    }
}

#[test]
fn what_a_server_cannot_hold_is_refused_before_it_is_asked() {
    let link = Entry::new("l", EntryKind::Symlink);
    let large = Entry { size: Some(11), ..file("large") };
    for entry in [file("a//b"), file("../x"), file("a/."), file("a/"), file("/a"), file("a\nb"), link, large] {
        let target = folder(&[("largest_file", "10")], vec![]);
        let error = target.create(entry.clone(), true).err().unwrap();
        assert_eq!(error.class, ErrorClass::Unsupported, "{}", error.message);
    }
}

#[test]
fn folders_are_made_from_above_and_a_file_in_the_way_is_named() {
    let made = [vec![reply(404, &[], ""), reply(404, &[], ""), reported(&["/dav/"])], statuses([201, 405])].concat();
    let target = folder(&[], made);
    assert!(target.create(Entry::new("a/b/", EntryKind::Directory), false).unwrap().is_none());
    assert_eq!(lines(&target), ["PROPFIND /a/b/", "PROPFIND /a/", "PROPFIND /", "MKCOL /a/", "MKCOL /a/b/"]);
    let target = folder(&[], vec![reported(&["/dav/a"])]);
    assert_eq!(target.create(file("a/b"), false).err().unwrap().reason, "webdav.file-there");
}

#[test]
fn what_is_lost_is_named() {
    let mut entry = file("f");
    entry.attributes =
        ["posix.mode", "s3.version-id", "user.colour"].map(|name| (name.to_owned(), AttributeValue::Integer(1))).into();
    let target = folder(&[], vec![reported(&["/dav/f"])]);
    assert_eq!(target.lost(&entry).unwrap(), ["posix.mode", "user.colour"]);
    // The server took no time of ours.
    let target = folder(&[], vec![multistatus(&resource("/dav/f").replace("31 Dec", "30 Dec"))]);
    assert_eq!(target.lost(&entry).unwrap(), ["posix.mode", "user.colour", "modified"]);
    entry.modified = Some(Timestamp { seconds: MODIFIED_SECONDS, nanoseconds: 1 });
    let target = folder(&[], vec![]);
    assert_eq!(target.lost(&entry).unwrap(), ["posix.mode", "user.colour", "modified"], "no fractions of a second");
}

#[test]
fn what_is_there_is_told_by_its_kind() {
    let target = folder(&[], vec![reported(&["/dav/a/"]), reported(&["/dav/f"]), reply(404, &[], "")]);
    let found = |key: &[u8]| Destination::stat(&target, key).unwrap().map(|entry| (entry.key, entry.kind));
    assert_eq!(found(b"a"), Some((b"a/".to_vec(), EntryKind::Directory)));
    assert_eq!(found(b"f"), Some((b"f".to_vec(), EntryKind::File)));
    assert_eq!(found(b"x"), None);
    assert_eq!(found(b"a//b"), None, "no server holds it, and some would take it for another");
}

#[test]
fn a_self_test_writes_and_removes() {
    let target = folder(&[], statuses([201, 204, 404]));
    assert!(target.check_destination().iter().all(|check| check.outcome.is_ok()));
    assert_eq!(lines(&target), ["PUT /~credenza-check", "DELETE /~credenza-check", "PROPFIND /~credenza-check"]);
}
