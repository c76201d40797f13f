//! The config and key slots are kept twice: either copy opens the repository, the other is named, and repair writes it again.

use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_engine::check::{self, CheckOptions};
use credenza_engine::repair::{self, Mend, RepairOptions};
use credenza_engine::{CreateOptions, DamageKind, Error, Repository, RunContext, Secret, SlotLock, key_slots};
use credenza_format::{
    Access, Identity, KeySlot, Keyring, NewSlot, Policy, RecipientKind, config_key, copy_key, slot_key,
};
use credenza_model::{StoreKey, Timestamp};

use super::{back_up, create, expect_restored, expect_whole, key_file, names, open, source};

/// A repository with two key slots and a snapshot.
async fn repository() -> (MemoryStore, String) {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "second").await.unwrap();
    let snapshot = back_up(&repository, &source(1)).await.snapshot.unwrap();
    (store, snapshot.to_string())
}

fn texts(store: &MemoryStore) -> Vec<StoreKey> {
    ["config", "key/", "copy/"].into_iter().flat_map(|prefix| names(store, prefix)).collect()
}

/// What can be done to an object by whoever has no key.
fn injuries(bytes: &Bytes) -> [Option<Bytes>; 3] {
    let mut flipped = bytes.to_vec();
    flipped[60] ^= 1;
    [None, Some(flipped.into()), Some(bytes.slice(..bytes.len() / 2))]
}

async fn mended(repository: &Repository) -> Vec<Mend> {
    let options = RepairOptions { apply: true, ..RepairOptions::default() };
    let report = repair::run(repository, &options, &RunContext::default()).await.unwrap();
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    report.mends
}

#[tokio::test]
async fn whichever_text_is_gone_or_damaged_its_copy_opens_the_repository_and_repair_writes_it_again() {
    let (store, snapshot) = repository().await;
    for key in texts(&store) {
        let whole = store.bytes(&key).unwrap();
        for injury in injuries(&whole) {
            store.tamper(&key, injury.clone());
            for secret in [key_file(1), key_file(2)] {
                let repository = open(&store, &secret).await.unwrap();
                expect_restored(&repository, &snapshot, 1).await;
                let reported = repository.opened_despite();
                assert!(reported.iter().all(|damage| damage.object == key.as_str()), "{reported:?}");
                let is_needed = key == config_key() || key == own(&repository);
                assert_eq!(reported.is_empty(), !is_needed, "{key}: {reported:?}");
            }
            let repository = open(&store, &key_file(1)).await.unwrap();
            assert_eq!(mended(&repository).await, [Mend::Restored { object: key.clone() }]);
            assert_eq!(store.bytes(&key), Some(whole.clone()), "{key}");
            expect_whole(&open(&store, &key_file(1)).await.unwrap()).await;
        }
    }
}

#[tokio::test]
async fn a_lost_config_is_told_at_opening_and_keeps_a_second_repository_from_being_created() {
    let (store, _) = repository().await;
    store.tamper(&config_key(), None);
    let repository = open(&store, &key_file(1)).await.unwrap();
    assert_eq!(repository.opened_despite()[0].kind, DamageKind::Missing);
    assert!(repository.set_policy(None).await.is_err(), "nothing is written over what is not understood");
    let options = CreateOptions::new(key_file(1));
    let refused = Repository::create(Arc::new(store), &options).await;
    assert!(matches!(refused, Err(Error::RepositoryExists { .. })));
}

#[tokio::test]
async fn what_a_disk_has_lost_or_nobody_may_read_is_read_by_its_copy() {
    let (store, _) = repository().await;
    for class in [ErrorClass::Corrupt, ErrorClass::Denied] {
        // The config and its copy, then two slots and theirs: each by itself.
        for number in 1..=6 {
            let failing = Fault::new(Arc::new(store.clone()), 1).at(call::GET, number, FaultKind::Fail(class));
            let repository = Repository::open(Arc::new(failing), &key_file(1), None).await.unwrap();
            let named: Vec<&str> = repository.opened_despite().iter().map(|damage| damage.object.as_str()).collect();
            assert_eq!(named.contains(&"config"), number == 1, "{class:?} {number}: {named:?}");
        }
    }
}

#[tokio::test]
async fn no_repository_is_created_over_what_is_left_of_another() {
    let kept = ["snapshot/", "index/", "meta/", "data/"];
    for folder in kept {
        let (store, _) = repository().await;
        let gone: Vec<StoreKey> = store.keys().into_iter().filter(|key| !key.as_str().starts_with(folder)).collect();
        gone.iter().for_each(|key| store.tamper(key, None));
        let left = store.keys();
        let refused = Repository::create(Arc::new(store.clone()), &CreateOptions::new(key_file(1))).await;
        assert!(
            matches!(&refused, Err(Error::Remains { example, .. }) if left.contains(example)),
            "{folder}: {refused:?}"
        );
        assert_eq!(store.keys(), left, "nothing was written");
    }
    // What an attempt that was cut off leaves, and what is nobody's, is in nobody's way.
    let (store, _) = repository().await;
    let is_of_create = |key: &StoreKey| key.as_str().starts_with("key/") || key.as_str().starts_with("copy/key/");
    let gone: Vec<StoreKey> = store.keys().into_iter().filter(|key| !is_of_create(key)).collect();
    gone.iter().for_each(|key| store.tamper(key, None));
    let stray = StoreKey::new("snapshot/notes.txt").unwrap();
    store.put(&stray, Payload::from(b"a folder".to_vec()), &PutOptions::default()).await.unwrap();
    Repository::create(Arc::new(store), &CreateOptions::new(key_file(1))).await.unwrap();
}

#[tokio::test]
async fn a_repository_in_plain_text_that_was_put_in_place_is_not_passed_over_in_silence() {
    let (store, _) = repository().await;
    let other = MemoryStore::new();
    create(&other, Secret::None).await;
    store.tamper(&config_key(), other.bytes(&config_key()));
    assert!(matches!(open(&store, &key_file(1)).await, Err(Error::NotEncrypted)));
    // Nor is an encrypted one opened without a secret because its copy says that none is needed.
    let (store, _) = repository().await;
    store.tamper(&copy_key(&config_key()), other.bytes(&config_key()));
    assert!(matches!(open(&store, &Secret::None).await, Err(Error::SecretMissing)));
}

#[tokio::test]
async fn an_older_config_put_back_is_found_by_its_copy() {
    let (store, _) = repository().await;
    let older = store.bytes(&config_key());
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.set_policy(Some(Policy { last: 3, ..Policy::default() })).await.unwrap();
    let newer = store.bytes(&config_key());
    store.tamper(&config_key(), older);
    let repository = open(&store, &key_file(1)).await.unwrap();
    let report = check::run(&repository, &CheckOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!(report.findings[0].damage.object, "config");
    assert_eq!(mended(&repository).await, [Mend::Restored { object: config_key() }]);
    assert_eq!(store.bytes(&config_key()), newer);
}

#[tokio::test]
async fn a_slot_that_is_removed_changed_or_rotated_takes_its_copy_along() {
    let (store, snapshot) = repository().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let second = repository.key_slots().await.unwrap().into_iter().find(|slot| slot.key != own(&repository)).unwrap();
    repository.remove_slot(second.id()).await.unwrap();
    assert_eq!((names(&store, "key/").len(), names(&store, "copy/key/").len()), (1, 1));
    repository.rotate_keys(&key_file(1), false).await.unwrap();
    assert_eq!((names(&store, "key/").len(), names(&store, "copy/key/").len()), (1, 1));
    let repository = open(&store, &key_file(1)).await.unwrap();
    expect_restored(&repository, &snapshot, 1).await;
    assert_eq!(mended(&repository).await, []);
}

fn own(repository: &Repository) -> StoreKey {
    slot_key(repository.slot().unwrap().id())
}

/// Somebody who can write to the store puts a slot there that is sealed to them, whatever it wraps.
async fn forge(store: &MemoryStore, repository: &Repository, identity: &Identity) -> StoreKey {
    let keyring = Keyring::generate().unwrap();
    let new = NewSlot {
        keyring: &keyring,
        access: Access::Full,
        repository: repository.config().repository,
        label: "office",
        created: Timestamp { seconds: 1_800_000_000, nanoseconds: 0 },
    };
    let slot = KeySlot::seal_recipient(&new, &identity.recipient()).unwrap();
    let key = slot_key(slot.id());
    store.put(&key, Payload::from(slot.encode()), &PutOptions::default()).await.unwrap();
    key
}

#[tokio::test]
async fn a_forged_slot_is_named_and_is_not_given_the_keys_by_a_rotation() {
    let (store, _) = repository().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let thief = Identity::generate(RecipientKind::X25519).unwrap();
    let forged = forge(&store, &repository, &thief).await;
    assert!(key_slots(&store).await.unwrap().iter().any(|slot| slot.key == forged && slot.slot.is_ok()));
    let verified = repository.key_slots().await.unwrap();
    assert!(verified.iter().any(|slot| slot.key == forged && slot.slot.is_err()), "with the keys it is known");
    let report = check::run(&repository, &CheckOptions::default(), &RunContext::default()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.damage.object == forged.as_str()));
    repository.rotate_keys(&key_file(1), true).await.unwrap();
    for listed in key_slots(&store).await.unwrap() {
        let repository = open(&store, &key_file(1)).await.unwrap().config().repository;
        assert!(listed.slot.unwrap().open_recipient(repository, &thief).is_err(), "the thief was given the keys");
    }
}

#[tokio::test]
async fn a_label_that_somebody_changed_is_shown_by_nobody_who_has_the_keys() {
    let (store, _) = repository().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let lock = SlotLock::Recipient(Identity::generate(RecipientKind::X25519).unwrap().recipient());
    let slot = repository.add_slot(&lock, Access::Full, "office").await.unwrap();
    let key = slot_key(slot.id());
    let text = String::from_utf8(store.bytes(&key).unwrap().to_vec()).unwrap().replace("office", "attic!");
    let lines: String = text.split_inclusive('\n').take(3).collect();
    let changed = format!("{lines}blake3 {}\n", blake3::hash(lines.as_bytes()).to_hex());
    store.tamper(&key, Some(changed.into()));
    let label = |listed: Vec<credenza_engine::ListedSlot>| {
        let found = listed.into_iter().find(|listed| listed.key == key).unwrap();
        found.slot.unwrap().label().to_owned()
    };
    assert_eq!(label(key_slots(&store).await.unwrap()), "attic!");
    assert_eq!(label(repository.key_slots().await.unwrap()), "office", "by its copy");
    assert_eq!(mended(&repository).await, [Mend::Restored { object: key.clone() }]);
}
