//! Growth: each step for several numbers of keys, and the exponent to which the number is raised in what it costs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::chart::{self, Panel, Series};
use crate::step::STEPS;
use crate::write;

/// What grows: how it is called, its name in the line of a step, by how much it is divided, and how it is shown.
const FIGURES: [(&str, &str, f64); 4] = [
    ("peak memory (MiB)", "peak_bytes", 1_048_576.0),
    ("CPU (s)", "cpu_ms", 1000.0),
    ("requests", "requests", 1.0),
    ("bytes sent and received (MB)", "bytes", 1e6),
];

/// Measures, prints a table of each figure with its exponents, and draws it.
pub(crate) fn measure(sizes: &[u64], svg: Option<&Path>) -> Result<()> {
    ensure!(sizes.len() > 1, "one number of keys tells of no growth");
    let mut runs: Vec<(u64, Vec<Value>)> = Vec::new();
    for keys in sizes {
        let folder = tempfile::tempdir()?;
        let steps = STEPS.iter().map(|step| one(folder.path(), *keys, step));
        runs.push((*keys, steps.collect::<Result<_>>()?));
    }
    let panels: Vec<Panel> = FIGURES.iter().map(|(title, name, unit)| panel(&runs, (title, name, *unit))).collect();
    for panel in &panels {
        show(panel, sizes)?;
    }
    match svg {
        Some(file) => {
            std::fs::write(file, chart::draw(&panels)).with_context(|| format!("cannot write {}", file.display()))
        }
        None => Ok(()),
    }
}

fn one(folder: &Path, keys: u64, step: &str) -> Result<Value> {
    let mut again = Command::new(std::env::current_exe()?);
    again.arg("step").arg(folder).args([&keys.to_string(), step]);
    let output = again.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{step} of {keys} keys: {said}");
    let line: Value = serde_json::from_slice(&output.stdout)?;
    write(&format!("{keys:>9} keys, {step}: {line}"))?;
    Ok(line)
}

fn panel(runs: &[(u64, Vec<Value>)], (title, name, unit): (&str, &str, f64)) -> Panel {
    let series = STEPS.iter().enumerate().map(|(number, step)| {
        let figure = |costs: &Vec<Value>| costs.get(number)?.get(name)?.as_f64();
        let points = runs.iter().filter_map(|(keys, costs)| Some((*keys as f64, figure(costs)? / unit)));
        Series { name: (*step).to_owned(), points: points.collect() }
    });
    Panel { title: title.to_owned(), series: series.collect() }
}

fn show(panel: &Panel, sizes: &[u64]) -> Result<()> {
    let columns: String = sizes.iter().map(|keys| format!("{keys:>12}")).collect();
    write(&format!("\n{:<30}{columns}   exponent", panel.title))?;
    for series in &panel.series {
        let figures: String = series.points.iter().map(|(_, figure)| format!("{figure:>12.2}")).collect();
        let exponent = series.exponent().map_or_else(|| "-".to_owned(), |exponent| format!("{exponent:.2}"));
        write(&format!("  {:<28}{figures}   {exponent:>8}", series.name))?;
    }
    Ok(())
}
