//! `repair`: what is damaged is mended from what is left, and what is lost is named.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::{Kind, Settings, StoreUse, environment};
use credenza_engine::repair::{self, Mend, RepairOptions, RepairReport, SnapshotLoss};
use credenza_model::{Key, SnapshotId};
use serde::Serialize;

use super::Session;
use super::check::report_findings;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Mend what `check` finds. Without --apply it only says what it would do.
///
/// It writes the config, keys and records of removal again from their second copies, describes packs in the index again, copies what can be read of damaged
/// packs, and writes usage lists again. It reads what is on record as damaged, and puts on record what it finds, also without --apply. It never changes a
/// snapshot: back up again to bring back what the source still has, or see --replace-snapshots.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Look for damage in every byte, not only in the structure and in what is on record as damaged.
    #[arg(long)]
    read_data: bool,

    /// Another repository with copies of its snapshots, such as @paris: chunks that are damaged or missing here are read there, proven, and written here
    /// again.
    #[arg(long, value_name = "REPOSITORY")]
    from: Option<OsString>,

    /// Beside each snapshot that lost something, write one of what is left. The first stays until `rm` removes it.
    #[arg(long)]
    replace_snapshots: bool,

    /// Give up snapshots that nobody can read any more, which are deleted, and those that are gone, which are put on record as removed. Both keep `prune`
    /// and `maintain` from running.
    #[arg(long)]
    drop_snapshots: bool,

    /// Do it.
    #[arg(long)]
    apply: bool,
}

/// One thing that is mended, or would be.
#[derive(Serialize)]
#[serde(tag = "type", rename = "repair")]
struct MendLine<'a> {
    #[serde(flatten)]
    mend: &'a Mend,
    applied: bool,
}

impl Display for MendLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8}  {}", self.mend.action(), self.mend.object())?;
        match self.mend {
            Mend::Replaced { copied, lost, .. } => write!(f, "  ({copied} chunks in need copied, {lost} lost)"),
            Mend::Recorded { .. } => f.write_str("  (what its writer committed before it is gone)"),
            Mend::Beside { replacement: Some(replacement), .. } => write!(f, "  (by snapshot {replacement})"),
            _ => Ok(()),
        }
    }
}

/// One entry that a snapshot has lost.
#[derive(Serialize)]
#[serde(tag = "type", rename = "lost")]
struct LostLine<'a> {
    snapshot: &'a SnapshotId,
    #[serde(flatten)]
    key: &'a Key,
    reason: &'a str,
}

impl Display for LostLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost in snapshot {}: {}: {}", self.snapshot, self.key, printable(self.reason))
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary<'a> {
    applied: bool,
    #[serde(flatten)]
    report: &'a RepairReport,
}

impl Summary<'_> {
    /// A plan that waits to be carried out is damage as much as what cannot be mended.
    fn exit(&self) -> Exit {
        let mended = self.applied || self.report.mends.is_empty();
        if mended && self.report.lost.is_empty() { Exit::Done } else { Exit::DamageFound }
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.report.mends.len(), self.applied) {
            (0, _) => f.write_str("nothing to mend")?,
            (count, true) => write!(f, "{count} repairs done")?,
            (count, false) => write!(f, "{count} repairs would be done; do them with --apply")?,
        }
        match self.report.lost.len() {
            0 => f.write_str(", nothing is lost"),
            count => {
                let (entries, snapshots) = (self.report.entries_lost(), self.report.losses.len());
                write!(f, "; {count} damages cannot be mended: {entries} entries are lost in {snapshots} snapshots")
            }
        }
    }
}

impl Repair {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = match self.apply {
            true => session.open_for_writing().await?,
            false => session.open_for_reading().await?,
        };
        let options = RepairOptions {
            apply: self.apply,
            read_data: self.read_data,
            replace_snapshots: self.replace_snapshots,
            drop_snapshots: self.drop_snapshots,
            host: environment::host_name(),
            user: environment::user_name(),
            signing_key: session.signing_key(&open.place)?,
        };
        let repository = match &self.from {
            Some(word) => {
                let place = session.other_place(Kind::Repository, word, Settings::default())?;
                let replica = session.open_other(place, StoreUse::Read, false).await?;
                session.app.with_replica(open.repository.alone(), &word.to_string_lossy(), &replica)
            }
            None => open.repository.alone(),
        };
        let report = repair::run(&repository, &options, &session.run_context()).await?;
        Ok(print(&report, self.apply, session))
    }
}

fn print(report: &RepairReport, applied: bool, session: &Session<'_>) -> Exit {
    let reporter = session.reporter;
    report.mends.iter().for_each(|mend| reporter.done(&MendLine { mend, applied }));
    report_findings(&report.lost, session);
    session.warn_unrecorded(report.unrecorded.as_deref());
    for SnapshotLoss { snapshot, problems, .. } in &report.losses {
        problems.iter().for_each(|problem| {
            reporter.done(&LostLine { snapshot, key: &problem.key, reason: &problem.reason });
        });
    }
    let summary = Summary { applied, report };
    reporter.done(&summary);
    if summary.exit() == Exit::Done {
        reporter.mended();
    }
    summary.exit()
}
