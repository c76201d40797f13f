//! A new epoch, and every place at which the way to it can be cut off.

use std::sync::Arc;

use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::{Error, Repository, RunContext, Secret, SnapshotName};
use credenza_format::{Access, Header, Identity, RecipientKind, config_key};

use crate::{back_up, copy, create, expect_restored, expect_whole, key_file, names, open, source};

/// A repository with one snapshot that opens by key file, with a reader and a writer among its recipients.
async fn with_recipients() -> (MemoryStore, Secret, Secret) {
    let store = MemoryStore::new();
    create(&store, key_file(1)).await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let identities =
        [Identity::generate(RecipientKind::X25519).unwrap(), Identity::generate(RecipientKind::X25519).unwrap()]
            .map(Secret::Identity);
    for (identity, access) in identities.iter().zip([Access::Full, Access::Writer]) {
        repository.add_slot(&identity.lock().unwrap(), access, "recipient").await.unwrap();
    }
    back_up(&repository, &source(1)).await;
    let [reader, writer] = identities;
    (store, reader, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_the_caller_and_recipients_read_old_and_new() {
    let (store, reader, writer) = with_recipients().await;
    let old_slots = names(&store, "key/");
    let repository = open(&store, &key_file(1)).await.unwrap();
    let old = repository.find(&SnapshotName("latest".to_owned())).await.unwrap().snapshot.id.to_string();
    let rotation = repository.rotate_keys(&key_file(1), false).await.unwrap();
    assert_eq!((rotation.epoch, rotation.renewed.len(), rotation.removed.len()), (1, 3, 0));
    assert!(names(&store, "key/").iter().all(|slot| !old_slots.contains(slot)), "every slot is a new one");

    let new = back_up(&open(&store, &writer).await.unwrap(), &source(2)).await.snapshot.unwrap().to_string();
    for secret in [key_file(1), reader] {
        let repository = open(&store, &secret).await.unwrap();
        assert_eq!(repository.config().epoch, 1);
        expect_restored(&repository, &old, 1).await;
        expect_restored(&repository, &new, 2).await;
        expect_whole(&repository).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_brings_old_packs_under_the_new_keys() {
    let (store, reader, _) = with_recipients().await;
    let old = open(&store, &reader).await.unwrap().find(&SnapshotName("latest".to_owned())).await.unwrap();
    open(&store, &key_file(1)).await.unwrap().rotate_keys(&key_file(1), false).await.unwrap();
    let repository = open(&store, &key_file(1)).await.unwrap();
    let report = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert!(report.repacked > 0 && report.deleted == report.repacked, "{report:?}");
    for pack in names(&store, "data/").into_iter().chain(names(&store, "meta/")) {
        assert_eq!(Header::decode(&store.bytes(&pack).unwrap()).unwrap().epoch(), 1, "{pack}");
    }
    expect_restored(&repository, &old.snapshot.id.to_string(), 1).await;
    expect_whole(&repository).await;
    let again = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!(again.repacked, 0, "what is under the new keys stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_copied_an_old_slot_reads_nothing_that_came_after() {
    let (store, reader, _) = with_recipients().await;
    let before = copy(&store).await;
    open(&store, &key_file(1)).await.unwrap().rotate_keys(&key_file(1), false).await.unwrap();
    let new = back_up(&open(&store, &key_file(1)).await.unwrap(), &source(2)).await.snapshot.unwrap();
    // The old slots and the old config, put back beside what was written since.
    for key in names(&before, "key/").into_iter().chain([config_key()]) {
        let bytes = before.bytes(&key).unwrap();
        store.put(&key, Payload::from(bytes.to_vec()), &PutOptions::default()).await.unwrap();
    }
    for key in names(&store, "key/").into_iter().filter(|key| before.bytes(key).is_none()) {
        store.tamper(&key, None);
    }
    let stale = open(&store, &reader).await.unwrap();
    let damaged = stale.snapshots().await.unwrap().damaged;
    assert!(damaged.iter().any(|damage| damage.damage.object.ends_with(&new.to_string())), "{damaged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_cannot_be_renewed_are_named_and_go_only_when_told() {
    let (store, ..) = with_recipients().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    let other = repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "laptop").await.unwrap();
    let before = store.keys();
    let refused = repository.rotate_keys(&key_file(1), false).await.unwrap_err();
    assert!(matches!(&refused, Error::SlotsNotRenewable { slots } if slots.contains("laptop")), "{refused}");
    assert_eq!(store.keys(), before, "nothing was written");
    let rotation = open(&store, &key_file(1)).await.unwrap().rotate_keys(&key_file(1), true).await.unwrap();
    assert_eq!(rotation.removed, [credenza_format::slot_key(other.id())]);
    assert!(matches!(open(&store, &key_file(2)).await, Err(Error::WrongSecret { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_anywhere_the_caller_reads_everything_and_another_run_finishes() {
    let (whole, reader, _) = with_recipients().await;
    let open_all = open(&whole, &key_file(1)).await.unwrap();
    open_all.add_slot(&key_file(2).lock().unwrap(), Access::Full, "other").await.unwrap();
    // Three new slots and the config are put, then four old slots are deleted, each with its copy.
    let steps = (1..=8).map(|n| (call::PUT, n)).chain((1..=8).map(|n| (call::DELETE, n)));
    for (name, number) in steps {
        for kind in [FaultKind::Fail(ErrorClass::Denied), FaultKind::LoseAnswer] {
            let store = copy(&whole).await;
            let faulty = Fault::new(Arc::new(store.clone()), 1).at(name, number, kind);
            let repository = Repository::open(Arc::new(faulty), &key_file(1), None).await.unwrap();
            let cut = repository.rotate_keys(&key_file(1), true).await;
            assert!(cut.is_err(), "{name} {number} {kind:?}");

            let repository = open(&store, &key_file(1)).await.unwrap();
            let new = back_up(&repository, &source(3)).await.snapshot.unwrap().to_string();
            let again = open(&store, &key_file(1)).await.unwrap();
            expect_restored(&again, &new, 3).await;
            expect_whole(&again).await;

            again.rotate_keys(&key_file(1), true).await.unwrap();
            for secret in [key_file(1), reader.clone()] {
                let finished = open(&store, &secret).await.unwrap();
                expect_whole(&finished).await;
                assert_eq!(finished.snapshots().await.unwrap().whole.len(), 2);
            }
            assert_eq!(names(&store, "key/").len(), 3, "{name} {number} {kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_a_rotation_left_behind_is_refused_with_its_reason() {
    let (store, ..) = with_recipients().await;
    let repository = open(&store, &key_file(1)).await.unwrap();
    repository.add_slot(&key_file(2).lock().unwrap(), Access::Full, "other").await.unwrap();
    let no_deletes =
        Fault::new(Arc::new(store.clone()), 1).one_in(call::DELETE, 1, FaultKind::Fail(ErrorClass::Denied));
    let repository = Repository::open(Arc::new(no_deletes), &key_file(1), None).await.unwrap();
    assert!(repository.rotate_keys(&key_file(1), true).await.is_err(), "old slots that stay are no success");
    assert!(matches!(open(&store, &key_file(2)).await, Err(Error::StaleSlot { label, .. }) if label == "other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rotations_at_once_one_is_refused() {
    let (store, ..) = with_recipients().await;
    let (first, second) = (open(&store, &key_file(1)).await.unwrap(), open(&store, &key_file(1)).await.unwrap());
    first.rotate_keys(&key_file(1), false).await.unwrap();
    let refused = second.rotate_keys(&key_file(1), true).await;
    assert!(matches!(refused, Err(Error::ConcurrentChange { .. })));
    expect_whole(&open(&store, &key_file(1)).await.unwrap()).await;
}
