//! The chart: how credenza stands to the best of the others, a bar for each row. Left of the line it needs less.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::{Count, Row};

const LABEL_WIDTH: f64 = 260.0;
/// Of a bar that needs as much as the best of the others.
const UNIT: f64 = 240.0;
/// Bars end here: what is longer is written beside it.
const RATIO_MAX: f64 = 2.0;
const LINE_HEIGHT: f64 = 22.0;

/// Writes the chart as SVG.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(path: &Path, rows: &[Row], counts: &[Count]) -> Result<()> {
    let mut bars: Vec<(String, f64)> = Vec::new();
    for row in rows {
        if let Some((cpu, wall)) = row.ratios() {
            bars.extend([(format!("{}: CPU", row.work), cpu), (format!("{}: wall", row.work), wall)]);
        }
    }
    bars.extend(counts.iter().filter_map(|count| Some((format!("{}: {}", count.what, count.unit), count.ratio()?))));
    Ok(std::fs::write(path, svg(&bars)?)?)
}

fn svg(bars: &[(String, f64)]) -> Result<String> {
    let (width, height) = (LABEL_WIDTH + UNIT * RATIO_MAX + 60.0, LINE_HEIGHT * (bars.len() as f64 + 2.0));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let line = LABEL_WIDTH + UNIT;
    for (number, (label, ratio)) in bars.iter().enumerate() {
        let top = LINE_HEIGHT * (number as f64 + 1.0);
        let color = if *ratio <= 1.0 { "#2a7f4f" } else { "#b3541e" };
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#222\">{label}</text>",
            LABEL_WIDTH - 8.0,
            top + 14.0
        )?;
        let length = UNIT * ratio.min(RATIO_MAX);
        writeln!(
            out,
            "<rect x=\"{LABEL_WIDTH}\" y=\"{}\" width=\"{length:.1}\" height=\"14\" fill=\"{color}\"/>",
            top + 3.0
        )?;
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" fill=\"#222\">{ratio:.2}</text>",
            LABEL_WIDTH + length + 6.0,
            top + 14.0
        )?;
    }
    writeln!(
        out,
        "<line x1=\"{line}\" x2=\"{line}\" y1=\"12\" y2=\"{}\" stroke=\"#222\" stroke-dasharray=\"3 3\"/>",
        height - 12.0
    )?;
    writeln!(
        out,
        "<text x=\"{line}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222\">the best of the others</text>\n</svg>",
        height - 2.0
    )?;
    Ok(out)
}
