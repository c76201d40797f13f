//! A repository, sources and destinations that do everything that their contract allows: backups, in one process and in shards, removals, policies,
//! collections, new keys, copies, replicas, runs that are cut off, damage and its repair, with locks, with parity and without, over seeds. Whatever is
//! taken, what was promised restores exactly and damage is named.
//!
//! `CREDENZA_FREE_SEED=N` runs one seed, `CREDENZA_FREE_SEEDS=N` so many, both together so many from that one on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what fails here is a failed test"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use credenza_connect::memory::{MemoryDestination, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Free, Freedom, Retry, RetryPolicy, call};
use credenza_connect::{ErrorClass, Pages, Source, Store};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::check::{self, CheckOptions, Sample};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::repair::{self, RepairOptions};
use credenza_engine::replica::{self, KeepOptions};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::shards::{self, MergeOptions, Shard};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{CreateOptions, Error, Repository, RunContext, SnapshotFilter, remove, retention};
use credenza_format::{ParityRate, Policy};
use credenza_model::SnapshotId;

const SEEDS: u64 = 200;
const STEPS: u64 = 6;
const FILES: u64 = 8;
const LOCK_DAYS: u32 = 5;
const PARITY_PERCENT: u32 = 20;
/// The last steps of a life: whatever was locked is not any more at the second.
const LAST_DAYS: i64 = 8;
/// Listings after which nothing is late any more.
const LISTINGS: usize = 5;
const FOLDERS: [&str; 10] =
    ["condemned/", "copy/", "key/", "data/", "index/", "intent/", "meta/", "removed/", "snapshot/", "usage/"];
const PATIENT: RetryPolicy =
    RetryPolicy { pause_min: Duration::ZERO, pause_max: Duration::ZERO, tries_max: 50, time_max: Duration::MAX };

/// Numbers that a seed repeats (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A store that is as free as its seed says, with its freedoms.
fn free_store(store: &MemoryStore, seed: u64) -> (Arc<dyn Store>, Free<MemoryStore>) {
    let free = Free::new(Arc::new(store.clone()), seed);
    (Arc::new(Retry::new(Arc::new(free.clone()), PATIENT)), free)
}

/// What a repository has beyond a key.
#[derive(Debug, Clone, Copy, Default)]
struct Extras {
    parity: Option<ParityRate>,
    retain_days: Option<u32>,
}

impl Extras {
    /// Of three seeds one has parity, of four one has locks. Locks need a clock at the store.
    fn of(seed: u64) -> Self {
        let has_clock = !Free::new(Arc::new(()), seed).allowed().contains(&Freedom::NoTime);
        let retain_days = (seed % 4 == 1 && has_clock).then_some(LOCK_DAYS);
        Self { parity: (seed % 3 == 1).then(|| ParityRate::of_percent(PARITY_PERCENT).unwrap()), retain_days }
    }

    fn memory(self) -> MemoryStore {
        if self.retain_days.is_some() { MemoryStore::versioned() } else { MemoryStore::new() }
    }
}

async fn create_free(store: Arc<dyn Store>, extras: Extras) -> Result<Repository, String> {
    let Extras { parity, retain_days } = extras;
    let options = CreateOptions { label: "test".into(), parity, retain_days, ..CreateOptions::new(key_file()) };
    Repository::create(Arc::clone(&store), &options).await.map_err(|cause| format!("create: {cause}"))?;
    settle(&*store).await;
    Ok(open(store, &key_file()).await)
}

/// Lists until nothing is late any more.
async fn settle(store: &dyn Store) {
    for folder in FOLDERS.into_iter().cycle().take(FOLDERS.len() * LISTINGS) {
        Pages::new(store, folder).collect().await.unwrap();
    }
}

/// One seed's repository and what must be in it.
struct Life {
    seed: u64,
    dice: Dice,
    memory: MemoryStore,
    store: Arc<dyn Store>,
    free: Free<MemoryStore>,
    extras: Extras,
    repository: Repository,
    now: i64,
    promised: BTreeMap<SnapshotId, Files>,
    /// The promised snapshot that was made last.
    last: Option<SnapshotId>,
    taken: BTreeSet<Freedom>,
}

impl Life {
    async fn begin(seed: u64) -> Result<Self, String> {
        let extras = Extras::of(seed);
        let memory = extras.memory();
        memory.set_clock(at(BEGIN));
        let (store, free) = free_store(&memory, seed);
        let repository = create_free(Arc::clone(&store), extras).await?;
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (promised, taken) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { seed, dice, memory, store, free, extras, repository, now: BEGIN, promised, last: None, taken })
    }

    fn is_late(&self) -> bool {
        self.free.allowed().contains(&Freedom::LateListing)
    }

    fn promise(&mut self, snapshot: SnapshotId, files: Files) {
        self.promised.insert(snapshot, files);
        self.last = Some(snapshot);
    }

    /// Some of the files, and a source of them that takes its freedoms.
    fn some_files(&mut self) -> Files {
        let chosen = self.dice.below(1 << FILES);
        files((0..FILES).filter(|number| chosen >> number & 1 == 1))
    }

    async fn back_up_with(
        &mut self,
        repository: &Repository,
        files: &Files,
        options: BackupOptions,
    ) -> Result<SnapshotId, Error> {
        let free = Free::new(Arc::new(source(files)), self.dice.below(u64::MAX));
        let source: Arc<dyn Source> = Arc::new(Retry::new(Arc::new(free.clone()), PATIENT));
        let report = backup::run(repository, source, &options, &RunContext::default()).await;
        self.taken.extend(free.taken());
        Ok(report?.snapshot.unwrap())
    }

    async fn back_up(&mut self, repository: &Repository) -> Result<(), Error> {
        let files = self.some_files();
        let host = format!("host-{}", self.dice.below(2));
        let options = BackupOptions { host, user: "u".into(), ..BackupOptions::default() };
        let snapshot = self.back_up_with(repository, &files, options).await?;
        self.promise(snapshot, files);
        Ok(())
    }

    /// A backup that several processes share.
    async fn back_up_in_shards(&mut self) -> Result<(), Error> {
        let (files, of, repository) = (self.some_files(), 2 + self.dice.below(2) as u32, self.repository.clone());
        let group = shards::group_of(&format!("night {}", self.now));
        for number in 0..of {
            // They demand to have met the same snapshot.
            settle(&*self.store).await;
            let shard = Some(Shard { group, number, of });
            let options = BackupOptions { shard, host: "host-0".into(), user: "u".into(), ..BackupOptions::default() };
            // A source that cannot be listed from a key on says so.
            while let Err(cause) = self.back_up_with(&repository, &files, options.clone()).await {
                if !matches!(cause, Error::Unshardable { .. }) {
                    return Err(cause);
                }
            }
        }
        settle(&*self.store).await;
        let options = MergeOptions { host: "host-0".into(), user: "u".into(), ..MergeOptions::default() };
        let merged = shards::merge(&repository, &options, &RunContext::default()).await?;
        self.promise(merged.snapshot, files);
        Ok(())
    }

    async fn remove_one(&mut self) -> Result<(), Error> {
        let Some(id) = self.promised.keys().next().copied() else { return Ok(()) };
        let handle = self.repository.snapshots().await?.whole.into_iter().find(|handle| handle.snapshot.id == id);
        self.promised.remove(&id);
        remove::run(&self.repository, handle.as_slice(), None).await.map(drop)
    }

    /// Removes what a policy does not keep. The snapshot that was made last is never among it.
    async fn prune(&mut self) -> Result<(), Error> {
        let policy = Policy { last: 1, daily: self.dice.below(3) as u32, group_by: Vec::new(), ..Policy::default() };
        let plan = retention::plan(self.repository.snapshots().await?, &policy, &SnapshotFilter::default());
        let decisions = plan.groups.into_iter().flat_map(|group| group.decisions);
        let gone: Vec<_> = decisions.filter(|one| !one.is_kept()).map(|one| one.snapshot).collect();
        for handle in &gone {
            assert_ne!(Some(handle.snapshot.id), self.last, "the last one is pruned");
            self.promised.remove(&handle.snapshot.id);
        }
        remove::run(&self.repository, &gone, None).await.map(drop)
    }

    /// Everything is sealed under new keys from now on.
    async fn rotate(&mut self) -> Result<(), Error> {
        settle(&*self.store).await;
        self.repository.clone().rotate_keys(&key_file(), false).await?;
        settle(&*self.store).await;
        self.repository = open(Arc::clone(&self.store), &key_file()).await;
        Ok(())
    }

    async fn reclaim(&mut self) -> Result<(), Error> {
        let done = gc::run(&self.repository, &GcOptions::default(), &RunContext::default()).await;
        match done {
            Err(Error::LateListings { .. }) if self.is_late() => Ok(()),
            Ok(report) if self.is_late() => panic!("a store that lists late was collected: {report:?}"),
            other => other.map(drop),
        }
    }

    /// A run that is cut off at one of its puts.
    async fn be_cut_off(&mut self) {
        let number = self.dice.below(8) + 1;
        let dying = Fault::<dyn Store>::new(Arc::clone(&self.store), self.seed);
        let dying = dying.at(call::PUT, number, FaultKind::Fail(ErrorClass::Denied));
        if let Ok(repository) = Repository::open(Arc::new(dying), &key_file(), None).await {
            let _ = self.back_up(&repository).await;
        }
    }

    /// Copies everything to another repository, which must be as whole, and which takes over as its replica.
    async fn copy(&mut self) -> Result<(), String> {
        settle(&*self.store).await;
        let (seed, memory) = (self.dice.below(u64::MAX), MemoryStore::new());
        memory.set_clock(at(self.now));
        let (store, free) = free_store(&memory, seed);
        let target = create_free(Arc::clone(&store), Extras { retain_days: None, ..Extras::of(seed) }).await?;
        let report = sync::run(&self.repository, &target, &SyncOptions::default(), &RunContext::default()).await;
        let report = report.map_err(|cause| format!("sync: {cause}"))?;
        self.taken.extend(free.taken());
        if report.failed > 0 {
            return Err(format!("sync: {:?}", report.findings));
        }
        settle(&*store).await;
        self.restore_all(&target).await?;
        self.take_over(&store, &target).await.map_err(|cause| format!("replica: {cause}"))?;
        settle(&*store).await;
        let target = open(store, &key_file()).await;
        self.restore_all(&target).await
    }

    /// Makes a replica of a copy, and promotes it.
    async fn take_over(&self, store: &Arc<dyn Store>, target: &Repository) -> Result<(), Error> {
        replica::keep_heads(&self.repository, target, &KeepOptions::default()).await?;
        settle(&**store).await;
        let there = self.repository.snapshots().await?;
        let kept = open(Arc::clone(store), &key_file()).await;
        assert!(replica::retreats((&self.repository, &there), &kept, &[]).await?.is_empty(), "nothing is cut");
        let refused =
            backup::run(&kept, Arc::new(source(&files(0..1))), &BackupOptions::default(), &RunContext::default()).await;
        assert!(matches!(refused, Err(Error::IsReplica { .. })), "{refused:?}");
        replica::promote(&kept).await?;
        settle(&**store).await;
        let promoted = open(Arc::clone(store), &key_file()).await;
        let taken =
            backup::run(&promoted, Arc::new(source(&files(0..1))), &BackupOptions::default(), &RunContext::default())
                .await;
        taken.map(drop)
    }

    async fn step(&mut self) -> Result<(), String> {
        self.now += i64::try_from(self.dice.below(4)).unwrap() * DAY;
        self.memory.set_clock(at(self.now));
        let repository = self.repository.clone();
        let reported = |what: &str, cause: Error| format!("{what}: {cause}");
        match self.dice.below(12) {
            0..3 => self.back_up(&repository).await.map_err(|cause| reported("backup", cause)),
            3 => self.remove_one().await.map_err(|cause| reported("rm", cause)),
            4 | 5 => self.reclaim().await.map_err(|cause| reported("maintain", cause)),
            6 => {
                self.be_cut_off().await;
                Ok(())
            }
            7 | 8 => self.back_up_in_shards().await.map_err(|cause| reported("shards", cause)),
            9 => self.prune().await.map_err(|cause| reported("prune", cause)),
            10 => self.rotate().await.map_err(|cause| reported("rotate", cause)),
            _ => self.copy().await,
        }
    }

    async fn restore_all(&mut self, repository: &Repository) -> Result<(), String> {
        let handles = repository.snapshots().await.map_err(|cause| format!("ls: {cause}"))?.whole;
        for (id, files) in &self.promised {
            let handle =
                handles.iter().find(|handle| handle.snapshot.id == *id).ok_or(format!("{id} is not listed"))?;
            let destination = MemoryDestination::new();
            let free = Free::new(Arc::new(destination.clone()), self.seed);
            let patient = Arc::new(Retry::new(Arc::new(free.clone()), PATIENT));
            let report =
                restore::run(repository, handle, patient, &RestoreOptions::default(), &RunContext::default()).await;
            let report = report.map_err(|cause| format!("restore: {cause}"))?;
            self.taken.extend(free.taken());
            let restored: Files =
                destination.restored().into_iter().map(|(key, found)| (key.to_string(), found.bytes)).collect();
            if restored != *files || report.damaged + report.failed > 0 {
                return Err(format!("{id}: {} of {} files came back: {report:?}", restored.len(), files.len()));
            }
        }
        Ok(())
    }

    async fn findings(&self) -> Result<Vec<String>, String> {
        let report = check::run(&self.repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await;
        let report = report.map_err(|cause| format!("check: {cause}"))?;
        Ok(report.findings.into_iter().map(|finding| finding.damage.to_string()).collect())
    }

    async fn verify(&mut self) -> Result<(), String> {
        settle(&*self.store).await;
        let repository = self.repository.clone();
        self.restore_all(&repository).await?;
        let found = self.findings().await?;
        if found.is_empty() { Ok(()) } else { Err(format!("check: {}", found.join("; "))) }
    }

    /// One bit of a pack turns: it is named, what is left is mended, and the next backup brings back what was lost.
    async fn be_harmed(&mut self) -> Result<(), String> {
        let packs = keys(&self.memory, "data/");
        let is_pack = |key: &&credenza_model::StoreKey| key.as_str().len() == "data/00/".len() + 32;
        let Some(pack) = packs.iter().find(is_pack) else { return Ok(()) };
        let mut bytes = self.memory.bytes(pack).unwrap().to_vec();
        let place = usize::try_from(self.dice.below(bytes.len() as u64)).unwrap();
        bytes[place] ^= 1;
        self.memory.tamper(pack, Some(bytes.into()));
        let found = self.findings().await?;
        if !found.is_empty() && !found.iter().any(|found| found.contains(pack.as_str())) {
            return Err(format!("`{pack}` was harmed, and check says: {}", found.join("; ")));
        }
        let options = RepairOptions { apply: true, read_data: true, ..RepairOptions::default() };
        match repair::run(&self.repository, &options, &RunContext::default()).await {
            Err(Error::LateListings { .. }) if self.is_late() => return Ok(()),
            other => drop(other.map_err(|cause| format!("repair: {cause}"))?),
        }
        if self.extras.parity.is_some() {
            self.verify().await.map_err(|cause| format!("by parity: {cause}"))?;
        }
        let everything = files(0..FILES);
        let options = BackupOptions { host: "host-0".into(), user: "u".into(), ..BackupOptions::default() };
        let healed =
            backup::run(&self.repository, Arc::new(source(&everything)), &options, &RunContext::default()).await;
        let healed = healed.map_err(|cause| format!("backup: {cause}"))?;
        self.promise(healed.snapshot.unwrap(), everything);
        self.verify().await.map_err(|cause| format!("after a repair: {cause}"))?;
        self.reclaim().await.map_err(|cause| format!("maintain: {cause}"))?;
        self.verify().await.map_err(|cause| format!("after a repair and maintain: {cause}"))
    }
}

async fn live(seed: u64) -> Result<BTreeSet<Freedom>, String> {
    let mut life = Life::begin(seed).await?;
    let repository = life.repository.clone();
    life.back_up(&repository).await.map_err(|cause| format!("the first backup: {cause}"))?;
    for number in 0..STEPS {
        life.step().await.map_err(|cause| format!("step {number}: {cause}"))?;
    }
    life.verify().await?;
    for _ in 0..2 {
        life.now += LAST_DAYS * DAY;
        life.memory.set_clock(at(life.now));
        life.reclaim().await.map_err(|cause| format!("the last maintenance: {cause}"))?;
        life.verify().await.map_err(|cause| format!("after the last maintenance: {cause}"))?;
    }
    life.be_harmed().await?;
    life.taken.extend(life.free.taken());
    Ok(life.taken)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn whatever_a_connector_is_free_to_do_nothing_is_lost() {
    let (first, count) = match (number("CREDENZA_FREE_SEED"), number("CREDENZA_FREE_SEEDS")) {
        (Some(seed), count) => (seed, count.unwrap_or(1)),
        (None, count) => (0, count.unwrap_or(SEEDS)),
    };
    let mut taken = BTreeSet::new();
    let mut failures = Vec::new();
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(live(seed)) {
            Ok(freedoms) => taken.extend(freedoms),
            Err(cause) => {
                let allowed = Free::new(Arc::new(()), seed).allowed().iter().map(|one| one.name()).collect::<Vec<_>>();
                failures.push(format!("seed {seed} ({}): {cause}", allowed.join(" ")));
            }
        }
    }
    println!("{count} seeds: {} freedoms taken", taken.len());
    let repeat = "repeat one: CREDENZA_FREE_SEED=N cargo nextest run --workspace --test free";
    assert!(failures.is_empty(), "{} of {count} failed\n{}\n{repeat}", failures.len(), failures.join("\n"));
    assert!(count < 50 || taken.len() >= Freedom::ALL.len() - 2, "only these were taken: {taken:?}");
}
