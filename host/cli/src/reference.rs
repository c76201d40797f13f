//! The reference page of the command line: `REFERENCE.md`, written from the same words as `--help`, and a test that it is up to date.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;

/// Set to write the page anew instead of comparing it.
const WRITE: &str = "CREDENZA_WRITE_REFERENCE";

/// The help of a command and of all below it, in the order of the help.
fn page(command: &mut Command, path: &str, depth: usize, text: &mut String) {
    let heading = "#".repeat(depth.min(3));
    // The width is fixed, so that the page does not depend on a terminal.
    let help = command.clone().bin_name(path).term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(text, "\n{heading} {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    for below in command.get_subcommands_mut().filter(|below| !below.is_hide_set()) {
        let name = format!("{path} {}", below.get_name());
        page(below, &name, depth + 1, text);
    }
}

#[test]
fn the_reference_page_says_what_the_help_says() {
    let mut command = Arguments::command();
    command.build();
    let mut text = String::from(
        "# The command line of credenza\n\nMade from the program's own help; a test keeps it up to date.\n",
    );
    page(&mut command, "credenza", 2, &mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REFERENCE.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "REFERENCE.md is out of date; write it anew: {WRITE}=1 cargo test -p credenza reference");
}
