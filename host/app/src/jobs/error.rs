//! What can be wrong with the jobs of a machine: their file, their names, and what is kept of their runs.

use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;

/// One fault in the file of the jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// The key, with those above it: `job.shop.at`.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, `{}`: {}; {}", self.line, self.key, self.what, self.remedy)
    }
}

/// Jobs that cannot be read, are not meant so, or run already.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// There is no file of jobs.
    #[error("there is no file of jobs at {}", path.display())]
    NoFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// Nothing says where the file is.
    #[error("nothing says where the file of the jobs is: there is no folder for the configuration")]
    NoFolder,
    /// The file cannot be read.
    #[error("the file of the jobs {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any list of jobs.
    #[error("{} has more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// The file names a command to run, and others than its owner can change it.
    #[error("the file of the jobs names a command to run, `{key}`, and others can change {}", open.display())]
    ForeignCommand {
        /// Which key.
        key: String,
        /// The file or folder that others can change.
        open: PathBuf,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// The file says what cannot be meant.
    #[error("{}: {}", path.display(), listed(problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; at least one.
        problems: Vec<Problem>,
    },
    /// No job has that name.
    #[error("there is no job `{}` in {}", name.escape_debug(), path.display())]
    UnknownJob {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// The name that may have been meant.
        near: Option<String>,
    },
    /// What is kept of runs cannot be read or written.
    #[error("{} cannot be {doing}", path.display())]
    State {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another daemon runs the jobs of the same file.
    #[error("another daemon runs the jobs of {}{}", path.display(), by(*process))]
    Daemon {
        /// The file of the jobs.
        path: PathBuf,
        /// Its process, if it said so.
        process: Option<u32>,
    },
    /// Another run works on the same repository, or does the same job.
    #[error("{what} is at work already{}", by(*process))]
    Busy {
        /// The job or the repository.
        what: String,
        /// Its process, if it said so.
        process: Option<u32>,
    },
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}
