//! Retries, on a clock that jumps: how long it pauses, when it gives up, and what happens to bodies and lost answers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Record, Retry, RetryPolicy, call};
use credenza_connect::{
    ByteRange, Destination, ErrorClass, Payload, PutOptions, ScanOptions, Source, Store, Wait, WaitListener, Waits,
};
use credenza_model::{Checksum, Entry, EntryKind, Key, StoreKey, Timestamp};
use tokio::time::Instant;

const BYTES_MAX: u64 = 1 << 30;

fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

async fn stored(key: &StoreKey) -> MemoryStore {
    let store = MemoryStore::new();
    store.put(key, Payload::from(content()), &PutOptions::default()).await.unwrap();
    store
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_from_the_shortest_to_the_longest_and_the_tries_end() {
    let policy = RetryPolicy {
        pause_min: Duration::from_secs(1),
        pause_max: Duration::from_secs(10),
        tries_max: 6,
        time_max: Duration::from_secs(1000),
    };
    let fault =
        Fault::new(Arc::new(MemoryStore::new()), 1).one_in(call::STAT, 1, FaultKind::Fail(ErrorClass::Transient));
    let recorded = Record::new(Arc::new(fault));
    let begun = Instant::now();
    let error = Retry::new(Arc::new(recorded.clone()), policy).stat(&key("a")).await.unwrap_err();
    assert_eq!(recorded.count(call::STAT), 6);
    assert!(error.message.contains("6 tries") && error.message.contains("seed 1"), "{error}");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited <= Duration::from_secs(50), "{waited:?}");
}

/// What was reported, and when.
#[derive(Default)]
struct Heard(Mutex<Vec<(Instant, Wait)>>);

impl WaitListener for Heard {
    fn on_wait(&self, wait: &Wait) {
        self.0.lock().unwrap().push((Instant::now(), wait.clone()));
    }
}

/// Looks for an object while the first calls fail, and hands back what was reported.
async fn told_of(failures: u64, pause_max: Duration) -> (Instant, Vec<(Instant, Wait)>) {
    let reported = Arc::new(Heard::default());
    let fault = (1..=failures).fold(Fault::new(Arc::new(stored(&key("a")).await), 1), |fault, nth| {
        fault.at(call::STAT, nth, FaultKind::Fail(ErrorClass::Transient))
    });
    let begun = Instant::now();
    let retry = Retry::new(Arc::new(fault), RetryPolicy { pause_max, ..RetryPolicy::default() });
    let retry = retry.telling(Waits::told_to(Arc::clone(&reported) as Arc<dyn WaitListener>));
    retry.stat(&key("a")).await.unwrap();
    let reported = reported.0.lock().unwrap().clone();
    (begun, reported)
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_within_two_seconds_why_and_for_how_long() {
    let (begun, reported) = told_of(6, Duration::from_secs(20)).await;
    let (at, wait) = reported.first().unwrap();
    assert!(at.duration_since(begun) < Duration::from_secs(2), "{:?}", at.duration_since(begun));
    assert!(wait.cause.contains("seed 1") && wait.tries >= 1 && wait.next_in.is_some(), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_over_within_two_seconds_is_not_told() {
    let (_, reported) = told_of(3, Duration::from_millis(500)).await;
    assert_eq!(reported, []);
}

#[tokio::test(start_paused = true)]
async fn the_total_time_ends_the_tries_too() {
    let policy = RetryPolicy { tries_max: u32::MAX, time_max: Duration::from_secs(60), ..RetryPolicy::default() };
    let fault =
        Fault::new(Arc::new(MemoryStore::new()), 1).one_in(call::STAT, 1, FaultKind::Fail(ErrorClass::Transient));
    let begun = Instant::now();
    Retry::new(Arc::new(fault), policy).stat(&key("a")).await.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_secs(60));
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test]
async fn failures_of_other_classes_are_not_tried_again() {
    for class in [ErrorClass::Denied, ErrorClass::Configuration, ErrorClass::Internal, ErrorClass::NotFound] {
        let fault = Fault::new(Arc::new(MemoryStore::new()), 1).at(call::LIST, 1, FaultKind::Fail(class));
        let recorded = Record::new(Arc::new(fault));
        let error = Retry::new(Arc::new(recorded.clone()), RetryPolicy::default()).list("", None, 1).await.unwrap_err();
        assert_eq!((error.class, recorded.count(call::LIST)), (class, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_again_and_again_arrives_whole_and_no_byte_twice() {
    let name = key("data/a");
    for (range, expected) in [
        (None, content()),
        (Some(ByteRange { offset: 1000, length: Some(300_000) }), content()[1000..301_000].to_vec()),
        (Some(ByteRange { offset: 5, length: None }), content()[5..].to_vec()),
    ] {
        let mut fault = Fault::new(Arc::new(stored(&name).await), 7);
        for number in [1, 2, 4, 5] {
            fault = fault.at(call::GET, number, FaultKind::Tear);
        }
        let fault = fault.at(call::GET, 3, FaultKind::Fail(ErrorClass::Transient));
        let recorded = Record::new(Arc::new(fault));
        let store = Retry::new(Arc::new(recorded.clone()), RetryPolicy::default());
        let read = store.get(&name, range, None).await.unwrap().read_all(BYTES_MAX).await.unwrap();
        assert!(read == expected);
        assert_eq!(recorded.count(call::GET), 6);
        let offered: Vec<u64> = recorded.calls().iter().map(|call| call.bytes).filter(|bytes| *bytes > 0).collect();
        assert!(offered.is_sorted_by(|a, b| a > b), "each try asks for less than the one before: {offered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_create_only_put_is_no_failure_but_a_foreign_object_is() {
    let name = key("intent/a");
    let create = PutOptions { if_absent: true, ..PutOptions::default() };
    let lossy = || {
        let inner = MemoryStore::new();
        (inner.clone(), Fault::new(Arc::new(inner), 1).at(call::PUT, 1, FaultKind::LoseAnswer))
    };
    let (_, fault) = lossy();
    let store = Retry::new(Arc::new(fault), RetryPolicy::default());
    assert!(store.put(&name, Payload::from(content()), &create).await.unwrap().tag.is_some());
    let other = store.put(&name, Payload::from(content()), &create).await.unwrap_err();
    assert_eq!(other.class, ErrorClass::Precondition, "a put whose first answer arrives is not excused");

    let inner = MemoryStore::new();
    inner.put(&name, Payload::from(vec![1; 4]), &create).await.unwrap();
    let fault = Fault::new(Arc::new(inner), 1).at(call::PUT, 1, FaultKind::Fail(ErrorClass::Transient));
    let store = Retry::new(Arc::new(fault), RetryPolicy::default());
    let refused = store.put(&name, Payload::from(vec![2; 4]), &create).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Precondition);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_swap_is_no_failure() {
    let name = key("config");
    let inner = MemoryStore::new();
    let tag = inner.put(&name, Payload::from(vec![1; 4]), &PutOptions::default()).await.unwrap().tag;
    let fault = Fault::new(Arc::new(inner), 1).at(call::PUT, 1, FaultKind::LoseAnswer);
    let store = Retry::new(Arc::new(fault), RetryPolicy::default());
    let swap = PutOptions { if_match: tag, ..PutOptions::default() };
    assert!(store.put(&name, Payload::from(vec![2; 4]), &swap).await.unwrap().tag.is_some());
    let late = store.put(&name, Payload::from(vec![3; 4]), &swap).await.unwrap_err();
    assert_eq!(late.class, ErrorClass::Precondition);
}

#[tokio::test(start_paused = true)]
async fn a_source_object_that_changed_while_its_body_was_broken_off_is_no_torn_copy() {
    let source = MemorySource::new();
    source.put("a", content());
    let fault = Fault::new(Arc::new(source.clone()), 3).at(call::READ, 1, FaultKind::Tear);
    let retry = Retry::new(Arc::new(fault), RetryPolicy::default());
    let found = retry.scan(&ScanOptions::default()).await.unwrap().next(10).await.unwrap().found;
    let credenza_connect::Found::Entry(entry) = &found[0] else { panic!("{found:?}") };
    let opened = retry.read(entry, None, None).await.unwrap();
    source.put("a", vec![0; content().len()]);
    let error = opened.body.read_all(BYTES_MAX).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Precondition);
    assert_eq!(entry.key, Key::from("a"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_tries_only_the_keys_that_failed() {
    use async_trait::async_trait;
    use credenza_connect::{Body, Check, Error, Page, Result, StoreInfo, Stored, StoredObject};

    /// Deletes one key a call and is busy for the others.
    struct OneAtATime(MemoryStore);
    #[async_trait]
    impl Store for OneAtATime {
        async fn info(&self) -> Result<StoreInfo> {
            self.0.info().await
        }
        async fn check(&self) -> Vec<Check> {
            self.0.check().await
        }
        async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
            self.0.put(key, data, options).await
        }
        async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
            self.0.get(key, range, version).await
        }
        async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
            self.0.stat(key).await
        }
        async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
            self.0.list(prefix, cursor, max).await
        }
        async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
            let mut outcomes = self.0.delete(&keys[..1]).await?;
            let busy = || Err(Error::new(ErrorClass::Transient, "busy", "busy"));
            outcomes.extend(keys[1..].iter().map(|_| busy()));
            Ok(outcomes)
        }
        async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
            self.0.retain(key, version, until).await
        }
    }

    let inner = MemoryStore::new();
    let keys = ["a", "b", "c"].map(key);
    for key in &keys {
        inner.put(key, Payload::default(), &PutOptions::default()).await.unwrap();
    }
    let recorded = Record::new(Arc::new(OneAtATime(inner.clone())));
    let outcomes = Retry::new(Arc::new(recorded.clone()), RetryPolicy::default()).delete(&keys).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(inner.keys().is_empty());
    let asked: Vec<String> = recorded.calls().into_iter().map(|call| call.key).collect();
    assert_eq!(asked, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_publication_was_given_up_and_asked_for_again_may_be_there_already() {
    let destination = MemoryDestination::new();
    let faulty = Fault::new(Arc::new(destination.clone()), 1).at(call::FINISH, 1, FaultKind::LoseAnswer);
    let retry = Retry::new(Arc::new(faulty), RetryPolicy { tries_max: 1, ..RetryPolicy::default() });
    // The CRC-32 of its bytes.
    let checksum = Checksum { algorithm: "crc32".to_owned(), value: 0xcbf4_3926_u32.to_be_bytes().to_vec() };
    let entry = Entry { checksums: vec![checksum], ..Entry::new("key".into(), EntryKind::File) };
    let mut writer = retry.create(&entry, false).await.unwrap().unwrap();
    let whole = Payload::from(b"123456789".to_vec());
    assert_eq!(writer.finish(whole.clone()).await.unwrap_err().class, ErrorClass::Transient);
    writer.finish(whole).await.unwrap();
    assert_eq!(destination.restored()[&"key".into()].bytes, "123456789");
}
