//! Figures of the runs in the text form of Prometheus, for the node exporter.
//!
//! Owned here: the figures and their file, which is replaced as a whole. All come from the log, so that they are the same after a restart. No label holds
//! what changes from run to run. Called at every end of a run, by `daemon` and by whoever runs one job.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use credenza_model::Timestamp;

use super::error::JobsError;
use super::file::{JobsFile, Work};
use super::log::{Log, Past};
use super::outcome::{Ending, Step};

/// Runs that are looked back at for each job.
const PAST_MAX: usize = 1000;

/// A figure: its name, what it is, and its value for a job that has run.
struct Figure {
    name: &'static str,
    help: &'static str,
    of: fn(&[Past]) -> Option<u64>,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "credenza_job_last_success_timestamp_seconds",
        help: "When the last run ended that made a backup.",
        of: |past| {
            past.iter().find(|past| past.ending.is_some_and(Ending::has_backup)).and_then(|past| seconds(past.ended?))
        },
    },
    Figure {
        name: "credenza_job_last_attempt_timestamp_seconds",
        help: "When the last run began, however it ended.",
        of: |past| past.iter().find(|past| past.ending.is_some()).and_then(|past| seconds(past.began)),
    },
    Figure {
        name: "credenza_job_last_ok",
        help: "Whether the last run did all that it should: 1 or 0.",
        of: |past| last(past).map(|past| u64::from(past.ending == Some(Ending::Done))),
    },
    Figure {
        name: "credenza_job_last_duration_seconds",
        help: "How long the last run took.",
        of: |past| {
            last(past).and_then(|past| u64::try_from(past.ended?.seconds.saturating_sub(past.began.seconds)).ok())
        },
    },
    Figure {
        name: "credenza_job_last_added_bytes",
        help: "Bytes that the last run added to the repository.",
        of: |past| last(past).map(|past| past.steps.iter().map(added).sum()),
    },
    Figure {
        name: "credenza_job_last_entry_errors",
        help: "Entries that the last run could not read.",
        of: |past| last(past).map(|past| past.steps.iter().map(errors).sum()),
    },
];

/// Writes the figures where the file of the jobs says, if it does.
///
/// # Errors
/// When the log cannot be read or the file not be written.
pub fn publish(jobs: &JobsFile, log: &Log) -> Result<(), JobsError> {
    let Some(path) = &jobs.textfile else { return Ok(()) };
    let text = text(jobs, log)?;
    replace(path, &text).map_err(|source| JobsError::State { path: path.clone(), doing: "written", source })
}

/// The figures of each job that has run.
///
/// # Errors
/// When the log cannot be read.
pub fn text(jobs: &JobsFile, log: &Log) -> Result<String, JobsError> {
    let mut runs = Vec::new();
    for name in jobs.works().map(Work::name) {
        runs.push((name, log.past(Some(name), PAST_MAX)?));
    }
    let mut text = String::new();
    for Figure { name, help, of } in FIGURES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (job, past) in &runs {
            if let Some(value) = of(past) {
                // The name of a job has nothing that would have to be escaped.
                let _ = writeln!(text, "{name}{{job=\"{job}\"}} {value}");
            }
        }
    }
    Ok(text)
}

/// The last run that ended.
fn last(past: &[Past]) -> Option<&Past> {
    past.iter().find(|past| past.ending.is_some())
}

fn seconds(time: Timestamp) -> Option<u64> {
    u64::try_from(time.seconds).ok()
}

const fn added(step: &Step) -> u64 {
    if let Step::BackedUp { bytes_added, .. } = step { *bytes_added } else { 0 }
}

const fn errors(step: &Step) -> u64 {
    if let Step::BackedUp { errors, .. } | Step::Found { errors, .. } = step { *errors } else { 0 }
}

/// The exporter may look at any time, as another user.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
