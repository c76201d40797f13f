//! Which components are at hand, and which one serves a location.
//!
//! Owned here: the order of looking (`--connector`, the setting `connector`, the connectors folder, embedded ones).
//! Refused here: running them (`open`). Nothing is compiled here: manifests are read from the files' own sections.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use credenza_sandbox::{Digests, Manifest};

use crate::configuration::Settings;
use crate::failure::{Exit, Failure};
use crate::report::brief;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The official components have a few hundred kilobytes; those of interpreted languages some tens of megabytes.
const COMPONENT_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The folder of installed components, beside the configuration file.
const FOLDER: &str = "connectors";

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File(PathBuf),
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

/// A component whose manifest has been read.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) origin: Origin,
    pub(crate) manifest: Manifest,
    pub(crate) bytes: Cow<'static, [u8]>,
}

impl Component {
    fn read(path: &Path) -> Result<Self, Failure> {
        let failed =
            |why: String| Failure::new(format!("the connector {} cannot be used", path.display())).because(why);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        file.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        if bytes.len() as u64 > COMPONENT_BYTES_MAX {
            return Err(failed(format!("it has more than {COMPONENT_BYTES_MAX} bytes")));
        }
        let manifest =
            Manifest::of_component(&bytes).map_err(|error| failed(error.to_string()).exit(Exit::ContractBroken))?;
        Ok(Self { origin: Origin::File(path.to_owned()), manifest, bytes: bytes.into() })
    }

    fn embedded(bytes: &'static [u8]) -> Result<Self, Failure> {
        let manifest = Manifest::of_component(bytes)
            .map_err(|error| Failure::new("an embedded connector cannot be used").because(error.to_string()))?;
        Ok(Self { origin: Origin::Embedded, manifest, bytes: bytes.into() })
    }

    /// SHA-256 of the file, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        Digests::of(&self.bytes).sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a person is told of a component that is not the program's own: which code it is.
    pub(crate) fn told(&self) -> Option<String> {
        let Origin::File(path) = &self.origin else { return None };
        let Manifest { name, version, .. } = &self.manifest;
        Some(format!("connector {} {} is {}, sha256 {}", brief(name), brief(version), path.display(), self.sha256()))
    }

    fn serves(&self, scheme: &str) -> bool {
        self.manifest.schemes.iter().any(|served| served == scheme)
    }
}

/// The components that this run can choose from.
#[derive(Debug)]
pub(crate) struct Connectors {
    /// `--connector`.
    given: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl Connectors {
    pub(crate) fn new(given: Option<PathBuf>, configuration_folder: Option<&Path>) -> Self {
        Self { given, folder: configuration_folder.map(|folder| folder.join(FOLDER)) }
    }

    /// The component for a location of that scheme with those settings.
    pub(crate) fn serving(&self, scheme: &str, settings: &Settings) -> Result<Component, Failure> {
        if let Some(path) = &self.given {
            let component = Component::read(path)?;
            if component.serves(scheme) {
                return Ok(component);
            }
        }
        if let Some(choice) = settings.get("connector") {
            return self.named(choice);
        }
        self.chosen(|component| component.serves(scheme))?.ok_or_else(|| self.nothing_serves(scheme))
    }

    /// A component by path, or by the name in its manifest.
    pub(crate) fn named(&self, choice: &str) -> Result<Component, Failure> {
        if choice.contains('/') || choice.ends_with(".wasm") {
            return Component::read(Path::new(choice));
        }
        self.chosen(|component| component.manifest.name == choice)?.ok_or_else(|| {
            Failure::new(format!("there is no connector `{}`", choice.escape_debug()))
                .hint(format!("see what there is: credenza connector list; {}", self.how_to_add()))
        })
    }

    /// The first that fits. A file of the folder does not take the place of an embedded one: whoever can write there could read along.
    fn chosen(&self, fits: impl Fn(&Component) -> bool) -> Result<Option<Component>, Failure> {
        let mut found = self.all()?.into_iter().filter(fits);
        let Some(first) = found.next() else { return Ok(None) };
        let Origin::File(path) = &first.origin else { return Ok(Some(first)) };
        let is_given = self.given.as_ref() == Some(path);
        match found.find(|component| component.origin == Origin::Embedded) {
            Some(embedded) if !is_given => Err(shadows(path, &first, &embedded)),
            _ => Ok(Some(first)),
        }
    }

    /// Everything at hand: the one given, then the folder's in the order of their names, then embedded ones.
    pub(crate) fn all(&self) -> Result<Vec<Component>, Failure> {
        let given = self.given.iter().cloned();
        let files = given.chain(self.installed()?);
        let mut all = files.map(|path| Component::read(&path)).collect::<Result<Vec<_>, _>>()?;
        for (_, bytes) in EMBEDDED {
            all.push(Component::embedded(bytes)?);
        }
        Ok(all)
    }

    fn installed(&self) -> Result<Vec<PathBuf>, Failure> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let listing = match std::fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let what = format!("the connectors folder {} cannot be read", folder.display());
                return Err(Failure::new(what).because(error.to_string()));
            }
        };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|item| item.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        paths.sort();
        Ok(paths)
    }

    fn nothing_serves(&self, scheme: &str) -> Failure {
        Failure::new(format!("no connector serves `{scheme}://`")).hint(self.how_to_add())
    }

    fn how_to_add(&self) -> String {
        let folder = self.folder.as_ref().map(|folder| format!("put one into {}, or ", folder.display()));
        let built_bare =
            EMBEDDED.is_empty().then_some("; this credenza was built without any, see `cargo xtask guests`");
        format!("{}name one with --connector PATH{}", folder.unwrap_or_default(), built_bare.unwrap_or_default())
    }
}

fn shadows(path: &Path, file: &Component, embedded: &Component) -> Failure {
    let (path, sha256, name) = (path.display(), file.sha256(), brief(&embedded.manifest.name));
    Failure::new(format!("the connector {path} (sha256 {sha256}) would take the place of the embedded `{name}`"))
        .exit(Exit::Usage)
        .hint(format!(
            "to use it, name it with --connector {path} or the setting connector={path}; else remove the file"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_that_nothing_serves_is_refused_with_the_place_to_put_a_connector() {
        let folder = tempfile::tempdir().unwrap();
        let connectors = Connectors::new(None, Some(folder.path()));
        let failure = connectors.serving("gopher", &Settings::new()).unwrap_err();
        assert!(failure.hint.unwrap().contains(&folder.path().join("connectors").display().to_string()));
    }

    #[test]
    fn a_file_of_the_folder_does_not_take_the_place_of_an_embedded_connector() {
        let Some((_, bytes)) = EMBEDDED.first() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connectors/00.wasm");
        std::fs::create_dir(folder.path().join("connectors")).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let connectors = Connectors::new(None, Some(folder.path()));
        for failure in [connectors.serving("s3", &Settings::new()), connectors.named("s3")].map(Result::unwrap_err) {
            assert_eq!(failure.exit, Exit::Usage);
            assert!(
                failure.what.contains(&path.display().to_string()) && failure.hint.unwrap().contains("--connector")
            );
        }
        let told = Settings::from([("connector".to_owned(), path.display().to_string())]);
        let component = connectors.serving("s3", &told).unwrap();
        assert!(component.told().unwrap().contains(&component.sha256()));
        let given = Connectors::new(Some(path.clone()), Some(folder.path()));
        assert_eq!(given.serving("s3", &Settings::new()).unwrap().origin, Origin::File(path));
        std::fs::remove_dir_all(folder.path().join("connectors")).unwrap();
        assert_eq!(connectors.serving("s3", &Settings::new()).unwrap().told(), None);
    }

    #[test]
    fn a_file_that_is_no_component_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        std::fs::write(&path, "no component").unwrap();
        let connectors = Connectors::new(Some(path.clone()), None);
        let failure = connectors.serving("s3", &Settings::new()).unwrap_err();
        assert!(failure.what.contains(&path.display().to_string()), "{failure:?}");
    }
}
