//! What a repository must survive on every store: each scenario takes a user whose default is a fresh, empty one.

use anyhow::{Result, bail, ensure};

use crate::{Setup, number, snapshot_of, tree};

/// Snapshots are removed and their space is reclaimed; the history is audited, and what stays comes back.
///
/// # Errors
/// When anything differs.
pub fn space(setup: &Setup) -> Result<()> {
    let source = setup.path("source");
    std::fs::create_dir(&source)?;
    let mut snapshots = Vec::new();
    for seed in 0..3 {
        std::fs::write(source.join("changes"), tree::noise(seed, 1_000_000))?;
        std::fs::write(source.join("stays"), tree::noise(99, 200_000))?;
        snapshots.push(snapshot_of(&setup.backup(&source.to_string_lossy())?)?);
    }
    let [first, second, third] = snapshots.as_slice() else { bail!("{snapshots:?}") };
    let summary = |words: &[&str]| setup.credenza.ok([&["--json"], words].concat())?.summary();
    ensure!(number(&summary(&["diff", first, second])?, &["content"])? == 1, "one file differs");
    ensure!(number(&summary(&["find", "stays"])?, &["matches"])? == 1, "it is the same in all");
    setup.credenza.ok(["rm", first])?;
    setup.credenza.ok(["prune", "--keep-last", "1", "--apply"])?;
    let done = summary(&["maintain"])?;
    ensure!(number(&done, &["bytes_freed"])? > 2_000_000, "{done}");
    ensure!(number(&summary(&["audit"])?, &["snapshots"])? == 1, "the last is left");
    setup.check()?.expect_code(0)?;
    let target = setup.restore(third, "target")?;
    tree::compare(&source, &target)
}

/// Two backups at once, which share half of what they write.
///
/// # Errors
/// When anything differs.
pub fn two_writers(setup: &Setup) -> Result<()> {
    let folders = ["left", "right"].map(|name| setup.path(name));
    for (seed, folder) in (1..).zip(&folders) {
        std::fs::create_dir(folder)?;
        std::fs::write(folder.join("own"), tree::noise(seed, 3_000_000))?;
        std::fs::write(folder.join("shared"), tree::noise(99, 3_000_000))?;
    }
    let runs = folders.iter().map(|folder| setup.credenza.start(["--json", "backup", &folder.to_string_lossy()]));
    let runs = runs.collect::<Result<Vec<_>>>()?;
    for (run, folder) in runs.into_iter().zip(&folders) {
        let snapshot = snapshot_of(&run.wait()?.expect_code(0)?.summary()?)?;
        let name = format!("back of {}", folder.file_name().unwrap_or_default().display());
        tree::compare(folder, &setup.restore(&snapshot, &name)?)?;
    }
    setup.check()?.expect_code(0).map(drop)
}
