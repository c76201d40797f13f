//! What the sandbox costs: the same backup with the S3 library as a component and called natively, in turn.
//!
//! Pairs run in one go with the order changed each time, so that what slows the machine slows both; the median of the
//! ratios is what counts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::{number, workspace};
use serde_json::Value;

use crate::cpu::{Cost, cost_of};
use crate::report::{median, seconds, verdict, write};
use crate::server::Server;

const OBJECTS: u64 = 256;
const OBJECT_BYTES: u64 = 8 * 1024 * 1024;
const PAIRS: usize = 5;
/// CPU of the component's backup over CPU of the native one.
const RATIO_MAX: f64 = 1.05;

/// One measured backup.
struct Run {
    cost: Cost,
    counts: Value,
}

/// Measures, prints the pairs, and says whether the median holds.
pub(crate) fn measure() -> Result<bool> {
    let server = Server::start(OBJECTS, OBJECT_BYTES)?;
    let folder = tempfile::tempdir()?;
    let run = |way: &str| backup(way, folder.path(), &server);
    write(
        "Overhead of the sandbox: backup of 256 objects of 8 MiB through the S3 component, and through the same library natively",
    )?;
    // Fills the cache of compiled code and the caches of the machine.
    run("sandbox")?;
    run("native")?;
    write("  pair    native CPU   sandbox CPU   ratio   requests (both)   bytes read inside: native, sandbox")?;
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let (native, sandbox) = if pair % 2 == 0 {
            let native = run("native")?;
            (native, run("sandbox")?)
        } else {
            let sandbox = run("sandbox")?;
            (run("native")?, sandbox)
        };
        ratios.push(show(pair + 1, &native, &sandbox)?);
    }
    verdict("median ratio", median(&mut ratios)?, RATIO_MAX, "")
}

/// Prints a pair; both must have done the same.
fn show(pair: usize, native: &Run, sandbox: &Run) -> Result<f64> {
    let requests = number(&native.counts, &["requests"])?;
    ensure!(requests == number(&sandbox.counts, &["requests"])?, "{} and {}", native.counts, sandbox.counts);
    let inside = |run: &Run| number(&run.counts, &["bytes_read_by_connector"]);
    let ratio = sandbox.cost.cpu.as_secs_f64() / native.cost.cpu.as_secs_f64();
    write(&format!(
        "  {pair:>4}  {}     {}   {ratio:>5.3}   {requests:>15}   {}, {}",
        seconds(native.cost.cpu),
        seconds(sandbox.cost.cpu),
        inside(native)?,
        inside(sandbox)?,
    ))?;
    Ok(ratio)
}

fn backup(way: &str, folder: &Path, server: &Server) -> Result<Run> {
    let repository = folder.join("repository");
    let mut command = Command::new(workspace().join("target/debug/credenza-bench-backup"));
    command.arg(way).arg(&repository).arg(folder.join("compiled")).args(server.settings());
    let (output, cost) = cost_of(|| command.output().with_context(|| format!("cannot run {command:?}")))?;
    std::fs::remove_dir_all(&repository).context("the backup left no repository")?;
    ensure!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    let counts: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(number(&counts, &["bytes_read"])? == OBJECTS * OBJECT_BYTES, "{way} read something else: {counts}");
    Ok(Run { cost, counts })
}
