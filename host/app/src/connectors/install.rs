//! Installing a component: what it is, what it asks for beyond what was agreed before, and keeping what the user agrees to.
//!
//! Owned here: the order of the checks, all of them before anything is compiled or run. Refused here: asking, and the words of it (the
//! program). A crash in between leaves what was installed before, and at most a file that nothing names.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use credenza_format::{PublicKey, component_publisher};
use credenza_sandbox::{Digests, Grant, GrantLine, Surroundings, download};

use super::component::{COMPONENT_BYTES_MAX, Component, hexadecimal};
use super::error::{ComponentFault, ConnectorsError};
use super::lock::{Pin, Pins, is_digest};
use super::{Connectors, EMBEDDED, FOLDER};
use crate::configuration::ConfigurationError;

/// A component that could be installed.
#[derive(Debug)]
pub struct Installation {
    /// The component, which will run.
    pub component: Component,
    /// What it asks for.
    pub grant: Grant,
    /// Who signed it.
    pub publisher: Option<PublicKey>,
    /// What is installed under its name.
    pub before: Option<Pin>,
    /// Where it is from, for `update`.
    from: String,
    overrides_embedded: bool,
}

impl Installation {
    /// What it asks for that was not agreed to: everything, where none of its name is installed.
    #[must_use]
    pub fn wider(&self) -> Vec<&GrantLine> {
        self.grant.beyond(self.before.as_ref().map_or(&[], |pin| pin.granted.as_slice()))
    }

    /// The file that was agreed to, where this is another one and no publisher is pinned who would have to sign it.
    #[must_use]
    pub fn unvouched(&self) -> Option<&Pin> {
        self.before.as_ref().filter(|pin| pin.publisher.is_none() && pin.sha256 != self.component.sha256())
    }

    /// Whether a person has to agree: to what is wider, to other bytes that nobody vouches for, or that it takes the place of one of the program's.
    #[must_use]
    pub fn needs_consent(&self) -> bool {
        let overrides = |pin: &Pin| pin.overrides_embedded;
        self.before.is_none()
            || !self.wider().is_empty()
            || self.unvouched().is_some()
            || self.overrides_embedded && !self.before.as_ref().is_some_and(overrides)
    }

    /// Whether it goes before one that is part of the program.
    #[must_use]
    pub const fn overrides_embedded(&self) -> bool {
        self.overrides_embedded
    }

    /// What is kept once the user has agreed.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin {
            name: self.component.manifest.name.clone(),
            version: self.component.manifest.version.clone(),
            sha256: self.component.sha256(),
            publisher: self.publisher,
            from: self.from.clone(),
            granted: self.grant.kept(),
            overrides_embedded: self.overrides_embedded,
        }
    }
}

impl Connectors {
    /// Reads a file that is to be installed.
    ///
    /// # Errors
    /// When it cannot be read or is no component.
    pub fn candidate(&self, path: &Path) -> Result<Component, ConnectorsError> {
        Component::read(path)
    }

    /// Downloads a component that is to be installed: `https://…#sha256=DIGEST`. The digest says which, whoever sends it.
    ///
    /// # Errors
    /// When the address has no digest, when nobody sends it, or when something else is sent.
    pub(crate) async fn download(
        &self,
        url: &str,
        surroundings: &Surroundings<'_>,
    ) -> Result<Component, ConnectorsError> {
        let no_digest = || ConnectorsError::NoDigest { url: url.to_owned() };
        let (address, expected) = url.rsplit_once("#sha256=").ok_or_else(no_digest)?;
        let expected = expected.to_ascii_lowercase();
        if !is_digest(&expected) {
            return Err(no_digest());
        }
        let bytes_max = usize::try_from(COMPONENT_BYTES_MAX).unwrap_or(usize::MAX);
        let bytes = download(address, bytes_max, surroundings).await;
        let bytes = bytes.map_err(|source| ConnectorsError::Download { url: address.to_owned(), source })?;
        let found = hexadecimal(&Digests::of(&bytes).sha256);
        if found != expected {
            let source = ComponentFault::Digest { expected, found };
            return Err(ConnectorsError::File { path: address.into(), source });
        }
        Component::of_bytes(Path::new(address), bytes)
    }

    /// Looks at a component that is to be installed: that it will run, that its signature is of it and of the publisher that is pinned, and that
    /// nothing of its name is part of the program, unless it is to go before that.
    ///
    /// # Errors
    /// [`ConnectorsError`] names what is wrong.
    pub fn examine(
        &self,
        component: Component,
        from: String,
        overrides_embedded: bool,
    ) -> Result<Installation, ConnectorsError> {
        component.will_run()?;
        let grant = component.grant()?;
        let publisher =
            component_publisher(&component.bytes).map_err(|_| component.fault(ComponentFault::Signature))?;
        let name = component.manifest.name.clone();
        let before = Pins::read(self.lock_folder()?)?.get(&name)?;
        let overrides_embedded = overrides_embedded || before.as_ref().is_some_and(|pin| pin.overrides_embedded);
        if !overrides_embedded && EMBEDDED.iter().any(|(embedded, _)| *embedded == name) {
            return Err(ConnectorsError::EmbeddedName { name });
        }
        if let Some(pinned) = before.as_ref().and_then(|pin| pin.publisher)
            && publisher != Some(pinned)
        {
            return Err(ConnectorsError::Publisher { name, pinned, found: publisher });
        }
        Ok(Installation { component, grant, publisher, before, from, overrides_embedded })
    }

    /// Keeps a component that the user has agreed to.
    ///
    /// # Errors
    /// When it cannot be written, or another process has changed what is installed under its name since it was examined.
    pub fn install(&self, installation: &Installation) -> Result<Pin, ConnectorsError> {
        let folder = self.lock_folder()?;
        let pin = installation.pin();
        Pins::edit(folder, |pins| {
            if pins.get(&pin.name)? != installation.before {
                return Err(ConnectorsError::Meanwhile { name: pin.name.clone() });
            }
            let files = folder.join(FOLDER);
            write(&files, &pin.file_name(), &installation.component.bytes)
                .map_err(|source| ConnectorsError::Folder { path: files, doing: "written to", source })?;
            pins.put(&pin);
            Ok(())
        })?;
        let old = installation.before.iter().filter(|old| old.sha256 != pin.sha256);
        old.for_each(|old| self.discard(old));
        Ok(pin)
    }

    /// Takes back what was agreed to, and removes the file.
    ///
    /// # Errors
    /// [`ConnectorsError::Unknown`] where none of that name is installed.
    pub fn remove(&self, name: &str) -> Result<Pin, ConnectorsError> {
        let pin = Pins::edit(self.lock_folder()?, |pins| {
            let pin = pins.get(name)?.ok_or_else(|| ConnectorsError::Unknown { name: name.to_owned() })?;
            pins.remove(name);
            Ok::<_, ConnectorsError>(pin)
        })?;
        self.discard(&pin);
        Ok(pin)
    }

    /// Reads an installed component and holds it against everything that was agreed to.
    ///
    /// # Errors
    /// [`ConnectorsError`] names what is wrong.
    pub fn verify(&self, pin: &Pin) -> Result<Component, ConnectorsError> {
        let component = self.pinned(pin)?;
        component.will_run()?;
        let publisher =
            component_publisher(&component.bytes).map_err(|_| component.fault(ComponentFault::Signature))?;
        match pin.publisher {
            Some(pinned) if publisher != Some(pinned) => {
                Err(ConnectorsError::Publisher { name: pin.name.clone(), pinned, found: publisher })
            }
            _ => Ok(component),
        }
    }

    fn lock_folder(&self) -> Result<&Path, ConfigurationError> {
        self.folder.as_deref().ok_or(ConfigurationError::NoFolder)
    }

    /// A file that nothing names any more costs room and nothing else.
    fn discard(&self, pin: &Pin) {
        let path: Option<PathBuf> = self.folder.as_ref().map(|folder| folder.join(FOLDER).join(pin.file_name()));
        path.into_iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

/// Writes a file whole, in a folder of the user's alone.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    let path = folder.join(name);
    temporary.persist(&path).map_err(|error| error.error)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    fs::File::open(folder)?.sync_all()
}
