//! What a backup did, for a person and as data.
//!
//! Called by `backup`.

use std::fmt::{self, Display};

use credenza_engine::backup::{BackupReport, Dated};
use credenza_engine::shards::Shard;
use credenza_model::Timestamp;
use indicatif::HumanBytes;
use serde::Serialize;

/// Snapshots dated after now that are named; of more, the number is reported.
const AHEAD_TOLD_MAX: usize = 3;

/// What a backup did.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(super) struct Summary {
    #[serde(flatten)]
    pub(super) report: BackupReport,
    /// As `at` takes it.
    #[serde(skip)]
    pub(super) repository: String,
    pub(super) requests: Requests,
}

/// Requests that really went out, retries included.
#[derive(Serialize)]
pub(super) struct Requests {
    pub(super) source: u64,
    pub(super) store: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        match (&report.snapshot, &report.unchanged_since) {
            (Some(id), _) => match report.part {
                Some(Shard { group, number, of }) => write!(f, "part {number} of {of}, {id} of group {group}")?,
                None => write!(f, "snapshot {id}")?,
            },
            (None, Some(before)) => write!(f, "unchanged since snapshot {before}, none made")?,
            (None, None) => f.write_str("dry run, nothing written")?,
        }
        write!(f, ": {} entries, {} read ({})", report.entries, report.read, HumanBytes(report.bytes_read))?;
        write!(f, ", {} unchanged, {} added", report.unchanged, HumanBytes(report.bytes_added))?;
        if self.requests.source + self.requests.store > 0 {
            write!(f, ", {} + {} requests (source + repository)", self.requests.source, self.requests.store)?;
        }
        if report.too_large > 0 {
            write!(f, "; {} files were left out because of their size", report.too_large)?;
        }
        if report.referenced > 0 {
            write!(f, "; {} entries are recorded without their content", report.referenced)?;
        }
        if report.changed > 0 {
            write!(f, "; {} entries changed at each read and may be kept torn", report.changed)?;
        }
        if report.errors > report.changed {
            write!(f, "; {} entries could not be read", report.errors - report.changed)?;
        }
        if !report.damages.is_empty() {
            write!(
                f,
                "\n{} objects of the repository are damaged, which this snapshot does without: see `check`",
                report.damages.len()
            )?;
        }
        report.ahead.iter().rev().take(AHEAD_TOLD_MAX).try_for_each(|dated| self.tell_ahead(dated, f))?;
        match report.ahead.len().saturating_sub(AHEAD_TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, "\n{more} more snapshots are dated after now: credenza at {} ls", self.repository),
        }
    }
}

impl Summary {
    fn tell_ahead(&self, Dated { snapshot: id, time }: &Dated, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp { nanoseconds: 0, ..*time };
        let place = &self.repository;
        match self.report.snapshot == Some(*id) {
            true => write!(
                f,
                "\nsnapshot {id} is dated {time} by the store's clock, after now by that of this machine: set right whichever is wrong"
            ),
            false => write!(
                f,
                "\nsnapshot {id} is dated {time}, after now by the clocks of the store and of this machine: if these are right it was made by a wrong one, and `latest` is refused while it may be the newest; remove it then with `credenza at {place} rm {id}`"
            ),
        }
    }
}
