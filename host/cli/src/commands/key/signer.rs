//! `key signer`: a new signing key for a writer.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Args;
use credenza_app::signing;
use credenza_format::PublicKey;
use serde::Serialize;

use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;

/// Make a key to sign snapshots with, and print its public key.
///
/// Give the file to the writer (`config repository set NAME signing_key FILE`, or --signing-key) and the public key to whoever audits
/// (`audit --trust`, or the setting trusted_signers).
#[derive(Debug, Args)]
pub(crate) struct Signer {
    /// The file to make; it must not exist.
    #[arg(value_parser = path_parser())]
    file: PathBuf,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "signer")]
struct SignerLine {
    public_key: PublicKey,
}

impl Display for SignerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.public_key.fmt(f)
    }
}

impl Signer {
    pub(crate) fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let key = signing::create(&self.file)?;
        session.reporter.result(&SignerLine { public_key: key.public() })?;
        Ok(Exit::Done)
    }
}
