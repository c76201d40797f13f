//! Passphrases from a person, and the options for new ones.
//!
//! Owned here: prompts on a terminal, and insisting on a weak passphrase. Refused here: every other source, and what weakness is
//! (`credenza-app`).

use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use async_trait::async_trait;
use clap::Args;
use credenza_app::passphrase::{self, PASSPHRASE_BYTES_MAX, Passphrase};
use credenza_app::{Ask, PlaceLabel, SecretText, environment};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::Reporter;

/// Where a new passphrase comes from, beside [`environment::NEW_PASSPHRASE`] and a prompt.
#[derive(Debug, Default, Args)]
pub(crate) struct NewPassphrase {
    /// Read the new passphrase from this file.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    pub(crate) new_passphrase_file: Option<PathBuf>,

    /// Run this shell command and take what it prints as the new passphrase.
    #[arg(long, value_name = "COMMAND", conflicts_with = "new_passphrase_file")]
    pub(crate) new_passphrase_cmd: Option<OsString>,

    /// Accept a new passphrase that is easy to guess.
    #[arg(long)]
    pub(crate) weak_passphrase: bool,
}

impl NewPassphrase {
    /// The new passphrase for a repository.
    pub(crate) async fn get(&self, place: &str, reporter: &Reporter) -> Result<Passphrase, Failure> {
        let passphrase = if let Some(path) = &self.new_passphrase_file {
            passphrase::from_file(path)?
        } else if let Some(command) = &self.new_passphrase_cmd {
            passphrase::from_command(command)?
        } else if let Some(passphrase) = passphrase::from_variable(environment::NEW_PASSPHRASE) {
            passphrase
        } else if can_ask() {
            ask_new(place).await?
        } else {
            return Err(Failure::new("no new passphrase is given").exit(Exit::WrongPassphrase).hint(
                "set CREDENZA_NEW_PASSPHRASE, use --new-passphrase-file or --new-passphrase-cmd, or run this on a terminal",
            ));
        };
        accept(&passphrase, self.weak_passphrase, reporter)?;
        Ok(passphrase)
    }
}

/// Takes a new passphrase: a weak one only where the user insists. Says where it does not count as it was given.
pub(crate) fn accept(passphrase: &[u8], weak_is_accepted: bool, reporter: &Reporter) -> Result<(), Failure> {
    if !weak_is_accepted {
        passphrase::require_strength(passphrase).map_err(passphrase::PassphraseError::from)?;
    }
    if passphrase::is_normalised(passphrase) {
        reporter.note(
            "note: the passphrase counts in Unicode's composed form (NFC) and without a byte order mark, so that it is the same on every system",
        );
    }
    Ok(())
}

/// The person at the terminal, if there is one.
pub(crate) struct Terminal;

#[async_trait]
impl Ask for Terminal {
    async fn passphrase(&self, place: &PlaceLabel) -> std::io::Result<Option<Passphrase>> {
        // Repositories that are opened at once are asked for one after the other.
        static ASKING: Mutex<()> = Mutex::const_new(());
        let _asking = ASKING.lock().await;
        if can_ask() { prompt(format!("passphrase of {place}: ")).await.map(Some) } else { Ok(None) }
    }
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a new passphrase, twice.
pub(crate) async fn ask_new(place: &str) -> Result<Passphrase, Failure> {
    let ask = async |question| prompt(question).await.map_err(|source| credenza_app::Error::Ask { source });
    let first = ask(format!("new passphrase for {place}: ")).await?;
    let second = ask("the same again: ".to_owned()).await?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::new("the two passphrases differ").exit(Exit::WrongPassphrase))
    }
}

/// Asks for the value of a secret setting: hidden on a terminal, else a line of standard input.
pub(crate) fn ask_secret(question: &str) -> Result<SecretText, Failure> {
    let answer = if can_ask() { rpassword::prompt_password(question) } else { line_of_input() };
    answer.map(SecretText::new).map_err(|error| Failure::new("no value could be read").because(error.to_string()))
}

fn line_of_input() -> std::io::Result<String> {
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut line = String::with_capacity(usize::try_from(PASSPHRASE_BYTES_MAX).unwrap_or(0));
    std::io::BufRead::read_line(&mut std::io::stdin().lock().take(PASSPHRASE_BYTES_MAX), &mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// On a thread of its own, so that an interrupt ends the program while it waits.
async fn prompt(question: String) -> std::io::Result<Passphrase> {
    let asked = tokio::task::spawn_blocking(move || rpassword::prompt_password(question)).await;
    let text = asked.map_err(std::io::Error::other)??;
    Ok(Zeroizing::new(text.into_bytes()))
}
