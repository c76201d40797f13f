//! Whether the origin of a policy is silent: by what the last run has seen there, and by no clock alone. Pure.

use credenza_model::Timestamp;

use super::super::log::Past;
use super::super::outcome::Step;
use super::super::sections::replicate::Replicate;

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
        Step::Replicated(replicated) => replicated.newest_there,
        _ => None,
    };
    let own: Vec<&Past> = past.iter().filter(|past| past.job == policy.name && !past.is_open()).collect();
    let last = own.first()?;
    let has_looked = last.steps.iter().any(|step| matches!(step, Step::Replicated(_)));
    if !has_looked {
        return None;
    }
    let newest = own.iter().flat_map(|past| past.steps.iter().filter_map(of_step)).max()?;
    let is_silent = is_silent(policy, Some(newest), last.ended.unwrap_or(last.began));
    Some(Silence { newest, is_silent })
}

/// Whether the origin has got no new snapshot for longer than the policy says.
pub(super) fn is_silent(policy: &Replicate, newest: Option<Timestamp>, now: Timestamp) -> bool {
    let silent = policy.silent.and_then(|silent| i64::try_from(silent.as_secs()).ok());
    silent.is_some_and(|silent| newest.is_none_or(|newest| now.seconds.saturating_sub(newest.seconds) > silent))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::file::JobsFile;
    use super::super::super::outcome::{Ending, Replicated};
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
        let replicated = Step::Replicated(Replicated {
            target: "@paris".to_owned(),
            newest_there: Some(at(9)),
            newest_here: Some(at(9)),
            ..Replicated::default()
        });
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
