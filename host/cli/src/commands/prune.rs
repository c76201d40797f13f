//! `prune`: snapshots that a policy does not keep are removed, each with its reason.

use std::fmt::{self, Display};

use clap::Args;
use credenza_app::{estimate, prune};
use credenza_engine::retention::{Decision, Until};
use credenza_model::{SnapshotId, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::filters::Filters;
use super::policy::KeepRules;
use super::rm::remove_all;
use super::spending;
use crate::failure::{Exit, Failure};
use crate::report::{Zone, printable};

/// Remove the snapshots that a policy does not keep. Only says what it would do unless --apply is given.
///
/// A snapshot with errors (entries that could not be read) never takes the place of one without: where it is the newest of an hour, a day and so on, the
/// newest without errors is kept as well. The newest without errors of each group, and the one made last, are kept whatever the rules say. A snapshot that is dated in the future is
/// kept until `rm` removes it, and does not count.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    rules: KeepRules,

    #[command(flatten)]
    filters: Filters,

    /// Remove them.
    #[arg(long)]
    apply: bool,
    /// Carry out even a plan that removes all of a group or most of many snapshots.
    #[arg(long)]
    force: bool,

    /// Only say what removing them would cost: requests by class, bytes, and money where the price is known.
    #[arg(long)]
    estimate: bool,
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
    /// Of one that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Until>,
    #[serde(skip)]
    shown: &'a Shown,
}

/// How ids and times are shown.
struct Shown {
    zone: Zone,
    digits: usize,
}

impl Display for DecisionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { zone, digits } = self.shown;
        let (id, time) = (self.id.to_string(), self.time.map_or_else(|| "?".to_owned(), |time| zone.minutes(time)));
        write!(f, "{:<6}  {id:.digits$}  {time}  {}", self.action, printable(self.group))?;
        if self.reasons.is_empty() {
            f.write_str("  (no rule keeps it)")
        } else {
            write!(f, "  ({}", self.reasons.join(", "))?;
            self.until.iter().try_for_each(|until| write!(f, "; {until}"))?;
            f.write_str(")")
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    kept: usize,
    removed: usize,
    applied: bool,
    /// Bytes that no other snapshot needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_freed: Option<u64>,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, removed, applied, bytes_freed } = self;
        match applied {
            true => write!(f, "{kept} snapshots kept, {removed} removed; `maintain` reclaims their space"),
            false => write!(f, "{kept} snapshots would be kept, {removed} removed; do it with --apply"),
        }?;
        match bytes_freed {
            Some(bytes @ 1..) => {
                write!(f, "\n{} are needed by those alone; `maintain` gives them back", HumanBytes(*bytes))
            }
            _ => Ok(()),
        }
    }
}

impl Prune {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        if self.estimate {
            let open = session.open_for_reading().await?;
            let filter = self.filters.filter(session)?;
            return Ok(spending::tell(estimate::prune(&open, self.rules.policy(), &filter).await?, session));
        }
        let open = match self.apply {
            true => session.open_for_writing().await?,
            false => session.open_for_reading().await?,
        };
        let filter = self.filters.filter(session)?;
        let plan = prune::plan(&open.repository, self.rules.policy(), &filter, self.apply).await?;
        let shown = Shown { zone: Zone::new(false), digits: session.digits_shown(plan.id_digits) };
        for group in &plan.groups {
            for decision in &group.decisions {
                session.reporter.done_or_planned(self.apply, &line(&group.name, decision, &shown))?;
            }
        }
        if !self.force {
            prune::require_usual(&plan)?;
        }
        let removed = prune::removed(&plan);
        let kept = plan.decisions().count() - removed.len();
        let bytes_freed = match self.apply {
            true => None,
            false => Some(prune::freed(&open.repository, &plan, &session.run_context()).await?.bytes),
        };
        if self.apply {
            remove_all(&open, &removed, shown.digits, session).await?;
        }
        let summary = Summary { kept, removed: removed.len(), applied: self.apply, bytes_freed };
        session.reporter.done_or_planned(self.apply, &summary)?;
        Ok(Exit::Done)
    }
}

fn line<'a>(group: &'a str, decision: &Decision, shown: &'a Shown) -> DecisionLine<'a> {
    DecisionLine {
        id: decision.snapshot.snapshot.id,
        time: decision.snapshot.time(),
        group,
        action: if decision.is_kept() { "keep" } else { "remove" },
        reasons: decision.reasons.iter().map(ToString::to_string).collect(),
        until: decision.is_kept().then_some(decision.until),
        shown,
    }
}
