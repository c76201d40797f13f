//! The `credenza` program.

mod arguments;
mod at;
mod aws;
mod commands;
mod configuration;
mod connectors;
mod environment;
mod failure;
mod home;
mod interrupt;
mod location;
mod near;
mod open;
mod passphrase;
mod patterns;
mod place;
mod profiles;
#[cfg(test)]
mod reference;
mod report;
mod secret;
mod signing;
mod snapshot_path;

use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

fn main() -> ExitCode {
    // What a crash leaves behind must hold no keys, and nobody else of this user is to look into the memory or the environment.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    commands::run(std::env::args_os().collect())
}
