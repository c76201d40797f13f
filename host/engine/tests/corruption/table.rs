//! How far each injury reaches: one row a kind of object and injury, the worst of all that were inflicted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::injury::{Injury, Way, kind};
use crate::subject::Subject;
use crate::verdict::{Verdict, Witness};

/// Set to write the table again instead of comparing it.
const WRITE: &str = "CREDENZA_WRITE_REFERENCE";
/// What stands around the table in `docs/damage.md`.
const BORDERS: (&str, &str) = ("<!-- written by the corruption campaign -->\n", "<!-- end -->\n");
/// The kinds, in the order in which they are needed to restore, and what a person calls them.
const KINDS: [(&str, &str); 15] = [
    ("config", "config"),
    ("copy/config", "copy of the config"),
    ("key", "key slot"),
    ("copy/key", "copy of a key slot"),
    ("snapshot", "snapshot"),
    ("usage", "usage list"),
    ("index", "index segment"),
    ("meta", "metadata pack"),
    ("data", "data pack"),
    ("intent", "intent"),
    ("condemned", "record of condemned packs"),
    ("note", "note"),
    ("connector", "escrowed connector"),
    ("removed", "record of removal"),
    ("copy/removed", "copy of a record of removal"),
];

/// The worst of the injuries of one kind and way.
struct Row {
    injuries: usize,
    /// Who is the first to name the one that is found the soonest, and the one that is found the latest.
    witnesses: (Witness, Witness),
    audited: usize,
    remembered: bool,
    snapshots: usize,
    files: usize,
}

pub(crate) struct Table {
    rows: BTreeMap<(usize, Way), Row>,
    snapshots: usize,
    files: usize,
}

impl Table {
    pub(crate) fn new(subject: &Subject) -> Self {
        let files = subject.snapshots.iter().map(|(_, files)| files.len()).sum();
        Self { rows: BTreeMap::new(), snapshots: subject.snapshots.len(), files }
    }

    pub(crate) fn add(&mut self, injury: &Injury, verdict: &Verdict) {
        let place = KINDS.iter().position(|(folder, _)| *folder == kind(&injury.object)).unwrap();
        let (snapshots, files) = (self.snapshots, self.files);
        let witnesses = (Witness::Nobody, Witness::Open);
        let best = || Row { injuries: 0, witnesses, audited: 0, remembered: false, snapshots, files };
        let row = self.rows.entry((place, injury.way)).or_insert_with(best);
        row.injuries += 1;
        row.witnesses = (row.witnesses.0.min(verdict.witness), row.witnesses.1.max(verdict.witness));
        row.audited += usize::from(verdict.audited);
        row.remembered |= verdict.remembered;
        row.snapshots = row.snapshots.min(verdict.snapshots);
        row.files = row.files.min(verdict.files);
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| object | injury | first named by | by `audit`, without a key | still restores, at worst |\n|---|---|---|---|---|\n",
        );
        for (place, (_, object)) in KINDS.iter().enumerate() {
            for (ways, cells) in self.alike(place) {
                writeln!(text, "| {object} | {} | {} |", ways.join(", "), cells.join(" | ")).unwrap();
            }
        }
        text
    }

    /// What is said of the injuries of one kind of object, those of which the same is said together.
    fn alike(&self, place: usize) -> Vec<(Vec<&'static str>, [String; 3])> {
        let mut alike: Vec<(Vec<&'static str>, [String; 3])> = Vec::new();
        for ((_, way), row) in self.rows.iter().filter(|((of, _), _)| *of == place) {
            let cells = [row.named(), row.audited().to_owned(), self.rest(row)];
            match alike.iter_mut().find(|(_, known)| *known == cells) {
                Some((ways, _)) => ways.push(way.name()),
                None => alike.push((vec![way.name()], cells)),
            }
        }
        alike
    }

    fn rest(&self, row: &Row) -> String {
        match (row.snapshots, row.files) {
            (snapshots, _) if snapshots == self.snapshots => "everything".to_owned(),
            (_, 0) => "nothing".to_owned(),
            (snapshots, files) => {
                format!("{snapshots} of {} snapshots, {files} of {} files", self.snapshots, self.files)
            }
        }
    }

    /// Demands that `docs/damage.md` tells what was found.
    pub(crate) fn expect_in_readme(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/damage.md");
        let readme = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(BORDERS.0).unwrap();
        let (written, after) = rest.split_once(BORDERS.1).unwrap();
        if std::env::var_os(WRITE).is_some() {
            let text = [before, BORDERS.0, &self.markdown(), BORDERS.1, after].concat();
            std::fs::write(&path, text).unwrap();
        } else {
            let command = format!("{WRITE}=1 cargo nextest run -p credenza-engine -E 'binary(corruption)'");
            assert!(written == self.markdown(), "docs/damage.md says otherwise; write it again: {command}");
        }
    }
}

impl Row {
    fn named(&self) -> String {
        match self.witnesses {
            (soonest, latest) if soonest == latest => name(latest).to_owned(),
            (soonest, latest) => format!("{}; else {}", name(soonest), name(latest)),
        }
    }

    fn audited(&self) -> &'static str {
        match (self.audited, self.remembered) {
            (0, _) => "no",
            (audited, _) if audited < self.injuries => "in part",
            (_, true) => "with the heads of an earlier one",
            _ => "yes",
        }
    }
}

const fn name(witness: Witness) -> &'static str {
    match witness {
        Witness::Open => "every command",
        Witness::Check => "`check`",
        Witness::ReadData => "`check --read-data`",
        Witness::Leftover => "`check`, as what interrupted runs leave",
        Witness::Nobody => "nobody",
    }
}
