//! Checks of repositories in memory: what a sample reads, and what is remembered of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::wrap::{Record, call};
use credenza_model::{StoreKey, Timestamp};

use super::*;
use crate::latest::last_drill;
use crate::share::Share;
use crate::testing::{noise, open, repository, secret, snapshot, withheld};
use crate::{Clock, DamageKind, Moment, RunContext};

const DAY: u64 = 86_400;

/// A clock that a test moves.
#[derive(Default)]
struct TestClock(Mutex<i64>);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let wall = Timestamp { seconds: *self.0.lock().unwrap(), nanoseconds: 0 };
        Moment { monotonic: Duration::ZERO, wall }
    }
}

impl TestClock {
    fn turn_to(&self, day: u64) {
        *self.0.lock().unwrap() = i64::try_from(day * DAY).unwrap();
    }
}

/// A repository of five snapshots, each with a data pack and a metadata pack of its own.
async fn five_snapshots() -> (MemoryStore, Repository) {
    let store = MemoryStore::new();
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    for number in 0..5 {
        source.put(format!("file {number}").as_str(), noise(number, 20_000));
        snapshot(&repository, &source).await;
    }
    (store, repository)
}

async fn read(repository: &Repository, sample: Sample) -> CheckReport {
    let report = run(repository, &CheckOptions::reading(sample), &RunContext::default()).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report
}

/// Lets a data pack rot; its name and what it was.
fn rot(store: &MemoryStore) -> (StoreKey, bytes::Bytes) {
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    let whole = store.bytes(&pack).unwrap();
    let mut rotten = whole.to_vec();
    rotten[5000] ^= 1;
    store.tamper(&pack, Some(rotten.into()));
    (pack, whole)
}

#[tokio::test]
async fn a_share_or_an_amount_reads_so_much_and_at_most_a_pack_more() {
    let (_, repository) = five_snapshots().await;
    let all = read(&repository, Sample::All).await;
    assert_eq!((all.packs, all.packs_read, all.bytes_read), (10, 10, all.bytes));
    let largest = 25_000;
    let half = read(&repository, Sample::Percent(50)).await;
    assert!((all.bytes / 2..all.bytes / 2 + largest).contains(&half.bytes_read), "{} bytes", half.bytes_read);
    assert_eq!((half.packs, half.bytes), (all.packs, all.bytes));
    let some = read(&repository, Sample::Bytes(30_000)).await;
    assert!((30_000..30_000 + largest).contains(&some.bytes_read), "{} bytes", some.bytes_read);
    let none = read(&repository, Sample::Bytes(0)).await;
    assert_eq!((none.packs_read, none.bytes_read), (0, 0));
    let more_than_there_is = read(&repository, Sample::Bytes(1 << 40)).await;
    assert_eq!(more_than_there_is.packs_read, 10);
}

#[tokio::test]
async fn shards_read_each_pack_once_together() {
    let (_, repository) = five_snapshots().await;
    let mut read_packs = 0;
    for number in 0..3 {
        read_packs += read(&repository, Sample::Shard(Share { number, of: 3 })).await.packs_read;
    }
    assert_eq!(read_packs, 10);
}

#[tokio::test]
async fn a_sample_finds_what_rots_in_it_and_every_later_one_names_it() {
    let (store, repository) = five_snapshots().await;
    let found = async |options| {
        let report = run(&repository, &options, &RunContext::default()).await.unwrap();
        report.findings.into_iter().map(|finding| finding.damage.object).collect::<Vec<String>>()
    };
    let (pack, _) = rot(&store);
    assert_eq!(found(CheckOptions::reading(Sample::Bytes(0))).await, [""; 0]);
    assert_eq!(found(CheckOptions::reading(Sample::Percent(100))).await, [pack.to_string()]);
    assert_eq!(found(CheckOptions::reading(Sample::Bytes(0))).await, [pack.to_string()]);
    assert_eq!(found(CheckOptions::default()).await, [pack.to_string()]);
}

#[tokio::test]
async fn packs_read_lately_are_not_read_again_on_any_machine_and_those_never_read_are() {
    let (store, repository) = five_snapshots().await;
    let clock = Arc::new(TestClock::default());
    let repository = repository.with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let other = open(Arc::new(store.clone()), secret()).await.with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let old = Sample::OlderThan(Duration::from_secs(30 * DAY));
    assert_eq!(read(&repository, Sample::Bytes(0)).await.packs_never_read, 10);
    assert_eq!(read(&repository, old).await.packs_read, 10, "nothing was read before");
    clock.turn_to(29);
    let later = read(&other, old).await;
    assert_eq!((later.packs_read, later.packs_never_read), (0, 0));
    assert_eq!(later.oldest_reading, Some(Timestamp { seconds: 0, nanoseconds: 0 }));
    clock.turn_to(30);
    assert_eq!(read(&other, old).await.packs_read, 10);
    snapshot(&repository, &MemorySource::new()).await;
    assert_eq!(read(&repository, old).await.packs_read, 1, "the pack that is new");
    clock.turn_to(20);
    assert_eq!(read(&repository, old).await.packs_read, 11, "what was read in the future was not read");
}

#[tokio::test]
async fn a_damaged_pack_is_read_every_time_until_it_is_whole() {
    let (store, repository) = five_snapshots().await;
    let (_, whole) = rot(&store);
    let options = CheckOptions::reading(Sample::OlderThan(Duration::from_secs(30 * DAY)));
    for (packs_read, findings) in [(10, 1), (1, 1)] {
        let report = run(&repository, &options, &RunContext::default()).await.unwrap();
        assert_eq!((report.packs_read, report.findings.len()), (packs_read, findings));
    }
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    store.tamper(&pack, Some(whole));
    let again = run(&repository, &options, &RunContext::default()).await.unwrap();
    assert_eq!((again.packs_read, again.findings.len()), (1, 0), "a fault of the store brands no pack");
    assert_eq!(run(&repository, &CheckOptions::default(), &RunContext::default()).await.unwrap().findings.len(), 0);
    assert_eq!(run(&repository, &options, &RunContext::default()).await.unwrap().packs_read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_the_store_never_gives_is_named_and_the_others_are_read_while_it_answers() {
    for reason in ["s3.internal", "http.timeout"] {
        let (repository, both, object) = withheld(reason).await;
        let report = run(&repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
        let named: Vec<_> =
            report.findings.iter().map(|found| (found.damage.object.as_str(), found.damage.kind)).collect();
        assert_eq!(named, [(object.as_str(), DamageKind::Unreadable)], "{reason}");
        assert!(report.findings[0].affects.contains(&both), "{reason}");
        assert_eq!((report.packs, report.packs_read), (4, 4), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_nothing_for_minutes_ends_the_check() {
    let (repository, _, _) = withheld("connect").await;
    let ended = run(&repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await;
    assert!(matches!(&ended, Err(Error::Unanswered { side: "repository", .. })), "{ended:?}");
}

#[tokio::test]
async fn packs_are_read_in_turn_within_a_budget_and_any_machine_goes_on_where_another_ended() {
    let (store, _) = five_snapshots().await;
    let clock = Arc::new(TestClock::default());
    let budget = Budget { bytes: None, requests: Some(3) };
    let (within, interval) = (Duration::from_secs(90 * DAY), Duration::from_secs(DAY));
    let sample = Sample::Turn(Turn { within, interval, budget });
    let mut behind = Vec::new();
    for day in 1..=4 {
        clock.turn_to(day);
        let machine = open(Arc::new(store.clone()), secret()).await.with_clock(clock.clone());
        let report = read(&machine, sample).await;
        assert!(report.packs_read <= 3 && report.bytes_read > 0, "{report:?}");
        behind.push(report.behind.unwrap().packs);
        assert_eq!(report.packs_never_read, report.behind.unwrap().packs);
    }
    assert_eq!(behind, [7, 4, 1, 0]);
    let store = Arc::new(Record::new(Arc::new(store)));
    let machine = open(Arc::clone(&store) as _, secret()).await.with_clock(clock.clone());
    store.clear();
    let (readings, drill) = readings_and_drill(&machine).await.unwrap();
    assert_eq!(drill, None);
    let listed = store.calls().into_iter().filter(|call| call.name == call::LIST);
    let notes = listed.filter(|call| call.key.starts_with("note/")).count();
    store.clear();
    last_drill(&machine).await.unwrap();
    assert_eq!(notes, store.count(call::LIST), "the notes are read once for both");
    assert_eq!((readings.packs, readings.packs_never_read, readings.packs_damaged), (10, 0, 0));
    assert_eq!(readings.oldest.map(|oldest| oldest.seconds), Some(i64::try_from(DAY).unwrap()));
    clock.turn_to(5);
    // A ninetieth of the bytes and at most a pack more: packs of metadata are small.
    let report = read(&machine, sample).await;
    assert!((report.bytes / 90..report.bytes / 90 + 25_000).contains(&report.bytes_read), "the pace: {report:?}");
}

#[test]
fn what_is_read_is_on_record_in_at_most_sixteen_parts_that_leave_nothing_out() {
    let packs: Vec<PackOrdinal> = (0..1000).map(PackOrdinal).collect();
    for size in [1, 1 << 20, 1 << 26, 1 << 30, 1 << 34] {
        let parts = parts(&packs, |_| size);
        assert_eq!(parts.concat(), packs);
        assert!(parts.len() <= 16, "{size}: {}", parts.len());
        let bytes = |part: &&[PackOrdinal]| part.len() as u64 * size;
        assert!(parts.iter().rev().skip(1).all(|part| bytes(part) >= PART_BYTES_MIN), "{size}");
    }
}
