//! `--estimate` and `--budget`: what a run would cost, and the most that it may.
//!
//! Owned here: the two arguments, and how an estimate is shown. Refused here: estimating (`credenza_app::estimate`), keeping a budget
//! (`credenza_app::cost::budget`). Called by the commands that have both, by what writes commands for
//! many machines, and by whoever makes the session.

use std::fmt::{self, Display};

use clap::Args;
use credenza_app::cost::budget::{Limits, Total};
use credenza_app::estimate::Estimate;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};

/// What a run costs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Spending {
    /// Only say what it would cost: requests by class, bytes, and money where the price is known. Nothing is written; what describes the data is read.
    #[arg(long)]
    pub(crate) estimate: bool,

    /// End in good order before more is spent: bytes=20GiB, requests=20000, money=0.50, or several with commas between them. It ends with 4 then, what
    /// was done is kept, and the same command goes on from there.
    ///
    /// A folder is charged bytes alone; contents that are read from or written to a folder beside the repository are not counted.
    #[arg(long, value_name = "LIMITS", value_parser = Limits::parse)]
    pub(crate) budget: Option<Limits>,
}

impl Spending {
    /// Demands that many processes can heed it, of which none knows what the others spend.
    pub(super) fn require_shareable(&self) -> Result<(), Failure> {
        if self.estimate {
            return Err(Failure::usage("an estimate is made by one machine").hint("leave --estimate out"));
        }
        match self.budget {
            Some(_) => Err(Failure::usage("a budget is for one machine: each of the many would spend as much")
                .hint("leave --budget out")),
            None => Ok(()),
        }
    }
}

/// An estimate as it is shown.
#[derive(Serialize)]
#[serde(transparent)]
struct Shown(Estimate);

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { run, places, basis } = &self.0;
        write!(f, "estimate: {run}, nothing done")?;
        for place in places {
            let requests = if place.is_folder { String::new() } else { format!("{}, ", place.requests()) };
            write!(f, "\n{:<12}{requests}{}", place.role, place.bytes(|bytes| HumanBytes(bytes).to_string()))?;
            place.money().map_or(Ok(()), |money| write!(f, "\n{:<12}{money}", ""))?;
        }
        write!(f, "\nbasis       {basis}")
    }
}

/// Shows what a run would cost.
pub(crate) fn tell(estimate: Estimate, session: &Session<'_>) -> Exit {
    session.reporter.done(&Shown(estimate));
    Exit::Done
}

/// The failure of a run, which ended for its budget where that is so.
pub(crate) fn ended(failure: Failure, session: &Session<'_>) -> Failure {
    let reached = session.budget.as_ref().and_then(|budget| Some((budget, budget.reached()?)));
    match reached {
        Some((budget, total)) => spent(failure, budget.limits(), &total),
        None => failure,
    }
}

/// What was cancelled, not reached or failed once the budget was spent ended for that. What else went wrong would have without it.
fn spent(failure: Failure, limits: &Limits, total: &Total) -> Failure {
    let last = match failure.exit {
        Exit::Interrupted | Exit::BudgetSpent => String::new(),
        Exit::Failed => match failure.why {
            Some(why) => format!("; at last: {}: {why}", failure.what),
            None => format!("; at last: {}", failure.what),
        },
        _ => return failure,
    };
    let (requests, bytes) = (total.spent.requests(), HumanBytes(total.spent.bytes()));
    let money = if limits.money.is_some() { format!(", {} in money", total.money) } else { String::new() };
    Failure::new(format!("the budget is spent: {requests} requests, {bytes}{money}, of {limits}"))
        .because(format!("the run ended before it would have spent more; what it had done is kept{last}"))
        .hint("run the same command again, and it goes on from there; or give it more: --budget")
        .exit(Exit::BudgetSpent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_machines_share_no_budget_and_no_estimate() {
        let budget = Some(Limits::parse("requests=10").unwrap());
        for (estimate, budget, is_taken) in [(false, None, true), (true, None, false), (false, budget, false)] {
            assert_eq!(Spending { estimate, budget }.require_shareable().is_ok(), is_taken, "{estimate}");
        }
    }

    #[test]
    fn a_spent_budget_hides_nothing_else() {
        let limits = Limits::parse("requests=10").unwrap();
        let of = |failure: Failure| spent(failure, &limits, &Total::default());
        assert_eq!(of(Failure::interrupted()).exit, Exit::BudgetSpent);
        let unreached = of(Failure::new("the store does not answer"));
        assert_eq!(unreached.exit, Exit::BudgetSpent);
        assert!(unreached.why.unwrap().ends_with("; at last: the store does not answer"));
        for exit in [Exit::DamageFound, Exit::ContractBroken, Exit::WrongPassphrase, Exit::Usage] {
            let failure = Failure::new("something else").exit(exit);
            assert_eq!(of(failure.clone()), failure);
        }
    }
}
