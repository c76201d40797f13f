//! The summary of a while: what ran, how it ended, and what is not well. Success is told here alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use credenza_model::Timestamp;

use super::super::error::JobsError;
use super::super::file::JobsFile;
use super::super::log::Log;
use super::super::outcome::{Ending, Step};
use super::book::Book;

/// Runs that are looked back at.
const PAST_MAX: usize = 10_000;

/// What a job did.
#[derive(Default)]
struct Sum {
    done: usize,
    not_done: usize,
    left_out: u64,
    bytes_added: u64,
    last_good: Option<Timestamp>,
}

/// The summary of what began since then.
pub(super) fn text(jobs: &JobsFile, log: &Log, book: &Book, since: Timestamp) -> Result<String, JobsError> {
    let mut sums: BTreeMap<&str, Sum> = jobs.works().map(|work| (work.name(), Sum::default())).collect();
    for past in log.past(None, PAST_MAX)?.iter().filter(|past| past.began >= since) {
        let Some(sum) = sums.get_mut(past.job.as_str()) else { continue };
        sum.left_out = sum.left_out.saturating_add(u64::from(past.missed));
        match past.ending {
            Some(Ending::Done) => {
                sum.done = sum.done.saturating_add(1);
                sum.last_good = sum.last_good.max(past.ended);
            }
            Some(_) => sum.not_done = sum.not_done.saturating_add(1),
            None if past.is_open() => {}
            None => sum.left_out = sum.left_out.saturating_add(1),
        }
        for step in &past.steps {
            if let Step::BackedUp { bytes_added, .. } = step {
                sum.bytes_added = sum.bytes_added.saturating_add(*bytes_added);
            }
        }
    }
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
