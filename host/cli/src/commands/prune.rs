//! `prune`: snapshots that a policy does not keep are removed, each with its reason.

use std::fmt::{self, Display};

use clap::Args;
use credenza_engine::retention::{self, Decision};
use credenza_engine::{SnapshotFilter, SnapshotHandle};
use credenza_model::{SnapshotId, Timestamp};
use serde::Serialize;

use super::Session;
use super::policy::{KeepRules, no_rule};
use super::rm::remove_all;
use crate::failure::{Exit, Failure};
use crate::location::Location;
use crate::report::printable;

/// Remove the snapshots that a policy does not keep. Only says what it would do unless --apply is given.
///
/// A snapshot with errors (entries that could not be read) takes no place from one without: where it is the newest of an hour, a day and so on,
/// the newest without errors is kept beside it, and the newest without errors of each group is kept whatever the rules say. What is dated after
/// now is kept until `rm`, and counts for nothing.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    rules: KeepRules,

    /// Judge only snapshots with this tag; may be given several times.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Judge only snapshots of this source, as it was given to `backup` or as `info` shows it.
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// Judge only snapshots of this machine.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,

    /// Remove them.
    #[arg(long)]
    apply: bool,
    /// Carry out even a plan that removes all of a group or most of many snapshots.
    #[arg(long)]
    force: bool,
}

/// What becomes of one snapshot.
#[derive(Serialize)]
#[serde(tag = "type", rename = "decision")]
struct DecisionLine<'a> {
    id: SnapshotId,
    time: Option<Timestamp>,
    group: &'a str,
    action: &'static str,
    reasons: Vec<String>,
}

impl Display for DecisionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.map_or_else(|| "?".to_owned(), |time| time.to_string());
        write!(f, "{:<6}  {}  {time}  {}", self.action, self.id, printable(self.group))?;
        if self.reasons.is_empty() {
            f.write_str("  (no rule keeps it)")
        } else {
            write!(f, "  ({})", self.reasons.join(", "))
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    kept: usize,
    removed: usize,
    applied: bool,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, removed, applied } = self;
        match applied {
            true => write!(f, "{kept} snapshots kept, {removed} removed; `maintain` reclaims their space"),
            false => write!(f, "{kept} snapshots would be kept, {removed} removed; do it with --apply"),
        }
    }
}

impl Prune {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = match self.apply {
            true => session.open_for_writing().await?,
            false => session.open_for_reading().await?,
        };
        let policy = self.rules.policy().or_else(|| open.repository.config().policy.clone()).ok_or_else(no_rule)?;
        let snapshots = match self.apply {
            true => open.repository.snapshots_by_store_time().await?,
            false => open.repository.all_snapshots().await?,
        };
        // A damaged snapshot has no time and no source: it is not for a rule to remove it.
        if let Some(unread) = snapshots.damaged.first() {
            return Err(credenza_engine::Error::from(unread.damage.clone()).into());
        }
        let sources = self.source.into_iter().flat_map(spellings).collect();
        let filter = SnapshotFilter { tags: self.tag, sources, hosts: self.host, paths: Vec::new() };
        let plan = retention::plan(snapshots, &policy, &filter);
        for group in &plan.groups {
            for decision in &group.decisions {
                session.reporter.done_or_planned(self.apply, &line(&group.name, decision))?;
            }
        }
        let doomed = plan.decisions().filter(|decision| !decision.is_kept());
        let doomed: Vec<SnapshotHandle> = doomed.map(|decision| decision.snapshot.clone()).collect();
        let kept = plan.decisions().count() - doomed.len();
        if !self.force {
            plan.check().map_err(|excess| {
                Failure::new("this plan removes more than is usual")
                    .because(excess.to_string())
                    .hint("if it is meant, add --force")
            })?;
        }
        if self.apply {
            remove_all(&open, &doomed, session).await?;
        }
        session.reporter.done_or_planned(self.apply, &Summary { kept, removed: doomed.len(), applied: self.apply })?;
        Ok(Exit::Done)
    }
}

/// A source as it is written, and a folder as `backup` records it.
fn spellings(source: String) -> Vec<String> {
    let recorded = Location::parse(source.as_ref()).ok().map(|location| location.text());
    recorded.into_iter().chain([source]).collect()
}

fn line<'a>(group: &'a str, decision: &Decision) -> DecisionLine<'a> {
    DecisionLine {
        id: decision.snapshot.snapshot.id,
        time: decision.snapshot.time(),
        group,
        action: if decision.is_kept() { "keep" } else { "remove" },
        reasons: decision.reasons.iter().map(ToString::to_string).collect(),
    }
}
