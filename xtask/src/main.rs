//! The tasks of this repository: `cargo xtask TASK`. This file only chooses; each task has a module.

mod demo;
mod step;
mod test;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask test|demo";

fn main() -> Result<()> {
    let task = std::env::args().nth(1).unwrap_or_default();
    match task.as_str() {
        "demo" => demo::run_all(),
        "test" => test::run_all(),
        _ => bail!("'{task}' is no task\n{USAGE}"),
    }
}
