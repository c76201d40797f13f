//! Where the secrets of a connector are, in the same way for every connector: in a setting of its name, in the file that `NAME_file` names, in what
//! the command `NAME_cmd` prints; where none of them is given, in the variables that its manifest names, which the sandbox asks for.
//!
//! Owned here: files and commands, and that a secret is given once. Refused here: which secrets there are and what they are for (the manifest),
//! passphrases (`passphrase`). Called by `open`. Read: at most [`SECRET_BYTES_MAX`] each.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;

use credenza_sandbox::{Manifest, SECRET_COMMAND, SECRET_FILE, SecretText};
use zeroize::Zeroizing;

use crate::configuration::Settings;
use crate::error::FileFault;
use crate::passphrase::{CommandFault, shell};

/// Keys and documents with keys have some kilobytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret of a connector that cannot be read. What was read is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// More than one setting says it.
    #[error("the secret `{secret}` is given by more than one setting: {}; keep one of them", given.join(", "))]
    Repeated {
        /// The secret.
        secret: String,
        /// The settings.
        given: Vec<String>,
    },
    /// A file.
    #[error("the setting `{setting}` names the file {file}, which cannot be read")]
    File {
        /// The setting.
        setting: String,
        /// The file.
        file: String,
        /// Why.
        source: FileFault,
    },
    /// A command.
    #[error("the command of the setting `{setting}` failed")]
    Command {
        /// The setting.
        setting: String,
        /// Why.
        source: CommandFault,
    },
    /// Nothing, or no text.
    #[error("what the setting `{setting}` leads to {why}")]
    Content {
        /// The setting.
        setting: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Puts the secrets themselves in the place of the settings that say where they are.
///
/// # Errors
/// When one is given twice, or cannot be read.
pub(crate) fn gather(manifest: &Manifest, settings: &mut Settings) -> Result<(), CredentialError> {
    for secret in manifest.secrets.keys() {
        let sources = ["", SECRET_FILE, SECRET_COMMAND].map(|source| format!("{secret}{source}"));
        let given: Vec<String> = sources.into_iter().filter(|name| settings.contains_key(name)).collect();
        if given.len() > 1 {
            return Err(CredentialError::Repeated { secret: secret.clone(), given });
        }
        let Some((setting, value)) = given.first().and_then(|name| settings.remove_entry(name)) else { continue };
        let text = match setting.strip_prefix(secret.as_str()) {
            Some(SECRET_FILE) => text(&setting, of_file(&setting, value.expose())?)?,
            Some(SECRET_COMMAND) => text(&setting, of_command(&setting, value.expose())?)?,
            _ => value,
        };
        settings.insert(secret.clone(), text);
    }
    Ok(())
}

fn of_file(setting: &str, path: &str) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let read = || bounded(File::open(Path::new(path))?);
    read().map_err(|source| CredentialError::File { setting: setting.to_owned(), file: path.to_owned(), source })
}

/// What a shell command prints. It inherits none of our secrets.
fn of_command(setting: &str, command: &str) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let run = || {
        let mut child = shell(OsStr::new(command)).stdin(Stdio::inherit()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or(CommandFault::NoOutput)?;
        let content = bounded(output);
        let status = child.wait()?;
        match content {
            _ if !status.success() => Err(CommandFault::Status(status)),
            Ok(content) => Ok(content),
            Err(FileFault::Io(error)) => Err(CommandFault::Io(error)),
            Err(fault @ FileFault::TooLarge { .. }) => Err(CommandFault::Io(io::Error::other(fault.to_string()))),
        }
    };
    run().map_err(|source| CredentialError::Command { setting: setting.to_owned(), source })
}

fn bounded(reader: impl Read) -> Result<Zeroizing<Vec<u8>>, FileFault> {
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let room = usize::try_from(SECRET_BYTES_MAX).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    reader.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > SECRET_BYTES_MAX {
        true => Err(FileFault::TooLarge { bytes_max: SECRET_BYTES_MAX }),
        false => Ok(bytes),
    }
}

/// The text without its last line end.
fn text(setting: &str, bytes: Zeroizing<Vec<u8>>) -> Result<SecretText, CredentialError> {
    let wrong = |why| CredentialError::Content { setting: setting.to_owned(), why };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(wrong("is empty")) } else { Ok(SecretText::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "name = 'x'\nversion = '1'\napi = '0.1'\nroles = ['source']\n[secrets.key]\n[secrets.token]\n[settings.bucket]\ntype = 'string'";

    fn gathered(given: &[(&str, &str)]) -> Result<Settings, String> {
        let mut settings: Settings =
            given.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))).collect();
        gather(&Manifest::parse(MANIFEST).unwrap(), &mut settings).map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn a_secret_is_found_by_setting_file_or_command() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "of a file\n").unwrap();
        let settings = gathered(&[
            ("bucket", "b"),
            ("key_cmd", "printf 'of a command\\r\\n'"),
            ("token_file", file.to_str().unwrap()),
        ])
        .unwrap();
        let found: Vec<(&str, &str)> = settings.iter().map(|(name, text)| (name.as_str(), text.expose())).collect();
        assert_eq!(found, [("bucket", "b"), ("key", "of a command"), ("token", "of a file")]);
        assert_eq!(gathered(&[("key", "itself")]).unwrap()["key"].expose(), "itself");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_never_repeated() {
        for (given, part) in [
            (&[("key", "hunter2"), ("key_cmd", "echo hunter2")][..], "key, key_cmd"),
            (&[("key_cmd", "echo hunter2; exit 3")], "key_cmd"),
            (&[("key_cmd", "true")], "is empty"),
            (&[("key_cmd", "printf 'hunter2\\377'")], "UTF-8"),
            (&[("key_cmd", "yes hunter2 | head -c 100000; true")], "key_cmd"),
            (&[("token_file", "/nowhere")], "/nowhere"),
        ] {
            let refused = gathered(given).unwrap_err();
            assert!(refused.contains(part) && !refused.contains("hunter2"), "{refused}");
        }
    }
}
