//! The tables: one a server for who runs the test, and one over all servers, which `docs/fidelity.md` quotes.

use crate::verdict::{Trip, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Set to write the table again instead of comparing it.
const WRITE: &str = "CREDENZA_WRITE_REFERENCE";
/// What stands around the table in `docs/fidelity.md`.
const BORDERS: (&str, &str) = ("<!-- written by the round trips -->\n", "<!-- end -->\n");

/// What became of the samples of a row.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) samples: usize,
    pub(crate) held: usize,
    pub(crate) backed_up: usize,
    pub(crate) kept: usize,
    pub(crate) lost: usize,
}

/// What one server showed: its rows in order, and why it does not hold what it was given.
#[derive(Debug, Default)]
pub(crate) struct Column {
    pub(crate) server: &'static str,
    pub(crate) rows: Vec<(&'static str, Tally)>,
    pub(crate) remarks: Vec<String>,
}

impl Column {
    pub(crate) fn add(&mut self, trip: &Trip) {
        for sample in &trip.samples {
            let verdict = trip.verdict(sample);
            match &verdict {
                Verdict::Kept => {}
                Verdict::NotHeld(why) => self.remarks.push(format!("the server: {} {why}", shown(&sample.key))),
                Verdict::Lost(names) => self.remarks.push(format!("the restore: {:?} lost {names:?}", sample.key)),
            }
            let tally = self.row(sample.row);
            tally.samples += 1;
            tally.held += usize::from(!matches!(verdict, Verdict::NotHeld(_)));
            tally.backed_up += usize::from(trip.is_backed_up(sample));
            tally.kept += usize::from(verdict == Verdict::Kept);
            tally.lost += usize::from(matches!(verdict, Verdict::Lost(_)));
        }
    }

    fn row(&mut self, name: &'static str) -> &mut Tally {
        let place = self.rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.rows.push((name, Tally::default()));
            self.rows.len() - 1
        });
        &mut self.rows[place].1
    }

    /// The table of this server alone.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.server);
        let heads = ["", "put", "held by the server", "backed up", "restored", "reported lost"];
        let line = |cells: [&str; 6]| {
            let [row, cells @ ..] = cells;
            format!("  {row:<60}{}\n", cells.map(|cell| format!("{cell:>20}")).concat())
        };
        text += &line(heads);
        for (row, Tally { samples, held, backed_up, kept, lost }) in &self.rows {
            let numbers = [samples, held, backed_up, kept, lost].map(ToString::to_string);
            text += &line([row, &numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4]]);
        }
        self.remarks.iter().for_each(|remark| text += &format!("  {remark}\n"));
        text
    }
}

impl Tally {
    /// A cell of the table over all servers.
    fn cell(&self) -> String {
        let not_held = self.samples - self.held;
        let parts = [(self.kept, "kept"), (self.lost, "lost and reported"), (not_held, "not held by the server")];
        let parts: Vec<_> = parts.into_iter().filter(|(count, _)| *count > 0).collect();
        match parts.as_slice() {
            [(_, word)] => (*word).to_owned(),
            parts => parts.iter().map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The table over all servers.
pub(crate) fn markdown(columns: &[Column]) -> String {
    let servers: Vec<&str> = columns.iter().map(|column| column.server).collect();
    let mut text = format!("| | {} |\n|---{}|\n", servers.join(" | "), "|---".repeat(servers.len()));
    let cells: Vec<BTreeMap<&str, String>> =
        columns.iter().map(|column| column.rows.iter().map(|(row, tally)| (*row, tally.cell())).collect()).collect();
    for (row, _) in columns.iter().flat_map(|column| &column.rows).take(columns.first().map_or(0, |c| c.rows.len())) {
        let of_row = cells.iter().map(|column| column.get(row).cloned().unwrap_or_default());
        writeln!(text, "| {row} | {} |", of_row.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    text
}

/// Demands that `docs/fidelity.md` quotes the table.
pub(crate) fn expect_in_readme(table: &str) {
    let path = credenza_e2e::workspace().join("docs/fidelity.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BORDERS.0).unwrap();
    let (written, after) = rest.split_once(BORDERS.1).unwrap();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, [before, BORDERS.0, table, BORDERS.1, after].concat()).unwrap();
    } else {
        let command = format!("{WRITE}=1 cargo nextest run --workspace -E 'binary(roundtrip)'");
        assert!(written == table, "docs/fidelity.md says otherwise; write it again: {command}");
    }
}

/// A key short enough to be read.
fn shown(key: &str) -> String {
    let start: String = key.chars().take(20).collect();
    if key.len() > 100 { format!("{start:?}… of {} bytes", key.len()) } else { format!("{key:?}") }
}
