//! The `credenza` program: arguments, prompts, printing, exit codes. What it does is done by `credenza-app` and `credenza-engine`.

mod arguments;
mod at;
mod commands;
mod failure;
mod globals;
mod interrupt;
mod near;
mod passphrase;
mod program;
#[cfg(test)]
mod reference;
mod report;
mod settings;

use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

fn main() -> ExitCode {
    // What a crash leaves behind must hold no keys, and nobody else of this user is to look into the memory or the environment.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    program::run(std::env::args_os().collect())
}
