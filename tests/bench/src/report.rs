//! Lines for the person who measures.

use std::io::{Write, stdout};
use std::time::Duration;

use anyhow::{Context, Result};

/// A line.
pub(crate) fn write(line: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{line}")?)
}

/// A figure against its limit, and whether it holds.
pub(crate) fn verdict(what: &str, figure: f64, max: f64, unit: &str) -> Result<bool> {
    let holds = figure <= max;
    let word = if holds { "holds" } else { "MISSED" };
    write(&format!("  {what}: {figure:.3}{unit}, at most {max}{unit}: {word}"))?;
    Ok(holds)
}

/// A time in a column of its own.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:>8.2} s", time.as_secs_f64())
}

/// The one in the middle.
pub(crate) fn median(ratios: &mut [f64]) -> Result<f64> {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().context("no pair was measured")
}
