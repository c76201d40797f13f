//! `man`: the manual pages, one a command, from the same words as the help.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::failure::{Exit, Failure};
use crate::globals::path_parser;

/// Write the manual pages, one a command, into a folder.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder; it is made if it is missing, and pages in it are replaced.
    #[arg(value_name = "FOLDER", value_parser = path_parser())]
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self, grammar: Command) -> Result<Exit, Failure> {
        let written =
            std::fs::create_dir_all(&self.folder).and_then(|()| clap_mangen::generate_to(grammar, &self.folder));
        written.map_err(|error| {
            Failure::new(format!("the manual pages cannot be written to {}", self.folder.display()))
                .because(error.to_string())
        })?;
        Ok(Exit::Done)
    }
}
