//! The repository that is injured: small, and with at least one object of every kind that there is, two where objects can be exchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::audit::{self, AuditOptions, Head};
use credenza_engine::{Repository, RunContext, Secret};
use credenza_format::{
    Access, Condemned, EscrowedConnector, Fact, Hex, Identity, Intent, Note, ObjectKind, Policy, RecipientKind,
    seal_document,
};
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use crate::common::{self, BEGIN, Files, at, backup, collect, create, key_file, open, rm};

/// The objects of a repository with their bytes.
pub(crate) type Objects = BTreeMap<StoreKey, Bytes>;

/// The repository before it is injured.
pub(crate) struct Subject {
    pub(crate) objects: Objects,
    /// What was there once: objects that were deleted since, and older bytes of those that were written again.
    pub(crate) former: Vec<(StoreKey, Bytes)>,
    /// What each snapshot must restore to.
    pub(crate) snapshots: Vec<(SnapshotId, Files)>,
    /// The heads that an audit found, for a later one to remember.
    pub(crate) heads: Vec<Head>,
}

/// Files of 12 KB, each a chunk, so that a pack has several segments; and one that is so small that it lies in the tree.
fn files(numbers: std::ops::Range<u64>) -> Files {
    let large = |number: u64| (0..6).flat_map(|part| common::file(number * 16 + part)).collect::<Bytes>();
    let mut files: Files = numbers.clone().map(|number| (format!("file-{number:04}"), large(number))).collect();
    files.insert(format!("small-{:04}", numbers.start), common::file(numbers.start).slice(..100));
    files
}

/// Some 50 KB that do not shrink.
fn large(number: u64) -> Bytes {
    (0..25).flat_map(|part| common::file(number * 32 + part)).collect()
}

impl Subject {
    pub(crate) async fn build() -> Self {
        let store = MemoryStore::new();
        let mut former = Vec::new();
        create(&store, key_file()).await;
        let writer = Identity::generate(RecipientKind::X25519).unwrap();
        let add_writer = open_now(&store, &key_file()).await;
        add_writer.add_slot(&Secret::Identity(writer.clone()).lock().unwrap(), Access::Writer, "writer").await.unwrap();
        let mut snapshots = Vec::new();
        let mut keep = |id, files| snapshots.push((id, files));
        let first = files(0..6);
        let repository = open_now(&store, &key_file()).await;
        keep(backup(&repository, "a", &first).await.unwrap(), first.clone());
        // One that another follows in its chain, and one that is the newest.
        let followed = backup(&repository, "a", &files(10..16)).await.unwrap();
        let second = files(3..8);
        keep(backup(&repository, "a", &second).await.unwrap(), second);
        let newest = backup(&repository, "b", &files(20..25)).await.unwrap();
        for id in [followed, newest] {
            let before = objects(&store);
            rm(&repository, id).await;
            collect(&repository).await.unwrap();
            former.extend(lost(&before, &store));
        }
        let before = objects(&store);
        open_now(&store, &key_file()).await.rotate_keys(&key_file(), false).await.unwrap();
        let repository = open_now(&store, &key_file()).await;
        repository.set_policy(Some(Policy { last: 3, ..Policy::default() })).await.unwrap();
        former.extend(lost(&before, &store));
        let repository = open_now(&store, &key_file()).await;
        let third = files(30..33);
        keep(backup(&repository, "b", &third).await.unwrap(), third);
        let by_writer = files(40..43);
        let writer = open_now(&store, &Secret::Identity(writer)).await;
        keep(backup(&writer, "w", &by_writer).await.unwrap(), by_writer);
        announce(&store, &repository).await;
        let heads =
            audit::run(Arc::new(store.clone()), &AuditOptions::default(), &RunContext::default()).await.unwrap().heads;
        Self { objects: objects(&store), former, snapshots, heads }
    }

    /// A small repository with parity: packs of one segment, and of several.
    pub(crate) async fn with_parity(percent: u32) -> Self {
        let store = MemoryStore::new();
        let repository = common::create_parity(&store, key_file(), percent).await;
        let mut snapshots = Vec::new();
        for (writer, numbers) in [("a", 0..12), ("a", 4..13), ("b", 30..31)] {
            let files: Files = numbers.map(|number| (format!("file-{number:02}"), large(number))).collect();
            let removed = backup(&repository, writer, &files).await.unwrap();
            snapshots.push((removed, files));
        }
        let (removed, _) = snapshots.remove(0);
        rm(&repository, removed).await;
        collect(&repository).await.unwrap();
        let heads =
            audit::run(Arc::new(store.clone()), &AuditOptions::default(), &RunContext::default()).await.unwrap().heads;
        Self { objects: objects(&store), former: Vec::new(), snapshots, heads }
    }

    /// A store with these objects.
    pub(crate) async fn store(&self, objects: &Objects) -> MemoryStore {
        let store = MemoryStore::new();
        store.set_clock(at(BEGIN));
        for (key, bytes) in objects {
            store.put(key, Payload::from(bytes.clone()), &PutOptions::default()).await.unwrap();
        }
        store
    }
}

async fn open_now(store: &MemoryStore, secret: &Secret) -> Repository {
    open(Arc::new(store.clone()), secret).await
}

fn objects(store: &MemoryStore) -> Objects {
    store.keys().into_iter().map(|key| (key.clone(), store.bytes(&key).unwrap())).collect()
}

/// What was in the store and is no longer there as it was.
fn lost(before: &Objects, store: &MemoryStore) -> Vec<(StoreKey, Bytes)> {
    let now = objects(store);
    before
        .iter()
        .filter(|(key, bytes)| now.get(*key) != Some(*bytes))
        .map(|(key, bytes)| (key.clone(), bytes.clone()))
        .collect()
}

/// Two writers that are at work, what a collector is about to delete, and what somebody leaves for others.
async fn announce(store: &MemoryStore, repository: &Repository) {
    let keys = repository.content_keys();
    let intent = |byte| {
        let packs = vec![ObjectId::new([byte; 16]); usize::from(byte)];
        Intent { connectors: Vec::new(), packs, created: at(BEGIN), writer: Hex([byte; 16]) }.encode().unwrap()
    };
    let condemned =
        Condemned { connectors: Vec::new(), packs: vec![ObjectId::new([8; 16])], created: at(BEGIN) }.encode().unwrap();
    let note = |byte| {
        let fact = Fact::Serving { snapshots: Vec::new(), intent: ObjectId::new([byte; 16]) };
        Note { created: at(BEGIN), writer: Hex([byte; 16]), fact }.encode().unwrap()
    };
    let connector = EscrowedConnector { name: "s3".into(), release: "1".into(), component: vec![0; 5000] }.encode();
    let documents = [
        (ObjectKind::Intent, intent(1)),
        (ObjectKind::Intent, intent(2)),
        (ObjectKind::Condemned, condemned),
        (ObjectKind::Note, note(1)),
        (ObjectKind::Note, note(2)),
        (ObjectKind::Connector, connector.unwrap()),
    ];
    for (number, (kind, body)) in (1..).zip(documents) {
        let id = ObjectId::new([number; 16]);
        let sealed = seal_document(&keys, kind, id, &body).unwrap();
        let payload = Payload::new(sealed.into_pieces());
        store.put(&kind.store_key(id), payload, &PutOptions::default()).await.unwrap();
    }
}
