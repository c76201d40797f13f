//! Which jobs are paused, until somebody resumes them or a time comes. A small file, which the daemon looks at before it starts anything.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use credenza_model::Timestamp;

use super::error::JobsError;

/// The jobs that are paused, by name, each with the time when it goes on by itself.
#[derive(Debug)]
pub struct Paused {
    path: PathBuf,
}

type Until = BTreeMap<String, Option<Timestamp>>;

impl Paused {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("paused.json") }
    }

    /// The jobs that are paused now.
    ///
    /// # Errors
    /// When the file cannot be read: a job that somebody has paused must not run because of that.
    pub fn now(&self, now: Timestamp) -> Result<BTreeSet<String>, JobsError> {
        Ok(self.until(now)?.into_keys().collect())
    }

    /// The same, each with the time when it goes on by itself; without one it waits for somebody.
    ///
    /// # Errors
    /// As for [`now`](Self::now).
    pub fn until(&self, now: Timestamp) -> Result<BTreeMap<String, Option<Timestamp>>, JobsError> {
        let is_paused = |until: &Option<Timestamp>| until.is_none_or(|until| until > now);
        Ok(self.read()?.into_iter().filter(|(_, until)| is_paused(until)).collect())
    }

    /// Pauses a job, for good or until then.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn pause(&self, job: &str, until: Option<Timestamp>) -> Result<(), JobsError> {
        let mut paused = self.read()?;
        paused.insert(job.to_owned(), until);
        self.write(&paused)
    }

    /// Lets a job go on; `false` where it was not paused.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resume(&self, job: &str) -> Result<bool, JobsError> {
        let mut paused = self.read()?;
        let was = paused.remove(job).is_some();
        self.write(&paused)?;
        Ok(was)
    }

    fn read(&self) -> Result<Until, JobsError> {
        match std::fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from).map_err(self.failed("read")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Until::new()),
            Err(error) => Err(self.failed("read")(error)),
        }
    }

    fn write(&self, paused: &Until) -> Result<(), JobsError> {
        let replace = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec(paused)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map(drop).map_err(|error| error.error)
        };
        replace().map_err(self.failed("written"))
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> JobsError {
        let path = self.path.clone();
        move |source| JobsError::State { path, doing, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    #[test]
    fn a_job_is_paused_until_it_is_resumed_or_its_time_comes() {
        let folder = tempfile::tempdir().unwrap();
        let paused = Paused::in_folder(folder.path());
        paused.pause("a", None).unwrap();
        paused.pause("b", Some(time(100))).unwrap();
        assert_eq!(paused.now(time(99)).unwrap().len(), 2);
        assert_eq!(paused.now(time(100)).unwrap(), BTreeSet::from(["a".to_owned()]));
        assert_eq!(paused.until(time(99)).unwrap().get("b"), Some(&Some(time(100))));
        assert!(paused.resume("a").unwrap() && !paused.resume("a").unwrap());
        assert!(paused.now(time(100)).unwrap().is_empty());
        std::fs::write(folder.path().join("paused.json"), "{").unwrap();
        assert!(paused.now(time(100)).is_err(), "what cannot be read pauses nothing for sure");
    }
}
