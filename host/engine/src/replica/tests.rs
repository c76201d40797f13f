//! Replicas in memory: what they refuse, what they find, what makes them primaries, and what is left where a run is cut off.

use std::sync::Arc;

use credenza_connect::Store;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Payload, PutOptions};
use credenza_format::{Fact, Hex, Note, ObjectKind, OriginHead, Replica, seal_document};
use credenza_model::{ObjectId, StoreKey};

use super::*;
use crate::backup::{self, BackupOptions};
use crate::gc::{self, GcOptions};
use crate::repository::{fetch, list, random_id};
use crate::shards::{self, MergeOptions};
use crate::sync::{self, SyncOptions};
use crate::tags::{self, Change};
use crate::testing::{handle, open, repository, secret, snapshot};
use crate::{RunContext, Secret, remove, repair};

/// Two sides, and what is below them.
struct Pair {
    origin_store: Arc<MemoryStore>,
    target_store: Arc<MemoryStore>,
    origin: Repository,
    target: Repository,
    source: MemorySource,
}

impl Pair {
    async fn with(secret: impl Fn() -> Secret) -> Self {
        let (origin_store, target_store) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let origin = repository(origin_store.clone(), secret(), None).await;
        let target = repository(target_store.clone(), secret(), None).await;
        let source = MemorySource::new();
        source.put("a", b"one".to_vec());
        Self { origin_store, target_store, origin, target, source }
    }

    /// A replica that has one snapshot.
    async fn replica() -> Self {
        let mut pair = Self::with(secret).await;
        pair.back_up("b").await;
        sync(&pair.origin, &pair.target).await.unwrap();
        keep_heads(&pair.origin, &pair.target, &KeepOptions::default()).await.unwrap();
        pair.reopen().await;
        pair
    }

    async fn back_up(&self, name: &str) -> SnapshotId {
        self.source.put(name, name.as_bytes().to_vec());
        snapshot(&self.origin, &self.source).await
    }

    async fn reopen(&mut self) {
        self.origin = open(self.origin_store.clone(), secret()).await;
        self.target = open(self.target_store.clone(), secret()).await;
    }

    fn id(&self) -> RepositoryId {
        self.origin.config().repository
    }

    async fn notes(&self) -> usize {
        names(&*self.target_store, "note/").await.len()
    }
}

async fn sync(origin: &Repository, target: &Repository) -> Result<sync::SyncReport> {
    sync::run(origin, target, &SyncOptions::default(), &RunContext::default()).await
}

async fn names(store: &dyn Store, prefix: &str) -> Vec<StoreKey> {
    list(store, prefix).await.unwrap().into_iter().map(|object| object.key).collect()
}

/// All that a store holds.
async fn copy_of(store: &MemoryStore) -> Arc<MemoryStore> {
    let copy = MemoryStore::new();
    copy_into(store, &copy, "").await;
    Arc::new(copy)
}

async fn copy_into(from: &dyn Store, to: &MemoryStore, prefix: &str) {
    for key in names(from, prefix).await {
        let bytes = fetch(from, &key).await.unwrap().unwrap().unwrap();
        to.put(&key, Payload::from(bytes.to_vec()), &PutOptions::default()).await.unwrap();
    }
}

async fn refused<T>(answer: impl Future<Output = Result<T>>) -> String {
    answer.await.err().expect("it is refused").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_refuses_backups_and_the_upkeep_of_others_and_says_whose_it_is() {
    let pair = Pair::replica().await;
    let (target, id, run) = (&pair.target, pair.id(), RunContext::default());
    assert!(matches!(state(target), Some(Role::Replica { origin, .. }) if origin == id));
    let source = Arc::new(pair.source.clone());
    let text = refused(backup::run(target, source, &BackupOptions::default(), &run)).await;
    assert_eq!(
        text,
        format!("this repository is a replica of {id}: backing up is for its replication to do; nothing was done")
    );
    let whole = target.snapshots().await.unwrap().whole;
    let text = refused(remove::run(target, &whole, None)).await;
    assert!(text.ends_with("removing snapshots is for its replication to do; nothing was done"), "{text}");
    let text = refused(tags::edit(target, &whole, &Change::default())).await;
    assert!(text.ends_with("changing tags is for its replication to do; nothing was done"), "{text}");
    let text = refused(gc::run(target, &GcOptions::default(), &run)).await;
    assert!(text.ends_with("reclaiming space is for its replication to do; nothing was done"), "{text}");
    gc::run(target, &GcOptions { dry_run: true, ..GcOptions::default() }, &run).await.unwrap();
    let text = refused(shards::merge(target, &MergeOptions::default(), &run)).await;
    assert!(text.ends_with("merging parts is for its replication to do; nothing was done"), "{text}");
    let replacing = repair::RepairOptions { apply: true, replace_snapshots: true, ..repair::RepairOptions::default() };
    let text = refused(repair::run(target, &replacing, &run)).await;
    assert!(text.ends_with("replacing snapshots is for its replication to do; nothing was done"), "{text}");
    repair::run(target, &repair::RepairOptions::default(), &run).await.unwrap();
    // Its own replication may.
    let trusted = in_charge(&pair.origin, target).unwrap();
    remove::run(&trusted, &whole, None).await.unwrap();
    gc::run(&trusted, &GcOptions::default(), &run).await.unwrap();
    assert!(target.snapshots().await.unwrap().whole.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_from_its_origin_alone() {
    let pair = Pair::replica().await;
    let other = Pair::with(secret).await;
    other.back_up("c").await;
    let text = refused(sync(&other.origin, &pair.target)).await;
    let (id, strange) = (pair.id(), other.id());
    assert_eq!(
        text,
        format!(
            "the target is a replica of repository {id}, and these snapshots are from {strange}; nothing was carried"
        )
    );
    assert!(matches!(in_charge(&other.origin, &pair.target), Err(Error::ReplicaOfAnother { .. })));
    pair.back_up("c").await;
    assert_eq!(sync(&pair.origin, &pair.target).await.unwrap().copied.len(), 1);
    // It is read by whoever likes, and gives to anybody.
    assert_eq!(sync(&pair.target, &other.target).await.unwrap().copied.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_with_snapshots_of_its_own_becomes_no_replica() {
    let pair = Pair::with(secret).await;
    pair.back_up("b").await;
    snapshot(&pair.target, &pair.source).await;
    let answer = keep_heads(&pair.origin, &pair.target, &KeepOptions::default()).await;
    assert!(matches!(answer, Err(Error::OwnSnapshots { snapshots: 1, .. })), "{answer:?}");
    let answer = keep_heads(&pair.origin, &pair.origin, &KeepOptions::default()).await;
    assert!(matches!(answer, Err(Error::OwnReplica { .. })), "{answer:?}");
    assert_eq!((state(&open(pair.target_store.clone(), secret()).await), pair.notes().await), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_written_only_when_they_are_others() {
    let pair = Pair::replica().await;
    assert_eq!(pair.notes().await, 1);
    let first = kept(&pair.target, &[]).await.unwrap().unwrap();
    let again = keep_heads(&pair.origin, &pair.target, &KeepOptions::default()).await.unwrap();
    assert_eq!((&again, pair.notes().await), (&first, 1));
    pair.back_up("c").await;
    let report = sync(&pair.origin, &pair.target).await.unwrap();
    let next = report.heads.unwrap();
    assert!(next.as_of > first.as_of && report.retreats.is_empty(), "{next:?}");
    assert_eq!((kept(&pair.target, &[]).await.unwrap().unwrap(), pair.notes().await), (next, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_was_put_back_to_yesterday_is_found_once_and_nothing_goes_at_the_target() {
    let mut pair = Pair::replica().await;
    let yesterday = copy_of(&pair.origin_store).await;
    let today = pair.back_up("c").await;
    let sequence = handle(&pair.origin, today).await.snapshot.sequence;
    sync(&pair.origin, &pair.target).await.unwrap();
    pair.origin_store = yesterday;
    pair.reopen().await;
    let report = sync(&pair.origin, &pair.target).await.unwrap();
    let [retreat] = report.retreats.as_slice() else { panic!("{:?}", report.retreats) };
    assert_eq!((retreat.sequence, retreat.snapshot), (sequence, Some(today)));
    assert_eq!(retreat.became, Became::Cut { newest: Some(sequence - 1) });
    let text = retreat.to_string();
    assert!(text.starts_with(&format!("repository {} was rolled back or cut: on ", pair.id())), "{text}");
    assert!(text.ends_with(&format!("the replica has it as {today}")), "{text}");
    assert_eq!(pair.target.snapshots().await.unwrap().whole.len(), 2);
    // Another snapshot takes the place: what was told is not told again.
    pair.back_up("d").await;
    let report = sync(&pair.origin, &pair.target).await.unwrap();
    assert_eq!((report.retreats, report.copied.len()), (vec![], 1));
    assert_eq!(pair.target.snapshots().await.unwrap().whole.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_whose_chain_went_on_from_yesterday_is_found_too() {
    let mut pair = Pair::replica().await;
    let yesterday = copy_of(&pair.origin_store).await;
    pair.back_up("c").await;
    sync(&pair.origin, &pair.target).await.unwrap();
    pair.origin_store = yesterday;
    pair.reopen().await;
    pair.back_up("d").await;
    let retreats = sync(&pair.origin, &pair.target).await.unwrap().retreats;
    assert!(matches!(retreats.as_slice(), [Retreat { became: Became::Replaced, .. }]), "{retreats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_on_record_at_the_origin_is_no_retreat_and_what_is_damaged_neither() {
    let pair = Pair::replica().await;
    let gone = pair.back_up("c").await;
    sync(&pair.origin, &pair.target).await.unwrap();
    remove::run(&pair.origin, &[handle(&pair.origin, gone).await], None).await.unwrap();
    assert_eq!(sync(&pair.origin, &pair.target).await.unwrap().retreats, []);
    let damaged = pair.back_up("d").await;
    sync(&pair.origin, &pair.target).await.unwrap();
    let key = handle(&pair.origin, damaged).await.store_key();
    pair.origin_store.put(&key, Payload::from(b"noise".to_vec()), &PutOptions::default()).await.unwrap();
    let before = kept(&pair.target, &[]).await.unwrap();
    let report = sync(&pair.origin, &pair.target).await.unwrap();
    assert_eq!((report.retreats.len(), report.failed, report.heads), (0, 1, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_never_carried_and_is_damaged_is_told_when_it_is_gone() {
    let mut pair = Pair::replica().await;
    let left_out = pair.back_up("c").await;
    keep_heads(&pair.origin, &pair.target, &KeepOptions::default()).await.unwrap();
    let key = handle(&pair.origin, left_out).await.store_key();
    pair.origin_store.tamper(&key, Some(b"noise".to_vec().into()));
    pair.reopen().await;
    let there = pair.origin.snapshots().await.unwrap();
    assert_eq!(there.damaged.len(), 1);
    assert_eq!(retreats((&pair.origin, &there), &pair.target, &[]).await.unwrap(), []);
    pair.origin_store.tamper(&key, None);
    pair.reopen().await;
    let there = pair.origin.snapshots().await.unwrap();
    let told = retreats((&pair.origin, &there), &pair.target, &[]).await.unwrap();
    assert!(matches!(told.as_slice(), [Retreat { snapshot: None, became: Became::Cut { .. }, .. }]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_wait_to_be_merged_are_no_heads() {
    let pair = Pair::replica().await;
    let mut there = pair.origin.snapshots().await.unwrap();
    assert_eq!(heads::of(&there).len(), 1);
    there.parts = std::mem::take(&mut there.whole);
    assert_eq!(heads::of(&there), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_was_deleted_and_made_again_is_another_repository() {
    let pair = Pair::replica().await;
    let again = repository(Arc::new(MemoryStore::new()), secret(), Some(&pair.origin)).await;
    assert!(matches!(sync(&again, &pair.target).await, Err(Error::ReplicaOfAnother { .. })));
    assert_eq!(pair.target.snapshots().await.unwrap().whole.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_put_back_keeps_older_heads_than_its_replication_remembers() {
    let mut pair = Pair::replica().await;
    let yesterday = copy_of(&pair.target_store).await;
    pair.back_up("c").await;
    let remembered = sync(&pair.origin, &pair.target).await.unwrap().heads.unwrap();
    pair.target_store = yesterday;
    pair.reopen().await;
    let found = kept(&pair.target, &[]).await.unwrap().unwrap();
    assert!(found.as_of < remembered.as_of, "{found:?} {remembered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_takes_backups_and_nothing_from_its_old_origin() {
    let mut pair = Pair::replica().await;
    let Role::Promoted { origin, at } = promote(&pair.target).await.unwrap() else { panic!("it is promoted") };
    assert_eq!(origin, pair.id());
    pair.reopen().await;
    let said = refused(sync(&pair.origin, &pair.target)).await;
    let id = pair.id();
    assert_eq!(
        said,
        format!("it was a replica of repository {id} and was promoted at {at}: it takes nothing from there since")
    );
    let again = keep_heads(&pair.origin, &pair.target, &KeepOptions::default()).await;
    assert!(matches!(again, Err(Error::Promoted { .. })), "{again:?}");
    assert_eq!(promote(&pair.target).await.unwrap(), Role::Promoted { origin, at }, "once is enough");
    // Both sides are written to: it is found, and the old origin takes what the new primary has.
    let here = snapshot(&pair.target, &pair.source).await;
    let there = pair.back_up("c").await;
    let (origin, target) = (pair.origin.snapshots().await.unwrap(), pair.target.snapshots().await.unwrap());
    let both = divided(&origin, &target);
    assert_eq!((both.is_split(), both), (true, Divided { at_origin: vec![there], at_target: vec![here] }));
    assert_eq!(sync(&pair.target, &pair.origin).await.unwrap().copied, [here]);
    assert!(matches!(promote(&pair.origin).await, Err(Error::NoReplica { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_old_note_undoes_a_promotion_and_no_run_that_began_before_it() {
    let mut pair = Pair::replica().await;
    let before = pair.target.clone();
    promote(&pair.target).await.unwrap();
    pair.reopen().await;
    pair.back_up("c").await;
    // The run had opened the replica before it was promoted.
    let late = sync(&pair.origin, &before).await;
    assert!(matches!(late, Err(Error::Promoted { .. })), "{late:?}");
    let heads = vec![OriginHead { writer: Hex([1; 16]), sequence: 99, digest: Hex([2; 32]) }];
    put_heads(&pair.target, Replica { origin: pair.id(), as_of: FAR, heads, signer: None, signature: None }).await;
    pair.reopen().await;
    assert!(matches!(state(&pair.target), Some(Role::Promoted { .. })));
}

const FAR: Timestamp = Timestamp { seconds: 4_000_000_000, nanoseconds: 0 };

/// A note that somebody puts into a repository with the keys that they have.
async fn put_heads(repository: &Repository, replica: Replica) {
    let note = Note { created: FAR, writer: Hex([1; 16]), fact: Fact::Replica(replica) };
    let id = ObjectId::new(random_id().unwrap());
    let sealed = seal_document(repository.keys(), ObjectKind::Note, id, &note.encode().unwrap()).unwrap();
    crate::write::put(&**repository.bare_store(), sealed, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_heads_do_not_count_without_the_keys_or_the_signer_who_is_trusted() {
    let pair = Pair::with(|| Secret::None).await;
    snapshot(&pair.origin, &pair.source).await;
    let key = SigningKey::from_seed(&[5; 32]);
    let options = KeepOptions { signing_key: Some(key.clone()), trusted: vec![key.public()] };
    let signed = keep_heads(&pair.origin, &pair.target, &options).await.unwrap();
    assert_eq!(signed.signer, Some(key.public()));
    let target = open(pair.target_store.clone(), Secret::None).await;
    // Anybody can write to a repository in plain text.
    let forged = Replica { origin: pair.id(), as_of: FAR, heads: Vec::new(), signer: None, signature: None };
    put_heads(&target, forged.clone()).await;
    put_heads(&target, forged.clone().signed(&SigningKey::from_seed(&[6; 32]))).await;
    assert_eq!(kept(&target, &options.trusted).await.unwrap(), Some(signed));
    // In an encrypted one, a note that was sealed with other keys is none.
    let pair = Pair::replica().await;
    let before = kept(&pair.target, &[]).await.unwrap();
    let strange = repository(Arc::new(MemoryStore::new()), secret(), Some(&pair.target)).await;
    put_heads(&strange, Replica { origin: pair.id(), ..forged }).await;
    copy_into(&**strange.bare_store(), &pair.target_store, "note/").await;
    assert_eq!(kept(&pair.target, &[]).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_drops_old_heads_and_never_the_newest() {
    let mut pair = Pair::replica().await;
    for number in 0..20 {
        pair.back_up(&format!("more{number}")).await;
        keep_heads(&pair.origin, &pair.target, &KeepOptions::default()).await.unwrap();
    }
    let newest = kept(&pair.target, &[]).await.unwrap();
    assert_eq!(pair.notes().await, 21);
    let run = RunContext::default();
    gc::run(&in_charge(&pair.origin, &pair.target).unwrap(), &GcOptions::default(), &run).await.unwrap();
    assert_eq!(pair.notes().await, 1);
    pair.reopen().await;
    assert_eq!(kept(&pair.target, &[]).await.unwrap(), newest);
}

/// What is left is a replica or none, and the next run does the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_between_any_two_steps_is_done_by_the_next() {
    let faults = [FaultKind::Fail(ErrorClass::Denied), FaultKind::LoseAnswer];
    for (promoting, fault) in [(false, faults[0]), (false, faults[1]), (true, faults[0]), (true, faults[1])] {
        let mut died = 0;
        for number in 1.. {
            let mut pair = if promoting { Pair::replica().await } else { Pair::with(secret).await };
            pair.back_up("c").await;
            let step = async |target: &Repository| match promoting {
                true => promote(target).await.map(drop),
                false => keep_heads(&pair.origin, target, &KeepOptions::default()).await.map(drop),
            };
            let dying = Fault::new(pair.target_store.clone(), 1).at(call::PUT, number, fault);
            let ended = step(&open(Arc::new(dying), secret()).await).await;
            step(&open(pair.target_store.clone(), secret()).await).await.unwrap();
            pair.reopen().await;
            let (role, heads) = (state(&pair.target), kept(&pair.target, &[]).await.unwrap());
            assert_eq!(matches!(role, Some(Role::Promoted { .. })), promoting, "{number} {fault:?}");
            assert!(role.is_some() && heads.is_some(), "{number} {fault:?}");
            if ended.is_ok() {
                break;
            }
            died += 1;
        }
        assert!(died >= 2, "{promoting} {fault:?}: {died}");
    }
}
