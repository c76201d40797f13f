//! Replicas of both kinds in memory: what is lost here is read there, and nothing wrong is.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use credenza_connect::Destination;
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Record, call};
use credenza_model::{SnapshotId, StoreKey};
use futures_util::FutureExt;

use super::*;
use crate::check::{self, CheckOptions, Sample};
use crate::repair::{self, RepairOptions};
use crate::restore::{self, RestoreOptions};
use crate::sync::{self, SyncOptions};
use crate::testing::{Hooked, TestClock, contents, expect_whole, handle, noise, open, repository, secret, snapshot};
use crate::{RunContext, Secret, SnapshotName};

/// A repository that is open, and what was told of it.
struct Test {
    name: &'static str,
    repository: Option<Repository>,
    opened: AtomicUsize,
    told: Mutex<Vec<String>>,
}

impl Test {
    fn of(name: &'static str, repository: Repository) -> Arc<Self> {
        Arc::new(Self { name, repository: Some(repository), opened: AtomicUsize::new(0), told: Mutex::default() })
    }

    fn told(&self) -> Vec<String> {
        lock_unpoisoned(&self.told).clone()
    }
}

#[async_trait]
impl Replica for Test {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn open(&self) -> Option<Repository> {
        self.opened.fetch_add(1, SeqCst);
        self.repository.clone()
    }

    fn passed_over(&self, why: &str) {
        lock_unpoisoned(&self.told).push(why.to_owned());
    }
}

fn beside(repository: &Repository, replicas: &[&Arc<Test>]) -> Repository {
    repository.clone().with_replicas(replicas.iter().map(|replica| Arc::clone(*replica) as Arc<dyn Replica>).collect())
}

/// Files of a few chunks each, one of lists, and a tree of several nodes.
fn source() -> MemorySource {
    let source = MemorySource::new();
    source.put("lists", noise(1, 6_000_000));
    source.put("tiny", b"tiny".to_vec());
    for number in 0..300_u64 {
        source.put(format!("small/{number:03}").as_str(), noise(100 + number, 3000 + number as usize * 17));
    }
    source
}

/// A repository, a snapshot in it, and a replica of it, alike or of other keys.
async fn pair(alike: bool) -> (MemoryStore, Repository, SnapshotId, MemoryStore, Repository) {
    let (near, far) = (MemoryStore::new(), MemoryStore::new());
    let here = repository(Arc::new(near.clone()), secret(), None).await;
    let made = snapshot(&here, &source()).await;
    let like = alike.then_some(&here);
    let there = repository(Arc::new(far.clone()), Secret::KeyFile(vec![9; 32].into()), like).await;
    sync::run(&here, &there, &SyncOptions::default(), &RunContext::default()).await.unwrap();
    (near, here, made, far, there)
}

fn packs(store: &MemoryStore, folder: &str) -> Vec<StoreKey> {
    store.keys().into_iter().filter(|key| key.as_str().starts_with(folder)).collect()
}

/// Spoils the middle of an object.
fn spoil(store: &MemoryStore, key: &StoreKey) {
    let mut bytes = store.bytes(key).unwrap().to_vec();
    let middle = bytes.len() / 3;
    bytes.iter_mut().skip(middle).take(middle).for_each(|byte| *byte ^= 0xff);
    store.tamper(key, Some(bytes.into()));
}

async fn restored(repository: &Repository, id: SnapshotId) -> (restore::RestoreReport, usize) {
    let destination = Arc::new(MemoryDestination::new());
    let there = Arc::clone(&destination) as Arc<dyn Destination>;
    let snapshot = handle(repository, id).await;
    let report =
        restore::run(repository, &snapshot, there, &RestoreOptions::default(), &RunContext::default()).await.unwrap();
    (report, destination.restored().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_packs_are_lost_or_spoilt_a_replica_of_either_kind_has_what_was_in_them() {
    for alike in [true, false] {
        for (folder, is_lost) in [("data/", false), ("data/", true), ("meta/", false), ("meta/", true)] {
            let (near, here, made, _, there) = pair(alike).await;
            let expected = contents(&here, made).await;
            let hurt = packs(&near, folder);
            assert!(!hurt.is_empty());
            for key in &hurt {
                if is_lost { near.tamper(key, None) } else { spoil(&near, key) }
            }
            let paris = Test::of("@paris", there);
            let here = beside(&open(Arc::new(near), secret()).await, &[&paris]);
            assert!(contents(&here, made).await == expected, "{alike} {folder} {is_lost}");
            let spared = here.take_spared();
            assert!(!spared.is_empty() && spared.iter().all(|spared| spared.replica == "@paris"), "{spared:?}");
            assert!(spared.iter().all(|spared| hurt.iter().any(|key| key.as_str() == spared.damage.object)));
            assert_eq!((paris.opened.load(SeqCst), paris.told()), (1, Vec::new()));
            let (report, entries) = restored(&here, made).await;
            assert!(report.is_whole() && entries == expected.len(), "{report:?}");
            assert!(!report.spared.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replica_is_opened_where_nothing_is_lost() {
    let (_, here, made, _, there) = pair(true).await;
    let paris = Test::of("@paris", there);
    let here = beside(&here, &[&paris]);
    contents(&here, made).await;
    assert_eq!((paris.opened.load(SeqCst), here.take_spared()), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_has_lost_too_is_read_from_the_next_and_what_all_have_lost_is_damage() {
    for alike in [true, false] {
        let (near, here, made, far, there) = pair(alike).await;
        let expected = contents(&here, made).await;
        packs(&near, "data/").iter().for_each(|key| spoil(&near, key));
        packs(&far, "data/").iter().for_each(|key| spoil(&far, key));
        let hurt = open(Arc::new(near), secret()).await;
        let paris = Test::of("@paris", there);
        let (report, _) = restored(&beside(&hurt, &[&paris]), made).await;
        assert!(report.damaged > 0 && !report.is_whole(), "{report:?}");
        // One that is alike needs no snapshot of it, chunks are chunks.
        let oslo = repository(Arc::new(MemoryStore::new()), secret(), Some(&here)).await;
        snapshot(&oslo, &source()).await;
        let oslo = Test::of("@oslo", oslo);
        let beside = beside(&hurt, &[&paris, &oslo]);
        assert!(contents(&beside, made).await == expected, "{alike}");
        // Of a pack that both had to help with, only the first is told.
        assert!(!beside.take_spared().is_empty() && oslo.opened.load(SeqCst) == 1, "{alike}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_with_other_snapshots_is_passed_over_and_that_is_told_once() {
    let (near, _, made, _, _) = pair(true).await;
    packs(&near, "data/").iter().for_each(|key| spoil(&near, key));
    let stranger = repository(Arc::new(MemoryStore::new()), Secret::KeyFile(vec![5; 32].into()), None).await;
    snapshot(&stranger, &source()).await;
    let other = Test::of("@other", stranger);
    let (report, _) = restored(&beside(&open(Arc::new(near), secret()).await, &[&other]), made).await;
    assert!(report.damaged > 0 && report.spared.is_empty(), "{report:?}");
    let told = other.told();
    assert!(told.len() == 1 && told[0].contains("no snapshot of this repository"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hangs_is_passed_over_and_the_next_is_asked() {
    let (near, here, made, far, there) = pair(true).await;
    let expected = contents(&here, made).await;
    packs(&near, "data/").iter().for_each(|key| spoil(&near, key));
    let (clock, hangs) = (Arc::<TestClock>::default(), Arc::new(AtomicBool::new(false)));
    let (passing, is_frozen) = (Arc::clone(&clock), Arc::clone(&hangs));
    // Five minutes pass at each question.
    let hanging = Hooked::new(&far, move |name, _| {
        if name != call::GET || !is_frozen.load(SeqCst) {
            return ready(Ok(())).boxed();
        }
        passing.pass(ANSWER_MAX);
        pending().boxed()
    });
    let frozen = open(hanging, Secret::KeyFile(vec![9; 32].into())).await;
    hangs.store(true, SeqCst);
    let (frozen, paris) = (Test::of("@frozen", frozen), Test::of("@paris", there));
    let hurt = open(Arc::new(near), secret()).await.with_clock(clock);
    let here = beside(&hurt, &[&frozen, &paris]);
    assert!(contents(&here, made).await == expected);
    let told = frozen.told();
    assert!(told.len() == 1 && told[0].contains("answered nothing for 300 s"), "{told:?}");
    assert!(here.take_spared().iter().all(|spared| spared.replica == "@paris"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_damage_whatever_replicas_have_and_a_repair_from_one_mends_it() {
    for alike in [true, false] {
        for is_lost in [false, true] {
            let (near, here, made, _, there) = pair(alike).await;
            let expected = contents(&here, made).await;
            let hurt: Vec<StoreKey> = ["data/", "meta/"].iter().flat_map(|folder| packs(&near, folder)).collect();
            for key in &hurt {
                if is_lost { near.tamper(key, None) } else { spoil(&near, key) }
            }
            let paris = Test::of("@paris", there);
            let here = beside(&open(Arc::new(near), secret()).await, &[&paris]);
            let options = CheckOptions::reading(Sample::All);
            let report = check::run(&here, &options, &RunContext::default()).await.unwrap();
            assert!(report.findings.len() >= hurt.len(), "{report:?}");
            assert_eq!(paris.opened.load(SeqCst), 0);

            let dry = RepairOptions { read_data: true, ..RepairOptions::default() };
            let report = repair::run(&here, &dry, &RunContext::default()).await.unwrap();
            assert!(report.lost.is_empty() && report.losses.is_empty(), "{alike} {is_lost} {report:?}");
            let apply = RepairOptions { apply: true, ..dry };
            let report = repair::run(&here, &apply, &RunContext::default()).await.unwrap();
            assert!(report.lost.is_empty() && report.losses.is_empty(), "{alike} {is_lost} {report:?}");
            assert!(report.mends.len() >= hurt.len());
            let healed = here.alone();
            assert!(contents(&healed, made).await == expected);
            expect_whole(&healed).await;
            let again = repair::run(&here, &apply, &RunContext::default()).await.unwrap();
            assert!(again.mends.is_empty() && again.lost.is_empty(), "{again:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_a_repository_with_a_twentieth_of_its_packs_hurt_asks_a_fifth_more_at_most() {
    let (memory, far) = (MemoryStore::new(), Record::new(Arc::new(MemoryStore::new())));
    let near = Record::new(Arc::new(memory.clone()));
    let here = repository(Arc::new(near.clone()), secret(), None).await;
    let source = MemorySource::new();
    let mut made = None;
    for number in 0..100_u64 {
        source.put(format!("file-{number:03}").as_str(), noise(number + 1, 200_000));
        made = Some(snapshot(&here, &source).await);
    }
    let made = made.unwrap();
    let there = repository(Arc::new(far.clone()), secret(), Some(&here)).await;
    let newest = SyncOptions { snapshots: vec![SnapshotName("latest".to_owned())], ..SyncOptions::default() };
    sync::run(&here, &there, &newest, &RunContext::default()).await.unwrap();
    let count = || near.calls().len() + far.calls().len();
    let before = count();
    let (report, _) = restored(&here, made).await;
    assert!(report.is_whole());
    let whole = count() - before;
    let data = packs(&memory, "data/");
    assert!(data.len() >= 100);
    data.iter().step_by(20).for_each(|key| spoil(&memory, key));
    let paris = Test::of("@paris", there);
    let before = count();
    let (report, entries) = restored(&beside(&here, &[&paris]), made).await;
    let hurt = count() - before;
    assert!(report.is_whole() && entries == 100 && report.spared.len() == data.len().div_ceil(20), "{report:?}");
    println!("{whole} requests when all is whole, {hurt} with {} packs hurt", report.spared.len());
    assert!(hurt * 10 <= whole * 12, "{hurt} requests instead of {whole}");
}
