//! How long it takes until a component that was compiled before can be used: the median of some loads, each by an engine of its own.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use credenza_sandbox::{Sandbox, SandboxOptions};

const LOADS: usize = 21;

/// Milliseconds from nothing to a connector that can be configured, the bytes of the component being in memory.
pub(crate) fn milliseconds(cache: &Path, component: &Path) -> Result<f64> {
    let bytes = std::fs::read(component).with_context(|| format!("{} is missing", component.display()))?;
    let load = || -> Result<f64> {
        let begun = Instant::now();
        let options = SandboxOptions { cache_dir: Some(cache.to_owned()), ..SandboxOptions::default() };
        let connector = Sandbox::new(options)?.load(&bytes)?;
        let time = begun.elapsed();
        drop(connector);
        Ok(time.as_secs_f64() * 1000.0)
    };
    // Compiles it, where that was not done yet.
    load()?;
    let mut times = (0..LOADS).map(|_| load()).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    times.get(LOADS / 2).copied().context("nothing was loaded")
}
