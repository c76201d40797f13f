//! The key that a writer signs with: where it comes from, and the file that keeps it; and whose signatures are trusted.
//!
//! Owned here: the order of its sources, and reading and making its file. Refused here: what is signed (`credenza-format`).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use credenza_format::{Error as FormatError, InvalidSigningKey, PublicKey, SigningKey};
use credenza_sandbox::SecretText;
use zeroize::Zeroizing;

use crate::configuration::Settings;
use crate::environment;

/// More than the file of any key has.
const FILE_BYTES_MAX: u64 = 4096;

/// A signing key that cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// It cannot be read.
    #[error("the signing key {} cannot be read", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: KeyFault,
    },
    /// A new one would take the place of another file.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A new one cannot be kept.
    #[error("the signing key {} cannot be written", path.display())]
    Write {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A new one cannot be drawn.
    #[error(transparent)]
    Generate(#[from] FormatError),
}

/// Why a file holds no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The system says it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error(transparent)]
    Invalid(#[from] InvalidSigningKey),
}

/// The signing key, if one is named: by `given`, else the environment, else the repository's setting.
///
/// # Errors
/// When it cannot be read.
pub fn provided(given: Option<&Path>, settings: &Settings) -> Result<Option<SigningKey>, SigningError> {
    let named = given.map(Path::to_owned);
    let named = named.or_else(|| environment::variable(environment::SIGNING_KEY).map(PathBuf::from));
    let path = named.or_else(|| settings.get("signing_key").map(|path| path.expose().into()));
    path.map(|path| read(&path)).transpose()
}

/// The signers that the setting `trusted_signers` of a repository names, with commas between them.
///
/// # Errors
/// When one is no public key.
pub fn trusted(settings: &Settings) -> Result<Vec<PublicKey>, InvalidSigningKey> {
    let words = settings.get("trusted_signers").map_or("", SecretText::expose).split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::parse).collect()
}

/// Makes a new key in a new file that only its owner can read.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn create(path: &Path) -> Result<SigningKey, SigningError> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AlreadyExists => SigningError::Exists { path: path.to_owned() },
        _ => SigningError::Write { path: path.to_owned(), source },
    };
    let key = SigningKey::generate()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(key.to_text().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(key)
}

fn read(path: &Path) -> Result<SigningKey, SigningError> {
    let read = || {
        // Room for all of it at once: a buffer that grew would leave copies behind.
        let room = usize::try_from(FILE_BYTES_MAX).unwrap_or(0).saturating_add(1);
        let mut text = Zeroizing::new(String::with_capacity(room));
        File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(SigningKey::from_text(&text)?)
    };
    read().map_err(|source| SigningError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_for_its_owner_alone_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signer");
        let key = create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let settings = Settings::from([("signing_key".to_owned(), SecretText::new(path.display().to_string()))]);
        assert_eq!(read(Path::new(settings["signing_key"].expose())).unwrap().public(), key.public());
        assert!(create(&path).is_err());
        assert_eq!(read(&path).unwrap().public(), key.public());
    }

    #[test]
    fn trusted_signers_are_public_keys_with_commas_between_them() {
        let key = SigningKey::from_seed(&[1; 32]).public();
        let settings = |text: String| Settings::from([("trusted_signers".to_owned(), SecretText::new(text))]);
        assert_eq!(trusted(&settings(format!("{key}, {key}"))).unwrap(), [key, key]);
        assert_eq!(trusted(&Settings::new()).unwrap(), []);
        assert!(trusted(&settings("nobody".to_owned())).is_err());
    }
}
