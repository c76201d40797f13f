//! What the work costs at least: the sum of its stages on one core, as `credenza-bench-backup stages` measures them on the same bytes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// CPU seconds of each stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stages {
    read: f64,
    cut: f64,
    hash: f64,
    compress: f64,
    seal: f64,
    inflate: f64,
}

impl Stages {
    pub(crate) fn backup(&self) -> f64 {
        self.read + self.cut + self.hash + self.compress + self.seal
    }

    /// Opening costs what sealing does, and writing at least what reading does.
    pub(crate) fn restore(&self) -> f64 {
        self.check() + self.read
    }

    pub(crate) fn check(&self) -> f64 {
        self.seal + self.inflate + self.hash
    }
}

/// The stages over all files of a folder.
///
/// # Errors
/// When the program fails.
pub(crate) fn of(folder: &Path) -> Result<Stages> {
    let program = credenza_e2e::binary().with_file_name("credenza-bench-backup");
    let mut command = Command::new(program);
    let output = command.arg("stages").arg(folder).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let stage = |name: &str| told.get(name).and_then(Value::as_f64).with_context(|| format!("{name} was not measured"));
    Ok(Stages {
        read: stage("read")?,
        cut: stage("cut")?,
        hash: stage("hash")?,
        compress: stage("compress")?,
        seal: stage("seal")?,
        inflate: stage("inflate")?,
    })
}
