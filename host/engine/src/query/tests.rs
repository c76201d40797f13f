//! Looking into trees that are built for the purpose: what is found, and how little is read for it.

use std::sync::Arc;

use credenza_connect::Store;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::call;
use credenza_model::{
    AttributeValue, Content, Entry, EntryKind, EntryStatus, Key, Record, SnapshotId, Timestamp, Version,
};

use super::*;
use crate::testing::{CountedStore, handle, noise, numbered, record, recorded, repository, snapshot, synthetic};
use crate::view::View;
use crate::{Error, Repository, Secret, SnapshotHandle};

async fn view(repository: &Repository) -> View {
    repository.view().await.unwrap()
}

async fn changes(mut diff: Diff) -> Vec<(ChangeKind, String)> {
    let mut all = Vec::new();
    while let Some(change) = diff.next().await.unwrap() {
        let entry = change.after.or(change.before).unwrap();
        all.push((change.kind, entry.key.to_string()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_a_million_keys_is_listed_in_a_handful_of_requests() {
    let (store, repository) = recorded().await;
    let snapshot = synthetic(&repository, (0..1_000_000).map(numbered)).await;
    assert_eq!(snapshot.snapshot.tree.entries, 1_000_000);
    for (prefix, expected) in [("folder-0500/", 1000), ("folder-0999/file-0999", 1), ("nowhere/", 0)] {
        store.clear();
        let mut records = view(&repository).await.records(&snapshot, prefix.as_bytes());
        let opening = store.count(call::GET);
        let mut found = 0;
        while records.next().await.unwrap().is_some() {
            found += 1;
        }
        assert_eq!(found, expected, "{prefix}");
        let gets = store.count(call::GET) - opening;
        assert!(opening <= 4 && gets <= 4, "{opening} GETs to open, {gets} to list {prefix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_costs_what_changed_and_not_what_is_there() {
    let (store, repository) = recorded().await;
    let before = synthetic(&repository, (0..200_000).map(numbered)).await;
    let changed = (0..200_000).filter(|number| *number != 150_000).flat_map(|number| {
        let mut one = numbered(number);
        if number == 77_777 {
            one.content = Content::Inline(b"else".to_vec());
        }
        let added = (number == 5).then(|| record("folder-0000/file-0005a".to_owned(), b"new"));
        std::iter::once(one).chain(added)
    });
    let after = synthetic(&repository, changed).await;
    store.clear();
    let expected = vec![
        (ChangeKind::Added, "folder-0000/file-0005a".to_owned()),
        (ChangeKind::Content, "folder-0077/file-0777".to_owned()),
        (ChangeKind::Removed, "folder-0150/file-0000".to_owned()),
    ];
    assert_eq!(changes(view(&repository).await.diff((&before, b""), (&after, b""))).await, expected);
    let read: u64 = store.calls().iter().filter(|call| call.key.starts_with("meta/")).map(|call| call.bytes).sum();
    assert!(read < 1_500_000, "{read} bytes read");
    assert_eq!(
        changes(view(&repository).await.diff((&before, b"folder-0077"), (&after, b"folder-0077"))).await,
        expected[1..2]
    );
    assert!(changes(view(&repository).await.diff((&after, b""), (&after, b""))).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_goes_on_behind_a_key_and_reads_nothing_before_it() {
    let (store, repository) = recorded().await;
    let before = synthetic(&repository, (0..200_000).map(numbered)).await;
    let after = synthetic(&repository, (0..200_000).filter(|number| number % 100 != 7).map(numbered)).await;
    let view = view(&repository).await;
    let all = changes(view.diff((&before, b""), (&after, b""))).await;
    let (page, rest) = all.split_at(1900);
    let last = Key::from(page.last().unwrap().1.as_str());
    let fresh = repository.view().await.unwrap();
    store.clear();
    assert_eq!(changes(fresh.diff((&before, b""), (&after, b"")).behind(&last)).await, rest);
    let read: u64 = store.calls().iter().filter(|call| call.key.starts_with("meta/")).map(|call| call.bytes).sum();
    assert!(read < 3_000_000, "{read} bytes read");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_parts_of_a_folder_are_told_and_the_rest_is_summed_up() {
    let (_, repository) = recorded().await;
    let sized = |key: &str, size: u64| {
        let mut one = record(key.to_owned(), b"");
        one.entry.size = Some(size);
        one
    };
    let small = (0..50).map(|number| sized(&format!("small-{number:02}"), 1));
    let large = [sized("big/a", 100), sized("big/b/c", 50), sized("big/b/d", 7), sized("medium", 60)];
    let handle = synthetic(&repository, large.into_iter().chain(small)).await;
    let view = view(&repository).await;
    let part = |key: &str, bytes, files| FolderPart { key: Key::from(key), bytes, files };
    let mut walk = view.space(&handle, b"", 2);
    while walk.advance().await.unwrap() {}
    let expected = Space {
        parts: vec![part("big/", 157, 3), part("medium", 60, 1)],
        others: 50,
        others_bytes: 50,
        bytes: 267,
        files: 54,
    };
    assert_eq!(walk.finish(), expected);
    let mut walk = view.space(&handle, b"big/", 2);
    while walk.advance().await.unwrap() {}
    assert_eq!(walk.finish().parts, [part("big/a", 100, 1), part("big/b/", 57, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_without_a_common_node_are_compared_too() {
    let (_, repository) = recorded().await;
    let even = synthetic(&repository, (0..20_000).filter(|number| number % 2 == 0).map(numbered)).await;
    let third = synthetic(&repository, (0..20_000).filter(|number| number % 3 == 0).map(numbered)).await;
    let found = changes(view(&repository).await.diff((&even, b""), (&third, b""))).await;
    let expected: Vec<(ChangeKind, String)> = (0..20_000)
        .filter_map(|number| match (number % 2 == 0, number % 3 == 0) {
            (true, false) => Some((ChangeKind::Removed, numbered(number).entry.key.to_string())),
            (false, true) => Some((ChangeKind::Added, numbered(number).entry.key.to_string())),
            _ => None,
        })
        .collect();
    assert!(found == expected, "{} of {}", found.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_places_of_one_snapshot_are_compared_below_their_names() {
    let (_, repository) = recorded().await;
    let records = ["a/only", "a/same", "a/x", "b/new", "b/same", "b/x"];
    let bytes = |key: &str| if key == "b/x" { b"2" } else { b"1" };
    let one = synthetic(&repository, records.into_iter().map(|key| record(key.to_owned(), bytes(key)))).await;
    for (a, b) in [("a", "b"), ("a/", "b/"), ("a/", "b")] {
        let found = changes(view(&repository).await.diff((&one, a.as_bytes()), (&one, b.as_bytes()))).await;
        let expected = [(ChangeKind::Added, "b/new"), (ChangeKind::Removed, "a/only"), (ChangeKind::Content, "b/x")];
        assert_eq!(found, expected.map(|(kind, key)| (kind, key.to_owned())), "{a} {b}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_content_is_told_from_one_of_metadata_and_from_none() {
    let (_, repository) = recorded().await;
    let with = |change: &dyn Fn(&mut Record)| {
        let mut one = record("key".to_owned(), b"x");
        change(&mut one);
        one
    };
    let old = synthetic(&repository, std::iter::once(with(&|_| {}))).await;
    type Change<'a> = &'a dyn Fn(&mut Record);
    let cases: [(Change<'_>, Option<ChangeKind>); 5] = [
        (&|record| record.entry.fingerprint = Some("inode".to_owned()), None),
        (&|record| record.content = Content::Inline(b"y".to_vec()), Some(ChangeKind::Content)),
        (&|record| record.entry.kind = EntryKind::Symlink, Some(ChangeKind::Content)),
        (
            &|record| record.entry.attributes = vec![("a".into(), AttributeValue::Integer(1))],
            Some(ChangeKind::Metadata),
        ),
        (&|record| record.status = EntryStatus::Changed, Some(ChangeKind::Metadata)),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let new = synthetic(&repository, std::iter::once(with(change))).await;
        let found = changes(view(&repository).await.diff((&old, b""), (&new, b""))).await;
        assert_eq!(found.first().map(|(kind, _)| *kind), expected, "case {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_compared_with_their_like() {
    let (_, repository) = recorded().await;
    let versions = |range: std::ops::Range<u32>| {
        range.rev().map(|number| {
            let mut one = record("key".to_owned(), &number.to_le_bytes());
            one.entry.version = Some(Version { id: format!("{number:064}"), latest: false, deleted: false });
            one
        })
    };
    let old = synthetic(&repository, versions(0..3000)).await;
    let new = synthetic(&repository, versions(1..3002).chain([record("later".to_owned(), b"")])).await;
    let found = changes(view(&repository).await.diff((&old, b""), (&new, b""))).await;
    let kinds = |kind| found.iter().filter(|(found, _)| *found == kind).count();
    assert_eq!((kinds(ChangeKind::Added), kinds(ChangeKind::Removed), found.len()), (3, 1, 4));
}

/// What is found: the key, and the numbers of the snapshots that hold it.
async fn found(view: &View, snapshots: &[SnapshotHandle], query: FindQuery) -> Vec<(String, Vec<usize>)> {
    let mut finder = view.find(snapshots, query);
    let mut all = Vec::new();
    while let Some(found) = finder.next().await.unwrap() {
        let number = |id: &SnapshotId| snapshots.iter().position(|handle| handle.snapshot.id == *id).unwrap();
        all.push((found.record.entry.key.to_string(), found.snapshots.iter().map(number).collect()));
    }
    all
}

fn named(pattern: &str) -> FindQuery {
    FindQuery { names: vec![NamePattern::new(pattern, false).unwrap()], ..FindQuery::default() }
}

async fn keys_found(view: &View, snapshot: &SnapshotHandle, query: FindQuery) -> Vec<String> {
    found(view, std::slice::from_ref(snapshot), query).await.into_iter().map(|(key, _)| key).collect()
}

fn meta_bytes(store: &CountedStore) -> u64 {
    store.calls().iter().filter(|call| call.key.starts_with("meta/")).map(|call| call.bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn alike_snapshots_are_searched_at_the_cost_of_one_and_of_what_differs() {
    const RECORDS: u32 = 5_000;
    let (store, repository) = recorded().await;
    let one = |number: u32, change: u32| {
        let mut bytes = noise(u64::from(number), 200);
        bytes.extend(change.to_le_bytes());
        record(format!("folder-{:03}/file-{number:05}.txt", number / 100), &bytes)
    };
    let mut snapshots = Vec::new();
    for change in 0..50_u32 {
        // One per cent of the files differs from the first snapshot.
        let changed = |number: u32| if number / (RECORDS / 100) == change { change } else { 0 };
        snapshots.push(synthetic(&repository, (0..RECORDS).map(|number| one(number, changed(number)))).await);
    }
    store.clear();
    let nothing = view(&repository).await;
    assert!(found(&nothing, &snapshots[..1], named("needle")).await.is_empty());
    let walk = meta_bytes(&store);
    let mut changes = 0;
    for snapshot in &snapshots[1..] {
        store.clear();
        assert!(!self::changes(view(&repository).await.diff((&snapshots[0], b""), (snapshot, b""))).await.is_empty());
        changes += meta_bytes(&store);
    }
    store.clear();
    let all = found(&view(&repository).await, &snapshots, named("file-00250.txt")).await;
    assert_eq!(
        all,
        [
            ("folder-002/file-00250.txt".to_owned(), (0..50).filter(|number| *number != 5).collect()),
            ("folder-002/file-00250.txt".to_owned(), vec![5])
        ]
    );
    let read = meta_bytes(&store);
    assert!(read <= walk + changes, "{read} bytes read, {walk} for one walk and {changes} for what differs");
    // A path alone costs a way down each tree.
    store.clear();
    let history =
        FindQuery { names: vec![NamePattern::Exact(Key::from("folder-002/file-00250.txt"))], ..FindQuery::default() };
    assert_eq!(found(&view(&repository).await, &snapshots, history).await, all);
    assert!(
        meta_bytes(&store) <= changes,
        "{} bytes read, and {changes} would be all that differs",
        meta_bytes(&store)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_path_and_content_is_found_once_with_the_snapshots_that_hold_it() {
    let (_, repository) = recorded().await;
    let snapshot = async |records: &[(&str, &[u8])]| {
        synthetic(
            &repository,
            records.iter().map(|(key, bytes)| record((*key).to_owned(), bytes)).collect::<Vec<_>>().into_iter(),
        )
        .await
    };
    let snapshots = [
        snapshot(&[("a", b"new"), ("b", b"b")]).await,
        snapshot(&[("a", b"old"), ("b", b"b"), ("c", b"")]).await,
        snapshot(&[("a", b"new")]).await,
        snapshot(&[("a", b"old"), ("b", b"b"), ("c", b"")]).await,
    ];
    let expected = [("a", vec![0, 2]), ("a", vec![1, 3]), ("b", vec![0, 1, 3]), ("c", vec![1, 3])];
    let all = found(&view(&repository).await, &snapshots, FindQuery::default()).await;
    assert_eq!(all, expected.map(|(key, numbers)| (key.to_owned(), numbers)));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_different_trees_than_are_read_at_once_are_all_searched() {
    let (_, repository) = recorded().await;
    let first = synthetic(&repository, std::iter::once(record("key".to_owned(), b"same"))).await;
    let mut snapshots = vec![first.clone()];
    for number in 0..TREES_AT_ONCE {
        let records = [record("key".to_owned(), b"same"), record(format!("other-{number:04}"), b"")];
        snapshots.push(synthetic(&repository, records.into_iter()).await);
    }
    let all = found(&view(&repository).await, &snapshots, named("key")).await;
    let numbers: Vec<usize> = all.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
    assert_eq!(numbers, (0..=TREES_AT_ONCE).collect::<Vec<_>>());
    assert_eq!(all.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_means_a_part_of_a_name_or_what_gitignore_says() {
    let (_, repository) = recorded().await;
    let keys = ["#odd", "/absolute", "IMG_1.JPG", "a/b.txt", "a/c/b.txt", "b.txt", "img/x", "x/a/b.txt"];
    let snapshot = synthetic(&repository, keys.into_iter().map(|key| record(key.to_owned(), b""))).await;
    let view = view(&repository).await;
    let cases: [(&str, &[&str]); 10] = [
        ("b.t", &["a/b.txt", "a/c/b.txt", "b.txt", "x/a/b.txt"]),
        ("img", &[]),
        ("a/b.txt", &["a/b.txt"]),
        ("a/**/b.txt", &["a/b.txt", "a/c/b.txt"]),
        ("/b.txt", &["b.txt"]),
        ("a/*.txt", &["a/b.txt"]),
        ("#odd", &["#odd"]),
        ("**/c/*", &["a/c/b.txt"]),
        ("*.JPG", &["IMG_1.JPG"]),
        ("nothing", &[]),
    ];
    for (pattern, expected) in cases {
        assert_eq!(keys_found(&view, &snapshot, named(pattern)).await, expected, "{pattern}");
    }
    for pattern in ["img", "*.jpg", "IMG_1.jpg"] {
        let names = vec![NamePattern::new(pattern, true).unwrap()];
        let found = keys_found(&view, &snapshot, FindQuery { names, ..FindQuery::default() }).await;
        assert_eq!(found, ["IMG_1.JPG"], "{pattern} in any case");
    }
    assert!(matches!(NamePattern::new("[z-a]", false), Err(Error::Pattern(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_can_be_held_to_kinds_sizes_and_times() {
    let (_, repository) = recorded().await;
    let at = |seconds| Some(Timestamp { seconds, nanoseconds: 0 });
    let with = |key: &str, size: usize, seconds: i64| {
        let mut one = record(key.to_owned(), &vec![0; size]);
        one.entry.modified = at(seconds);
        one
    };
    let folder = Record { entry: Entry::new(Key::from("d/"), EntryKind::Directory), ..record("d/".to_owned(), b"") };
    let records = [with("a", 10, 100), with("b", 20, 200), folder, with("e", 30, 300)];
    let snapshot = synthetic(&repository, records.into_iter()).await;
    let view = view(&repository).await;
    let any = FindQuery::default;
    let cases: [(FindQuery, &[&str]); 5] = [
        (FindQuery { kinds: vec![EntryKind::Directory], ..any() }, &["d/"]),
        (FindQuery { size_min: Some(20), ..any() }, &["b", "e"]),
        (FindQuery { size_min: Some(11), size_max: Some(20), ..any() }, &["b"]),
        (FindQuery { modified_since: at(200), ..any() }, &["b", "e"]),
        (FindQuery { modified_until: at(200), names: vec![NamePattern::Exact(Key::from("b"))], ..any() }, &["b"]),
    ];
    for (query, expected) in cases {
        assert_eq!(keys_found(&view, &snapshot, query.clone()).await, expected, "{query:?}");
    }
}

async fn digested(
    repository: &Repository,
    source: &MemorySource,
    algorithm: DigestAlgorithm,
) -> (Vec<EntryDigest>, SnapshotDigest) {
    let snapshot = handle(repository, snapshot(repository, source).await).await;
    let mut digests = view(repository).await.digest(&snapshot, b"", algorithm);
    let mut entries = Vec::new();
    while let Some(entry) = digests.next().await.unwrap() {
        entries.push(entry);
    }
    (entries, digests.total())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_have_the_same_digest_in_every_repository() {
    let source = MemorySource::new();
    source.put("empty", Vec::new());
    source.put("large", noise(3, 9_000_000));
    source.put("small", b"abc".to_vec());
    source.insert(Entry::new(Key::from("folder/"), EntryKind::Directory), Vec::new());
    let (_, first) = recorded().await;
    let plain = repository(Arc::new(MemoryStore::new()) as Arc<dyn Store>, Secret::None, None).await;
    for algorithm in [DigestAlgorithm::Blake3, DigestAlgorithm::Sha256] {
        let (entries, total) = digested(&first, &source, algorithm).await;
        assert_eq!((&entries, total), (&digested(&plain, &source, algorithm).await.0, total));
        assert_eq!((total.entries, total.bytes, total.unread), (4, 9_000_003, 0));
        let hash = |bytes: &[u8]| match algorithm {
            DigestAlgorithm::Blake3 => blake3::hash(bytes).as_bytes().to_vec(),
            DigestAlgorithm::Sha256 => ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec(),
        };
        for (entry, bytes) in entries.iter().zip([Some(vec![]), None, Some(noise(3, 9_000_000)), Some(b"abc".to_vec())])
        {
            assert_eq!(entry.digest.map(|digest| digest.to_vec()), bytes.map(|bytes| hash(&bytes)), "{}", entry.key);
        }
    }
    let before = digested(&first, &source, DigestAlgorithm::Blake3).await.1;
    assert_eq!(before.digest, digested(&plain, &source, DigestAlgorithm::Blake3).await.1.digest);
    source.put("small", b"abd".to_vec());
    assert_ne!(before.digest, digested(&first, &source, DigestAlgorithm::Blake3).await.1.digest);
}
