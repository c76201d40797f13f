//! The components that `cargo xtask guests` builds, and the hostile one with another manifest.

use crate::workspace;
use anyhow::{Context, Result, ensure};

/// A component below `target`, such as `guests/hostile.wasm`.
///
/// # Errors
/// When it is not built.
pub fn built(component: &str) -> Result<Vec<u8>> {
    let path = workspace().join("target").join(component);
    std::fs::read(&path).with_context(|| format!("{}: run `cargo xtask guests`", path.display()))
}

/// The hostile connector with something of its manifest said otherwise; the manifest is the last section.
///
/// # Errors
/// When its manifest does not say `from`.
pub fn hostile(from: &str, to: &str) -> Result<Vec<u8>> {
    let whole = built("guests/hostile.wasm")?;
    let name = b"\x11credenza:manifest";
    let at = whole.windows(name.len()).rposition(|window| window == name).context("it has a manifest")?;
    let (before, section) = whole.split_at(at);
    let manifest = std::str::from_utf8(section.get(name.len()..).unwrap_or_default())?;
    ensure!(manifest.contains(from), "the manifest does not say {from}");
    let manifest = manifest.replace(from, to);
    // Id and length stand before the name; the length has three digits of seven bits here, whatever it had before.
    let id = before.iter().rposition(|byte| *byte == 0).context("a section has an id")?;
    let length = name.len().saturating_add(manifest.len());
    let digits = [length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
    Ok([before.get(..=id).unwrap_or_default(), &digits, name, manifest.as_bytes()].concat())
}
