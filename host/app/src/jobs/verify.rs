//! One run of a verification: the structure of the repository, the packs whose turn it is, and from time to time a drill.
//!
//! What was read when, and what came of the last drill, is on record in the repository: a run goes on where the last one of any machine ended, also where
//! that was broken off. The scratch folder of a drill lies in the folder for the state of programs, and is removed before and after, however it ends.
//!
//! Owned here: the order, the scratch folder, and how a run ended. Refused here: which packs are read (`engine::check`), what is restored
//! (`engine::drill`), when it runs (`scheduler`).

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use credenza_engine::check::{self, Behind, CheckOptions, CheckReport, Sample, Turn};
use credenza_engine::latest::{is_recent, last_drill};
use credenza_engine::{Error as EngineError, RunContext, drill};

use super::error::JobsError;
use super::file::{DrillRule, Verify};
use super::lock::Held;
use super::outcome::{Ending, Step};
use super::recording::{Cause, Heard, Occasion, Recording};
use super::runner::Runner;
use super::schedule::instant;
use super::span::shown;
use crate::configuration::{Kind, Settings};
use crate::cost::Bill;
use crate::error::Error;
use crate::open::{DestinationUse, StoreUse};
use crate::repository::OpenRepository;
use crate::shell::shell_word;

/// A run under way.
struct Run<'a> {
    runner: &'a Runner<'a>,
    verify: &'a Verify,
    recording: Recording<'a>,
}

/// Runs a verification to its end.
///
/// # Errors
/// [`JobsError::Busy`] where it runs already. All else is an ending.
pub async fn run(
    runner: &Runner<'_>,
    verify: &Verify,
    occasion: &Occasion,
    heard: &dyn Heard,
) -> Result<Ending, JobsError> {
    let _held = runner.state.be_run(&verify.name)?;
    let work = async |runner: &Runner<'_>| {
        let recording = Recording::begin(&verify.name, occasion, (runner.state, runner.clock, runner.stop), heard);
        let mut run = Run { runner, verify, recording };
        run.all().await;
        run.recording.end(verify.retry)
    };
    Ok(runner.limited(&verify.limits, verify.schedule.zone(), work).await)
}

impl Run<'_> {
    async fn all(&mut self) {
        let _held = match self.hold().map_err(|failed| *failed) {
            Ok(held) => held,
            Err((ending, cause)) => return self.recording.failed("opening the repository", ending, cause),
        };
        let open = tokio::select! {
            open = self.runner.open_named(&self.verify.repository, StoreUse::Write) => open,
            () = self.runner.stop.requested() => Err(EngineError::Cancelled.into()),
        };
        let open = match open {
            Ok(open) => open,
            Err(error) => return self.stopped("opening the repository", error),
        };
        self.in_repository(&open).await;
        self.recording.did(Step::Spent { bill: open.store.billed(Bill::default()) });
    }

    async fn in_repository(&mut self, open: &OpenRepository) {
        if let Err(error) = self.read(open).await {
            return self.stopped("verifying the repository", error);
        }
        let Some(rule) = self.verify.drill else { return };
        if let Err(error) = drill(self.runner, (&self.verify.name, &rule), open, &mut self.recording).await {
            let ending = if is_cancelled(&error) { Ending::Interrupted } else { Ending::Incomplete };
            self.recording.failed("restoring a sample for trial", ending, Cause::App(error));
        }
    }

    /// Holds the place of the one run that verifies the repository.
    fn hold(&self) -> Result<Held, Box<(Ending, Cause)>> {
        let place = self.runner.app.place(Kind::Repository, OsStr::new(&self.verify.repository), Settings::new());
        let location = place.map_err(|error| Box::new((Ending::Unreachable, Cause::App(error))))?.text();
        self.runner.state.be_verifying(&location).map_err(|error| Box::new((Ending::Busy, Cause::Jobs(error))))
    }

    fn stopped(&mut self, doing: &str, error: Error) {
        let ending = if is_cancelled(&error) { Ending::Interrupted } else { Ending::Unreachable };
        self.recording.failed(doing, ending, Cause::App(error));
    }

    fn context(&self) -> RunContext {
        RunContext { events: self.recording.events(), stop: self.runner.stop.clone() }
    }

    /// Until the run after this one.
    fn interval(&self) -> Duration {
        let next = |after| self.verify.schedule.next_after(after);
        let coming = next(instant(self.runner.clock.now().wall));
        let between = coming.and_then(|coming| Some(next(coming)?.duration_since(coming)));
        between.and_then(|between| Duration::try_from(between).ok()).unwrap_or(self.verify.read_all_within)
    }

    async fn read(&mut self, open: &OpenRepository) -> Result<(), Error> {
        let interval = self.interval();
        let turn = Turn { within: self.verify.read_all_within, interval, budget: self.verify.budget };
        let options = CheckOptions::reading(Sample::Turn(turn));
        let report = check::run(&open.repository, &options, &self.context()).await?;
        let behind = report.behind.unwrap_or_default();
        let CheckReport { packs, packs_read, bytes_read, oldest_reading: oldest, .. } = report;
        let (damages, packs_due) = (report.findings.len() as u64, behind.packs);
        let all_in = interval.as_secs().saturating_mul(behind.runs_for_all);
        self.recording.did(Step::Verified { packs, packs_read, bytes_read, damages, packs_due, oldest, all_in });
        if all_in > self.verify.read_all_within.as_secs() {
            self.recording.worsen(Ending::Incomplete, || too_small(self.verify, all_in, &behind));
        }
        if let Some(why) = report.unrecorded {
            let reason = || format!("what was read could not be put on record in the repository: {why}");
            self.recording.worsen(Ending::Incomplete, reason);
        }
        if damages > 0 {
            let repository = shell_word(&self.verify.repository);
            self.recording.worsen(Ending::Damaged, || {
                format!("{damages} objects are damaged: see credenza at {repository} check, then credenza at {repository} repair")
            });
        }
        Ok(())
    }
}

/// Restores a sample of a repository, where the last time is so long ago.
///
/// # Errors
/// When the repository or the scratch folder cannot be used, or it was to stop.
pub(super) async fn drill(
    runner: &Runner<'_>,
    (name, rule): (&str, &DrillRule),
    open: &OpenRepository,
    recording: &mut Recording<'_>,
) -> Result<(), Error> {
    let now = runner.clock.now().wall;
    if last_drill(&open.repository).await?.is_some_and(|last| is_recent(&last, rule.every, now)) {
        return Ok(());
    }
    let scratch = match Scratch::make(runner.state.scratch(name)) {
        Ok(scratch) => scratch,
        Err(error) => {
            recording.failed("making the scratch folder", Ending::Incomplete, Cause::Jobs(error));
            return Ok(());
        }
    };
    let place = runner.app.place(Kind::Destination, scratch.0.as_os_str(), Settings::new())?;
    let destination = runner.app.destination(&place, DestinationUse::Write).await?;
    let context = RunContext { events: recording.events(), stop: runner.stop.clone() };
    let done = drill::run(&open.repository, &rule.sample, destination.connector.clone(), &context).await?;
    let Some(done) = done else {
        recording.did(Step::Drilled { snapshot: None, entries: 0, bytes: 0, errors: 0 });
        return Ok(());
    };
    let (snapshot, errors) = (done.snapshot, done.errors);
    recording.did(Step::Drilled { snapshot: Some(snapshot), entries: done.entries, bytes: done.bytes, errors });
    if let Some(reason) = done.reason {
        // Where nothing came back otherwise, nothing was there to come back.
        let ending = if errors == 0 { Ending::Incomplete } else { Ending::Damaged };
        recording.worsen(ending, || format!("a restore of a sample of {snapshot} for trial: {reason}"));
    }
    Ok(())
}

pub(super) fn is_cancelled(error: &Error) -> bool {
    matches!(error.engine(), Some(EngineError::Cancelled))
}

/// That the budget does not do, and what would.
fn too_small(verify: &Verify, all_in: u64, behind: &Behind) -> String {
    let days = |seconds: u64| match seconds.div_ceil(86_400) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let mut needed = Vec::new();
    if verify.budget.bytes.is_some_and(|bytes| bytes < behind.bytes_needed) {
        needed.push(format!("bytes = \"{}MiB\"", behind.bytes_needed.div_ceil(1 << 20)));
    }
    if verify.budget.requests.is_some_and(|requests| requests < behind.requests_needed) {
        needed.push(format!("requests = {}", behind.requests_needed));
    }
    let raise = match needed.is_empty() {
        true => String::new(),
        false => format!("raise it to {{ {} }}, or ", needed.join(", ")),
    };
    let (all_in, within) = (days(all_in), shown(verify.read_all_within));
    format!("at this budget all is read every {all_in} instead of {within}: {raise}run it more often")
}

/// A folder that is empty when it is made and gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(path: PathBuf) -> Result<Self, JobsError> {
        let made = remove(&path).and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(&path));
        match made {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(JobsError::State { path, doing: "made anew", source }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next drill tries again, and says where it cannot.
        let _ = remove(&self.0);
    }
}

/// Removes a folder, if it is there, with what may not be written in it. Links are not followed.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            loosen(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn loosen(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            loosen(&entry.path())?;
        }
    }
    Ok(())
}
