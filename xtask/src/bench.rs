//! `cargo xtask bench`: builds all that the measurements in `tests/bench` need, and runs them.

use crate::guests;
use crate::step::{self, run};
use anyhow::Result;
use std::process::Command;

/// The one feature that an ordinary build leaves out. Every step that builds asks for it and for all targets: what a step selects
/// decides over the features of dependencies, and others would build wasmtime once more.
pub(crate) const FEATURES: [&str; 2] = ["--features", "credenza-bench/native"];

/// The workspace with its measurements and tests.
pub(crate) fn build() -> Result<()> {
    run("build", step::cargo(&[&["build", "--workspace", "--all-targets"], &FEATURES[..]].concat()))
}

/// Builds connectors, host and measurements, then runs the named ones, or all.
pub(crate) fn run_all(measurements: &[&str]) -> Result<()> {
    guests::build(&step::workspace())?;
    guests::build_python(&step::workspace())?;
    build()?;
    let mut bench = Command::new(step::workspace().join("target/debug/credenza-bench"));
    bench.args(measurements);
    run("bench", bench)
}
