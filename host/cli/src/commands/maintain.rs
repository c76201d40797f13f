//! `maintain`: space that no snapshot needs goes back to the store.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use clap::Args;
use credenza_engine::check::Finding;
use credenza_engine::gc::{self, GcOptions, GcReport};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::check::{DamageLine, warn_unrecorded};
use super::sizes::parse_size;
use crate::failure::{Exit, Failure};
use crate::shell::place_word;

/// Reclaim the space that no snapshot needs, beside any number of running backups; refuses to touch a damaged repository. What is on record
/// as damaged is named, and left as it is with every other copy of what is in it; then this ends with 20.
#[derive(Debug, Args)]
pub(crate) struct Maintain {
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,

    /// Copy at most this much out of packs of which little is needed, for example 10GiB; 0 for nothing.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    repack_max: Option<u64>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    dry_run: bool,
    snapshots: u64,
    packs: u64,
    kept: u64,
    repacked: u64,
    bytes_repacked: u64,
    /// The store had no room for copies.
    full: bool,
    condemned: u64,
    spared: u64,
    /// Packs that nobody needs and that are locked still.
    locked: u64,
    deleted: u64,
    bytes_freed: u64,
    /// Objects that the store refused to delete.
    refused: u64,
    segments_merged: u64,
    records_merged: u64,
    intents_expired: u64,
    usages_expired: u64,
    notes_merged: u64,
    /// Packs on record as damaged that no snapshot needs, deleted.
    damaged_deleted: u64,
    /// What is damaged and was left as it is.
    damages: u64,
    /// Whether later runs know of what was found now.
    recorded: bool,
}

impl Summary {
    fn new(dry_run: bool, report: &GcReport) -> Self {
        let GcReport { snapshots, packs, kept, repacked, bytes_repacked, condemned, spared, .. } = *report;
        let GcReport { deleted, bytes_freed, refused, segments_merged, records_merged, .. } = *report;
        let GcReport { intents_expired, usages_expired, locked, full, notes_merged, damaged_deleted, .. } = *report;
        Self {
            dry_run,
            snapshots,
            packs,
            kept,
            repacked,
            bytes_repacked,
            full,
            condemned,
            spared,
            locked,
            deleted,
            bytes_freed,
            refused,
            segments_merged,
            records_merged,
            intents_expired,
            usages_expired,
            notes_merged,
            damaged_deleted,
            damages: report.damages.len() as u64,
            recorded: report.unrecorded.is_none(),
        }
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "" };
        writeln!(f, "seen       {} snapshots, {} packs", self.snapshots, self.packs)?;
        writeln!(f, "repacked   {} packs {would}copied in part, {}", self.repacked, HumanBytes(self.bytes_repacked))?;
        writeln!(f, "condemned  {} packs {would}condemned, {} spared", self.condemned, self.spared)?;
        write!(
            f,
            "freed      {}: {} packs {would}deleted, {} kept",
            HumanBytes(self.bytes_freed),
            self.deleted,
            self.kept
        )?;
        if !self.dry_run {
            let (segments, records) = (self.segments_merged, self.records_merged);
            write!(f, "\nmerged     {segments} index segments, {records} records of condemned packs")?;
            if self.notes_merged > 0 {
                write!(f, ", {} notes of what was read", self.notes_merged)?;
            }
            write!(f, "\nexpired    {} intents, {} usage lists", self.intents_expired, self.usages_expired)?;
        }
        if self.damaged_deleted > 0 {
            write!(f, "\nmended     {} damaged packs that no snapshot needs are deleted", self.damaged_deleted)?;
        }
        if self.damages > 0 {
            write!(
                f,
                "\ndamaged    {} objects, left as they are with every other copy of what is in them",
                self.damages
            )?;
        }
        if self.full {
            f.write_str(
                "\nfull       the store had no room for copies of what is needed: run it again, now that there is more",
            )?;
        }
        if self.locked > 0 {
            write!(f, "\nlocked     {} packs that no snapshot needs, until their locks end", self.locked)?;
        }
        if self.refused > 0 {
            write!(f, "\nrefused    {} objects, which the store keeps", self.refused)?;
        }
        Ok(())
    }
}

impl Maintain {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = match self.dry_run {
            true => session.open_for_reading().await?,
            false => session.open_for_writing().await?,
        };
        let options = GcOptions { dry_run: self.dry_run, repack_bytes_max: self.repack_max };
        let report = gc::run(&open.repository, &options, &session.run_context()).await?;
        for damage in &report.damages {
            let finding = Finding { damage: damage.clone(), affects: BTreeSet::new() };
            session.reporter.done(&DamageLine::new(&finding));
        }
        warn_unrecorded(report.unrecorded.as_deref(), session);
        session.reporter.done_or_planned(!self.dry_run, &Summary::new(self.dry_run, &report))?;
        if report.damages.is_empty() {
            return Ok(Exit::Done);
        }
        session
            .reporter
            .note(format!("hint: mend what is damaged: credenza at {} repair --apply", place_word(&open.place)));
        Ok(Exit::DamageFound)
    }
}
