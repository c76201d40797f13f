//! The source against recorded answers.

use credenza_sdk::{AttributeValue, ByteRange, Content};

use super::*;

fn bytes(content: Content<Vec<u8>>) -> Vec<u8> {
    match content {
        Content::Ready(bytes) => bytes,
        Content::Pull(_) => panic!("made by the connector"),
    }
}

fn text(name: &str, value: &str) -> (String, AttributeValue) {
    (name.to_owned(), AttributeValue::Text(value.to_owned()))
}

#[test]
fn a_walk_goes_on_by_the_services_marker_and_only_below_the_prefix() {
    let replies = vec![page(&["p/a", "p/b"], Some("m/1")), page(&[], Some("m2")), page(&["p/", "p/c", "q"], None)];
    let source = container(&[("prefix", "p")], replies);
    let found = walk(&source, &everything(), 1).unwrap();
    assert_eq!(keys(&found), ["a", "b", "c"], "the mark of the folder itself has no name");
    let first = &found[0];
    assert_eq!((first.size, first.fingerprint.as_deref(), first.version.is_none()), (Some(3), Some("0xE"), true));
    let expected = "GET ?restype=container&comp=list&maxresults=1000&include=metadata&prefix=p%2F";
    assert_eq!(
        lines(&source),
        [expected.to_owned(), format!("{expected}&marker=m%2F1"), format!("{expected}&marker=m2")]
    );
}

#[test]
fn a_level_folds_what_lies_deeper() {
    let folder = "<BlobPrefix><Name>a/</Name></BlobPrefix>";
    let source = container(&[], vec![page_of(&(blob("b", "") + folder), None)]);
    let found = walk(&source, &ScanOptions { one_level: true, ..everything() }, 10).unwrap();
    assert_eq!(keys(&found), ["a/", "b"]);
    assert_eq!(found[0].kind, EntryKind::Directory);
    assert_eq!(lines(&source), ["GET ?restype=container&comp=list&maxresults=1000&delimiter=%2F"]);
}

#[test]
fn what_a_listing_cannot_do_is_refused_before_it_is_asked() {
    let source = container(&[], vec![]);
    let late = ScanOptions { start_after: Some(b"k".to_vec()), ..everything() };
    assert_eq!(walk(&source, &late, 1).unwrap_err().class, ErrorClass::Unsupported);
    let odd = ScanOptions { prefix: b"\xff".to_vec(), ..everything() };
    assert!(walk(&source, &odd, 1).unwrap().is_empty(), "no name of a blob begins so");
    assert!(lines(&source).is_empty());
}

#[test]
fn a_listing_that_is_none_or_never_ends_is_corrupt_and_a_missing_container_is_named() {
    let walked = |replies| walk(&container(&[], replies), &everything(), 10).unwrap_err();
    assert_eq!(walked(vec![page(&["a"], Some("m")), page(&["a"], Some("m"))]).reason, "azure.endless-listing");
    assert_eq!(walked(vec![reply(200, &[], "<html/>")]).class, ErrorClass::Corrupt);
    assert_eq!(walked(vec![error(404, "ContainerNotFound")]).reason, "azure.no-container");
    assert_eq!(walked(vec![reply(404, &[], "<html/>")]).class, ErrorClass::Corrupt, "the service says what is missing");
}

#[test]
fn versions_of_a_blob_are_adjacent_newest_first_and_each_is_read_by_its_id() {
    let version = |id: &str, current: &str| blob("k", &format!("<VersionId>{id}</VersionId>{current}"));
    let snapshot = blob("k", "<Snapshot>2024-02</Snapshot>");
    let first = version("2024-01", "") + &snapshot;
    let second = version("2024-03", "<IsCurrentVersion>true</IsCurrentVersion>") + &blob("l", "");
    let mut replies = vec![page_of(&first, Some("m")), page_of(&second, None)];
    replies.extend([reply(200, &[("etag", "\"0xE\"")], "abc"), reply(200, &[("etag", "\"0xE\"")], "abc")]);
    let source = container(&[("versions", "true")], replies);
    let found = walk(&source, &everything(), 10).unwrap();
    let ids: Vec<(String, bool)> =
        found.iter().map(|entry| entry.version.clone().unwrap()).map(|version| (version.id, version.latest)).collect();
    let expected = [("2024-03", true), ("2024-02", false), ("2024-01", false), ("current", true)];
    assert_eq!(ids, expected.map(|(id, latest)| (id.to_owned(), latest)));
    source.read(found[1].clone(), None, Some("0xE".to_owned())).unwrap();
    source.read(found[2].clone(), None, Some("0xE".to_owned())).unwrap();
    assert_eq!(lines(&source)[2..], ["GET /k?snapshot=2024-02", "GET /k?versionid=2024-01"]);
}

#[test]
fn a_read_completes_the_entry_and_leaves_the_case_of_names() {
    let listed = blob("k", "<Metadata><Colour>green</Colour></Metadata>");
    let headers = [
        ("content-length", "3"),
        ("etag", "\"0xE\""),
        ("content-type", "text/plain"),
        ("x-ms-meta-colour", "green"),
        ("x-ms-tag-count", "1"),
        ("x-ms-immutability-policy-mode", "locked"),
    ];
    let source = container(&[], vec![page_of(&listed, None), reply(200, &headers, "abc")]);
    let entry = walk(&source, &everything(), 10).unwrap().remove(0);
    let opened = source.read(entry, None, Some("0xE".to_owned())).unwrap();
    assert_eq!(bytes(opened.content), b"abc");
    let expected = [
        text("http.content-type", "text/plain"),
        ("azure.tag-count".to_owned(), AttributeValue::Integer(1)),
        text("azure.immutability-mode", "locked"),
        text("user.Colour", "green"),
    ];
    assert_eq!(opened.entry.attributes, expected);
    let requests = asked(&source);
    assert_eq!((requests[1].line().as_str(), requests[1].header("if-match")), ("GET /k", Some("\"0xE\"")));
}

#[test]
fn a_blob_that_has_changed_is_not_read_for_another() {
    let refused = container(&[], vec![error(412, "ConditionNotMet")]);
    let read = |source: &Container<Tape>| source.read(file("k"), None, Some("0xE".to_owned())).err().unwrap();
    assert_eq!(read(&refused).class, ErrorClass::Precondition);
    let ignored = container(&[], vec![reply(200, &[("etag", "\"0xF\"")], "abc")]);
    assert_eq!(read(&ignored).class, ErrorClass::Precondition);
}

#[test]
fn a_part_is_asked_for_and_another_answer_is_noticed() {
    let part = Some(ByteRange { offset: 1, length: Some(1) });
    let one = reply(206, &[("content-range", "bytes 1-1/3"), ("etag", "0xE")], "b");
    let source = container(&[], vec![one, reply(200, &[("etag", "0xE")], "abc")]);
    assert_eq!(bytes(source.read(file("k"), part, None).unwrap().content), b"b");
    assert_eq!(source.read(file("k"), part, None).err().unwrap().class, ErrorClass::Unsupported);
    assert_eq!(asked(&source)[0].header("range"), Some("bytes=1-1"));
}

#[test]
fn an_archived_blob_is_denied_and_says_what_to_do() {
    let source = container(&[], vec![error(409, "BlobArchived")]);
    let error = source.read(file("k"), None, None).err().unwrap();
    assert_eq!((error.class, error.message.contains("rehydrated")), (ErrorClass::Denied, true));
}

#[test]
fn tags_are_asked_for_where_there_are_some() {
    let tags = "<Tags><TagSet><Tag><Key>a b</Key><Value>c</Value></Tag></TagSet></Tags>";
    let source = container(&[], vec![reply(200, &[], tags), reply(200, &[], "<Tags><TagSet/></Tags>")]);
    let tagged = Entry { attributes: vec![("azure.tag-count".to_owned(), AttributeValue::Integer(1))], ..file("k") };
    let described = source.describe(vec![file("j"), tagged.clone()]).unwrap();
    assert!(described[0].as_ref().unwrap().is_empty());
    assert_eq!(described[1].as_ref().unwrap(), &[text("azure.tag.a b", "c")]);
    assert_eq!(source.describe(vec![tagged]).unwrap()[0].as_ref().unwrap_err().class, ErrorClass::Corrupt);
    assert_eq!(lines(&source)[0], "GET /k?comp=tags");
}

#[test]
fn documents_are_what_is_configured() {
    let properties = [("x-ms-blob-public-access", "blob"), ("x-ms-meta-team", "web"), ("date", "today")];
    let policies = "<SignedIdentifiers><SignedIdentifier><Id>p</Id></SignedIdentifier></SignedIdentifiers>";
    let source = container(&[], vec![reply(200, &properties, ""), reply(200, &[], policies)]);
    let documents = source.documents().unwrap();
    let reported: Vec<(&str, &str)> =
        documents.iter().map(|one| (one.name.as_str(), one.content.as_ref().unwrap().as_str())).collect();
    let expected = "x-ms-blob-public-access: blob\nx-ms-meta-team: web\n";
    assert_eq!(reported, [("azure.container", expected), ("azure.access-policies", policies)]);
    let bare = container(&[], vec![reply(200, &[], ""), error(403, "AuthorizationPermissionMismatch")]);
    let documents = bare.documents().unwrap();
    assert_eq!(documents.len(), 1);
    assert!(documents[0].content.is_err(), "what may not be read has its error");
    let refused = || error(403, "AuthorizationFailure");
    let signed = container(&[("login", "sas")], vec![refused(), refused()]);
    assert!(signed.documents().unwrap().is_empty(), "a signature is never good for them");
}
