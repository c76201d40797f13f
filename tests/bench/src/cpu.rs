//! What child processes cost: the CPU time that the kernel accounts to a parent for children that it has waited for.
//!
//! A server that still runs is not among them, so that only the program under test counts. Resolution: a clock tick of the
//! kernel, 10 ms; short runs are measured many at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

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

fn of_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/self/stat")?;
    let times = fields.split_whitespace().skip(CHILDREN_USER).take(2).map(str::parse::<u64>);
    let ticks = times.sum::<Result<u64, _>>().context("no times in /proc/self/stat")?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks.saturating_mul(1000) / per_second.max(1)))
}
