//! The alarm of a policy's copies: one is behind, by what the last runs have seen and by the clock. Pure. That the origin is silent is `silence`.
//!
//! A copy of which a run has seen that it has all is behind from the next backup on, as far as that is known on this machine. Where runs fail, nothing is
//! known of what came at the origin, and the copy counts as behind since the last that saw it.

use std::time::Duration;

use credenza_model::Timestamp;

use super::super::file::JobsFile;
use super::super::log::Past;
use super::super::outcome::{Ending, Replicated, Step};
use super::super::promise::{Kept, Promise};
use super::super::schedule::later;
use super::super::sections::replicate::{Replicate, To};

/// How a copy stands by what is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::jobs) struct CopyState {
    /// The target, as it is written.
    pub(in crate::jobs) target: String,
    /// Since when it is behind; nothing where it is not.
    pub(in crate::jobs) since: Option<Timestamp>,
    /// How that stands.
    pub(in crate::jobs) kept: Kept,
    /// What it may be, for a person.
    pub(in crate::jobs) rpo: Duration,
    /// When that becomes worse by the clock alone.
    pub(in crate::jobs) next: Option<Timestamp>,
}

/// What the last run saw of a target, and when.
pub(in crate::jobs) fn last_seen<'a>(past: &[&'a Past], to: &To) -> Option<(Timestamp, &'a Replicated)> {
    past.iter().find_map(|past| {
        let of_target = |step: &'a Step| match step {
            Step::Replicated(replicated) => Some(replicated).filter(|replicated| replicated.target == to.target),
            _ => None,
        };
        Some((past.ended?, past.steps.iter().rev().find_map(of_target)?))
    })
}

/// How the copies of a policy stand that this machine carries to and that have an rpo. `past` are all runs, the newest first.
pub(in crate::jobs) fn copies(policy: &Replicate, jobs: &JobsFile, past: &[Past], now: Timestamp) -> Vec<CopyState> {
    let own: Vec<&Past> = past.iter().filter(|past| past.job == policy.name && past.ending.is_some()).collect();
    let mut states = Vec::new();
    for to in policy.targets.iter().filter(|to| to.is_here) {
        let Some(rpo) = to.rpo else { continue };
        // Where no run has ended yet, nothing can be said.
        let Some(seen) = last_seen(&own, to).map(Some).or_else(|| own.first().map(|_| None)) else { continue };
        let since = match seen {
            Some((at, seen)) => {
                let is_last = own.first().and_then(|past| past.ended) == Some(at);
                seen.behind_since.or_else(|| if is_last { backed_up_after(policy, jobs, past, at) } else { Some(at) })
            }
            // None of the runs that are remembered has reached it.
            None => own.last().map(|past| past.began),
        };
        let promise = Promise::of(rpo);
        let age = since.map_or(0, |since| u64::try_from(now.seconds.saturating_sub(since.seconds)).unwrap_or(0));
        let kept = super::status::judge(to, age);
        let changes = since.into_iter().flat_map(|since| {
            [later(since, promise.risk), later(since, promise.age.saturating_add(Duration::from_secs(1)))]
        });
        let next = changes.filter(|change| *change > now).min();
        states.push(CopyState { target: to.target.clone(), since, kept, rpo, next });
    }
    states
}

/// When the first backup into the origin ended after a time, by the record on this machine.
fn backed_up_after(policy: &Replicate, jobs: &JobsFile, past: &[Past], at: Timestamp) -> Option<Timestamp> {
    let is_into = |past: &&Past| {
        let job = jobs.jobs.get(&past.job).is_some_and(|job| job.repository == policy.from);
        let has_made = |step: &Step| matches!(step, Step::BackedUp { snapshot: Some(_), .. });
        job && past.ending.is_some_and(Ending::has_backup) && past.steps.iter().any(has_made)
    };
    past.iter().filter(is_into).filter_map(|past| past.ended).filter(|ended| *ended > at).min()
}
