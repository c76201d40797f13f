//! What must hold of the growth that `credenza-bench-scale` measures: memory stays flat, and no more is asked than there are pages and packs.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here is a failed test")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The most memory that a step may hold.
const MEMORY_BYTES_MAX: u64 = 200 * 1024 * 1024;
/// Memory that a step takes more for ten times as many keys, as long as the index is in memory: 52 bytes a chunk, twice while its runs merge, and what is in packs so far.
const MORE_BYTES_A_KEY: u64 = 250;
/// What more there is to do has more of it under way at once, by how threads come by a core.
const MORE_IN_FLIGHT: u64 = 24 * 1024 * 1024;
/// Requests that are made whatever there is: listings, config, slot, intent, commit.
const REQUESTS_MIN: u64 = 40;
/// Those of a maintenance, which makes each listing in many ways that must agree.
const CAUTIOUS_REQUESTS: u64 = 400;

fn step(folder: &Path, keys: u64, step: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_credenza-bench-scale"));
    command.arg("step").arg(folder).args([&keys.to_string(), step]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{step} of {keys} keys: {}", String::from_utf8_lossy(&output.stderr));
    let line = serde_json::from_slice(&output.stdout).unwrap();
    println!("{keys} keys, {step}: {line}");
    line
}

fn figure(line: &Value, name: &str) -> u64 {
    line[name].as_u64().unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// All steps; demands that none asks more than there are packs and segments.
fn all_steps(keys: u64) -> Vec<(&'static str, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let steps = ["first", "unchanged", "changed", "prefix", "check", "prune", "maintain"];
    let mut objects = 0;
    let mut lines = Vec::new();
    for name in steps {
        let line = step(folder.path(), keys, name);
        objects = objects.max(figure(&line, "packs") + figure(&line, "segments"));
        let fixed = if name == "maintain" || name == "prune" { CAUTIOUS_REQUESTS } else { REQUESTS_MIN };
        let (asked, most) = (figure(&line, "requests"), fixed + 6 * objects);
        assert!(asked <= most, "{name} of {keys} keys: {asked} requests, {objects} packs and segments: {line}");
        lines.push((name, line));
    }
    lines
}

#[test]
fn ten_times_as_many_keys_take_hardly_more_memory_and_requests() {
    let (few, many) = (all_steps(5_000), all_steps(50_000));
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        let (less, more) = (figure(few, "peak_bytes"), figure(many, "peak_bytes"));
        assert!(more <= less + 45_000 * MORE_BYTES_A_KEY + MORE_IN_FLIGHT, "{name}: {less} and {more} bytes of memory");
        let (less, more) = (figure(few, "requests"), figure(many, "requests"));
        assert!(more <= less * 3 + 20, "{name}: {less} and {more} requests");
    }
}

/// Half an hour and 8 GB of disk: `cargo nextest run -p credenza-bench --features native --release --run-ignored only ten_million`.
#[test]
#[ignore = "half an hour and 8 GB of disk"]
fn ten_million_keys_stay_below_200_mib() {
    for (name, line) in all_steps(10_000_000) {
        let peak = figure(&line, "peak_bytes");
        assert!(name == "first" || peak <= MEMORY_BYTES_MAX, "{name}: {peak} bytes of memory");
    }
}
