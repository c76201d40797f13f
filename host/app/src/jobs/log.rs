//! The record of runs on this machine: a line of JSON for each thing that happened, which is only added to.
//!
//! Owned here: the lines (`record`), and runs put together of them. A run is on record before it begins, so that one whose process ends in its midst is found. Refused
//! here: the truth: the snapshots of a job are in its repository, and the log may be deleted.
//!
//! Bound: [`LOG_BYTES_MAX`] twice; older lines go, and since when each job is waited for goes on into the new log.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use credenza_model::Timestamp;

use super::backwards::Backwards;
use super::error::JobsError;
use super::lock::Held;
use super::outcome::{Ending, Step};
pub use record::{Past, Record, run_id};

/// A log of more bytes becomes the old one.
pub(super) const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A log as it was at one moment: one that has another id has other lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogId {
    device: u64,
    /// Of the file on the device: a log that became the old one has another in its place.
    inode: u64,
    /// It is only added to.
    bytes: u64,
}

/// The log of one file of jobs.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
    old: PathBuf,
    /// Held by whoever makes the log the old one.
    lock: PathBuf,
}

impl Log {
    pub(super) fn in_folder(folder: &Path) -> Self {
        let [path, old, lock] = ["log.jsonl", "log.old.jsonl", "log.lock"].map(|name| folder.join(name));
        Self { path, old, lock }
    }

    /// How it is now; none of one that is not there, or cannot be asked.
    pub(super) fn id(&self) -> Option<LogId> {
        let found = fs::metadata(&self.path).ok()?;
        Some(LogId { device: found.dev(), inode: found.ino(), bytes: found.len() })
    }

    /// Adds a line, which is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written. What a full disk has left of a line is not read as one.
    pub fn add(&self, record: &Record) -> Result<(), JobsError> {
        self.append(record).map_err(|source| JobsError::State { path: self.path.clone(), doing: "written", source })
    }

    fn append(&self, record: &Record) -> io::Result<()> {
        let carried = self.make_old()?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        let mut line = Vec::new();
        if !ends_a_line(&mut file)? {
            line.push(b'\n');
        }
        for record in carried.iter().chain([record]) {
            serde_json::to_writer(&mut line, record)?;
            line.push(b'\n');
        }
        // In one piece: lines of several processes do not mix.
        file.write_all(&line)?;
        file.sync_data()
    }

    /// Makes a log that is too large the old one; the answer is what goes on into the new log.
    fn make_old(&self) -> io::Result<Vec<Record>> {
        let is_too_large = || fs::metadata(&self.path).is_ok_and(|found| found.len() > LOG_BYTES_MAX);
        if !is_too_large() {
            return Ok(Vec::new());
        }
        // Of two that do this at once the second would put the new log in the place of the old one.
        let _held = match Held::take(&self.lock, "the log") {
            Ok(held) if is_too_large() => held,
            Ok(_) | Err(JobsError::Busy { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(io::Error::other(error)),
        };
        let served = self.gather_served(|_| false).map_err(io::Error::other)?;
        fs::rename(&self.path, &self.old)?;
        Ok(served.into_iter().map(|(job, at)| Record::Seen { job, at }).collect())
    }

    /// What happened, the newest first, until so many runs are complete.
    ///
    /// # Errors
    /// When the log cannot be read; where there is none, nothing happened.
    pub fn past(&self, job: Option<&str>, most: usize) -> Result<Vec<Past>, JobsError> {
        let mut past = Vec::new();
        self.each_past(job, most, |one| {
            past.push(one);
            true
        })?;
        Ok(past)
    }

    /// The same, handed out one by one for as long as more are wanted, so that one of them is held at a time.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn each_past(
        &self,
        job: Option<&str>,
        most: usize,
        mut take: impl FnMut(Past) -> bool,
    ) -> Result<(), JobsError> {
        let mut left = most;
        self.look_back(job, |past| {
            let is_wanted = left > 0 && job.is_none_or(|job| past.job == job);
            left -= usize::from(is_wanted);
            (!is_wanted || take(past)) && left > 0
        })?;
        Ok(())
    }

    /// The newest run of each of these jobs that the log knows, by one look through it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn newest(&self, jobs: &BTreeSet<String>) -> Result<BTreeMap<String, Past>, JobsError> {
        let mut newest = BTreeMap::new();
        self.look_back(None, |past| {
            if jobs.contains(&past.job) {
                newest.entry(past.job.clone()).or_insert(past);
            }
            newest.len() < jobs.len()
        })?;
        Ok(newest)
    }

    /// Hands out runs, the newest first, for as long as more are wanted; those of other jobs may be left out. How many lines were parsed for it.
    fn look_back(&self, job: Option<&str>, mut take: impl FnMut(Past) -> bool) -> Result<usize, JobsError> {
        let (mut gathering, mut parsed) = (Gathering::default(), 0);
        let of_job = job.map(|job| [format!("\"{job}@"), format!("\"{job}\"")]);
        self.lines_back(|line| {
            let is_meant = |words: &[String; 2]| words.iter().any(|word| line.contains(word));
            if !of_job.as_ref().is_none_or(is_meant) {
                return true;
            }
            parsed += 1;
            // What is no record is the rest of one that a full disk or a crash has cut.
            let record = serde_json::from_str::<Record>(line).ok();
            record.and_then(|record| gathering.take(record)).is_none_or(&mut take)
        })?;
        Ok(parsed)
    }

    /// Hands out lines, the newest first, for as long as more are wanted.
    fn lines_back(&self, mut take: impl FnMut(&str) -> bool) -> Result<(), JobsError> {
        let of = |path: &Path, source| JobsError::State { path: path.to_owned(), doing: "read", source };
        // Both at once, so that a log that becomes the old one meanwhile is gone through, and not twice.
        let [log, old] = [&self.path, &self.old].map(|path| Backwards::open(path).map_err(|error| of(path, error)));
        let (log, old) = (log?, old?);
        let old = (!old.is_same_file(&log)).then_some((&self.old, old));
        for (path, mut file) in [(&self.path, log)].into_iter().chain(old) {
            while let Some(line) = file.line().map_err(|error| of(path, error))? {
                if std::str::from_utf8(line).is_ok_and(|line| !take(line)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// For which due time each job has run last, or was left out; of one that never was, since when it is waited for.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn served(&self, jobs: &BTreeSet<String>) -> Result<BTreeMap<String, Timestamp>, JobsError> {
        let served = self.gather_served(|served| jobs.iter().all(|job| served.contains_key(job)))?;
        Ok(served.into_iter().filter(|(job, _)| jobs.contains(job)).collect())
    }

    /// The same of all jobs, until that is enough.
    fn gather_served(
        &self,
        is_enough: impl Fn(&BTreeMap<String, Timestamp>) -> bool,
    ) -> Result<BTreeMap<String, Timestamp>, JobsError> {
        let (mut served, mut seen) = (BTreeMap::new(), BTreeMap::new());
        let mut is_whole = is_enough(&served);
        if is_whole {
            return Ok(served);
        }
        self.lines_back(|line| {
            let (job, due) = match serde_json::from_str::<Record>(line) {
                Ok(Record::Ended { job, due: Some(due), ending, tries_left: 0, .. }) if ending.is_for_good() => {
                    (job, due)
                }
                Ok(Record::Skipped { job, due, .. }) => (job, due),
                Ok(Record::Seen { job, at }) => {
                    seen.entry(job).or_insert(at);
                    return true;
                }
                _ => return true,
            };
            served.entry(job).or_insert(due);
            is_whole = is_enough(&served);
            !is_whole
        })?;
        if is_whole {
            return Ok(served);
        }
        for (job, at) in seen {
            served.entry(job).or_insert(at);
        }
        Ok(served)
    }

    /// As [`served`](Self::served), for each of these jobs: one that the log does not know is put on record as waited for from now on, so that whoever
    /// starts next makes up for it. The last is what kept that from being written, where something did.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn see(
        &self,
        jobs: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(BTreeMap<String, Timestamp>, Option<JobsError>), JobsError> {
        let mut served = self.served(jobs)?;
        let mut unwritten = None;
        for job in jobs {
            if served.contains_key(job) {
                continue;
            }
            if let Err(error) = self.add(&Record::Seen { job: job.clone(), at: now }) {
                unwritten = Some(error);
            }
            served.insert(job.clone(), now);
        }
        Ok((served, unwritten))
    }

    /// Puts on record that runs ended with their process: those that began, did not end, and are not under way.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn close_lost(&self, is_under_way: impl Fn(&str) -> bool, now: Timestamp) -> Result<Vec<Past>, JobsError> {
        let mut lost = self.open_runs()?;
        lost.retain(|past| !is_under_way(&past.job));
        if lost.is_empty() {
            return Ok(lost);
        }
        // One that ended after the log was read, and before it was asked for, has its end on record by now.
        let open: BTreeSet<String> = self.open_runs()?.iter().map(|past| run_id(&past.job, past.began)).collect();
        lost.retain(|past| open.contains(&run_id(&past.job, past.began)));
        for past in &lost {
            self.add(&Record::Ended {
                run: run_id(&past.job, past.began),
                job: past.job.clone(),
                at: now,
                due: past.due,
                ending: Ending::Lost,
                tries_left: 0,
                reason: Some("the program ended in the midst of it".to_owned()),
            })?;
        }
        Ok(lost)
    }

    /// The runs that have no end.
    fn open_runs(&self) -> Result<Vec<Past>, JobsError> {
        let mut open = Vec::new();
        self.each_past(None, usize::MAX, |past| {
            if past.is_open() {
                open.push(past);
            }
            true
        })?;
        Ok(open)
    }
}

fn ends_a_line(file: &mut fs::File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// Lines, newest first, on their way to runs.
#[derive(Default)]
struct Gathering {
    steps: BTreeMap<String, Vec<Step>>,
    ended: BTreeMap<String, (Timestamp, Ending, Option<String>)>,
}

impl Gathering {
    fn take(&mut self, record: Record) -> Option<Past> {
        match record {
            Record::Step { run, step } => {
                self.steps.entry(run).or_default().push(step);
                None
            }
            Record::Ended { run, at, ending, reason, .. } => {
                self.ended.insert(run, (at, ending, reason));
                None
            }
            Record::Began { run, job, at, due, missed, tries } => {
                let mut steps = self.steps.remove(&run).unwrap_or_default();
                steps.reverse();
                let (ended, ending, reason) = match self.ended.remove(&run) {
                    Some((ended, ending, reason)) => (Some(ended), Some(ending), reason),
                    None => (None, None, None),
                };
                Some(Past { job, began: at, ended, due, missed, tries, ending, reason, steps })
            }
            Record::Skipped { job, at, due, count, why } => {
                let missed = count.saturating_sub(1);
                let reason = Some(format!("left out: {why}"));
                let (began, ended, due) = (at, None, Some(due));
                Some(Past { job, began, ended, due, missed, tries: 0, ending: None, reason, steps: Vec::new() })
            }
            Record::Told { .. } | Record::Seen { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::notify::{Notice, Word};
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn began(job: &str, at: i64) -> Record {
        let run = run_id(job, time(at));
        Record::Began { run, job: job.to_owned(), at: time(at), due: Some(time(at)), missed: 0, tries: 0 }
    }

    fn ended(job: &str, began: i64, ending: Ending) -> Record {
        let (run, at, due) = (run_id(job, time(began)), time(began + 5), Some(time(began)));
        Record::Ended { run, job: job.to_owned(), at, due, ending, tries_left: 0, reason: None }
    }

    fn log() -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::in_folder(folder.path());
        (folder, log)
    }

    #[test]
    fn runs_are_put_together_newest_first() {
        let (_folder, log) = log();
        let step = Step::Pruned { kept: 3, removed: 1 };
        for record in [
            began("a", 100),
            began("b", 101),
            Record::Step { run: run_id("a", time(100)), step: step.clone() },
            ended("a", 100, Ending::Done),
            Record::Skipped { job: "a".to_owned(), at: time(300), due: time(290), count: 2, why: "paused".to_owned() },
        ] {
            log.add(&record).unwrap();
        }
        let past = log.past(None, 10).unwrap();
        assert_eq!(past.iter().map(|past| &*past.job).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!((past[0].missed, past[0].reason.as_deref()), (1, Some("left out: paused")));
        assert_eq!((past[1].ended, past[2].ending, &past[2].steps), (None, Some(Ending::Done), &vec![step]));
        assert_eq!(log.past(Some("b"), 10).unwrap().len(), 1);
        assert_eq!(log.past(None, 1).unwrap().len(), 1);
        let newest = log.newest(&["a", "b", "c"].map(str::to_owned).into()).unwrap();
        assert_eq!((newest.len(), newest["a"].began, newest["b"].began), (2, time(300), time(101)));
    }

    #[test]
    fn each_line_is_read_as_it_was_written_and_one_that_lacks_something_is_none() {
        let (run, job) = (run_id("a", time(1)), "a".to_owned());
        let notice =
            || Notice { id: "1".to_owned(), at: time(9), word: Word::Test, subject: None, text: "t".to_owned() };
        let to = "ops".to_owned();
        for record in [
            began("a", 1),
            Record::Began { run: run.clone(), job: job.clone(), at: time(1), due: None, missed: 2, tries: 3 },
            Record::Step { run: run.clone(), step: Step::Pruned { kept: 3, removed: 1 } },
            ended("a", 1, Ending::Failed),
            Record::Skipped { job: job.clone(), at: time(2), due: time(1), count: 4, why: "paused".to_owned() },
            Record::Told { at: time(9), to: to.clone(), notice: notice(), failed: None },
            Record::Told { at: time(9), to, notice: notice(), failed: Some("gone".to_owned()) },
            Record::Seen { job, at: time(1) },
        ] {
            let line = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
            let lacking = line.replace("\"at\":", "\"when\":").replace("\"step\":{", "\"what\":{");
            assert!(serde_json::from_str::<Record>(&lacking).is_err(), "{lacking}");
        }
    }

    /// Lines as they are on disks, one at least of each kind.
    const LINES: &str = r#"
{"event":"seen","job":"a","at":"2026-01-31T02:30:00Z"}
{"event":"began","run":"a@2026-02-01T02:30:00.000000012Z","job":"a","at":"2026-02-01T02:30:00.000000012Z","due":"2026-02-01T02:30:00Z","missed":2,"tries":1}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"hooked","program":"pg_dump","output":"a \"b\"\n\u001b"}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"backedup","source":"/home","snapshot":"0123456789abcdef00000000000000f0","entries":3,"errors":1,"bytes_read":9,"bytes_added":8}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"backedup","source":"/etc","snapshot":null,"entries":3,"errors":0,"bytes_read":9,"bytes_added":0}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"found","source":"/var","snapshot":"0123456789abcdef00000000000000f0","errors":0}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"suspect","source":"/home","snapshot":"0123456789abcdef00000000000000f0","reason":"half of it is gone"}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"pruned","kept":3,"removed":1}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"held","removals":9,"delete_max":5}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"maintained","bytes_freed":7}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"verified","packs":4,"packs_read":2,"bytes_read":6,"damages":0,"packs_due":1,"oldest":"2026-01-01T00:00:00Z","all_in":86400}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"drilled","snapshot":"0123456789abcdef00000000000000f0","entries":1,"bytes":2,"errors":0}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"replicated","target":"@far","copied":1,"bytes":2,"lacking":0,"lag_bytes":0,"seconds":4,"newest_there":"2026-02-01T02:30:00Z","newest_here":"2026-02-01T02:30:00Z","behind_since":null}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"proven","target":"@far","until":null,"packs_read":1,"damages":0}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"vanished","target":"@far","gone":3,"vanish_max":2}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"mirrored","target":"s3://b","cut":"0123456789abcdef00000000000000f0","cut_made":"2026-02-01T02:30:00Z","held":"foreign","new":1,"changed":2,"same":3,"removed":4,"kept":5,"missing":6,"foreign":7,"extra":8,"lacking":9,"bytes":10,"lost":{"posix:mode":11}}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"failed","doing":"pruning","reason":"no room"}}
{"event":"step","run":"a@2026-02-01T02:30:00.000000012Z","step":{"did":"spent","bill":{"spent":{"list":1,"get":2,"head":3,"put":4,"delete":5,"bytes_up":6,"bytes_down":7},"amount":{"millionths":8,"currency":"USD","date":"2026-01-01"},"unpriced":0}}}
{"event":"ended","run":"a@2026-02-01T02:30:00.000000012Z","job":"a","at":"2026-02-01T02:31:00Z","due":"2026-02-01T02:30:00Z","ending":"failed","tries_left":1,"reason":"pruning: no room"}
{"event":"began","run":"a@2026-02-02T02:30:00Z","job":"a","at":"2026-02-02T02:30:00Z","missed":0,"tries":0}
{"event":"ended","run":"a@2026-02-02T02:30:00Z","job":"a","at":"2026-02-02T02:31:00Z","ending":"done"}
{"event":"skipped","job":"a","at":"2026-02-03T02:30:00Z","due":"2026-02-03T02:30:00Z","count":1,"why":"paused"}
{"event":"told","at":"2026-02-03T02:30:00Z","to":"ops","notice":{"id":"1","at":"2026-02-03T02:30:00Z","word":"failed","subject":{"of":"job","job":"a"},"text":"t"},"failed":"gone"}
"#;

    #[test]
    fn lines_that_are_on_disks_are_read_and_are_written_still() {
        for line in LINES.trim().lines() {
            let record: Record = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
        }
        let (folder, log) = log();
        fs::write(folder.path().join("log.jsonl"), LINES).unwrap();
        let past = log.past(Some("a"), usize::MAX).unwrap();
        assert_eq!(past.iter().map(|past| past.steps.len()).collect::<Vec<_>>(), [0, 0, 16]);
        assert!(matches!(past[2].steps[..], [Step::Hooked { .. }, .., Step::Spent { .. }]), "as they were done");
    }

    #[test]
    fn what_older_versions_did_not_write_is_nothing() {
        let step = |step: &str| {
            let line = format!(r#"{{"event":"step","run":"a@1","step":{step}}}"#);
            match serde_json::from_str::<Record>(&line) {
                Ok(Record::Step { step, .. }) => step,
                other => panic!("{other:?}: {line}"),
            }
        };
        let found = step(r#"{"did":"found","source":"/","snapshot":"0123456789abcdef00000000000000f0"}"#);
        assert!(matches!(found, Step::Found { errors: 0, .. }), "{found:?}");
        let carried = r#"{"did":"replicated","target":"t","copied":1,"bytes":2,"lacking":0,"seconds":4,"newest_there":null,"newest_here":null,"behind_since":null}"#;
        let carried = step(carried);
        assert!(matches!(&carried, Step::Replicated(done) if done.lag_bytes == 0), "{carried:?}");
        let spent = r#"{"list":0,"get":0,"head":0,"put":0,"delete":0,"bytes_up":0,"bytes_down":0}"#;
        let spent = step(&format!(r#"{{"bill":{{"spent":{spent}}},"did":"spent"}}"#));
        assert_eq!(spent, Step::Spent { bill: crate::cost::Bill::default() }, "in whichever order");
    }

    #[test]
    fn runs_are_handed_out_for_as_long_as_more_are_wanted() {
        let (_folder, log) = log();
        for at in 0..5 {
            log.add(&began("a", at)).unwrap();
        }
        let taken = |most: usize, wanted: usize| {
            let mut taken = 0;
            log.each_past(Some("a"), most, |_| {
                taken += 1;
                taken < wanted
            })
            .unwrap();
            taken
        };
        assert_eq!([taken(0, 9), taken(3, 9), taken(9, 2), taken(9, 9)], [0, 3, 2, 5]);
    }

    #[test]
    fn a_run_whose_process_ended_is_put_on_record_once_and_is_due_again() {
        let (_folder, log) = log();
        for record in [began("a", 100), ended("a", 100, Ending::Done), began("a", 200), began("b", 200)] {
            log.add(&record).unwrap();
        }
        let lost = log.close_lost(|job| job == "b", time(300)).unwrap();
        assert_eq!((lost.len(), lost[0].began), (1, time(200)));
        assert_eq!(log.close_lost(|job| job == "b", time(301)).unwrap(), []);
        assert_eq!(log.past(Some("a"), 1).unwrap()[0].ending, Some(Ending::Lost));
        let jobs = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        assert_eq!(log.served(&jobs).unwrap(), BTreeMap::from([("a".to_owned(), time(100))]));
    }

    #[test]
    fn a_run_that_ends_while_the_log_is_read_is_not_lost() {
        let (_folder, log) = log();
        log.add(&began("a", 100)).unwrap();
        let has_just_ended = |_: &str| {
            log.add(&ended("a", 100, Ending::Done)).unwrap();
            false
        };
        assert_eq!(log.close_lost(has_just_ended, time(300)).unwrap(), []);
    }

    #[test]
    fn a_line_that_was_cut_costs_itself_alone() {
        let (folder, log) = log();
        log.add(&began("a", 100)).unwrap();
        let path = folder.path().join("log.jsonl");
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(br#"{"event":"began","run":"a@"#);
        fs::write(&path, text).unwrap();
        log.add(&ended("a", 100, Ending::Done)).unwrap();
        let past = log.past(None, 10).unwrap();
        assert_eq!((past.len(), past[0].ending), (1, Some(Ending::Done)));
    }

    #[test]
    fn of_ten_thousand_runs_the_last_ones_cost_their_own_lines_and_those_of_other_jobs_none() {
        let (folder, log) = log();
        let line = |record: &Record| serde_json::to_string(record).unwrap() + "\n";
        let runs = (0..10_000).flat_map(|at| {
            let job = if at % 1000 == 0 { "rare" } else { "often" };
            [line(&began(job, at)), line(&ended(job, at, Ending::Done))]
        });
        fs::write(folder.path().join("log.jsonl"), runs.collect::<String>()).unwrap();
        let parsed = |job: Option<&str>, most: usize| {
            let mut left = most;
            let parsed = log.look_back(job, |past| {
                left -= usize::from(job.is_none_or(|job| past.job == job));
                left > 0
            });
            parsed.unwrap()
        };
        // The file ends a line, so that an empty one is behind it.
        assert_eq!(parsed(None, 20), 41);
        assert_eq!(parsed(Some("rare"), 10), 20);
        assert_eq!(log.past(Some("rare"), 20).unwrap().len(), 10);
        assert_eq!(log.past(None, usize::MAX).unwrap().len(), 10_000);
    }

    #[test]
    fn a_full_disk_under_the_log_is_said() {
        let log = Log { path: PathBuf::from("/dev/full"), ..Log::in_folder(Path::new("/nowhere")) };
        let error = log.add(&began("a", 100)).unwrap_err();
        assert!(error.to_string().contains("/dev/full cannot be written"), "{error}");
    }

    #[test]
    fn a_log_that_is_gone_is_no_fault() {
        let (_folder, log) = log();
        assert_eq!(log.past(None, 10).unwrap(), []);
        assert!(log.served(&BTreeSet::from(["a".to_owned()])).unwrap().is_empty());
    }

    #[test]
    fn a_large_log_becomes_the_old_one_and_is_still_read() {
        let (folder, log) = log();
        log.add(&began("a", 100)).unwrap();
        let path = folder.path().join("log.jsonl");
        OpenOptions::new().write(true).open(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        log.add(&ended("a", 100, Ending::Done)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1000);
        assert_eq!(log.past(None, 10).unwrap()[0].ending, Some(Ending::Done));
    }

    #[test]
    fn a_log_that_becomes_the_old_one_while_both_are_opened_is_gone_through_once() {
        let (_folder, log) = log();
        log.add(&began("a", 100)).unwrap();
        fs::hard_link(&log.path, &log.old).unwrap();
        assert_eq!(log.past(None, 10).unwrap().len(), 1);
    }

    #[test]
    fn of_two_that_find_the_log_too_large_one_makes_it_the_old_one() {
        let (_folder, log) = log();
        log.add(&began("a", 100)).unwrap();
        OpenOptions::new().write(true).open(&log.path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        let other = Held::take(&log.lock, "the log").unwrap();
        log.add(&ended("a", 100, Ending::Done)).unwrap();
        assert!(!log.old.exists(), "the other one does it");
        drop(other);
        log.add(&began("b", 200)).unwrap();
        assert!(log.old.exists());
        let past = log.past(None, 10).unwrap();
        assert_eq!((past.len(), past[1].ending), (2, Some(Ending::Done)));
    }

    #[test]
    fn a_job_that_never_ran_is_waited_for_since_it_was_first_seen() {
        let (_folder, log) = log();
        let jobs = BTreeSet::from(["a".to_owned()]);
        let since = |seconds| BTreeMap::from([("a".to_owned(), time(seconds))]);
        assert_eq!(log.see(&jobs, time(50)).unwrap().0, since(50));
        assert_eq!(log.see(&jobs, time(60)).unwrap().0, since(50), "it is seen once");
        log.add(&began("a", 100)).unwrap();
        log.add(&ended("a", 100, Ending::Lost)).unwrap();
        assert_eq!(log.served(&jobs).unwrap(), since(50), "a run that was lost leaves it due");
        log.add(&ended("a", 200, Ending::Done)).unwrap();
        assert_eq!(log.see(&jobs, time(300)).unwrap().0, since(200));
        assert_eq!(log.past(None, 10).unwrap().len(), 1, "to be seen is no run");
    }

    #[test]
    fn a_run_that_failed_is_due_until_no_try_is_left() {
        let (_folder, log) = log();
        let failed = |tries_left| Record::Ended {
            run: run_id("a", time(200)),
            job: "a".to_owned(),
            at: time(205),
            due: Some(time(200)),
            ending: Ending::Failed,
            tries_left,
            reason: None,
        };
        let jobs = BTreeSet::from(["a".to_owned()]);
        let served = |log: &Log| log.served(&jobs).unwrap().get("a").copied();
        log.add(&ended("a", 100, Ending::Done)).unwrap();
        log.add(&failed(1)).unwrap();
        assert_eq!(served(&log), Some(time(100)));
        log.add(&failed(0)).unwrap();
        assert_eq!(served(&log), Some(time(200)));
    }

    #[test]
    fn a_job_is_not_forgotten_when_its_last_line_goes_with_an_old_log() {
        let (folder, log) = log();
        let path = folder.path().join("log.jsonl");
        let fill = || OpenOptions::new().write(true).open(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        log.add(&ended("monthly", 100, Ending::Done)).unwrap();
        for at in [200, 300, 400] {
            fill();
            log.add(&ended("daily", at, Ending::Done)).unwrap();
        }
        let jobs = BTreeSet::from(["monthly".to_owned(), "daily".to_owned()]);
        let served = BTreeMap::from([("daily".to_owned(), time(400)), ("monthly".to_owned(), time(100))]);
        assert_eq!(log.served(&jobs).unwrap(), served);
    }
}
