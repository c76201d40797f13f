use std::sync::Arc;

use credenza_connect::memory::MemoryStore;

use super::*;
use crate::RunContext;
use crate::gc::{self, GcOptions};
use crate::sync::{self, SyncOptions};
use crate::testing::{repository, secret, two_machines};

/// The tag of each snapshot of these tests that it is made with.
const MADE_WITH: &str = "kept";

fn keys(store: &MemoryStore, prefix: &str) -> usize {
    store.keys().iter().filter(|key| key.as_str().starts_with(prefix)).count()
}

async fn change(repository: &Repository, handle: &SnapshotHandle, add: &[&str], remove: &[&str]) -> Tagged {
    let texts = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    let change = Change { add: texts(add), remove: texts(remove) };
    let mut tagged = edit(repository, std::slice::from_ref(handle), &change).await.unwrap().pop().unwrap();
    tagged.tags.retain(|tag| tag != MADE_WITH);
    tagged
}

async fn tags(repository: &Repository) -> Vec<String> {
    let snapshots = repository.snapshots().await.unwrap();
    let edits = TagEdits::load(repository).await.unwrap();
    let mut tags = edits.apply(snapshots).whole.pop().unwrap().snapshot.tags;
    assert_eq!(tags.remove(0), MADE_WITH);
    tags
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_edit_counts_whatever_the_clocks_say() {
    let (_, [first, second], handle) = two_machines().await;
    for [one, other] in [[&first, &second], [&second, &first]] {
        for _ in 0..2 {
            assert!(change(one, &handle, &["keep"], &[]).await.is_changed);
            assert_eq!(tags(other).await, ["keep"]);
            assert!(change(other, &handle, &[], &["keep"]).await.is_changed);
            assert_eq!(tags(one).await, [""; 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_already_is_not_put_on_record() {
    let (store, [machine, _], handle) = two_machines().await;
    let tagged = change(&machine, &handle, &["b", "a"], &["c"]).await;
    assert_eq!((tagged.tags.as_slice(), tagged.is_changed), (["a".to_owned(), "b".to_owned()].as_slice(), true));
    for _ in 0..2 {
        assert!(!change(&machine, &handle, &["a"], &["c"]).await.is_changed);
    }
    assert_eq!(keys(&store, "note/"), 1);
}

#[test]
fn claims_that_know_nothing_of_each_other_end_in_the_same_in_any_order() {
    let id = SnapshotId::new([1; 16]);
    let claim = |is_set, seconds| TagEdit {
        snapshot: id,
        tag: "x".to_owned(),
        is_set,
        at: Timestamp { seconds, nanoseconds: 0 },
    };
    let claims = [claim(true, 5), claim(false, 5), claim(false, 4), claim(true, 3)];
    for first in 0..claims.len() {
        let mut edits = TagEdits::default();
        claims.iter().cycle().skip(first).take(claims.len()).for_each(|claim| edits.hear(claim.clone()));
        assert!(edits.get(id, "x").unwrap().is_set, "{first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_none_is_refused() {
    let (_, [machine, _], handle) = two_machines().await;
    for tag in [String::new(), "x".repeat(TAG_BYTES_MAX + 1)] {
        let change = Change { add: vec![tag], remove: Vec::new() };
        let refused = edit(&machine, std::slice::from_ref(&handle), &change).await;
        assert!(matches!(refused, Err(Error::InvalidTag { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_cannot_be_read_is_told_to_who_must_not_miss_one() {
    use credenza_connect::{Payload, PutOptions, Store};
    let (store, [machine, _], handle) = two_machines().await;
    change(&machine, &handle, &["keep"], &[]).await;
    TagEdits::load(&machine).await.unwrap().require_whole().unwrap();
    let note = ObjectKind::Note.store_key(ObjectId::new([9; 16]));
    store.put(&note, Payload::from(b"rotten".to_vec()), &PutOptions::default()).await.unwrap();
    let edits = TagEdits::load(&machine).await.unwrap();
    assert!(matches!(edits.require_whole(), Err(Error::Damage(damage)) if damage.object == note.as_str()));
    assert_eq!(tags(&machine).await, ["keep"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_carries_edits_and_a_later_one_at_the_target_stays() {
    let (_, [early, late], handle) = two_machines().await;
    change(&early, &handle, &["keep", "old"], &[]).await;
    let target = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let carry = async || {
        sync::run(&early, &target, &SyncOptions::default(), &RunContext::default()).await.unwrap();
    };
    carry().await;
    assert_eq!(tags(&target).await, ["keep", "old"]);
    change(&late, &handle, &[], &["old"]).await;
    carry().await;
    assert_eq!(tags(&target).await, ["keep"]);
    let twin = target.snapshots().await.unwrap().whole.pop().unwrap();
    change(&target, &twin, &["here"], &["keep"]).await;
    carry().await;
    assert_eq!(tags(&target).await, ["here"], "that it is there already takes nothing back");
    sync::run(&target, &early, &SyncOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!(tags(&early).await, ["here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_notes_become_one_that_says_the_same_of_the_snapshots_that_are_there() {
    let (store, [machine, _], handle) = two_machines().await;
    let gone = SnapshotHandle {
        snapshot: credenza_format::Snapshot { id: SnapshotId::new([7; 16]), ..handle.snapshot.clone() },
        ..handle.clone()
    };
    change(&machine, &gone, &["gone"], &[]).await;
    for number in 0..NOTES_MAX {
        change(&machine, &handle, &[&format!("t{number:02}")], &[]).await;
    }
    let before = tags(&machine).await;
    assert_eq!((before.len(), keys(&store, "note/")), (NOTES_MAX, NOTES_MAX + 1));
    gc::run(&machine, &GcOptions::default(), &RunContext::default()).await.unwrap();
    assert_eq!((tags(&machine).await, keys(&store, "note/")), (before, 1));
    assert_eq!(TagEdits::load(&machine).await.unwrap().claims.len(), NOTES_MAX);
}
