//! Passphrases, from a file, a command or the environment.
//!
//! Owned here: reading them, exact bytes but for one line end, and judging new ones. Refused here: which of these sources counts (`secret`),
//! asking a person (the program), what a passphrase opens (`credenza-engine`), what is easy to guess (`credenza-format`).

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use credenza_connect::ProcessGroup;
use credenza_format::{normal_passphrase, passphrase_weakness};
use zeroize::Zeroizing;

use crate::environment;

/// Longer ones are a mistake, such as the name of the wrong file.
pub const PASSPHRASE_BYTES_MAX: u64 = 64 * 1024;

/// A passphrase, wiped when dropped.
pub type Passphrase = Zeroizing<Vec<u8>>;

/// A passphrase that cannot be read, or should not be used. It is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// It cannot be read.
    #[error("{origin} cannot be read")]
    Read {
        /// Where it should be from.
        origin: PassphraseOrigin,
        /// Why.
        source: io::Error,
    },
    /// It is longer than any passphrase.
    #[error("{origin} has more than {bytes_max} bytes")]
    TooLong {
        /// Where it is from.
        origin: PassphraseOrigin,
        /// The most that is read.
        bytes_max: u64,
    },
    /// There is none.
    #[error("{origin} is empty")]
    Empty {
        /// Where it should be from.
        origin: PassphraseOrigin,
    },
    /// The command that should print it.
    #[error("the command for the passphrase failed")]
    Command(#[from] CommandFault),
    /// A new one that should not be used.
    #[error("the passphrase is too weak")]
    Weak(#[from] Weakness),
}

/// Where a passphrase is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseOrigin {
    /// A file.
    File(PathBuf),
    /// What a command prints.
    Command,
}

impl Display for PassphraseOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the passphrase file {}", path.display()),
            Self::Command => f.write_str("what the command for the passphrase prints"),
        }
    }
}

/// Why a command gave no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    /// It cannot be run.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nothing can be read from it.
    #[error("it has no output")]
    NoOutput,
    /// It says that it failed.
    #[error("{0}")]
    Status(ExitStatus),
    /// It took too long, and was ended.
    #[error("it was ended after {} s, and cannot ask anybody here", after.as_secs())]
    Late {
        /// What it was given.
        after: Duration,
    },
}

/// Why a new passphrase should not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// It cannot be typed at a prompt.
    #[error("it has a line end or another control character in it, which nobody can type at a prompt")]
    Control,
    /// It is no text.
    #[error("it is not UTF-8, as a file that was saved as UTF-16 is not, so that nobody can type it at a prompt")]
    NotText,
    /// It is easy to guess; the sentence says why.
    #[error("{0}")]
    Guessable(String),
}

/// Whether a passphrase counts in another form than it was given: Unicode's composed form (NFC), without a byte order mark.
#[must_use]
pub fn is_normalised(passphrase: &[u8]) -> bool {
    normal_passphrase(passphrase).is_some()
}

/// Refuses a new passphrase that is easy to guess or cannot be typed.
///
/// # Errors
/// [`Weakness`] says why.
pub fn require_strength(passphrase: &[u8]) -> Result<(), Weakness> {
    match std::str::from_utf8(passphrase) {
        Ok(text) if text.chars().any(char::is_control) => Err(Weakness::Control),
        Ok(text) => passphrase_weakness(text).map_or(Ok(()), |why| Err(Weakness::Guessable(why))),
        Err(_) => Err(Weakness::NotText),
    }
}

/// A passphrase in a variable of the environment, unless it is unset or empty.
#[must_use]
pub fn from_variable(name: &str) -> Option<Passphrase> {
    environment::variable(name).map(|text| Zeroizing::new(text.into_vec()))
}

/// A passphrase in a file.
///
/// # Errors
/// When the file cannot be read, is empty, or has more than [`PASSPHRASE_BYTES_MAX`].
pub fn from_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let origin = PassphraseOrigin::File(path.to_owned());
    match File::open(path) {
        Ok(file) => read_bounded(file, &origin),
        Err(source) => Err(PassphraseError::Read { origin, source }),
    }
}

/// What a shell command prints. It inherits none of our secrets.
///
/// # Errors
/// When it fails, prints nothing, or more than [`PASSPHRASE_BYTES_MAX`].
pub fn from_command(command: &OsStr) -> Result<Passphrase, PassphraseError> {
    let spawned = shell(command).stdin(Stdio::inherit()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(CommandFault::Io)?;
    let output = child.stdout.take().ok_or(CommandFault::NoOutput)?;
    let passphrase = read_bounded(output, &PassphraseOrigin::Command);
    printed(passphrase, child.wait())
}

/// The same where nobody attends to the command: it can ask for nothing, and is ended after `limit` with all that it has started. It blocks for so long.
///
/// # Errors
/// As for [`from_command`], and [`CommandFault::Late`].
pub fn from_command_within(command: &OsStr, limit: Duration) -> Result<Passphrase, PassphraseError> {
    let spawned = shell(command).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn();
    let mut child = spawned.map_err(CommandFault::Io)?;
    let group = ProcessGroup::led_by(&child);
    let output = child.stdout.take().ok_or(CommandFault::NoOutput)?;
    let (sender, ended) = channel();
    thread::spawn(move || {
        let passphrase = read_bounded(output, &PassphraseOrigin::Command);
        // Where it took too long, nobody hears that.
        let _ = sender.send((passphrase, child.wait()));
    });
    if let Ok((passphrase, status)) = ended.recv_timeout(limit) {
        return printed(passphrase, status);
    }
    if let Some(group) = group {
        group.kill();
    }
    Err(CommandFault::Late { after: limit }.into())
}

/// What a command printed, if it says that it is right.
fn printed(
    passphrase: Result<Passphrase, PassphraseError>,
    status: io::Result<ExitStatus>,
) -> Result<Passphrase, PassphraseError> {
    let status = status.map_err(CommandFault::Io)?;
    if status.success() { passphrase } else { Err(CommandFault::Status(status).into()) }
}

/// A shell command that inherits none of our secrets.
pub(crate) fn shell(command: &OsStr) -> Command {
    let mut shell = Command::new("/bin/sh");
    for name in environment::SECRETS {
        shell.env_remove(name);
    }
    shell.arg("-c").arg(command);
    shell
}

/// Everything but one line end.
fn read_bounded(reader: impl Read, origin: &PassphraseOrigin) -> Result<Passphrase, PassphraseError> {
    let origin = || origin.clone();
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let capacity = usize::try_from(PASSPHRASE_BYTES_MAX).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let read = reader.take(PASSPHRASE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|source| PassphraseError::Read { origin: origin(), source })?;
    if bytes.len() as u64 > PASSPHRASE_BYTES_MAX {
        return Err(PassphraseError::TooLong { origin: origin(), bytes_max: PASSPHRASE_BYTES_MAX });
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() { Err(PassphraseError::Empty { origin: origin() }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_dropped_and_nothing_else() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("a\r", "a\r")] {
            assert_eq!(
                read_bounded(text.as_bytes(), &PassphraseOrigin::Command).unwrap().as_slice(),
                expected.as_bytes()
            );
        }
    }

    #[test]
    fn a_new_passphrase_that_nobody_can_type_is_refused() {
        let utf16: Vec<u8> = "\u{feff}six random words of one file".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for wrong in [&utf16[..], b"\xff", b"six random words of\none file too", b"six random words of one file\x1b"] {
            assert!(require_strength(wrong).is_err());
        }
        assert!(require_strength(b"six random words of one file").is_ok());
    }

    #[test]
    fn an_empty_and_an_endless_passphrase_are_refused() {
        assert!(read_bounded(&b"\n"[..], &PassphraseOrigin::Command).is_err());
        assert!(read_bounded(std::io::repeat(b'a'), &PassphraseOrigin::Command).is_err());
    }

    #[test]
    fn a_command_that_fails_yields_no_passphrase() {
        assert!(from_command(OsStr::new("echo secret; exit 3")).is_err());
        assert_eq!(from_command(OsStr::new("printf 'a b\\n'")).unwrap().as_slice(), b"a b");
    }

    #[test]
    fn a_command_that_nobody_attends_to_asks_nothing_and_is_ended_in_its_time() {
        let hour = Duration::from_hours(1);
        assert_eq!(from_command_within(OsStr::new("printf 'a b\\n'"), hour).unwrap().as_slice(), b"a b");
        let asks = from_command_within(OsStr::new("read answer && echo \"$answer\""), hour);
        assert!(matches!(asks, Err(PassphraseError::Command(CommandFault::Status(_)))), "{asks:?}");
        let late = from_command_within(OsStr::new("sleep 600 | cat"), Duration::ZERO);
        assert!(matches!(late, Err(PassphraseError::Command(CommandFault::Late { .. }))), "{late:?}");
    }
}
