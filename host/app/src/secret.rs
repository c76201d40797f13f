//! What opens a repository: what the program was given, else the environment, else the settings of the repository, else nothing, and
//! then a person may be asked for a passphrase.
//!
//! Owned here: that order, key files, identity files and recovery codes. Refused here: passphrases (`passphrase`), what a secret opens
//! (`credenza-engine`).

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use credenza_engine::Secret;
use credenza_format::{Identity, InvalidRecipientKey, InvalidRecoveryCode, RecoveryCode};
use zeroize::Zeroizing;

use crate::configuration::Settings;
use crate::environment;
use crate::error::FileFault;
use crate::passphrase::{self, Passphrase, PassphraseError};

/// Larger files are a mistake, such as the name of the wrong file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A secret that cannot be read, or is none. What was read is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A file that cannot be read.
    #[error("{file} {} cannot be read", path.display())]
    Read {
        /// What it should hold.
        file: SecretFile,
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileFault,
    },
    /// An identity file that holds something else.
    #[error("the identity file {} holds no secret key", path.display())]
    NoIdentity {
        /// The file.
        path: PathBuf,
        /// Why.
        source: IdentityFault,
    },
    /// An identity file that cannot be made.
    #[error("the identity file {} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A text that is no recovery code.
    #[error(transparent)]
    RecoveryCode(#[from] InvalidRecoveryCode),
}

/// Files that hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFile {
    /// Random bytes.
    Key,
    /// A recipient's secret key.
    Identity,
}

impl Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the key file",
            Self::Identity => "the identity file",
        })
    }
}

/// Why a file is no identity file.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    /// None or several lines that could be a key.
    #[error("it must have exactly one line that is no comment")]
    Lines,
    /// A line that is no key.
    #[error(transparent)]
    Key(#[from] InvalidRecipientKey),
}

/// Where the program was told to find the secret; at most one of them counts, in this order.
#[derive(Debug, Clone, Default)]
pub struct SecretSources {
    /// A file that holds the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// A shell command that prints the passphrase.
    pub passphrase_cmd: Option<OsString>,
    /// A key file.
    pub key_file: Option<PathBuf>,
    /// A file with a recipient's secret key.
    pub identity: Option<PathBuf>,
}

/// The secret that is provided somewhere; [`Secret::None`] when only a person can be asked.
///
/// # Errors
/// When the first that is named cannot be read.
pub fn provided(sources: &SecretSources, settings: &Settings) -> Result<Secret, SecretError> {
    of_first(sources, settings, &passphrase::from_command)
}

/// The secret of a further repository that a task works with: its own settings go before the environment, which is meant for the first and
/// may fit both.
///
/// # Errors
/// As for [`provided`].
pub fn provided_for_other(settings: &Settings) -> Result<Secret, SecretError> {
    of_other(settings, &passphrase::from_command)
}

/// The same where nobody attends to commands, which are ended after `limit`: as [`provided`] where the program was given `sources`, else as
/// [`provided_for_other`]. It blocks for so long.
///
/// # Errors
/// As for [`provided`], and when a command takes too long.
pub fn provided_unattended(
    sources: Option<&SecretSources>,
    settings: &Settings,
    limit: Duration,
) -> Result<Secret, SecretError> {
    let run = |command: &OsStr| passphrase::from_command_within(command, limit);
    match sources {
        Some(sources) => of_first(sources, settings, &run),
        None => of_other(settings, &run),
    }
}

/// Gives what a command prints.
type RunCommand<'a> = &'a dyn Fn(&OsStr) -> Result<Passphrase, PassphraseError>;

fn of_first(sources: &SecretSources, settings: &Settings, run: RunCommand<'_>) -> Result<Secret, SecretError> {
    if let Some(secret) = given(sources, run)? {
        return Ok(secret);
    }
    if let Some(secret) = in_environment()? {
        return Ok(secret);
    }
    Ok(in_settings(settings, run)?.unwrap_or(Secret::None))
}

fn of_other(settings: &Settings, run: RunCommand<'_>) -> Result<Secret, SecretError> {
    match in_settings(settings, run)? {
        Some(secret) => Ok(secret),
        None => Ok(in_environment()?.unwrap_or(Secret::None)),
    }
}

fn given(sources: &SecretSources, run: RunCommand<'_>) -> Result<Option<Secret>, SecretError> {
    if let Some(path) = &sources.passphrase_file {
        return Ok(Some(Secret::Passphrase(passphrase::from_file(path)?)));
    }
    if let Some(command) = &sources.passphrase_cmd {
        return Ok(Some(Secret::Passphrase(run(command)?)));
    }
    if let Some(path) = &sources.key_file {
        return Ok(Some(Secret::KeyFile(read_key_file(path)?)));
    }
    sources.identity.as_deref().map(|path| read_identity(path).map(Secret::Identity)).transpose()
}

fn in_environment() -> Result<Option<Secret>, SecretError> {
    if let Some(passphrase) = passphrase::from_variable(environment::PASSPHRASE) {
        return Ok(Some(Secret::Passphrase(passphrase)));
    }
    if let Some(path) = environment::variable(environment::KEY_FILE) {
        return Ok(Some(Secret::KeyFile(read_key_file(path.as_ref())?)));
    }
    if let Some(path) = environment::variable(environment::IDENTITY) {
        return Ok(Some(Secret::Identity(read_identity(path.as_ref())?)));
    }
    let code = passphrase::from_variable(environment::RECOVERY_CODE);
    code.map(|code| recovery_code(&String::from_utf8_lossy(&code)).map(Secret::Recovery)).transpose()
}

fn in_settings(settings: &Settings, run: RunCommand<'_>) -> Result<Option<Secret>, SecretError> {
    if let Some(path) = settings.get("passphrase_file") {
        return Ok(Some(Secret::Passphrase(passphrase::from_file(Path::new(path.expose()))?)));
    }
    if let Some(command) = settings.get("passphrase_cmd") {
        return Ok(Some(Secret::Passphrase(run(OsStr::new(command.expose()))?)));
    }
    if let Some(text) = settings.get("passphrase") {
        return Ok(Some(Secret::Passphrase(Zeroizing::new(text.expose().as_bytes().to_vec()))));
    }
    if let Some(path) = settings.get("key_file") {
        return Ok(Some(Secret::KeyFile(read_key_file(Path::new(path.expose()))?)));
    }
    if let Some(path) = settings.get("identity") {
        return Ok(Some(Secret::Identity(read_identity(Path::new(path.expose()))?)));
    }
    settings.get("recovery_code").map(|code| recovery_code(code.expose()).map(Secret::Recovery)).transpose()
}

/// All bytes of a key file.
///
/// # Errors
/// When it cannot be read, or is larger than 64 KiB.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_file(SecretFile::Key, path)
}

/// The secret key in a file that [`write_identity`] made: one line, beside comments that begin with `#`.
fn read_identity(path: &Path) -> Result<Identity, SecretError> {
    let bytes = read_file(SecretFile::Identity, path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let mut keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) => key.parse().map_err(IdentityFault::Key),
        _ => Err(IdentityFault::Lines),
    };
    key.map_err(|source| SecretError::NoIdentity { path: path.to_owned(), source })
}

/// Writes a new identity file that its owner alone can read, and never over another file.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write_identity(path: &Path, identity: &Identity) -> Result<(), SecretError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "# public key: {}", identity.recipient())?;
        writeln!(file, "{}", identity.to_text().as_str())?;
        file.sync_all()
    };
    write().map_err(|source| SecretError::Write { path: path.to_owned(), source })
}

fn recovery_code(text: &str) -> Result<RecoveryCode, SecretError> {
    Ok(text.parse()?)
}

fn read_file(file: SecretFile, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_bounded(path).map_err(|source| SecretError::Read { file, path: path.to_owned(), source })
}

fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileFault> {
    let file = File::open(path)?;
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or(0).saturating_add(1)));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(FileFault::TooLarge { bytes_max: FILE_BYTES_MAX }),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use credenza_format::RecipientKind;
    use credenza_sandbox::SecretText;

    use super::*;

    #[test]
    fn an_identity_is_its_owners_alone_and_never_written_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let identity = Identity::generate(RecipientKind::X25519).unwrap();
        write_identity(&path, &identity).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_identity(&path).unwrap(), identity);
        assert!(write_identity(&path, &Identity::generate(RecipientKind::X25519).unwrap()).is_err());
        assert_eq!(read_identity(&path).unwrap(), identity);
    }

    #[test]
    fn a_file_without_one_secret_key_is_refused_without_being_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let secret = Identity::generate(RecipientKind::X25519).unwrap().to_text();
        for wrong in [String::new(), "hunter2".to_owned(), format!("{}\n{}", *secret, *secret), format!("{}0", *secret)]
        {
            std::fs::write(&path, &wrong).unwrap();
            let refused = format!("{:?}", read_identity(&path).unwrap_err());
            assert!(!refused.contains("hunter2") && !refused.contains(secret.as_str()), "{refused}");
        }
    }

    #[test]
    fn settings_name_every_sort_of_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, [7; 32]).unwrap();
        let code = RecoveryCode::generate().unwrap();
        let found = |name: &str, value: String| {
            in_settings(&[(name.to_owned(), SecretText::new(value))].into(), &passphrase::from_command).unwrap()
        };
        assert!(matches!(found("passphrase", "x".to_owned()), Some(Secret::Passphrase(_))));
        let key_file = found("key_file", path.display().to_string());
        assert!(matches!(key_file, Some(Secret::KeyFile(content)) if *content == [7; 32]));
        assert!(matches!(found("recovery_code", code.to_string()), Some(Secret::Recovery(read)) if read == code));
        assert!(found("location", "x".to_owned()).is_none());
    }
}
