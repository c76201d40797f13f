//! A repository, sources and destinations that do everything that their contract allows: backups, removals, collections, copies, runs that
//! are cut off, damage and its repair, over seeds. Whatever is taken, what was promised restores exactly and damage is named.
//!
//! `CREDENZA_FREE_SEED=N` runs one seed, `CREDENZA_FREE_SEEDS=N` so many.

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
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{CreateOptions, Error, Repository, RunContext, remove};
use credenza_model::SnapshotId;

const SEEDS: u64 = 200;
const STEPS: u64 = 6;
const FILES: u64 = 8;
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

async fn create_free(store: Arc<dyn Store>) -> Repository {
    let options = CreateOptions { label: "test".into(), ..CreateOptions::new(key_file()) };
    Repository::create(Arc::clone(&store), &options).await.unwrap();
    settle(&*store).await;
    open(store, &key_file()).await
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
    repository: Repository,
    now: i64,
    promised: BTreeMap<SnapshotId, Files>,
    taken: BTreeSet<Freedom>,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let memory = MemoryStore::new();
        memory.set_clock(at(BEGIN));
        let (store, free) = free_store(&memory, seed);
        let repository = create_free(Arc::clone(&store)).await;
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (promised, taken) = (BTreeMap::new(), BTreeSet::new());
        Self { seed, dice, memory, store, free, repository, now: BEGIN, promised, taken }
    }

    fn is_late(&self) -> bool {
        self.free.allowed().contains(&Freedom::LateListing)
    }

    async fn back_up(&mut self, repository: &Repository) -> Result<(), Error> {
        let chosen = self.dice.below(1 << FILES);
        let files = files((0..FILES).filter(|number| chosen >> number & 1 == 1));
        let free = Free::new(Arc::new(source(&files)), self.dice.below(u64::MAX));
        let source: Arc<dyn Source> = Arc::new(Retry::new(Arc::new(free.clone()), PATIENT));
        let host = format!("host-{}", self.dice.below(2));
        let options = BackupOptions { host, user: "u".into(), ..BackupOptions::default() };
        let report = backup::run(repository, source, &options, &RunContext::default()).await;
        self.taken.extend(free.taken());
        self.promised.insert(report?.snapshot.unwrap(), files);
        Ok(())
    }

    async fn remove_one(&mut self) -> Result<(), Error> {
        let Some(id) = self.promised.keys().next().copied() else { return Ok(()) };
        let handle = self.repository.snapshots().await?.whole.into_iter().find(|handle| handle.snapshot.id == id);
        self.promised.remove(&id);
        remove::run(&self.repository, handle.as_slice(), None).await.map(drop)
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

    /// Copies everything to another repository, which must be as whole.
    async fn copy(&mut self) -> Result<(), String> {
        settle(&*self.store).await;
        let memory = MemoryStore::new();
        memory.set_clock(at(self.now));
        let (store, free) = free_store(&memory, self.dice.below(u64::MAX));
        let target = create_free(Arc::clone(&store)).await;
        let report = sync::run(&self.repository, &target, &SyncOptions::default(), &RunContext::default()).await;
        let report = report.map_err(|cause| format!("sync: {cause}"))?;
        self.taken.extend(free.taken());
        if report.failed > 0 {
            return Err(format!("sync: {:?}", report.findings));
        }
        settle(&*store).await;
        self.restore_all(&target).await
    }

    async fn step(&mut self) -> Result<(), String> {
        self.now += i64::try_from(self.dice.below(4)).unwrap() * DAY;
        self.memory.set_clock(at(self.now));
        let repository = self.repository.clone();
        let reported = |what: &str, cause: Error| format!("{what}: {cause}");
        match self.dice.below(8) {
            0..3 => self.back_up(&repository).await.map_err(|cause| reported("backup", cause)),
            3 => self.remove_one().await.map_err(|cause| reported("rm", cause)),
            4 | 5 => self.reclaim().await.map_err(|cause| reported("maintain", cause)),
            6 => {
                self.be_cut_off().await;
                Ok(())
            }
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
        let everything = files(0..FILES);
        let options = BackupOptions { host: "host-0".into(), user: "u".into(), ..BackupOptions::default() };
        let healed =
            backup::run(&self.repository, Arc::new(source(&everything)), &options, &RunContext::default()).await;
        let healed = healed.map_err(|cause| format!("backup: {cause}"))?;
        self.promised.insert(healed.snapshot.unwrap(), everything);
        self.verify().await.map_err(|cause| format!("after a repair: {cause}"))?;
        self.reclaim().await.map_err(|cause| format!("maintain: {cause}"))?;
        self.verify().await.map_err(|cause| format!("after a repair and maintain: {cause}"))
    }
}

async fn live(seed: u64) -> Result<BTreeSet<Freedom>, String> {
    let mut life = Life::begin(seed).await;
    let repository = life.repository.clone();
    life.back_up(&repository).await.map_err(|cause| format!("the first backup: {cause}"))?;
    for number in 0..STEPS {
        life.step().await.map_err(|cause| format!("step {number}: {cause}"))?;
    }
    life.verify().await?;
    for _ in 0..2 {
        life.now += 8 * DAY;
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
        (Some(seed), _) => (seed, 1),
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
