//! Whoever may put objects may put any number of key slots, and nobody who opens the repository is at their mercy.

use credenza_connect::memory::MemoryStore;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_engine::{Error, Repository};
use credenza_format::{Access, KeySlot, Keyring, NewSlot, copy_key, slot_key};
use credenza_model::Timestamp;

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

#[tokio::test]
async fn of_too_many_slots_those_are_read_that_were_put_first() {
    let store = flooded(600).await;
    let repository: Repository = open(&store, &key_file(7)).await.unwrap();
    assert_eq!(repository.opened_despite(), []);
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
