//! The backups of a run: of each source and of what commands print, unless a run that was broken off has made one.

use std::ffi::OsStr;
use std::sync::{Arc, PoisonError};

use credenza_connect::{Marker, Source};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use credenza_engine::{Error as EngineError, RunContext, Stop};
use credenza_format::SigningKey;
use credenza_model::SnapshotId;

use super::super::log::Past;
use super::super::outcome::{Ending, Step};
use super::super::sections::job::{Hook, Moment};
use super::{Cause, Run, of_job};
use crate::configuration::{Kind, Settings};
use crate::environment;
use crate::error::Error;
use crate::open::Opened;
use crate::patterns::PatternList;
use crate::repository::OpenRepository;
use crate::stream::{self, Stream};

/// And for those that did not come to their end.
const BROKEN_MAX: usize = 100;

/// What a run that was broken off has made.
#[derive(Debug, Clone)]
struct Found {
    /// The location of the source.
    source: String,
    snapshot: SnapshotId,
    /// Entries that could not be read.
    errors: u64,
}

impl Run<'_> {
    pub(super) async fn back_up_all(&mut self, open: &OpenRepository, signing_key: Option<&SigningKey>) {
        let found = self.found(open).await;
        for word in &self.job.sources {
            let place = self.runner.app.place(Kind::Source, OsStr::new(word), Settings::new());
            if place.as_ref().is_ok_and(|place| self.has_found(&found, &place.text())) {
                continue;
            }
            let prepared = async {
                let place = place?;
                let options = BackupOptions { location: place.text(), ..self.options(&place.location)? };
                Ok::<_, Error>((self.runner.app.source(&place, None).await?, options))
            };
            let done = match prepared.await {
                Ok((source, options)) => self.back_up(source, options, open, signing_key).await,
                Err(error) => Err((Ending::Failed, error)),
            };
            if !self.backed_up(word, done) {
                return;
            }
        }
        for hook in self.job.hooks.iter().filter(|hook| hook.moment == Moment::During) {
            let Some(name) = &hook.stdin_of else { continue };
            if self.has_found(&found, &stream::location(name)) {
                continue;
            }
            let done = self.stream(hook, name, open, signing_key).await;
            if !self.backed_up(&stream::location(name), done) {
                return;
            }
        }
    }

    /// What runs for the same due time have made that did not come to their end: their process was killed, or asked to end. By the repository, since the
    /// log of such a run may lack its last lines.
    async fn found(&self, open: &OpenRepository) -> Vec<Found> {
        let Some(due) = self.recording.due else { return Vec::new() };
        let past = self.recording.log.past(Some(&self.job.name), BROKEN_MAX).unwrap_or_default();
        let is_broken = |past: &&Past| matches!(past.ending, Some(Ending::Lost | Ending::Interrupted));
        let broken = past.iter().filter(is_broken).filter(|past| past.due == Some(due));
        let Some(began) = broken.map(|past| past.began).min() else { return Vec::new() };
        let Ok(snapshots) = open.repository.snapshots().await else { return Vec::new() };
        let snapshots = snapshots.filtered(&of_job(self.job)).whole.into_iter();
        let made = snapshots.filter(|handle| handle.snapshot.started >= began);
        made.map(|handle| Found {
            source: handle.snapshot.source.location.clone(),
            snapshot: handle.snapshot.id,
            errors: handle.snapshot.statistics.errors,
        })
        .collect()
    }

    /// Whether a source was found, which is noted; it is as incomplete as it was left.
    fn has_found(&mut self, found: &[Found], location: &str) -> bool {
        let Some(Found { source, snapshot, errors }) = found.iter().find(|found| found.source == location).cloned()
        else {
            return false;
        };
        self.made.push((source.clone(), snapshot));
        self.note_errors(&source, errors);
        self.did(Step::Found { source, snapshot, errors });
        true
    }

    fn note_errors(&mut self, source: &str, errors: u64) {
        if errors > 0 {
            self.worsen(Ending::Incomplete, || format!("{errors} entries of {source} could not be read"));
        }
    }

    async fn back_up(
        &self,
        source: Opened<dyn Source>,
        options: BackupOptions,
        open: &OpenRepository,
        signing_key: Option<&SigningKey>,
    ) -> Result<BackupReport, (Ending, Error)> {
        self.back_up_until(source, options, (open, signing_key), self.runner.stop.clone()).await
    }

    async fn back_up_until(
        &self,
        source: Opened<dyn Source>,
        options: BackupOptions,
        (open, signing_key): (&OpenRepository, Option<&SigningKey>),
        stop: Stop,
    ) -> Result<BackupReport, (Ending, Error)> {
        let options = BackupOptions {
            tags: self.job.tags.iter().cloned().chain([self.job.tag()]).collect(),
            skip_unchanged: self.job.skip_if_unchanged,
            host: environment::host_name(),
            user: environment::user_name(),
            provenance: source.provenance.clone(),
            component: source.component.clone(),
            signing_key: signing_key.cloned(),
            ..options
        };
        let context = RunContext { events: self.recording.events(), stop };
        let done = backup::run(&open.repository, Arc::clone(&source.connector), &options, &context).await;
        let mut bill = self.bill.lock().unwrap_or_else(PoisonError::into_inner);
        *bill = source.billed(std::mem::take(&mut bill));
        drop(bill);
        done.map_err(|error| {
            let ending = match &error {
                EngineError::Cancelled => Ending::Interrupted,
                error if error.is_of_source() => Ending::Failed,
                _ => Ending::Unreachable,
            };
            (ending, error.into())
        })
    }

    /// Backs up what a command prints; one that takes too long ends without a snapshot.
    async fn stream(
        &self,
        hook: &Hook,
        name: &OsStr,
        open: &OpenRepository,
        signing_key: Option<&SigningKey>,
    ) -> Result<BackupReport, (Ending, Error)> {
        let told = self.facts(hook).variables();
        let source = self.runner.app.stream(name, None, Stream::Group(&hook.program, &hook.arguments, &told));
        let source = source.map_err(|error| (Ending::Failed, error))?;
        let options = BackupOptions { location: stream::location(name), ..BackupOptions::default() };
        let stop = self.runner.stop.child();
        let mut work = std::pin::pin!(self.back_up_until(source, options, (open, signing_key), stop.clone()));
        let Some(timeout) = hook.timeout else { return work.await };
        tokio::select! {
            done = &mut work => done,
            () = self.runner.clock.wait(timeout) => {
                stop.request();
                // A snapshot that was on its way is made.
                work.await.map_err(|(ending, error)| match (ending, self.runner.stop.is_requested()) {
                    (Ending::Interrupted, false) => (Ending::Failed, error),
                    _ => (ending, error),
                })
            }
        }
    }

    fn options(&self, location: &crate::location::Location) -> Result<BackupOptions, Error> {
        let out = &self.job.leaving_out;
        Ok(BackupOptions {
            excludes: PatternList::gather(&out.patterns, &out.files)?.of(location)?,
            markers: out.caches.then(Marker::of_caches).into_iter().collect(),
            size_max: out.larger_than,
            one_file_system: out.other_file_systems,
            ..BackupOptions::default()
        })
    }

    /// Notes what came of a source; whether the next is to be backed up.
    fn backed_up(&mut self, source: &str, done: Result<BackupReport, (Ending, Error)>) -> bool {
        let report = match done {
            Ok(report) => report,
            Err((ending, error)) => {
                self.failed(&format!("backing up {source}"), ending, Cause::App(error));
                return ending == Ending::Failed && !self.runner.stop.is_requested();
            }
        };
        self.made.extend(report.snapshot.map(|snapshot| (report.source.clone(), snapshot)));
        self.note_errors(source, report.errors);
        if !report.damages.is_empty() {
            self.worsen(Ending::Damaged, || format!("{} objects of the repository are damaged", report.damages.len()));
        }
        let BackupReport { snapshot, entries, errors, bytes_read, bytes_added, source, .. } = report;
        self.did(Step::BackedUp { source, snapshot, entries, errors, bytes_read, bytes_added });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use credenza_engine::SystemClock;

    use super::super::super::file::JobsFile;
    use super::super::super::recording::{Occasion, Recording};
    use super::super::super::runner::Runner;
    use super::super::super::state::State;
    use super::super::super::tests::Steps;
    use super::*;
    use crate::app::{App, AppOptions};

    #[test]
    fn a_snapshot_that_is_taken_over_is_as_incomplete_as_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let text = "version = 1\n[job.a]\nbackup = \"/a\"\nto = \"/r\"\nat = \"02:30\"\n";
        let file = JobsFile::parse(Path::new("jobs.toml"), text, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let state = State::of(Path::new("jobs.toml"), Some(folder.path().to_owned())).unwrap();
        let (app, stop, heard) = (App::new(AppOptions::default()), Stop::default(), Steps::default());
        let runner = Runner { app: &app, state: &state, clock: &SystemClock, stop: &stop };
        let mut run = Run {
            runner: &runner,
            job: &file.jobs["a"],
            recording: Recording::begin("a", &Occasion::default(), (&state, &SystemClock, &stop), &heard),
            made: Vec::new(),
            bill: Mutex::default(),
        };
        let snapshot: SnapshotId = "00112233445566778899aabbccddeeff".parse().unwrap();
        let found =
            [("/a", 0), ("/b", 2)].map(|(source, errors)| Found { source: source.to_owned(), snapshot, errors });
        assert!(run.has_found(&found, "/a") && run.recording.ending == Ending::Done);
        assert!(run.has_found(&found, "/b") && run.recording.ending == Ending::Incomplete);
        assert_eq!(run.recording.reason.as_deref(), Some("2 entries of /b could not be read"));
        assert!(!run.has_found(&found, "/c"));
        assert_eq!(heard.0.lock().unwrap()[1], Step::Found { source: "/b".to_owned(), snapshot, errors: 2 });
    }
}
