//! Which snapshots a policy removes: a plan first, which is judged before it is carried out.
//!
//! Owned here: which policy counts, what a plan is made of, how much it would free, and that one that removes more than is usual needs leave. Refused here: the
//! rules (`credenza_engine::retention`), removal (`remove`).

use credenza_engine::flags::Flags;
use credenza_engine::freed::{self, Freed};
use credenza_engine::retention;
pub use credenza_engine::retention::Plan;
use credenza_engine::tags::TagEdits;
use credenza_engine::{Error as EngineError, Repository, RunContext, SnapshotFilter, SnapshotHandle};
use credenza_format::Grouping;
pub use credenza_format::Policy;

use crate::error::{Error, Result};

/// What a policy makes of the snapshots that the filter leaves: `policy`, else the one that the repository keeps. A plan that is to be carried
/// out (`for_removal`) goes by the clock of the store, which is asked for by writing an object. Nothing goes of a source with a suspect snapshot.
///
/// # Errors
/// [`Error::NoPolicy`]; when a snapshot cannot be read: it has no time and no source, and it is not for a rule to remove it; and when a note cannot be
/// read, which may say that a source is suspect.
pub async fn plan(
    repository: &Repository,
    policy: Option<Policy>,
    filter: &SnapshotFilter,
    for_removal: bool,
) -> Result<Plan> {
    let policy = policy.or_else(|| repository.config().policy.clone()).ok_or(Error::NoPolicy)?;
    let mut snapshots = match for_removal {
        true => repository.snapshots_by_store_time().await?,
        false => repository.all_snapshots().await?,
    };
    if goes_by_tags(&policy, filter) {
        let tags = TagEdits::load(repository).await?;
        tags.require_whole()?;
        snapshots = tags.apply(snapshots);
    }
    if let Some(unread) = snapshots.damaged.first() {
        return Err(EngineError::from(unread.damage.clone()).into());
    }
    let flags = Flags::load(repository).await?;
    flags.require_whole()?;
    let suspect = flags.sources(&snapshots);
    Ok(retention::plan(snapshots, &policy, filter).sparing(&suspect))
}

fn goes_by_tags(policy: &Policy, filter: &SnapshotFilter) -> bool {
    !policy.tags.is_empty() || !filter.tags.is_empty() || policy.group_by.contains(&Grouping::Tags)
}

/// The snapshots that a plan removes.
#[must_use]
pub fn removed(plan: &Plan) -> Vec<SnapshotHandle> {
    plan.decisions().filter(|decision| !decision.is_kept()).map(|decision| decision.snapshot.clone()).collect()
}

/// What a plan would free: bytes that the snapshots need which it removes, and no other of the repository.
///
/// # Errors
/// When the store cannot be read, what says what a snapshot needs is damaged, or it was to stop.
pub async fn freed(repository: &Repository, plan: &Plan, run: &RunContext) -> Result<Freed> {
    let goes: Vec<_> = removed(plan).iter().map(|handle| handle.snapshot.id).collect();
    if goes.is_empty() {
        return Ok(Freed::default());
    }
    let all: Vec<_> = repository.snapshots().await?.everything().cloned().collect();
    Ok(freed::run(repository, &all, &goes, run).await?)
}

/// Refuses a plan that removes more than somebody usually means: all of a group, or most of many snapshots.
///
/// # Errors
/// [`Error::ExcessivePlan`].
pub fn require_usual(plan: &Plan) -> Result<()> {
    Ok(plan.check()?)
}
