//! Figures that are ratios and counts: what a start, the sandbox, daily work, parity, a copy of a bucket, looking into snapshots and sharing a backup
//! cost, how that grows, and what other programs take for the same.
//!
//! `cargo xtask bench [MEASUREMENT]...` builds what this needs and runs it; without a word it measures all but `peers`, which takes a release build and installs
//! programs. `CREDENZA_BINARY` names another binary for all but `overhead`, `ready` and `scale`; `copy` and `serve` need what `tests/servers/install.sh` installs.
//!
//! Owned here: running programs in turn and what the kernel says they cost. Refused here: knowledge of how credenza works inside,
//! which only the program `credenza-bench-backup` beside this one has, and figures in seconds as a test: machines differ.

mod copy;
mod cpu;
mod files;
mod folder;
mod mount;
mod overhead;
mod parity;
mod peers;
mod ready;
mod report;
mod scale;
mod serve;
mod server;
mod shards;
mod start;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// A measurement prints its figures and says whether their limits hold.
type Measurement = fn() -> Result<bool>;

const MEASUREMENTS: [(&str, Measurement); 11] = [
    ("start", start::measure),
    ("overhead", overhead::measure),
    ("ready", ready::measure),
    ("folder", folder::measure),
    ("parity", parity::measure),
    ("copy", copy::measure),
    ("mount", mount::measure),
    ("serve", serve::measure),
    ("shards", shards::measure),
    ("scale", scale::measure),
    (PEERS, peers::measure),
];

/// The one that runs by its name alone.
const PEERS: &str = "peers";

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(word) = words.iter().find(|word| !MEASUREMENTS.iter().any(|(name, _)| name == word)) {
        let names = MEASUREMENTS.map(|(name, _)| name).join("|");
        bail!("{word} is not measured; usage: credenza-bench [{names}]...");
    }
    let profile = if cfg!(debug_assertions) { "dev (its CPU times are higher than a release's)" } else { "release" };
    report::write(&format!("profile {profile}, {}", credenza_e2e::binary().display()))?;
    let mut all_hold = true;
    for (name, measure) in MEASUREMENTS {
        if words.is_empty() && name != PEERS || words.iter().any(|word| word == name) {
            all_hold &= measure()?;
        }
    }
    Ok(if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
