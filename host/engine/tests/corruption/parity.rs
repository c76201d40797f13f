//! The same with parity: what is hurt of a pack and its parity together restores as long as no more parts are hurt than there are shards, and beyond
//! that nothing is worse than without.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::memory::{MemoryDestination, MemoryStore};
use credenza_connect::{
    Body, ByteRange, Check, Error as StoreError, ErrorClass, Page, Payload, PutOptions, Result as Answer, Store,
    StoreInfo, Stored, StoredObject,
};
use credenza_engine::check::{self, CheckOptions, CheckReport, Sample};
use credenza_engine::repair::{self, RepairOptions};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{Repository, RunContext};
use credenza_format::{CHECKSUM_BYTES, HEADER_BYTES, SEGMENT_SEALED_BYTES, parity_key, parity_pack};
use credenza_model::{ObjectId, StoreKey, Timestamp};

use crate::common::{collect, create, create_parity, key_file, open};
use crate::injury::{Injury, kind};
use crate::subject::Subject;
use crate::verdict::{Witness, judge};

const PERCENT: u32 = 20;
const SEGMENT: usize = SEGMENT_SEALED_BYTES as usize;

/// A pack and its parity.
struct Pair {
    pack: StoreKey,
    bytes: Bytes,
    parity: StoreKey,
    parity_bytes: Bytes,
    segments: usize,
    shards: usize,
    shard_bytes: usize,
}

fn pairs(subject: &Subject) -> Vec<Pair> {
    let packs = subject.objects.iter().filter(|(key, _)| matches!(kind(key), "data" | "meta"));
    let pair = |(key, bytes): (&StoreKey, &Bytes)| {
        let id: ObjectId = key.as_str().rsplit('/').next().unwrap().parse().unwrap();
        let (parity, sealed) = (parity_key(id), bytes.len() - HEADER_BYTES - CHECKSUM_BYTES);
        let segments = sealed.div_ceil(SEGMENT);
        Pair {
            pack: key.clone(),
            bytes: bytes.clone(),
            parity_bytes: subject.objects[&parity].clone(),
            parity,
            segments,
            shards: (segments * PERCENT as usize).div_ceil(100),
            shard_bytes: sealed.min(SEGMENT).next_multiple_of(64),
        }
    };
    packs.map(pair).collect()
}

impl Pair {
    /// The pack with a byte flipped in each of these segments.
    fn flipped(&self, segments: impl IntoIterator<Item = usize>) -> Bytes {
        let mut bytes = self.bytes.to_vec();
        for segment in segments {
            let start = HEADER_BYTES + segment * SEGMENT;
            let end = (start + SEGMENT).min(bytes.len() - CHECKSUM_BYTES);
            bytes[start + (end - start) / 2] ^= 1;
        }
        bytes.into()
    }

    /// The pack with zeros in a range.
    fn zeroed(&self, from: usize, to: usize) -> Bytes {
        let mut bytes = self.bytes.to_vec();
        bytes[from..to].fill(0);
        bytes.into()
    }

    /// Parity with a byte flipped in the first shards.
    fn flipped_shards(&self, count: usize) -> Bytes {
        let mut bytes = self.parity_bytes.to_vec();
        let head = (bytes.len() - self.shards * self.shard_bytes) / 2;
        (0..count).for_each(|shard| bytes[head + shard * self.shard_bytes + 7] ^= 1);
        bytes.into()
    }

    fn injury(&self, pack: Option<Option<Bytes>>, parity: Option<Option<Bytes>>, text: &str) -> Injury {
        let pack = pack.map(|bytes| (self.pack.clone(), bytes));
        let parity = parity.map(|bytes| (self.parity.clone(), bytes));
        Injury::together(&self.pack, pack.into_iter().chain(parity).collect(), text)
    }

    /// What parity makes good.
    fn within_budget(&self) -> Vec<Injury> {
        let (segments, shards, length) = (self.segments, self.shards, self.bytes.len());
        let pack = |bytes: Bytes, text| self.injury(Some(Some(bytes)), None, text);
        let parity = |bytes: Option<Bytes>, text| self.injury(None, Some(bytes), text);
        let last = HEADER_BYTES + (segments - shards) * SEGMENT;
        let spread = (0..shards).map(|number| number * segments / shards);
        let longer = Bytes::from([&self.bytes[..], &[0]].concat());
        let middle = HEADER_BYTES + (segments - shards) / 2 * SEGMENT;
        let middle_end = (middle + shards * SEGMENT).min(length - CHECKSUM_BYTES);
        let parity_end = self.parity_bytes.len();
        let mut injuries = vec![
            pack(self.flipped(0..shards), "flips at the front"),
            pack(self.flipped(segments - shards..segments), "flips at the end"),
            pack(self.flipped(spread), "flips all over"),
            pack(self.zeroed(middle, middle_end), "a range zeroed"),
            pack(
                self.zeroed(0, HEADER_BYTES + SEGMENT.min(length - HEADER_BYTES - CHECKSUM_BYTES)),
                "the front zeroed",
            ),
            pack(self.zeroed(last, length), "the end zeroed"),
            pack(self.bytes.slice(..last), "cut off"),
            pack(self.bytes.slice(..length - 1), "the last byte cut off"),
            pack(longer, "lengthened"),
            pack(self.zeroed(0, HEADER_BYTES), "the header zeroed"),
            pack(self.zeroed(length - CHECKSUM_BYTES, length), "the checksum zeroed"),
            parity(None, "its parity deleted"),
            parity(Some(self.flipped_shards(shards)), "all its parity flipped"),
            parity(Some(self.parity_bytes.slice(..parity_end / 2)), "its parity cut off"),
            parity(Some(Bytes::from_static(b"")), "its parity emptied"),
        ];
        if segments == shards {
            injuries.push(self.injury(Some(None), None, "deleted"));
            injuries.push(pack(Bytes::new(), "emptied"));
        }
        for of_parity in 1..shards {
            let hurt = self.flipped(of_parity..shards);
            let parity = self.flipped_shards(of_parity);
            injuries.push(self.injury(
                Some(Some(hurt)),
                Some(Some(parity)),
                &format!("{of_parity} of its parity, the rest of it"),
            ));
        }
        // A head of parity is no part.
        let mut beheaded = self.parity_bytes.to_vec();
        beheaded[20] ^= 1;
        injuries.push(self.injury(
            Some(Some(self.flipped(0..shards))),
            Some(Some(beheaded.into())),
            "flips, and a head",
        ));
        let headless = self.parity_bytes.slice(..parity_end - 1);
        injuries.push(self.injury(
            Some(Some(self.flipped(0..shards))),
            Some(Some(headless)),
            "flips, and the other head",
        ));
        injuries
    }

    /// What it does not.
    fn beyond_budget(&self) -> Vec<Injury> {
        let flips = self.flipped(0..self.shards);
        let mut injuries = vec![
            self.injury(Some(Some(flips.clone())), Some(None), "flips, and its parity deleted"),
            self.injury(Some(Some(flips)), Some(Some(self.flipped_shards(1))), "flips, and one of its parity"),
        ];
        if self.segments > self.shards {
            let more = self.flipped(0..self.shards + 1);
            injuries.push(self.injury(Some(Some(more)), None, "one flip more than shards"));
            injuries.push(self.injury(Some(None), None, "deleted"));
            injuries.push(self.injury(Some(Some(self.bytes.slice(..HEADER_BYTES))), None, "cut off behind its header"));
        }
        injuries
    }
}

async fn everything_read(repository: &Repository) -> CheckReport {
    check::run(repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_injury_within_the_budget_of_parity_is_named_and_costs_nothing() {
    let subject = Subject::with_parity(PERCENT).await;
    let (mut failures, mut count) = (Vec::new(), 0);
    for injury in pairs(&subject).iter().flat_map(Pair::within_budget) {
        count += 1;
        match judge(&subject, &injury).await {
            Ok(verdict) if verdict.snapshots < subject.snapshots.len() => {
                failures.push(format!("{}: something is lost ({verdict:?})", injury.text));
            }
            Ok(verdict) if verdict.witness == Witness::Nobody => {
                failures.push(format!("{}: nobody names it", injury.text))
            }
            Ok(_) => {}
            Err(cause) => failures.push(format!("{}: {cause}", injury.text)),
        }
    }
    assert!(failures.is_empty(), "{} of {count} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 60 && pairs(&subject).iter().any(|pair| pair.shards > 1), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_budget_of_parity_damage_is_named_and_the_rest_restores() {
    let subject = Subject::with_parity(PERCENT).await;
    let mut failures = Vec::new();
    let mut costly = 0;
    for injury in pairs(&subject).iter().flat_map(Pair::beyond_budget) {
        match judge(&subject, &injury).await {
            Ok(verdict) if verdict.witness == Witness::Nobody => {
                failures.push(format!("{}: nobody names it", injury.text))
            }
            Ok(verdict) => costly += usize::from(verdict.snapshots < subject.snapshots.len()),
            Err(cause) => failures.push(format!("{}: {cause}", injury.text)),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(costly > 0, "nothing was beyond it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_parity_made_good_is_counted_and_repair_writes_it_anew() {
    let subject = Subject::with_parity(PERCENT).await;
    for pair in pairs(&subject) {
        for injury in pair.within_budget() {
            let mut objects = subject.objects.clone();
            injury.inflict(&mut objects);
            let store = subject.store(&objects).await;
            let repository = open(Arc::new(store.clone()), &key_file()).await;
            let is_pack_hurt = objects.get(&pair.pack) != Some(&pair.bytes);
            let report = everything_read(&repository).await;
            assert_eq!(report.packs_healed, u64::from(is_pack_hurt), "{}", injury.text);
            let options = RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };
            let repaired = repair::run(&repository, &options, &RunContext::default()).await.unwrap();
            assert_eq!((repaired.lost, repaired.losses), (vec![], vec![]), "{}", injury.text);
            assert!(!repaired.mends.is_empty(), "{}", injury.text);
            let repository = open(Arc::new(store.clone()), &key_file()).await;
            assert_eq!(everything_read(&repository).await.findings, [], "{}", injury.text);
            expect_restored(&subject, &repository).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_parity_makes_good_is_found_again_when_the_index_is_gone() {
    let subject = Subject::with_parity(PERCENT).await;
    let pairs = pairs(&subject);
    type Hurt = fn(&Pair) -> Bytes;
    let hurts: [Hurt; 4] = [
        |pair| pair.flipped(pair.segments - pair.shards..pair.segments),
        |pair| pair.flipped(0..pair.shards),
        |pair| pair.zeroed(pair.bytes.len() - CHECKSUM_BYTES, pair.bytes.len()),
        |pair| pair.bytes.slice(..HEADER_BYTES + (pair.segments - pair.shards) * SEGMENT),
    ];
    for hurt in hurts {
        let mut objects = subject.objects.clone();
        objects.retain(|key, _| kind(key) != "index");
        assert!(objects.len() < subject.objects.len());
        objects.extend(pairs.iter().map(|pair| (pair.pack.clone(), hurt(pair))));
        let store = subject.store(&objects).await;
        let repository = open(Arc::new(store.clone()), &key_file()).await;
        let options = RepairOptions { apply: true, ..RepairOptions::default() };
        let repaired = repair::run(&repository, &options, &RunContext::default()).await.unwrap();
        assert_eq!((repaired.lost, repaired.losses), (vec![], vec![]));
        let repository = open(Arc::new(store.clone()), &key_file()).await;
        expect_restored(&subject, &repository).await;
        assert_eq!(everything_read(&repository).await.findings, []);
    }
}

async fn expect_restored(subject: &Subject, repository: &Repository) {
    for (id, files) in &subject.snapshots {
        let snapshots = repository.snapshots().await.unwrap().whole;
        let handle = snapshots.iter().find(|handle| handle.snapshot.id == *id).unwrap();
        let destination = MemoryDestination::new();
        let to = Arc::new(destination.clone());
        let report =
            restore::run(repository, handle, to, &RestoreOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!((report.damaged, report.healed), (0, vec![]));
        let restored = destination.restored();
        assert_eq!(restored.len(), files.len());
        assert!(restored.iter().all(|(key, found)| files[&key.to_string()] == found.bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_says_once_what_parity_made_good() {
    let subject = Subject::with_parity(PERCENT).await;
    let pairs = pairs(&subject);
    let mut objects = subject.objects.clone();
    for pair in &pairs {
        objects.insert(pair.pack.clone(), pair.flipped(0..pair.shards));
    }
    let repository = open(Arc::new(subject.store(&objects).await), &key_file()).await;
    let snapshots = repository.snapshots().await.unwrap().whole;
    let mut all = Vec::new();
    for handle in &snapshots {
        let to = Arc::new(MemoryDestination::new());
        let report =
            restore::run(&repository, handle, to, &RestoreOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!(report.damaged, 0);
        let mut reported: Vec<String> = report.healed.into_iter().map(|damage| damage.object).collect();
        let count = reported.len();
        reported.sort();
        reported.dedup();
        assert!(count >= 2 && reported.len() == count, "{reported:?}");
        assert!(reported.iter().all(|object| pairs.iter().any(|pair| pair.pack.as_str() == object)), "{reported:?}");
        all.extend(reported);
    }
    all.sort();
    all.dedup();
    assert!(all.len() >= 3, "{all:?}");
}

/// A store on a disk that has lost a range of each pack.
struct Scratched {
    store: MemoryStore,
    bad: Range<u64>,
}

#[async_trait::async_trait]
impl Store for Scratched {
    async fn info(&self) -> Answer<StoreInfo> {
        self.store.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.store.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Answer<Stored> {
        self.store.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Answer<Body> {
        let (start, length) = range.map_or((0, None), |range| (range.offset, range.length));
        let reaches = start < self.bad.end && length.is_none_or(|length| self.bad.start < start + length);
        match kind(key) {
            "data" if reaches => {
                Err(StoreError::new(ErrorClass::Corrupt, "file.medium", "cannot read: input/output error"))
            }
            _ => self.store.get(key, range, version).await,
        }
    }

    async fn stat(&self, key: &StoreKey) -> Answer<StoredObject> {
        self.store.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Answer<Page> {
        self.store.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Answer<Vec<Answer<()>>> {
        self.store.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Answer<()> {
        self.store.retain(key, version, until).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_a_disk_cannot_read_is_made_good() {
    let subject = Subject::with_parity(PERCENT).await;
    let store = subject.store(&subject.objects).await;
    let scratched = Scratched { store, bad: 400_000..404_096 };
    let repository = open(Arc::new(scratched), &key_file()).await;
    let mut healed = 0;
    for handle in repository.snapshots().await.unwrap().whole {
        let to = Arc::new(MemoryDestination::new());
        let report =
            restore::run(&repository, &handle, to, &RestoreOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!(report.damaged, 0);
        healed += report.healed.len();
    }
    assert!(healed > 0);
}

/// Packs and parity of a store.
fn ids(store: &MemoryStore) -> (Vec<ObjectId>, Vec<ObjectId>) {
    let packs = store.keys().into_iter().filter(|key| matches!(kind(key), "data" | "meta"));
    let mut packs: Vec<ObjectId> = packs.map(|key| key.as_str().rsplit('/').next().unwrap().parse().unwrap()).collect();
    packs.sort_unstable();
    (packs, store.keys().iter().filter_map(parity_pack).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_and_its_parity_come_and_go_together_and_sync_makes_it_as_the_target_is() {
    // After a backup, a removal and a collection that moved what was in need.
    let subject = Subject::with_parity(PERCENT).await;
    let store = subject.store(&subject.objects).await;
    let (packs, parity) = ids(&store);
    assert!(packs == parity && !packs.is_empty(), "{packs:?} {parity:?}");
    let origin = open(Arc::new(store.clone()), &key_file()).await;
    let (with, without) = (MemoryStore::new(), MemoryStore::new());
    for (target, has) in [(&with, true), (&without, false)] {
        let repository = match has {
            true => create_parity(target, key_file(), 50).await,
            false => create(target, key_file()).await,
        };
        let report = sync::run(&origin, &repository, &SyncOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!((report.copied.len(), report.failed), (subject.snapshots.len(), 0));
        let (packs, parity) = ids(target);
        assert_eq!(if has { packs } else { vec![] }, parity);
        assert_eq!(everything_read(&repository).await.findings, []);
    }
    // What a collector could not delete with its pack goes with the next.
    let (pack, _) = store.keys().into_iter().find_map(|key| Some((parity_pack(&key)?, key))).unwrap();
    let stray = parity_key(ObjectId::new([9; 16]));
    store.put(&stray, Bytes::from_static(b"x").into(), &PutOptions::default()).await.unwrap();
    collect(&origin).await.unwrap();
    assert!(store.keys().contains(&stray), "it may be that of a pack on its way");
    store.set_clock(crate::common::at(crate::common::BEGIN + 30 * crate::common::DAY));
    collect(&origin).await.unwrap();
    assert!(!store.keys().contains(&stray) && store.keys().contains(&parity_key(pack)));
}
