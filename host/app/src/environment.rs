//! What the surroundings say: environment variables and the folders that follow from them.
//!
//! Owned here: the names of the variables. Only this file reads the environment.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use credenza_sandbox::SecretText;

use crate::home;

/// The repository of a command that names none.
pub const REPOSITORY: &str = "CREDENZA_REPOSITORY";
/// The passphrase of the repository.
pub const PASSPHRASE: &str = "CREDENZA_PASSPHRASE";
/// A passphrase for a new key slot.
pub const NEW_PASSPHRASE: &str = "CREDENZA_NEW_PASSPHRASE";
/// The key file of the repository.
pub const KEY_FILE: &str = "CREDENZA_KEY_FILE";
/// The file with a recipient's secret key.
pub const IDENTITY: &str = "CREDENZA_IDENTITY";
/// A recovery code of the repository.
pub const RECOVERY_CODE: &str = "CREDENZA_RECOVERY_CODE";
/// The file of the key that snapshots are signed with.
pub const SIGNING_KEY: &str = "CREDENZA_SIGNING_KEY";
/// The key that webhooks know our messages by.
pub const NOTIFY_KEY: &str = "CREDENZA_NOTIFY_KEY";
/// The token of ntfy.
pub const NOTIFY_TOKEN: &str = "CREDENZA_NOTIFY_TOKEN";
/// The password of the server that takes mail.
pub const MAIL_PASSWORD: &str = "CREDENZA_MAIL_PASSWORD";
/// What the names above begin with, and those of all variables of ours.
const OWN: &str = "CREDENZA_";
const CONFIG: &str = "CREDENZA_CONFIG";
const CACHE: &str = "CREDENZA_CACHE";
/// The folder of records.
pub(crate) const STATE: &str = "CREDENZA_STATE";

/// Variables of ours that hold secrets or say where they are, which no command that is run for us inherits.
pub const SECRETS: [&str; 9] = [
    PASSPHRASE,
    NEW_PASSPHRASE,
    KEY_FILE,
    IDENTITY,
    RECOVERY_CODE,
    SIGNING_KEY,
    NOTIFY_KEY,
    NOTIFY_TOKEN,
    MAIL_PASSWORD,
];

/// A variable, unless it is unset or empty.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A variable that the manifest of a connector names as the home of one of its secrets. Ours are for nobody else: a manifest says where
/// its secrets are sent, and might ask for the passphrase.
#[must_use]
pub fn connector_secret(name: &str) -> Option<SecretText> {
    if is_own(name) { None } else { env::var(name).ok().map(SecretText::new) }
}

fn is_own(name: &str) -> bool {
    name.starts_with(OWN)
}

/// The folder of the configuration: `CREDENZA_CONFIG`, else `credenza` in `XDG_CONFIG_HOME` or `~/.config`. `None` without a home of ours.
///
/// Places of the XDG base directory specification; relative ones are ignored, as it asks.
#[must_use]
pub fn config_folder() -> Option<PathBuf> {
    own_folder(CONFIG, "XDG_CONFIG_HOME", ".config")
}

/// The folder of the cache: `CREDENZA_CACHE`, else `credenza` in `XDG_CACHE_HOME` or `~/.cache`. `None` without a home of ours.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    own_folder(CACHE, "XDG_CACHE_HOME", ".cache")
}

/// The folder of records, which can be deleted at any time: `CREDENZA_STATE`, else `credenza` in `XDG_STATE_HOME` or `~/.local/state`. `None` without a
/// home of ours.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    own_folder(STATE, "XDG_STATE_HOME", ".local/state")
}

/// Where docker and its like keep who asks which registry: `config.json` in `DOCKER_CONFIG`, else in `~/.docker`.
pub(crate) fn docker_configuration() -> Option<PathBuf> {
    let folder = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home::folder()?.join(".docker")));
    folder.filter(|folder| is_ours(folder)).map(|folder| folder.join("config.json"))
}

/// Name of this machine, for snapshots.
#[must_use]
pub fn host_name() -> String {
    let name = credenza_connect::file::host_name();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// Name of the user, for snapshots.
#[must_use]
pub fn user_name() -> String {
    let name = variable("USER").or_else(|| variable("LOGNAME"));
    name.map_or_else(
        || format!("uid {}", rustix::process::getuid().as_raw()),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn own_folder(own: &str, xdg: &str, below_home: &str) -> Option<PathBuf> {
    if let Some(folder) = variable(own).map(PathBuf::from) {
        return Some(home::expand(&folder).unwrap_or(folder));
    }
    let base = variable(xdg).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let base = base.or_else(|| Some(home::folder()?.join(below_home)))?;
    is_ours(&base).then(|| base.join("credenza"))
}

/// Whether we may look there: `sudo -u` and the like leave HOME to be that of somebody else, and then there is nothing of ours in it.
fn is_ours(folder: &Path) -> bool {
    !folder.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_gets_variables_but_none_of_ours() {
        assert!(connector_secret("PATH").is_some());
        for own in SECRETS {
            assert!(is_own(own), "{own}");
        }
        assert!(!is_own("AWS_ACCESS_KEY_ID"));
    }
}
