//! Healthy repositories, in which nothing is found, and every injury that a store can suffer, each named.

use std::collections::BTreeMap;

use bytes::Bytes;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind};
use credenza_connect::{ErrorClass, Payload, PutOptions};
use credenza_format::{Condemned, Hex, Intent, SigningKey, seal_document};
use credenza_model::Timestamp;
use zeroize::Zeroizing;

use super::*;
use crate::backup::{self, BackupOptions};
use crate::check::{self, CheckOptions, Sample};
use crate::repository::random_id;
use crate::{CreateOptions, Repository, RunContext, Secret, SnapshotHandle};

/// A repository that somebody backs up to.
struct Bench {
    store: MemoryStore,
    source: MemorySource,
    repository: Repository,
    signing_key: Option<SigningKey>,
}

type State = BTreeMap<StoreKey, Bytes>;

impl Bench {
    async fn new(signing_key: Option<SigningKey>) -> Self {
        let (store, source) = (MemoryStore::new(), MemorySource::new());
        let secret = Secret::KeyFile(Zeroizing::new(vec![7; 64]));
        let options = CreateOptions::new(secret.clone());
        Repository::create(Arc::new(store.clone()), &options).await.unwrap();
        let repository = Repository::open(Arc::new(store.clone()), &secret, None).await.unwrap();
        Self { store, source, repository, signing_key }
    }

    /// Some snapshots, each with something new.
    async fn with_snapshots(count: usize, signing_key: Option<SigningKey>) -> Self {
        let bench = Self::new(signing_key).await;
        for _ in 0..count {
            bench.back_up().await;
        }
        bench
    }

    async fn back_up(&self) {
        self.back_up_signed(self.signing_key.clone()).await;
    }

    async fn back_up_signed(&self, signing_key: Option<SigningKey>) {
        self.source.put("changing", random_id::<2000>().unwrap().to_vec());
        let options =
            BackupOptions { host: "host".into(), user: "user".into(), signing_key, ..BackupOptions::default() };
        backup::run(&self.repository, Arc::new(self.source.clone()), &options, &RunContext::default()).await.unwrap();
    }

    /// The snapshots, in the order of the chain.
    async fn snapshots(&self) -> Vec<SnapshotHandle> {
        let mut snapshots = self.repository.snapshots().await.unwrap().whole;
        snapshots.sort_by_key(|handle| handle.snapshot.sequence);
        snapshots
    }

    async fn remove(&self, snapshot: &SnapshotHandle, signing_key: Option<&SigningKey>) {
        self.repository.record_removal(std::slice::from_ref(snapshot), signing_key).await.unwrap();
        self.store.tamper(&snapshot.store_key(), None);
    }

    fn state(&self) -> State {
        self.store.keys().into_iter().map(|key| (key.clone(), self.store.bytes(&key).unwrap())).collect()
    }

    async fn put(&self, key: &StoreKey, bytes: Bytes) {
        self.store.put(key, Payload::from(bytes), &PutOptions::default()).await.unwrap();
    }

    async fn restore(&self, state: &State) {
        for key in self.store.keys().iter().filter(|key| !state.contains_key(*key)) {
            self.store.tamper(key, None);
        }
        self.add(state).await;
    }

    async fn add(&self, state: &State) {
        for (key, bytes) in state {
            self.put(key, bytes.clone()).await;
        }
    }

    async fn audit(&self, options: &AuditOptions) -> AuditReport {
        run(Arc::new(self.store.clone()), options, &RunContext::default()).await.unwrap()
    }

    /// What an audit finds: objects and kinds.
    async fn found(&self, options: &AuditOptions) -> Vec<(String, DamageKind)> {
        named(&self.audit(options).await.findings)
    }
}

fn named(findings: &[Finding]) -> Vec<(String, DamageKind)> {
    findings.iter().map(|finding| (finding.damage.object.clone(), finding.damage.kind)).collect()
}

fn trusting(key: &SigningKey) -> AuditOptions {
    AuditOptions { trusted: vec![key.public()], ..AuditOptions::default() }
}

fn finding(object: impl ToString, kind: DamageKind) -> Vec<(String, DamageKind)> {
    vec![(object.to_string(), kind)]
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// One object of each kind that a repository can hold.
async fn with_every_kind() -> Bench {
    let bench = Bench::with_snapshots(3, None).await;
    let (created, keys) = (Timestamp::default(), bench.repository.keys());
    let intent = Intent { connectors: Vec::new(), packs: Vec::new(), created, writer: Hex([1; 16]) }.encode().unwrap();
    let condemned = Condemned { connectors: Vec::new(), packs: Vec::new(), created }.encode().unwrap();
    for (kind, body) in [(ObjectKind::Intent, intent), (ObjectKind::Condemned, condemned)] {
        let object = seal_document(keys, kind, ObjectId::new(random_id().unwrap()), &body).unwrap();
        bench.put(&object.key().clone(), Bytes::from(object.pieces().concat())).await;
    }
    let snapshots = bench.snapshots().await;
    bench.remove(&snapshots[0], None).await;
    bench
}

#[tokio::test]
async fn nothing_is_found_in_a_healthy_repository() {
    let bench = with_every_kind().await;
    for quick in [false, true] {
        let report = bench.audit(&AuditOptions { quick, ..AuditOptions::default() }).await;
        assert_eq!(named(&report.findings), []);
        assert_eq!((report.snapshots, report.objects), (2, bench.store.keys().len() as u64));
        assert_eq!(report.heads.iter().map(|head| head.sequence).collect::<Vec<u64>>(), [3]);
        assert_eq!(report.repository, bench.repository.config().repository);
    }
}

#[tokio::test]
async fn nothing_is_found_where_a_backup_was_interrupted_at_any_of_its_writes() {
    for number in 1..=8 {
        let mut bench = Bench::with_snapshots(1, Some(key())).await;
        let faulty =
            Fault::new(Arc::new(bench.store.clone()), 1).at("put", number, FaultKind::Fail(ErrorClass::Denied));
        let secret = Secret::KeyFile(Zeroizing::new(vec![7; 64]));
        bench.repository = Repository::open(Arc::new(faulty), &secret, None).await.unwrap();
        bench.source.put("more", random_id::<2000>().unwrap().to_vec());
        let options = BackupOptions { signing_key: Some(key()), ..BackupOptions::default() };
        let run =
            backup::run(&bench.repository, Arc::new(bench.source.clone()), &options, &RunContext::default()).await;
        assert_eq!(run.is_err(), number <= 6, "packs, index, intent, usage, snapshot: write {number}");
        assert_eq!(bench.found(&trusting(&key())).await, [], "write {number}");
    }
}

#[tokio::test]
async fn a_store_without_a_repository_is_no_damage() {
    let audit = run(Arc::new(MemoryStore::new()), &AuditOptions::default(), &RunContext::default()).await;
    assert!(matches!(audit, Err(Error::NoRepository { .. })));
}

#[tokio::test]
async fn every_injury_to_every_kind_of_object_is_named() {
    let bench = with_every_kind().await;
    for (name, bytes) in bench.state() {
        let injuries = [0, bytes.len() / 2, bytes.len() - 1].map(|place| {
            let mut flipped = bytes.to_vec();
            flipped[place] ^= 1;
            flipped
        });
        let (mut longer, shorter) = (bytes.to_vec(), bytes[..bytes.len() - 1].to_vec());
        longer.push(0);
        for injured in injuries.into_iter().chain([shorter, longer, Vec::new()]) {
            bench.store.tamper(&name, Some(Bytes::from(injured)));
            let mut found = bench.found(&AuditOptions::default()).await;
            // What follows a damaged snapshot or was accounted for by a damaged record has lost its link, too.
            let chain = name.as_str().starts_with("snapshot/") || name.as_str().starts_with("removed/");
            found.retain(|(object, kind)| !(chain && *object != *name.as_str() && *kind == DamageKind::MissingLink));
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(found[0].0, name.as_str());
            bench.store.tamper(&name, Some(bytes.clone()));
        }
    }
    assert_eq!(bench.found(&AuditOptions::default()).await, []);
}

#[tokio::test]
async fn objects_in_each_others_place_are_named() {
    let bench = Bench::with_snapshots(2, None).await;
    let state = bench.state();
    for kind in ObjectKind::ALL {
        let folder = format!("{}/", kind.folder());
        let of_kind: Vec<(&StoreKey, &Bytes)> =
            state.iter().filter(|(key, _)| key.as_str().starts_with(&folder)).take(2).collect();
        let [(first, _), (_, second)] = of_kind[..] else { continue };
        bench.store.tamper(first, Some(second.clone()));
        let found = bench.found(&AuditOptions::default()).await;
        assert!(found.contains(&(first.to_string(), DamageKind::Invalid)), "{found:?}");
        bench.restore(&state).await;
    }
}

#[tokio::test]
async fn what_belongs_to_another_repository_or_to_none_is_named() {
    let (bench, other) = (Bench::with_snapshots(2, None).await, Bench::with_snapshots(2, None).await);
    let state = bench.state();
    for (name, bytes) in other.state() {
        let existing = name == config_key();
        bench.put(&name, bytes).await;
        let found = bench.found(&AuditOptions::default()).await;
        assert!(found.contains(&(name.to_string(), DamageKind::Foreign)), "{name}: {found:?}");
        assert!(
            existing || found.iter().all(|(object, _)| object.ends_with(name.as_str().rsplit('/').next().unwrap()))
        );
        bench.restore(&state).await;
    }
    let stray = StoreKey::new("data/stray").unwrap();
    bench.put(&stray, Bytes::from_static(b"x")).await;
    let report = bench.audit(&AuditOptions::default()).await;
    assert_eq!(report.findings, []);
    assert!(report.strays.names().eq([stray.as_str()]));
}

#[tokio::test]
async fn what_a_repository_cannot_lack_is_missed() {
    let bench = Bench::with_snapshots(1, None).await;
    let state = bench.state();
    let usage = state.keys().find(|key| key.as_str().starts_with("usage/")).unwrap();
    for name in [&config_key(), usage] {
        bench.store.tamper(name, None);
        assert_eq!(bench.found(&AuditOptions::default()).await, finding(name, DamageKind::Missing));
        bench.restore(&state).await;
    }
}

#[tokio::test]
async fn a_snapshot_deleted_in_the_middle_of_a_chain_is_missed_unless_its_removal_is_on_record() {
    for (removed, next) in [(0, 1), (1, 2)] {
        let bench = Bench::with_snapshots(3, None).await;
        let (snapshots, state) = (bench.snapshots().await, bench.state());
        bench.store.tamper(&snapshots[removed].store_key(), None);
        let expected = finding(snapshots[next].store_key(), DamageKind::MissingLink);
        assert_eq!(bench.found(&AuditOptions::default()).await, expected);
        bench.restore(&state).await;
        bench.remove(&snapshots[removed], None).await;
        assert_eq!(bench.found(&AuditOptions::default()).await, []);
    }
}

#[tokio::test]
async fn several_removed_snapshots_hide_no_deleted_one_between_them() {
    let bench = Bench::with_snapshots(5, None).await;
    let snapshots = bench.snapshots().await;
    bench.remove(&snapshots[1], None).await;
    bench.remove(&snapshots[3], None).await;
    bench.store.tamper(&snapshots[2].store_key(), None);
    let expected = finding(snapshots[4].store_key(), DamageKind::MissingLink);
    assert_eq!(bench.found(&AuditOptions::default()).await, expected);
}

#[tokio::test]
async fn a_chain_goes_on_after_its_newest_and_after_all_of_it_was_removed() {
    let bench = Bench::with_snapshots(2, None).await;
    bench.remove(&bench.snapshots().await[1], None).await;
    bench.back_up().await;
    assert_eq!(bench.found(&AuditOptions::default()).await, []);
    for snapshot in bench.snapshots().await {
        bench.remove(&snapshot, None).await;
    }
    bench.back_up().await;
    assert_eq!(bench.found(&AuditOptions::default()).await, []);
}

#[tokio::test]
async fn with_trust_only_signed_records_account_for_a_gap() {
    let bench = Bench::with_snapshots(3, Some(key())).await;
    let (snapshots, state) = (bench.snapshots().await, bench.state());
    assert_eq!(bench.found(&trusting(&key())).await, []);
    bench.remove(&snapshots[1], Some(&key())).await;
    assert_eq!(bench.found(&trusting(&key())).await, []);
    for (signing_key, complaint) in
        [(None, DamageKind::Unsigned), (Some(SigningKey::from_seed(&[2; 32])), DamageKind::Intruder)]
    {
        bench.restore(&state).await;
        bench.remove(&snapshots[1], signing_key.as_ref()).await;
        let record = bench.store.keys().into_iter().find(|key| key.as_str().starts_with(REMOVED[0])).unwrap();
        let mut expected = finding(record, complaint);
        expected.extend(finding(snapshots[2].store_key(), DamageKind::MissingLink));
        assert_eq!(bench.found(&trusting(&key())).await, expected);
    }
}

#[tokio::test]
async fn with_trust_a_snapshot_of_somebody_else_is_an_intruder_and_an_unsigned_one_is_named() {
    for (signing_key, complaint) in
        [(None, DamageKind::Unsigned), (Some(SigningKey::from_seed(&[2; 32])), DamageKind::Intruder)]
    {
        let bench = Bench::with_snapshots(2, Some(key())).await;
        bench.back_up_signed(signing_key).await;
        let forged = bench.snapshots().await[2].store_key();
        let report = bench.audit(&trusting(&key())).await;
        assert_eq!(named(&report.findings), finding(forged, complaint));
        assert_eq!(report.heads[0].sequence, 2, "an intruder is nobody's head");
        assert_eq!(bench.found(&AuditOptions::default()).await, [], "without trust everybody may write");
    }
}

#[tokio::test]
async fn a_removed_snapshot_that_was_put_back_is_named() {
    let bench = Bench::with_snapshots(3, None).await;
    let old = bench.snapshots().await[0].clone();
    let bytes = bench.store.bytes(&old.store_key()).unwrap();
    bench.remove(&old, None).await;
    bench.put(&old.store_key(), bytes).await;
    assert_eq!(bench.found(&AuditOptions::default()).await, finding(old.store_key(), DamageKind::Replayed));
}

#[tokio::test]
async fn a_store_put_back_to_an_earlier_state_is_told_by_a_remembered_head() {
    let bench = Bench::with_snapshots(2, None).await;
    let earlier = bench.state();
    let remembering = |heads: &[Head]| AuditOptions { remembered: heads.to_vec(), ..AuditOptions::default() };
    let older = remembering(&bench.audit(&AuditOptions::default()).await.heads);
    bench.back_up().await;
    let newer = remembering(&bench.audit(&AuditOptions::default()).await.heads);
    assert_eq!(bench.found(&older).await, [], "a chain may grow");
    let last = bench.snapshots().await.pop().unwrap();
    bench.restore(&earlier).await;
    let expected = finding(last.store_key(), DamageKind::Rollback);
    assert_eq!(bench.found(&newer).await, expected);
    bench.back_up().await;
    assert_eq!(bench.found(&newer).await, expected, "another snapshot in its place is no excuse");
}

#[tokio::test]
async fn the_removal_of_a_remembered_head_is_no_rollback() {
    let bench = Bench::with_snapshots(2, None).await;
    let remembered = bench.audit(&AuditOptions::default()).await.heads;
    bench.remove(&bench.snapshots().await[1], None).await;
    assert_eq!(bench.found(&AuditOptions { remembered, ..AuditOptions::default() }).await, []);
}

#[tokio::test]
async fn two_snapshots_in_one_place_of_a_chain_are_both_named() {
    let bench = Bench::with_snapshots(1, Some(key())).await;
    let before = bench.state();
    bench.back_up().await;
    let one_way = bench.state();
    bench.restore(&before).await;
    bench.back_up().await;
    bench.add(&one_way).await;
    let forked: Vec<String> =
        bench.snapshots().await[1..].iter().map(|handle| handle.store_key().to_string()).collect();
    let mut found = bench.found(&trusting(&key())).await;
    found.retain(|(object, kind)| forked.contains(object) && *kind == DamageKind::Fork);
    assert_eq!((found.len(), bench.found(&AuditOptions::default()).await.len()), (2, 2));
}

#[tokio::test]
async fn a_quick_audit_reads_the_head_of_a_pack_and_misses_its_body() {
    let bench = Bench::with_snapshots(1, None).await;
    let (name, bytes) = bench.state().into_iter().find(|(key, _)| key.as_str().starts_with("data/")).unwrap();
    let quick = AuditOptions { quick: true, ..AuditOptions::default() };
    for (place, found) in [(20, 1), (1000, 0)] {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1;
        bench.store.tamper(&name, Some(Bytes::from(flipped)));
        assert_eq!(bench.found(&quick).await.len(), found, "byte {place}");
        assert_eq!(bench.found(&AuditOptions::default()).await.len(), 1);
    }
}

/// The same injuries with the keys at hand.
#[tokio::test]
async fn check_names_a_wrong_checksum_and_a_false_statement() {
    let bench = with_every_kind().await;
    for (name, bytes) in bench.state().into_iter().filter(|(key, _)| *key != config_key()) {
        let mut flipped = bytes.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        bench.store.tamper(&name, Some(Bytes::from(flipped)));
        let report =
            check::run(&bench.repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
        assert!(named(&report.findings).iter().any(|(object, _)| *object == *name.as_str()), "{name}");
        bench.store.tamper(&name, Some(bytes));
    }
    let snapshot = bench.snapshots().await[0].clone();
    let mut forged = bench.store.bytes(&snapshot.store_key()).unwrap().to_vec();
    let end = forged.len() - credenza_format::CHECKSUM_BYTES;
    // The sequence of the statement, with a checksum that fits.
    forged[end - credenza_format::STATEMENT_BYTES + 24] ^= 1;
    let checksum = blake3::hash(&forged[..end]);
    forged[end..].copy_from_slice(checksum.as_bytes());
    bench.store.tamper(&snapshot.store_key(), Some(Bytes::from(forged)));
    let report = check::run(&bench.repository, &CheckOptions::default(), &RunContext::default()).await.unwrap();
    assert!(named(&report.findings).contains(&(snapshot.store_key().to_string(), DamageKind::Invalid)));
}
