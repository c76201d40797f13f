//! `key generate`: a recipient's key pair. No repository is involved.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Args;
use credenza_app::secret::write_identity;
use credenza_format::{Identity, RecipientKind};
use serde::Serialize;

use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::printable;

/// Make a key pair for a recipient: the secret key goes to a new file, the public key is printed.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Where the secret key goes; the file must not exist.
    #[arg(value_name = "FILE", value_parser = path_parser())]
    file: PathBuf,

    /// Make a hybrid pair, X25519 with ML-KEM-768: what is sealed to it outlives quantum computers. Its public key is long.
    #[arg(long)]
    hybrid: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "identity")]
struct IdentityLine {
    public_key: String,
    file: String,
}

impl Display for IdentityLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.public_key))
    }
}

impl Generate {
    pub(crate) fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let kind = if self.hybrid { RecipientKind::Hybrid } else { RecipientKind::X25519 };
        let identity = Identity::generate(kind).map_err(|error| Failure::new(error.to_string()))?;
        write_identity(&self.file, &identity)?;
        let public_key = identity.recipient().to_string();
        session.reporter.result(&IdentityLine { public_key, file: self.file.display().to_string() })?;
        Ok(Exit::Done)
    }
}
