//! What a step cost, by what the kernel says of this process and what was counted at its store.

use std::path::Path;

use anyhow::{Context, Result};
use credenza_connect::wrap::Spent;
use credenza_e2e::process::{Memory, cpu, memory};

/// The figures as one line of JSON: bytes, requests by class, hundredths of a second of CPU, and objects in the repository afterwards.
pub(crate) fn line(spent: Spent, folder: &Path) -> Result<String> {
    let process = std::process::id();
    let objects = |name: &str| count(&folder.join("repository").join(name));
    let line = serde_json::json!({
        "peak_bytes": memory(process, Memory::Peak).context("no memory was measured")?,
        "cpu_ms": cpu(process)?.as_millis(),
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
