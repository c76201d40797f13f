//! The jobs of this machine, as their file and their record have them now.
//!
//! Owned here: which file is meant, and the command that says the same. Refused here: what jobs are and do (`credenza_app::jobs`), who runs them by
//! themselves (`watch`), and how they are shown (`pages`).
//!
//! Bound: the file and its log are read for each page, 1 MiB and 32 MiB at most, on threads that may wait.

pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use credenza_app::App;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::look::book::Book as Looked;
use credenza_app::jobs::schedule::instant;
use credenza_app::jobs::state::State;
use credenza_app::jobs::{JobsError, JobsFile};
use credenza_model::Timestamp;

use crate::command;

/// Where the jobs are.
#[derive(Clone)]
pub(crate) struct Jobs {
    app: App,
    /// The file that the program was started with.
    given: Option<PathBuf>,
}

/// The file as it is now, and where its record is.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(crate) file: JobsFile,
    pub(crate) state: State,
}

impl Jobs {
    pub(crate) const fn new(app: App, given: Option<PathBuf>) -> Self {
        Self { app, given }
    }

    /// Reads the file.
    pub(crate) async fn read(&self, now: Timestamp) -> Result<Book, JobsError> {
        let jobs = self.clone();
        at_leisure(move || jobs.read_now(now)).await
    }

    /// The same, for whoever may wait.
    pub(crate) fn read_now(&self, now: Timestamp) -> Result<Book, JobsError> {
        let path = JobsFile::path(self.given.as_deref(), self.app.configuration_folder().ok())?;
        let file = JobsFile::read(&path, instant(now))?;
        let state = State::of(&path, self.app.state_folder().map(ToOwned::to_owned))?;
        Ok(Book { file, state })
    }

    /// A command about jobs, with the file where it is not the usual one.
    pub(crate) fn command(&self, words: &str) -> String {
        match &self.given {
            Some(path) => format!("credenza {words} --jobs {}", command::word(&path.to_string_lossy())),
            None => format!("credenza {words}"),
        }
    }
}

impl Book {
    /// The names of all that runs by itself: jobs, and verifications of repositories.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.file.works().map(|work| work.name().to_owned()).collect()
    }

    /// The newest run of each job that the log knows.
    pub(crate) async fn newest(&self) -> Result<BTreeMap<String, Past>, JobsError> {
        let (log, jobs) = (self.state.log(), self.names());
        at_leisure(move || log.newest(&jobs)).await
    }

    /// What the daemon found when it looked last; nothing of it where it never did.
    pub(crate) async fn looked(&self) -> Result<Looked, JobsError> {
        let notices = self.state.notices();
        at_leisure(move || Ok(Looked::read(&notices))).await
    }

    /// Runs, the newest first, of one job or of all.
    pub(crate) async fn past(&self, job: Option<&str>, most: usize) -> Result<Vec<Past>, JobsError> {
        let (log, job) = (self.state.log(), job.map(str::to_owned));
        at_leisure(move || log.past(job.as_deref(), most)).await
    }
}

/// Does what waits for the disk where no request waits for it.
async fn at_leisure<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobsError> + Send + 'static,
) -> Result<T, JobsError> {
    // A fault of the program is the only other end.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(JobsError::NoFolder))
}
