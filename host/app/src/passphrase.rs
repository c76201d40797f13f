//! Passphrases, from a file, a command, the environment or a prompt on a terminal.
//!
//! Owned here: reading them, exact bytes but for one line end, and refusing new ones that are weak. Refused here: which of these
//! sources counts (`secret`), what a passphrase opens (`credenza-engine`), what weakness is (`credenza-format`).

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use credenza_format::{normal_passphrase, passphrase_weakness};
use zeroize::Zeroizing;

use crate::environment;
use crate::failure::{Exit, Failure};
use crate::home;
use crate::report::Reporter;

/// Longer ones are a mistake, such as the name of the wrong file.
const PASSPHRASE_BYTES_MAX: u64 = 64 * 1024;

/// A passphrase, wiped when dropped.
pub(crate) type Passphrase = Zeroizing<Vec<u8>>;

/// Where a new passphrase comes from, beside [`environment::NEW_PASSPHRASE`] and a prompt.
#[derive(Debug, Default, Args)]
pub(crate) struct NewPassphrase {
    /// Read the new passphrase from this file.
    #[arg(long, value_name = "FILE", value_parser = home::path_parser())]
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
            from_file(path)?
        } else if let Some(command) = &self.new_passphrase_cmd {
            from_command(command)?
        } else if let Some(passphrase) = from_variable(environment::NEW_PASSPHRASE) {
            passphrase
        } else if can_ask() {
            ask_new(place).await?
        } else {
            return Err(Failure::new("no new passphrase is given").exit(Exit::WrongPassphrase).hint(
                "set CREDENZA_NEW_PASSPHRASE, use --new-passphrase-file or --new-passphrase-cmd, or run this on a terminal",
            ));
        };
        require_strength(&passphrase, self.weak_passphrase)?;
        tell_form(&passphrase, reporter);
        Ok(passphrase)
    }
}

/// Says of a new passphrase where it does not count as it was given.
pub(crate) fn tell_form(passphrase: &[u8], reporter: &Reporter) {
    if normal_passphrase(passphrase).is_some() {
        reporter.note(
            "note: the passphrase counts in Unicode's composed form (NFC) and without a byte order mark, so that it is the same on every system",
        );
    }
}

/// Refuses a new passphrase that is easy to guess, unless the user insists.
pub(crate) fn require_strength(passphrase: &[u8], weak_is_accepted: bool) -> Result<(), Failure> {
    let weakness = match std::str::from_utf8(passphrase) {
        Ok(text) if text.chars().any(char::is_control) => {
            Some("it has a line end or another control character in it, which nobody can type at a prompt".to_owned())
        }
        Ok(text) => passphrase_weakness(text),
        Err(_) => Some("it is not UTF-8, as a file that was saved as UTF-16 is not, so that nobody can type it at a prompt; random bytes are for --key-file".to_owned()),
    };
    match weakness.filter(|_| !weak_is_accepted) {
        None => Ok(()),
        Some(why) => Err(Failure::new("the passphrase is too weak")
            .because(why)
            .hint("choose a longer one, for example six random words, or insist with --weak-passphrase")),
    }
}

/// A passphrase in a variable of the environment, unless it is unset or empty.
pub(crate) fn from_variable(name: &str) -> Option<Passphrase> {
    environment::variable(name).map(|text| Zeroizing::new(text.into_vec()))
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for the passphrase of a repository.
pub(crate) async fn ask(place: &str) -> Result<Passphrase, Failure> {
    prompt(format!("passphrase of {place}: ")).await
}

/// Asks for a new passphrase, twice.
pub(crate) async fn ask_new(place: &str) -> Result<Passphrase, Failure> {
    let first = prompt(format!("new passphrase for {place}: ")).await?;
    let second = prompt("the same again: ".to_owned()).await?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::new("the two passphrases differ").exit(Exit::WrongPassphrase))
    }
}

/// Asks for the value of a secret setting: hidden on a terminal, else a line of standard input.
pub(crate) fn ask_secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    let answer = if can_ask() { rpassword::prompt_password(question) } else { line_of_input() };
    answer.map(Zeroizing::new).map_err(|error| Failure::new("no value could be read").because(error.to_string()))
}

fn line_of_input() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::stdin().lock().take(PASSPHRASE_BYTES_MAX), &mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// On a thread of its own, so that an interrupt ends the program while it waits.
async fn prompt(question: String) -> Result<Passphrase, Failure> {
    let asked = tokio::task::spawn_blocking(move || rpassword::prompt_password(question)).await;
    let answer = asked.map_err(std::io::Error::other).and_then(|answer| answer);
    let text = answer.map_err(|error| Failure::new("the passphrase could not be read").because(error.to_string()))?;
    Ok(Zeroizing::new(text.into_bytes()))
}

/// A passphrase in a file.
pub(crate) fn from_file(path: &Path) -> Result<Passphrase, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("the passphrase file {} cannot be read", path.display())).because(error.to_string())
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    read_bounded(file, &format!("the passphrase file {}", path.display()))
}

/// What a shell command prints.
pub(crate) fn from_command(command: &OsStr) -> Result<Passphrase, Failure> {
    let failed = |why: String| Failure::new("the command for the passphrase failed").because(why);
    let mut shell = Command::new("/bin/sh");
    for name in environment::SECRETS {
        shell.env_remove(name);
    }
    let spawned = shell.arg("-c").arg(command).stdin(Stdio::inherit()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| failed(error.to_string()))?;
    let output = child.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
    let passphrase = read_bounded(output, "what the command for the passphrase prints");
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() { passphrase } else { Err(failed(status.to_string())) }
}

/// Everything but one line end.
fn read_bounded(reader: impl Read, subject: &str) -> Result<Passphrase, Failure> {
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let capacity = usize::try_from(PASSPHRASE_BYTES_MAX).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let read = reader.take(PASSPHRASE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(format!("{subject} cannot be read")).because(error.to_string()))?;
    if bytes.len() as u64 > PASSPHRASE_BYTES_MAX {
        return Err(Failure::new(format!("{subject} has more than {PASSPHRASE_BYTES_MAX} bytes")));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() { Err(Failure::new(format!("{subject} is empty"))) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_dropped_and_nothing_else() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("a\r", "a\r")] {
            assert_eq!(read_bounded(text.as_bytes(), "x").unwrap().as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn a_new_passphrase_that_nobody_can_type_is_refused() {
        let utf16: Vec<u8> = "\u{feff}six random words of one file".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for wrong in [&utf16[..], b"\xff", b"six random words of\none file too", b"six random words of one file\x1b"] {
            assert!(require_strength(wrong, false).is_err());
            assert!(require_strength(wrong, true).is_ok());
        }
        assert!(require_strength(b"six random words of one file", false).is_ok());
    }

    #[test]
    fn an_empty_and_an_endless_passphrase_are_refused() {
        assert!(read_bounded(&b"\n"[..], "x").is_err());
        assert!(read_bounded(std::io::repeat(b'a'), "x").is_err());
    }

    #[test]
    fn a_command_that_fails_yields_no_passphrase() {
        assert!(from_command(OsStr::new("echo secret; exit 3")).is_err());
        assert_eq!(from_command(OsStr::new("printf 'a b\\n'")).unwrap().as_slice(), b"a b");
    }
}
