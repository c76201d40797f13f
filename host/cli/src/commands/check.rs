//! `check`: whether a repository is whole.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use clap::Args;
use credenza_connect::Strays;
use credenza_engine::check::{self, CheckOptions, Finding, Sample};
use credenza_engine::{Damage, Repository};
use credenza_model::SnapshotId;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::sizes::parse_sample;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Verify the repository: that everything the snapshots need is there and, with --read-data, every byte of it.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Read and verify data, too: all of it, or a part: drawn at random (5%, 10GiB), or what this machine has not found whole for
    /// a time (older-than:30d). What was read is remembered in the cache; where that is lost, everything counts as not read.
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
    /// Left by interrupted runs; harmless.
    unreferenced_packs: u64,
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
    damages: u64,
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
    let journal = session.app.cache_folder().map(|folder| folder.join("checked"));
    let report = check::run(repository, &CheckOptions { read_data, journal }, &session.run_context()).await?;
    report_findings(&report.findings, session);
    report_strays(&report.strays, session);
    let damages = report.findings.len() as u64;
    session.reporter.done(&Summary {
        snapshots: report.snapshots,
        packs: report.packs,
        bytes: report.bytes,
        unreferenced_packs: report.unreferenced_packs,
        packs_read: report.packs_read,
        ownerless_usages: report.ownerless_usages,
        removed_snapshots: report.removed_snapshots,
        lacking_copies: report.lacking_copies,
        config_is_behind: report.config_is_behind,
        strays: report.strays.count(),
        bytes_read: report.bytes_read,
        packs_healed: report.packs_healed,
        damages,
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

/// Prints each finding.
pub(super) fn report_findings(findings: &[Finding], session: &Session<'_>) {
    findings.iter().for_each(|finding| session.reporter.done(&DamageLine::new(finding)));
}
