//! `cargo xtask docs`: the book in `target/docs`, from `docs/`.

use anyhow::Result;

use crate::step::{self, run, succeeds};

/// The version of the tool that is installed where there is none.
const MDBOOK: &str = "0.5.4";

/// Makes the book. The test command does not: it runs the book's commands and follows its links.
pub(crate) fn build() -> Result<()> {
    let tools = step::workspace().join("target/tools");
    let mdbook = tools.join("bin/mdbook").to_string_lossy().into_owned();
    if !succeeds(step::command(&mdbook, &["--version"])) {
        let root = tools.to_string_lossy();
        run("install mdbook", step::cargo(&["install", "--locked", "mdbook", "--version", MDBOOK, "--root", &root]))?;
    }
    run("make the book", step::command(&mdbook, &["build", "docs"]))
}
