//! Shards that share a backup, what becomes of their parts, and what a merge refuses.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::{PutOptions, Store};
use credenza_format::ObjectKind;
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use super::*;
use crate::backup::{self, BackupOptions, BackupReport};
use crate::gc::{self, GcOptions};
use crate::testing::{contents, expect_whole, handle, open, repository, secret, snapshot};
use crate::{Repository, RunContext, SnapshotName};

const KEYS: u32 = 4000;

fn source() -> MemorySource {
    let source = MemorySource::new();
    (0..KEYS).for_each(|number| put(&source, number));
    source
}

fn put(source: &MemorySource, number: u32) {
    // Not evenly spread: nine of ten lie in one folder.
    let folder = if number.is_multiple_of(10) { "a" } else { "letters/of/a/long/name" };
    source.put(format!("data/{folder}/{number:08}").as_str(), format!("{number} {}", "x".repeat(200)).into_bytes());
}

async fn begun() -> (MemoryStore, Repository) {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    (store, repository)
}

async fn attempt(
    repository: &Repository,
    source: &MemorySource,
    name: &str,
    number: u32,
    of: u32,
) -> Result<BackupReport> {
    let shard = Some(Shard { group: group_of(name), number, of });
    let options = BackupOptions { shard, host: format!("machine {number}"), ..BackupOptions::default() };
    backup::run(repository, Arc::new(source.clone()), &options, &RunContext::default()).await
}

async fn shard(repository: &Repository, source: &MemorySource, name: &str, number: u32, of: u32) -> SnapshotId {
    attempt(repository, source, name, number, of).await.unwrap().snapshot.unwrap()
}

async fn merged(repository: &Repository, name: Option<&str>) -> Result<MergeReport> {
    let options = MergeOptions { group: name.map(str::to_owned), host: "merger".into(), ..MergeOptions::default() };
    merge(repository, &options, &RunContext::default()).await
}

async fn put_back(store: &MemoryStore, key: &StoreKey, bytes: Option<bytes::Bytes>) {
    store.put(key, bytes.unwrap().into(), &PutOptions::default()).await.unwrap();
}

async fn collect(repository: &Repository) {
    gc::run(repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
}

/// Demands that a snapshot has the tree that one process makes of the source.
async fn expect_as_by_one(repository: &Repository, source: &MemorySource, merged: SnapshotId) {
    let merged = handle(repository, merged).await.snapshot;
    let alone = handle(repository, snapshot(repository, source).await).await.snapshot;
    assert_eq!(merged.tree, alone.tree);
    assert_eq!(merged.statistics.bytes, alone.statistics.bytes);
    assert!(merged.part.is_none());
}

#[tokio::test]
async fn shards_make_the_tree_of_one_process_with_and_without_a_snapshot_before() {
    for of in [1, 2, 5] {
        let ((_, repository), source) = (begun().await, source());
        for night in ["first", "second"] {
            let mut parts = BTreeSet::new();
            for number in (0..of).rev() {
                parts.insert(shard(&repository, &source, night, number, of).await);
            }
            let report = merged(&repository, None).await.unwrap();
            assert_eq!((report.entries, report.parts, report.removed), (u64::from(KEYS), of, u64::from(of)), "{night}");
            expect_as_by_one(&repository, &source, report.snapshot).await;
            source.remove(&"data/a/00000010".into());
            (KEYS..KEYS + 1).for_each(|number| put(&source, number));
        }
        expect_whole(&repository).await;
        collect(&repository).await;
        expect_whole(&repository).await;
    }
}

#[tokio::test]
async fn shares_are_equal_with_a_snapshot_before_and_none_is_most_of_it_without() {
    let ((_, repository), source) = (begun().await, source());
    let mut probed = Vec::new();
    for number in 0..4 {
        probed.push(attempt(&repository, &source, "first", number, 4).await.unwrap().entries);
    }
    assert_eq!(probed.iter().sum::<u64>(), u64::from(KEYS));
    assert!(probed.iter().all(|entries| *entries * 10 <= u64::from(KEYS) * 6), "{probed:?}");
    merged(&repository, None).await.unwrap();
    for number in 0..4 {
        let share = attempt(&repository, &source, "second", number, 4).await.unwrap();
        assert_eq!((share.entries, share.read), (u64::from(KEYS) / 4, 0), "{number}");
    }
}

#[tokio::test]
async fn behind_an_empty_snapshot_no_share_is_the_whole_and_the_parts_meet() {
    let ((_, repository), source) = (begun().await, MemorySource::new());
    snapshot(&repository, &source).await;
    (0..KEYS).for_each(|number| put(&source, number));
    let mut shares = Vec::new();
    for number in 0..4 {
        shares.push(attempt(&repository, &source, "night", number, 4).await.unwrap().entries);
    }
    assert_eq!(shares.iter().sum::<u64>(), u64::from(KEYS));
    assert!(shares.iter().all(|entries| *entries < u64::from(KEYS)), "{shares:?}");
    let report = merged(&repository, None).await.unwrap();
    expect_as_by_one(&repository, &source, report.snapshot).await;
}

#[tokio::test]
async fn a_part_is_no_snapshot_and_the_collector_spares_what_it_needs() {
    let ((_, repository), source) = (begun().await, source());
    let part = shard(&repository, &source, "night", 0, 2).await;
    let snapshots = repository.snapshots().await.unwrap();
    assert!(snapshots.whole.is_empty() && snapshots.parts.len() == 1);
    for name in ["latest".to_owned(), part.to_string()] {
        assert!(matches!(repository.find(&SnapshotName(name)).await, Err(Error::NoSnapshot { .. })));
    }
    collect(&repository).await;
    expect_whole(&repository).await;
    let alone = snapshot(&repository, &source).await;
    assert_eq!(handle(&repository, alone).await.snapshot.parent, None, "a part is no parent");
    shard(&repository, &source, "night", 1, 2).await;
    collect(&repository).await;
    let report = merged(&repository, Some("night")).await.unwrap();
    collect(&repository).await;
    expect_whole(&repository).await;
    assert_eq!(contents(&repository, report.snapshot).await, contents(&repository, alone).await);
    let removable = shard(&repository, &source, "other", 0, 2).await;
    assert!(repository.find_for_removal(&SnapshotName(removable.to_string())).await.is_ok());
}

#[tokio::test]
async fn what_is_missing_is_named_and_run_again_alone() {
    let ((_, repository), source) = (begun().await, source());
    for number in [0, 1, 3] {
        shard(&repository, &source, "night", number, 4).await;
    }
    let refused = merged(&repository, None).await.unwrap_err();
    assert!(matches!(&refused, Error::PartsMissing { missing, of: 4, .. } if *missing == [2]), "{refused}");
    shard(&repository, &source, "night", 2, 4).await;
    // Two runs of one shard: the newest counts.
    source.put("data/a/00000001-late", "late");
    shard(&repository, &source, "night", 0, 4).await;
    let report = merged(&repository, None).await.unwrap();
    assert_eq!((report.parts, report.removed, report.entries), (4, 5, u64::from(KEYS) + 1));
    expect_as_by_one(&repository, &source, report.snapshot).await;
}

#[tokio::test]
async fn a_part_begins_where_the_one_before_has_ended_whatever_the_source_has_become() {
    let ((_, repository), source) = (begun().await, source());
    let before = attempt(&repository, &source, "night", 0, 2).await.unwrap().entries;
    (0..9000).for_each(|number| source.put(format!("data/aa/{number:08}").as_str(), "x"));
    let rest = attempt(&repository, &source, "night", 1, 2).await.unwrap().entries;
    let report = merged(&repository, None).await.unwrap();
    assert_eq!(report.entries, before + rest);
    expect_whole(&repository).await;
}

#[tokio::test]
async fn ranges_that_do_not_meet_are_not_merged_until_one_is_run_again() {
    let ((store, repository), source) = (begun().await, source());
    // Both begin before either has ended, and the source grows in between.
    let first = shard(&repository, &source, "night", 0, 2).await;
    let key = ObjectKind::Snapshot.store_key(ObjectId::new(*first.as_bytes()));
    let hidden = store.bytes(&key);
    store.tamper(&key, None);
    (0..9000).for_each(|number| source.put(format!("data/aa/{number:08}").as_str(), "x"));
    shard(&repository, &source, "night", 1, 2).await;
    put_back(&store, &key, hidden).await;
    let refused = merged(&repository, None).await.unwrap_err();
    assert!(matches!(refused, Error::PartsApart { number: 1, of: 2, .. }), "{refused}");
    shard(&repository, &source, "night", 1, 2).await;
    merged(&repository, None).await.unwrap();
}

#[tokio::test]
async fn a_merge_tells_of_a_damaged_index_as_damage() {
    let ((store, repository), source) = (begun().await, source());
    for number in 0..2 {
        shard(&repository, &source, "night", number, 2).await;
    }
    for key in store.keys().iter().filter(|key| key.as_str().starts_with("index/")) {
        store.tamper(key, Some(b"noise".to_vec().into()));
    }
    let refused = merged(&open(Arc::new(store), secret()).await, None).await.unwrap_err();
    assert!(matches!(&refused, Error::Damage(damage) if damage.object.starts_with("index/")), "{refused}");
}

#[tokio::test]
async fn groups_are_told_apart() {
    let ((_, repository), source) = (begun().await, source());
    assert!(matches!(merged(&repository, None).await, Err(Error::NoGroup { .. })));
    for number in 0..2 {
        shard(&repository, &source, "one", number, 2).await;
        shard(&repository, &source, "two", number, 2).await;
    }
    let refused = merged(&repository, None).await.unwrap_err();
    assert!(refused.to_string().contains("2 groups may be meant"), "{refused}");
    let one = merged(&repository, Some("one")).await.unwrap();
    assert_eq!(one.group, group_of("one"));
    // What begins the id of another group may be the name of one, and few digits are no id.
    let digits = group_of("two").to_string();
    for number in 0..2 {
        shard(&repository, &source, &digits[..8], number, 2).await;
    }
    assert!(matches!(merged(&repository, Some(&digits[..7])).await, Err(Error::NoGroup { .. })));
    let named = merged(&repository, Some(&digits[..8])).await.unwrap();
    assert_eq!(named.group, group_of(&digits[..8]));
    let two = merged(&repository, Some(&digits[..8])).await.unwrap();
    assert_eq!(two.group, group_of("two"));
}

#[tokio::test]
async fn a_merge_that_was_killed_behind_its_commit_finds_its_snapshot_again() {
    let ((store, repository), source) = (begun().await, source());
    let mut kept = Vec::new();
    for number in 0..2 {
        let part = ObjectId::new(*shard(&repository, &source, "night", number, 2).await.as_bytes());
        kept.extend([ObjectKind::Snapshot, ObjectKind::Usage].map(|kind| kind.store_key(part)));
    }
    let kept: Vec<_> = kept.into_iter().map(|key| (store.bytes(&key), key)).collect();
    let first = merged(&repository, None).await.unwrap();
    for (bytes, key) in kept {
        put_back(&store, &key, bytes).await;
    }
    let again = merged(&repository, None).await.unwrap();
    assert_eq!((again.snapshot, again.was_there, again.removed), (first.snapshot, true, 2));
    let snapshots = repository.snapshots().await.unwrap();
    assert!(snapshots.whole.len() == 1 && snapshots.parts.is_empty());
    expect_whole(&repository).await;
}

#[tokio::test]
async fn what_cannot_be_listed_in_order_is_not_shared() {
    let (_, repository) = begun().await;
    let source = MemorySource::unordered();
    source.put("a", "x");
    let refused = attempt(&repository, &source, "night", 0, 2).await.unwrap_err();
    assert!(matches!(refused, Error::Unshardable { .. }), "{refused}");
}

#[tokio::test]
async fn parts_that_nobody_merges_are_told_by_the_collector_and_go_on_request_alone() {
    let ((_, repository), source) = (begun().await, source());
    let waiting = async || {
        let report = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
        report.waiting.iter().map(|group| (group.group, group.missing.clone())).collect::<Vec<_>>()
    };
    assert!(waiting().await.is_empty());
    shard(&repository, &source, "night", 1, 2).await;
    shard(&repository, &source, "other", 0, 1).await;
    let mut both = vec![(group_of("night"), vec![0]), (group_of("other"), vec![])];
    both.sort();
    assert_eq!(waiting().await, both);
    let named = MergeOptions { group: Some("night".to_owned()), ..MergeOptions::default() };
    let dropped = drop_parts(&repository, &named, &RunContext::default()).await.unwrap();
    assert_eq!((dropped.group, dropped.removed), (group_of("night"), 1));
    assert_eq!(waiting().await, [(group_of("other"), vec![])]);
    assert!(matches!(drop_parts(&repository, &named, &RunContext::default()).await, Err(Error::NoGroup { .. })));
    merged(&repository, Some("other")).await.unwrap();
    assert!(waiting().await.is_empty());
    expect_whole(&repository).await;
}
