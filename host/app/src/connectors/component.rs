//! A component as bytes with its manifest, and who vouches for it.
//!
//! Owned here: reading one, within a bound. Refused here: choosing (`connectors`), consent (`install`), running (`open`).

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use credenza_format::{EscrowedConnector, PublicKey, component_publisher};
use credenza_sandbox::{Digests, Grant, Manifest, ManifestError};

use super::error::{ComponentFault, ConnectorsError};
use crate::error::FileFault;
use crate::notice::Notice;

/// What can be installed can be kept in a repository. The official components have a few hundred kilobytes; those of interpreted languages up to some
/// twenty megabytes.
pub(super) const COMPONENT_BYTES_MAX: u64 = EscrowedConnector::BYTES_MAX as u64;

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

/// Who vouches for a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The build of this program, which holds its bytes.
    Embedded,
    /// The user, who agreed to what exactly these bytes may do.
    Pinned,
    /// The user, for this run alone.
    ThisRun,
    /// Nobody.
    None,
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
    /// Who vouches for it.
    pub trust: Trust,
}

impl Component {
    /// Reads a file, which nobody vouches for yet.
    pub(super) fn read(path: &Path) -> Result<Self, ConnectorsError> {
        let fault = |source| ConnectorsError::File { path: path.to_owned(), source };
        Self::of_bytes(path, read_bounded(path).map_err(|error| fault(error.into()))?)
    }

    /// What was read from a file or a server.
    pub(crate) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, ConnectorsError> {
        let fault = |error: ManifestError| ConnectorsError::File { path: path.to_owned(), source: error.into() };
        let manifest = Manifest::of_component(&bytes).map_err(fault)?;
        Ok(Self { origin: Origin::File(path.to_owned()), manifest, bytes: bytes.into(), trust: Trust::None })
    }

    pub(super) fn embedded(bytes: &'static [u8]) -> Result<Self, ConnectorsError> {
        let manifest = Manifest::of_component(bytes).map_err(ConnectorsError::Embedded)?;
        Ok(Self { origin: Origin::Embedded, manifest, bytes: bytes.into(), trust: Trust::Embedded })
    }

    /// SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        hexadecimal(&Digests::of(&self.bytes).sha256)
    }

    /// Who signed it; nobody, or a signature that is not of it.
    #[must_use]
    pub fn publisher(&self) -> Option<PublicKey> {
        component_publisher(&self.bytes).ok().flatten()
    }

    /// What it asks to be granted.
    ///
    /// # Errors
    /// [`ConnectorsError::File`] where it asks for more than a person could read.
    pub fn grant(&self) -> Result<Grant, ConnectorsError> {
        Grant::of_component(&self.bytes).map_err(|error| self.fault(error.into()))
    }

    /// Whether it will run, as far as can be reported without compiling it.
    ///
    /// # Errors
    /// [`ConnectorsError::File`] names everything that is refused.
    pub fn will_run(&self) -> Result<(), ConnectorsError> {
        credenza_sandbox::verify(&self.bytes).map(drop).map_err(|error| self.fault(error.into()))
    }

    pub(super) fn fault(&self, source: ComponentFault) -> ConnectorsError {
        ConnectorsError::File { path: self.origin.to_string().into(), source }
    }

    /// Requires that somebody vouches for it, before any of its code runs.
    ///
    /// # Errors
    /// [`ConnectorsError::Unpinned`].
    pub fn require_trust(&self) -> Result<(), ConnectorsError> {
        match self.trust {
            Trust::Embedded | Trust::Pinned | Trust::ThisRun => Ok(()),
            Trust::None => {
                Err(ConnectorsError::Unpinned { path: self.origin.to_string().into(), sha256: self.sha256() })
            }
        }
    }

    /// What a person is reported a component that was not agreed to and runs all the same: which code it is.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        let Origin::File(path) = &self.origin else { return None };
        if self.trust != Trust::ThisRun {
            return None;
        }
        let Manifest { name, version, .. } = self.manifest.clone();
        Some(Notice::ForeignConnector { name, version, path: path.clone(), sha256: self.sha256() })
    }

    pub(super) fn serves(&self, scheme: &str) -> bool {
        self.manifest.schemes.iter().any(|served| served == scheme)
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, FileFault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > COMPONENT_BYTES_MAX {
        true => Err(FileFault::TooLarge { bytes_max: COMPONENT_BYTES_MAX }),
        false => Ok(bytes),
    }
}
