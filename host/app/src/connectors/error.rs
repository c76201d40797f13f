//! Why there is no component, or none that may run.

use std::path::PathBuf;

use credenza_format::{Digest, PublicKey};
use credenza_sandbox::{
    DownloadError, ImageReference, InvalidLogin, InvalidReference, LoadError, ManifestError, RegistryError,
};

use crate::configuration::ConfigurationError;
use crate::error::FileFault;

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
    },
    /// No component reaches such locations.
    #[error("no connector serves `{scheme}://`")]
    NothingServes {
        /// The scheme.
        scheme: String,
        /// Those that are served here.
        served: Vec<String>,
    },
    /// More than one reaches them, and nobody has chosen.
    #[error("the connectors {} all serve `{scheme}://`", names.join(", "))]
    Ambiguous {
        /// The scheme.
        scheme: String,
        /// Their names.
        names: Vec<String>,
    },
    /// A file that nobody has agreed to.
    #[error("the connector {} (sha256 {sha256}) is not installed: nobody has agreed to what it may do", path.display())]
    Unpinned {
        /// The file.
        path: PathBuf,
        /// Its SHA-256, in hexadecimal.
        sha256: String,
    },
    /// An installed file is another than the one that was agreed to.
    #[error("the connector {name} is not what was installed: {} has sha256 {found}, and {pinned} was agreed to", path.display())]
    Changed {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
        /// The SHA-256 that was agreed to.
        pinned: String,
        /// That of the file.
        found: String,
    },
    /// The folder of installed components.
    #[error("the connectors folder {} cannot be {doing}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What was to be done.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The file of what was agreed to.
    #[error(transparent)]
    Lock(#[from] ConfigurationError),
    /// It would take the place of one that the program brings along.
    #[error("a connector `{name}` is part of this program")]
    EmbeddedName {
        /// Its name.
        name: String,
    },
    /// Somebody else signed it than the one before, or nobody.
    #[error("the connector {name} is by another publisher than the one installed: {}, and not {pinned}", found.map_or_else(|| "nobody signed it".to_owned(), |key| key.to_string()))]
    Publisher {
        /// Its name.
        name: String,
        /// Who signed the one before.
        pinned: PublicKey,
        /// Who signed this one.
        found: Option<PublicKey>,
    },
    /// The repository does not keep it.
    #[error("the repository keeps no connector with the digest {digest}")]
    NotInEscrow {
        /// Its BLAKE3.
        digest: Digest,
    },
    /// It cannot be downloaded.
    #[error("the connector cannot be downloaded from {}", url.escape_debug())]
    Download {
        /// Where it should be.
        url: String,
        /// Why.
        source: DownloadError,
    },
    /// An address that does not say which file is meant.
    #[error("the address {} does not say which component is meant", url.escape_debug())]
    NoDigest {
        /// The address.
        url: String,
    },
    /// A text that is no address in a registry.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// A registry did not give or take it.
    #[error("the connector cannot be {doing} {reference}")]
    Registry {
        /// What was to be done.
        doing: &'static str,
        /// Where.
        reference: Box<ImageReference>,
        /// Why.
        source: Box<RegistryError>,
    },
    /// A file that should hold a name and a password for a registry.
    #[error("the file {} with the login of a registry cannot be read", path.display())]
    LoginFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileFault,
    },
    /// Such a file that does not.
    #[error("the file {} holds no login of that registry", path.display())]
    NoLogin {
        /// The file.
        path: PathBuf,
        /// Why.
        source: InvalidLogin,
    },
    /// It has another name than the one that it is to replace.
    #[error("this is the connector {found}, and not {name}")]
    OtherName {
        /// The one to replace.
        name: String,
        /// What it is called.
        found: String,
    },
    /// It was installed, updated or removed meanwhile.
    #[error("the connector {name} was changed by another process meanwhile")]
    Meanwhile {
        /// Its name.
        name: String,
    },
}

/// Why a file is no component that could run.
#[derive(Debug, thiserror::Error)]
pub enum ComponentFault {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileFault),
    /// It breaks the contract of connectors.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It would not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It holds a signature that is not of it: it was changed after it was signed.
    #[error("its signature is not of this file: it was changed after it was signed")]
    Signature,
    /// It is another than the one that was named by its digest.
    #[error("it has sha256 {found}, and {expected} was asked for")]
    Digest {
        /// What was asked for.
        expected: String,
        /// What it has.
        found: String,
    },
}
