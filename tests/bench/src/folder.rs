//! The daily work on a folder of many small files: first backup, unchanged backup, restore, check.

use anyhow::Result;
use credenza_e2e::{Setup, snapshot_of, tree};

use crate::cpu::cost_of;
use crate::report::{seconds, write};

const FILES: u64 = 50_000;

/// Measures and prints a line for each step; the figures are for comparison and have no limit.
pub(crate) fn measure() -> Result<bool> {
    let mut setup = Setup::new()?;
    setup.credenza.set("CREDENZA_REPOSITORY", &setup.path("repository").to_string_lossy());
    let source = setup.path("source");
    tree::build_many(&source, FILES)?;
    setup.credenza.ok(["create"])?;
    write(&format!("Folder of {FILES} files of 1 byte to 8 KiB"))?;
    write("  step                        CPU          wall   peak memory")?;
    let source = source.to_string_lossy().into_owned();
    step(&setup, "first backup", &["backup", &source])?;
    let summary = setup.backup(&source)?;
    step(&setup, "unchanged backup", &["backup", &source])?;
    let target = setup.path("restored").to_string_lossy().into_owned();
    step(&setup, "restore", &["restore", &snapshot_of(&summary)?, "--to", &target])?;
    step(&setup, "check --read-data", &["check", "--read-data"])?;
    Ok(true)
}

fn step(setup: &Setup, name: &str, words: &[&str]) -> Result<()> {
    let (outcome, cost) = cost_of(|| setup.credenza.ok(words))?;
    let mebibytes = outcome.peak_rss_bytes / (1024 * 1024);
    write(&format!("  {name:<20} {}   {}   {mebibytes:>7} MiB", seconds(cost.cpu), seconds(cost.wall)))
}
