//! What the kernel tells of a process: whether it is at work, the memory that it holds, and the CPU time that it has spent (`proc_pid_status(5)`, `proc_pid_stat(5)`).
//!
//! Owned here: reading it. Refused here: when one looks, and what is too much (tests and measurements).

use std::time::Duration;

use anyhow::{Context, Result};

/// Fields of `stat` behind the name of the program: user and system time of the process, and behind them those of its children.
const OWN_TIMES: usize = 11;
const TIMES_OF_CHILDREN: usize = 13;

/// Which memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The most that it has held so far.
    Peak,
    /// What it holds now.
    Now,
    /// What of that is no pages of files, which the machine takes back when it likes.
    Own,
}

/// Whether a process is at work, by its id as a file has it; one that has ended and that nobody has asked for is not.
#[must_use]
pub fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Bytes of memory of a process; nothing once it has ended.
pub fn memory(process: u32, which: Memory) -> Option<u64> {
    let name = match which {
        Memory::Peak => "VmHWM:",
        Memory::Now => "VmRSS:",
        Memory::Own => "RssAnon:",
    };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

/// The CPU time that a process has spent with all its threads, to a tick of the kernel of 10 ms.
///
/// # Errors
/// When it has ended.
pub fn cpu(process: u32) -> Result<Duration> {
    times(process, OWN_TIMES)
}

/// That of the children which this process has waited for.
///
/// # Errors
/// When the kernel tells nothing.
pub fn cpu_of_children() -> Result<Duration> {
    times(std::process::id(), TIMES_OF_CHILDREN)
}

fn times(process: u32, first: usize) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).context("nothing is told of the process")?;
    let (_, fields) = stat.rsplit_once(')').context("no name in what is told of the process")?;
    let times = fields.split_whitespace().skip(first).take(2).map(str::parse::<u64>);
    let ticks = times.sum::<Result<u64, _>>().context("no times in what is told of the process")?;
    Ok(Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1)))
}
