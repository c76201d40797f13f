//! One step of a task: a command that runs in the root of the workspace, is named before it runs, and must succeed.

use anyhow::{Context, Result, ensure};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this task, without what it said of this task's own package: build scripts that look at that would run again, and all
/// that depends on them be built again, each time somebody changes from `cargo xtask` to `cargo`.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = command(&cargo, arguments);
    let of_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| of_package(name)) {
        command.env_remove(name);
    }
    command
}

/// Another program.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a step and lets it write to the terminal.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn run(name: &str, mut command: Command) -> Result<()> {
    writeln!(stderr(), "== {name}: {command:?}")?;
    let status =
        command.current_dir(workspace()).status().with_context(|| format!("{name}: cannot run {command:?}"))?;
    ensure!(status.success(), "{name} failed ({status}): {command:?}");
    Ok(())
}

/// Whether a command runs and succeeds; what it writes is not shown.
pub(crate) fn succeeds(mut command: Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Whether packages can be installed here without asking anybody.
pub(crate) fn is_root_on_debian() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    is_root && Path::new("/etc/debian_version").exists()
}
