//! The sections `[verify.NAME]` of the file of the jobs, understood: which repository is read again, within which time, and what is restored for trial.
//!
//! Owned here: what their values mean. Refused here: their keys (`keys`), what a run does (`jobs::verify`). Called by `file`.

use std::time::Duration;

use credenza_engine::check::Budget;
use credenza_engine::drill::DrillOptions;
use jiff::Timestamp;

use super::super::clauses::{self, Missed, Retry, WAYS, require_name};
use super::super::limits::Limits;
use super::super::reader::Part;
use super::super::schedule::{At, Schedule, Times};
use super::super::span::parse_span;
use crate::units::parse_size;

/// What the names of verifications begin with.
pub(in crate::jobs) const PREFIX: &str = "verify.";
/// When a verification is due that says nothing else.
const VERIFY_AT: &str = "04:30";
/// Each byte is read again so often where nothing else is said.
pub(in crate::jobs) const READ_ALL_WITHIN: Duration = Duration::from_hours(90 * 24);
/// A drill takes place so often, and restores so many bytes at most.
pub(in crate::jobs) const DRILL_EVERY: Duration = Duration::from_hours(30 * 24);
pub(in crate::jobs) const DRILL_BYTES: u64 = 1 << 30;

/// A repository that is read again in turn.
#[derive(Debug, Clone)]
pub struct Verify {
    /// Its name: `verify.NAME`.
    pub name: String,
    /// The repository, as it is written.
    pub repository: String,
    /// When it is due.
    pub schedule: Schedule,
    /// What becomes of runs that were due while nothing ran.
    pub missed: Missed,
    /// How a run that failed is tried again.
    pub retry: Retry,
    /// Bytes a second by the time of day.
    pub limits: Limits,
    /// Each byte is read again at least so often.
    pub read_all_within: Duration,
    /// What one run reads at most.
    pub budget: Budget,
    /// What is restored for trial.
    pub drill: Option<DrillRule>,
}

/// When and how much is restored for trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrillRule {
    /// How often.
    pub every: Duration,
    /// How much.
    pub sample: DrillOptions,
}

/// One verification.
pub(in crate::jobs) fn read(
    name: &str,
    part: &Part<'_>,
    defaults: Option<&Part<'_>>,
    now: Timestamp,
) -> Option<Verify> {
    require_name(name, part, "use letters, digits, - and _, 64 at most, such as [verify.main]");
    let repository = if part.has("repository") { part.text("repository")?.to_owned() } else { format!("@{name}") };
    let name = format!("{PREFIX}{name}");
    let is_scheduled = WAYS.iter().any(|way| part.has(way));
    let schedule = match is_scheduled {
        true => clauses::schedule(&name, part, defaults, now)?,
        false => clauses::timed(&name, Times::At(vec![At::parse(VERIFY_AT).ok()?]), part, defaults),
    };
    let budget = part.part("budget");
    let requests = budget.as_ref().and_then(|budget| budget.count("requests", 1..=u32::MAX)).map(u64::from);
    let bytes = budget.as_ref().and_then(|budget| budget.parsed("bytes", parse_size));
    Some(Verify {
        name,
        repository,
        schedule,
        missed: clauses::missed_of(part, defaults),
        retry: clauses::retry_of(part, defaults),
        limits: clauses::limits_of(part, defaults),
        read_all_within: part.parsed("read_all_within", parse_span).unwrap_or(READ_ALL_WITHIN),
        budget: Budget { bytes, requests },
        drill: part.part("drill").map(|part| drill(&part)),
    })
}

fn drill(part: &Part<'_>) -> DrillRule {
    let sample = DrillOptions {
        files: part.count("files", 0..=1000).unwrap_or(5),
        folders: part.count("folders", 0..=100).unwrap_or(1),
        bytes_max: part.parsed("bytes", parse_size).unwrap_or(DRILL_BYTES),
    };
    if sample.files == 0 && sample.folders == 0 {
        part.problem("", "it restores nothing", "write how much: drill = { files = 5, folders = 1 }");
    }
    DrillRule { every: part.parsed("every", parse_span).unwrap_or(DRILL_EVERY), sample }
}
