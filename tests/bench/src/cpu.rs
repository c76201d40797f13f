//! What child processes cost: the CPU time that the kernel accounts to a parent for children that it has waited for.
//!
//! A server that still runs is not among them, so that only the program under test counts. Resolution: a clock tick of the
//! kernel, 10 ms; short runs are measured many at a time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Fields of `/proc/self/stat` behind the name of the program: user and system time of children (`proc_pid_stat(5)`, 16 and 17).
const CHILDREN_USER: usize = 13;

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
    let (before, started) = (of_children()?, Instant::now());
    let done = work()?;
    Ok((done, Cost { cpu: of_children()?.saturating_sub(before), wall: started.elapsed() }))
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
            peak_bytes = peak_bytes.max(peak_of(child.id()).unwrap_or(0));
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

/// The most memory that a process has held so far.
fn peak_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

fn of_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/self/stat")?;
    let times = fields.split_whitespace().skip(CHILDREN_USER).take(2).map(str::parse::<u64>);
    let ticks = times.sum::<Result<u64, _>>().context("no times in /proc/self/stat")?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks.saturating_mul(1000) / per_second.max(1)))
}
