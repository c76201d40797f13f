//! `check`: whether a repository is whole.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use clap::Args;
use credenza_connect::Strays;
use credenza_engine::check::{self, CheckOptions, Finding, Sample};
use credenza_engine::{Damage, Repository};
use credenza_model::{SnapshotId, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::sizes::parse_sample;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Verify the repository: that everything the snapshots need is there and, with --read-data, every byte of it.
/// What is found damaged is put on record in the repository: each check, repair and maintain names it and ends with 20, on any machine, until
/// it is mended or read whole again.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Read and verify data, too: all of it, or a part: drawn at random (5%, 10GiB), or what no machine has found whole for a time
    /// (older-than:30d). What is on record as damaged is read beside any part. When what was read is on record in the repository, and goes
    /// with it when its files are copied: read a copy once in full.
    #[arg(
        long, value_name = "SAMPLE", num_args = 0..=1, require_equals = true, default_missing_value = "all",
        value_parser = parse_sample
    )]
    read_data: Option<Sample>,
}

/// One finding.
#[derive(Serialize)]
#[serde(tag = "type", rename = "damage")]
pub(super) struct DamageLine<'a> {
    object: &'a str,
    kind: &'static str,
    /// Snapshots that rely on it.
    affects: &'a BTreeSet<SnapshotId>,
    detail: &'a str,
}

impl<'a> DamageLine<'a> {
    pub(super) fn new(finding: &'a Finding) -> Self {
        let Damage { object, kind, detail, .. } = &finding.damage;
        Self { object, kind: kind.name(), affects: &finding.affects, detail }
    }
}

impl Display for DamageLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damage in {} ({}): {}", printable(self.object), self.kind, printable(self.detail))?;
        self.affects.iter().try_for_each(|snapshot| write!(f, "\n  affects snapshot {snapshot}"))
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    snapshots: u64,
    packs: u64,
    /// Bytes of the packs.
    bytes: u64,
    /// Left by interrupted runs, or put by runs at work; harmless.
    unreferenced_packs: u64,
    unreferenced_bytes: u64,
    /// Announcements of runs, alike.
    intents: u64,
    /// From when on `maintain` frees these.
    #[serde(skip_serializing_if = "Option::is_none")]
    freed_from: Option<Timestamp>,
    packs_read: u64,
    /// Left by interrupted runs, or by snapshots that were lost.
    ownerless_usages: u64,
    /// On record as removed, and there.
    removed_snapshots: u64,
    /// The config, keys and records of removal whose second copy is not there.
    lacking_copies: u64,
    /// A rotation was interrupted, or an older config put back.
    config_is_behind: bool,
    /// What is no object of the repository; harmless.
    strays: u64,
    bytes_read: u64,
    /// Damaged packs that are whole by their parity.
    packs_healed: u64,
    /// Packs that nobody has read whole yet, by the record.
    packs_never_read: u64,
    /// When the pack was read whole that waits the longest for its next reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_reading: Option<Timestamp>,
    damages: u64,
    /// Whether later runs know of what was found.
    recorded: bool,
    read_data: bool,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (read, all) = (HumanBytes(self.bytes_read), HumanBytes(self.bytes));
        let depth = match self.read_data {
            false => "structure only".to_owned(),
            true if self.packs_read == self.packs => format!("every byte, {read}"),
            true => format!("every byte of {} packs, {read} of {all}", self.packs_read),
        };
        write!(f, "checked {} snapshots, {} packs ({depth}): ", self.snapshots, self.packs)?;
        match self.damages {
            0 => f.write_str("no damage found")?,
            count => write!(f, "{count} damages found")?,
        }
        if self.packs_healed > 0 {
            let text = "packs are damaged and whole by their parity: nothing in them is lost";
            write!(f, "\n{} {text} (`repair --read-data --apply` writes them anew)", self.packs_healed)?;
        }
        if let Some(oldest) = self.oldest_reading {
            let read = self.packs.saturating_sub(self.packs_never_read);
            write!(f, "\n{read} of {} packs were read whole, the one that waits the longest on {oldest}", self.packs)?;
        }
        if self.unreferenced_packs > 0 || self.intents > 0 {
            let (packs, bytes, intents) = (self.unreferenced_packs, HumanBytes(self.unreferenced_bytes), self.intents);
            write!(
                f,
                "\n{packs} packs ({bytes}) and {intents} announcements are of runs that are at work or were interrupted"
            )?;
            match self.freed_from {
                Some(time) => write!(f, ": `maintain` frees them from {time} on")?,
                None => f.write_str(": the store does not say when it was written, so that `maintain` leaves it")?,
            }
        }
        if self.ownerless_usages > 0 {
            let (count, text) =
                (self.ownerless_usages, "usage lists belong to no snapshot: their runs were interrupted");
            write!(f, "\n{count} {text}, or these snapshots were lost (see `audit --head`)")?;
        }
        if self.removed_snapshots > 0 {
            let text = "snapshots are on record as removed: their removal was interrupted (remove them again)";
            write!(f, "\n{} {text}, or somebody put them back", self.removed_snapshots)?;
        }
        if self.lacking_copies > 0 {
            let text = "of the config, keys and records of removal lack their second copy: their runs were interrupted";
            write!(f, "\n{} {text}, or somebody removed it (`repair --apply` writes it)", self.lacking_copies)?;
        }
        if self.config_is_behind {
            f.write_str("\nthe config is older than the keys: a rotation was interrupted (rotate again), or somebody put it back")?;
        }
        Ok(())
    }
}

impl Check {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_for_reading().await?;
        verify(&open.repository, self.read_data, session).await
    }
}

/// Verifies a repository and prints what is found.
pub(super) async fn verify(
    repository: &Repository,
    read_data: Option<Sample>,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let report = check::run(repository, &CheckOptions { read_data }, &session.run_context()).await?;
    report_findings(&report.findings, session);
    warn_unrecorded(report.unrecorded.as_deref(), session);
    report_strays(&report.strays, session);
    let damages = report.findings.len() as u64;
    session.reporter.done(&Summary {
        snapshots: report.snapshots,
        packs: report.packs,
        bytes: report.bytes,
        unreferenced_packs: report.leftovers.packs,
        unreferenced_bytes: report.leftovers.bytes,
        intents: report.leftovers.intents,
        freed_from: report.leftovers.freed_from,
        packs_read: report.packs_read,
        ownerless_usages: report.ownerless_usages,
        removed_snapshots: report.removed_snapshots,
        lacking_copies: report.lacking_copies,
        config_is_behind: report.config_is_behind,
        strays: report.strays.count(),
        bytes_read: report.bytes_read,
        packs_healed: report.packs_healed,
        packs_never_read: report.packs_never_read,
        oldest_reading: report.oldest_reading,
        damages,
        recorded: report.unrecorded.is_none(),
        read_data: read_data.is_some(),
    });
    Ok(if damages == 0 { Exit::Done } else { Exit::DamageFound })
}

/// Something in the store that is no object of the repository.
#[derive(Serialize)]
#[serde(tag = "type", rename = "stray")]
struct StrayLine<'a> {
    object: &'a str,
}

impl Display for StrayLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stray {}: no object of a repository is called so; nobody needs it", printable(self.object))
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

/// Says that what was found could not be put on record.
pub(super) fn warn_unrecorded(why: Option<&str>, session: &Session<'_>) {
    if let Some(why) = why {
        let what = "what was read could not be put on record in the repository, so that later runs do not know of it";
        session.reporter.warning(format!("{what}: {why}"));
    }
}

/// Prints each finding.
pub(super) fn report_findings(findings: &[Finding], session: &Session<'_>) {
    findings.iter().for_each(|finding| session.reporter.done(&DamageLine::new(finding)));
}
