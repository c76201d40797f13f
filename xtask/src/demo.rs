//! `cargo xtask demo`: builds all that the demonstration in `tests/demo` needs, and runs it.

use crate::guests;
use crate::step::{self, run};
use anyhow::Result;
use std::process::Command;

/// Builds connectors and host, then runs the demonstration against the built binary.
pub(crate) fn run_all() -> Result<()> {
    guests::build(&step::workspace())?;
    run("build", step::cargo(&["build", "--workspace"]))?;
    run("demo", Command::new(step::workspace().join("target/debug/credenza-demo")))
}
