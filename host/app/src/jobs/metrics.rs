//! Figures of runs and promises in the text form of Prometheus: for who asks the daemon, and in a file for the node exporter.
//!
//! Owned here: the figures and their file, which is replaced as a whole. All come from the log and from what the last look found, so that they are the same
//! after a restart. No label holds what changes from run to run. Refused here: the listener (`credenza-web`). Called at every end of a run and of a look, by
//! `daemon` and by whoever runs one job.
//!
//! Whoever asks the daemon every few seconds has the log read again only where it or the file of the jobs has changed. Bound: the runs that are `remembered` stay in
//! memory between two questions.
//!
//! A promise has the time at which it is broken where nothing comes, which is true in a file that nobody writes any more. Its slack is true when it is asked for.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use credenza_connect::wrap::Spent;
use credenza_engine::Clock;
use credenza_model::Timestamp;

use super::error::JobsError;
use super::file::{JobsFile, Work};
use super::log::{LogId, Past};
use super::look::book::{Book, Known};
use super::notify::Word;
use super::outcome::{Ending, Replicated, Step};
use super::remembered::remembered;
use super::replicate::alarm;
use super::state::State;

/// Runs that are looked back at, beside [those before](remembered) that are the last of their job.
const PAST_MAX: usize = 5000;

/// A figure: its name, what it is, and its value for a job that has run.
struct Figure {
    name: &'static str,
    help: &'static str,
    of: fn(&[&Past]) -> Option<u64>,
}

const FIGURES: [Figure; 8] = [
    Figure {
        name: "credenza_job_last_success_timestamp_seconds",
        help: "When the last run ended that made a backup.",
        of: |past| {
            past.iter().find(|past| past.ending.is_some_and(Ending::has_backup)).and_then(|past| seconds(past.ended?))
        },
    },
    Figure {
        name: "credenza_job_last_attempt_timestamp_seconds",
        help: "When the last run began, however it ended.",
        of: |past| past.iter().find(|past| past.ending.is_some()).and_then(|past| seconds(past.began)),
    },
    Figure {
        name: "credenza_job_last_ok",
        help: "Whether the last run did all that it should: 1 or 0.",
        of: |past| last(past).map(|past| u64::from(past.ending == Some(Ending::Done))),
    },
    Figure {
        name: "credenza_job_last_duration_seconds",
        help: "How long the last run took.",
        of: |past| {
            last(past).and_then(|past| u64::try_from(past.ended?.seconds.saturating_sub(past.began.seconds)).ok())
        },
    },
    Figure {
        name: "credenza_job_last_added_bytes",
        help: "Bytes that the last run added to the repository.",
        of: |past| last(past).map(|past| past.steps.iter().map(added).sum()),
    },
    Figure {
        name: "credenza_job_last_entry_errors",
        help: "Entries that the last run could not read.",
        of: |past| last(past).map(|past| past.steps.iter().map(errors).sum()),
    },
    Figure {
        name: "credenza_verify_oldest_read_timestamp_seconds",
        help: "When the pack was read whole that waits the longest; nothing where one never was.",
        of: |past| past.iter().find_map(|past| past.steps.iter().find_map(oldest_read))?,
    },
    Figure {
        name: "credenza_verify_damages",
        help: "What the last verification found damaged.",
        of: |past| past.iter().find_map(|past| past.steps.iter().find_map(damages)),
    },
];

/// Writes the figures where the file of the jobs says, if it does.
///
/// # Errors
/// When the log cannot be read or the file not be written.
pub fn publish(jobs: &JobsFile, state: &State, now: Timestamp) -> Result<(), JobsError> {
    let Some(path) = &jobs.textfile else { return Ok(()) };
    let past = remembered(&state.log(), jobs, PAST_MAX)?;
    write(path, &text(jobs, state, &past, now))
}

/// The figures of each job that has run, of each promise that was measured, and of what is not well.
fn text(jobs: &JobsFile, state: &State, past: &[Past], now: Timestamp) -> String {
    let mut text = String::new();
    let of_work = |work: Work<'_>| past.iter().filter(|past| past.job == work.name()).collect();
    let runs: Vec<(&str, Vec<&Past>)> = jobs.works().map(|work| (work.name(), of_work(work))).collect();
    for Figure { name, help, of } in FIGURES {
        head(&mut text, name, help);
        for (job, past) in &runs {
            if let Some(value) = of(past) {
                line(&mut text, name, &[("job", job)], value);
            }
        }
    }
    let name = "credenza_job_last_outcome";
    head(&mut text, name, "How the last run ended, which the label says: 1.");
    for (job, past) in &runs {
        if let Some(ending) = last(past).and_then(|past| past.ending) {
            line(&mut text, name, &[("job", job), ("outcome", ending.name())], 1);
        }
    }
    spent(&mut text, &runs);
    copies(&mut text, jobs, past, now);
    promises(&mut text, jobs, &Book::read(&state.notices()), now);
    text
}

/// What the last runs have asked of the repository and of all sources.
fn spent(text: &mut String, runs: &[(&str, Vec<&Past>)]) {
    let of_step = |step: &Step| if let Step::Spent { bill } = step { Some(bill.spent) } else { None };
    let last_spent = |past: &[&Past]| last(past)?.steps.iter().find_map(of_step);
    let name = "credenza_job_last_requests";
    head(text, name, "Requests of the last run, by what they ask.");
    for (job, past) in runs {
        let Some(Spent { list, get, head, put, delete, .. }) = last_spent(past) else { continue };
        for (verb, count) in [("list", list), ("get", get), ("head", head), ("put", put), ("delete", delete)] {
            line(text, name, &[("job", job), ("verb", verb)], count);
        }
    }
    let name = "credenza_job_last_transferred_bytes";
    head(text, name, "Bytes of the last run to places and from them.");
    for (job, past) in runs {
        let Some(Spent { bytes_up, bytes_down, .. }) = last_spent(past) else { continue };
        for (direction, bytes) in [("up", bytes_up), ("down", bytes_down)] {
            line(text, name, &[("job", job), ("direction", direction)], bytes);
        }
    }
}

/// How far the copies of policies are, by what the last runs saw and by the clock.
fn copies(text: &mut String, jobs: &JobsFile, past: &[Past], now: Timestamp) {
    let policies = || jobs.replicates.values().filter(|policy| policy.is_here());
    let name = "credenza_replicate_lag_seconds";
    head(text, name, "For how long a copy is behind that may be so for a time; 0 where it has all.");
    for policy in policies() {
        for state in alarm::copies(policy, jobs, past, now) {
            let lag = state.since.map_or(0, |since| now.seconds.saturating_sub(since.seconds).max(0));
            line(text, name, &[("policy", policy.short_name()), ("target", &state.target)], lag);
        }
    }
    type Figure = fn(&Replicated) -> Option<u64>;
    let figures: [(&str, &str, Figure); 3] = [
        ("credenza_replicate_lag_bytes", "Bytes that a copy lacked behind the last run that reached it.", |seen| {
            Some(seen.lag_bytes)
        }),
        ("credenza_replicate_lacking_snapshots", "Snapshots that it lacked then.", |seen| Some(seen.lacking)),
        (
            "credenza_replicate_newest_timestamp_seconds",
            "When the newest snapshot was made that it had then.",
            |seen| seconds(seen.newest_here?),
        ),
    ];
    for (name, help, of) in figures {
        head(text, name, help);
        for policy in policies() {
            let own: Vec<&Past> = past.iter().filter(|past| past.job == policy.name).collect();
            for to in policy.targets.iter().filter(|to| to.is_here) {
                if let Some(value) = alarm::last_seen(&own, to).and_then(|(_, seen)| of(seen)) {
                    line(text, name, &[("policy", policy.short_name()), ("target", &to.target)], value);
                }
            }
        }
    }
}

/// What the last look found.
fn promises(text: &mut String, jobs: &JobsFile, book: &Book, now: Timestamp) {
    type OfKnown = fn(&Known, i64, Timestamp) -> i64;
    let figures: [(&str, &str, OfKnown); 3] = [
        (
            "credenza_promise_broken_at_timestamp_seconds",
            "When the promise is broken unless a good snapshot comes before.",
            |known, seconds, _| known.time.seconds.saturating_add(known.snapshot.map_or(0, |_| seconds)),
        ),
        (
            "credenza_promise_slack_seconds",
            "What is left until the promise is broken; negative where it is.",
            |known, seconds, now| match known.snapshot {
                Some(_) => known.time.seconds.saturating_add(seconds).saturating_sub(now.seconds),
                None => 0_i64.saturating_sub(seconds),
            },
        ),
        (
            "credenza_promise_unknown",
            "Whether the promise cannot be measured, since its repository does not answer: 1 or 0.",
            |known, _, _| i64::from(known.unknown.is_some()),
        ),
    ];
    for (name, help, of) in figures {
        head(text, name, help);
        for (job, sources) in &book.known {
            let promise = jobs.jobs.get(job).and_then(|job| job.promise);
            let Some(seconds) = promise.and_then(|promise| i64::try_from(promise.as_secs()).ok()) else { continue };
            for (source, known) in sources {
                line(text, name, &[("job", job), ("source", source)], of(known, seconds, now));
            }
        }
    }
    let name = "credenza_bad_states";
    head(text, name, "States that are not well, by what is wrong.");
    for (word, _) in Word::NAMED.iter().filter(|(_, word)| *word != Word::Recovered) {
        let count = book.states.0.values().filter(|bad| bad.word.name() == *word).count();
        line(text, name, &[("state", word)], count);
    }
    let name = "credenza_notices_waiting";
    head(text, name, "Notices that nobody has taken yet.");
    line(text, name, &[], book.waiting());
}

fn head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

/// One line of the text form; a text cannot be too short for it.
fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "{name}{labels} {value}");
}

/// What makes the figures whenever somebody asks, by the file that holds then.
pub struct Figures {
    jobs: Mutex<Arc<JobsFile>>,
    state: State,
    clock: Arc<dyn Clock>,
    /// What was read last.
    read: Mutex<Option<Read>>,
}

/// The runs that a log told of the jobs of a file.
struct Read {
    jobs: Arc<JobsFile>,
    log: LogId,
    past: Arc<Vec<Past>>,
}

impl Figures {
    pub(super) fn new(jobs: JobsFile, state: State, clock: Arc<dyn Clock>) -> Self {
        Self { jobs: Mutex::new(Arc::new(jobs)), state, clock, read: Mutex::default() }
    }

    /// Goes by another version of the file from now on.
    pub(super) fn replace(&self, jobs: JobsFile) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(jobs);
    }

    fn jobs(&self) -> Arc<JobsFile> {
        Arc::clone(&self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The figures now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn text(&self) -> Result<String, JobsError> {
        let jobs = self.jobs();
        let past = self.past(&jobs)?;
        Ok(text(&jobs, &self.state, &past, self.clock.now().wall))
    }

    /// Writes them where the file of the jobs says, if it does.
    pub(super) fn publish(&self) -> Result<(), JobsError> {
        match &self.jobs().textfile {
            Some(path) => write(path, &self.text()?),
            None => Ok(()),
        }
    }

    /// The runs, as they were read last where neither the jobs nor the log have changed since.
    fn past(&self, jobs: &Arc<JobsFile>) -> Result<Arc<Vec<Past>>, JobsError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let log = self.state.log();
        // What is added while it is read is seen the next time.
        let id = log.id();
        let is_same = |read: &&Read| Some(read.log) == id && Arc::ptr_eq(&read.jobs, jobs);
        if let Some(read) = read.as_ref().filter(is_same) {
            return Ok(Arc::clone(&read.past));
        }
        let past = Arc::new(remembered(&log, jobs, PAST_MAX)?);
        *read = id.map(|log| Read { jobs: Arc::clone(jobs), log, past: Arc::clone(&past) });
        Ok(past)
    }
}

/// The last run that ended.
fn last<'a>(past: &[&'a Past]) -> Option<&'a Past> {
    past.iter().find(|past| past.ending.is_some()).copied()
}

fn seconds(time: Timestamp) -> Option<u64> {
    u64::try_from(time.seconds).ok()
}

const fn added(step: &Step) -> u64 {
    if let Step::BackedUp { bytes_added, .. } = step { *bytes_added } else { 0 }
}

const fn errors(step: &Step) -> u64 {
    if let Step::BackedUp { errors, .. } | Step::Found { errors, .. } = step { *errors } else { 0 }
}

/// When the pack was read that waits the longest, as a verification has found.
fn oldest_read(step: &Step) -> Option<Option<u64>> {
    if let Step::Verified { oldest, .. } = step { Some(oldest.and_then(seconds)) } else { None }
}

const fn damages(step: &Step) -> Option<u64> {
    if let Step::Verified { damages, .. } = step { Some(*damages) } else { None }
}

fn write(path: &Path, text: &str) -> Result<(), JobsError> {
    replace(path, text).map_err(|source| JobsError::State { path: path.to_owned(), doing: "written", source })
}

/// The exporter may look at any time, as another user.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use credenza_engine::SystemClock;

    use super::super::log::{Record, run_id};
    use super::*;

    const FILE: &str = "version = 1\n[job.a]\nbackup = \"/a\"\nto = \"@r\"\nat = \"02:30\"\n";

    #[test]
    fn the_log_is_read_again_when_it_or_the_jobs_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(&folder.path().join("jobs.toml"), Some(folder.path().to_owned())).unwrap();
        let jobs = || JobsFile::parse(Path::new("jobs.toml"), FILE, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let run = |began: i64, ending: Ending| {
            let at = Timestamp { seconds: began, nanoseconds: 0 };
            let (run, job) = (run_id("a", at), "a".to_owned());
            let begin = Record::Began { run: run.clone(), job: job.clone(), at, due: None, missed: 0, tries: 0 };
            let end = Record::Ended { run, job, at, due: None, ending, tries_left: 0, reason: None };
            for record in [begin, end] {
                state.log().add(&record).unwrap();
            }
        };
        run(1, Ending::Done);
        let figures = Figures::new(jobs(), state.clone(), Arc::new(SystemClock));
        let is_ok = || figures.text().unwrap().contains("credenza_job_last_ok{job=\"a\"} 1");
        assert!(is_ok());
        // Nobody changes a line of the log: that the answer stays shows that nobody reads it.
        let found = std::fs::read_dir(folder.path().join("jobs")).unwrap().next().unwrap().unwrap();
        let path = found.path().join("log.jsonl");
        let log = std::fs::read_to_string(&path).unwrap();
        assert!(log.contains("\"done\""), "{log}");
        std::fs::write(&path, log.replace("\"done\"", "\"lost\"")).unwrap();
        assert!(is_ok(), "it is not read");
        figures.replace(jobs());
        assert!(!is_ok(), "other jobs");
        run(2, Ending::Done);
        assert!(is_ok(), "a longer log");
        std::fs::remove_file(&path).unwrap();
        assert!(!is_ok(), "no log");
    }
}
