//! `cargo xtask demo`: builds what the demonstration in `tests/demo` runs, and nothing else, and runs it.

use crate::guests;
use crate::step::{self, run};
use anyhow::Result;
use std::process::Command;

/// Builds connector and host, then runs the demonstration against the built binary.
///
/// With the words `--ui` the page of the sample is served at the end.
pub(crate) fn run_all(words: &[&str]) -> Result<()> {
    guests::build_embedded(&step::workspace())?;
    run("build", step::cargo(&["build", "--package", "credenza", "--package", "credenza-demo"]))?;
    let mut demo = Command::new(step::workspace().join("target/debug/credenza-demo"));
    demo.args(words);
    run("demo", demo)
}
