//! The build of a connector that is no crate: an interpreter at hand, packages that are installed once for each list of digests, and one of them that
//! leaves a component in `target/`.
//!
//! Owned here: what such builds have in common. Refused here: which languages there are (`javascript`, `python`), and which packages: the folder's own
//! list says so.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Where the component is left, below the folder.
pub(crate) const COMPONENT: &str = "target/connector.wasm";

/// A folder that holds no connector in its language, or does not build.
#[derive(Debug, thiserror::Error)]
pub enum PackagedError {
    /// The interpreter is missing, or too old.
    #[error("building {language} needs {needs}: {found}")]
    Interpreter {
        /// The language.
        language: &'static str,
        /// What has to be there.
        needs: &'static str,
        /// What there is instead.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The packages are not there, or have other digests.
    #[error("the packages that {list} names cannot be installed: {program} ended with {status}")]
    Packages {
        /// The list.
        list: &'static str,
        /// What installs them.
        program: &'static str,
        /// How it ended; it has said why.
        status: ExitStatus,
        /// What to do.
        remedy: &'static str,
    },
    /// It does not build; the program has said why.
    #[error("the connector in {} does not build: {program} ended with {status}", folder.display())]
    Build {
        /// The folder.
        folder: PathBuf,
        /// What builds it.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program that cannot be started.
    #[error("{program} cannot be started")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
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

impl PackagedError {
    /// What to do.
    pub(crate) fn remedy(&self) -> String {
        let remedy = match self {
            Self::Interpreter { remedy, .. } | Self::Packages { remedy, .. } => remedy,
            Self::Build { .. } => "correct what is named above",
            Self::Start { .. } => "remove the folder `target` and build again",
            Self::File { .. } => "see whose the folder is and whether there is room",
        };
        remedy.to_owned()
    }
}

/// A language by what its builds need.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) interpreter: &'static str,
    /// The oldest release that will do.
    pub(crate) oldest: (u32, u32),
    /// The same in words, with what has to come along.
    pub(crate) needs: &'static str,
    pub(crate) how_to_get_it: &'static str,
    /// The list of packages with their digests.
    pub(crate) list: &'static str,
    /// A copy of the list that was installed.
    pub(crate) installed: &'static str,
    /// What installs the packages.
    pub(crate) installer: &'static str,
    pub(crate) how_to_change_the_list: &'static str,
    /// What builds the component.
    pub(crate) builder: &'static str,
}

impl Language {
    /// Whether a folder holds a connector in this language.
    pub(crate) fn is_of(&self, folder: &Path) -> bool {
        folder.join(self.list).is_file() && !folder.join("Cargo.toml").exists()
    }

    /// Builds the connector in a folder, with the words of all programs on standard error: commands that install the packages, where those of this
    /// very list are not there, and one that leaves the component at [`COMPONENT`], which is answered.
    ///
    /// # Errors
    /// [`PackagedError`] says what is missing.
    pub(crate) fn build(
        &self,
        folder: &Path,
        install: &mut [Command],
        build: &mut Command,
    ) -> Result<Vec<u8>, PackagedError> {
        self.require_interpreter()?;
        self.install(folder, install)?;
        let output = folder.join(COMPONENT);
        let fault = |source| PackagedError::File { path: output.clone(), source };
        // What an earlier build left must not pass for what this one made.
        match std::fs::remove_file(&output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => std::fs::create_dir_all(folder.join("target")).map_err(fault)?,
        }
        let status = run(build, folder, self.builder)?;
        if !status.success() {
            return Err(PackagedError::Build { folder: folder.to_owned(), program: self.builder, status });
        }
        std::fs::read(&output).map_err(fault)
    }

    fn require_interpreter(&self) -> Result<(), PackagedError> {
        let reported = Command::new(self.interpreter).arg("--version").stderr(Stdio::null()).output();
        let reported = reported.map(|reported| String::from_utf8_lossy(&reported.stdout).trim().to_owned());
        let found = match reported.ok().and_then(|text| version(&text)) {
            Some(version) if version >= self.oldest => return Ok(()),
            Some((major, minor)) => format!("here is {major}.{minor}"),
            None => "there is none here".to_owned(),
        };
        let Self { name: language, needs, how_to_get_it: remedy, .. } = *self;
        Err(PackagedError::Interpreter { language, needs, found, remedy })
    }

    fn install(&self, folder: &Path, commands: &mut [Command]) -> Result<(), PackagedError> {
        let (list, mark) = (folder.join(self.list), folder.join(self.installed));
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| PackagedError::File { path, source }
        };
        let wanted = std::fs::read(&list).map_err(fault(&list))?;
        if std::fs::read(&mark).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        let Self { list, installer: program, how_to_change_the_list: remedy, .. } = *self;
        for command in commands {
            let status = run(command, folder, program)?;
            if !status.success() {
                return Err(PackagedError::Packages { list, program, status, remedy });
            }
        }
        std::fs::write(&mark, wanted).map_err(fault(&mark))
    }
}

/// Whatever a program says goes to standard error, because standard output is the caller's.
fn run(command: &mut Command, folder: &Path, program: &'static str) -> Result<ExitStatus, PackagedError> {
    let started =
        command.current_dir(folder).stdin(Stdio::null()).stdout(io::stderr()).stderr(Stdio::inherit()).status();
    started.map_err(|source| PackagedError::Start { program, source })
}

/// Release and minor release in what a program says of itself, such as `v20.11.1` or `Python 3.11.7`.
fn version(text: &str) -> Option<(u32, u32)> {
    let digits = text.get(text.find(|letter: char| letter.is_ascii_digit())?..)?;
    let mut numbers = digits.split('.').map_while(|number| number.parse::<u32>().ok());
    Some((numbers.next()?, numbers.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{javascript, python};

    #[test]
    fn a_folder_is_of_the_language_whose_packages_it_lists_unless_it_is_a_crate() {
        for (language, file) in [(&javascript::JAVASCRIPT, "package-lock.json"), (&python::PYTHON, "requirements.txt")]
        {
            let folder = tempfile::tempdir().unwrap();
            assert!(!language.is_of(folder.path()));
            std::fs::write(folder.path().join(file), "").unwrap();
            assert!(language.is_of(folder.path()), "{file}");
            std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
            assert!(!language.is_of(folder.path()), "{file}");
        }
    }

    #[test]
    fn releases_are_read_as_programs_tell_them() {
        assert_eq!(version("v20.11.1"), Some((20, 11)));
        assert_eq!(version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(version("Python 3.14.0rc1"), Some((3, 14)));
        assert_eq!(version("v22"), Some((22, 0)));
        assert_eq!(version("command not found"), None);
    }

    #[test]
    fn an_interpreter_that_is_missing_or_old_is_named_with_what_is_needed() {
        let wanting = |interpreter, oldest| Language { interpreter, oldest, ..python::PYTHON };
        let missing = wanting("no-such-interpreter", (1, 0)).require_interpreter().unwrap_err();
        assert!(missing.to_string().contains("needs Python 3.9 or later, with venv: there is none here"), "{missing}");
        let old = wanting("cargo", (1000, 0)).require_interpreter().unwrap_err();
        assert!(old.to_string().contains(": here is 1."), "{old}");
        assert!(old.remedy().contains("python3-venv"));
    }
}
