//! What the next run of a policy would carry, and what that costs. Nothing is written.

use credenza_engine::copies::{Lag, lag};
use credenza_engine::{RunContext, SnapshotHandle};
use credenza_model::{SnapshotId, Timestamp};
use serde::Serialize;

use super::super::runner::Runner;
use super::super::sections::replicate::Replicate;
use super::{Sides, carrying, select_for, tagged};
use crate::error::Error;
use crate::estimate::{self, Estimate};
use crate::open::StoreUse;

/// What would go to one target.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "planned")]
pub struct Planned {
    /// The target, as it is written.
    pub target: String,
    /// The snapshots that would go, in that order, each with when it was made.
    pub snapshots: Vec<(SnapshotId, Option<Timestamp>)>,
    /// Snapshots of the origin that its retention does not keep.
    pub spared: u64,
    /// What it lacks. Where the keys are others, the chunks are read, sealed and stored anew, and the bytes are about so many.
    #[serde(flatten)]
    pub lag: Lag,
    /// What that asks of both sides; nothing where nothing goes.
    pub estimate: Option<Estimate>,
}

/// Plans the next run to each target that this machine carries to.
///
/// # Errors
/// When a repository cannot be opened and read.
pub async fn plan(runner: &Runner<'_>, policy: &Replicate) -> Result<Vec<Planned>, Error> {
    let run = RunContext { stop: runner.stop.clone(), ..RunContext::default() };
    let mut plans = Vec::new();
    for to in policy.targets.iter().filter(|to| to.is_here) {
        // Each with its own way to the origin, so that what it asks there is counted for it alone.
        let origin = runner.open_named(&policy.from, StoreUse::Read).await?;
        let target = runner.open_named(&to.target, StoreUse::Read).await?;
        let (there, here) = (tagged(&origin.repository).await?, tagged(&target.repository).await?);
        let sides = Sides { origin: &origin.repository, there: &there, target: &target.repository, here: &here };
        let selection = select_for(runner.app, policy, to, &sides)?;
        let lag = lag(sides.origin, sides.target, (&selection.missing, &selection.shared), &run).await?;
        let estimate = match selection.missing.is_empty() {
            true => None,
            false => Some(estimate::sync(&origin, &target, &carrying(&selection.missing), runner.stop).await?),
        };
        let of = |handle: &SnapshotHandle| (handle.snapshot.id, handle.time());
        let snapshots = selection.missing.iter().map(of).collect();
        plans.push(Planned { target: to.target.clone(), snapshots, spared: selection.spared, lag, estimate });
    }
    Ok(plans)
}
