//! Snapshots that a policy does not keep: first each with its reason, then removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_app::prune::{self, Policy};
use credenza_app::{Result, StoreUse, remove, signing};
use credenza_engine::SnapshotFilter;
use credenza_engine::freed::Freed;
use credenza_engine::retention::{Decision, Plan};
use credenza_model::SnapshotId;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::fact;
use crate::access::Action;
use crate::runs::{At, Ending, Offer, Operation, Outcome, Table};
use crate::shown::{self, Zone, count};

/// Decisions that are shown one by one, over all groups.
const ROWS_MAX: usize = 1000;

/// Removes what no rule keeps.
#[derive(Clone, Default)]
pub(crate) struct Prune {
    /// What was typed; without it the policy of the repository counts.
    pub(crate) policy: Option<Policy>,
    /// What a plan said would go, which is all that may; without it nothing goes.
    pub(crate) agreed: Option<BTreeSet<SnapshotId>>,
    /// Whether more goes than is usual, and that was said.
    pub(crate) is_excess_agreed: bool,
}

impl Operation for Prune {
    fn title(&self) -> String {
        if self.agreed.is_some() { "Prune" } else { "Plan of a prune" }.to_owned()
    }

    fn commands(&self) -> Vec<String> {
        let policy = self.policy.as_ref().map(rules).unwrap_or_default();
        let apply = if self.agreed.is_some() { " --apply" } else { "" };
        let force = if self.is_excess_agreed { " --force" } else { "" };
        vec![format!("prune{policy}{apply}{force}")]
    }

    fn action(&self) -> Action {
        if self.agreed.is_some() { Action::Remove } else { Action::Run }
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        self.prune(at).boxed_local()
    }
}

/// The rules as options of the command.
fn rules(policy: &Policy) -> String {
    let counts = [
        ("last", policy.last),
        ("hourly", policy.hourly),
        ("daily", policy.daily),
        ("weekly", policy.weekly),
        ("monthly", policy.monthly),
        ("yearly", policy.yearly),
    ];
    let given = counts.into_iter().filter(|(_, number)| *number > 0);
    given.map(|(name, number)| format!(" --keep-{name} {number}")).collect()
}

impl Prune {
    async fn prune(&self, at: &At) -> Result<Ending> {
        let purpose = if self.agreed.is_some() { StoreUse::Write } else { StoreUse::Read };
        let open = at.open(purpose).await?;
        let filter = SnapshotFilter::default();
        let plan = prune::plan(&open.repository, self.policy.clone(), &filter, self.agreed.is_some()).await?;
        let goes = prune::removed(&plan);
        let kept = plan.decisions().count() - goes.len();
        let freed = match self.agreed {
            None => prune::freed(&open.repository, &plan, &at.run.context()).await?,
            Some(_) => Freed::default(),
        };
        let mut room = ROWS_MAX;
        let tables = plan.groups.iter().map(|group| {
            let shown = table(&group.name, &group.decisions, (plan.id_digits, &freed), room);
            room -= shown.rows.len();
            shown
        });
        let mut ending = Ending {
            facts: vec![fact("Kept", kept), fact("Removed", goes.len())],
            tables: tables.filter(|table| !table.rows.is_empty()).collect(),
            ..Ending::default()
        };
        let removed = count(goes.len() as u64, "snapshot", "snapshots");
        let Some(agreed) = &self.agreed else {
            ending.facts.push(fact("Bytes freed", freed.bytes));
            ending
                .lines
                .push(format!("{} would be kept, {removed} removed.", count(kept as u64, "snapshot", "snapshots")));
            ending.offer = (!goes.is_empty())
                .then(|| self.offer(&plan, freed.bytes, goes.iter().map(|handle| handle.snapshot.id).collect()));
            return Ok(ending);
        };
        let others = goes.iter().filter(|handle| !agreed.contains(&handle.snapshot.id)).count() as u64;
        if others > 0 {
            let (others, verb) =
                (count(others, "other snapshot", "other snapshots"), "would go that the plan did not name");
            ending.outcome = Outcome::Failed;
            ending.lines.push(format!("{others} {verb}: nothing was removed. Make a new plan and look at it."));
            return Ok(ending);
        }
        if !self.is_excess_agreed {
            prune::require_usual(&plan)?;
        }
        let signing_key = signing::provided(None, &open.place.settings)?;
        let removal = remove::remove_all(&open, &goes, signing_key.as_ref()).await?;
        let gone = count(removal.removed.len() as u64, "snapshot", "snapshots");
        removal.verdict?;
        ending.lines.push(format!(
            "{} kept, {gone} removed. Maintenance gives the store back what they alone took.",
            count(kept as u64, "snapshot", "snapshots")
        ));
        Ok(ending)
    }

    fn offer(&self, plan: &Plan, bytes: u64, agreed: BTreeSet<SnapshotId>) -> Offer {
        let removed = count(agreed.len() as u64, "snapshot", "snapshots");
        let title = format!("Remove {removed}, frees {}", shown::size(bytes));
        let excess = plan.check().err();
        let mut loses = vec![format!("{removed} removed. Nothing brings them back.")];
        loses.extend(
            excess.iter().map(|excess| format!("This is more than is usual: {}.", shown::text(&excess.to_string()))),
        );
        let operation = Self { policy: self.policy.clone(), agreed: Some(agreed), is_excess_agreed: excess.is_some() };
        Offer { operation: Arc::new(operation), title, loses }
    }
}

/// One group. What is kept says by which rule, and what goes how much it alone frees.
fn table(group: &str, decisions: &[Decision], (digits, freed): (usize, &Freed), room: usize) -> Table {
    let zone = Zone::system();
    let row = |decision: &Decision| {
        let id = decision.snapshot.snapshot.id.to_string();
        let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        vec![
            if decision.is_kept() { "keep" } else { "remove" }.to_owned(),
            id.get(..digits).unwrap_or(&id).to_owned(),
            decision.snapshot.time().map_or_else(|| "?".to_owned(), |time| zone.time(time).text),
            shown::size(decision.snapshot.snapshot.statistics.bytes),
            if reasons.is_empty() { "no rule keeps it".to_owned() } else { reasons.join(", ") },
            freed.alone.get(&decision.snapshot.snapshot.id).map(|bytes| shown::size(*bytes)).unwrap_or_default(),
        ]
    };
    let more = match decisions.len().saturating_sub(room) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Table {
        caption: format!("{}{more}", shown::text(group)),
        heads: vec!["What", "Snapshot", "Made", "Size", "Why", "Alone frees"],
        rows: decisions.iter().take(room).map(row).collect(),
    }
}
