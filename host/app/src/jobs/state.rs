//! Where the record of the jobs of one file lies on this machine, and what stands for its runs: one folder a file of jobs, and a lock a repository.
//!
//! Owned here: the names. Refused here: what is in the files (`log`, `pause`), and holding locks (`lock`). All of it may be deleted while nothing runs.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::JobsError;
use super::lock::Held;
use super::log::Log;
use super::pause::Paused;

/// Digits of a digest that name a folder or a lock.
const DIGITS: usize = 24;

/// The folder of one file of jobs.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
    folder: PathBuf,
    jobs: PathBuf,
}

impl State {
    /// That of a file of jobs, below the folder for the state of programs; it is made where it is not there.
    ///
    /// # Errors
    /// When there is no folder for it, or it cannot be made.
    pub fn of(jobs: &Path, root: Option<PathBuf>) -> Result<Self, JobsError> {
        let root = root.ok_or(JobsError::NoFolder)?;
        let folder = root.join("jobs").join(digest(&jobs.to_string_lossy()));
        for folder in [&folder, &root.join("repositories")] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|source| JobsError::State { path: folder.clone(), doing: "created", source })?;
        }
        Ok(Self { root, folder, jobs: jobs.to_owned() })
    }

    /// The file of the jobs.
    pub(super) fn jobs(&self) -> &Path {
        &self.jobs
    }

    /// The record of runs.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::in_folder(&self.folder)
    }

    /// Which jobs are paused.
    #[must_use]
    pub fn paused(&self) -> Paused {
        Paused::in_folder(&self.folder)
    }

    /// Holds the place of the one daemon of the file.
    ///
    /// # Errors
    /// [`JobsError::Daemon`] where another has it.
    pub fn be_daemon(&self) -> Result<Held, JobsError> {
        Held::take(&self.folder.join("daemon.lock"), "the daemon").map_err(|error| match error {
            JobsError::Busy { process, .. } => JobsError::Daemon { path: self.jobs.clone(), process },
            other => other,
        })
    }

    /// Whether a daemon runs these jobs, and as which process.
    #[must_use]
    pub fn daemon(&self) -> Option<u32> {
        Held::holder(&self.folder.join("daemon.lock"))
    }

    /// What is known of states and promises, and the notices that wait.
    #[must_use]
    pub fn notices(&self) -> PathBuf {
        self.folder.join("notices.json")
    }

    /// Holds the place of the one look at what is to be told.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where another process looks.
    pub(super) fn be_looking(&self) -> Result<Held, JobsError> {
        Held::take(&self.folder.join("notices.lock"), "a look at what is to be told")
    }

    /// Holds the place of the one run of a job.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where it runs already.
    pub fn be_run(&self, job: &str) -> Result<Held, JobsError> {
        Held::take(&self.run_lock(job), &format!("the job `{job}`"))
    }

    /// Whether a job runs.
    #[must_use]
    pub fn runs(&self, job: &str) -> bool {
        Held::is_taken(&self.run_lock(job))
    }

    /// The process in which a job runs, if it runs and that is known.
    #[must_use]
    pub fn run_process(&self, job: &str) -> Option<u32> {
        Held::holder(&self.run_lock(job))
    }

    /// Holds the place of the one run in a repository, of whatever file of jobs.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where another run is there.
    pub fn be_in_repository(&self, location: &str) -> Result<Held, JobsError> {
        let path = self.root.join("repositories").join(format!("{}.lock", digest(location)));
        Held::take(&path, &format!("a run in the repository {location}"))
    }

    /// Holds the place of the one run that verifies a repository, of whatever file of jobs; it is in no backup's way.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where another run is there.
    pub fn be_verifying(&self, location: &str) -> Result<Held, JobsError> {
        let path = self.root.join("repositories").join(format!("{}.verify.lock", digest(location)));
        Held::take(&path, &format!("a verification of the repository {location}"))
    }

    /// Holds the place of the one run that carries snapshots to a repository, of whatever file of jobs.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where another run is there.
    pub fn be_replicating(&self, location: &str) -> Result<Held, JobsError> {
        let path = self.root.join("repositories").join(format!("{}.replicate.lock", digest(location)));
        Held::take(&path, &format!("a replication to the repository {location}"))
    }

    /// What a policy of replication has seen of its origin.
    pub(super) fn seen(&self, policy: &str) -> PathBuf {
        self.folder.join(format!("{policy}.seen.json"))
    }

    /// Where a run restores to for trial.
    pub(super) fn scratch(&self, job: &str) -> PathBuf {
        self.folder.join(format!("{job}.scratch"))
    }

    fn run_lock(&self, job: &str) -> PathBuf {
        self.folder.join(format!("{job}.run.lock"))
    }
}

fn digest(text: &str) -> String {
    let digest = blake3::hash(text.as_bytes()).to_hex();
    digest.as_str().chars().take(DIGITS).collect()
}
