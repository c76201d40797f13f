//! Refresh tokens that servers handed out in place of the one in the settings, kept from one run to the next.
//!
//! Owned here: the folder `tokens` beside the configuration, which its owner alone can read, with a file for each token that was given, called by
//! its SHA-256: whoever writes another into the settings begins again. Refused here: when a token is asked for (`credenza-sandbox`).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use credenza_sandbox::{Digests, SecretText, TokenKeeper, TokenNotKept};
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
    pub(crate) fn beside(configuration_folder: &std::path::Path) -> Self {
        Self { folder: configuration_folder.join(FOLDER) }
    }

    fn path(&self, given: &SecretText) -> PathBuf {
        let digest = Digests::of(given.expose().as_bytes()).sha256;
        self.folder.join(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// The whole file or none: a run that ends in the middle must not lose the only token that counts.
    fn write(&self, path: &std::path::Path, newest: &SecretText) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
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
    fn a_token_that_cannot_be_kept_is_an_error_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FOLDER), "a file").unwrap();
        let tokens = Tokens::beside(folder.path());
        let error = tokens.keep(&SecretText::new("hunter2"), &SecretText::new("hunter3")).unwrap_err().to_string();
        assert!(error.contains("tokens/") && !error.contains("hunter"), "{error}");
    }
}
