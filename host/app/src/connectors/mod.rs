//! Which components are at hand, and which one serves a location.
//!
//! Owned here: the order of looking (the one given, the setting `connector`, those that were installed to go before the program's own, those that
//! are part of the program, the other installed ones), and that nothing runs which nobody vouches for. Refused here: running them (`open`),
//! asking a person (the program). Nothing is compiled here: manifests are read from the files' own sections.

mod component;
mod error;
mod install;
mod lock;
pub(crate) mod registry;

use std::path::{Path, PathBuf};

pub use component::{Component, Origin, Trust};
pub use error::{ComponentFault, ConnectorsError};
pub use install::Installation;
pub use lock::Pin;
pub use registry::Published;

use crate::configuration::Settings;
use lock::Pins;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The folder of installed components, beside the configuration file.
const FOLDER: &str = "connectors";

/// A component that a program is given for one run.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its file.
    pub path: PathBuf,
    /// Whether it may run although nobody has agreed to what it may do.
    pub allow_unpinned: bool,
}

/// The components that a program can choose from.
#[derive(Debug)]
pub struct Connectors {
    /// One that goes before all others.
    given: Option<Given>,
    /// The folder of the configuration.
    folder: Option<PathBuf>,
}

impl Connectors {
    /// Those at hand beside the configuration in that folder; `given` goes before all others.
    #[must_use]
    pub fn new(given: Option<Given>, configuration_folder: Option<&Path>) -> Self {
        Self { given, folder: configuration_folder.map(Path::to_owned) }
    }

    /// The component for a location of that scheme with those settings. Nobody may vouch for it: that is asked before it runs.
    ///
    /// # Errors
    /// When none serves it, or the one that does cannot be used.
    pub fn serving(&self, scheme: &str, settings: &Settings) -> Result<Component, ConnectorsError> {
        if let Some(Given { path, .. }) = &self.given {
            let component = self.file(path)?;
            if component.serves(scheme) {
                return Ok(component);
            }
        }
        if let Some(choice) = settings.get("connector") {
            return self.named(choice.expose());
        }
        let pins = self.pins()?;
        if let Some(pin) = pins.iter().find(|pin| pin.overrides_embedded && pin.serves(scheme)) {
            return self.pinned(pin);
        }
        if let Some(component) = embedded(|component| component.serves(scheme))? {
            return Ok(component);
        }
        match pins.iter().filter(|pin| pin.serves(scheme)).collect::<Vec<_>>().as_slice() {
            [] => self
                .stray(|component| component.serves(scheme))?
                .ok_or_else(|| ConnectorsError::NothingServes { scheme: scheme.to_owned(), served: self.schemes() }),
            [pin] => self.pinned(pin),
            several => {
                let names = several.iter().map(|pin| pin.name.clone()).collect();
                Err(ConnectorsError::Ambiguous { scheme: scheme.to_owned(), names })
            }
        }
    }

    /// A component by path, or by the name in its manifest. Nobody may vouch for it.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn named(&self, choice: &str) -> Result<Component, ConnectorsError> {
        if choice.contains('/') || choice.ends_with(".wasm") {
            return self.file(Path::new(choice));
        }
        let pins = self.pins()?;
        if let Some(pin) = pins.iter().find(|pin| pin.name == choice) {
            return self.pinned(pin);
        }
        let fits = |component: &Component| component.manifest.name == choice;
        if let Some(component) = embedded(fits)? {
            return Ok(component);
        }
        self.stray(fits)?.ok_or_else(|| ConnectorsError::Unknown { name: choice.to_owned() })
    }

    /// Everything that may run without being named: what is part of the program, and what is installed, each unless it cannot be used.
    ///
    /// # Errors
    /// When what was agreed to cannot be read.
    pub fn all(&self) -> Result<Vec<Result<Component, ConnectorsError>>, ConnectorsError> {
        let pins = self.pins()?;
        let embedded = EMBEDDED.iter().map(|(_, bytes)| Component::embedded(bytes));
        Ok(pins.iter().map(|pin| self.pinned(pin)).chain(embedded).collect())
    }

    /// The schemes of all that may run, each once.
    #[must_use]
    pub fn schemes(&self) -> Vec<String> {
        let given = self.given.iter().filter_map(|given| self.file(&given.path).ok());
        let all = self.all().unwrap_or_default().into_iter().flatten();
        let mut schemes: Vec<String> = given.chain(all).flat_map(|component| component.manifest.schemes).collect();
        schemes.sort();
        schemes.dedup();
        schemes
    }

    /// What was agreed to, in the order of the names.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn pins(&self) -> Result<Vec<Pin>, ConnectorsError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        Ok(Pins::read(folder)?.all()?)
    }

    /// Files of the connectors folder that nobody has agreed to.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn strays(&self) -> Result<Vec<PathBuf>, ConnectorsError> {
        let pinned: Vec<String> = self.pins()?.iter().map(Pin::file_name).collect();
        let Some(folder) = self.folder.as_ref().map(|folder| folder.join(FOLDER)) else { return Ok(Vec::new()) };
        let listing = match std::fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ConnectorsError::Folder { path: folder, doing: "read", source }),
        };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|item| item.path()).collect();
        paths.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".wasm") && !pinned.iter().any(|pinned| pinned == name)
        });
        paths.sort();
        Ok(paths)
    }

    /// An installed component, which must be the one that was agreed to.
    fn pinned(&self, pin: &Pin) -> Result<Component, ConnectorsError> {
        let folder = self.folder.clone().unwrap_or_default();
        let path = folder.join(FOLDER).join(pin.file_name());
        let component = Component::read(&path)?;
        let found = component.sha256();
        if found != pin.sha256 {
            let (name, pinned) = (pin.name.clone(), pin.sha256.clone());
            return Err(ConnectorsError::Changed { name, path, pinned, found });
        }
        Ok(Component { trust: Trust::Pinned, ..component })
    }

    /// A file that somebody names: what was agreed to is known by its digest, wherever the file is.
    fn file(&self, path: &Path) -> Result<Component, ConnectorsError> {
        let component = Component::read(path)?;
        let sha256 = component.sha256();
        let is_allowed = self.given.as_ref().is_some_and(|given| given.allow_unpinned && given.path == path);
        let trust = if EMBEDDED.iter().any(|(_, bytes)| **bytes == *component.bytes) {
            Trust::Embedded
        } else if self.pins()?.iter().any(|pin| pin.sha256 == sha256) {
            Trust::Pinned
        } else if is_allowed {
            Trust::ThisRun
        } else {
            Trust::None
        };
        Ok(Component { trust, ..component })
    }

    /// The first file of the folder that fits and that nobody has agreed to, so that a person is reported how to install it.
    fn stray(&self, fits: impl Fn(&Component) -> bool) -> Result<Option<Component>, ConnectorsError> {
        let files = self.strays()?.into_iter().filter_map(|path| Component::read(&path).ok());
        Ok(files.into_iter().find(fits))
    }

    /// Whether the program brings no component along, as one that was built without any.
    #[must_use]
    pub const fn is_built_bare() -> bool {
        EMBEDDED.is_empty()
    }
}

/// The first component of the program that fits.
fn embedded(fits: impl Fn(&Component) -> bool) -> Result<Option<Component>, ConnectorsError> {
    for (_, bytes) in EMBEDDED {
        let component = Component::embedded(bytes)?;
        if fits(&component) {
            return Ok(Some(component));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
