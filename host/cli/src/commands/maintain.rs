//! `maintain`: space that no snapshot needs goes back to the store.

use std::fmt::{self, Display};

use clap::Args;
use credenza_engine::gc::{self, GcOptions, GcReport};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::sizes::parse_size;
use crate::failure::{Exit, Failure};

/// Reclaim the space that no snapshot needs, beside any number of running backups; refuses to touch a damaged repository.
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
            write!(f, "\nexpired    {} intents, {} usage lists", report.intents_expired, report.usages_expired)?;
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
        let open = match self.dry_run {
            true => session.open_for_reading().await?,
            false => session.open_for_writing().await?,
        };
        let options = GcOptions { dry_run: self.dry_run, repack_bytes_max: self.repack_max };
        let report = gc::run(&open.repository, &options, &session.run_context()).await?;
        session.reporter.done_or_planned(!self.dry_run, &Summary { dry_run: self.dry_run, report })?;
        Ok(Exit::Done)
    }
}
