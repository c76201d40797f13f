//! What a step cost, by what the kernel says of this process and what was counted at its store.

use std::path::Path;

use anyhow::{Context, Result};
use credenza_connect::wrap::Spent;

/// Fields of `/proc/self/stat` behind the name of the program: user and system time (`proc_pid_stat(5)`, 14 and 15).
const USER: usize = 11;

/// The figures as one line of JSON: bytes, requests by class, hundredths of a second of CPU, and objects in the repository afterwards.
pub(crate) fn line(spent: Spent, folder: &Path) -> Result<String> {
    let objects = |name: &str| count(&folder.join("repository").join(name));
    let line = serde_json::json!({
        "peak_bytes": peak_bytes()?,
        "cpu_ms": cpu_ms()?,
        "requests": spent.requests(),
        "list": spent.list,
        "get": spent.get,
        "head": spent.head,
        "put": spent.put,
        "delete": spent.delete,
        "bytes": spent.bytes(),
        "packs": objects("data")? + objects("meta")?,
        "segments": objects("index")?,
    });
    Ok(line.to_string())
}

/// The most memory that this process has held.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(mark.context("no peak in /proc/self/status")?.parse::<u64>()? * 1024)
}

fn cpu_ms() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/self/stat")?;
    let times = fields.split_whitespace().skip(USER).take(2).map(str::parse::<u64>);
    let ticks = times.sum::<Result<u64, _>>()?;
    Ok(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Files below a folder, which need not be there.
fn count(folder: &Path) -> Result<u64> {
    let mut files = 0;
    if !folder.exists() {
        return Ok(0);
    }
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        files += if item.file_type()?.is_dir() { count(&item.path())? } else { 1 };
    }
    Ok(files)
}
