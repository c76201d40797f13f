//! How long it takes until a component of the cache of compiled code can be used: the golden ones, from the smallest to an interpreter.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::workspace;
use serde_json::Value;

use crate::report::{verdict, write};

const COMPONENTS: [&str; 3] = ["template-rust", "s3", "template-javascript"];
/// From the bytes of the component to a connector that can be configured.
const MS_MAX: f64 = 5.0;

/// Measures, prints, and says whether all are ready in time.
pub(crate) fn measure() -> Result<bool> {
    write("A component from the cache of compiled code is ready: median of 21 loads, engine included")?;
    let cache = tempfile::tempdir()?;
    let mut all_hold = true;
    for name in COMPONENTS {
        let component = workspace().join("tests/golden/components").join(name).with_extension("wasm");
        let mut command = Command::new(workspace().join("target/debug/credenza-bench-backup"));
        command.arg("ready").arg(cache.path()).arg(&component);
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        ensure!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        let reported: Value = serde_json::from_slice(&output.stdout)?;
        let ms = reported.get("ms").and_then(Value::as_f64).context("no time was reported")?;
        all_hold &= verdict(&format!("{name} ({} bytes)", component.metadata()?.len()), ms, MS_MAX, " ms")?;
    }
    Ok(all_hold)
}
