//! The table of all rows, for people who read and for those who compare.

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use credenza_e2e::s3::iso_date;

use super::{Count, Row};

/// Five ticks of the clock by which the kernel counts CPU time.
const MEASURED_SECONDS: f64 = 0.05;

impl Row {
    /// CPU and wall of credenza against the least of the others; nothing where that is hardly more than a tick of the clock.
    pub(crate) fn ratios(&self) -> Option<(f64, f64)> {
        let (own, others) = self.figures.split_first()?;
        let least = |of: fn(&super::Figure) -> f64| others.iter().map(of).min_by(f64::total_cmp);
        let (cpu, wall) = (
            |figure: &super::Figure| figure.usage.cpu.as_secs_f64(),
            |figure: &super::Figure| figure.usage.wall.as_secs_f64(),
        );
        let (least_cpu, least_wall) = (least(cpu)?, least(wall)?);
        let is_measured = least_cpu >= MEASURED_SECONDS && least_wall >= MEASURED_SECONDS;
        is_measured.then(|| (cpu(own) / least_cpu, wall(own) / least_wall))
    }
}

impl Count {
    /// That of credenza against the least of the others.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (own, others) = self.figures.split_first()?;
        let least = others.iter().map(|(_, number)| *number).min()?;
        Some(own.1 as f64 / least.max(1) as f64)
    }
}

/// A row on one line.
pub(crate) fn line(row: &Row) -> String {
    let cells: Vec<String> = row.figures.iter().map(|figure| format!("{} {}", figure.program, cell(figure))).collect();
    let ratios = row.ratios().map_or_else(String::new, |(cpu, wall)| format!("   CPU {cpu:.2} x, wall {wall:.2} x"));
    format!("  {:<28} {}{ratios}", row.work, cells.join("   "))
}

fn cell(figure: &super::Figure) -> String {
    let usage = figure.usage;
    format!("{:.2} / {:.2} / {}", usage.cpu.as_secs_f64(), usage.wall.as_secs_f64(), usage.peak_bytes >> 20)
}

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(path: &Path, rows: &[Row], counts: &[Count]) -> Result<()> {
    let programs: Vec<&str> =
        rows.first().map(|row| row.figures.iter().map(|figure| figure.program.as_str()).collect()).unwrap_or_default();
    let mut page = String::from("# credenza and other programs\n\nWritten by `cargo xtask bench peers`");
    let now = iso_date(SystemTime::now());
    let day = now.split('T').next().unwrap_or_default();
    writeln!(
        page,
        " on {day}, on a machine with {} cores: seconds hold for it alone, ratios for others too.",
        std::thread::available_parallelism()?
    )?;
    page.push_str(INTRODUCTION);
    page.push_str("\n![ratios](peers.svg)\n\n");
    writeln!(
        page,
        "| CPU s / wall s / peak MiB | {} | stages alone | CPU, wall against the best |",
        programs.join(" | ")
    )?;
    writeln!(page, "|---|{}---|---|", "---|".repeat(programs.len()))?;
    for row in rows {
        let of = |name: &&str| {
            row.figures.iter().find(|figure| figure.program == **name).map_or_else(|| "–".to_owned(), cell)
        };
        let cells: Vec<String> = programs.iter().map(of).collect();
        let stages = row.stages.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.2}"));
        let ratios = row.ratios().map_or_else(|| "–".to_owned(), |(cpu, wall)| format!("{cpu:.2}, {wall:.2}"));
        writeln!(page, "| {} | {} | {stages} | {ratios} |", row.work, cells.join(" | "))?;
    }
    page.push_str("\n| | who: how many | against the least |\n|---|---|---|\n");
    for count in counts {
        let figures: Vec<String> = count.figures.iter().map(|(name, number)| format!("{name}: {number}")).collect();
        let ratio = count.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        writeln!(page, "| {} ({}) | {} | {ratio} |", count.what, count.unit, figures.join(", "))?;
    }
    Ok(std::fs::write(path, page)?)
}

/// Between these lines of the README stand the ratios.
const BEGIN: &str = "<!-- written by `cargo xtask bench peers` -->\n";
const END: &str = "<!-- until here -->\n";

/// Writes the ratios, and nothing else, anew into a page that has a place for them.
///
/// # Errors
/// When the page cannot be read or written, or has no such place.
pub(crate) fn write_ratios(path: &Path, rows: &[Row], counts: &[Count]) -> Result<()> {
    let page = std::fs::read_to_string(path)?;
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", path.display()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{} has no {END}", path.display()))?;
    let mut table = String::from("| against the best of the others | CPU | time |\n|---|---|---|\n");
    for row in rows {
        if let Some((cpu, wall)) = row.ratios() {
            writeln!(table, "| {} | {cpu:.2} | {wall:.2} |", row.work)?;
        }
    }
    table.push_str("\n| | against the least of the others |\n|---|---|\n");
    for count in counts {
        if let Some(ratio) = count.ratio() {
            writeln!(table, "| {} ({}) | {ratio:.2} |", count.what, count.unit)?;
        }
    }
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))?)
}

const INTRODUCTION: &str = "
Each program ran by itself, one after the other on each piece of work, with its own defaults; borg with `zstd,3`. All encrypt. bupstash has its key in a file, the others derive theirs from a
passphrase, which takes a fixed part of a second each time. The sets: the sources of all that this project depends on; files of text, of records, of what does not shrink and of a mix; and the image of a disk, of which one page in fifty
changes. Of the others, one file in a hundred gets a line more. Repositories are on a disk, what is restored goes to a file system in memory. credenza waits until what it wrote would survive a power failure. *Stages alone* is what reading, cutting, hashing, compressing and sealing the same bytes take on one core, with nothing between them.
";
