//! `cargo xtask bench`: builds all that the measurements in `tests/bench` need, and runs them.

use crate::guests;
use crate::step::{self, run};
use anyhow::Result;
use std::process::Command;

/// The workspace with the one program that an ordinary build leaves out; everything else is shared with that build.
pub(crate) const BUILD: [&str; 4] = ["build", "--workspace", "--features", "credenza-bench/native"];

/// Builds connectors, host and measurements, then runs the named ones, or all.
pub(crate) fn run_all(measurements: &[&str]) -> Result<()> {
    guests::build(&step::workspace())?;
    run("build", step::cargo(&BUILD))?;
    let mut bench = Command::new(step::workspace().join("target/debug/credenza-bench"));
    bench.args(measurements);
    run("bench", bench)
}
