//! `cargo xtask fuzz [TIMES]`: builds `tests/fuzz` with the flags that coverage needs on stable Rust, and lets it try every decoder.
//!
//! Owned here: the flags, and how often each decoder is tried: some two seconds' worth, counted so that every machine tries the same.
//! What fails is kept in `tests/fuzz/target/failed`, and the fuzzer prints how to run it again.

use crate::step::{self, run};
use anyhow::{Context, Result};
use std::path::Path;

/// What `cargo fuzz` passes on nightly, without its sanitizers: counters and tables of edges, and what is compared with what.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Named, so that the flags are not for build scripts and macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The decoders and how often each is tried.
const DECODERS: [(&str, u64); 20] = [
    ("object", 10_000),
    ("plaintext", 2_000),
    ("pack", 20_000),
    ("footer", 20_000),
    ("parity", 2_000),
    ("index", 20_000),
    ("usage", 20_000),
    ("intent", 20_000),
    ("condemned", 20_000),
    ("note", 20_000),
    ("escrow", 20_000),
    ("snapshot", 20_000),
    ("keyring", 20_000),
    ("node", 20_000),
    ("list", 20_000),
    ("config", 20_000),
    ("slot", 20_000),
    ("removal", 20_000),
    ("keys", 20_000),
    ("s3", 10_000),
];

/// Builds the fuzzer and tries all decoders, so many times as often as a test run does.
pub(crate) fn run_all(times: u64) -> Result<()> {
    let fuzz = step::workspace().join("tests/fuzz");
    let mut build = step::cargo(&["build", "--locked", "--manifest-path", "tests/fuzz/Cargo.toml", "--target", TARGET]);
    build.env("RUSTFLAGS", FLAGS);
    run("build the fuzzer", build)?;
    DECODERS.iter().try_for_each(|(decoder, runs)| try_one(&fuzz, decoder, runs.saturating_mul(times)))
}

/// Begins with the seeds alone, and with the same numbers, so that a run can be repeated.
fn try_one(fuzz: &Path, decoder: &str, runs: u64) -> Result<()> {
    let (inputs, failed) = (fuzz.join("target/inputs").join(decoder), fuzz.join("target/failed").join(decoder));
    if inputs.exists() {
        std::fs::remove_dir_all(&inputs).with_context(|| format!("cannot clear {}", inputs.display()))?;
    }
    std::fs::create_dir_all(&failed).with_context(|| format!("cannot make {}", failed.display()))?;
    let program = fuzz.join("target").join(TARGET).join("debug/credenza-fuzz");
    let mut command = step::command(&program.to_string_lossy(), &["-seed=1", "-max_len=8192", "-verbosity=0"]);
    command.arg(format!("-runs={runs}")).arg(format!("-artifact_prefix={}/", failed.display())).arg(&inputs);
    run(&format!("fuzz {decoder}"), command)
}
