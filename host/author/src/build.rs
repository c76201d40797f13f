//! From the sources of a connector to a component: what a crate must have, the compiler's run, and the encoding. What is no crate, and lists packages of
//! npm or PyPI, is built by `javascript` or `python`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::component::{EncodeError, encode, with_manifest};
use crate::javascript::{self, JAVASCRIPT};
use crate::packaged::{COMPONENT, PackagedError};
use crate::python::{self, PYTHON};
use crate::toolchain::{NoToolchain, Toolchain, cargo};

/// A connector that cannot be built, and why.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no compiler.
    #[error(transparent)]
    Toolchain(#[from] NoToolchain),
    /// A file that every connector has.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Cargo cannot be started.
    #[error("cargo cannot be started")]
    Cargo(#[source] io::Error),
    /// Cargo does not accept the crate.
    #[error("cargo cannot read the crate in {}", folder.display())]
    Crate {
        /// The crate's folder.
        folder: PathBuf,
        /// What cargo says.
        #[source]
        said: Said,
    },
    /// Nothing in the crate becomes a module.
    #[error("{}{}: the crate does not become WebAssembly: its library is no `cdylib`", manifest.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    NoCdylib {
        /// Its `Cargo.toml`.
        manifest: PathBuf,
        /// Where `[lib]` stands.
        line: Option<usize>,
    },
    /// It does not compile; cargo has said why.
    #[error("the connector in {} does not compile", folder.display())]
    Compile {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// A connector in JavaScript or Python.
    #[error(transparent)]
    Packaged(#[from] PackagedError),
    /// What was compiled is no connector.
    #[error("{} cannot become a component", module.display())]
    Encode {
        /// What was compiled.
        module: PathBuf,
        /// Why.
        source: EncodeError,
    },
}

/// What another program says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Said(String);

impl BuildError {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Toolchain(missing) => missing.remedy(),
            Self::Packaged(error) => error.remedy(),
            Self::File { .. } => "a connector is a crate with a `connector.toml`; start one with `credenza connector new NAME`".to_owned(),
            Self::Cargo(_) => "install Rust: https://rustup.rs, or on Debian `apt-get install cargo`".to_owned(),
            Self::Crate { .. } => "correct what cargo names".to_owned(),
            Self::NoCdylib { .. } => "write `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]`".to_owned(),
            Self::Compile { .. } => "correct what the compiler names above".to_owned(),
            Self::Encode { source: EncodeError::NoRole, .. } => {
                "export the roles once, in src/lib.rs: `credenza_sdk::export!(MyConnector: source);`".to_owned()
            }
            Self::Encode { source: EncodeError::ManifestTooLong { .. }, .. } => "shorten connector.toml".to_owned(),
            Self::Encode { .. } => {
                "it must import nothing but what credenza-sdk offers: no WASI, no JavaScript; look for a dependency that wants one".to_owned()
            }
        }
    }
}

/// Builds the connector in a folder, with the words of cargo, npm or pip on standard error, and answers the component with its manifest. Whether that
/// manifest is one, and the roles it claims are there, the sandbox tells.
///
/// # Errors
/// [`BuildError`] says what is missing and what to do.
pub fn build(folder: &Path) -> Result<Vec<u8>, BuildError> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|source| BuildError::File { path, source })
    };
    let manifest = read("connector.toml")?;
    if JAVASCRIPT.is_of(folder) {
        return Ok(javascript::build(folder)?);
    }
    if PYTHON.is_of(folder) {
        let component = python::build(folder, &manifest)?;
        let module = folder.join(COMPONENT);
        return with_manifest(component, &manifest).map_err(|source| BuildError::Encode { module, source });
    }
    let crate_text = read("Cargo.toml")?;
    let toolchain = Toolchain::find()?;
    demand_cdylib(folder, &crate_text)?;
    let module = compile(folder, toolchain)?;
    let bytes = std::fs::read(&module).map_err(|source| BuildError::File { path: module.clone(), source })?;
    encode(&bytes, &manifest).map_err(|source| BuildError::Encode { module, source })
}

/// Without it a build succeeds, and makes nothing that could be loaded.
fn demand_cdylib(folder: &Path, crate_text: &str) -> Result<(), BuildError> {
    let manifest = folder.join("Cargo.toml");
    let asked = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .output()
        .map_err(BuildError::Cargo)?;
    if !asked.status.success() {
        let said = Said(String::from_utf8_lossy(&asked.stderr).trim().to_owned());
        return Err(BuildError::Crate { folder: folder.to_owned(), said });
    }
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap_or_default();
    let absolute = manifest.canonicalize().unwrap_or_else(|_| manifest.clone());
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let own = packages.filter(|package| {
        let path = package.get("manifest_path").and_then(Value::as_str).unwrap_or_default();
        Path::new(path).canonicalize().is_ok_and(|path| path == absolute)
    });
    let mut targets = own.filter_map(|package| package.get("targets")?.as_array()).flatten();
    let is_cdylib = |target: &Value| {
        let kinds = target.get("crate_types").and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
    };
    if targets.any(is_cdylib) {
        return Ok(());
    }
    let line = crate_text.lines().position(|line| line.trim() == "[lib]").map(|place| place.saturating_add(1));
    Err(BuildError::NoCdylib { manifest, line })
}

/// Runs the compiler; answers the module that it made.
fn compile(folder: &Path, toolchain: Toolchain) -> Result<PathBuf, BuildError> {
    let built = toolchain
        .cargo_build()
        .args(["--lib", "--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(BuildError::Cargo)?;
    let failed = || BuildError::Compile { folder: folder.to_owned() };
    if !built.status.success() {
        return Err(failed());
    }
    // A line for each artifact; the crate's own comes last.
    let lines = built.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let files = messages.filter_map(|message| message.get("filenames")?.as_array().cloned()).flatten();
    let mut modules = files.filter_map(|file| file.as_str().map(PathBuf::from));
    modules.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm")).ok_or_else(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_with(lib: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[workspace]\n[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{lib}");
        std::fs::write(folder.path().join("Cargo.toml"), text).unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
        folder
    }

    fn demand(folder: &Path) -> Result<(), BuildError> {
        demand_cdylib(folder, &std::fs::read_to_string(folder.join("Cargo.toml")).unwrap())
    }

    #[test]
    fn a_folder_without_a_connector_says_how_to_start_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = build(folder.path()).unwrap_err();
        assert!(matches!(&error, BuildError::File { path, .. } if path.ends_with("connector.toml")), "{error}");
        assert!(error.remedy().contains("credenza connector new"), "{}", error.remedy());
    }

    #[test]
    fn a_crate_that_becomes_no_module_is_told_with_its_line() {
        demand(crate_with("[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n").path()).unwrap();
        let plain = demand(crate_with("[lib]\nname = \"y\"\n").path()).unwrap_err();
        assert!(plain.to_string().contains("Cargo.toml, line 6: "), "{plain}");
        let bare = demand(crate_with("").path()).unwrap_err();
        assert!(matches!(bare, BuildError::NoCdylib { line: None, .. }), "{bare}");
        assert!(bare.remedy().contains("cdylib"));
    }

    #[test]
    fn a_crate_that_cargo_refuses_is_told_in_its_words() {
        let error = demand(crate_with("[lib\n").path()).unwrap_err();
        assert!(matches!(&error, BuildError::Crate { said, .. } if !said.0.is_empty()), "{error}");
    }
}
