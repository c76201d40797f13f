//! `THIRD-PARTY.md`: who wrote what is in the program, and under which licences, with their texts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::crates::Package;

/// How the names of files with licences and notices begin, in capitals.
const BEGINNINGS: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// The page: a table of all crates that are not ours, then each text once, with the crates that carry it.
pub(super) fn page(packages: &[Package]) -> Result<String> {
    let mut page = String::from(
        "# What is in credenza that others wrote\n\nThe standard library of Rust is part of it too (MIT OR Apache-2.0).\n\n\
         | crate | version | licence |\n|---|---|---|\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages.iter().filter(|package| package.is_third_party) {
        writeln!(page, "| {} | {} | {} |", package.name, package.version, package.licence)?;
        for text in texts_in(&package.folder)? {
            texts.entry(text).or_default().push(package.id());
        }
    }
    for (text, users) in &texts {
        write!(page, "\n## {}\n\n{}\n", users.join(", "), indented(text))?;
    }
    Ok(page)
}

/// The files with licences and notices at the top of a crate, without what differs between copies of one text: line ends and margins.
fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
        if path.is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            texts.push(text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n"));
        }
    }
    Ok(texts)
}

/// As a block of preformatted text, which Markdown leaves as it is.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
