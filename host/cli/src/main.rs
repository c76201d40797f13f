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
mod open;
mod passphrase;
mod patterns;
mod place;
#[cfg(test)]
mod reference;
mod report;
mod secret;
mod signing;
mod snapshot_path;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(std::env::args_os().collect())
}
