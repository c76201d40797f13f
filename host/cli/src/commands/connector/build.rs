//! `connector build`: from the sources of a connector to a component that the host accepts.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
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
    put(&path, &component)
        .map_err(|error| Failure::new(format!("{} cannot be written", path.display())).because(error.to_string()))?;
    let sha256 = Digests::of(&component).sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, version) = (manifest.name.clone(), manifest.version.clone());
    Ok(Built { name, version, path, bytes: component.len(), sha256 })
}

/// Puts a component in the place of the one before, whole or not at all: an interrupt may come at any moment.
fn put(path: &Path, component: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return std::fs::write(path, component);
    }
    // What a link leads to is meant, and not the link.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".wasm").permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(component)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_component_takes_the_place_of_the_one_before_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.wasm"), folder.path().join("link.wasm"));
        put(&path, b"before").unwrap();
        symlink(&path, &link).unwrap();
        let mut open = fs::File::open(&path).unwrap();
        put(&link, b"now").unwrap();
        let mut seen = String::new();
        open.read_to_string(&mut seen).unwrap();
        assert_eq!((seen.as_str(), fs::read(&path).unwrap().as_slice()), ("before", &b"now"[..]));
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o044, 0, "others may read it");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        put(Path::new("/dev/null"), b"nowhere").unwrap();
    }
}
