//! The profile files of AWS's tools, whose commands (`credential_process`) inherit nothing secret of ours.
//!
//! Owned here: where the files are, and that change of them. Refused here: what is in them (`aws-config`, which runs the commands with the
//! environment of this process). Called by `aws`.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

use crate::{environment, home};

const PROCESS: &str = "credential_process";
/// Thousands of profiles.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The files as they are now; those that are not there are empty.
pub(crate) fn files() -> EnvConfigFiles {
    let config = read("AWS_CONFIG_FILE", ".aws/config");
    let credentials = read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, guarded(&config))
        .with_contents(EnvConfigFileKind::Credentials, guarded(&credentials))
        .build()
}

fn read(variable: &str, below_home: &str) -> String {
    let mut text = String::new();
    let file = path(variable, below_home).and_then(|path| File::open(path).ok());
    match file.map(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)) {
        Some(Ok(_)) => text,
        _ => String::new(),
    }
}

fn path(variable: &str, below_home: &str) -> Option<PathBuf> {
    let Some(named) = environment::variable(variable).map(PathBuf::from) else {
        return Some(home::folder()?.join(below_home));
    };
    match named.strip_prefix("~") {
        Ok(rest) => Some(home::folder()?.join(rest)),
        Err(_) => Some(named),
    }
}

/// The same profiles; each command first takes out of its environment what is not for it.
fn guarded(text: &str) -> String {
    let unset = format!("unset {};", environment::SECRETS.join(" "));
    let guard = |line: &str| match line.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case(PROCESS)) {
        Some((key, command)) => format!("{key}= {unset} {}\n", command.trim_start()),
        None => format!("{line}\n"),
    };
    text.lines().map(guard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_take_secrets_out_of_their_environment_and_all_else_stays() {
        let text =
            "[profile a]\nregion = x\ncredential_process = /bin/tool --for=me\n# credential_process of another\n";
        let unset = "credential_process = unset CREDENZA_PASSPHRASE ";
        // The names of properties are read without regard to case.
        let shouted = guarded("Credential_Process=/bin/tool\n");
        assert!(shouted.contains("unset CREDENZA_PASSPHRASE "), "{shouted}");
        let guarded = guarded(text);
        assert!(guarded.contains(unset) && guarded.contains("; /bin/tool --for=me\n"), "{guarded}");
        let rest = |text: &str| text.lines().filter(|line| !line.starts_with(PROCESS)).collect::<Vec<_>>().join("\n");
        assert_eq!(rest(&guarded), rest(text));
    }
}
