//! Every command that writes is cut off before each of its writing requests, and each of these requests is once lost and once answered
//! with a failure although it was done. Whatever state that leaves: every snapshot that is listed restores exactly, `check` finds
//! no damage, and the same command run again brings it to its end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]
#![allow(clippy::print_stdout, reason = "the table is for whoever runs it")]

mod command;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/hooked.rs"]
mod hooked;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::{Fault, FaultKind, Record, call};
use credenza_connect::{PutOptions, Store};
use credenza_engine::check::{self, CheckOptions, Sample};
use credenza_engine::{Error, Repository, RunContext};
use futures_util::FutureExt;

use command::Command;
use common::{copy_of, restores};
use hooked::Hooked;

/// The calls that change a store.
const WRITES: [&str; 2] = [call::PUT, call::DELETE];

/// What came of the states that one command can leave.
#[derive(Default)]
struct Tally {
    cut_off: usize,
    requests_lost: usize,
    answers_lost: usize,
    /// States of which `check` says that a run was interrupted: packs or usage lists that nothing needs, a snapshot that is on record as
    /// removed, a config that is behind its keys.
    with_leftovers: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_prefix_of_every_command_leaves_a_sound_repository() {
    cut_off_anywhere(command::all().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_prefix_of_a_change_of_passphrases_leaves_a_sound_repository() {
    cut_off_anywhere(vec![command::passphrase().await]).await;
}

async fn cut_off_anywhere(commands: Vec<Command>) {
    let mut failures = Vec::new();
    println!("| command | cut off | requests lost | answers lost | with leftovers |\n|---|---|---|---|---|");
    for command in commands {
        let mut tally = Tally::default();
        for (number, state) in prefixes(&command).await.iter().enumerate() {
            tally.cut_off += 1;
            let verdict = judge(&command, state, &mut tally).await;
            failures.extend(verdict.err().map(|cause| format!("{}, cut off after {number}: {cause}", command.name)));
        }
        for (name, number) in writes(&command).await {
            for kind in command.faults {
                tally.count(*kind);
                let state = after_fault(&command, name, number, *kind).await;
                let verdict = judge(&command, &state, &mut tally).await;
                let reported = |cause| format!("{}, {kind:?} of {name} {number}: {cause}", command.name);
                failures.extend(verdict.err().map(reported));
            }
        }
        let Tally { cut_off, requests_lost, answers_lost, with_leftovers } = tally;
        println!("| {} | {cut_off} | {requests_lost} | {answers_lost} | {with_leftovers} |", command.name);
        assert!(cut_off > 1 && answers_lost > 0, "{} writes nothing", command.name);
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

impl Tally {
    fn count(&mut self, fault: FaultKind) {
        match fault {
            FaultKind::LoseAnswer => self.answers_lost += 1,
            _ => self.requests_lost += 1,
        }
    }
}

/// The store that a command begins with, with what somebody else does while it runs.
fn beside(
    command: &Command,
    store: &MemoryStore,
    mut before: impl FnMut(&MemoryStore) + Send + 'static,
) -> Arc<Hooked> {
    let meanwhile = command.meanwhile.clone();
    let (announced, before) = (AtomicBool::new(false), Mutex::new(move |store: &MemoryStore| before(store)));
    Arc::new(Hooked::new(store, move |name, key, store| {
        let Some((record, bytes)) = meanwhile.as_ref().filter(|_| key.starts_with("intent/")) else {
            return if WRITES.contains(&name) {
                before.lock().unwrap()(store)
            };
        };
        if !announced.swap(true, Ordering::SeqCst) {
            store.put(record, bytes.clone(), &PutOptions::default()).now_or_never().unwrap().unwrap();
        }
        if WRITES.contains(&name) {
            before.lock().unwrap()(store);
        }
    }))
}

/// The store as it was before each writing request of a run that succeeds, and at the end.
async fn prefixes(command: &Command) -> Vec<MemoryStore> {
    let store = copy_of(&command.store).await;
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    let keep = move |store: &MemoryStore| seen.lock().unwrap().push(copy_of(store).now_or_never().unwrap());
    command.run(beside(command, &store, keep)).await.unwrap();
    let mut states = std::mem::take(&mut *states.lock().unwrap());
    states.push(store);
    states
}

/// The writing requests of a run that succeeds: each by its name and its number among those of that name.
async fn writes(command: &Command) -> Vec<(&'static str, u64)> {
    let store = copy_of(&command.store).await;
    let record = Record::new(beside(command, &store, |_| {}));
    command.run(Arc::new(record.clone())).await.unwrap();
    WRITES.into_iter().flat_map(|name| (1..=record.count(name) as u64).map(move |number| (name, number))).collect()
}

/// What a run leaves of which one request goes wrong; it may fail or get over it.
async fn after_fault(command: &Command, name: &'static str, number: u64, kind: FaultKind) -> MemoryStore {
    let store = copy_of(&command.store).await;
    let fault = Fault::new(beside(command, &store, |_| {}), 0).at(name, number, kind);
    let _ = command.run(Arc::new(fault)).await;
    store
}

/// Demands that a state is sound, and that the command comes to its end from there.
async fn judge(command: &Command, state: &MemoryStore, tally: &mut Tally) -> Result<(), String> {
    let store = copy_of(state).await;
    match command.open(Arc::new(store.clone())).await {
        Ok(repository) => sound(command, &repository, tally).await?,
        // Before the config is there, there is no repository.
        Err(Error::NoRepository { .. }) => {}
        Err(cause) => return Err(format!("it is not opened: {cause}")),
    }
    command.run(Arc::new(store.clone())).await.map_err(|cause| format!("run again: {cause}"))?;
    let repository = command.open(Arc::new(store)).await.map_err(|cause| format!("run again, then: {cause}"))?;
    sound(command, &repository, &mut Tally::default()).await.map_err(|cause| format!("run again, then {cause}"))
}

/// Demands that all is there that must be, that what is listed restores, and that nothing is damaged.
async fn sound(command: &Command, repository: &Repository, tally: &mut Tally) -> Result<(), String> {
    let listed = repository.snapshots().await.map_err(|cause| format!("listing: {cause}"))?.whole;
    let listed: Vec<_> = listed.iter().map(|handle| handle.snapshot.id).collect();
    if let Some((missing, _)) = command.must.iter().find(|(id, _)| !listed.contains(id)) {
        return Err(format!("snapshot {missing} is gone"));
    }
    for id in listed {
        let known = command.must.iter().chain(&command.may).find(|(known, _)| *known == id).map(|(_, files)| files);
        let files = known.or(command.new.as_ref()).ok_or_else(|| format!("snapshot {id} is nobody's"))?;
        restores(repository, id, files).await.map_err(|cause| format!("snapshot {id}: {cause}"))?;
    }
    let report = check::run(repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
    if let Some(finding) = report.findings.first() {
        return Err(finding.damage.to_string());
    }
    let leftovers = report.leftovers.packs + report.ownerless_usages + report.removed_snapshots;
    tally.with_leftovers += usize::from(leftovers > 0 || report.config_is_behind);
    Ok(())
}
