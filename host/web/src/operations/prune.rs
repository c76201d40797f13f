//! Snapshots that a policy does not keep: first each with its reason, then removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_app::prune::{self, Policy};
use credenza_app::{Result, StoreUse, remove, signing};
use credenza_engine::SnapshotFilter;
use credenza_engine::freed::Freed;
use credenza_engine::retention::{Decision, Excess, Group, Plan};
use credenza_model::SnapshotId;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{fact, rules};
use crate::access::Action;
use crate::command;
use crate::runs::{At, Ending, Offer, Operation, Outcome, Table};
use crate::shown::{self, Zone, count};

/// Snapshots that are shown one by one of those that stay, over all groups. What goes is always shown.
const KEPT_ROWS_MAX: usize = 1000;

/// Removes what no rule keeps.
#[derive(Clone, Default)]
pub(crate) struct Prune {
    /// What was typed; without it the policy of the repository counts.
    pub(crate) policy: Option<Policy>,
    /// Which snapshots are judged; no other goes.
    pub(crate) filter: SnapshotFilter,
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
        let (policy, filters) = (self.policy.as_ref().map(rules).unwrap_or_default(), filters(&self.filter));
        let apply = if self.agreed.is_some() { " --apply" } else { "" };
        let force = if self.is_excess_agreed { " --force" } else { "" };
        vec![format!("prune{policy}{filters}{apply}{force}")]
    }

    fn action(&self) -> Action {
        if self.agreed.is_some() { Action::Remove } else { Action::Run }
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        self.prune(at).boxed_local()
    }
}

/// The filter as options of the command.
fn filters(filter: &SnapshotFilter) -> String {
    let given = |name: &str, values: &[String]| -> String {
        values.iter().map(|value| format!(" --{name} {}", command::word(value))).collect()
    };
    given("source", &filter.sources) + &given("host", &filter.hosts) + &given("tag", &filter.tags)
}

impl Prune {
    async fn prune(&self, at: &At) -> Result<Ending> {
        let purpose = if self.agreed.is_some() { StoreUse::Write } else { StoreUse::Read };
        let open = at.open(purpose).await?;
        let plan = prune::plan(&open.repository, self.policy.clone(), &self.filter, self.agreed.is_some()).await?;
        let goes = prune::removed(&plan);
        let kept = plan.decisions().count() - goes.len();
        let freed = match self.agreed {
            None => prune::freed(&open.repository, &plan, &at.run.context()).await?,
            Some(_) => Freed::default(),
        };
        let mut room = KEPT_ROWS_MAX;
        let tables = plan.groups.iter().map(|group| table(group, (plan.id_digits, &freed), &mut room));
        let mut ending = Ending {
            facts: vec![fact("Kept", kept), fact("Removed", goes.len())],
            tables: tables.collect(),
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
        let excesses: Vec<Excess> = plan.excesses().collect();
        let (are, them) = if agreed.len() == 1 { ("is", "it") } else { ("are", "them") };
        let mut loses = vec![format!("{removed} {are} removed. Nothing brings {them} back.")];
        loses.extend(
            excesses.iter().map(|excess| format!("This is more than is usual: {}.", shown::text(&excess.to_string()))),
        );
        let is_excess_agreed = !excesses.is_empty();
        let operation = Self { agreed: Some(agreed), is_excess_agreed, ..self.clone() };
        Offer { operation: Arc::new(operation), title, loses }
    }
}

/// One group: first what goes, with how much it alone frees, then what is kept, with the rules that keep it, as far as there is room.
fn table(group: &Group, (digits, freed): (usize, &Freed), room: &mut usize) -> Table {
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
            if decision.is_kept() { decision.until.to_string() } else { String::new() },
            freed.alone.get(&decision.snapshot.snapshot.id).map(|bytes| shown::size(*bytes)).unwrap_or_default(),
        ]
    };
    let kept = group.decisions.iter().filter(|decision| decision.is_kept()).count();
    let gone = group.decisions.len() - kept;
    let rows = goes_first(&group.decisions, Decision::is_kept, room);
    let more = match group.decisions.len() - rows.len() {
        0 => String::new(),
        more => format!("; {more} of those kept are not listed"),
    };
    Table {
        caption: format!("{}: {kept} kept, {gone} removed{more}", shown::text(&group.name)),
        heads: vec!["What", "Snapshot", "Made", "Size", "Why", "Until", "Alone frees"],
        rows: rows.into_iter().map(row).collect(),
    }
}

/// All that goes, then what is kept as far as there is room, which it takes.
fn goes_first<'a, T>(all: &'a [T], is_kept: impl Fn(&T) -> bool, room: &mut usize) -> Vec<&'a T> {
    let (kept, mut shown): (Vec<&T>, Vec<&T>) = all.iter().partition(|one| is_kept(one));
    let taken = kept.len().min(*room);
    *room -= taken;
    shown.extend(kept.into_iter().take(taken));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_removes_is_listed_first_and_in_full_however_much_is_kept() {
        // Newest first, as a plan has them: the oldest go.
        let all: Vec<usize> = (0..10).collect();
        let is_kept = |number: &usize| *number < 7;
        let mut room = 8;
        let listed = |room: &mut usize| goes_first(&all, is_kept, room).into_iter().copied().collect::<Vec<_>>();
        assert_eq!(listed(&mut room), [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(room, 1);
        assert_eq!(listed(&mut room), [7, 8, 9, 0]);
        assert_eq!(listed(&mut room), [7, 8, 9], "what goes needs no room");
    }
}
