//! A machine's configuration in its repositories, and a new machine set up by it.
//!
//! Whoever backs up keeps the configuration of the machine in the repository, without its secrets (`redact`): the places, the jobs and which connectors
//! were agreed to. It is put there when it has changed since the last time, which is remembered on the machine, so that an unchanged one costs no
//! request. With the keys of a writer, which cannot be told from a thief's, nothing is kept: a configuration names commands.
//!
//! Owned here: which files, what is remembered, and that nothing is overwritten. Refused here: the note (`engine::latest`), what its files mean.

mod redact;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use credenza_engine::latest::{configurations, keep_configuration};
use credenza_engine::{Clock, Error as EngineError, Repository, SystemClock};
use credenza_format::{ConfigurationFile, InstalledConnector, MachineConfiguration};
use credenza_model::Timestamp;

use crate::app::App;
use crate::configuration::{Kind, PlaceName, file};
use crate::connectors::Pin;
use crate::environment;
use crate::error::Error;
use redact::{Redacted, redacted};

/// The file of the jobs, in the folder of the configuration.
pub const JOBS: &str = "jobs.toml";
/// The file of the places.
const PLACES: &str = "config.toml";
/// What is remembered of what was kept, in the folder for the state of programs.
const KEPT: &str = "kept-configurations.json";

/// What a machine cannot be set up by.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The repository has no configuration of any machine, or none of that one.
    #[error("the repository has no configuration of {}", host.as_deref().unwrap_or("any machine"))]
    None {
        /// Which machine was asked for.
        host: Option<String>,
        /// Those that there are.
        hosts: Vec<String>,
    },
    /// There are several, and none was asked for.
    #[error("the repository has the configurations of {}", hosts.join(", "))]
    Several {
        /// The machines.
        hosts: Vec<String>,
    },
    /// This machine has a configuration.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a machine was set up with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SetUp {
    /// Whose configuration it is.
    pub host: String,
    /// What this machine is called.
    pub here: String,
    /// When it was so there.
    pub at: Timestamp,
    /// The files that were written.
    pub written: Vec<PathBuf>,
    /// What was secret and is to be supplied: the file and the key.
    pub left_out: Vec<String>,
    /// Connectors that are to be installed again.
    pub connectors: Vec<InstalledConnector>,
}

/// Keeps the configuration of this machine in a repository, where it has changed; whether it was put there. The jobs are those of the file that is
/// named, else of the one in the folder of the configuration; where neither is there, what is known of them stays.
///
/// # Errors
/// When the configuration cannot be read, or the store not be written.
pub async fn keep(app: &App, repository: &Repository, jobs: Option<&Path>) -> Result<bool, Error> {
    let Some(folder) = app.known_folder() else { return Ok(false) };
    let keeps_jobs = jobs.is_none() && !folder.join(JOBS).exists();
    let jobs = jobs.map_or_else(|| folder.join(JOBS), Path::to_owned);
    let paths = [folder.join(PLACES), jobs];
    let id = repository.config().repository.to_string();
    let mut kept = Kept::read(app.state_folder());
    let digest = digest_of(&paths, app.connectors().pins().unwrap_or_default().as_slice());
    if kept.is(&id, &digest) {
        return Ok(false);
    }
    let at = Timestamp { nanoseconds: 0, ..SystemClock.now().wall };
    let machine = describe(app, &paths, at)?;
    if machine.files.is_empty() {
        return Ok(false);
    }
    let put = match put_if_new(repository, machine, keeps_jobs).await {
        Ok(put) => put,
        // Whoever can only add snapshots is not believed to say what a machine is to run.
        Err(EngineError::NoAccess { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    kept.remember(&id, digest);
    Ok(put)
}

/// Puts the configuration of a machine into a repository, unless that has it: what is remembered here may be lost, or have no place. Whoever backs up by
/// hand knows nothing of jobs that are elsewhere, and `keeps_jobs` that are known.
async fn put_if_new(
    repository: &Repository,
    mut machine: MachineConfiguration,
    keeps_jobs: bool,
) -> Result<bool, EngineError> {
    let (known, _) = configurations(repository).await?;
    if keeps_jobs && let Some(before) = known.iter().find(|known| known.host == machine.host) {
        let of_jobs = format!("{JOBS}: ");
        machine.files.extend(before.files.iter().filter(|file| file.name == JOBS).cloned());
        machine.left_out.extend(before.left_out.iter().filter(|key| key.starts_with(&of_jobs)).cloned());
    }
    let at = machine.at;
    // What a clock that was ahead has put there would count for ever.
    let before = known.iter().filter(|known| known.host == machine.host).map(|known| known.at.seconds).max();
    let seconds = before.map_or(at.seconds, |before| at.seconds.max(before.saturating_add(1)));
    if known.into_iter().any(|known| MachineConfiguration { at, ..known } == machine) {
        return Ok(false);
    }
    keep_configuration(repository, MachineConfiguration { at: Timestamp { seconds, ..at }, ..machine })
        .await
        .map(|()| true)
}

/// What is kept of a machine.
fn describe(app: &App, [places, jobs]: &[PathBuf; 2], at: Timestamp) -> Result<MachineConfiguration, Error> {
    let configuration = app.configuration()?;
    let hidden = |path: &str| {
        let (kind, name) = path.split_once('.')?;
        let kind =
            [Kind::Repository, Kind::Source, Kind::Destination].into_iter().find(|known| known.name() == kind)?;
        let settings = configuration.settings(kind, &PlaceName::new(kind, name).ok()?).ok()?;
        Some(app.hidden_settings(&settings))
    };
    let mut files = Vec::new();
    let mut left_out = Vec::new();
    for (path, name) in [(places, PLACES), (jobs, JOBS)] {
        let document = file::read_document(path)?;
        if document.is_empty() {
            continue;
        }
        let clean: Redacted = redacted(&document, &hidden);
        left_out.extend(clean.left_out.into_iter().map(|key| format!("{name}: {key}")));
        files.push(ConfigurationFile { name: name.to_owned(), text: clean.text });
    }
    let connectors = app.connectors().pins().unwrap_or_default();
    let connectors =
        connectors.into_iter().map(|pin| InstalledConnector { from: redact::address(&pin.from), name: pin.name });
    let connectors = connectors.collect();
    Ok(MachineConfiguration { host: environment::host_name(), at, files, left_out, connectors })
}

/// Sets this machine up with the configuration that a repository has of a machine: of the one that is named, else of the only one, else of the one that
/// is called as this one.
///
/// # Errors
/// [`BootstrapError`]; then nothing was written. And when the repository cannot be read.
pub async fn set_up(app: &App, repository: &Repository, host: Option<&str>) -> Result<SetUp, Error> {
    let folder = app.configuration_folder()?;
    let machine = choose(configurations(repository).await?.0, host, &environment::host_name())?;
    let taken = machine.files.iter().map(|file| folder.join(&file.name)).find(|path| path.exists());
    if let Some(path) = taken {
        return Err(BootstrapError::Exists { path }.into());
    }
    let _held = file::lock(folder)?;
    let mut written = Vec::new();
    for ConfigurationFile { name, text } in machine.files {
        let path = folder.join(name);
        if let Err(source) = write_new(&path, &text) {
            for path in written {
                // Half a configuration is none.
                let _ = fs::remove_file(path);
            }
            return Err(BootstrapError::Write { path, source }.into());
        }
        written.push(path);
    }
    let MachineConfiguration { host, at, left_out, connectors, .. } = machine;
    Ok(SetUp { host, here: environment::host_name(), at, written, left_out, connectors })
}

fn choose(
    mut machines: Vec<MachineConfiguration>,
    host: Option<&str>,
    here: &str,
) -> Result<MachineConfiguration, BootstrapError> {
    let hosts: Vec<String> = machines.iter().map(|machine| machine.host.clone()).collect();
    let wanted = match (host, machines.len()) {
        (None, 0) => return Err(BootstrapError::None { host: None, hosts }),
        (None, 1) => 0,
        (None, _) => match hosts.iter().position(|host| host == here) {
            Some(here) => here,
            None => return Err(BootstrapError::Several { hosts }),
        },
        (Some(host), _) => match hosts.iter().position(|known| known == host) {
            Some(known) => known,
            None => return Err(BootstrapError::None { host: Some(host.to_owned()), hosts }),
        },
    };
    Ok(machines.swap_remove(wanted))
}

/// Writes a file that is not there, for its owner alone.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What the files say, secrets included, as one digest that stays on this machine.
fn digest_of(paths: &[PathBuf], pins: &[Pin]) -> String {
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        let text = fs::read(path).unwrap_or_default();
        hasher.update(&(text.len() as u64).to_le_bytes()).update(&text);
    }
    for pin in pins {
        hasher.update(format!("{}\0{}\0", pin.name, pin.from).as_bytes());
    }
    hasher.update(environment::host_name().as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// By repository, the digest of what was kept there last. It may be lost: then the repository is asked.
struct Kept {
    path: Option<PathBuf>,
    digests: BTreeMap<String, String>,
}

impl Kept {
    fn read(folder: Option<&Path>) -> Self {
        let path = folder.map(|folder| folder.join(KEPT));
        let text = path.as_deref().and_then(|path| fs::read(path).ok());
        let digests = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path, digests }
    }

    fn is(&self, repository: &str, digest: &str) -> bool {
        self.digests.get(repository).is_some_and(|known| known == digest)
    }

    fn remember(&mut self, repository: &str, digest: String) {
        self.digests.insert(repository.to_owned(), digest);
        let Some(path) = &self.path else { return };
        // Where it cannot be remembered, the repository is asked the next time.
        let write = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(Path::new("."));
            fs::DirBuilder::new().recursive(true).create(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(&mut file, &self.digests)?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        let _ = write();
    }
}

#[cfg(test)]
mod tests;
