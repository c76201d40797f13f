//! `jobs acknowledge`: somebody has looked at suspect snapshots.
//!
//! Owned here: what the words mean, and in which repositories is looked: the one that is named, else those of the jobs. Refused here: flags
//! (`credenza_app::jobs::guard`).

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::jobs::JobsFile;
use credenza_app::jobs::guard::{self, AcknowledgeError, Looked, Suspect};
use credenza_app::jobs::runner::Runner;
use credenza_app::jobs::schedule::timestamp;
use credenza_app::{Error as AppError, OpenRepository, StoreUse, environment};
use credenza_engine::SystemClock;
use credenza_model::{SnapshotId, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::Session;
use super::{JobsAt, state};
use crate::failure::{Exit, Failure};
use crate::report::{Zone, brief, printable};

/// Say that you have looked at suspect snapshots, so that retention of their sources goes on. Without a snapshot, list those that are suspect.
///
/// It looks in the repository that is named, else in those of the jobs. What is acknowledged stays as it is: remove it with `rm` if it is worth nothing.
#[derive(Debug, Args)]
pub(crate) struct Acknowledge {
    /// The first digits of a snapshot's id; or a time such as 2026-11-30T02:30, for all that were made until then.
    #[arg(value_name = "SNAPSHOT|TIME", value_parser = looked)]
    looked: Option<Looked>,

    /// Only in the repository of this job.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    #[command(flatten)]
    at: JobsAt,
}

/// Digits of an id, or a time; without a zone it is that of this machine.
fn looked(text: &str) -> Result<Looked, String> {
    let is_id = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(Looked::At(text.to_ascii_lowercase()));
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Looked::Until(timestamp(instant)));
    }
    let local = text.parse::<DateTime>().ok().filter(|_| text.contains(':'));
    let instant =
        local.and_then(|local| local.to_zoned(TimeZone::system()).ok()).map(|zoned| timestamp(zoned.timestamp()));
    let Some(until) = instant else {
        return Err("it is neither the digits of a snapshot nor a time such as 2026-11-30T02:30".to_owned());
    };
    // Times are shown to the minute: the whole of it is meant.
    let rest = if text.matches(':').count() == 1 { 59 } else { 0 };
    Ok(Looked::Until(Timestamp { seconds: until.seconds.saturating_add(rest), nanoseconds: 999_999_999 }))
}

/// A suspect snapshot, or one that was.
#[derive(Serialize)]
#[serde(tag = "type", rename = "suspect")]
struct SuspectLine {
    id: SnapshotId,
    source: String,
    time: Option<Timestamp>,
    reason: String,
    acknowledged: bool,
    #[serde(skip)]
    shown: String,
}

impl SuspectLine {
    fn new(suspect: Suspect, acknowledged: bool, zone: &Zone) -> Self {
        let Suspect { snapshot, source, time, reason } = suspect;
        let shown = time.map_or_else(|| "?".to_owned(), |time| zone.minutes(time));
        Self { id: snapshot, source, time, reason, acknowledged, shown }
    }
}

impl Display for SuspectLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.acknowledged { "acknowledged" } else { "suspect" };
        let (id, source) = (self.id.to_string(), printable(&self.source));
        write!(f, "{verdict:<12}  {id:.8}  {}  {source}: {}", self.shown, brief(&self.reason))
    }
}

impl Acknowledge {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let zone = Zone::new(false);
        let (mut lines, mut last) = (0_usize, None);
        for open in self.repositories(session).await? {
            let found = match &self.looked {
                None => guard::suspects(&open.repository).await,
                Some(looked) => guard::acknowledge(&open.repository, looked, &environment::user_name()).await,
            };
            let suspects = match found {
                Ok(suspects) => suspects,
                // It may be in another.
                Err(error @ AppError::Acknowledge(_)) => {
                    last = Some(worse(last, error));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for suspect in suspects {
                lines += 1;
                let line = SuspectLine::new(suspect, self.looked.is_some(), &zone);
                match self.looked {
                    Some(_) => session.reporter.done(&line),
                    None => session.reporter.result(&line)?,
                }
            }
        }
        match (last, self.looked) {
            (Some(error), _) if lines == 0 => return Err(error.into()),
            (_, None) if lines == 0 => session.reporter.note("no snapshot is suspect"),
            _ => {}
        }
        Ok(Exit::Done)
    }

    /// The repository that is named, else those of the jobs, each once.
    async fn repositories(&self, session: &Session<'_>) -> Result<Vec<OpenRepository>, Failure> {
        let purpose = if self.looked.is_some() { StoreUse::Write } else { StoreUse::Read };
        if self.job.is_none() && session.repository_if_named()?.is_some() {
            let open = match purpose {
                StoreUse::Read => session.open_for_reading().await?,
                StoreUse::Write | StoreUse::Create => session.open_for_writing().await?,
            };
            return Ok(vec![open]);
        }
        let file: JobsFile = self.at.read(session)?;
        let state = state(&file.path)?;
        let runner = Runner { app: &session.app, state: &state, clock: &SystemClock, stop: &session.stop };
        let jobs = match &self.job {
            Some(name) => vec![file.job(name)?],
            None => file.jobs.values().collect(),
        };
        let (mut seen, mut open) = (BTreeSet::new(), Vec::new());
        for job in jobs {
            if seen.insert(&job.repository) {
                open.push(runner.open(job, purpose).await?);
            }
        }
        Ok(open)
    }
}

/// That a snapshot is there and not suspect says more than that it is not there.
fn worse(last: Option<AppError>, error: AppError) -> AppError {
    match last {
        Some(last @ AppError::Acknowledge(AcknowledgeError::NotSuspect { .. } | AcknowledgeError::Several { .. })) => {
            last
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_snapshot_and_a_time_without_seconds_means_its_whole_minute() {
        assert_eq!(looked("1A2b3c"), Ok(Looked::At("1a2b3c".to_owned())));
        let Ok(Looked::Until(until)) = looked("2026-11-30T02:30:10Z") else { panic!() };
        assert_eq!(until.seconds, 1_796_005_810);
        let (Ok(Looked::Until(minute)), Ok(Looked::Until(start))) =
            (looked("2026-11-30 02:30"), looked("2026-11-30 02:30:00"))
        else {
            panic!()
        };
        assert_eq!(minute.seconds - start.seconds, 59);
        for word in ["", "shop", "2026-11-30", "latest"] {
            assert!(looked(word).is_err(), "{word}");
        }
    }
}
