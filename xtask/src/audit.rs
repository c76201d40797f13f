//! `cargo xtask audit`: holds all code of others against `deny.toml`.

use anyhow::Result;

use crate::step::{self, run, succeeds};

/// The version of the auditor that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

/// Asks for bans, licences and sources of both workspaces. Advisories are a list that has to be fetched: `cargo deny check advisories`.
pub(crate) fn run_all() -> Result<()> {
    if !succeeds(step::cargo(&["deny", "--version"])) {
        run("install the auditor", step::cargo(&["install", "--locked", "cargo-deny", "--version", CARGO_DENY]))?;
    }
    for manifest in ["Cargo.toml", "plugins/Cargo.toml"] {
        let what =
            ["deny", "--manifest-path", manifest, "check", "--config", "deny.toml", "bans", "licenses", "sources"];
        run("audit", step::cargo(&what))?;
    }
    Ok(())
}
