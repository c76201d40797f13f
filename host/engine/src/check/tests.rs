//! Checks of repositories in memory: what a sample reads, and what is remembered of it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_model::Timestamp;

use super::*;
use crate::testing::{noise, repository, secret, snapshot, withheld};
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

async fn read(repository: &Repository, sample: Sample, journal: Option<&Path>) -> CheckReport {
    let options = CheckOptions { read_data: Some(sample), journal: journal.map(Path::to_owned) };
    let report = run(repository, &options, &RunContext::default()).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report
}

#[tokio::test]
async fn a_share_or_an_amount_reads_so_much_and_at_most_a_pack_more() {
    let (_, repository) = five_snapshots().await;
    let all = read(&repository, Sample::All, None).await;
    assert_eq!((all.packs, all.packs_read, all.bytes_read), (10, 10, all.bytes));
    let largest = 25_000;
    let half = read(&repository, Sample::Percent(50), None).await;
    assert!((all.bytes / 2..all.bytes / 2 + largest).contains(&half.bytes_read), "{} bytes", half.bytes_read);
    assert_eq!((half.packs, half.bytes), (all.packs, all.bytes));
    let some = read(&repository, Sample::Bytes(30_000), None).await;
    assert!((30_000..30_000 + largest).contains(&some.bytes_read), "{} bytes", some.bytes_read);
    let none = read(&repository, Sample::Bytes(0), None).await;
    assert_eq!((none.packs_read, none.bytes_read), (0, 0));
    let more_than_there_is = read(&repository, Sample::Bytes(1 << 40), None).await;
    assert_eq!(more_than_there_is.packs_read, 10);
}

#[tokio::test]
async fn a_sample_finds_what_rots_in_it_and_only_that() {
    let (store, repository) = five_snapshots().await;
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    let mut bytes = store.bytes(&pack).unwrap().to_vec();
    bytes[5000] ^= 1;
    store.tamper(&pack, Some(bytes.into()));
    let found = async |sample| {
        let report = run(&repository, &CheckOptions::reading(sample), &RunContext::default()).await.unwrap();
        report.findings.into_iter().map(|finding| finding.damage.object).collect::<Vec<String>>()
    };
    assert_eq!(found(Sample::Percent(100)).await, [pack.to_string()]);
    assert_eq!(found(Sample::Bytes(0)).await, [""; 0]);
}

#[tokio::test]
async fn packs_read_lately_are_not_read_again_and_those_never_read_are() {
    let (_, repository) = five_snapshots().await;
    let (clock, folder) = (Arc::new(TestClock::default()), tempfile::tempdir().unwrap());
    let repository = repository.with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let old = Sample::OlderThan(Duration::from_secs(30 * DAY));
    let packs_read = async |sample, folder| read(&repository, sample, folder).await.packs_read;
    let remembered = Some(folder.path());
    assert_eq!(packs_read(old, remembered).await, 10, "nothing was read before");
    clock.turn_to(29);
    assert_eq!(packs_read(old, remembered).await, 0);
    assert_eq!(packs_read(old, None).await, 10, "without a memory everything is read");
    clock.turn_to(30);
    assert_eq!(packs_read(old, remembered).await, 10);
    snapshot(&repository, &MemorySource::new()).await;
    assert_eq!(packs_read(old, remembered).await, 1, "the pack that is new");
    clock.turn_to(20);
    assert_eq!(packs_read(old, remembered).await, 11, "what was read in the future was not read");
}

#[tokio::test]
async fn a_damaged_pack_is_read_every_time_until_it_is_whole() {
    let (store, repository) = five_snapshots().await;
    let folder = tempfile::tempdir().unwrap();
    let pack = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    let whole = store.bytes(&pack).unwrap();
    let mut rotten = whole.to_vec();
    rotten[5000] ^= 1;
    store.tamper(&pack, Some(rotten.into()));
    let old = Some(Sample::OlderThan(Duration::from_secs(30 * DAY)));
    let options = CheckOptions { read_data: old, journal: Some(folder.path().to_owned()) };
    for (packs_read, findings) in [(10, 1), (1, 1)] {
        let report = run(&repository, &options, &RunContext::default()).await.unwrap();
        assert_eq!((report.packs_read, report.findings.len()), (packs_read, findings));
    }
    store.tamper(&pack, Some(whole));
    assert_eq!(run(&repository, &options, &RunContext::default()).await.unwrap().packs_read, 1);
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
