//! How the cost of work grows with the number of keys, 10⁴ to 10⁶; to 10⁷ with `CREDENZA_SCALE_KEYS=10000000`, which takes half an hour and 8 GB.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::workspace;

use crate::report::write;

const KEYS_MIN: u64 = 10_000;
const KEYS_MAX: u64 = 1_000_000;

/// Measures by the program beside this one, which draws `docs/scale.svg`, too; the figures have no limit here.
pub(crate) fn measure() -> Result<bool> {
    let most = match std::env::var("CREDENZA_SCALE_KEYS") {
        Ok(text) => text.parse().with_context(|| format!("CREDENZA_SCALE_KEYS is `{text}`, which is no number"))?,
        Err(_) => KEYS_MAX,
    };
    write("Growth: a bucket of one chunk a key, in process")?;
    let sizes = std::iter::successors(Some(KEYS_MIN), |keys| keys.checked_mul(10)).take_while(|keys| *keys <= most);
    let mut command = Command::new(std::env::current_exe()?.with_file_name("credenza-bench-scale"));
    command.args(["grow", "--svg"]).arg(workspace().join("docs/scale.svg")).args(sizes.map(|keys| keys.to_string()));
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(true)
}
