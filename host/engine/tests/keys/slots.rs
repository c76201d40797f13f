//! Slots added, listed, changed and removed.

use std::sync::Arc;

use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, Record, call};
use credenza_connect::{ErrorClass, Store};
use credenza_engine::{Error, ObjectCache, Repository, Secret, SlotLock, key_slots};
use credenza_format::{Access, Identity, RecipientKind, RecoveryCode, SlotKind};

use crate::{create, key_file, names, open};

fn passphrase(text: &str) -> Secret {
    Secret::Passphrase(text.as_bytes().to_vec().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sort_of_secret_opens_what_was_added_for_it() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let secrets = [
        passphrase("five odd words of mine"),
        key_file(2),
        Secret::Identity(Identity::generate(RecipientKind::X25519).unwrap()),
        Secret::Recovery(RecoveryCode::generate().unwrap()),
    ];
    for secret in &secrets {
        repository.add_slot(&secret.lock().unwrap(), Access::Full, "another").await.unwrap();
        let opened = open(&store, secret).await.unwrap();
        assert_eq!(opened.slot().unwrap().label(), "another");
        assert_eq!(opened.config(), repository.config());
    }
    let kinds: Vec<SlotKind> =
        key_slots(&store).await.unwrap().into_iter().map(|listed| listed.slot.unwrap().kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == SlotKind::KeyFile).count(), 2);
    assert_eq!(kinds.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_says_what_it_was_and_how_many_keys_take_one() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let wrong = [
        (key_file(9), SlotKind::KeyFile, 1),
        (Secret::Recovery(RecoveryCode::generate().unwrap()), SlotKind::Recovery, 0),
    ];
    for (secret, kind, count) in wrong {
        let refused = open(&store, &secret).await.err().unwrap();
        assert!(
            matches!(refused, Error::WrongSecret { secret, slots, .. } if (secret, slots) == (kind, count)),
            "{refused}"
        );
    }
    assert!(matches!(open(&store, &Secret::None).await, Err(Error::SecretMissing)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_passphrase_costs_a_small_put_and_a_delete_of_each_copy() {
    let store = MemoryStore::new();
    let (old, new) = (passphrase("five odd words of mine"), passphrase("six quite other words of mine"));
    create(&store, old.clone()).await;
    let record = Record::new(Arc::new(store.clone()));
    let repository = Repository::open(Arc::new(record.clone()), &old, None).await.unwrap();
    record.clear();
    repository.change_passphrase(&new.lock().unwrap()).await.unwrap();
    let calls = record.calls();
    let names: Vec<_> = calls.iter().map(|call| call.name).collect();
    assert_eq!(names, [call::PUT, call::PUT, call::DELETE, call::DELETE]);
    assert!(calls[0].bytes < 1024, "{} bytes", calls[0].bytes);
    assert!(matches!(open(&store, &old).await, Err(Error::WrongSecret { .. })));
    assert_eq!(open(&store, &new).await.unwrap().slot().unwrap().label(), "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_whose_old_slot_stays_is_not_called_changed() {
    let store = MemoryStore::new();
    let (old, new) = (passphrase("five odd words of mine"), passphrase("six quite other words of mine"));
    create(&store, old.clone()).await;
    let denied = Fault::new(Arc::new(store.clone()), 1).at(call::DELETE, 1, FaultKind::Fail(ErrorClass::Denied));
    let repository = Repository::open(Arc::new(denied), &old, None).await.unwrap();
    let refused = repository.change_passphrase(&new.lock().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("still opens"), "{refused}");
    for secret in [old, new] {
        open(&store, &secret).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_passphrase_can_be_changed() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let lock = passphrase("five odd words of mine").lock().unwrap();
    assert!(matches!(repository.change_passphrase(&lock).await, Err(Error::NotByPassphrase)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_slot_opens_nothing_and_the_last_full_one_stays() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let first = repository.slot().unwrap().id().to_string();
    let full = repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "").await.unwrap();
    repository.add_slot(&key_file(3).lock().unwrap(), Access::Writer, "").await.unwrap();
    repository.remove_slot(&full.id().to_string()[..12]).await.unwrap();
    assert!(matches!(open(&store, &key_file(2)).await, Err(Error::WrongSecret { .. })));
    assert!(matches!(repository.remove_slot(&first).await, Err(Error::LastSlot { .. })), "a writer's is no substitute");
    open(&store, &key_file(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_slot_spares_the_listing_until_it_is_removed() {
    let (store, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    create(&store, key_file(1)).await;
    let cache = ObjectCache::new(folder.path(), 1 << 20);
    let record = Arc::new(Record::new(Arc::new(store.clone())));
    let open_cached = async |byte| Repository::open(record.clone(), &key_file(byte), Some(&cache)).await;
    let repository = open_cached(1).await.unwrap();
    let added = repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "").await.unwrap();
    open_cached(2).await.unwrap();
    let listings = || record.count(call::LIST);
    let before = listings();
    open_cached(2).await.unwrap();
    assert_eq!(listings(), before);
    open_cached(1).await.unwrap();
    repository.remove_slot(&added.id().to_string()).await.unwrap();
    assert!(matches!(open_cached(2).await, Err(Error::WrongSecret { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_must_mean_one_slot() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    // Of 17 ids two begin with the same digit.
    for byte in 2..18 {
        repository.add_slot(&key_file(byte).lock().unwrap(), Access::Full, "").await.unwrap();
    }
    let ids: Vec<String> = names(&store, "key/").iter().map(|key| key.as_str()[4..].to_owned()).collect();
    let shared = ids.iter().find(|id| ids.iter().filter(|other| other[..1] == id[..1]).count() > 1).unwrap();
    for wrong in ["", "no hex", &shared[..1]] {
        assert!(matches!(repository.remove_slot(wrong).await, Err(Error::NoSlot { .. })), "{wrong}");
    }
    assert_eq!(names(&store, "key/").len(), 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_slot_is_listed_and_can_be_removed_and_hinders_no_other() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let added = repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "").await.unwrap();
    let name = credenza_format::slot_key(added.id());
    for copy in [name.clone(), credenza_format::copy_key(&name)] {
        store.tamper(&copy, Some("credenza key 1\n".into()));
    }
    let listed = key_slots(&store).await.unwrap();
    assert_eq!(
        listed.iter().filter(|listed| listed.slot.is_err()).map(|listed| &listed.key).collect::<Vec<_>>(),
        [&name]
    );
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.remove_slot(&added.id().to_string()).await.unwrap();
    assert!(store.stat(&name).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_is_too_short_makes_no_slot() {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let weak = SlotLock::KeyFile(vec![1; 31].into());
    assert!(matches!(repository.add_slot(&weak, Access::Full, "").await, Err(Error::Slot(_))));
    assert_eq!(names(&store, "key/").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_in_plain_text_has_no_keys_to_change() {
    let store = MemoryStore::new();
    create(&store, Secret::None).await;
    let repository = open(&store, &Secret::None).await.unwrap();
    let lock = key_file(1).lock().unwrap();
    assert!(matches!(repository.add_slot(&lock, Access::Full, "").await, Err(Error::NoKeys)));
    assert!(matches!(repository.rotate_keys(&Secret::None, true).await, Err(Error::NoKeys)));
}
