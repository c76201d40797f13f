//! What a view shows, held against what is in the snapshot, and how little it reads for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::call;
use credenza_model::{Entry, EntryKind, EntryStatus, Key, Record, Version};
use proptest::prelude::*;

use super::*;
use crate::testing::{
    CountedStore, handle, noise, numbered, record, recorded, repository, secret, snapshot, synthetic,
};

/// Keys, or prefixes, of all pages of a folder.
async fn pages(view: &View, snapshot: &SnapshotHandle, prefix: &str, max: usize) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = view.folder(snapshot, prefix.as_bytes(), after.as_deref(), max).await.unwrap();
        pages.push(page.items.iter().map(|item| item.key().to_string()).collect());
        match page.next {
            Some(next) => after = Some(next),
            None => return pages,
        }
    }
}

fn reads(store: &CountedStore) -> usize {
    store.count(call::GET)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_large_folder_costs_a_handful_of_reads() {
    let (store, repository) = recorded().await;
    // 10^5 names under `flat/`, 10^5 folders of nine keys under `nested/`.
    let flat = (0..100_000_u32).map(|number| record(format!("flat/{number:06}"), b"x"));
    let nested = (0..900_000_u32).map(|number| record(format!("nested/{:06}/{}", number / 9, number % 9), b"y"));
    let snapshot = synthetic(&repository, flat.chain(nested)).await;
    for prefix in ["flat/", "nested/"] {
        for after in ["", "050000", "099990"] {
            let after = (!after.is_empty()).then(|| format!("{prefix}{after}{}", &prefix[prefix.len() - 1..]));
            let view = repository.view().await.unwrap();
            store.clear();
            let page =
                view.folder(&snapshot, prefix.as_bytes(), after.as_deref().map(str::as_bytes), 256).await.unwrap();
            assert!(!page.items.is_empty());
            assert!(reads(&store) <= 8, "{} reads for a page of {prefix} behind {after:?}", reads(&store));
            // What was read for a page serves the next.
            let (first, after) = (reads(&store), page.next);
            view.folder(&snapshot, prefix.as_bytes(), after.as_deref(), 256).await.unwrap();
            assert!(reads(&store) - first <= 4, "{} reads more", reads(&store) - first);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_entries_and_contents_are_read_with_one_load_of_the_index() {
    let (store, repository) = recorded().await;
    let source = MemorySource::new();
    (0..50_u64).for_each(|number| source.put(format!("file-{number:02}").as_str(), noise(number, 5000)));
    let snapshot = snapshot(&repository, &source).await;
    let snapshot = handle(&repository, snapshot).await;
    store.clear();
    let view = repository.view().await.unwrap();
    let segments = store.calls().iter().filter(|call| call.key.starts_with("index/")).count();
    for number in 0..50_u64 {
        let record = view.entry(&snapshot, &Key::from(format!("file-{number:02}").as_str())).await.unwrap();
        let mut content = view.content(&record);
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        assert_eq!(bytes, noise(number, 5000));
    }
    assert_eq!(store.calls().iter().filter(|call| call.key.starts_with("index/")).count(), segments);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_of_a_long_content_are_read_with_one_list_a_level() {
    let (store, repository) = recorded().await;
    let content = noise(1, 24 << 20);
    let source = MemorySource::new();
    source.put("long", content.clone());
    let snapshot = snapshot(&repository, &source).await;
    let snapshot = handle(&repository, snapshot).await;
    let view = repository.view().await.unwrap();
    let record = view.entry(&snapshot, &Key::from("long")).await.unwrap();
    assert!(matches!(record.content, credenza_model::Content::Lists { .. }));
    let reader = view.reader(&record);
    assert_eq!(reader.size(), content.len() as u64);
    store.clear();
    let last = reader.read_at(reader.size() - 10, 100).await.unwrap();
    assert_eq!(last, content[content.len() - 10..]);
    assert!(reads(&store) <= 2, "{} reads for a list and a chunk", reads(&store));
    for (offset, length) in [(0, 1), (5_000_000, 3_000_000), (1, 0), (content.len() as u64, 1), (u64::MAX, 5)] {
        let from = usize::try_from(offset).unwrap().min(content.len());
        let expected = &content[from..(from + length as usize).min(content.len())];
        assert_eq!(reader.read_at(offset, length).await.unwrap(), expected, "{length} bytes from {offset}");
    }
    // Read on in small pieces, it is fetched in large ones.
    store.clear();
    let mut at = 1_000_000_u64;
    while at < 9_000_000 {
        let piece = reader.read_at(at, 65_536).await.unwrap();
        assert_eq!(piece, content[at as usize..at as usize + piece.len()]);
        at += piece.len() as u64;
    }
    // Groups of chunks lie in their pack in the order in which they were ready: a window may be some ranges.
    assert!(reads(&store) <= 30, "{} reads for 8 MB in a row", reads(&store));
}

/// A content of so many bytes in a snapshot of its own.
async fn long(repository: &Repository, bytes: usize) -> (Record, Vec<u8>) {
    let content = noise(3, bytes);
    let source = MemorySource::new();
    source.put("long", content.clone());
    let snapshot = snapshot(repository, &source).await;
    let snapshot = handle(repository, snapshot).await;
    let view = repository.view().await.unwrap();
    (view.entry(&snapshot, &Key::from("long")).await.unwrap(), content)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_read_in_a_row_at_once_fetch_next_to_nothing_twice() {
    const READERS: usize = 8;
    const STRETCH: usize = 2 << 20;
    const PIECE: usize = 64 << 10;
    let (store, repository) = recorded().await;
    let (record, content) = long(&repository, READERS * STRETCH).await;
    let index = Arc::new(repository.index_for_reading().await.unwrap());
    // Room for a quarter of what they read.
    let kept = Arc::new(KeptBlobs::new(repository.loader(index), READERS * STRETCH / 4));
    let readers = [(); READERS].map(|()| Reader::new(Arc::clone(&kept), record.content.clone(), Vec::new()));
    store.clear();
    for piece in 0..STRETCH / PIECE {
        for (number, reader) in readers.iter().enumerate() {
            let at = number * STRETCH + piece * PIECE;
            assert_eq!(reader.read_at(at as u64, PIECE as u64).await.unwrap(), content[at..at + PIECE]);
        }
    }
    let fetched: u64 = store.calls().iter().filter(|call| call.name == call::GET).map(|call| call.bytes).sum();
    assert!(fetched < 2 * content.len() as u64, "{fetched} bytes for {} that are read once", content.len());
    drop(readers);
    assert_eq!(kept.share(), (READERS * STRETCH / 8) as u64, "who is left alone has all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_next_is_fetched_while_what_was_asked_for_is_looked_at() {
    let (store, repository) = recorded().await;
    let (record, content) = long(&repository, 16 << 20).await;
    let view = repository.view().await.unwrap();
    let reader = view.reader(&record);
    let piece = 128 << 10;
    for at in [0, piece] {
        assert_eq!(reader.read_at(at as u64, piece as u64).await.unwrap(), content[at..at + piece]);
    }
    // What was loaded at once ends in the midst of what comes.
    let comes = |at: usize| (at as u64, at as u64 + 1);
    let mut spans = Vec::new();
    let near = (2 * piece..3 * piece).step_by(4096);
    for at in near.chain([3 << 20, 6 << 20, 7 << 20]) {
        reader.locate(&record.content, 0, comes(at), &mut spans).await.unwrap();
    }
    let mut looks = 0;
    while !spans.iter().all(|span| view.chunks.is_kept(&span.id)) {
        looks += 1;
        assert!(looks < 6000, "nobody fetches it");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    store.clear();
    let near = reader.read_at(2 * piece as u64, piece as u64).await.unwrap();
    assert!(near == content[2 * piece..3 * piece]);
    assert_eq!(reads(&store), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_reads_anywhere_fetch_a_chunk_each_and_none_twice() {
    let (store, repository) = recorded().await;
    let content = noise(2, 24 << 20);
    let source = MemorySource::new();
    source.put("long", content.clone());
    let snapshot = snapshot(&repository, &source).await;
    let snapshot = handle(&repository, snapshot).await;
    let view = repository.view().await.unwrap();
    let record = view.entry(&snapshot, &Key::from("long")).await.unwrap();
    let reader = view.reader(&record);
    let offsets: Vec<usize> = (1..200_usize).map(|number| number * 7_919_993 % (content.len() - 4096)).collect();
    // Beside a chunk each, the lists that say where it is, once for all of them.
    const LISTS: usize = 10;
    for most in [offsets.len() + LISTS, 0] {
        store.clear();
        for offset in &offsets {
            assert_eq!(reader.read_at(*offset as u64, 4096).await.unwrap(), content[*offset..offset + 4096]);
        }
        assert!(reads(&store) <= most, "{} reads where {most} are enough", reads(&store));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_contents_that_are_opened_in_a_row_cost_few_reads_and_one_alone_a_chunk() {
    // Each is one chunk, whatever the keys: what is counted hangs on it.
    const FILES: u64 = 400;
    let (store, repository) = recorded().await;
    let source = MemorySource::new();
    (0..FILES).for_each(|number| source.put(format!("file-{number:03}").as_str(), noise(number, 1000)));
    let snapshot = snapshot(&repository, &source).await;
    let snapshot = handle(&repository, snapshot).await;
    let view = repository.view().await.unwrap();
    let read = async |number: u64| {
        let record = view.entry(&snapshot, &Key::from(format!("file-{number:03}").as_str())).await.unwrap();
        let reader = view.reader_among(&snapshot, &record).await.unwrap();
        assert_eq!(reader.read_at(0, 1 << 20).await.unwrap(), noise(number, 1000));
    };
    // The tree, once for all of them.
    view.page(&snapshot, b"", None, 1000).await.unwrap();
    read(399).await;
    store.clear();
    for number in [0, 200, 100] {
        read(number).await;
    }
    assert_eq!(reads(&store), 3, "each alone, without others: {:?}", store.calls());
    store.clear();
    // As clients do that ask for some at once.
    for number in 0..FILES {
        read(number ^ 3).await;
    }
    assert!(reads(&store) <= 20, "{} reads for {FILES} files in a row", reads(&store));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_at_a_position_is_what_was_found_there() {
    let (_, repository) = recorded().await;
    let snapshot = synthetic(&repository, (0..50_000).map(numbered)).await;
    let view = repository.view().await.unwrap();
    assert!(snapshot.snapshot.tree.level > 0);
    for number in [0, 1, 777, 25_000, 49_998, 49_999] {
        let record = numbered(number);
        let (position, found) = view.located(&snapshot, &record.entry.key).await.unwrap();
        assert_eq!(found.entry.key, record.entry.key);
        assert_eq!(view.record_at(&snapshot, position).await.unwrap(), Some(found));
    }
    let (mut after, mut next) = (None::<Vec<u8>>, 0);
    loop {
        let page = view.page(&snapshot, b"", after.as_deref(), 999).await.unwrap();
        assert_eq!(page.positions, (next..next + page.items.len() as u64).collect::<Vec<_>>());
        next += page.items.len() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(next, 50_000);
    for behind in [50_000, u64::MAX] {
        assert_eq!(view.record_at(&snapshot, behind).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_damage_and_never_an_entry_that_is_not_there() {
    let inner = Arc::new(MemoryStore::new());
    let repository = repository(inner.clone(), secret(), None).await;
    let snapshot = synthetic(&repository, (0..50_000).map(numbered)).await;
    let view = repository.view().await.unwrap();
    inner.keys().iter().filter(|key| key.as_str().starts_with("meta/")).for_each(|key| inner.tamper(key, None));
    let entry = view.entry(&snapshot, &Key::from("folder-0000/file-0000")).await;
    assert!(matches!(&entry, Err(Error::Damage(damage)) if damage.object.starts_with("meta/")), "{entry:?}");
    assert!(matches!(view.folder(&snapshot, b"", None, 10).await, Err(Error::Damage(_))));
}

/// What a cut at any delimiter should show.
fn expected_cut(keys: &BTreeSet<String>, prefix: &str, delimiter: &str) -> Vec<String> {
    let cut = |rest: &str| rest.find(delimiter).map_or(rest.len(), |at| at + delimiter.len());
    let rests = keys.iter().filter_map(|key| key.strip_prefix(prefix));
    let shown: BTreeSet<String> = rests.map(|rest| format!("{prefix}{}", &rest[..cut(rest)])).collect();
    shown.into_iter().collect()
}

/// What a folder should show: what has no further slash, and each folder once.
fn expected(keys: &BTreeSet<String>, prefix: &str, is_tree: bool) -> Vec<String> {
    let mut shown = BTreeSet::new();
    for rest in keys.iter().filter_map(|key| key.strip_prefix(prefix)) {
        match rest.find('/') {
            None if rest.is_empty() && is_tree => false,
            None => shown.insert(format!("{prefix}{rest}")),
            Some(slash) => shown.insert(format!("{prefix}{}", &rest[..=slash])),
        };
    }
    shown.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn pages_of_any_size_show_each_item_of_a_folder_once(
        keys in proptest::collection::btree_set("[a-c./]{1,5}", 1..60),
        max in 1_usize..8,
        is_tree: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (_, repository) = recorded().await;
            let records = keys.iter().map(|key| {
                let kind = if is_tree && key.ends_with('/') { EntryKind::Directory } else { EntryKind::File };
                Record { entry: Entry::new(Key::from(key.as_str()), kind), ..record(key.clone(), b"") }
            });
            let snapshot = synthetic(&repository, records).await;
            let view = repository.view().await.unwrap();
            for prefix in ["", "a/", "b/", "a//", "./"] {
                let pages = pages(&view, &snapshot, prefix, max).await;
                assert!(pages.iter().all(|page| page.len() <= max));
                assert_eq!(pages.concat(), expected(&keys, prefix, is_tree), "{prefix} of {keys:?}");
                let page = view.folder(&snapshot, prefix.as_bytes(), None, 100).await.unwrap();
                for (item, position) in page.items.iter().zip(page.positions) {
                    let there = view.record_at(&snapshot, position).await.unwrap().unwrap();
                    match item {
                        FolderItem::Entry(record) => assert_eq!(there, **record),
                        FolderItem::Prefix(prefix) => assert!(there.entry.key.as_bytes().starts_with(prefix.as_bytes())),
                    }
                }
            }
            for (prefix, delimiter) in [("", "b"), ("", "a."), ("a", "c"), ("", "/"), ("a/", "bb")] {
                let (mut shown, mut after) = (Vec::new(), None);
                loop {
                    let cut = (prefix.as_bytes(), delimiter.as_bytes());
                    let page = view.cut_page(&snapshot, cut, after.as_deref(), max).await.unwrap();
                    shown.extend(page.items.iter().map(|item| item.key().to_string()));
                    match page.next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
                assert_eq!(shown, expected_cut(&keys, prefix, delimiter), "{prefix} {delimiter} of {keys:?}");
            }
            for key in &keys {
                assert_eq!(view.entry(&snapshot, &Key::from(key.as_str())).await.unwrap().entry.key, Key::from(key.as_str()));
                let missing = Key::from(format!("{key}0").as_str());
                assert!(matches!(view.entry(&snapshot, &missing).await, Err(Error::NoEntry { .. })));
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_shows_the_entries_of_its_folders_and_not_its_own() {
    let (_, repository) = recorded().await;
    let folder =
        |key: &str| Record { entry: Entry::new(Key::from(key), EntryKind::Directory), ..record(key.to_owned(), b"") };
    let records = [
        folder(""),
        folder("a/"),
        record("a/x".to_owned(), b"x"),
        record("a0".to_owned(), b""),
        record("b/y".to_owned(), b""),
    ];
    let snapshot = synthetic(&repository, records.into_iter()).await;
    let view = repository.view().await.unwrap();
    let shown = |page: FolderPage| -> Vec<(String, bool)> {
        let is_entry = |item: &FolderItem| matches!(item, FolderItem::Entry(_));
        page.items.iter().map(|item| (item.key().to_string(), is_entry(item))).collect()
    };
    let top = shown(view.folder(&snapshot, b"", None, 10).await.unwrap());
    assert_eq!(top, [("a/".to_owned(), true), ("a0".to_owned(), true), ("b/".to_owned(), false)]);
    assert_eq!(shown(view.folder(&snapshot, b"a/", None, 10).await.unwrap()), [("a/x".to_owned(), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_keys_and_older_versions_are_not_shown_in_a_folder() {
    let (_, repository) = recorded().await;
    let version = |key: &str, id: &str, latest: bool, deleted: bool| {
        let mut one = record(key.to_owned(), id.as_bytes());
        one.entry.version = Some(Version { id: id.to_owned(), latest, deleted });
        one
    };
    let records = [
        version("a/gone", "2", true, true),
        version("a/gone", "1", false, false),
        version("b", "2", true, false),
        version("b", "1", false, false),
        version("c/gone", "1", true, true),
        version("c/here", "1", true, false),
    ];
    let snapshot = synthetic(&repository, records.into_iter()).await;
    let view = repository.view().await.unwrap();
    assert_eq!(pages(&view, &snapshot, "", 1).await, [["b"], ["c/"]]);
    let record = view.entry(&snapshot, &Key::from("b")).await.unwrap();
    assert_eq!(record.entry.version.unwrap().id, "2");
}

#[test]
fn an_entry_that_should_have_content_and_has_none_says_why() {
    let with = |status| Record { status, ..record("key".to_owned(), b"") };
    for status in [EntryStatus::Stable, EntryStatus::Changed, EntryStatus::Doubtful("rot".to_owned())] {
        assert_eq!(never_read(&with(status)), None);
    }
    for (status, why) in [
        (EntryStatus::Vanished, "gone"),
        (EntryStatus::Unreadable("denied".to_owned()), "denied"),
        (EntryStatus::Referenced("archived".to_owned()), "archived"),
    ] {
        assert!(never_read(&with(status)).is_some_and(|said| said.contains(why)), "{why}");
    }
}
