use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credenza_model::{AttributeValue, Entry, EntryKind, Key, StoreKey, Timestamp};

use super::{Free, Freedom};
use crate::conformance::{self, StoreBed};
use crate::memory::{MemoryDestination, MemorySource, MemoryStore};
use crate::wrap::{Retry, RetryPolicy};
use crate::{
    Batches, Destination, Pages, Payload, PutOptions, Result, ScanOptions, Source, Store, StoredObject, Writer,
};

const CONTRACT: &str = include_str!("../../../../../wit/CONTRACT.md");
const SEEDS: u64 = 40;
const PATIENT: RetryPolicy =
    RetryPolicy { pause_min: Duration::ZERO, pause_max: Duration::ZERO, tries_max: 50, time_max: Duration::MAX };

#[test]
fn the_contract_lists_the_freedoms_that_are_taken_and_no_others() {
    let rows = freedoms();
    let names: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), rows.len(), "a name stands twice");
    let never: Vec<&str> = Freedom::ALL.iter().map(|one| one.name()).filter(|name| !names.contains(name)).collect();
    assert_eq!(never, [""; 0]);
    // What is not taken by `Free` has a test of its own.
    let by_free = |name: &str| Freedom::ALL.iter().any(|freedom| freedom.name() == name);
    for (name, test) in &rows {
        assert!(
            by_free(name) || *test != "every_freedom_is_taken",
            "`{name}` is not among the freedoms that are taken"
        );
    }
}

/// The rows of the contract: name, and the test that takes it.
fn freedoms() -> Vec<(&'static str, &'static str)> {
    let section = CONTRACT.split("\n## Freedoms\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = |line: &'static str| -> Option<(&str, &str)> {
        let name = line.strip_prefix("| `")?.split_once('`')?.0;
        let test = line.strip_suffix("` |")?.rsplit_once('`')?.1;
        Some((name, test))
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| cells(line).unwrap_or_else(|| panic!("no name or no test: {line}"))).collect()
}

/// The names of all functions of the sources.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once(['(', '<']));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn each_freedom_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = BTreeSet::new();
    ["host", "tests"].iter().for_each(|folder| functions(&root.join(folder), &mut found));
    let missing: Vec<(&str, &str)> = freedoms().into_iter().filter(|(_, test)| !found.contains(*test)).collect();
    assert_eq!(missing, []);
}

fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

async fn drive_store(seed: u64) -> BTreeSet<Freedom> {
    let free = Free::taking(Arc::new(MemoryStore::versioned()), seed, &Freedom::ALL);
    // Where conditions are ignored none is refused.
    let free = if seed.is_multiple_of(2) { free.without(&[Freedom::IgnoredCondition]) } else { free };
    let store = Retry::new(Arc::new(free.clone()), PATIENT);
    store.info().await.unwrap();
    let locked = PutOptions { retain_until: Some(Timestamp { seconds: 1, nanoseconds: 0 }), ..PutOptions::default() };
    for number in 0..20 {
        let name = key(&format!("data/{number:02}"));
        let create = PutOptions { if_absent: true, ..PutOptions::default() };
        store.put(&name, Payload::from(vec![7; 100]), &locked).await.unwrap();
        let _ = store.put(&key(&format!("meta/{number:02}")), Payload::from(vec![7; 100]), &create).await;
        store.stat(&name).await.unwrap();
        assert_eq!(store.get(&name, None, None).await.unwrap().read_all(100).await.unwrap(), vec![7; 100]);
    }
    Pages::new(&store, "data/").collect().await.unwrap();
    let deleted = store.delete(&[key("data/00"), key("data/01")]).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok));
    free.taken()
}

async fn drive_source(seed: u64) -> BTreeSet<Freedom> {
    let source = MemorySource::new();
    for number in 0..20 {
        let mut entry = Entry::new(Key::from(format!("{number:02}").as_str()), EntryKind::File);
        entry.attributes.push(("user.a".to_owned(), AttributeValue::Integer(number)));
        source.insert(entry, vec![7; 100]);
    }
    let free = Free::taking(Arc::new(source), seed, &Freedom::ALL);
    let source = Retry::new(Arc::new(free.clone()), PATIENT);
    let traits = source.info().await.unwrap().traits;
    assert!(!traits.iter().any(|name| name == "ordered-scan" || name == "complete-scan" || name == "fingerprints"));
    let mut batches = Batches::new(source.scan(&ScanOptions::default()).await.unwrap());
    let mut keys = BTreeSet::new();
    while let Some(batch) = batches.next(8).await.unwrap() {
        keys.extend(batch.iter().map(|found| found.key().clone()));
    }
    assert_eq!(keys.len(), 20, "seed {seed}");
    for key in keys {
        let opened = source.read(&Entry::new(key, EntryKind::File), None, None).await.unwrap();
        assert_eq!((opened.entry.attributes.len(), opened.body.read_all(100).await.unwrap().len()), (1, 100));
    }
    free.taken()
}

async fn drive_destination(seed: u64) -> BTreeSet<Freedom> {
    let memory = MemoryDestination::new();
    let free = Free::taking(Arc::new(memory.clone()), seed, &Freedom::ALL);
    let destination = Retry::new(Arc::new(free.clone()), PATIENT);
    for number in 0..8 {
        let entry = Entry::new(Key::from(format!("{number}").as_str()), EntryKind::File);
        let mut writer: Box<dyn Writer> = destination.create(&entry, false).await.unwrap().unwrap();
        let (mut rest, size) = (Payload::from(vec![7; 100]), writer.part_bytes().unwrap_or(30));
        while rest.length() > size {
            writer.write(rest.slice(0, size)).await.unwrap();
            rest = rest.slice(size, rest.length());
        }
        writer.finish(rest).await.unwrap();
        assert!(destination.set_metadata(&[entry]).await.unwrap()[0].is_ok());
    }
    assert!(memory.restored().values().all(|restored| restored.bytes == vec![7; 100]));
    free.taken()
}

#[tokio::test]
async fn every_freedom_is_taken() {
    let mut taken = BTreeSet::new();
    for seed in 0..SEEDS {
        taken.extend(drive_store(seed).await);
        taken.extend(drive_source(seed).await);
        taken.extend(drive_destination(seed).await);
    }
    let never: Vec<Freedom> = Freedom::ALL.into_iter().filter(|freedom| !taken.contains(freedom)).collect();
    assert_eq!(never, []);
}

/// Makes stores in memory whose freedoms break no case of the suite: those that do not change what is in them.
struct Bed(u64);

#[async_trait]
impl StoreBed for Bed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        let freedoms = [
            Freedom::Transient,
            Freedom::AnyPieces,
            Freedom::ShortPage,
            Freedom::EmptyPage,
            Freedom::OddCursor,
            Freedom::PartialDelete,
            Freedom::NoTag,
        ];
        let free = Free::taking(Arc::new(MemoryStore::new()), self.0, &freedoms);
        Ok(Arc::new(Retry::new(Arc::new(free), PATIENT)))
    }
}

#[tokio::test]
async fn a_free_store_keeps_the_contract() {
    for seed in 0..4 {
        let results = conformance::store(&Bed(seed), seed).await;
        // Without tags nothing can be compared and swapped.
        let failed = results.iter().filter(|result| result.is_failed() && !result.id.starts_with("store.if-match."));
        assert_eq!(failed.map(|result| result.id).collect::<Vec<_>>(), [""; 0], "seed {seed}: {results:#?}");
    }
}

#[tokio::test]
async fn what_is_listed_late_is_listed_in_the_end() {
    let freedoms = [Freedom::LateListing, Freedom::ShortPage, Freedom::EmptyPage];
    let free = Free::taking(Arc::new(MemoryStore::new()), 1, &freedoms);
    let names: Vec<StoreKey> = (0..30).map(|number| key(&format!("index/{number:02}"))).collect();
    for name in &names {
        free.put(name, Payload::from(vec![1]), &PutOptions::default()).await.unwrap();
    }
    let listed = |objects: Vec<StoredObject>| objects.into_iter().map(|object| object.key).collect::<Vec<_>>();
    assert_ne!(listed(Pages::new(&free, "index/").collect().await.unwrap()), names);
    for _ in 0..4 {
        Pages::new(&free, "index/").collect().await.unwrap();
    }
    assert_eq!(listed(Pages::new(&free, "index/").collect().await.unwrap()), names);
}
