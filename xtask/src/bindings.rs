//! `cargo xtask bindings`: keeps the SDK's generated files equal to `wit/`. The generator is a crate of the plugins'
//! workspace, so that this one stays quick to build.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs the generator with the given arguments.
pub(crate) fn settle(house: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new(credenza_author::cargo())
        .current_dir(house.join("plugins"))
        .args(["run", "--quiet", "--package", "credenza-bindgen", "--"])
        .args(arguments)
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "the bindings of the SDK are not settled");
    Ok(())
}
