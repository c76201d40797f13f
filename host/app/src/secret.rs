//! What opens a repository: the command line's option, else the environment, else the settings of the repository, else nothing, and
//! then a person may be asked for a passphrase.
//!
//! Owned here: that order, key files, identity files and recovery codes. Refused here: passphrases (`passphrase`), what a secret opens
//! (`credenza-engine`).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use credenza_engine::Secret;
use credenza_format::{Identity, RecoveryCode};
use zeroize::Zeroizing;

use crate::arguments::Globals;
use crate::configuration::Settings;
use crate::environment;
use crate::failure::{Exit, Failure};
use crate::passphrase;

/// Larger files are a mistake, such as the name of the wrong file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The secret that the user has provided somewhere; [`Secret::None`] when only a person can be asked.
pub(crate) fn provided(globals: &Globals, settings: &Settings) -> Result<Secret, Failure> {
    if let Some(secret) = on_command_line(globals)? {
        return Ok(secret);
    }
    if let Some(secret) = in_environment()? {
        return Ok(secret);
    }
    Ok(in_settings(settings)?.unwrap_or(Secret::None))
}

/// The secret of a further repository that a command names: its own settings go before the environment, which is meant for the
/// repository of `at` and may fit both.
pub(crate) fn provided_for_other(settings: &Settings) -> Result<Secret, Failure> {
    match in_settings(settings)? {
        Some(secret) => Ok(secret),
        None => Ok(in_environment()?.unwrap_or(Secret::None)),
    }
}

fn on_command_line(globals: &Globals) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &globals.passphrase_file {
        return Ok(Some(Secret::Passphrase(passphrase::from_file(path)?)));
    }
    if let Some(command) = &globals.passphrase_cmd {
        return Ok(Some(Secret::Passphrase(passphrase::from_command(command)?)));
    }
    if let Some(path) = &globals.key_file {
        return Ok(Some(Secret::KeyFile(read_key_file(path)?)));
    }
    globals.identity.as_deref().map(|path| read_identity(path).map(Secret::Identity)).transpose()
}

fn in_environment() -> Result<Option<Secret>, Failure> {
    if let Some(passphrase) = passphrase::from_variable(environment::PASSPHRASE) {
        return Ok(Some(Secret::Passphrase(passphrase)));
    }
    if let Some(path) = environment::variable(environment::KEY_FILE) {
        return Ok(Some(Secret::KeyFile(read_key_file(path.as_ref())?)));
    }
    if let Some(path) = environment::variable(environment::IDENTITY) {
        return Ok(Some(Secret::Identity(read_identity(path.as_ref())?)));
    }
    let code = environment::variable(environment::RECOVERY_CODE);
    code.map(|code| recovery_code(&code.to_string_lossy()).map(Secret::Recovery)).transpose()
}

fn in_settings(settings: &Settings) -> Result<Option<Secret>, Failure> {
    if let Some(path) = settings.get("passphrase_file") {
        return Ok(Some(Secret::Passphrase(passphrase::from_file(Path::new(path))?)));
    }
    if let Some(command) = settings.get("passphrase_cmd") {
        return Ok(Some(Secret::Passphrase(passphrase::from_command(OsStr::new(command))?)));
    }
    if let Some(text) = settings.get("passphrase") {
        return Ok(Some(Secret::Passphrase(Zeroizing::new(text.clone().into_bytes()))));
    }
    if let Some(path) = settings.get("key_file") {
        return Ok(Some(Secret::KeyFile(read_key_file(Path::new(path))?)));
    }
    if let Some(path) = settings.get("identity") {
        return Ok(Some(Secret::Identity(read_identity(Path::new(path))?)));
    }
    settings.get("recovery_code").map(|code| recovery_code(code).map(Secret::Recovery)).transpose()
}

/// All bytes of a key file.
pub(crate) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_file("the key file", path)
}

/// The secret key in a file that [`write_identity`] made: one line, beside comments that begin with `#`.
fn read_identity(path: &Path) -> Result<Identity, Failure> {
    let bytes = read_file("the identity file", path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let mut keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let invalid = |why: String| {
        let what = format!("the identity file {} holds no secret key", path.display());
        Failure::new(what).because(why).hint("make one: credenza key generate FILE")
    };
    match (keys.next(), keys.next()) {
        (Some(key), None) => {
            key.parse().map_err(|error: credenza_format::InvalidRecipientKey| invalid(error.to_string()))
        }
        _ => Err(invalid("it must have exactly one line that is no comment".to_owned())),
    }
}

/// Writes a new identity file that its owner alone can read, and never over another file.
pub(crate) fn write_identity(path: &Path, identity: &Identity) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("the identity file {} cannot be written", path.display())).because(error.to_string())
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "# public key: {}", identity.recipient()).map_err(failed)?;
    writeln!(file, "{}", identity.to_text().as_str()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn recovery_code(text: &str) -> Result<RecoveryCode, Failure> {
    let code = text.parse::<RecoveryCode>();
    code.map_err(|error| {
        Failure::new(error.to_string()).exit(Exit::WrongPassphrase).hint("type it as it is written down")
    })
}

fn read_file(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |why: String| Failure::new(format!("{what} {} cannot be read", path.display())).because(why);
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or(0).saturating_add(1)));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(failed(format!("it has more than {FILE_BYTES_MAX} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use credenza_format::RecipientKind;

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
        let found = |name: &str, value: String| in_settings(&[(name.to_owned(), value)].into()).unwrap();
        assert!(matches!(found("passphrase", "x".to_owned()), Some(Secret::Passphrase(_))));
        let key_file = found("key_file", path.display().to_string());
        assert!(matches!(key_file, Some(Secret::KeyFile(content)) if *content == [7; 32]));
        assert!(matches!(found("recovery_code", code.to_string()), Some(Secret::Recovery(read)) if read == code));
        assert!(found("location", "x".to_owned()).is_none());
    }
}
