//! Large work in little memory: one huge file, and very many small ones.

use anyhow::Result;
use credenza_e2e::{Report, Setup, tree};
use std::path::Path;

/// The most memory that any command may hold, in bytes.
const MEMORY_BYTES_MAX: u64 = 200 * 1000 * 1000;

const MIB: u64 = 1024 * 1024;

#[test]
fn a_file_of_4_gib_stays_below_200_mb_of_memory() -> Result<()> {
    let pieces: Vec<(u64, u64)> = (0..128).map(|number| (number * 32 * MIB, 8 * MIB)).collect();
    run(|source| {
        std::fs::create_dir_all(source)?;
        tree::build_sparse(&source.join("disk.img"), 4096 * MIB, &pieces)
    })
}

#[test]
fn a_tree_of_60_000_files_stays_below_200_mb_of_memory() -> Result<()> {
    run(|source| tree::build_many(source, 60_000))
}

/// Backs up, again unchanged, restores, checks: each in bounds, and nothing differs.
fn run(build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let setup = Setup::with_local_repository()?;
    let (source, target) = (setup.path("source"), setup.path("target"));
    build(&source)?;
    let (source_text, target_text) = (source.to_string_lossy(), target.to_string_lossy());
    let commands: [(&str, Vec<&str>); 4] = [
        ("first backup", vec!["backup", &source_text]),
        ("unchanged backup", vec!["backup", &source_text]),
        ("restore", vec!["restore", "latest", "--to", &target_text]),
        ("check", vec!["check", "--read-data"]),
    ];
    let mut report = Report::default();
    for (name, command) in commands {
        report.scenario(name, || setup.credenza.ok(&command)?.expect_memory_below(MEMORY_BYTES_MAX).map(drop));
    }
    report.scenario("nothing differs", || tree::compare(&source, &target));
    report.finish();
    Ok(())
}
