//! What a file costs in system calls, held as limits: what creeps back shows.
//!
//! Calls that depend on how threads are scheduled are not counted, nor those that only a build with assertions makes.

use anyhow::{Context, Result, ensure};
use credenza_e2e::{Report, Setup, servers, tree};
use std::collections::BTreeMap;
use std::process::Command;

const FILES: u64 = 4000;
/// What is counted: all that files are looked at, read and written by.
const COUNTED: &[&str] = &[
    "access",
    "chmod",
    "chown",
    "close",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fgetxattr",
    "flistxattr",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fsync",
    "getdents64",
    "getxattr",
    "lgetxattr",
    "linkat",
    "listxattr",
    "llistxattr",
    "lseek",
    "lstat",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "pwrite64",
    "readlinkat",
    "removexattr",
    "renameat",
    "renameat2",
    "setxattr",
    "stat",
    "statx",
    "unlinkat",
    "utimensat",
];

/// Runs a command of the program under `strace`; calls by name.
fn traced(setup: &Setup, name: &str, words: &[&str]) -> Result<BTreeMap<String, u64>> {
    let command = setup.credenza.command(words);
    let counts = setup.path(name);
    let mut traced = Command::new(servers::program("strace", "strace"));
    traced
        .env_clear()
        .current_dir(setup.path(""))
        .env("LD_LIBRARY_PATH", servers::program("libunwind8", "").as_os_str());
    traced
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&counts)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        traced.envs(value.map(|value| (name, value)));
    }
    let ended = traced.output().context("starting strace")?;
    ensure!(
        ended.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    let counted = std::fs::read_to_string(&counts)?;
    let counted = counted.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(char::is_whitespace)?;
        Some((name.trim().to_owned(), calls.parse().ok()?))
    });
    Ok(counted.collect())
}

fn ensure_few(counted: &BTreeMap<String, u64>, hundredths_max: u64) -> Result<()> {
    let counted: BTreeMap<_, _> = counted.iter().filter(|(name, _)| COUNTED.contains(&name.as_str())).collect();
    let hundredths = counted.values().copied().sum::<u64>() * 100 / FILES;
    ensure!(hundredths <= hundredths_max, "{hundredths} hundredths of a call a file: {counted:?}");
    Ok(())
}

/// Whether a process may trace another here; some containers forbid it.
fn is_traceable() -> bool {
    let strace = servers::program("strace", "strace");
    let libraries = servers::program("libunwind8", "");
    Command::new(strace)
        .env("LD_LIBRARY_PATH", libraries)
        .args(["-c", "-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|ended| ended.success())
}

#[test]
fn a_file_costs_few_system_calls() {
    let strace = servers::program("strace", "strace");
    assert!(strace.exists(), "{} is not there: run tests/servers/install.sh strace", strace.display());
    if !is_traceable() {
        eprintln!("nothing is counted: this machine lets no process trace another");
        return;
    }
    let mut report = Report::default();
    report.scenario("first, unchanged and restored", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        tree::build_many(&source, FILES)?;
        let backup = ["backup", &source.to_string_lossy()];
        ensure_few(&traced(&setup, "first", &backup)?, 700)?;
        // What was changed a moment before the first began is read once more.
        setup.credenza.ok(backup)?;
        ensure_few(&traced(&setup, "unchanged", &backup)?, 120)?;
        let target = setup.path("target");
        let restore = ["restore", "latest", "--accept-loss", "--to", &target.to_string_lossy()];
        ensure_few(&traced(&setup, "restore", &restore)?, 900)?;
        tree::compare(&source, &target)
    });
    report.finish();
}
