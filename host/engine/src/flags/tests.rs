//! Which flag counts, on which machine, and what who may only write can say.

use std::sync::Arc;

use credenza_connect::memory::MemoryStore;
use credenza_connect::{Payload, PutOptions, Store};
use credenza_format::{Access, Identity, RecipientKind};
use proptest::prelude::*;

use super::*;
use crate::sync::{self, SyncOptions};
use crate::testing::{open, repository, secret, two_machines};
use crate::{RunContext, Secret};

async fn suspicion(repository: &Repository, handle: &SnapshotHandle) -> Option<String> {
    Flags::load(repository).await.unwrap().suspicion(handle).map(|flag| flag.reason.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_machine_sees_the_last_flag_whatever_the_clocks_say() {
    let (_, [first, second], handle) = two_machines().await;
    assert_eq!(suspicion(&first, &handle).await, None);
    for [one, other] in [[&first, &second], [&second, &first]] {
        put_flag(one, &handle, Verdict::Suspect, "all is gone").await.unwrap();
        assert_eq!(suspicion(other, &handle).await.as_deref(), Some("all is gone"));
        let snapshots = other.snapshots().await.unwrap();
        let sources = Flags::load(other).await.unwrap().sources(&snapshots);
        assert_eq!(sources, [handle.snapshot.source.identity.clone()].into());
        put_flag(other, &handle, Verdict::Cleared, "it was me").await.unwrap();
        assert_eq!(suspicion(one, &handle).await, None);
        assert!(Flags::load(one).await.unwrap().sources(&snapshots).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_snapshot_was_looked_at_counts_of_that_object_alone() {
    let (_, [machine, _], handle) = two_machines().await;
    put_flag(&machine, &handle, Verdict::Suspect, "all is gone").await.unwrap();
    let other = SnapshotHandle { digest: credenza_format::Hex([9; 32]), ..handle.clone() };
    put_flag(&machine, &other, Verdict::Cleared, "looked at another").await.unwrap();
    assert!(suspicion(&machine, &handle).await.is_some());
    put_flag(&machine, &handle, Verdict::Cleared, "looked at this").await.unwrap();
    assert_eq!(suspicion(&machine, &handle).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_looked_at_is_not_suspect_again_when_it_is_brought_back_from_a_replica() {
    let (_, [machine, _], handle) = two_machines().await;
    let replica = repository(Arc::new(MemoryStore::new()), secret(), Some(&machine)).await;
    put_flag(&machine, &handle, Verdict::Suspect, "all is gone").await.unwrap();
    put_flag(&machine, &handle, Verdict::Cleared, "looked at this").await.unwrap();
    let carry = async |from: &Repository, to: &Repository| {
        sync::run(from, to, &SyncOptions::default(), &RunContext::default()).await.unwrap();
    };
    carry(&machine, &replica).await;
    crate::remove::run(&machine, std::slice::from_ref(&handle), None).await.unwrap();
    carry(&replica, &machine).await;
    let back = machine.snapshots().await.unwrap().whole.pop().unwrap();
    assert_ne!(back.digest, handle.digest);
    assert_eq!(suspicion(&machine, &back).await, None);
    // And that is the end of it.
    let said = async || Flags::load(&machine).await.unwrap().of(&back).unwrap().at;
    let before = said().await;
    carry(&machine, &replica).await;
    carry(&replica, &machine).await;
    assert_eq!(said().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_cannot_be_read_is_told_to_who_removes() {
    let (store, [machine, _], handle) = two_machines().await;
    put_flag(&machine, &handle, Verdict::Suspect, "all is gone").await.unwrap();
    Flags::load(&machine).await.unwrap().require_whole().unwrap();
    let note = ObjectKind::Note.store_key(ObjectId::new([9; 16]));
    store.put(&note, Payload::from(b"rotten".to_vec()), &PutOptions::default()).await.unwrap();
    let flags = Flags::load(&machine).await.unwrap();
    assert!(matches!(flags.require_whole(), Err(Error::Damage(damage)) if damage.object == note.as_str()));
    assert!(flags.suspicion(&handle).is_some(), "what can be read counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_carries_that_a_snapshot_is_suspect_and_that_it_is_not_any_more() {
    let (_, [machine, _], handle) = two_machines().await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let carry = async || {
        sync::run(&machine, &target, &SyncOptions::default(), &RunContext::default()).await.unwrap();
        target.snapshots().await.unwrap().whole.pop().unwrap()
    };
    put_flag(&machine, &handle, Verdict::Suspect, "all is gone").await.unwrap();
    let twin = carry().await;
    assert_ne!(twin.digest, handle.digest);
    assert!(suspicion(&target, &twin).await.is_some());
    put_flag(&machine, &handle, Verdict::Cleared, "it was me").await.unwrap();
    carry().await;
    assert_eq!(suspicion(&target, &twin).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thief_with_the_keys_of_a_writer_says_counts_for_nothing() {
    let (store, [machine, _], handle) = two_machines().await;
    let writer = Secret::Identity(Identity::generate(RecipientKind::X25519).unwrap());
    machine.add_slot(&writer.lock().unwrap(), Access::Writer, "writer").await.unwrap();
    let thief = open(Arc::new(store.clone()), writer).await;
    let forge = async |verdict| {
        let fact =
            Fact::Flag { snapshot: handle.snapshot.id, digest: handle.digest, verdict, reason: "forged".to_owned() };
        let created = Timestamp { seconds: 4_000_000_000, nanoseconds: 0 };
        let note = Note { created, writer: thief.writer("", "guard"), fact };
        let id = ObjectId::new(random_id().unwrap());
        let sealed = seal_document(thief.keys(), ObjectKind::Note, id, &note.encode().unwrap()).unwrap();
        put(&**thief.bare_store(), sealed, None).await.unwrap();
    };
    forge(Verdict::Suspect).await;
    assert_eq!(suspicion(&machine, &handle).await, None, "it freezes no retention");
    put_flag(&machine, &handle, Verdict::Suspect, "all is gone").await.unwrap();
    forge(Verdict::Cleared).await;
    assert_eq!(suspicion(&machine, &handle).await.as_deref(), Some("all is gone"), "and thaws none");
    assert!(put_flag(&thief, &handle, Verdict::Cleared, "it was me").await.is_err());
}

#[test]
fn a_reason_is_cut_between_characters() {
    let long = "é".repeat(NOTE_TEXT_BYTES_MAX);
    assert_eq!(cut(&long).len(), NOTE_TEXT_BYTES_MAX);
    assert_eq!(cut(&format!("x{long}")).len(), NOTE_TEXT_BYTES_MAX - 1);
    assert_eq!(cut("all is gone"), "all is gone");
}

proptest! {
    #[test]
    fn claims_end_in_the_same_in_any_order(
        claims in proptest::collection::vec((0_i64..4, any::<bool>()), 1..8).prop_shuffle(),
    ) {
        let id = SnapshotId::new([1; 16]);
        let flag = |(seconds, is_suspect): &(i64, bool)| Flag {
            verdict: if *is_suspect { Verdict::Suspect } else { Verdict::Cleared },
            reason: String::new(),
            at: Timestamp { seconds: *seconds, nanoseconds: 0 },
            digest: credenza_format::Hex([0; 32]),
        };
        let mut flags = Flags::default();
        claims.iter().for_each(|claim| flags.hear(id, flag(claim)));
        let last = claims.iter().max().unwrap();
        prop_assert_eq!(&flags.latest[&id], &flag(last));
    }
}
