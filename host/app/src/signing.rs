//! The key that a writer signs with: where it comes from, and the file that keeps it.
//!
//! Owned here: the order of its sources and reading and making its file. Refused here: what is signed (`credenza_format`). Called by
//! commands that commit, and by `key signer`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use credenza_format::SigningKey;
use zeroize::Zeroizing;

use crate::arguments::Globals;
use crate::configuration::Settings;
use crate::environment;
use crate::failure::Failure;

/// More than the file of any key has.
const FILE_BYTES_MAX: u64 = 4096;

/// The signing key, if one is named: by the option, else the environment, else the repository's setting.
pub(crate) fn provided(globals: &Globals, settings: &Settings) -> Result<Option<SigningKey>, Failure> {
    let named =
        globals.signing_key.clone().or_else(|| environment::variable(environment::SIGNING_KEY).map(PathBuf::from));
    let path = named.or_else(|| settings.get("signing_key").map(PathBuf::from));
    path.map(|path| read(&path)).transpose()
}

/// Makes a new key in a new file that only its owner can read.
pub(crate) fn create(path: &Path) -> Result<SigningKey, Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!("{} exists already and is not overwritten", path.display()))
            .hint("choose another file: whoever trusts the old key would not trust a new one"),
        _ => Failure::new(format!("the signing key {} cannot be written", path.display())).because(error.to_string()),
    };
    let key = SigningKey::generate().map_err(|error| Failure::new(error.to_string()))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(key.to_text().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(key)
}

fn read(path: &Path) -> Result<SigningKey, Failure> {
    let failed = |why: String| Failure::new(format!("the signing key {} cannot be read", path.display())).because(why);
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    SigningKey::from_text(&text).map_err(|error| failed(error.to_string()))
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
        let settings = Settings::from([("signing_key".to_owned(), path.display().to_string())]);
        assert_eq!(read(Path::new(&settings["signing_key"])).unwrap().public(), key.public());
        assert!(create(&path).is_err());
        assert_eq!(read(&path).unwrap().public(), key.public());
    }
}
