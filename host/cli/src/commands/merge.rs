//! `merge`: one snapshot of the parts that many processes made.

use std::fmt::{self, Display};

use clap::Args;
use credenza_app::environment;
use credenza_app::shell::place_word;
use credenza_engine::shards::{self, Dropped, Group, MergeOptions, MergeReport};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Make one snapshot of the parts that `backup --shard` made. Nothing of the source is read for it, and of the repository next to nothing.
///
/// All parts must be there, and the range of each must begin where the one before ends; else nothing is done, and what to run again is
/// said. The parts are removed behind it. It may be run again whenever it was ended.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The group: its name as --group gave it, or at least the first eight digits of its id. It can be left out where there is one only.
    #[arg(value_name = "GROUP")]
    group: Option<String>,

    /// Only list the groups that wait to be merged, and what is missing of each.
    #[arg(long)]
    list: bool,

    /// Make nothing of the parts and remove them, whether all are there or not. The space that they alone use comes back with `maintain`.
    #[arg(long, requires = "group", conflicts_with_all = ["list", "accept_unreadable"])]
    drop: bool,

    /// End with 0 although entries of the snapshot could not be read: for those who would start the merge again. It says how many there are.
    #[arg(long, conflicts_with = "list")]
    accept_unreadable: bool,
}

/// A group that waits.
#[derive(Serialize)]
#[serde(tag = "type", rename = "group")]
struct GroupLine<'a> {
    #[serde(flatten)]
    group: &'a Group,
}

impl Display for GroupLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Group { group, source, of, missing, .. } = self.group;
        write!(
            f,
            "{group}  {} of {of} parts of {}",
            *of as usize - missing.len().min(*of as usize),
            printable(source)
        )?;
        if missing.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = missing.iter().take(8).map(u32::to_string).collect();
        write!(f, "; missing {}{}", named.join(", "), if missing.len() > named.len() { " …" } else { "" })
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    #[serde(flatten)]
    report: MergeReport,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let was_there = if report.was_there { ", made by a merge before" } else { "" };
        write!(f, "snapshot {}{was_there}: {} entries of {} parts", report.snapshot, report.entries, report.parts)?;
        write!(f, ", {} tree nodes read, {} added", report.nodes_read, HumanBytes(report.bytes_added))?;
        if report.errors > 0 {
            write!(f, "; {} entries could not be read", report.errors)?;
        }
        Ok(())
    }
}

/// What became of parts that nobody wants.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct DroppedSummary {
    #[serde(flatten)]
    report: Dropped,
}

impl Display for DroppedSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dropped { group, source, removed, refused, .. } = &self.report;
        write!(f, "removed {removed} parts of {}, group {group}", printable(source))?;
        if let Some((part, reason)) = refused.first() {
            let (count, reason) = (refused.len(), printable(reason));
            write!(f, "\n{count} parts are there still, because the store refused to delete them: {part}, {reason}")?;
        }
        Ok(())
    }
}

impl Merge {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        if self.list {
            let open = session.open_for_reading().await?;
            let groups = shards::groups(&open.repository.snapshots().await?);
            groups.iter().try_for_each(|group| session.reporter.result(&GroupLine { group }))?;
            return Ok(Exit::Done);
        }
        let open = session.open_for_writing().await?;
        let options = MergeOptions {
            group: self.group,
            host: environment::host_name(),
            user: environment::user_name(),
            signing_key: session.signing_key(&open.place)?,
        };
        if self.drop {
            let report = shards::drop_parts(&open.repository, &options, &session.run_context()).await?;
            let is_whole = report.refused.is_empty() && report.unrecorded.is_none();
            warn_unrecorded(session, report.unrecorded.as_deref(), &place_word(&open.place));
            let exit = if is_whole { Exit::Done } else { Exit::Incomplete };
            session.reporter.done(&DroppedSummary { report });
            return Ok(exit);
        }
        let report = shards::merge(&open.repository, &options, &session.run_context()).await?;
        if let Some((part, reason)) = report.refused.first() {
            session.reporter.warning(format!(
                "{} parts are there still, because the store refused to delete them: {part}, {}; run the merge again with credentials that may",
                report.refused.len(),
                printable(reason)
            ));
        }
        warn_unrecorded(session, report.unrecorded.as_deref(), &place_word(&open.place));
        let is_read = report.errors == 0 || self.accept_unreadable;
        let is_whole = is_read && report.refused.is_empty() && report.unrecorded.is_none();
        session.reporter.done(&Summary { report });
        Ok(if is_whole { Exit::Done } else { Exit::Incomplete })
    }
}

/// Says that parts are gone without a record, and that others may be there still.
fn warn_unrecorded(session: &Session<'_>, why: Option<&str>, place: &str) {
    if let Some(why) = why {
        session.reporter.warning(format!(
            "no record of the parts that are removed could be written, so that `maintain`, `prune` and `audit` will miss them, and others may be there still: {}; put it on record as soon as there is room: credenza at {place} repair --drop-snapshots --apply; then run this again",
            printable(why)
        ));
    }
}
