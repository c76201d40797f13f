//! `connector build`: from the sources of a connector to a component that the host accepts.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use clap::Args;
use credenza_author::build;
use credenza_kit::Candidate;
use credenza_sandbox::Digests;
use serde::Serialize;

use crate::commands::Session;
use crate::failure::Failure;
use crate::report::brief;

/// Builds a connector.
#[derive(Debug, Args)]
pub(crate) struct BuildCommand {
    /// The folder of its sources.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Where the component goes, instead of into that folder under the connector's name.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_built")]
pub(super) struct Built {
    name: String,
    version: String,
    pub(super) path: PathBuf,
    pub(super) bytes: usize,
    sha256: String,
}

impl Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}  {} bytes in {}  sha256 {}",
            brief(&self.name),
            brief(&self.version),
            self.bytes,
            self.path.display(),
            self.sha256
        )
    }
}

impl BuildCommand {
    pub(super) fn run(self, session: &Session<'_>) -> Result<(), Failure> {
        session.reporter.done(&build_into(&self.folder, self.output, session.app.compiled_folder())?);
        Ok(())
    }
}

/// Builds the connector of a folder, into that folder where nothing else is said. What is compiled for the look at it is kept in the folder
/// `compiled`, where the next command finds it.
pub(super) fn build_into(folder: &Path, output: Option<PathBuf>, compiled: Option<PathBuf>) -> Result<Built, Failure> {
    let component = build(folder).map_err(|error| {
        let failure = Failure::new(error.to_string()).hint(error.remedy());
        match error.source() {
            Some(why) => failure.because(why.to_string()),
            None => failure,
        }
    })?;
    // As every command would, so that what is built is also accepted.
    let manifest_path = folder.join("connector.toml");
    let candidate = Candidate::load(&component, compiled).map_err(|error| {
        Failure::new("what was built is no connector that the host accepts")
            .because(error.to_string())
            .hint(format!("correct {}, or the roles that the sources export", manifest_path.display()))
    })?;
    let manifest = candidate.manifest();
    let path = output.unwrap_or_else(|| folder.join(format!("{}.wasm", manifest.name)));
    std::fs::write(&path, &component)
        .map_err(|error| Failure::new(format!("{} cannot be written", path.display())).because(error.to_string()))?;
    let sha256 = Digests::of(&component).sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, version) = (manifest.name.clone(), manifest.version.clone());
    Ok(Built { name, version, path, bytes: component.len(), sha256 })
}
