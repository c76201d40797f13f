//! What follows the backups of a run in the repository: the guard looks at each snapshot, what the policy does not keep is removed, and space is reclaimed.

use std::collections::BTreeSet;

use credenza_engine::gc::{self, GcOptions};
use credenza_engine::{Error as EngineError, RunContext, SnapshotFilter, Stop};
use credenza_format::SigningKey;
use credenza_model::SnapshotId;

use super::super::guard;
use super::super::outcome::{Ending, Step};
use super::super::sections::job::{Maintain, Prune};
use super::{Cause, Run, of_job, sources};
use crate::error::Error;
use crate::repository::OpenRepository;
use crate::{environment, prune, remove};

/// With these words begins what is said of a look of the guard that failed, by which the next run knows it.
const LOOKING: &str = "looking whether";
/// Runs that are looked back at for the last that reclaimed space, and for what the guard has looked at.
const PAST_MAX: usize = 10_000;

impl Run<'_> {
    /// Has the guard look at each snapshot that nobody has looked at. Whether snapshots may be removed after it: where one cannot be judged, nobody knows
    /// what is still needed.
    pub(super) async fn look_at_all(&mut self, open: &OpenRepository) -> bool {
        let Some(guard) = self.job.guard else { return true };
        // What is to say that a snapshot is suspect does so also where the run was ended.
        let is_ended = self.runner.stop.is_requested();
        let stop = if is_ended { Stop::default() } else { self.runner.stop.clone() };
        let mut has_judged = true;
        for (source, snapshot) in self.not_judged(open).await {
            let context = RunContext { events: self.recording.events(), stop: stop.clone() };
            match guard::examine(&open.repository, snapshot, &guard, &context).await {
                Ok(None) => {}
                Ok(Some(reason)) => {
                    self.worsen(Ending::Incomplete, || format!("the snapshot of {source} is suspect: {reason}"));
                    self.did(Step::Suspect { source, snapshot, reason });
                }
                Err(error) => {
                    let ending = if self.runner.stop.is_requested() { Ending::Interrupted } else { Ending::Incomplete };
                    self.failed(&format!("{LOOKING} {source} is suspect"), ending, Cause::App(error));
                    has_judged = false;
                }
            }
        }
        has_judged
    }

    /// What the guard is to look at, each with the location of its source: what came after the last that it has looked at, such as the snapshots of a run
    /// that was killed or of a backup by hand, and what this run has made.
    async fn not_judged(&self, open: &OpenRepository) -> Vec<(String, SnapshotId)> {
        let made = self.made.clone();
        // Where they cannot be listed, those that were made cannot be looked at either, which is told.
        let Ok(snapshots) = open.repository.snapshots().await else { return made };
        let of_host = SnapshotFilter { hosts: vec![environment::host_name()], ..SnapshotFilter::default() };
        let (snapshots, judged) = (snapshots.filtered(&of_host), self.judged());
        let sources = sources(self.runner.app, self.job);
        let sources = sources.unwrap_or_else(|_| made.iter().map(|(source, _)| source.clone()).collect());
        let mut found = Vec::new();
        for source in &sources {
            let unjudged = guard::unjudged(&snapshots, source, &judged);
            found.extend(unjudged.into_iter().map(|snapshot| (source.clone(), snapshot)));
        }
        let listed: BTreeSet<SnapshotId> = found.iter().map(|(_, snapshot)| *snapshot).collect();
        found.extend(made.into_iter().filter(|(_, snapshot)| !listed.contains(snapshot)));
        found
    }

    /// The snapshots of the runs that came to their end, by the log: those were looked at, unless that failed.
    fn judged(&self) -> BTreeSet<SnapshotId> {
        let has_failed = |step: &Step| matches!(step, Step::Failed { doing, .. } if doing.starts_with(LOOKING));
        let snapshot = |step: &Step| match step {
            Step::BackedUp { snapshot, .. } => *snapshot,
            Step::Found { snapshot, .. } | Step::Suspect { snapshot, .. } => Some(*snapshot),
            _ => None,
        };
        let past = self.recording.log.past(Some(&self.job.name), PAST_MAX).unwrap_or_default();
        let mut judged = BTreeSet::new();
        for past in past.iter().filter(|past| past.ending.is_some_and(|ending| ending != Ending::Lost)) {
            if !past.steps.iter().any(has_failed) {
                judged.extend(past.steps.iter().filter_map(snapshot));
            }
        }
        judged
    }

    /// Removes what the policy does not keep of the snapshots of this job on this machine.
    pub(super) async fn prune(
        &self,
        by: &Prune,
        open: &OpenRepository,
        key: Option<&SigningKey>,
    ) -> Result<Step, Error> {
        let filter = of_job(self.job);
        let policy = match by {
            Prune::By(policy) => Some(policy.clone()),
            Prune::OfRepository => None,
        };
        let plan = prune::plan(&open.repository, policy, &filter, true).await?;
        prune::require_usual(&plan)?;
        let removed = prune::removed(&plan);
        if let Some(delete_max) = self.job.guard.and_then(|guard| guard.delete_max)
            && removed.len() > usize::try_from(delete_max).unwrap_or(usize::MAX)
        {
            return Ok(Step::Held { removals: removed.len(), delete_max });
        }
        let kept = plan.decisions().count().saturating_sub(removed.len());
        if !removed.is_empty() {
            remove::remove_all(open, &removed, key).await?.verdict?;
        }
        Ok(Step::Pruned { kept, removed: removed.len() })
    }

    /// Whether space is to be reclaimed now, by what the log says of the last time.
    pub(super) fn is_maintain_due(&self) -> bool {
        let span = match self.job.maintain {
            None => return false,
            Some(Maintain::Always) => return true,
            Some(Maintain::After(span)) => span,
        };
        let now = self.runner.clock.now().wall.seconds;
        let has_maintained = |step: &Step| matches!(step, Step::Maintained { .. });
        let past = self.recording.log.past(Some(&self.job.name), PAST_MAX).unwrap_or_default();
        let last = past.iter().find(|past| past.steps.iter().any(has_maintained)).map(|past| past.began.seconds);
        last.is_none_or(|last| now.saturating_sub(last) >= i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
    }

    pub(super) async fn maintain(&mut self, open: &OpenRepository) {
        let context = RunContext { events: self.recording.events(), stop: self.runner.stop.clone() };
        match gc::run(&open.repository, &GcOptions { dry_run: false, repack_bytes_max: None }, &context).await {
            Ok(report) => {
                self.did(Step::Maintained { bytes_freed: report.bytes_freed });
                if !report.damages.is_empty() {
                    self.worsen(Ending::Damaged, || format!("{} objects are damaged", report.damages.len()));
                }
            }
            Err(EngineError::Cancelled) => {
                let cause = Cause::App(EngineError::Cancelled.into());
                self.failed("reclaiming space", Ending::Incomplete, cause);
            }
            Err(error) => self.failed("reclaiming space", Ending::Incomplete, Cause::App(error.into())),
        }
    }
}
