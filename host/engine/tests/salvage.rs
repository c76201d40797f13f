//! Salvage: a restore goes on where one part of a tree is lost, and tells how many entries are gone with it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{create, key_file, keys};
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::restore::{self, RestoreOptions, RestoreReport};
use credenza_engine::{Repository, RunContext, SnapshotName};
use credenza_format::{HEADER_BYTES, SEGMENT_SEALED_BYTES};
use credenza_model::{AttributeValue, Entry, EntryKind};

const ENTRIES: u64 = 200;

/// Entries whose attributes do not shrink, 1.2 MB together: at least three leaves, in many segments.
fn source() -> MemorySource {
    let source = MemorySource::new();
    for number in 0..ENTRIES {
        let filler = (0..3).flat_map(|part| common::file(number * 4 + part)).collect();
        let mut entry = Entry::new(format!("file-{number:04}").as_str().into(), EntryKind::File);
        entry.attributes = vec![("filler".into(), AttributeValue::Blob(filler))];
        source.insert(entry, common::file(number));
    }
    source
}

async fn restore(repository: &Repository) -> (RestoreReport, MemoryDestination) {
    let handle = repository.find(&SnapshotName("latest".into())).await.unwrap();
    let destination = MemoryDestination::new();
    let target = Arc::new(destination.clone());
    (
        restore::run(repository, &handle, target, &RestoreOptions::default(), &RunContext::default()).await.unwrap(),
        destination,
    )
}

#[tokio::test]
async fn a_restore_goes_on_behind_a_leaf_that_is_lost() {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    backup::run(&repository, Arc::new(source()), &BackupOptions::default(), &RunContext::default()).await.unwrap();
    let pack = keys(&store, "meta/")[0].clone();
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    bytes[HEADER_BYTES + 2 * usize::try_from(SEGMENT_SEALED_BYTES).unwrap()] ^= 1;
    store.tamper(&pack, Some(Bytes::from(bytes)));
    let (report, destination) = restore(&repository).await;
    let restored = destination.restored();
    assert!(report.damaged > 0 && report.entries > 0, "{report:?}");
    assert_eq!((report.entries, report.entries + report.damaged), (restored.len() as u64, ENTRIES));
    for (key, restored) in restored {
        let number = key.to_string().trim_start_matches("file-").parse().unwrap();
        assert_eq!(restored.bytes, common::file(number), "{key}");
    }
}
