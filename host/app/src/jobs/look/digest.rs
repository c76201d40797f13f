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
    fn add(&mut self, past: &Past) {
        self.left_out = self.left_out.saturating_add(u64::from(past.missed));
        match past.ending {
            Some(Ending::Done) => {
                self.done = self.done.saturating_add(1);
                self.last_good = self.last_good.max(past.ended);
            }
            Some(_) => self.not_done = self.not_done.saturating_add(1),
            None if past.is_open() => {}
            None => self.left_out = self.left_out.saturating_add(1),
        }
        for step in &past.steps {
            if let Step::BackedUp { bytes_added, .. } = step {
                self.bytes_added = self.bytes_added.saturating_add(*bytes_added);
            }
        }
    }
}

/// The summary of what began since then.
pub(super) fn text(jobs: &JobsFile, log: &Log, book: &Book, since: Timestamp) -> Result<String, JobsError> {
    let mut sums: BTreeMap<&str, Sum> = jobs.works().map(|work| (work.name(), Sum::default())).collect();
    // To the begin of the log: where a clock was set back, runs do not stand in the order of their times.
    log.each_past(None, usize::MAX, |past| {
        if let Some(sum) = sums.get_mut(past.job.as_str()).filter(|_| past.began >= since) {
            sum.add(&past);
        }
        true
    })?;
    let mut text = format!("Since {since}:\n");
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

    #[test]
    fn a_summary_counts_the_runs_of_a_rare_job_before_any_number_of_others() {
        let text_of_jobs = "version = 1\n[job.rare]\nbackup = \"/a\"\nto = \"@r\"\nat = \"02:30\"\n\
                            [job.often]\nbackup = \"/b\"\nto = \"@r\"\nevery = \"1m\"\n";
        let jobs = JobsFile::parse(Path::new("jobs.toml"), text_of_jobs, "2027-01-01T00:00:00Z".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let lines = (0..12_000).flat_map(|seconds| {
            let job = if seconds == 500 || seconds == 1500 { "rare" } else { "often" }.to_owned();
            let at = Timestamp { seconds, nanoseconds: 0 };
            let run = run_id(&job, at);
            let ending = Ending::Done;
            [
                Record::Began { run: run.clone(), job: job.clone(), at, due: None, missed: 0, tries: 0 },
                Record::Ended { run, job, at, due: None, ending, tries_left: 0, reason: None },
            ]
        });
        let lines = lines.map(|record| serde_json::to_string(&record).unwrap() + "\n");
        std::fs::write(folder.path().join("log.jsonl"), lines.collect::<String>()).unwrap();
        let since = Timestamp { seconds: 1000, nanoseconds: 0 };
        let text = text(&jobs.unwrap(), &Log::in_folder(folder.path()), &Book::default(), since).unwrap();
        assert!(text.contains("- rare: 1 runs did all that they should, 0 did not; 0 bytes added; the last"), "{text}");
        assert!(text.contains("- often: 10999 runs did all"), "{text}");
    }
}
