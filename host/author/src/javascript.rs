//! A connector in JavaScript: what its folder must have, the packages that its build needs, and the build itself, which is the folder's own
//! (`npm run build`) and leaves a component with its manifest.
//!
//! Refused here: which packages these are, and their digests (`package-lock.json`).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The oldest release of Node.js that builds a connector.
pub const NODE_MIN: u32 = 20;

/// What tells that packages were installed, and from which list.
const INSTALLED: &str = "node_modules/.package-lock.credenza.json";
/// Where the component is left, below the folder.
const COMPONENT: &str = "target/connector.wasm";

/// A folder that is no connector in JavaScript, or does not build.
#[derive(Debug, thiserror::Error)]
pub enum JavascriptError {
    /// Node.js is missing, or too old.
    #[error("building JavaScript needs Node.js {NODE_MIN} or later, with npm: {found}")]
    Node {
        /// What there is instead.
        found: String,
    },
    /// The packages are not there, or have other digests.
    #[error("the packages that package-lock.json names cannot be installed: npm ended with {status}")]
    Packages {
        /// How npm ended; it has said why.
        status: ExitStatus,
    },
    /// It does not build; npm has said why.
    #[error("the connector in {} does not build: npm ended with {status}", folder.display())]
    Build {
        /// The folder.
        folder: PathBuf,
        /// How npm ended.
        status: ExitStatus,
    },
    /// A file that cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl JavascriptError {
    /// What to do.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Node { .. } => format!("install Node.js {NODE_MIN} or later: https://nodejs.org"),
            Self::Packages { .. } => {
                "see what npm says above; after a change of package.json: npm install, and keep package-lock.json"
                    .to_owned()
            }
            Self::Build { .. } => "correct what is named above".to_owned(),
            Self::File { .. } => "see whose the folder is and whether there is room".to_owned(),
        }
    }
}

/// Whether a folder holds a connector in JavaScript.
pub(crate) fn is_javascript(folder: &Path) -> bool {
    folder.join("package.json").is_file() && !folder.join("Cargo.toml").exists()
}

/// Builds the connector in a folder, with npm's words on standard error; answers the component.
///
/// # Errors
/// [`JavascriptError`] says what is missing.
pub(crate) fn build(folder: &Path) -> Result<Vec<u8>, JavascriptError> {
    require_node()?;
    install(folder)?;
    let output = folder.join(COMPONENT);
    let fault = |source| JavascriptError::File { path: output.clone(), source };
    // What an earlier build left must not pass for what this one made.
    match std::fs::remove_file(&output) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => std::fs::create_dir_all(folder.join("target")).map_err(fault)?,
    }
    let status = npm(folder, ["run", "--silent", "build", "--", COMPONENT])?;
    if !status.success() {
        return Err(JavascriptError::Build { folder: folder.to_owned(), status });
    }
    std::fs::read(&output).map_err(fault)
}

/// Installs the packages, unless those of this very list are there.
fn install(folder: &Path) -> Result<(), JavascriptError> {
    let (list, mark) = (folder.join("package-lock.json"), folder.join(INSTALLED));
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| JavascriptError::File { path, source }
    };
    let wanted = std::fs::read(&list).map_err(fault(&list))?;
    if std::fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let status = npm(folder, ["ci", "--no-fund", "--no-audit", "--silent"])?;
    if !status.success() {
        return Err(JavascriptError::Packages { status });
    }
    std::fs::write(&mark, wanted).map_err(fault(&mark))
}

fn require_node() -> Result<(), JavascriptError> {
    let reported = Command::new("node").arg("--version").stderr(Stdio::null()).output();
    let version =
        reported.ok().map(|reported| String::from_utf8_lossy(&reported.stdout).trim().to_owned()).unwrap_or_default();
    let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MIN => Ok(()),
        Some(_) => Err(JavascriptError::Node { found: format!("here is {version}") }),
        None => Err(JavascriptError::Node { found: "there is none here".to_owned() }),
    }
}

/// Runs npm; whatever it says goes to standard error, because standard output is the caller's.
fn npm<const N: usize>(folder: &Path, arguments: [&str; N]) -> Result<ExitStatus, JavascriptError> {
    let ran = Command::new("npm")
        .args(arguments.map(OsStr::new))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .stderr(Stdio::inherit())
        .status();
    ran.map_err(|_| JavascriptError::Node { found: "there is no npm here".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_packages_and_no_crate_is_javascript() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_javascript(folder.path()));
        std::fs::write(folder.path().join("package.json"), "{}").unwrap();
        assert!(is_javascript(folder.path()));
        std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        assert!(!is_javascript(folder.path()));
    }
}
