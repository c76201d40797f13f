//! What a run asks of a store, as counts that are held: a request to a remote place costs money and a round trip.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use common::*;
use credenza_connect::Store;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::Record;
use credenza_engine::{ObjectCache, Repository};

/// Small files.
const FILES: usize = 20_000;

/// Content that does not compress, of 2 KiB more or less.
fn small(number: usize) -> Bytes {
    noise(number as u64, 1024 + number.wrapping_mul(7919) % 2048).into()
}

fn many() -> Files {
    (0..FILES).map(|number| (format!("{:03}/{number:06}", number / 100), small(number))).collect()
}

/// The requests of a run by kind and folder.
fn told(store: &Record<dyn Store>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in store.calls() {
        let folder = call.key.split('/').next().unwrap().to_owned();
        *counts.entry(format!("{} {folder}", call.name)).or_default() += 1;
    }
    counts
}

/// A run on a machine with a cache there; what it asked of the store.
async fn asked<T>(store: &MemoryStore, cache: &Path, run: impl AsyncFnOnce(Repository) -> T) -> (T, Record<dyn Store>) {
    let recorded = Record::<dyn Store>::new(Arc::new(store.clone()));
    let cache = ObjectCache::new(cache, 1 << 30);
    let repository = Repository::open(Arc::new(recorded.clone()), &key_file(), Some(&cache)).await.unwrap();
    (run(repository).await, recorded)
}

/// Demands that no more was asked than this, besides what packs take.
fn ensure_few(recorded: &Record<dyn Store>, packs: usize, others: usize) {
    let is_pack = |key: &str| key.starts_with("data/") || key.starts_with("meta/");
    let (of_packs, rest): (Vec<_>, Vec<_>) = recorded.calls().into_iter().partition(|call| is_pack(&call.key));
    let what = told(recorded);
    assert!(
        of_packs.len() <= packs && rest.len() <= others,
        "{} of packs, {} others: {what:?}",
        of_packs.len(),
        rest.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_cost_few_requests() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let (cache, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = many();
    let back_up = async |repository: Repository| backup(&repository, "a", &files).await.unwrap();
    let (_, first) = asked(&store, cache.path(), back_up).await;
    ensure_few(&first, 3, 12);
    let (snapshot, unchanged) = asked(&store, cache.path(), back_up).await;
    ensure_few(&unchanged, 0, 8);
    let restore = async |repository: Repository| restores(&repository, snapshot, &files).await.unwrap();
    let ((), restored) = asked(&store, elsewhere.path(), restore).await;
    // Two packs of data and one of the tree, of which the root comes first.
    ensure_few(&restored, 4, 9);
}

/// What an unchanged backup asks for, and why: whose place is not given up without saying what it is for.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_backup_asks_for_eight_things_each_of_which_it_needs() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let cache = tempfile::tempdir().unwrap();
    let files = files(0..5);
    let back_up = async |repository: Repository| backup(&repository, "a", &files).await.unwrap();
    asked(&store, cache.path(), back_up).await;
    let (_, unchanged) = asked(&store, cache.path(), back_up).await;
    let asked: Vec<String> = unchanged
        .calls()
        .iter()
        .map(|call| format!("{} {}", call.name, call.key.split('/').next().unwrap_or_default()))
        .collect();
    let expected = [
        // What the repository is, as its keys prove it: it may have become a replica since, or have new keys.
        "get config",
        // The slot that opened it the last time: one that was revoked is not there.
        "get key",
        // The snapshots, of which one is the parent; the index; the packs that collectors have condemned.
        "list ",
        // Collectors spare what the snapshot relies on, also if its parent goes meanwhile.
        "put intent",
        // None of it was condemned before they could see that; and the newest snapshot of the writer, which this one follows.
        "list ",
        "put usage",
        "put snapshot",
        "delete intent",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_more_than_a_page_is_listed_by_its_folders() {
    let store = MemoryStore::new().with_pages_of(3);
    create(&store, key_file()).await;
    let cache = tempfile::tempdir().unwrap();
    let run = async |number: u64| {
        let files = files(0..number);
        let back_up = async |repository: Repository| backup(&repository, "a", &files).await.unwrap();
        told(&asked(&store, cache.path(), back_up).await.1)
    };
    assert_eq!(run(1).await["list "], 1);
    for number in 2..4 {
        let counts = run(number).await;
        assert_eq!(counts.get("list "), None, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_listed_again_when_it_is_not_the_one_that_is_known() {
    let store = MemoryStore::new();
    create(&store, key_file()).await;
    let (mine, yours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = async |cache: &Path, host: &str, numbers: std::ops::Range<u64>| {
        let files = files(numbers);
        let back_up = async |repository: Repository| backup(&repository, host, &files).await.unwrap();
        told(&asked(&store, cache, back_up).await.1).get("list index").copied().unwrap_or_default()
    };
    assert_eq!(run(mine.path(), "a", 0..5).await, 1, "nothing is known");
    assert_eq!(run(mine.path(), "a", 0..6).await, 0, "the own segment is");
    assert_eq!(run(yours.path(), "b", 5..9).await, 2, "there are snapshots that are not known");
    assert_eq!(run(mine.path(), "a", 0..6).await, 2, "another's came");
    // Gone, as when a collector has merged it; what is left of it in the cache is cleared away.
    let gone = keys(&store, "index/").remove(0);
    store.delete(&[gone]).await.unwrap();
    assert_eq!(run(mine.path(), "a", 6..7).await, 1, "one is gone");
    assert_eq!(run(mine.path(), "a", 6..7).await, 0);
}
