//! What child processes cost: the CPU time that the kernel accounts to a parent for children that it has waited for.
//!
//! A server that still runs is not among them, so that only the program under test counts. Resolution: a clock tick of the
//! kernel, 10 ms; short runs are measured many at a time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credenza_e2e::process::{Memory, cpu_of_children, memory};

/// Time of one or more runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// From start to end.
    pub(crate) wall: Duration,
}

/// Does `work` and tells what its children cost; they must have ended.
pub(crate) fn cost_of<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (before, started) = (cpu_of_children()?, Instant::now());
    let done = work()?;
    Ok((done, Cost { cpu: cpu_of_children()?.saturating_sub(before), wall: started.elapsed() }))
}

/// What one run of a program needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// The most memory that the program itself held, as seen at looks [`LOOK_EVERY`] apart.
    pub(crate) peak_bytes: u64,
}

/// How often a program that runs is asked for its memory; the kernel keeps the most that it had.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs a program to its end, which must be good. What it writes goes to a file, so that no pipe holds it up.
pub(crate) fn usage_of(mut command: Command) -> Result<Usage> {
    let written = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(written.reopen()?).stderr(written.reopen()?);
    let mut peak_bytes = 0;
    let (status, cost) = cost_of(|| {
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        loop {
            peak_bytes = peak_bytes.max(memory(child.id(), Memory::Peak).unwrap_or(0));
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    })?;
    let told = || std::fs::read_to_string(written.path()).unwrap_or_default();
    ensure!(status.success(), "{command:?} ended with {status}\n{}", told());
    Ok(Usage { cpu: cost.cpu, wall: cost.wall, peak_bytes })
}
