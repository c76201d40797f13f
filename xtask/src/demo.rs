//! `cargo xtask demo`: builds what the demonstration in `tests/demo` runs, and nothing else, and runs it.

use crate::guests;
use crate::step::{self, run};
use anyhow::Result;
use std::process::Command;

/// Builds connector and host, then runs the demonstration against the built binary.
pub(crate) fn run_all() -> Result<()> {
    guests::build_embedded(&step::workspace())?;
    run("build", step::cargo(&["build", "--package", "credenza", "--package", "credenza-demo"]))?;
    run("demo", Command::new(step::workspace().join("target/debug/credenza-demo")))
}
