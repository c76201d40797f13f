//! The profile files of AWS's tools, whose commands (`credential_process`) inherit nothing secret of ours.
//!
//! Owned here: where the files are, that change of them, which profile is meant, and whether it is there. Refused here: what else is in them
//! (`aws-config`, which runs the commands with the environment of this process). Called by `aws` and `open`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_runtime::env_config::EnvConfigValue;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::section::EnvConfigSections;
use aws_types::os_shim_internal::{Env, Fs};
use credenza_sandbox::AwsEndpoint;

use crate::configuration::file::writable_by_others;
use crate::configuration::suggestion;
use crate::{environment, home};

const PROCESS: &str = "credential_process";
/// Names the profile that AWS's tools use.
const PROFILE: &str = "AWS_PROFILE";
/// Names the server that AWS's tools talk to; with `_S3` at its end, for S3 alone.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const IGNORE_ENDPOINTS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
/// Thousands of profiles.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Profiles that are named when the one that is meant is not among them.
const NAMES_MAX: usize = 20;

/// A profile that somebody names and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the profile `{}`, which {named_by} names, is not in AWS's files: {}{}",
    name.escape_debug(),
    files.join(", "),
    similar.as_ref().map_or_else(String::new, |similar| format!("; did you mean `{}`?", similar.escape_debug()))
)]
pub struct NoProfile {
    /// What was given.
    pub name: String,
    /// Who gave it: the setting, or `AWS_PROFILE`.
    pub named_by: &'static str,
    /// Each file, with why it could not be read; then the profiles that there are. For a person.
    pub files: Vec<String>,
    /// The nearest that there is.
    pub similar: Option<String>,
}

/// The files as they are at one time.
pub(crate) struct Profiles {
    files: EnvConfigFiles,
    sections: EnvConfigSections,
    texts: [Text; 2],
    /// The profile that somebody names, and who.
    named: Option<(String, &'static str)>,
}

impl Profiles {
    /// Reads the files. One that is not there is empty, and so is one that cannot be read. `profile` goes before `AWS_PROFILE`.
    pub(crate) async fn read(profile: Option<&str>) -> Self {
        let of_variable = || Some((environment::variable(PROFILE)?.into_string().ok()?, PROFILE));
        let named = profile.map(|name| (name.to_owned(), "the setting `profile`")).or_else(of_variable);
        let mut config = Text::read("AWS_CONFIG_FILE", ".aws/config");
        let mut credentials = Text::read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        config.understand(EnvConfigFileKind::Config).await;
        credentials.understand(EnvConfigFileKind::Credentials).await;
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, &config.text)
            .with_contents(EnvConfigFileKind::Credentials, &credentials.text)
            .build();
        let chosen = named.as_ref().map(|(name, _)| Cow::Owned(name.clone()));
        // Each was understood by itself, so that both are.
        let sections = aws_config::profile::load(&Fs::real(), &Env::real(), &files, chosen).await.unwrap_or_default();
        Self { files, sections, texts: [config, credentials], named }
    }

    /// The files, for those who read them further.
    pub(crate) fn files(&self) -> EnvConfigFiles {
        self.files.clone()
    }

    /// The profile that is meant, if it is there or nobody named one.
    ///
    /// # Errors
    /// [`NoProfile`] says which there are.
    pub(crate) fn check(&self) -> Result<(), NoProfile> {
        let Some((name, named_by)) = &self.named else { return Ok(()) };
        if self.sections.get_profile(name).is_some() {
            return Ok(());
        }
        let known: Vec<&str> = self.sections.profiles().collect();
        let similar = suggestion(name, known).map(str::to_owned);
        Err(NoProfile { name: name.clone(), named_by, files: self.reported(), similar })
    }

    /// The server that the environment or the profile names for S3.
    pub(crate) fn endpoint(&self) -> Option<AwsEndpoint> {
        if environment::variable(IGNORE_ENDPOINTS).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let value = EnvConfigValue::new().env(ENDPOINT).profile("endpoint_url").service_id("s3");
        let env = Env::real();
        let (url, _) = value.load(&env, Some(&self.sections)).filter(|(url, _)| !url.is_empty())?;
        let of_variable = [format!("{ENDPOINT}_S3"), ENDPOINT.to_owned()].into_iter();
        let origin = of_variable.into_iter().find(|name| environment::variable(name).is_some());
        let of_profile = || format!("the profile `{}` of AWS's files", self.sections.selected_profile());
        Some(AwsEndpoint { origin: origin.unwrap_or_else(of_profile), url: url.into_owned() })
    }

    /// Files that are there and cannot be read, and why.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.texts.iter().filter_map(|text| Some((text.path.as_path(), text.unreadable.as_deref()?)))
    }

    fn reported(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.sections.profiles().collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(NAMES_MAX);
        let mut names: Vec<String> =
            names.iter().take(NAMES_MAX).map(|name| format!("`{}`", name.escape_debug())).collect();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        let have =
            if names.is_empty() { "they have none".to_owned() } else { format!("they have {}", names.join(", ")) };
        self.texts.iter().map(Text::reported).chain([have]).collect()
    }
}

/// What is in a file.
struct Text {
    path: PathBuf,
    text: String,
    /// Why it could not be read, if it is there.
    unreadable: Option<String>,
}

impl Text {
    fn read(variable: &str, below_home: &str) -> Self {
        let path = path(variable, below_home).unwrap_or_else(|| Path::new("~").join(below_home));
        match text(&path) {
            Ok(text) => Self { path, text, unreadable: None },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self { path, text: String::new(), unreadable: None }
            }
            Err(error) => Self { path, text: String::new(), unreadable: Some(error.to_string()) },
        }
    }

    /// Empties what is no file of profiles, or names a command while others can change it, and says why.
    async fn understand(&mut self, kind: EnvConfigFileKind) {
        if let Some(open) = writable_by_others(&self.path).filter(|_| self.text.lines().any(names_command)) {
            let open = open.display();
            self.unreadable = Some(format!(
                "it names a command, `{PROCESS}`, and others can change {open}; close it: chmod go-w {open}"
            ));
            self.text.clear();
        }
        self.text = guarded(&self.text);
        let file = EnvConfigFiles::builder().with_contents(kind, &self.text).build();
        if let Err(error) = aws_config::profile::load(&Fs::real(), &Env::real(), &file, None).await {
            self.unreadable = Some(causes(&error));
            self.text.clear();
        }
    }

    fn reported(&self) -> String {
        let why = self.unreadable.as_ref().map_or_else(String::new, |why| format!(" (cannot be read: {why})"));
        format!("{}{why}", self.path.display())
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
    let guard = |line: &str| match line.split_once('=').filter(|_| names_command(line)) {
        Some((key, command)) => format!("{key}= {unset} {}\n", command.trim_start()),
        None => format!("{line}\n"),
    };
    text.lines().map(guard).collect()
}

/// Whether a line is the property that names a command; names of properties are read without regard to case.
fn names_command(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(PROCESS))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_that_others_can_write_names_no_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let understood = async |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let mut read = Text { path: path.clone(), text: text.to_owned(), unreadable: None };
            read.understand(EnvConfigFileKind::Config).await;
            read
        };
        let command = "[default]\ncredential_process = /bin/tool\n";
        let refused = understood(command, 0o666).await;
        assert!(refused.text.is_empty());
        assert!(refused.unreadable.is_some_and(|why| why.contains("chmod go-w")));
        assert!(understood(command, 0o644).await.text.contains("/bin/tool"));
        assert!(understood("[default]\nregion = x\n", 0o666).await.text.contains("region"));
    }

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
