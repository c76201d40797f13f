//! Components in registries: who asks, fetching one that is to be installed, and publishing one.
//!
//! Owned here: where the name and the password are (the file that the program was given, else the `config.json` of docker and its like). Refused here: the
//! requests (`credenza-sandbox`), and consent (`install`).

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use credenza_format::component_publisher;
use credenza_sandbox::{
    Anatomy, ArtifactNotes, ImageReference, InvalidLogin, RegistryError, RegistryLogin, Surroundings, fetch_artifact,
    publish_artifact,
};
use zeroize::Zeroizing;

use super::component::{COMPONENT_BYTES_MAX, Component};
use super::error::{ComponentFault, ConnectorsError};
use crate::environment;
use crate::error::FileFault;

/// Files with a name and a password are short; those of docker hold some of them.
const LOGIN_BYTES_MAX: u64 = 256 * 1024;

/// A component that was published.
#[derive(Debug)]
pub struct Published {
    /// The component.
    pub component: Component,
    /// Where it is, by the digest of its manifest: nothing else will ever be there.
    pub reference: ImageReference,
}

/// Fetches a component that is to be installed.
pub(crate) async fn fetch(
    reference: &str,
    login_file: Option<&Path>,
    surroundings: &Surroundings<'_>,
) -> Result<Component, ConnectorsError> {
    let reference: ImageReference = reference.parse()?;
    let login = login(&reference.server, login_file)?;
    let bytes_max = usize::try_from(COMPONENT_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = fetch_artifact(&reference, login.as_ref(), bytes_max, surroundings).await;
    let from = PathBuf::from(reference.to_string());
    let bytes = bytes.map_err(|source| refused("fetched from", reference, source))?;
    Component::of_bytes(&from, bytes)
}

/// Publishes a component that will run and whose signature, if it has one, is of it.
pub(crate) async fn publish(
    component: Component,
    reference: &str,
    login_file: Option<&Path>,
    surroundings: &Surroundings<'_>,
) -> Result<Published, ConnectorsError> {
    let mut reference: ImageReference = reference.parse()?;
    component.will_run()?;
    let notes = notes_of(&component)?;
    let login = login(&reference.server, login_file)?;
    let digest = publish_artifact(&reference, login.as_ref(), &component.bytes, &notes, surroundings).await;
    match digest {
        Ok(digest) => {
            reference.digest = Some(digest);
            Ok(Published { component, reference })
        }
        Err(source) => Err(refused("published to", reference, source)),
    }
}

fn refused(doing: &'static str, reference: ImageReference, source: RegistryError) -> ConnectorsError {
    ConnectorsError::Registry { doing, reference: Box::new(reference), source: Box::new(source) }
}

/// What people who look at the registry are reported it.
fn notes_of(component: &Component) -> Result<ArtifactNotes, ConnectorsError> {
    let Anatomy { imports, exports, .. } =
        Anatomy::of(&component.bytes).map_err(|error| component.fault(error.into()))?;
    let publisher = component_publisher(&component.bytes).map_err(|_| component.fault(ComponentFault::Signature))?;
    let manifest = &component.manifest;
    let annotations = [
        ("org.opencontainers.image.title", manifest.name.clone()),
        ("org.opencontainers.image.version", manifest.version.clone()),
        ("org.opencontainers.image.description", manifest.summary.clone()),
        ("org.opencontainers.image.licenses", manifest.licence.clone()),
        ("credenza.publisher", publisher.map(|key| key.to_string()).unwrap_or_default()),
    ];
    let reported = annotations.into_iter().filter(|(_, text)| !text.is_empty());
    let annotations = reported.map(|(name, text)| (name.to_owned(), text)).collect();
    Ok(ArtifactNotes { imports, exports, annotations })
}

/// Who asks the registry: what the file says, else what docker keeps for that server, else nobody.
fn login(server: &str, file: Option<&Path>) -> Result<Option<RegistryLogin>, ConnectorsError> {
    let invalid = |path: &Path, source| ConnectorsError::NoLogin { path: path.to_owned(), source };
    if let Some(path) = file {
        let text = read(path)?;
        return RegistryLogin::of_line(&text).map(Some).map_err(|source| invalid(path, source));
    }
    let Some(path) = environment::docker_configuration().filter(|path| path.exists()) else { return Ok(None) };
    RegistryLogin::of_docker(&read(&path)?, server).map_err(|source| invalid(&path, source))
}

fn read(path: &Path) -> Result<Zeroizing<String>, ConnectorsError> {
    let fault = |source: FileFault| ConnectorsError::LoginFile { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|error| fault(error.into()))?;
    match file.take(LOGIN_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(read) if read as u64 > LOGIN_BYTES_MAX => Err(fault(FileFault::TooLarge { bytes_max: LOGIN_BYTES_MAX })),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(ConnectorsError::NoLogin { path: PathBuf::from(path), source: InvalidLogin::Line })
        }
        Err(error) => Err(fault(error.into())),
    }
}
