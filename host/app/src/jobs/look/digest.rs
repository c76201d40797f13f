//! The summary of a while: what ran, how it ended, and what is not well. Success is told here alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use credenza_model::Timestamp;

use super::super::error::JobsError;
use super::super::file::JobsFile;
use super::super::log::{Log, Past};
use super::super::outcome::{Ending, Step};
use super::book::Book;

/// What a job did.
#[derive(Default)]
struct Sum {
    done: usize,
    not_done: usize,
    left_out: u64,
    bytes_added: u64,
    last_good: Option<Timestamp>,
}

impl Sum {
    /// Counts one that has an end, or was left out.
    fn add(&mut self, past: &Past) {
        self.left_out = self.left_out.saturating_add(u64::from(past.missed));
        match past.ending {
            Some(Ending::Done) => {
                self.done = self.done.saturating_add(1);
                self.last_good = self.last_good.max(past.ended);
            }
            Some(_) => self.not_done = self.not_done.saturating_add(1),
            None => self.left_out = self.left_out.saturating_add(1),
        }
        for step in &past.steps {
            if let Step::BackedUp { bytes_added, .. } = step {
                self.bytes_added = self.bytes_added.saturating_add(*bytes_added);
            }
        }
    }
}

/// When a run counts: at its end, so that each counts in one summary, however long it takes; what was left out, when that was seen. Not yet where it has no end.
fn counts_at(past: &Past) -> Option<Timestamp> {
    past.ended.or_else(|| (!past.is_open()).then_some(past.began))
}

/// The summary of what ended from one time on and before another, which is the first of the next summary.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn text(
    jobs: &JobsFile,
    log: &Log,
    book: &Book,
    (since, until): (Timestamp, Timestamp),
) -> Result<String, JobsError> {
    let mut sums: BTreeMap<&str, Sum> = jobs.works().map(|work| (work.name(), Sum::default())).collect();
    // To the begin of the log: where a clock was set back, runs do not stand in the order of their times.
    log.each_past(None, usize::MAX, |past| {
        let is_meant = counts_at(&past).is_some_and(|at| (since..until).contains(&at));
        if let Some(sum) = sums.get_mut(past.job.as_str()).filter(|_| is_meant) {
            sum.add(&past);
        }
        true
    })?;
    let mut text = format!("From {since} to {until}:\n");
    for (job, sum) in sums {
        let Sum { done, not_done, left_out, bytes_added, last_good } = sum;
        let _ = write!(text, "- {job}: {done} runs did all that they should, {not_done} did not");
        if left_out > 0 {
            let _ = write!(text, ", {left_out} due times passed without a run");
        }
        let _ = write!(text, "; {bytes_added} bytes added");
        match last_good {
            Some(at) => writeln!(text, "; the last good one ended at {at}"),
            None => writeln!(text, "; none was good"),
        }
        .unwrap_or_default();
    }
    match book.states.0.is_empty() {
        true => text.push_str("Nothing is known to be wrong."),
        false => text.push_str("What is wrong:"),
    }
    for (subject, bad) in &book.states.0 {
        let _ = write!(text, "\n- {subject}: {} since {}", bad.word.name(), bad.since);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::log::{Record, run_id};
    use super::*;

    const JOBS: &str = "version = 1\n[job.rare]\nbackup = \"/a\"\nto = \"@r\"\nat = \"02:30\"\n\
                        [job.often]\nbackup = \"/b\"\nto = \"@r\"\nevery = \"1m\"\n";

    fn time(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn began(job: &str, at: i64) -> Record {
        let (run, job, at) = (run_id(job, time(at)), job.to_owned(), time(at));
        Record::Began { run, job, at, due: None, missed: 0, tries: 0 }
    }

    fn ended(job: &str, began: i64, at: i64) -> Record {
        let (run, job, at) = (run_id(job, time(began)), job.to_owned(), time(at));
        Record::Ended { run, job, at, due: None, ending: Ending::Done, tries_left: 0, reason: None }
    }

    /// The summary by such a log.
    fn summary(records: impl Iterator<Item = Record>, since: i64, until: i64) -> String {
        let jobs = JobsFile::parse(Path::new("jobs.toml"), JOBS, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let lines = records.map(|record| serde_json::to_string(&record).unwrap() + "\n");
        std::fs::write(folder.path().join("log.jsonl"), lines.collect::<String>()).unwrap();
        text(&jobs, &Log::in_folder(folder.path()), &Book::default(), (time(since), time(until))).unwrap()
    }

    #[test]
    fn a_summary_counts_the_runs_of_a_rare_job_before_any_number_of_others() {
        let records = (0..12_000).flat_map(|at| {
            let job = if at == 500 || at == 1500 { "rare" } else { "often" };
            [began(job, at), ended(job, at, at)]
        });
        let text = summary(records, 1000, 12_000);
        assert!(text.contains("- rare: 1 runs did all that they should, 0 did not; 0 bytes added; the last"), "{text}");
        assert!(text.contains("- often: 10999 runs did all"), "{text}");
    }

    #[test]
    fn each_run_is_in_the_summary_of_the_time_in_which_it_ended_and_in_no_other() {
        let records = || {
            let missed = |at| {
                let (job, at, due, why) = ("often".to_owned(), time(at), time(at - 1), "paused".to_owned());
                Record::Skipped { job, at, due, count: 1, why }
            };
            // One across the border, one that ends at it, one behind it before the look, and one that is open.
            let often =
                [began("often", 1950), ended("often", 1950, 2000), began("often", 2003), ended("often", 2003, 2005)];
            let other =
                [began("rare", 1900), ended("rare", 1900, 2100), missed(1999), missed(2000), began("often", 2010)];
            often.into_iter().chain(other)
        };
        let counts = |since, until| {
            let text = summary(records(), since, until);
            let runs = |job: &str| {
                text.lines().find_map(|line| line.strip_prefix(job)?.split(' ').next()?.parse::<u32>().ok())
            };
            let missed = text.matches("1 due times passed without a run").count();
            (runs("- rare: "), runs("- often: "), missed)
        };
        assert_eq!(counts(1000, 2000), (Some(0), Some(0), 1));
        assert_eq!(counts(2000, 3000), (Some(1), Some(2), 1));
        assert_eq!(counts(3000, 4000), (Some(0), Some(0), 0));
    }
}
