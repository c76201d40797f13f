//! Two alarms of a policy: a copy is behind, by what the last runs have seen and by the clock; and its origin is silent, by what the last run has seen. Pure.
//!
//! A copy of which a run has seen that it has all is behind from the next backup on, as far as that is known on this machine. Where runs fail, nothing is
//! known of what came at the origin, and the copy counts as behind since the last that saw it.

use std::time::Duration;

use credenza_model::Timestamp;

use super::super::file::JobsFile;
use super::super::log::Past;
use super::super::outcome::{Ending, Step};
use super::super::promise::{Kept, Promise};
use super::super::replication::{Replicate, To};
use super::super::schedule::later;

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
pub(in crate::jobs) fn last_seen<'a>(past: &[&'a Past], to: &To) -> Option<(Timestamp, &'a Step)> {
    past.iter().find_map(|past| {
        let is_of = |step: &&Step| matches!(step, Step::Replicated { target, .. } if *target == to.target);
        Some((past.ended?, past.steps.iter().rev().find(is_of)?))
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
            Some((at, Step::Replicated { behind_since, .. })) => {
                let is_last = own.first().and_then(|past| past.ended) == Some(at);
                behind_since.or_else(|| if is_last { backed_up_after(policy, jobs, past, at) } else { Some(at) })
            }
            // None of the runs that are remembered has reached it.
            _ => own.last().map(|past| past.began),
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

/// How the origin of a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) struct Silence {
    /// When its newest snapshot was made that is meant.
    pub(in crate::jobs) newest: Timestamp,
    /// Whether that was too long ago when the last run looked.
    pub(in crate::jobs) is_silent: bool,
}

/// Whether the origin of a policy was silent when the last run looked: what came since nobody knows, so that it becomes silent by no clock alone. Nothing where
/// no run has seen a snapshot there, where nobody has looked since, because the policy rests or its last run did not get there, or where the policy does not
/// say what is too long. `past` are all runs, the newest first.
pub(in crate::jobs) fn silence(policy: &Replicate, past: &[Past]) -> Option<Silence> {
    policy.silent?;
    let of_step = |step: &Step| match step {
        Step::Replicated { newest_there, .. } => *newest_there,
        _ => None,
    };
    let own: Vec<&Past> = past.iter().filter(|past| past.job == policy.name && !past.is_open()).collect();
    let last = own.first()?;
    let has_looked = last.steps.iter().any(|step| matches!(step, Step::Replicated { .. }));
    if !has_looked {
        return None;
    }
    let newest = own.iter().flat_map(|past| past.steps.iter().filter_map(of_step)).max()?;
    let is_silent = super::status::is_silent(policy, Some(newest), last.ended.unwrap_or(last.began));
    Some(Silence { newest, is_silent })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HOUR: i64 = 3600;

    const FILE: &str = r#"
version = 1
[replicate.main]
from = "@main"
silent = "26h"
[[replicate.main.to]]
target = "@paris"
"#;

    fn at(hour: i64) -> Timestamp {
        Timestamp { seconds: hour * HOUR, nanoseconds: 0 }
    }

    /// What is on record of the policy at an hour: a run that saw the origin's newest snapshot, made at hour 9, or something else.
    fn past(hour: i64, ending: Option<Ending>, has_looked: bool) -> Past {
        let replicated = Step::Replicated {
            target: "@paris".to_owned(),
            copied: 0,
            bytes: 0,
            lacking: 0,
            lag_bytes: 0,
            seconds: 0,
            newest_there: Some(at(9)),
            newest_here: Some(at(9)),
            behind_since: None,
        };
        Past {
            job: "replicate.main".to_owned(),
            began: at(hour),
            ended: ending.map(|_| at(hour)),
            due: None,
            missed: 0,
            tries: 0,
            ending,
            reason: ending.is_none().then(|| "left out: paused".to_owned()),
            steps: if has_looked { vec![replicated] } else { Vec::new() },
        }
    }

    #[test]
    fn an_origin_at_which_nobody_looks_is_not_silent() {
        let jobs = JobsFile::parse(Path::new("jobs.toml"), FILE, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let policy = jobs.replicates.get("replicate.main").unwrap();
        let is_silent = |past: &[Past]| silence(policy, past).map(|silence| silence.is_silent);
        // What is seen by the next look may be new.
        let seen = past(10, Some(Ending::Done), true);
        assert_eq!(is_silent(std::slice::from_ref(&seen)), Some(false));
        assert_eq!(is_silent(&[past(36, Some(Ending::Done), true), seen.clone()]), Some(true));
        // It rests, or its runs do not get there.
        for unseen in [past(39, None, false), past(39, Some(Ending::Unreachable), false)] {
            assert_eq!(is_silent(&[unseen, seen.clone()]), None);
        }
    }
}
