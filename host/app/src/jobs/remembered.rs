//! The runs that alarms and figures go by: the newest of all, and before them those of what runs rarely or has not got there since.
//!
//! A machine with jobs that run each minute forgets nothing of one that runs each week, and a copy that no run has reached is behind since the last that did.
//!
//! Owned here: how far the log is gone back. Refused here: what the runs say (`look`, `metrics`, `replicate`). Bound: so many runs as are asked for, and before
//! them those of jobs and copies that are still sought; where one is never found, as many as the log holds.

use std::collections::BTreeSet;

use super::error::JobsError;
use super::file::{JobsFile, Work};
use super::log::{Log, Past};
use super::outcome::{Ending, Step};
use super::sections::replicate::{Replicate, To};

/// So many runs, the newest first, and before them what is [sought](Sought) still.
pub(super) fn remembered(log: &Log, jobs: &JobsFile, most: usize) -> Result<Vec<Past>, JobsError> {
    let mut sought = Sought::of(jobs);
    let (mut past, mut passed) = (Vec::new(), 0_usize);
    log.each_past(None, usize::MAX, |one| {
        passed = passed.saturating_add(1);
        if sought.finds(&one) || passed <= most {
            past.push(one);
        }
        passed < most || !sought.is_empty()
    })?;
    Ok(past)
}

/// What the runs so far do not say.
struct Sought<'a> {
    file: &'a JobsFile,
    /// What has not ended well in any of them.
    works: BTreeSet<&'a str>,
    /// The copies that none of them has reached.
    copies: Vec<(&'a Replicate, &'a To)>,
}

impl<'a> Sought<'a> {
    fn of(file: &'a JobsFile) -> Self {
        let here = |policy: &'a Replicate| policy.targets.iter().filter(|to| to.is_here).map(move |to| (policy, to));
        let copies = file.replicates.values().flat_map(here).collect();
        Self { file, works: file.works().map(Work::name).collect(), copies }
    }

    fn is_empty(&self) -> bool {
        self.works.is_empty() && self.copies.is_empty()
    }

    /// Whether a run says something of it; what it says all of is sought no more.
    fn finds(&mut self, past: &Past) -> bool {
        let origin = self.file.jobs.get(&past.job).map(|job| &job.repository);
        let is_about = |policy: &Replicate| policy.name == past.job || origin == Some(&policy.from);
        let finds = self.works.contains(&*past.job) || self.copies.iter().any(|(policy, _)| is_about(policy));
        if past.ending.is_some_and(Ending::has_backup) {
            self.works.remove(&*past.job);
        }
        if past.ending.is_some() {
            self.copies.retain(|(policy, to)| policy.name != past.job || !has_reached(past, to));
        }
        finds
    }
}

fn has_reached(past: &Past, to: &To) -> bool {
    past.steps.iter().any(|step| matches!(step, Step::Replicated(replicated) if replicated.target == to.target))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use credenza_model::{SnapshotId, Timestamp};

    use super::super::log::{Record, run_id};
    use super::super::outcome::Replicated;
    use super::super::promise::Kept;
    use super::super::replicate::alarm;
    use super::*;

    const FILE: &str = r#"
version = 1
[job.daily]
backup = "/a"
to = "@main"
at = "02:30"
[job.often]
backup = "/b"
to = "@other"
every = "1m"
[replicate.main]
from = "@main"
[[replicate.main.to]]
target = "@paris"
rpo = "26h"
"#;

    fn time(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    /// The lines of a run that takes five seconds.
    fn lines(job: &str, began: i64, ending: Ending, step: Option<Step>) -> String {
        let (run, job, at) = (run_id(job, time(began)), job.to_owned(), time(began));
        let begin = Record::Began { run: run.clone(), job: job.clone(), at, due: Some(at), missed: 0, tries: 0 };
        let step = step.map(|step| Record::Step { run: run.clone(), step });
        let (at, due) = (time(began + 5), Some(at));
        let end = Record::Ended { run, job, at, due, ending, tries_left: 0, reason: None };
        let records = [Some(begin), step, Some(end)].into_iter().flatten();
        records.map(|record| serde_json::to_string(&record).unwrap() + "\n").collect()
    }

    fn backed_up() -> Step {
        let (source, snapshot) = ("/a".to_owned(), Some(SnapshotId::new([1; 16])));
        Step::BackedUp { source, snapshot, entries: 1, errors: 0, bytes_read: 1, bytes_added: 1 }
    }

    fn past(log: &str, most: usize) -> (JobsFile, Vec<Past>) {
        let folder = tempfile::tempdir().unwrap();
        let often = (1000..1050).map(|at| lines("often", at, Ending::Done, None));
        std::fs::write(folder.path().join("log.jsonl"), log.to_owned() + &often.collect::<String>()).unwrap();
        let jobs = JobsFile::parse(Path::new("jobs.toml"), FILE, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let past = remembered(&Log::in_folder(folder.path()), &jobs, most).unwrap();
        (jobs, past)
    }

    /// What there is beside the runs of `often`.
    fn rare(past: &[Past]) -> Vec<(&str, i64)> {
        let rare = past.iter().filter(|past| past.job != "often");
        rare.map(|past| (&*past.job, past.began.seconds)).collect()
    }

    #[test]
    fn a_copy_that_is_behind_is_known_to_be_however_many_runs_there_were_since() {
        let reached = Step::Replicated(Replicated { target: "@paris".to_owned(), ..Replicated::default() });
        let log = [
            lines("daily", 50, Ending::Done, Some(backed_up())),
            lines("replicate.main", 100, Ending::Done, Some(reached)),
            lines("daily", 200, Ending::Done, Some(backed_up())),
            lines("daily", 300, Ending::Done, Some(backed_up())),
            lines("replicate.main", 400, Ending::Unreachable, None),
        ];
        let (jobs, past) = past(&log.concat(), 10);
        let known = [("replicate.main", 400), ("daily", 300), ("daily", 200), ("replicate.main", 100)];
        assert_eq!((rare(&past), past.len()), (known.to_vec(), 14));
        let states = alarm::copies(&jobs.replicates["replicate.main"], &jobs, &past, time(100 + 27 * 3600));
        assert_eq!((states[0].since, states[0].kept), (Some(time(105)), Kept::Broken));
    }

    #[test]
    fn of_each_job_the_last_run_is_known_that_ended_well_and_those_since() {
        let reached = Step::Replicated(Replicated { target: "@paris".to_owned(), ..Replicated::default() });
        let log = [
            lines("daily", 100, Ending::Done, None),
            lines("daily", 200, Ending::Done, None),
            lines("daily", 300, Ending::Failed, None),
            lines("replicate.main", 400, Ending::Done, Some(reached)),
        ];
        let (_, past) = past(&log.concat(), 10);
        assert_eq!(rare(&past), [("replicate.main", 400), ("daily", 300), ("daily", 200)]);
    }
}
