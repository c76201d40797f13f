//! What parity costs: a backup that does not shrink with none and with some, the space it takes, and a restore of what was hurt.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use credenza_e2e::{Setup, tree};

use crate::cpu::cost_of;
use crate::files::{bytes_below, files_below};
use crate::report::{seconds, write};

/// One data pack.
const BYTES: u64 = 32_000_000;
/// Shares of parity, and how many bytes are hurt, in a row, of each data pack: some four fifths of the budget.
const SHARES: [(u32, usize); 4] = [(0, 0), (5, 1_200_000), (10, 2_400_000), (50, 12_000_000)];

/// Measures and prints a line for each share; the figures are for comparison and have no limit.
pub(crate) fn measure() -> Result<bool> {
    write(&format!("Parity of a file of {BYTES} bytes that do not shrink"))?;
    write("  share     CPU of backup    of restore     after injury   peak memory    stored")?;
    for (percent, hurt) in SHARES {
        let mut setup = Setup::new()?;
        let repository = setup.path("repository");
        setup.credenza.set("CREDENZA_REPOSITORY", &repository.to_string_lossy());
        let share = format!("{percent}%");
        let parity: &[&str] = if percent > 0 { &["--parity", &share] } else { &[] };
        setup.credenza.ok([&["create"], parity].concat())?;
        let source = setup.path("source");
        fs::create_dir(&source)?;
        fs::write(source.join("file"), tree::noise(1, BYTES))?;
        let (backup, packed) = cost_of(|| setup.credenza.ok(["backup", &*source.to_string_lossy()]))?;
        let restore = |name: &str, code: i32| {
            let target = setup.path(name).to_string_lossy().into_owned();
            cost_of(|| setup.credenza.run(["restore", "latest", "--to", &target])?.expect_code(code))
        };
        let (_, whole) = restore("whole", 0)?;
        let stored = bytes_below(&repository)?;
        let (peak, healed) = match hurt {
            0 => (backup.peak_rss_bytes, "-".to_owned()),
            _ => {
                hurt_below(&repository.join("data"), hurt)?;
                let (outcome, cost) = restore("healed", 20)?;
                (backup.peak_rss_bytes.max(outcome.peak_rss_bytes), seconds(cost.cpu))
            }
        };
        let (packed, whole, mebibytes) = (seconds(packed.cpu), seconds(whole.cpu), peak / (1024 * 1024));
        write(&format!("  {share:<8} {packed:>13} {whole:>13} {healed:>16} {mebibytes:>9} MiB {stored:>12}"))?;
    }
    Ok(true)
}

/// Zeros bytes in the middle of each file.
fn hurt_below(folder: &Path, bytes: usize) -> Result<()> {
    for file in files_below(folder)? {
        let mut content = fs::read(&file)?;
        let middle = content.len().saturating_sub(bytes) / 2;
        content.iter_mut().skip(middle).take(bytes).for_each(|byte| *byte = 0);
        fs::remove_file(&file)?;
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
