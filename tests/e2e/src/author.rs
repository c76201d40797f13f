//! The machine of somebody who writes connectors: a compiler, Node.js, Python, and what was fetched and compiled for the connectors of this tree already.

use crate::workspace;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The variables of that machine, for a user who otherwise has none. Nothing is fetched that lies here.
///
/// # Errors
/// When whoever runs the tests has no home.
pub fn environment() -> Result<Vec<(&'static str, String)>> {
    let home = PathBuf::from(std::env::var_os("HOME").context("HOME is set")?);
    let folder = |name: &str, default: &str| {
        let set = std::env::var_os(name).map(PathBuf::from);
        set.unwrap_or_else(|| home.join(default)).to_string_lossy().into_owned()
    };
    Ok(vec![
        ("PATH", std::env::var("PATH").context("PATH is set")?),
        ("CARGO_HOME", folder("CARGO_HOME", ".cargo")),
        ("RUSTUP_HOME", folder("RUSTUP_HOME", ".rustup")),
        ("CARGO_TARGET_DIR", workspace().join("plugins/target").to_string_lossy().into_owned()),
        ("CARGO_NET_OFFLINE", "true".to_owned()),
        ("npm_config_cache", folder("npm_config_cache", ".npm")),
        ("npm_config_prefer_offline", "true".to_owned()),
        ("PIP_NO_INDEX", "true".to_owned()),
        ("PIP_FIND_LINKS", workspace().join("target/tools/python/wheels").to_string_lossy().into_owned()),
    ])
}
