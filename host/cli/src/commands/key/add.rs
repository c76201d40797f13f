//! `key add` and `key passwd`: new key slots.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Args;
use credenza_app::{environment, secret::read_key_file};
use credenza_engine::{Repository, SlotLock};
use credenza_format::{Access, Error as FormatError, Recipient, RecoveryCode};
use credenza_model::ObjectId;
use serde::Serialize;

use super::KeyLine;
use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::passphrase::NewPassphrase;

/// Add a key to the repository: a passphrase, unless another sort is chosen.
///
/// A writer's key backs up and deduplicates, and can neither read, list nor delete what was backed up: for a machine that may be broken into.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// A passphrase: from CREDENZA_NEW_PASSPHRASE, --new-passphrase-file, --new-passphrase-cmd, or a prompt.
    #[arg(long, group = "sort")]
    passphrase: bool,

    /// A key file of at least 32 random bytes.
    #[arg(long, group = "sort", value_name = "FILE", value_parser = path_parser())]
    new_key_file: Option<PathBuf>,

    /// Whoever holds the secret half of this public key, as `key generate` prints it.
    #[arg(long, group = "sort", value_name = "PUBLIC_KEY")]
    recipient: Option<String>,

    /// A recovery code to be kept on paper; it is printed once.
    #[arg(long, group = "sort")]
    recovery_code: bool,

    /// Allow to add snapshots only.
    #[arg(long, conflicts_with = "recovery_code")]
    writer: bool,

    /// What to call it; by default the user and the machine that add it.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    #[command(flatten)]
    new: NewPassphrase,
}

/// A recovery code, shown this once.
#[derive(Serialize)]
#[serde(tag = "type", rename = "recovery_code")]
struct RecoveryLine {
    id: ObjectId,
    code: String,
}

impl Display for RecoveryLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recovery code {}", self.code)
    }
}

impl Add {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let label = self.label.clone().unwrap_or_else(default_label);
        let recipient = self.recipient.as_deref().map(str::parse::<Recipient>).transpose()?;
        let open = session.open_for_writing().await?;
        if self.recovery_code {
            add_recovery_code(&open.repository, &label, session).await?;
            return Ok(Exit::Done);
        }
        let lock = match (recipient, &self.new_key_file) {
            (Some(recipient), _) => SlotLock::Recipient(recipient),
            (None, Some(path)) => SlotLock::KeyFile(read_key_file(path)?),
            (None, None) => SlotLock::Passphrase(self.new.get(&open.place.text(), session.reporter).await?),
        };
        let access = if self.writer { Access::Writer } else { Access::Full };
        let slot = open.repository.add_slot(&lock, access, &label).await?;
        session.reporter.done(&KeyLine::from(&slot));
        Ok(Exit::Done)
    }
}

/// Makes a recovery code and prints it once its slot is in the repository.
pub(crate) async fn add_recovery_code(
    repository: &Repository,
    label: &str,
    session: &Session<'_>,
) -> Result<(), Failure> {
    let code = RecoveryCode::generate().map_err(|error: FormatError| Failure::new(error.to_string()))?;
    let slot = repository.add_slot(&SlotLock::Recovery(code.clone()), Access::Full, label).await?;
    session.reporter.result(&RecoveryLine { id: slot.id(), code: code.to_string() })?;
    session.reporter.note("note: write the code down and keep it away from this machine; it is not shown again");
    Ok(())
}

pub(super) async fn passwd(new: &NewPassphrase, session: &Session<'_>) -> Result<Exit, Failure> {
    let open = session.open_for_writing().await?;
    let lock = SlotLock::Passphrase(new.get(&open.place.text(), session.reporter).await?);
    let slot = open.repository.change_passphrase(&lock).await?;
    session.reporter.done(&KeyLine::from(&slot));
    Ok(Exit::Done)
}

fn default_label() -> String {
    format!("{}@{}", environment::user_name(), environment::host_name())
}
