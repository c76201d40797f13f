//! `maintain`: space that no snapshot needs goes back to the store.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::estimate;
use credenza_engine::check::Finding;
use credenza_engine::gc::{self, GcOptions, GcReport};
use credenza_engine::shards::Group;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::check::report_findings;
use super::sizes::parse_size;
use super::spending::{self, Spending};
use crate::failure::{Exit, Failure};
use crate::report::printable;
use credenza_app::shell::place_word;

/// Reclaim the space that no snapshot needs. Backups may run meanwhile.
///
/// It changes nothing in a repository whose structure is damaged. Packs that are on record as damaged are named and left as they are, with every other copy of
/// what is in them; then it ends with 20.
#[derive(Debug, Args)]
pub(crate) struct Maintain {
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,

    /// Copy at most this much out of packs of which little is needed, for example 10GiB; 0 for nothing.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    repack_max: Option<u64>,

    #[command(flatten)]
    pub(crate) spending: Spending,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    dry_run: bool,
    #[serde(flatten)]
    report: GcReport,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let would = if self.dry_run { "would be " } else { "" };
        writeln!(f, "seen       {} snapshots, {} packs", report.snapshots, report.packs)?;
        writeln!(
            f,
            "repacked   {} packs {would}copied in part, {}",
            report.repacked,
            HumanBytes(report.bytes_repacked)
        )?;
        writeln!(f, "condemned  {} packs {would}condemned, {} spared", report.condemned, report.spared)?;
        write!(
            f,
            "freed      {}: {} packs {would}deleted, {} kept",
            HumanBytes(report.bytes_freed),
            report.deleted,
            report.kept
        )?;
        if !self.dry_run {
            let (segments, records) = (report.segments_merged, report.records_merged);
            write!(f, "\nmerged     {segments} index segments, {records} records of condemned packs")?;
            if report.notes_merged > 0 {
                write!(f, ", {} notes of what was read", report.notes_merged)?;
            }
            write!(f, "\nexpired    {} intents, {} usage lists", report.intents_expired, report.usages_expired)?;
        }
        if report.connectors_deleted > 0 {
            write!(
                f,
                "\nescrow     {} connectors {would}deleted, which read no snapshot any more",
                report.connectors_deleted
            )?;
        }
        if report.damaged_deleted > 0 {
            write!(f, "\nmended     {} damaged packs that no snapshot needs are deleted", report.damaged_deleted)?;
        }
        if !report.damages.is_empty() {
            write!(
                f,
                "\ndamaged    {} objects, left as they are with every other copy of what is in them",
                report.damages.len()
            )?;
        }
        if report.full {
            f.write_str(
                "\nfull       the store had no room for copies of what is needed: run it again, now that there is more",
            )?;
        }
        if report.locked > 0 {
            write!(f, "\nlocked     {} packs that no snapshot needs, until their locks end", report.locked)?;
        }
        if report.refused > 0 {
            write!(f, "\nrefused    {} objects, which the store keeps", report.refused)?;
        }
        Ok(())
    }
}

impl Maintain {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = match self.dry_run || self.spending.estimate {
            true => session.open_for_reading().await?,
            false => session.open_for_writing().await?,
        };
        let options = GcOptions { dry_run: self.dry_run, repack_bytes_max: self.repack_max };
        if self.spending.estimate {
            return Ok(spending::tell(estimate::maintain(&open, options, &session.run_context()).await?, session));
        }
        let report = gc::run(&open.repository, &options, &session.run_context()).await?;
        let findings: Vec<Finding> =
            report.damages.iter().map(|damage| Finding { damage: damage.clone(), affects: BTreeSet::new() }).collect();
        report_findings(&findings, session);
        session.warn_unrecorded(report.unrecorded.as_deref());
        let is_whole = report.damages.is_empty();
        let waiting: Vec<String> = report.waiting.iter().map(|group| told(group, &place_word(&open.place))).collect();
        session.reporter.done_or_planned(!self.dry_run, &Summary { dry_run: self.dry_run, report })?;
        waiting.into_iter().for_each(|group| session.reporter.note(group));
        if is_whole {
            return Ok(Exit::Done);
        }
        session
            .reporter
            .note(format!("hint: mend what is damaged: credenza at {} repair --apply", place_word(&open.place)));
        Ok(Exit::DamageFound)
    }
}

/// Parts of a backup that nobody has merged yet, and what to do about them.
fn told(group: &Group, repository: &str) -> String {
    let Group { group, source, of, missing, since, .. } = group;
    let (there, source) = (u64::from(*of).saturating_sub(missing.len() as u64), printable(source));
    format!(
        "note: {there} of {of} parts of {source}, begun {since}, wait to be merged, and what they need is kept: make a snapshot of them when all are there: credenza at {repository} merge {group}; or give them up: credenza at {repository} merge {group} --drop"
    )
}
