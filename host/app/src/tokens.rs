//! Refresh tokens that servers handed out in place of the one in the settings, kept from one run to the next.
//!
//! Owned here: the folder `tokens` beside the configuration, which its owner alone can read, with a file for each token that was given, called by
//! its SHA-256: whoever writes another into the settings begins again. Beside it lies a file that is locked by the run that renews the token, and that
//! stays: two runs could else lock two files of one name. Refused here: when a token is asked for (`credenza-sandbox`).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use credenza_sandbox::{Digests, Reserved, SecretText, TokenKeeper, TokenNotKept};
use zeroize::Zeroizing;

/// A token has some kilobytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
const FOLDER: &str = "tokens";

/// The tokens beside a configuration.
#[derive(Debug)]
pub(crate) struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    pub(crate) fn beside(configuration_folder: &Path) -> Self {
        Self { folder: configuration_folder.join(FOLDER) }
    }

    fn path(&self, given: &SecretText) -> PathBuf {
        let digest = Digests::of(given.expose().as_bytes()).sha256;
        self.folder.join(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn make_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Locked until it is closed, also by a process that is killed.
    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        self.make_folder()?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The whole file or none: a run that ends in the middle must not lose the only token that counts.
    fn write(&self, path: &Path, newest: &SecretText) -> io::Result<()> {
        self.make_folder()?;
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(newest.expose().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

impl TokenKeeper for Tokens {
    fn newest(&self, given: &SecretText) -> Option<SecretText> {
        let mut text = Zeroizing::new(String::new());
        File::open(self.path(given)).ok()?.take(TOKEN_BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(SecretText::new(text.as_str())).filter(|token| !token.is_empty())
    }

    fn reserve(&self, given: &SecretText) -> Result<Option<Reserved>, TokenNotKept> {
        let path = self.path(given).with_extension("lock");
        match self.lock(&path) {
            Ok(file) => Ok(file.map(|file| Box::new(file) as Reserved)),
            Err(cause) => Err(TokenNotKept(format!("{} cannot be locked: {cause}", path.display()))),
        }
    }

    fn keep(&self, given: &SecretText, newest: &SecretText) -> Result<(), TokenNotKept> {
        let path = self.path(given);
        self.write(&path, newest)
            .map_err(|cause| TokenNotKept(format!("{} cannot be written: {cause}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_newest_token_is_kept_for_the_given_one_alone_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let given = SecretText::new("first");
        let keep = |token: &str| Tokens::beside(folder.path()).keep(&given, &SecretText::new(token)).unwrap();
        let newest = |given: &SecretText| Tokens::beside(folder.path()).newest(given);
        assert_eq!(newest(&given), None);
        keep("second");
        keep("third");
        assert_eq!(newest(&given), Some(SecretText::new("third")));
        assert_eq!(newest(&SecretText::new("another")), None);
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path().join(FOLDER)), 0o700);
        let files: Vec<PathBuf> =
            std::fs::read_dir(folder.path().join(FOLDER)).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(files.iter().all(|file| mode(file.clone()) == 0o600 && !file.to_string_lossy().contains("first")));
    }

    #[test]
    fn a_token_is_renewed_by_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = |given: &str| Tokens::beside(folder.path()).reserve(&SecretText::new(given)).unwrap();
        let first = reserve("first");
        assert!(first.is_some() && reserve("first").is_none());
        assert!(reserve("another").is_some(), "another token is another's");
        drop(first);
        assert!(reserve("first").is_some());
        assert_eq!(Tokens::beside(folder.path()).newest(&SecretText::new("first")), None, "a lock is no token");
    }

    #[test]
    fn a_token_that_cannot_be_kept_is_an_error_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FOLDER), "a file").unwrap();
        let tokens = Tokens::beside(folder.path());
        let error = tokens.keep(&SecretText::new("hunter2"), &SecretText::new("hunter3")).unwrap_err().to_string();
        assert!(error.contains("tokens/") && !error.contains("hunter"), "{error}");
    }
}
