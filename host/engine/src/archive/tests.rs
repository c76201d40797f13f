//! Archives as another program reads them, and that none that is broken passes for whole.

use std::io::Read;
use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_model::{AttributeValue, EntryKind, EntryStatus, Key, Timestamp, Version};

use super::*;
use crate::testing::{handle, noise, record, recorded, repository, secret, snapshot, synthetic};
use crate::{Part, Repository};

fn chosen(snapshot: &SnapshotHandle, prefix: &str) -> [Chosen; 1] {
    [Chosen { snapshot: snapshot.clone(), parts: Parts::under(Key::from(prefix)) }]
}

async fn archived(
    repository: &Repository,
    snapshot: &SnapshotHandle,
    prefix: &str,
    format: ArchiveFormat,
) -> (Result<ArchiveReport>, Vec<u8>) {
    let view = repository.view().await.unwrap();
    let mut bytes = Vec::new();
    let done = write(&view, &chosen(snapshot, prefix), format, &mut bytes, &RunContext::default()).await;
    (done, bytes)
}

/// Path, kind, size and content of what is in a tar.
fn members(bytes: &[u8]) -> Vec<(String, ::tar::EntryType, Vec<u8>)> {
    let mut archive = ::tar::Archive::new(bytes);
    let read = |member: io::Result<::tar::Entry<'_, &[u8]>>| {
        let mut member = member.unwrap();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        (String::from_utf8_lossy(&member.path_bytes()).into_owned(), member.header().entry_type(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

fn with(key: &str, kind: EntryKind, bytes: &[u8], attributes: &[(&str, AttributeValue)]) -> Record {
    let mut one = record(key.to_owned(), bytes);
    one.entry.kind = kind;
    one.entry.modified = Some(Timestamp { seconds: 1_000_000_000, nanoseconds: 5 });
    one.entry.attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    one
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_says_of_each_entry_what_the_snapshot_knows() {
    let (_, repository) = recorded().await;
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    let linked = [("posix.hardlink", text("8.1:5"))];
    let long = format!("deep/{}/end", "x".repeat(150));
    let mut link = with("link", EntryKind::Symlink, b"", &[]);
    link.entry.link_target = Some(b"../elsewhere".to_vec());
    let records = [
        with("", EntryKind::Directory, b"", &[("posix.mode", AttributeValue::Integer(0o700))]),
        with(&long, EntryKind::File, b"long", &[]),
        with("first", EntryKind::File, b"linked", &linked),
        link,
        with("link/below", EntryKind::File, b"never through the link", &[]),
        with(
            "owned",
            EntryKind::File,
            b"owned",
            &[
                ("http.content-type", text("text/plain")),
                ("posix.gid", AttributeValue::Integer(20)),
                ("posix.group", text("staff")),
                ("posix.mode", AttributeValue::Integer(0o4750)),
                ("posix.uid", AttributeValue::Integer(501)),
                ("posix.user", text("me")),
                ("xattr.user.colour", AttributeValue::Blob(b"red\0=".to_vec())),
            ],
        ),
        with("pipe", EntryKind::Other, b"", &[("posix.kind", text("fifo"))]),
        with("second", EntryKind::File, b"linked", &linked),
        with("socket", EntryKind::Other, b"", &[("posix.kind", text("socket"))]),
        with("sub/", EntryKind::Directory, b"", &[]),
    ];
    let snapshot = synthetic(&repository, records.into_iter()).await;
    let (report, bytes) = archived(&repository, &snapshot, "", ArchiveFormat::Tar).await;
    let report = report.unwrap();
    assert_eq!((report.entries, report.renamed, report.unread), (8, 1, 0));
    let unkept: Vec<(&str, u64)> = report.unkept.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(unkept, [("http.content-type", 1), ("sockets, pipes and devices", 1)]);
    let found = members(&bytes);
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, [&long, "first", "link", "%~link%2F/below", "owned", "pipe", "second", "sub/"]);
    assert_eq!(found[0].2, b"long");
    assert_eq!((found[6].1, &found[6].2[..]), (::tar::EntryType::Link, &b""[..]));
    let mut archive = ::tar::Archive::new(&bytes[..]);
    for member in archive.entries().unwrap() {
        let mut member = member.unwrap();
        let path = member.path_bytes().into_owned();
        let records: Vec<(String, Vec<u8>)> = member
            .pax_extensions()
            .unwrap()
            .unwrap()
            .map(|record| record.unwrap())
            .map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec()))
            .collect();
        let has = |name: &str, value: &[u8]| records.iter().any(|(key, had)| key == name && had == value);
        assert!(has("mtime", b"1000000000.000000005"), "{records:?}");
        let header = member.header();
        match &path[..] {
            b"owned" => {
                assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0o4750, 501, 20));
                assert_eq!(header.username().unwrap(), Some("me"));
                assert!(has("SCHILY.xattr.user.colour", b"red\0="), "{records:?}");
            }
            b"link" => assert_eq!(&header.link_name_bytes().unwrap()[..], b"../elsewhere"),
            b"second" => assert_eq!(&header.link_name_bytes().unwrap()[..], b"first"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_archived_with_its_contents_long_and_short_and_only_what_is_there_now() {
    let (_, repository) = recorded().await;
    let source = MemorySource::new();
    source.put("a/long", noise(1, 24 << 20));
    (0..300_u64).for_each(|number| source.put(format!("a/short-{number:03}").as_str(), noise(number, 3000)));
    source.put("b", b"not asked for".to_vec());
    let whole = handle(&repository, snapshot(&repository, &source).await).await;
    let (report, bytes) = archived(&repository, &whole, "a", ArchiveFormat::Tar).await;
    assert_eq!(report.unwrap().bytes, (24 << 20) + 300 * 3000);
    let found = members(&bytes);
    assert_eq!(found.len(), 301);
    assert!(found[0].2 == noise(1, 24 << 20));
    assert!(found[1..].iter().zip(0_u64..).all(|((_, _, content), number)| *content == noise(number, 3000)));
    assert!(matches!(archived(&repository, &whole, "c", ArchiveFormat::Tar).await.0, Err(Error::NoEntry { .. })));
    let version = |key: &str, id: &str, latest: bool, deleted: bool| {
        let mut one = record(key.to_owned(), id.as_bytes());
        one.entry.version = Some(Version { id: id.to_owned(), latest, deleted });
        one
    };
    let mut unread = record("unread".to_owned(), b"");
    (unread.content, unread.status) = (Content::None, EntryStatus::Unreadable("denied".to_owned()));
    let records =
        [version("gone", "2", true, true), version("is", "2", true, false), version("is", "1", false, false), unread];
    let versions = synthetic(&repository, records.into_iter()).await;
    let (report, bytes) = archived(&repository, &versions, "", ArchiveFormat::Tar).await;
    assert_eq!(report.unwrap().unread, 1);
    assert_eq!(members(&bytes), [("is".to_owned(), ::tar::EntryType::Regular, b"2".to_vec())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_damaged_content_is_no_whole_archive() {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    source.put("a", b"whole".to_vec());
    source.put("b", noise(1, 100_000));
    let snapshot = handle(&repository, snapshot(&repository, &source).await).await;
    store.keys().iter().filter(|key| key.as_str().starts_with("data/")).for_each(|key| store.tamper(key, None));
    for format in [ArchiveFormat::Tar, ArchiveFormat::Zip] {
        let (done, bytes) = archived(&repository, &snapshot, "", format).await;
        assert!(matches!(done, Err(Error::Damage(_))), "{done:?}");
        match format {
            ArchiveFormat::Tar => {
                let mut archive = ::tar::Archive::new(&bytes[..]);
                let read =
                    archive.entries().unwrap().try_for_each(|member| io::copy(&mut member?, &mut io::sink()).map(drop));
                // The reader of this library takes what is there for all; the size that was promised is not.
                let promised = ::tar::Archive::new(&bytes[..])
                    .entries()
                    .unwrap()
                    .filter_map(|m| m.ok()?.header().size().ok())
                    .sum::<u64>();
                assert!(read.is_err() || promised > bytes.len() as u64, "{promised} of {}", bytes.len());
            }
            ArchiveFormat::Zip => assert!(!bytes.windows(4).any(|window| window == 0x0605_4b50_u32.to_le_bytes())),
        }
    }
    // Where it breaks off between two members it says so by name.
    store.keys().iter().filter(|key| key.as_str().starts_with("meta/")).for_each(|key| store.tamper(key, None));
    let (done, bytes) = archived(&repository, &snapshot, "", ArchiveFormat::Tar).await;
    assert!(matches!(done, Err(Error::Damage(_))), "{done:?}");
    assert!(bytes.starts_with(b"ARCHIVE-IS-BROKEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_to_end_ends_broken() {
    let (_, repository) = recorded().await;
    let snapshot = synthetic(&repository, std::iter::once(record("a".to_owned(), b"x"))).await;
    let context = RunContext::default();
    context.stop.request();
    let mut bytes = Vec::new();
    let view = repository.view().await.unwrap();
    let done = write(&view, &chosen(&snapshot, ""), ArchiveFormat::Tar, &mut bytes, &context).await;
    assert!(matches!(done, Err(Error::Cancelled)), "{done:?}");
    assert!(bytes.starts_with(b"ARCHIVE-IS-BROKEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_several_snapshots_come_as_one_archive_in_the_order_of_their_keys() {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    source.put("a", "old a");
    source.put("c", "old c");
    let first = handle(&repository, snapshot(&repository, &source).await).await;
    source.put("a/b", "new b");
    source.put("d", "new d");
    let second = handle(&repository, snapshot(&repository, &source).await).await;
    let part = |text: &str| Part::Key(Key::from(text));
    let chosen = [
        Chosen { snapshot: second, parts: [part("d"), Part::Under(Key::from("a/"))].into_iter().collect() },
        Chosen { snapshot: first, parts: [part("c"), part("a")].into_iter().collect() },
    ];
    let view = repository.view().await.unwrap();
    let mut bytes = Vec::new();
    let context = RunContext::default();
    let report = write(&view, &chosen, ArchiveFormat::Tar, &mut bytes, &context).await.unwrap();
    assert_eq!((report.entries, report.renamed), (4, 1));
    let read: Vec<(String, String)> =
        members(&bytes).into_iter().map(|(path, _, content)| (path, String::from_utf8(content).unwrap())).collect();
    // `a` is a file, so that the folder of that name is written otherwise, although it is of another snapshot.
    let expected = [("a", "old a"), ("%~a%2F/b", "new b"), ("c", "old c"), ("d", "new d")];
    assert_eq!(read, expected.map(|(path, content)| (path.to_owned(), content.to_owned())));
}
