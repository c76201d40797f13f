//! The real backup, rm and maintain over a simulated store: machines that are served in any order, answers that are lost,
//! listings that are no picture of one moment, crashes and sleep. Whatever happens, each snapshot that was announced and not
//! removed restores exactly, and `check` finds nothing.
//!
//! A seed decides everything but the order in which threads of one machine send their requests, so a seed repeats a run
//! nearly always. `CREDENZA_SEED=N` runs one seed, `CREDENZA_SEEDS=N` so many from a random one on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what fails here is a failed test"
)]

mod common;
#[path = "simulation/world.rs"]
mod world;

use std::cell::RefCell;
use std::sync::Arc;

use common::{DAY, Files, backup, create, damages, files, key_file, open, restores};
use credenza_connect::Store;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{as_asked, quietly_free};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::{Error, Pin, Repository, RunContext, SnapshotName, remove};
use credenza_model::{Key, SnapshotId};
use futures_util::future::{Either, join_all, select};
use world::{Calendar, Client, Dice, World};

const SEEDS: u64 = 200;
const MACHINES: usize = 4;
/// Commands that each machine gives.
const COMMANDS: usize = 4;
/// Files that there are; each backup takes some.
const FILES: u64 = 10;

/// What the machines know of each other.
#[derive(Default)]
struct Ledger {
    /// Snapshots that were announced and that nobody has begun to remove.
    snapshots: Vec<(SnapshotId, Files)>,
    committed: usize,
    collected: usize,
    failed: Vec<String>,
    /// Snapshots that were read whole under a pin.
    read: usize,
    /// What somebody lost from whose snapshot nothing was to be taken.
    lost: Vec<String>,
}

async fn machine(world: &Arc<World>, number: usize, mut dice: Dice, ledger: &RefCell<Ledger>) {
    for _ in 0..COMMANDS {
        world.set_at_work(number, true);
        let done = command(world, number, &mut dice, ledger).await;
        world.set_at_work(number, false);
        if let Err(cause) = done {
            ledger.borrow_mut().failed.push(cause.to_string());
        }
    }
}

async fn command(world: &Arc<World>, number: usize, dice: &mut Dice, ledger: &RefCell<Ledger>) -> Result<(), Error> {
    let client = Client { world: Arc::clone(world), machine: number };
    // Every other world has stores that take freedoms.
    let freedoms = world.seed + number as u64;
    let store: Arc<dyn Store> = Arc::new(client);
    let store = if world.seed % 2 == 1 { quietly_free(store, freedoms) } else { as_asked(store) };
    let repository = Repository::open(store, &key_file(), None).await?;
    let repository = repository.with_clock(Arc::new(Calendar(Arc::clone(world))));
    match (number, dice.below(10)) {
        (_, 0..2) => {
            let doomed = {
                let snapshots = &mut ledger.borrow_mut().snapshots;
                let chosen = usize::try_from(dice.below(snapshots.len().max(1) as u64)).unwrap();
                (chosen < snapshots.len()).then(|| snapshots.swap_remove(chosen).0)
            };
            let Some(doomed) = doomed else { return Ok(()) };
            let handle = repository.find(&SnapshotName(doomed.to_string())).await?;
            remove::run(&repository, &[handle], None).await.map(drop)
        }
        (_, 2) => {
            let chosen = usize::try_from(dice.below(64)).unwrap();
            let snapshots = ledger.borrow().snapshots.clone();
            let Some((snapshot, files)) = snapshots.get(chosen % snapshots.len().max(1)) else { return Ok(()) };
            look_into(world, &repository, *snapshot, files, ledger).await
        }
        (0 | 1, _) => {
            let files = files((0..FILES).filter(|_| dice.one_in(2)));
            let snapshot = backup(&repository, &format!("host-{number}"), &files).await?;
            let mut ledger = ledger.borrow_mut();
            ledger.committed += 1;
            ledger.snapshots.push((snapshot, files));
            Ok(())
        }
        _ => {
            gc::run(&repository, &GcOptions::default(), &RunContext::default()).await?;
            ledger.borrow_mut().collected += 1;
            Ok(())
        }
    }
}

/// Reads a snapshot that others may remove meanwhile. Where days pass the pin may end with them.
async fn look_into(
    world: &Arc<World>,
    repository: &Repository,
    snapshot: SnapshotId,
    files: &Files,
    ledger: &RefCell<Ledger>,
) -> Result<(), Error> {
    let handle = repository.find(&SnapshotName(snapshot.to_string())).await?;
    let view = repository.view().await?;
    let (pin, began) = (Pin::new(repository.clone(), "reader", "u"), world.now());
    pin.keep(std::slice::from_ref(&handle)).await?;
    for (name, bytes) in files.iter().chain(files) {
        let mut read = Vec::new();
        let done = async {
            let mut content = view.content(&view.entry(&handle, &Key::from(name.as_str())).await?);
            while let Some(piece) = content.next().await? {
                read.extend_from_slice(&piece);
            }
            Ok(())
        };
        match done.await {
            Ok(()) => assert_eq!(&read, bytes, "{name} of {snapshot}"),
            Err(Error::Damage(damage)) if world.now() - began < 6 * DAY => {
                ledger.borrow_mut().lost.push(format!("{name} of {snapshot}: {damage}"));
            }
            Err(cause) => return Err(cause),
        }
    }
    ledger.borrow_mut().read += 1;
    pin.end().await;
    Ok(())
}

/// What is wrong with the repository, if anything.
async fn verdict(repository: &Repository, ledger: &Ledger) -> Result<(), String> {
    let mut wrong = ledger.lost.clone();
    for (snapshot, files) in &ledger.snapshots {
        let restored = restores(repository, *snapshot, files).await;
        wrong.extend(restored.err().map(|cause| format!("snapshot {snapshot}: {cause}")));
    }
    wrong.extend(damages(repository).await);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

async fn run(seed: u64) -> Result<Ledger, String> {
    let store = MemoryStore::new();
    let repository = create(&store, key_file()).await;
    let ledger = RefCell::new(Ledger::default());
    let everything = files(0..FILES);
    let first = backup(&repository, "host-0", &everything).await.unwrap();
    ledger.borrow_mut().snapshots.push((first, everything));
    let world = World::new(store.clone(), seed, MACHINES);
    let machines = (0..MACHINES).map(|number| {
        let dice = Dice::new(seed.wrapping_mul(31).wrapping_add(number as u64));
        machine(&world, number, dice, &ledger)
    });
    match select(Box::pin(join_all(machines)), Box::pin(world.run())).await {
        Either::Left(_) => {}
        Either::Right(_) => unreachable!("the world never ends"),
    }
    let ledger = ledger.into_inner();
    world.pass(0).await;
    let repository = open(Arc::new(store), &key_file()).await;
    verdict(&repository, &ledger).await?;
    for days in [0, 8, 8] {
        world.pass(days).await;
        common::collect(&repository).await.map_err(|cause| format!("the last maintenance: {cause}"))?;
        verdict(&repository, &ledger).await.map_err(|cause| format!("after the last maintenance: {cause}"))?;
    }
    Ok(ledger)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn whatever_happens_every_announced_snapshot_is_whole() {
    let (first, count) = match (number("CREDENZA_SEED"), number("CREDENZA_SEEDS")) {
        (Some(seed), _) => (seed, 1),
        (None, Some(count)) => (u64::from(std::process::id()) * 1_000_003, count),
        (None, None) => (0, SEEDS),
    };
    let (mut committed, mut collected, mut read, mut failed) = (0, 0, 0, Vec::new());
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(run(seed)) {
            Ok(ledger) => {
                committed += ledger.committed;
                collected += ledger.collected;
                read += ledger.read;
                failed.extend(ledger.failed);
            }
            Err(cause) => panic!(
                "seed {seed}: {cause}\nrepeat it: CREDENZA_SEED={seed} cargo nextest run -p credenza-engine -E 'test(whatever_happens)'"
            ),
        }
    }
    failed.sort();
    let mut reasons: Vec<(usize, &str)> =
        failed.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0].as_str())).collect();
    reasons.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    println!(
        "{count} seeds: {committed} backups and {collected} maintenances done, {read} snapshots read, {} commands failed",
        failed.len()
    );
    reasons.iter().take(12).for_each(|(count, reason)| println!("{count:5} {reason}"));
    assert!(count < 20 || (committed > 0 && collected > 0 && read > 0 && !failed.is_empty()), "nothing happened");
}
