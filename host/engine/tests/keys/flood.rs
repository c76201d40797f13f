//! Whoever may put objects may put any number of key slots, and nobody who opens the repository is at their mercy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Record, call};
use credenza_connect::{
    Body, ByteRange, Check, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};
use credenza_engine::{Error, Repository};
use credenza_format::{Access, KeySlot, Keyring, NewSlot, copy_key, slot_key};
use credenza_model::{ObjectId, StoreKey, Timestamp};

use super::{create, key_file, open};

const BEGIN: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

/// A repository, and slots that were put later and that no secret of its owner opens.
async fn flooded(slots: usize) -> MemoryStore {
    let store = MemoryStore::new();
    store.set_clock(BEGIN);
    create(&store, key_file(7)).await;
    let id = open(&store, &key_file(7)).await.unwrap().config().repository;
    store.set_clock(Timestamp { seconds: BEGIN.seconds + 1, nanoseconds: 0 });
    let keyring = Keyring::generate().unwrap();
    let new = NewSlot { keyring: &keyring, access: Access::Full, repository: id, label: "", created: BEGIN };
    for _ in 0..slots {
        let slot = KeySlot::seal_key_file(&new, &[9; 32]).unwrap();
        for name in [slot_key(slot.id()), copy_key(&slot_key(slot.id()))] {
            store.put(&name, Payload::from(slot.encode()), &PutOptions::default()).await.unwrap();
        }
    }
    store
}

/// Its listings of slots hold nothing and go on for ever.
struct Endless {
    inner: MemoryStore,
    asked: Arc<AtomicU64>,
}

#[async_trait]
impl Store for Endless {
    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.inner.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.inner.get(key, range, version).await
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        if !prefix.ends_with("key/") {
            return self.inner.list(prefix, cursor, max).await;
        }
        let next = Some(format!("page {}", self.asked.fetch_add(1, SeqCst)));
        Ok(Page { next, ..Page::default() })
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.inner.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.inner.retain(key, version, until).await
    }
}

#[tokio::test]
async fn of_too_many_slots_those_are_read_that_were_put_first() {
    let store = flooded(600).await;
    let repository: Repository = open(&store, &key_file(7)).await.unwrap();
    assert_eq!(repository.opened_despite(), []);
}

#[tokio::test]
async fn however_many_names_come_before_that_of_the_real_slot_it_is_found() {
    let store = flooded(0).await;
    // Names are taken as they are listed: these come before that of any slot that somebody draws.
    store.set_clock(Timestamp { seconds: BEGIN.seconds + 1, nanoseconds: 0 });
    for number in 0..5000_u16 {
        let mut id = [0; 16];
        id[1..3].copy_from_slice(&number.to_be_bytes());
        let slot = slot_key(ObjectId::new(id));
        for name in [slot.clone(), copy_key(&slot)] {
            store.put(&name, Payload::from(b"junk".to_vec()), &PutOptions::default()).await.unwrap();
        }
    }
    let record = Record::new(Arc::new(store));
    let repository = Repository::open(Arc::new(record.clone()), &key_file(7), None).await.unwrap();
    assert_eq!(repository.opened_despite(), []);
    let listings = record.calls().iter().filter(|call| call.name == call::LIST).count();
    assert!(listings <= 6, "{listings} pages were asked for");
}

#[tokio::test]
async fn a_listing_of_slots_that_holds_nothing_and_never_ends_is_given_up() {
    let store = Endless { inner: flooded(0).await, asked: Arc::default() };
    let asked = Arc::clone(&store.asked);
    let refused = Repository::open(Arc::new(store), &key_file(7), None).await.map(drop);
    assert!(matches!(&refused, Err(Error::Damage(damage)) if damage.object == "key/"), "{refused:?}");
    assert!(asked.load(SeqCst) <= 2 * 256, "it was asked {asked:?} times");
}

#[tokio::test]
async fn slots_without_end_are_neither_all_listed_nor_all_tried_and_that_is_told() {
    let store = flooded(5500).await;
    match open(&store, &key_file(8)).await.map(drop) {
        Err(Error::WrongSecret { slots, damaged, .. }) => {
            assert!(slots <= 256, "{slots} were tried");
            assert_eq!(damaged, ["key/"]);
        }
        other => panic!("{other:?}"),
    }
}
