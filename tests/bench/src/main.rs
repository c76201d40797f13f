//! Figures that are ratios and counts: what the sandbox costs, what a start costs, how soon a component is ready, what daily work costs, what parity costs, what a copy of a bucket costs,
//! what looking into snapshots costs.
//!
//! `cargo xtask bench [overhead|ready|start|folder|parity|copy|mount|serve]...` builds what this needs and runs it; without a word it measures all.
//! `CREDENZA_BINARY` names another binary for all but `overhead` and `ready`; `copy` and `serve` need what `tests/servers/install.sh` installs.
//!
//! Owned here: running programs in turn and what the kernel says they cost. Refused here: knowledge of how credenza works inside,
//! which only the program `credenza-bench-backup` beside this one has, and figures in seconds as a test: machines differ.

mod copy;
mod cpu;
mod folder;
mod mount;
mod overhead;
mod parity;
mod ready;
mod report;
mod serve;
mod server;
mod start;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// A measurement prints its figures and says whether their limits hold.
type Measurement = fn() -> Result<bool>;

const MEASUREMENTS: [(&str, Measurement); 8] = [
    ("start", start::measure),
    ("overhead", overhead::measure),
    ("ready", ready::measure),
    ("folder", folder::measure),
    ("parity", parity::measure),
    ("copy", copy::measure),
    ("mount", mount::measure),
    ("serve", serve::measure),
];

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(word) = words.iter().find(|word| !MEASUREMENTS.iter().any(|(name, _)| name == word)) {
        bail!("{word} is not measured; usage: credenza-bench [overhead|ready|start|folder|parity|copy|mount|serve]...");
    }
    let profile = if cfg!(debug_assertions) { "dev (its CPU times are higher than a release's)" } else { "release" };
    report::write(&format!("profile {profile}, {}", credenza_e2e::binary().display()))?;
    let mut all_hold = true;
    for (name, measure) in MEASUREMENTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            all_hold &= measure()?;
        }
    }
    Ok(if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
