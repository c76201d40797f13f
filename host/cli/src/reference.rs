//! The reference page of the command line: `REFERENCE.md`, written from the same words as `--help`, and a test that it is up to date.
//!
//! Options that every command understands stand on the page once, with the program itself.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;

/// Set to write the page again instead of comparing it.
const WRITE: &str = "CREDENZA_WRITE_REFERENCE";

/// The depth of the program's own heading.
const PROGRAM: usize = 2;

/// The command whose subcommands stand on the page by themselves.
const LONG_FORM: &str = "credenza config";

/// The command without what every command understands.
fn without_common_options(command: Command) -> Command {
    command.mut_args(|argument| {
        let is_common = argument.is_global_set() || argument.get_id() == "help";
        argument.hide(is_common)
    })
}

/// The help of a command and of all below it, in the order of the help.
fn page(command: &mut Command, path: &str, depth: usize, text: &mut String) {
    let heading = "#".repeat(depth.min(3));
    let shown = if depth == PROGRAM { command.clone() } else { without_common_options(command.clone()) };
    // The width is fixed, so that the page does not depend on a terminal.
    let help = shown.bin_name(path).term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(text, "\n{heading} {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    if path == LONG_FORM {
        text.push_str("\nEach is the command of that name without `config`; see there.\n");
        return;
    }
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
        "# The command line of credenza\n\nMade from the program's own help; a test keeps it up to date. \
         The options listed first, but for `-o` and `-V`, go with every command.\n",
    );
    page(&mut command, "credenza", PROGRAM, &mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REFERENCE.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "REFERENCE.md is out of date; write it again: {WRITE}=1 cargo nextest run --workspace --features credenza-bench/native --bin credenza reference"
    );
}
