//! Two writers and a collector at work on one bucket of a server that fails now and then, round after round.
//!
//! `CREDENZA_ENDURANCE_ROUNDS` makes it longer than the few rounds of every test run: some two seconds a round.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "two writers are two, and the figures are the result"
)]

use anyhow::{Context, Result, ensure};
use credenza_e2e::s3::Endpoint;
use credenza_e2e::{Outcome, Run, Setup, memory_server_of_pages, snapshot_of, tree};
use credenza_s3_server::{Fault, Operation, Rule, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ROUNDS: u64 = 4;
const BUCKET: &str = "repository";
/// Files that each writer changes in turn.
const FILES: u64 = 24;
/// Another run was in the way: to be tried again.
const CONFLICT: i32 = 11;

/// Names and digests of all files: what a restore must give back.
type State = BTreeMap<String, u64>;

/// One who backs up a folder of his own, from a machine of his own.
struct Writer {
    seed: u64,
    setup: Setup,
    committed: BTreeMap<String, State>,
    conflicts: u64,
}

impl Writer {
    fn new(seed: u64, endpoint: &Endpoint) -> Result<Self> {
        let mut setup = Setup::new()?;
        setup.add("repository", "store", endpoint, BUCKET)?;
        setup.credenza.set("CREDENZA_REPOSITORY", "@store");
        setup.credenza.set("USER", &format!("writer-{seed}"));
        fs::create_dir(setup.path("source"))?;
        Ok(Self { seed, setup, committed: BTreeMap::new(), conflicts: 0 })
    }

    /// Changes some files, some back to what they were, and takes one away.
    fn change(&self, round: u64) -> Result<()> {
        let source = self.setup.path("source");
        for number in (0..FILES).filter(|number| round == 0 || (number + round).is_multiple_of(5)) {
            let content = self.seed * 1000 + number * 10 + (round + number) % 7;
            fs::write(source.join(format!("file-{number}")), tree::noise(content, 1000 + number * 20_000))?;
        }
        let gone = source.join(format!("file-{}", round % FILES));
        if gone.exists() { fs::remove_file(gone).context("cannot remove a file") } else { Ok(()) }
    }

    fn start(&self) -> Result<Run> {
        self.setup.credenza.start(["--json", "backup", &self.setup.path("source").to_string_lossy()])
    }

    /// Takes note of what a run committed; another one in the way is no failure.
    fn note(&mut self, outcome: Outcome) -> Result<()> {
        if outcome.code == Some(CONFLICT) {
            self.conflicts += 1;
            return Ok(());
        }
        let id = snapshot_of(&outcome.expect_code(0)?.summary()?)?;
        self.committed.insert(id, state_of(&self.setup.path("source"))?);
        Ok(())
    }
}

fn state_of(root: &Path) -> Result<State> {
    let files = fs::read_dir(root)?.map(|entry| {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, fingerprint(&fs::read(&path)?)))
    });
    files.collect()
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): enough to tell contents that no adversary chose.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Prunes and reclaims; says which snapshots it removed.
fn collect(setup: &Setup) -> Result<BTreeSet<String>> {
    let pruned = setup.credenza.ok(["--json", "prune", "--keep-last", "3", "--apply", "--force"])?;
    let removed = pruned.lines_of("removed")?.into_iter().filter_map(|line| line["id"].as_str().map(str::to_owned));
    setup.credenza.ok(["--json", "maintain"])?;
    Ok(removed.collect())
}

fn misbehave(server: &Server) {
    let put = [Operation::PutObject];
    let get = [Operation::GetObject];
    server.faults().add(Rule::new(Fault::LostAnswer).on(&put).every(11));
    server.faults().add(Rule::new(Fault::SlowDown { retry_after_s: None }).share(60, 7));
    server.faults().add(Rule::new(Fault::Reset).every(37));
    server.faults().add(Rule::new(Fault::Truncated { keep_bytes: 100 }).on(&get).every(29));
    server.faults().add(Rule::new(Fault::InternalError).every(41));
}

#[test]
fn two_writers_and_a_collector_lose_nothing_on_a_server_that_fails() -> Result<()> {
    let rounds = std::env::var("CREDENZA_ENDURANCE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let (server, endpoint) = memory_server_of_pages(800)?;
    server.buckets.create(BUCKET);
    let collector = Setup::with_s3_repository(&endpoint, BUCKET)?;
    let mut writers = [Writer::new(1, &endpoint)?, Writer::new(2, &endpoint)?];
    let mut removed = BTreeSet::new();
    misbehave(&server);
    for round in 0..rounds {
        writers.iter().try_for_each(|writer| writer.change(round))?;
        let runs = [writers[0].start()?, writers[1].start()?];
        removed.extend(collect(&collector)?);
        for (writer, run) in writers.iter_mut().zip(runs) {
            writer.note(run.wait()?)?;
        }
    }
    let struck = server.faults().struck();
    server.faults().clear();
    verify(&collector, &writers, &removed)?;
    let [one, two] = writers.map(|writer| (writer.committed.len(), writer.conflicts));
    println!("{rounds} rounds, {struck} faults, (snapshots, conflicts) {one:?} {two:?}, {} removed", removed.len());
    ensure!(struck > 0, "no fault struck");
    Ok(())
}

/// What was committed and not removed is there, and restores as it was; nothing else is, and nothing is damaged.
fn verify(collector: &Setup, writers: &[Writer], removed: &BTreeSet<String>) -> Result<()> {
    let committed = writers.iter().flat_map(|writer| &writer.committed);
    let expected: BTreeMap<&String, &State> = committed.filter(|(id, _)| !removed.contains(*id)).collect();
    let listed = collector.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
    let listed: BTreeSet<&str> = listed.iter().filter_map(|line| line["id"].as_str()).collect();
    ensure!(listed == expected.keys().map(|id| id.as_str()).collect(), "{listed:?}\n{expected:?}");
    for (id, state) in expected {
        let restored = collector.restore(id, &format!("restored-{id}"))?;
        ensure!(state_of(&restored)? == *state, "{id} restores other files");
    }
    collector.check()?.expect_code(0)?;
    collector.credenza.ok(["--json", "audit"]).map(drop)
}
