//! Which components are at hand, and which one serves a location.
//!
//! Owned here: the order of looking (the one given, the setting `connector`, the connectors folder, embedded ones).
//! Refused here: running them (`open`). Nothing is compiled here: manifests are read from the files' own sections.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use credenza_sandbox::{Digests, Manifest, ManifestError};

use crate::configuration::Settings;
use crate::error::FileFault;
use crate::notice::Notice;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The official components have a few hundred kilobytes; those of interpreted languages some tens of megabytes.
const COMPONENT_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The folder of installed components, beside the configuration file.
const FOLDER: &str = "connectors";

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The program itself.
    Embedded,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Embedded => f.write_str("embedded"),
        }
    }
}

/// No component, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorsError {
    /// A file that cannot be read or is no component.
    #[error("the connector {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ComponentFault,
    },
    /// A component of the program itself.
    #[error("an embedded connector cannot be used")]
    Embedded(#[source] ManifestError),
    /// No component is called so.
    #[error("there is no connector `{}`", name.escape_debug())]
    Unknown {
        /// What was asked for.
        name: String,
        /// The connectors folder.
        folder: Option<PathBuf>,
    },
    /// No component reaches such locations.
    #[error("no connector serves `{scheme}://`")]
    NothingServes {
        /// The scheme.
        scheme: String,
        /// The connectors folder.
        folder: Option<PathBuf>,
    },
    /// A file of the connectors folder fits where an embedded component does, and nobody has chosen it.
    #[error("the connector {} (sha256 {sha256}) would take the place of the embedded `{embedded}`", path.display())]
    Shadows {
        /// The file.
        path: PathBuf,
        /// Its SHA-256, in hexadecimal.
        sha256: String,
        /// The embedded component.
        embedded: String,
    },
    /// The folder of installed components.
    #[error("the connectors folder {} cannot be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a file is no component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentFault {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileFault),
    /// It breaks the contract of connectors.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// A component whose manifest has been read.
#[derive(Debug)]
pub struct Component {
    /// Where it is from.
    pub origin: Origin,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its code.
    pub bytes: Cow<'static, [u8]>,
}

impl Component {
    fn read(path: &Path) -> Result<Self, ConnectorsError> {
        let read = || {
            let bytes = read_bounded(path)?;
            Ok((Manifest::of_component(&bytes)?, bytes))
        };
        let (manifest, bytes) = read().map_err(|source| ConnectorsError::File { path: path.to_owned(), source })?;
        Ok(Self { origin: Origin::File(path.to_owned()), manifest, bytes: bytes.into() })
    }

    fn embedded(bytes: &'static [u8]) -> Result<Self, ConnectorsError> {
        let manifest = Manifest::of_component(bytes).map_err(ConnectorsError::Embedded)?;
        Ok(Self { origin: Origin::Embedded, manifest, bytes: bytes.into() })
    }

    /// SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        Digests::of(&self.bytes).sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a person is told of a component that is not the program's own: which code it is.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        let Origin::File(path) = &self.origin else { return None };
        let Manifest { name, version, .. } = self.manifest.clone();
        Some(Notice::ForeignConnector { name, version, path: path.clone(), sha256: self.sha256() })
    }

    fn serves(&self, scheme: &str) -> bool {
        self.manifest.schemes.iter().any(|served| served == scheme)
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, FileFault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > COMPONENT_BYTES_MAX {
        true => Err(FileFault::TooLarge { bytes_max: COMPONENT_BYTES_MAX }),
        false => Ok(bytes),
    }
}

/// The components that a program can choose from.
#[derive(Debug)]
pub struct Connectors {
    /// One that goes before all others.
    given: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl Connectors {
    /// Those at hand beside the configuration in that folder; `given` goes before all others.
    #[must_use]
    pub fn new(given: Option<PathBuf>, configuration_folder: Option<&Path>) -> Self {
        Self { given, folder: configuration_folder.map(|folder| folder.join(FOLDER)) }
    }

    /// The component for a location of that scheme with those settings.
    ///
    /// # Errors
    /// When none serves it, or the one that does cannot be used.
    pub fn serving(&self, scheme: &str, settings: &Settings) -> Result<Component, ConnectorsError> {
        if let Some(path) = &self.given {
            let component = Component::read(path)?;
            if component.serves(scheme) {
                return Ok(component);
            }
        }
        if let Some(choice) = settings.get("connector") {
            return self.named(choice.expose());
        }
        let nothing = || ConnectorsError::NothingServes { scheme: scheme.to_owned(), folder: self.folder.clone() };
        self.chosen(|component| component.serves(scheme))?.ok_or_else(nothing)
    }

    /// A component by path, or by the name in its manifest.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn named(&self, choice: &str) -> Result<Component, ConnectorsError> {
        if choice.contains('/') || choice.ends_with(".wasm") {
            return Component::read(Path::new(choice));
        }
        let unknown = || ConnectorsError::Unknown { name: choice.to_owned(), folder: self.folder.clone() };
        self.chosen(|component| component.manifest.name == choice)?.ok_or_else(unknown)
    }

    /// The first that fits. A file of the folder does not take the place of an embedded one: whoever can write there could read along.
    fn chosen(&self, fits: impl Fn(&Component) -> bool) -> Result<Option<Component>, ConnectorsError> {
        let mut found = self.all()?.into_iter().filter(fits);
        let Some(first) = found.next() else { return Ok(None) };
        let Origin::File(path) = &first.origin else { return Ok(Some(first)) };
        let is_given = self.given.as_ref() == Some(path);
        match found.find(|component| component.origin == Origin::Embedded) {
            Some(embedded) if !is_given => Err(ConnectorsError::Shadows {
                path: path.clone(),
                sha256: first.sha256(),
                embedded: embedded.manifest.name,
            }),
            _ => Ok(Some(first)),
        }
    }

    /// Everything at hand: the one given, then the folder's in the order of their names, then embedded ones.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn all(&self) -> Result<Vec<Component>, ConnectorsError> {
        let given = self.given.iter().cloned();
        let files = given.chain(self.installed()?);
        let mut all = files.map(|path| Component::read(&path)).collect::<Result<Vec<_>, _>>()?;
        for (_, bytes) in EMBEDDED {
            all.push(Component::embedded(bytes)?);
        }
        Ok(all)
    }

    fn installed(&self) -> Result<Vec<PathBuf>, ConnectorsError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let listing = match std::fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ConnectorsError::Folder { path: folder.clone(), source }),
        };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|item| item.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        paths.sort();
        Ok(paths)
    }

    /// Whether the program brings no component along, as one that was built without any.
    #[must_use]
    pub const fn is_built_bare() -> bool {
        EMBEDDED.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use credenza_sandbox::SecretText;

    use super::*;

    #[test]
    fn a_scheme_that_nothing_serves_is_refused_with_the_place_to_put_a_connector() {
        let folder = tempfile::tempdir().unwrap();
        let connectors = Connectors::new(None, Some(folder.path()));
        let refused = connectors.serving("gopher", &Settings::new()).unwrap_err();
        let expected = folder.path().join("connectors");
        assert!(matches!(refused, ConnectorsError::NothingServes { folder: Some(folder), .. } if folder == expected));
    }

    #[test]
    fn a_file_of_the_folder_does_not_take_the_place_of_an_embedded_connector() {
        let Some((_, bytes)) = EMBEDDED.first() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("connectors/00.wasm");
        std::fs::create_dir(folder.path().join("connectors")).unwrap();
        std::fs::write(&file, bytes).unwrap();
        let connectors = Connectors::new(None, Some(folder.path()));
        for refused in [connectors.serving("s3", &Settings::new()), connectors.named("s3")].map(Result::unwrap_err) {
            assert!(matches!(refused, ConnectorsError::Shadows { path, .. } if path == file));
        }
        let chosen = Settings::from([("connector".to_owned(), SecretText::new(file.display().to_string()))]);
        let component = connectors.serving("s3", &chosen).unwrap();
        let Some(Notice::ForeignConnector { path, sha256, .. }) = component.notice() else { unreachable!() };
        assert_eq!((path, sha256), (file.clone(), component.sha256()));
        let given = Connectors::new(Some(file.clone()), Some(folder.path()));
        assert_eq!(given.serving("s3", &Settings::new()).unwrap().origin, Origin::File(file));
        std::fs::remove_dir_all(folder.path().join("connectors")).unwrap();
        assert_eq!(connectors.serving("s3", &Settings::new()).unwrap().notice(), None);
    }

    #[test]
    fn a_file_that_is_no_component_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        std::fs::write(&path, "no component").unwrap();
        let connectors = Connectors::new(Some(path.clone()), None);
        let refused = connectors.serving("s3", &Settings::new()).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
    }
}
