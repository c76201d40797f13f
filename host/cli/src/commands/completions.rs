//! `completions`: a script that teaches a shell the command line.

use clap::{Arg, Args, Command, ValueHint};
use clap_complete::Shell;

use super::Session;
use crate::failure::{Exit, Failure};

/// Print a completion script for a shell, to be put where the shell looks for it.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, grammar: Command, session: &Session<'_>) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut with_at(grammar), "credenza", &mut script);
        session.reporter.bytes(&script)?;
        Ok(Exit::Done)
    }
}

/// `at REPOSITORY` is no command to clap, but to a shell it looks like one that all others follow.
fn with_at(command: Command) -> Command {
    let repository = Arg::new("repository").value_name("REPOSITORY").value_hint(ValueHint::AnyPath).required(true);
    let followers: Vec<Command> = command.get_subcommands().cloned().collect();
    let at = Command::new("at").about("Name the repository that the command after it works with").arg(repository);
    command.subcommand(at.subcommands(followers))
}
