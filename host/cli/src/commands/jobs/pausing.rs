//! `jobs pause` and `jobs resume`, and the same of policies of replication: one pair of arguments for both.
//!
//! Owned here: the arguments. Refused here: whose name is meant (whoever runs them says that), and what a pause is (`credenza_app::jobs::pause`).

use clap::Args;
use credenza_app::jobs::{JobsError, JobsFile};
use credenza_model::Timestamp;

use super::super::Session;
use super::super::sizes::parse_span;
use super::shown::PauseLine;
use super::{JobsAt, now, state};
use crate::failure::{Exit, Failure};
use crate::report::Zone;

/// The whole name of what is meant by one that was typed.
pub(crate) type Meant = for<'f> fn(&'f JobsFile, &str) -> Result<&'f str, JobsError>;

/// Let a job or a policy rest until it is resumed. What is due meanwhile is left out, and recorded so.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The job, or the policy.
    #[arg(value_name = "NAME")]
    name: String,

    /// Let it go on by itself after so much time: a number and h, d, w, m (30 days) or y.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_span)]
    seconds: Option<u64>,

    #[command(flatten)]
    at: JobsAt,
}

/// Let a job or a policy go on that rests.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The job, or the policy.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    at: JobsAt,
}

impl Pause {
    pub(crate) fn run(self, session: &Session<'_>, meant: Meant) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let (name, now) = (meant(&file, &self.name)?, now());
        let until = self.seconds.map(|seconds| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Timestamp { seconds: now.seconds.saturating_add(seconds), nanoseconds: 0 }
        });
        state(&file.path)?.paused().pause(name, until)?;
        session.reporter.done(&PauseLine::new(name, true, until, &Zone::new(false)));
        Ok(Exit::Done)
    }
}

impl Resume {
    pub(crate) fn run(self, session: &Session<'_>, meant: Meant) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let name = meant(&file, &self.name)?;
        if !state(&file.path)?.paused().resume(name)? {
            session.reporter.note(format!("note: the job `{name}` was not paused"));
        }
        session.reporter.done(&PauseLine::new(name, false, None, &Zone::new(false)));
        Ok(Exit::Done)
    }
}
