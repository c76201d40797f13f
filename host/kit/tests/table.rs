//! The page that lists the checks, held against the checks that there are.
//!
//! `CREDENZA_WRITE_REFERENCE=1` writes the table again.

#![allow(clippy::unwrap_used, reason = "a page that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use credenza_kit::{Listed, catalogue, retired};

const BEGIN: &str = "<!-- The checks: written by host/kit/tests/table.rs. -->\n";
const END: &str = "<!-- The end of the checks. -->\n";

fn row(Listed { id, why, needs }: &Listed) -> String {
    let needs = match needs.map(|needs| needs.split_once('!').map_or((needs, ""), |(_, claim)| (claim, "without "))) {
        Some((claim, without)) => format!("{without}`{claim}`"),
        None => String::new(),
    };
    format!("| `{id}` | {why} | {needs} |\n")
}

fn table(checks: &[Listed]) -> String {
    let mut table = String::new();
    for group in ["package", "sandbox", "source", "store", "destination", "model"] {
        let of = |check: &&Listed| check.id.starts_with(&format!("{group}."));
        let rows: Vec<String> = checks.iter().filter(of).map(row).collect();
        writeln!(table, "\n### {group}: {} checks\n\n| id | why | for |\n|---|---|---|", rows.len()).unwrap();
        table.extend(rows);
    }
    table
}

#[test]
fn every_check_has_its_line_on_the_page_and_no_name_comes_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kit.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (listed, tail) = rest.split_once(END).unwrap();
    let checks = catalogue();
    let ids: BTreeSet<&str> = checks.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), checks.len(), "a name is used twice");
    assert!(ids.len() >= 120, "{} checks", ids.len());
    assert!(retired().iter().all(|id| !ids.contains(id)), "a name that was retired is used again");
    let known = |id: &&str| ids.contains(id) || retired().contains(id);
    let gone: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(id, _)| id))
        .filter(|id| !known(id))
        .collect();
    assert!(gone.is_empty(), "checks that there are no more go to RETIRED in host/kit/src/candidate.rs: {gone:?}");
    if std::env::var_os("CREDENZA_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{}{END}{tail}", table(&checks))).unwrap();
        return;
    }
    let again = "CREDENZA_WRITE_REFERENCE=1 cargo nextest run --workspace --features credenza-bench/native -E 'package(credenza-kit) & binary(table)'";
    assert!(listed == table(&checks), "docs/kit.md lists other checks; write it again: {again}");
}
