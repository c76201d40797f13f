//! `cargo xtask audit`: holds all code of others against `deny.toml`.

use anyhow::Result;

use crate::step::{self, run, succeeds};

/// The version of the auditor that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

/// What is held. That every line of the file is needed is held elsewhere (`tests/e2e/tests/dependencies.rs`), by the lock file of the host: the
/// connectors need few of them.
const CHECKS: [&str; 10] = [
    "check",
    "--allow",
    "unmatched-skip",
    "--allow",
    "unnecessary-skip",
    "--allow",
    "license-not-encountered",
    "bans",
    "licenses",
    "sources",
];

/// Asks for bans, licences and sources of both workspaces. Advisories are a list that has to be fetched: `cargo deny check advisories`.
pub(crate) fn run_all() -> Result<()> {
    if !succeeds(step::cargo(&["deny", "--version"])) {
        run("install the auditor", step::cargo(&["install", "--locked", "cargo-deny", "--version", CARGO_DENY]))?;
    }
    for manifest in ["Cargo.toml", "plugins/Cargo.toml"] {
        let place = ["deny", "--manifest-path", manifest, "--config", "deny.toml"];
        run("audit", step::cargo(&[&place[..], &CHECKS].concat()))?;
    }
    Ok(())
}
