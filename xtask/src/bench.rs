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

/// The measurement that compares with other programs, and so takes what is handed out: a release.
const PEERS: &str = "peers";

/// Builds connectors, host and measurements, then runs the named ones, or all but that of other programs.
pub(crate) fn run_all(measurements: &[&str]) -> Result<()> {
    guests::build(&step::workspace())?;
    guests::build_python(&step::workspace())?;
    build()?;
    let mut bench = Command::new(step::workspace().join("target/debug/credenza-bench"));
    bench.args(measurements);
    if measurements.contains(&PEERS) {
        let release = ["build", "--release", "--workspace", "--bin", "credenza", "--bin", "credenza-bench-backup"];
        run("build a release", step::cargo(&[&release, &FEATURES[..]].concat()))?;
        run("install other programs", step::command("tests/bench/install-peers.sh", &["target/tools/peers"]))?;
        bench.env("CREDENZA_BINARY", step::workspace().join("target/release/credenza"));
    }
    run("bench", bench)
}
