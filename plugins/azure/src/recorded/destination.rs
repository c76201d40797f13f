//! The destination against recorded answers.

use credenza_sdk::{AttributeValue, Checksum, Destination, Timestamp, Version, Writer};

use super::*;

fn begin(target: &Container<Tape>, entry: &Entry, overwrite: bool) -> Box<dyn Writer<Vec<u8>>> {
    target.create(entry.clone(), overwrite).unwrap().unwrap()
}

/// The name of a block of the tape's only word.
fn block(number: u64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("word{number:08}"))
}

#[test]
fn what_fits_one_part_is_sent_whole_with_its_attributes() {
    let target = container(&[], vec![error(404, "BlobNotFound"), reply(201, &[], "")]);
    let attributes = vec![("user.colour".to_owned(), AttributeValue::Text("green".to_owned()))];
    let checksums = vec![Checksum { algorithm: "md5".to_owned(), value: vec![0; 16] }];
    let mut upload = begin(&target, &Entry { attributes, checksums, ..file("k") }, false);
    assert_eq!(upload.part_bytes(), Some(8 << 20));
    assert!(upload.finish(b"abc".to_vec()).unwrap().is_empty());
    let requests = asked(&target);
    assert_eq!((requests[1].line().as_str(), requests[1].body.as_str()), ("PUT /k", "abc"));
    for (name, value) in [
        ("x-ms-blob-type", "BlockBlob"),
        ("if-none-match", "*"),
        ("x-ms-meta-colour", "green"),
        ("x-ms-blob-content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ] {
        assert_eq!(requests[1].header(name), Some(value));
    }
}

#[test]
fn a_success_that_is_not_azures_publishes_nothing() {
    let portal = container(&[], vec![reply(200, &[("content-type", "text/html")], "<html>Please log in</html>")]);
    let mut upload = begin(&portal, &file("k"), true);
    assert_eq!(upload.finish(b"x".to_vec()).unwrap_err().class, ErrorClass::Corrupt);
}

#[test]
fn blocks_of_others_are_no_reason_to_try_again() {
    let target = container(&[], vec![error(400, "InvalidBlobOrBlock")]);
    let mut upload = begin(&target, &file("k"), true);
    let refused = upload.write(b"part".to_vec()).unwrap_err();
    assert_eq!((refused.class, refused.reason.as_str()), (ErrorClass::Denied, "azure.blocks-of-others"));
}

#[test]
fn what_is_there_is_told_with_the_checksum_that_the_service_made() {
    let headers = [("content-length", "3"), ("etag", "0xE"), ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let found = container(&[], vec![reply(200, &headers, "")]).stat(b"k").unwrap().unwrap();
    assert_eq!((found.checksums[0].algorithm.as_str(), found.checksums[0].value.len()), ("md5", 16));
}

#[test]
fn what_exists_is_not_overwritten_unasked() {
    let exists = container(&[], vec![reply(200, &[("content-length", "3"), ("etag", "0xE")], "")]);
    assert_eq!(exists.create(file("k"), false).err().unwrap().class, ErrorClass::Precondition);
    let meanwhile = container(&[], vec![error(404, "BlobNotFound"), error(409, "BlobAlreadyExists")]);
    let mut upload = begin(&meanwhile, &file("k"), false);
    assert_eq!(upload.finish(b"abc".to_vec()).unwrap_err().class, ErrorClass::Precondition);
    let wished = container(&[], vec![reply(201, &[], "")]);
    begin(&wished, &file("k"), true).finish(b"abc".to_vec()).unwrap();
    assert_eq!(asked(&wished)[0].header("if-none-match"), None);
}

#[test]
fn more_is_sent_in_blocks_and_published_by_their_list() {
    let target = container(&[], vec![reply(201, &[], ""), reply(201, &[], ""), reply(201, &[], "")]);
    let attributes = vec![("http.content-type".to_owned(), AttributeValue::Text("a/b".to_owned()))];
    let mut upload = begin(&target, &Entry { attributes, ..file("k") }, true);
    upload.write(b"one".to_vec()).unwrap();
    upload.finish(b"two".to_vec()).unwrap();
    let requests = asked(&target);
    let query =
        |number| format!("PUT /k?comp=block&blockid={}", credenza_sdk::percent::value(block(number).as_bytes()));
    assert_eq!((requests[0].line(), requests[1].line()), (query(0), query(1)));
    assert_eq!(requests[2].line(), "PUT /k?comp=blocklist");
    let list = format!("<Uncommitted>{}</Uncommitted><Uncommitted>{}</Uncommitted>", block(0), block(1));
    assert!(requests[2].body.ends_with(&format!("<BlockList>{list}</BlockList>")), "{}", requests[2].body);
    assert_eq!(
        (requests[0].header("x-ms-blob-content-type"), requests[2].header("x-ms-blob-content-type")),
        (None, Some("a/b"))
    );
}

#[test]
fn a_block_that_failed_comes_again_under_its_name_and_counts_once() {
    let busy = || error(503, "ServerBusy");
    let replies = vec![busy(), reply(201, &[], ""), busy(), reply(201, &[], ""), busy(), reply(201, &[], "")];
    let target = container(&[], replies);
    let mut upload = begin(&target, &file("k"), true);
    assert_eq!(upload.write(b"one".to_vec()).unwrap_err().class, ErrorClass::Transient);
    upload.write(b"one".to_vec()).unwrap();
    assert_eq!(upload.finish(b"two".to_vec()).unwrap_err().class, ErrorClass::Transient);
    assert_eq!(upload.finish(b"two".to_vec()).unwrap_err().class, ErrorClass::Transient);
    upload.finish(b"two".to_vec()).unwrap();
    let sent: Vec<String> = lines(&target).into_iter().filter(|line| line.contains("comp=block&")).collect();
    assert_eq!((sent[0].clone(), sent[2].clone()), (sent[1].clone(), sent[3].clone()));
    assert_eq!(sent.len(), 4, "the last block was sent twice, because it failed once");
}

#[test]
fn a_list_whose_answer_was_lost_is_a_success_when_the_blob_is_made_of_its_blocks() {
    let committed = |blocks: &[u64]| {
        let blocks: String = blocks
            .iter()
            .map(|number| format!("<Block><Name>{}</Name><Size>3</Size></Block>", block(*number)))
            .collect();
        reply(200, &[], &format!("<BlockList><CommittedBlocks>{blocks}</CommittedBlocks></BlockList>"))
    };
    for (there, is_ours) in [(committed(&[0, 1]), true), (committed(&[0]), false), (error(404, "BlobNotFound"), false)]
    {
        let replies = vec![
            error(404, "BlobNotFound"),
            reply(201, &[], ""),
            reply(201, &[], ""),
            error(500, "OperationTimedOut"),
            error(409, "BlobAlreadyExists"),
            there,
        ];
        let target = container(&[], replies);
        let mut upload = begin(&target, &file("k"), false);
        upload.write(b"one".to_vec()).unwrap();
        assert_eq!(upload.finish(b"two".to_vec()).unwrap_err().class, ErrorClass::Transient);
        let again = upload.finish(b"two".to_vec());
        assert_eq!(again.is_ok(), is_ours);
        assert!(again.err().is_none_or(|cause| cause.class == ErrorClass::Precondition));
        assert_eq!(lines(&target)[5], "GET /k?comp=blocklist&blocklisttype=committed");
    }
}

#[test]
fn blocks_that_another_upload_has_removed_do_not_come_back_by_trying() {
    let target = container(&[], vec![reply(201, &[], ""), reply(201, &[], ""), error(400, "InvalidBlockList")]);
    let mut upload = begin(&target, &file("k"), true);
    upload.write(b"one".to_vec()).unwrap();
    let lost = upload.finish(b"two".to_vec()).unwrap_err();
    assert_eq!((lost.class, lost.reason.as_str()), (ErrorClass::Denied, "azure.block-list"));
    upload.abort();
    assert_eq!(lines(&target).len(), 3, "nothing can be removed");
}

#[test]
fn a_deletion_removes_the_blob_and_one_that_is_gone_is_removed() {
    let deleted = Version { id: String::new(), latest: true, deleted: true };
    let gone = Entry { version: Some(deleted), ..file("a b/k") };
    for (answer, class) in [
        (reply(202, &[], ""), None),
        (error(404, "BlobNotFound"), None),
        (error(409, "BlobImmutableDueToPolicy"), Some(ErrorClass::Denied)),
        // Somebody on the way, who has deleted nothing.
        (reply(200, &[], "log in"), Some(ErrorClass::Corrupt)),
    ] {
        let target = container(&[], vec![answer]);
        let removed = target.create(gone.clone(), true);
        assert!(!matches!(removed, Ok(Some(_))), "a deletion has no writer");
        assert_eq!(removed.err().map(|error| error.class), class);
        assert_eq!(lines(&target), ["DELETE /a%20b/k"]);
    }
    let found = Entry { fingerprint: Some("0xE".to_owned()), ..gone.clone() };
    let failed = || error(412, "ConditionNotMet");
    for (answers, class) in [
        (vec![reply(202, &[], "")], None),
        (vec![failed(), reply(200, &[("etag", "\"0xF\"")], "")], Some(ErrorClass::Precondition)),
        (vec![failed(), error(404, "BlobNotFound")], None),
    ] {
        let target = container(&[], answers);
        assert_eq!(target.create(found.clone(), true).err().map(|error| error.class), class, "another blob stays");
        assert_eq!(asked(&target)[0].header("if-match"), Some("\"0xE\""));
    }
    let target = container(&[], vec![]);
    let odd = Entry { key: b"a/../b".to_vec(), ..gone };
    assert_eq!(target.create(odd, true).err().unwrap().class, ErrorClass::Unsupported);
    assert!(lines(&target).is_empty());
}

#[test]
fn what_a_container_cannot_hold_is_refused_before_it_is_asked() {
    let target = container(&[], vec![]);
    for entry in [
        Entry::new("l", EntryKind::Symlink),
        Entry::new("a/../b", EntryKind::File),
        Entry::new(b"\xff".to_vec(), EntryKind::File),
        Entry { size: Some(u64::MAX), ..file("k") },
    ] {
        assert_eq!(target.create(entry, true).err().unwrap().class, ErrorClass::Unsupported);
    }
    assert!(target.create(Entry::new("a/", EntryKind::Directory), false).unwrap().is_none());
    assert_eq!(Destination::stat(&target, b"a/../b").unwrap(), None);
    assert!(lines(&target).is_empty());
}

#[test]
fn blocks_grow_where_there_would_be_too_many() {
    let target = container(&[], vec![]);
    let huge = Entry { size: Some(1 << 40), ..file("k") };
    assert_eq!(begin(&target, &huge, true).part_bytes(), Some(21 << 20));
}

#[test]
fn what_is_lost_is_named() {
    let target = container(&[], vec![]);
    let attributes = vec![
        ("posix.mode".to_owned(), AttributeValue::Integer(1)),
        ("azure.tag-count".to_owned(), AttributeValue::Integer(1)),
    ];
    let lost = target.set_metadata(vec![Entry { attributes, ..file("k") }]).unwrap().remove(0).unwrap();
    assert_eq!(lost, ["posix.mode"]);
}

#[test]
fn locks_are_given_back_where_that_is_wished_for() {
    let until = Timestamp { seconds: 2_000_000_000, nanoseconds: 0 };
    let attributes = vec![
        ("azure.immutable-until".to_owned(), AttributeValue::Time(until)),
        ("azure.immutability-mode".to_owned(), AttributeValue::Text("unlocked".to_owned())),
    ];
    let entry = Entry { attributes, ..file("k") };
    let without = container(&[], vec![]);
    assert_eq!(without.set_metadata(vec![entry.clone()]).unwrap()[0].as_ref().unwrap().len(), 2);
    let with = container(&[("locks", "true")], vec![reply(201, &[], "")]);
    assert!(with.set_metadata(vec![entry.clone()]).unwrap()[0].as_ref().unwrap().is_empty());
    begin(&with, &entry, true).finish(b"abc".to_vec()).unwrap();
    assert_eq!(asked(&with)[0].header("x-ms-immutability-policy-mode"), Some("unlocked"));
}

#[test]
fn a_container_is_made_where_that_is_wished_for() {
    for answer in
        [reply(201, &[], ""), error(409, "ContainerAlreadyExists"), error(403, "AuthorizationPermissionMismatch")]
    {
        let target = container(&[("create_container", "true")], vec![answer]);
        Destination::info(&target).unwrap();
        assert_eq!(lines(&target), ["PUT ?restype=container"]);
    }
    let unwished = container(&[], vec![]);
    Destination::info(&unwished).unwrap();
    assert!(lines(&unwished).is_empty());
}
