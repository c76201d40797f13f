//! `key`: the keys of repositories and of their writers.

use clap::Subcommand;

use super::{Session, signer};
use crate::failure::{Exit, Failure};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key to sign snapshots with, and print its public key.
    Signer(signer::Signer),
}

impl KeyCommand {
    pub(crate) fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Signer(command) => command.run(session),
        }
    }
}
