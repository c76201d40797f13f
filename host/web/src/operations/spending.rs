//! What a run would spend, beside the plan of it.

use credenza_app::Result;
use credenza_app::estimate::{Estimate, PlaceEstimate};
use credenza_engine::Error as EngineError;

use crate::runs::{Ending, Table};
use crate::shown;

/// Adds to a plan what the run would spend. One that cannot be told leaves the plan as it is, and says why.
///
/// # Errors
/// When somebody has cancelled the plan meanwhile.
#[expect(clippy::result_large_err, reason = "an estimate fails as any other operation does")]
pub(super) fn beside(mut plan: Ending, estimate: Result<Estimate>) -> Result<Ending> {
    match estimate {
        Ok(estimate) => plan.tables.insert(0, table(&estimate)),
        Err(error) if matches!(error.engine(), Some(EngineError::Cancelled)) => return Err(error),
        Err(error) => {
            let why = shown::text(&shown::causes(&error).join(": "));
            plan.lines.push(format!("What it would spend is not known: {why}."));
        }
    }
    Ok(plan)
}

fn table(estimate: &Estimate) -> Table {
    let row = |place: &PlaceEstimate| {
        let money = place.money().unwrap_or_else(|| "none: it is a folder of this machine".to_owned());
        let money = money.strip_prefix("money: ").unwrap_or(&money).to_owned();
        vec![shown::sentence(place.role), place.requests(), place.bytes(shown::size), money]
    };
    Table {
        caption: format!("What it would spend, where {}", estimate.basis),
        heads: vec!["Place", "Requests", "Bytes", "Money"],
        rows: estimate.places.iter().map(row).collect(),
    }
}
