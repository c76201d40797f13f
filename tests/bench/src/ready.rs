//! How long it takes until a component of the cache of compiled code can be used: the golden ones, from the smallest to an interpreter, and Python, which
//! is larger than what is kept in the tree and which `cargo xtask bench` builds.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::workspace;
use serde_json::Value;

use crate::report::{verdict, write};

const GOLDEN: &str = "tests/golden/components";
const BUILT: &str = "target/guests";
/// Where a component lies, its name, and how many milliseconds it may take from its bytes to a connector that can be configured. Of 18 MB the digest is
/// taken twice and 40 MB of machine code are unpacked, which nothing but a mapped file would spare; that is `unsafe`.
const COMPONENTS: [(&str, &str, f64); 4] = [
    (GOLDEN, "template-rust", 5.0),
    (GOLDEN, "s3", 5.0),
    (GOLDEN, "template-javascript", 5.0),
    (BUILT, "template-python", 300.0),
];

/// Measures, prints, and says whether all are ready in time.
pub(crate) fn measure() -> Result<bool> {
    write("A component from the cache of compiled code is ready: median of 21 loads, engine included")?;
    let cache = tempfile::tempdir()?;
    let mut all_hold = true;
    for (folder, name, ms_max) in COMPONENTS {
        let component = workspace().join(folder).join(name).with_extension("wasm");
        let mut command = Command::new(workspace().join("target/debug/credenza-bench-backup"));
        command.arg("ready").arg(cache.path()).arg(&component);
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        ensure!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        let reported: Value = serde_json::from_slice(&output.stdout)?;
        let ms = reported.get("ms").and_then(Value::as_f64).context("no time was reported")?;
        all_hold &= verdict(&format!("{name} ({} bytes)", component.metadata()?.len()), ms, ms_max, " ms")?;
    }
    Ok(all_hold)
}
