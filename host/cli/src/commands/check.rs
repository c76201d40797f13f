//! `check`: whether a repository is whole.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::shell::{label_word, shell_word};
use credenza_app::{ReplicaWith, estimate};
use credenza_connect::Strays;
use credenza_engine::check::{self, CheckOptions, CheckReport, Finding, Sample};
use credenza_engine::{Damage, Repository};
use credenza_model::SnapshotId;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::sharding::{ShardWord, parse_shard, require_share};
use super::sizes::parse_sample;
use super::spending::{self, Spending};
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Verify the repository: that everything the snapshots need is there and, with --read-data, every byte of it.
/// What is found damaged is put on record in the repository: each check, repair and maintain names it and ends with 20, on any machine, until
/// it is mended or read whole again.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Read and verify data, too: all of it, or a part: drawn at random (5%, 10GiB), or what no machine has found whole for a time
    /// (older-than:30d), or what waits the longest for its next reading, up to an amount (oldest:20GiB). What is on record as damaged is read beside any part. When what was read is on record in the repository, and goes
    /// with it when its files are copied: read a copy once in full.
    #[arg(
        long, value_name = "SAMPLE", num_args = 0..=1, require_equals = true, default_missing_value = "all",
        value_parser = parse_sample
    )]
    read_data: Option<Sample>,

    /// Read the packs of one of N processes only, number I from 0, which read all data together; with --read-data. /N takes the number from the
    /// array of jobs that this is one of. Each of them looks at all of the structure.
    #[arg(long, value_name = "I/N", value_parser = parse_shard, requires = "read_data")]
    shard: Option<ShardWord>,

    #[command(flatten)]
    pub(crate) spending: Spending,
}

/// One finding.
#[derive(Serialize)]
#[serde(tag = "type", rename = "damage")]
struct DamageLine<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
}

impl Display for DamageLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { damage: Damage { object, kind, detail, .. }, affects } = self.finding;
        write!(f, "damage in {} ({}): {}", printable(object), kind.name(), printable(detail))?;
        affects.iter().try_for_each(|snapshot| write!(f, "\n  affects snapshot {snapshot}"))
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    #[serde(flatten)]
    report: CheckReport,
    read_data: bool,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let (read, all) = (HumanBytes(report.bytes_read), HumanBytes(report.bytes));
        let depth = match self.read_data {
            false => "structure only".to_owned(),
            true if report.packs_read == report.packs => format!("every byte, {read}"),
            true => format!("every byte of {} packs, {read} of {all}", report.packs_read),
        };
        write!(f, "checked {} snapshots, {} packs ({depth}): ", report.snapshots, report.packs)?;
        match report.findings.len() {
            0 => f.write_str("no damage found")?,
            count => write!(f, "{count} damages found")?,
        }
        if report.packs_healed > 0 {
            let text = "packs are damaged and whole by their parity: nothing in them is lost";
            write!(f, "\n{} {text} (`repair --read-data --apply` writes them again)", report.packs_healed)?;
        }
        if let Some(oldest) = report.oldest_reading {
            let read = report.packs.saturating_sub(report.packs_never_read);
            write!(
                f,
                "\n{read} of {} packs were read whole, the one that waits the longest on {oldest}",
                report.packs
            )?;
        }
        if let Some(behind) = report.behind.filter(|behind| behind.runs_for_all > 1) {
            write!(f, "\nafter {} such checks everything was read", behind.runs_for_all)?;
        }
        if report.leftovers.packs > 0 || report.leftovers.intents > 0 {
            let (packs, bytes, intents) =
                (report.leftovers.packs, HumanBytes(report.leftovers.bytes), report.leftovers.intents);
            write!(
                f,
                "\n{packs} packs ({bytes}) and {intents} announcements are of runs that are at work or were interrupted"
            )?;
            match report.leftovers.freed_from {
                Some(time) => write!(f, ": `maintain` frees them from {time} on")?,
                None => f.write_str(": the store does not say when it was written, so that `maintain` leaves it")?,
            }
        }
        if report.ownerless_usages > 0 {
            let (count, text) =
                (report.ownerless_usages, "usage lists belong to no snapshot: their runs were interrupted");
            write!(f, "\n{count} {text}, or these snapshots were lost (see `audit --head`)")?;
        }
        if report.removed_snapshots > 0 {
            let text = "snapshots are on record as removed: their removal was interrupted (remove them again)";
            write!(f, "\n{} {text}, or somebody put them back", report.removed_snapshots)?;
        }
        if report.lacking_copies > 0 {
            let text = "of the config, keys and records of removal lack their second copy: their runs were interrupted";
            write!(f, "\n{} {text}, or somebody removed it (`repair --apply` writes it)", report.lacking_copies)?;
        }
        if report.config_is_behind {
            f.write_str("\nthe config is older than the keys: a rotation was interrupted (rotate again), or somebody put it back")?;
        }
        Ok(())
    }
}

impl Check {
    /// What of the data is read.
    fn sample(&self) -> Result<Option<Sample>, Failure> {
        match (self.shard, self.read_data) {
            (None, read_data) => Ok(read_data),
            (Some(shard), Some(Sample::All)) => Ok(Some(Sample::Shard(shard.share()?))),
            (Some(_), _) => {
                Err(Failure::usage("--shard takes a share of all data, and --read-data asks for a part of it")
                    .hint("write --read-data without a part"))
            }
        }
    }

    /// Demands that many processes can run it, each with its --shard.
    pub(super) fn require_shareable(&self) -> Result<(), Failure> {
        require_share(self.shard)?;
        self.sample()?;
        self.spending.require_shareable()
    }

    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let read_data = self.sample()?;
        let open = session.open_for_reading().await?;
        if self.spending.estimate {
            let options = CheckOptions { read_data, ..CheckOptions::default() };
            return Ok(spending::tell(estimate::check(&open, options, &session.run_context()).await?, session));
        }
        let (exit, affected) = verified(&open.repository, read_data, session).await?;
        if !affected.is_empty()
            && let Some(with) = session.app.replica_with(&open.place, &affected).await
        {
            let place = label_word(&open.place.label());
            session.reporter.result(&ReplicaLine { with, of: affected.len(), place })?;
        }
        Ok(exit)
    }
}

/// Which replica has what is damaged.
#[derive(Serialize)]
#[serde(tag = "type", rename = "replica")]
struct ReplicaLine {
    #[serde(flatten)]
    with: ReplicaWith,
    /// Snapshots that damage affects.
    of: usize,
    /// The repository, as a command takes it.
    #[serde(skip)]
    place: String,
}

impl Display for ReplicaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { with: ReplicaWith { replica, snapshots }, of, place } = self;
        let (name, word) = (printable(replica), shell_word(replica));
        write!(
            f,
            "{name} has {snapshots} of {of} snapshots that this affects: credenza at {place} repair --from {word} --apply"
        )
    }
}

/// Verifies a repository and prints what is found.
pub(super) async fn verify(
    repository: &Repository,
    read_data: Option<Sample>,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    Ok(verified(repository, read_data, session).await?.0)
}

/// The same, with the snapshots that damage affects.
async fn verified(
    repository: &Repository,
    read_data: Option<Sample>,
    session: &Session<'_>,
) -> Result<(Exit, BTreeSet<SnapshotId>), Failure> {
    let options = CheckOptions { read_data, one_by_one: session.app.budget().is_some() };
    let report = check::run(repository, &options, &session.run_context()).await?;
    report_findings(&report.findings, session);
    session.warn_unrecorded(report.unrecorded.as_deref());
    report_strays(&report.strays, session);
    let exit = if report.findings.is_empty() { Exit::Done } else { Exit::DamageFound };
    let affected = report.findings.iter().flat_map(|finding| finding.affects.iter().copied()).collect();
    session.reporter.done(&Summary { report, read_data: read_data.is_some() });
    Ok((exit, affected))
}

/// Something in the store that is no object of the repository.
#[derive(Serialize)]
#[serde(tag = "type", rename = "stray")]
struct StrayLine<'a> {
    object: &'a str,
}

impl Display for StrayLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stray {}: no object of a repository is called so", printable(self.object))
    }
}

/// Names what lies beside the repository, which is no damage.
pub(super) fn report_strays(strays: &Strays, session: &Session<'_>) {
    strays.names().for_each(|object| session.reporter.done(&StrayLine { object }));
    let unnamed = strays.count().saturating_sub(strays.names().len() as u64);
    if unnamed > 0 {
        session.reporter.note(format!("note: {unnamed} more strays are not named"));
    }
}

/// Prints each finding.
pub(super) fn report_findings(findings: &[Finding], session: &Session<'_>) {
    findings.iter().for_each(|finding| session.reporter.done(&DamageLine { finding }));
}
