//! The runs that alarms and figures go by: the newest of all, and before them those of what runs rarely or has not got there since.
//!
//! A machine with jobs that run each minute forgets nothing of one that runs each week, and a copy that no run has reached is behind since the last that did.
//!
//! Owned here: how far the log is gone back. Refused here: what the runs say (`look`, `metrics`, `replicate`). Bound: so many runs as are asked for, and before
//! them one for each [reason](Reason): a handful for each job, and two for each copy. Where something is never found, all of the log is read.

use std::collections::{BTreeMap, BTreeSet};

use credenza_model::Timestamp;

use super::error::JobsError;
use super::file::{JobsFile, Work};
use super::log::{Log, Past};
use super::outcome::{Ending, Step};
use super::sections::replicate::{Replicate, To};

/// So many runs, the newest first, and before them those by which one knows what is [sought](Sought) still.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn remembered(log: &Log, jobs: &JobsFile, most: usize) -> Result<Vec<Past>, JobsError> {
    let mut sought = Sought::of(log, jobs)?;
    let (mut past, mut passed) = (Vec::new(), 0_usize);
    let mut before: BTreeMap<Reason<'_>, (usize, Past)> = BTreeMap::new();
    log.each_past(None, usize::MAX, |one| {
        passed = passed.saturating_add(1);
        let reasons = if passed > most { sought.reasons(&one) } else { Vec::new() };
        for reason in reasons {
            if before.get(&reason).is_none_or(|(_, kept)| reason.prefers(&one, kept)) {
                before.insert(reason, (passed, one.clone()));
            }
        }
        sought.pass(&one);
        if passed <= most {
            past.push(one);
        }
        passed < most || !sought.is_empty()
    })?;
    // One that is kept for several reasons is there once.
    let before: BTreeMap<usize, Past> = before.into_values().collect();
    past.extend(before.into_values());
    Ok(past)
}

/// Why a run before the newest ones is kept; there is one run for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason<'a> {
    /// The newest of a job that is over, or was left out.
    Over(&'a str),
    /// The newest of a job that has ended.
    Ended(&'a str),
    /// The newest of a job that has verified.
    Verified(&'a str),
    /// The newest of a job that ended well.
    Good(&'a str),
    /// The newest of a policy that has reached a target.
    Reached(&'a str, &'a str),
    /// The oldest of a policy: a copy that none has reached is behind since then.
    Oldest(&'a str),
    /// The one of a policy that saw the newest snapshot at the origin.
    Newest(&'a str),
    /// The first backup into the origin of a policy behind its last run.
    Backup(&'a str),
}

impl Reason<'_> {
    /// Whether a run is to be kept rather than one that began later.
    fn prefers(self, past: &Past, kept: &Past) -> bool {
        match self {
            Self::Over(_) | Self::Ended(_) | Self::Verified(_) | Self::Good(_) | Self::Reached(..) => false,
            Self::Oldest(_) => true,
            Self::Newest(_) => newest_there(past) > newest_there(kept),
            Self::Backup(_) => past.ended < kept.ended,
        }
    }
}

/// What the runs so far do not say.
struct Sought<'a> {
    file: &'a JobsFile,
    /// What has not ended well in any of them.
    works: BTreeSet<&'a str>,
    /// The copies that none of them has reached.
    copies: Vec<(&'a Replicate, &'a To)>,
    /// When the last run of each policy ended that has one: the first backup behind it is kept.
    last_ends: Vec<(&'a Replicate, Timestamp)>,
}

impl<'a> Sought<'a> {
    fn of(log: &Log, file: &'a JobsFile) -> Result<Self, JobsError> {
        let here = |policy: &'a Replicate| policy.targets.iter().filter(|to| to.is_here).map(move |to| (policy, to));
        let copies = file.replicates.values().flat_map(here).collect();
        let mut last_ends = Vec::new();
        for policy in file.replicates.values().filter(|policy| policy.is_here()) {
            log.each_past(Some(&policy.name), usize::MAX, |past| {
                let end = past.ended.filter(|_| past.ending.is_some());
                last_ends.extend(end.map(|end| (policy, end)));
                end.is_none()
            })?;
        }
        Ok(Self { file, works: file.works().map(Work::name).collect(), copies, last_ends })
    }

    fn is_empty(&self) -> bool {
        self.works.is_empty() && self.copies.is_empty()
    }

    /// Why a run may be kept.
    fn reasons(&self, past: &Past) -> Vec<Reason<'a>> {
        let work = self.works.get(&*past.job).copied();
        let own: Vec<(&'a Replicate, &'a To)> =
            self.copies.iter().copied().filter(|(policy, _)| policy.name == past.job).collect();
        let policy = own.first().map(|(policy, _)| policy.name.as_str());
        let (is_over, has_ended) = (!past.is_open(), past.ending.is_some());
        let has_verified = past.steps.iter().any(|step| matches!(step, Step::Verified { .. }));
        let mut reasons = Vec::new();
        if let Some(job) = work.or(policy) {
            reasons.extend(is_over.then_some(Reason::Over(job)));
            reasons.extend(has_ended.then_some(Reason::Ended(job)));
            reasons.extend(has_verified.then_some(Reason::Verified(job)));
        }
        if let Some(job) = work.filter(|_| is_good(past)) {
            reasons.push(Reason::Good(job));
        }
        if let Some(policy) = policy {
            let reached = own.iter().filter(|(_, to)| has_ended && has_reached(past, to));
            reasons.extend(reached.map(|(_, to)| Reason::Reached(policy, &to.target)));
            reasons.extend(has_ended.then_some(Reason::Oldest(policy)));
            reasons.extend((is_over && newest_there(past).is_some()).then_some(Reason::Newest(policy)));
        }
        if is_good(past) && has_made_snapshot(past) {
            let origin = self.file.jobs.get(&past.job).map(|job| &job.repository);
            let behind =
                |(policy, end): &&(&Replicate, Timestamp)| origin == Some(&policy.from) && past.ended > Some(*end);
            reasons.extend(self.last_ends.iter().filter(behind).map(|(policy, _)| Reason::Backup(&policy.name)));
        }
        reasons
    }

    /// What a run says all of is sought no more.
    fn pass(&mut self, past: &Past) {
        if is_good(past) {
            self.works.remove(&*past.job);
        }
        if past.ending.is_some() {
            self.copies.retain(|(policy, to)| policy.name != past.job || !has_reached(past, to));
        }
    }
}

fn is_good(past: &Past) -> bool {
    past.ending.is_some_and(Ending::has_backup)
}

fn has_made_snapshot(past: &Past) -> bool {
    past.steps.iter().any(|step| matches!(step, Step::BackedUp { snapshot: Some(_), .. }))
}

fn has_reached(past: &Past, to: &To) -> bool {
    past.steps.iter().any(|step| matches!(step, Step::Replicated(replicated) if replicated.target == to.target))
}

/// When the newest snapshot was made that a run saw at the origin.
fn newest_there(past: &Past) -> Option<Timestamp> {
    let of_step = |step: &Step| if let Step::Replicated(replicated) = step { replicated.newest_there } else { None };
    past.steps.iter().filter_map(of_step).max()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use credenza_model::SnapshotId;

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
        let known = [("replicate.main", 400), ("daily", 300), ("replicate.main", 100)];
        assert_eq!((rare(&past), past.len()), (known.to_vec(), 13));
        let states = alarm::copies(&jobs.replicates["replicate.main"], &jobs, &past, time(100 + 27 * 3600));
        assert_eq!((states[0].since, states[0].kept), (Some(time(105)), Kept::Broken));
    }

    #[test]
    fn of_each_job_the_last_run_is_known_and_the_last_that_ended_well() {
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

    #[test]
    fn of_what_never_ended_well_no_more_is_kept_however_often_it_ran() {
        let failed = |job: &str| (0..300).map(|at| lines(job, at, Ending::Failed, None)).collect::<String>();
        let (jobs, past) = past(&(failed("daily") + &failed("replicate.main")), 10);
        // The oldest tells since when the copy is behind.
        assert_eq!(rare(&past), [("replicate.main", 299), ("replicate.main", 0), ("daily", 299)]);
        let states = alarm::copies(&jobs.replicates["replicate.main"], &jobs, &past, time(2000));
        assert_eq!(states[0].since, Some(time(0)));
    }

    #[test]
    fn the_first_backup_that_a_copy_lacks_is_known_and_none_of_those_between() {
        let reached = Step::Replicated(Replicated { target: "@paris".to_owned(), ..Replicated::default() });
        let backups = (0..100).map(|number| lines("daily", 200 + number, Ending::Done, Some(backed_up())));
        // The first is in the copy.
        let log = lines("daily", 90, Ending::Done, Some(backed_up()))
            + &lines("replicate.main", 100, Ending::Done, Some(reached))
            + &backups.collect::<String>();
        let (jobs, past) = past(&log, 10);
        assert_eq!(rare(&past), [("daily", 299), ("daily", 200), ("replicate.main", 100)]);
        let states = alarm::copies(&jobs.replicates["replicate.main"], &jobs, &past, time(2000));
        assert_eq!(states[0].since, Some(time(205)));
    }
}
