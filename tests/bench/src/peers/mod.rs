//! credenza and other programs at the same work, in turn: first, unchanged and changed backup, restore, check, and what the repository takes.
//!
//! Each program runs with its own defaults but for two: all encrypt, and those that compress with zstd take level 3 unless that is their default anyway.
//! A program that is not installed is left out; `tests/bench/install-peers.sh` installs them. Of a program that starts another (bupstash does) the CPU of both
//! counts, and the memory of the first. The table goes to `docs/peers.md`, the chart to `docs/peers.svg`, and the ratios to the README.
//!
//! Who begins changes from row to row, and what was written before is on the disk by then. Restores go to a file system in memory: how long a disk takes to
//! make files hangs on its state, a hundredfold, and not on who asks.
//!
//! Owned here: the rows and what they say. The programs are `programs`, what they back up is `sets`, what the work would cost at least is `stages`.

mod chart;
mod programs;
mod requests;
mod sets;
mod stages;
mod table;

use std::path::Path;

use anyhow::{Context, Result};

use crate::cpu::{Usage, usage_of};
use crate::files::bytes_below;
use crate::report::write;
use programs::{Program, Work};
use sets::Set;

/// What one program needed for one piece of work.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) program: String,
    pub(crate) usage: Usage,
}

/// One piece of work, by all programs that do it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) figures: Vec<Figure>,
    /// CPU seconds of the stages alone, where they say what the work costs at least.
    pub(crate) stages: Option<f64>,
}

/// Bytes, or requests, of one kind, by program.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) figures: Vec<(String, u64)>,
}

/// Where file systems are in memory on Linux.
const MEMORY: &str = "/dev/shm";

/// Measures, prints, and writes tables and chart. The figures are for comparison and have no limit.
pub(crate) fn measure() -> Result<bool> {
    let workspace = credenza_e2e::workspace();
    let room = tempfile::tempdir_in(workspace.join("target"))?;
    let restored = tempfile::tempdir_in(MEMORY)?;
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for set in sets::all(room.path())? {
        write(&format!("{}: {} files, {} MiB", set.name, set.files, set.bytes >> 20))?;
        let (of_set, sizes) = of_set(&set, room.path(), &restored.path().join(&set.name))?;
        rows.extend(of_set);
        counts.extend(sizes);
    }
    counts.extend(requests::measure(room.path(), restored.path())?);
    table::write(&workspace.join("docs/peers.md"), &rows, &counts)?;
    table::write_ratios(&workspace.join("README.md"), &rows, &counts)?;
    chart::write(&workspace.join("docs/peers.svg"), &rows, &counts)?;
    Ok(true)
}

fn of_set(set: &Set, room: &Path, target: &Path) -> Result<(Vec<Row>, Vec<Count>)> {
    let programs = programs::installed(&room.join(&set.name))?;
    let stages = stages::of(&set.folder)?;
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for program in &programs {
        usage_of(program.command(&Work::Create)?)?;
    }
    let mut row = |name: &str, work: &Work<'_>, stages: Option<f64>| -> Result<()> {
        let row = Row { work: format!("{}, {name}", set.name), figures: run(&programs, rows.len(), work)?, stages };
        write(&table::line(&row))?;
        rows.push(row);
        Ok(())
    };
    row("first", &Work::Backup { source: &set.folder, name: "first" }, Some(stages.backup()))?;
    let sizes = |programs: &[Program]| -> Result<Vec<(String, u64)>> {
        programs.iter().map(|program| Ok((program.name.clone(), bytes_below(&program.repository)?))).collect()
    };
    let first = sizes(&programs)?;
    row("unchanged", &Work::Backup { source: &set.folder, name: "unchanged" }, None)?;
    let unchanged = sizes(&programs)?;
    set.change()?;
    row("changed", &Work::Backup { source: &set.folder, name: "changed" }, None)?;
    let changed = sizes(&programs)?;
    row("restore", &Work::Restore { target, name: "changed" }, Some(stages.restore()))?;
    row("check of all data", &Work::Check, Some(stages.check()))?;
    counts.push(Count { what: format!("{}, repository", set.name), unit: "MiB", figures: in_mebibytes(&first, None)? });
    counts.push(Count {
        what: format!("{}, added by the changed one", set.name),
        unit: "MiB",
        figures: in_mebibytes(&changed, Some(&unchanged))?,
    });
    std::fs::remove_dir_all(room.join(&set.name)).context("cannot remove the repositories")?;
    Ok((rows, counts))
}

fn in_mebibytes(sizes: &[(String, u64)], before: Option<&[(String, u64)]>) -> Result<Vec<(String, u64)>> {
    let mut figures = Vec::new();
    for (number, (name, bytes)) in sizes.iter().enumerate() {
        let earlier = match before {
            Some(before) => before.get(number).context("a program is missing")?.1,
            None => 0,
        };
        figures.push((name.clone(), bytes.saturating_sub(earlier) >> 20));
    }
    Ok(figures)
}

/// All programs one after the other, from a first one on; what one restores is removed before the next begins.
fn run(programs: &[Program], first: usize, work: &Work<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let (before, from) = programs.split_at(first % programs.len().max(1));
    for program in from.iter().chain(before).filter(|program| program.does(work)) {
        if let Work::Restore { target, .. } = work {
            std::fs::create_dir_all(target)?;
        }
        rustix::fs::sync();
        let usage = usage_of(program.command(work)?).with_context(|| program.name.clone())?;
        figures.push((program.place, Figure { program: program.name.clone(), usage }));
        if let Work::Restore { target, .. } = work {
            std::fs::remove_dir_all(target)?;
        }
    }
    figures.sort_by_key(|(place, _)| *place);
    Ok(figures.into_iter().map(|(_, figure)| figure).collect())
}
