//! Which jobs are paused, until somebody resumes them or a time comes. A small file, which the daemon looks at before it starts anything.
//!
//! It is changed as a whole under a lock, so that of two who pause at one moment neither is forgotten, and read without.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use credenza_model::Timestamp;

use super::error::JobsError;
use super::lock::Held;

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
        self.change(|paused| paused.insert(job.to_owned(), until)).map(drop)
    }

    /// Lets a job go on; `false` where it was not paused.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resume(&self, job: &str) -> Result<bool, JobsError> {
        Ok(self.change(|paused| paused.remove(job))?.is_some())
    }

    /// Changes what was there for what is there now; what the change answers.
    fn change<T>(&self, change: impl FnOnce(&mut Until) -> T) -> Result<T, JobsError> {
        let _held = Held::wait(&self.path.with_extension("lock"))?;
        let mut paused = self.read()?;
        let answer = change(&mut paused);
        self.write(&paused)?;
        Ok(answer)
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

    #[test]
    fn of_many_who_pause_and_resume_at_one_moment_none_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let all: BTreeSet<String> = (0..8 * 20).map(|number| format!("job {number:03}")).collect();
        let some: Vec<&String> = all.iter().collect();
        std::thread::scope(|scope| {
            for own in some.chunks(20) {
                let paused = Paused::in_folder(folder.path());
                scope.spawn(move || {
                    for job in own {
                        paused.pause(job, None).unwrap();
                        assert!(paused.resume(job).unwrap());
                        paused.pause(job, None).unwrap();
                    }
                });
            }
        });
        assert_eq!(Paused::in_folder(folder.path()).now(time(1)).unwrap(), all);
    }
}
