//! Activity: who did what from where, and how it ended, in a log that outlives the server.
//!
//! A line is written when something begins and another when it has ended, so that what was under way when the program was killed shows as that. The log
//! is disposable: nothing depends on it, and where it cannot be written the work goes on. Two servers may write to one file.
//!
//! Owned here: the file. Refused here: how it is shown (`pages`). Called by `runs` and by pages that do something at once.
//!
//! Bound: [`BYTES_MAX`] on disk and while it is read; when it is full the older half goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use credenza_engine::Moment;
use credenza_model::Timestamp;
use serde_json::{Value, json};

use crate::session::has_passed;
use crate::shown::count;

/// The file, in the folder of what a program keeps of its work.
const NAME: &str = "activity.jsonl";
/// Most bytes of the file.
const BYTES_MAX: u64 = 1024 * 1024;
/// Most characters of each text in a line.
const TEXT_MAX: usize = 400;

/// Who started something, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) from: String,
}

/// Something that was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) by: Who,
    /// The repository; empty where it is about none.
    pub(crate) repository: String,
    pub(crate) what: String,
    /// How it ended; none while it is under way, and where the program ended before it.
    pub(crate) result: Option<String>,
    /// The first line of what it said.
    pub(crate) says: String,
}

/// A line that waits for its end.
pub(crate) struct Noted(String);

/// The log of one server; without a folder nothing is kept.
pub(crate) struct Activity {
    path: Option<PathBuf>,
    /// Tells lines of this server from those of others.
    server: String,
    last: AtomicU64,
    writing: Mutex<()>,
}

impl Activity {
    /// The log in a folder, which is made when the first line is written.
    pub(crate) fn new(folder: Option<&Path>, began: Timestamp) -> Self {
        let server = format!("{}.{}.{}", std::process::id(), began.seconds, began.nanoseconds);
        Self { path: folder.map(|folder| folder.join(NAME)), server, last: AtomicU64::new(0), writing: Mutex::new(()) }
    }

    /// Notes that something begins.
    pub(crate) fn begin(&self, entry: &Entry) -> Noted {
        let id = format!("{}.{}", self.server, self.last.fetch_add(1, Ordering::Relaxed));
        let line = json!({
            "id": id, "at": entry.at, "who": short(&entry.by.name), "from": short(&entry.by.from),
            "repository": short(&entry.repository), "what": short(&entry.what),
        });
        self.write(&line);
        Noted(id)
    }

    /// Notes how it ended.
    pub(crate) fn end(&self, noted: &Noted, result: &str, says: &str, at: Timestamp) {
        let line = json!({ "id": noted.0, "ended": at.seconds, "result": short(result), "says": short(says) });
        self.write(&line);
    }

    /// Notes something that was done at once.
    pub(crate) fn done(&self, entry: &Entry) {
        let noted = self.begin(entry);
        let at = Timestamp { seconds: entry.at, nanoseconds: 0 };
        self.end(&noted, entry.result.as_deref().unwrap_or("Done"), &entry.says, at);
    }

    /// The newest entries, newest first.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn newest(&self, max: usize) -> io::Result<Vec<Entry>> {
        let Some(path) = &self.path else { return Ok(Vec::new()) };
        let text = match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        let mut entries: Vec<(String, Entry)> = Vec::new();
        // A line that was cut off by a power failure is passed over.
        for line in text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let id = text("id");
            match line.get("result").and_then(Value::as_str) {
                Some(result) => {
                    if let Some((_, entry)) = entries.iter_mut().rev().find(|(known, _)| *known == id) {
                        (entry.result, entry.says) = (Some(result.to_owned()), text("says"));
                    }
                }
                None => {
                    let at = line.get("at").and_then(Value::as_i64).unwrap_or_default();
                    let by = Who { name: text("who"), from: text("from") };
                    let (repository, what) = (text("repository"), text("what"));
                    entries.push((id, Entry { at, by, repository, what, ..Entry::default() }));
                }
            }
        }
        Ok(entries.into_iter().rev().take(max).map(|(_, entry)| entry).collect())
    }

    fn write(&self, line: &Value) {
        let Some(path) = &self.path else { return };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = append(path, &line.to_string()) {
            tracing::warn!("the log of what is done cannot be written: {}: {error}", path.display());
        }
    }
}

/// How often attempts are noted at most that nobody else bounds.
const SELDOM: Duration = Duration::from_mins(1);

/// Bounds what is noted of those who do not get in, so that they do not drive out what else is on the log: the first of each minute, and how many came
/// with it.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<(Option<Moment>, u64)>);

impl Seldom {
    /// How an attempt is noted that ended so; none where it is only counted.
    pub(crate) fn note(&self, result: &str, now: Moment) -> Option<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, counted) = *state;
        if last.is_some_and(|last| !has_passed(last, now, SELDOM)) {
            state.1 = counted.saturating_add(1);
            return None;
        }
        *state = (Some(now), 0);
        Some(match counted {
            0 => result.to_owned(),
            more => format!("{result}; {} more since the one before", count(more, "attempt", "attempts")),
        })
    }
}

impl Entry {
    /// Something that begins.
    pub(crate) fn begun(by: &Who, repository: &str, what: impl Into<String>, at: Timestamp) -> Self {
        let (by, repository) = (by.clone(), repository.to_owned());
        Self { at: at.seconds, by, repository, what: what.into(), ..Self::default() }
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(2 * BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds a line, in one write, so that lines of two servers do not mix.
fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.len() + line.len() as u64 > BYTES_MAX {
        halve(path)?;
        file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    }
    // Whatever was cut off before it does not take this line along.
    file.write_all(format!("\n{line}\n").as_bytes())
}

/// Leaves the newer half, in a file that takes the place of the other whole.
fn halve(path: &Path) -> io::Result<()> {
    let bytes = read(path)?;
    let middle = bytes.len() / 2;
    let begin = bytes.iter().skip(middle).position(|byte| *byte == b'\n').map_or(bytes.len(), |at| middle + at + 1);
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes.get(begin..).unwrap_or_default())?;
    drop(file);
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: i64) -> Entry {
        let by = Who { name: "ana".to_owned(), from: "127.0.0.1".to_owned() };
        Entry::begun(&by, "mine", format!("Backup {number}"), Timestamp { seconds: number, nanoseconds: 0 })
    }

    #[test]
    fn what_was_done_is_read_after_a_restart_and_what_was_cut_off_shows_as_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let log = Activity::new(Some(&path), Timestamp::default());
        let first = log.begin(&entry(1));
        let _killed = log.begin(&entry(2));
        log.end(&first, "Done", "all is well", Timestamp::default());
        // A power failure cuts a line in two.
        let mut file = OpenOptions::new().append(true).open(path.join(NAME)).unwrap();
        file.write_all(b"{\"id\":\"x\",\"wh").unwrap();
        let again = Activity::new(Some(&path), Timestamp { seconds: 9, nanoseconds: 0 });
        again.done(&entry(3));
        let read = again.newest(10).unwrap();
        let told: Vec<(&str, Option<&str>)> =
            read.iter().map(|entry| (entry.what.as_str(), entry.result.as_deref())).collect();
        assert_eq!(told, [("Backup 3", Some("Done")), ("Backup 2", None), ("Backup 1", Some("Done"))]);
        assert_eq!((read[2].says.as_str(), read[2].by.name.as_str()), ("all is well", "ana"));
        assert_eq!(again.newest(1).unwrap().len(), 1);
    }

    #[test]
    fn the_log_is_bounded_and_keeps_what_is_newest() {
        let folder = tempfile::tempdir().unwrap();
        let log = Activity::new(Some(folder.path()), Timestamp::default());
        let long = Entry { what: "x".repeat(10_000), ..entry(1) };
        for _ in 0..3000 {
            log.begin(&long);
        }
        log.done(&entry(7));
        assert!(fs::metadata(folder.path().join(NAME)).unwrap().len() <= BYTES_MAX);
        let newest = log.newest(2).unwrap();
        assert_eq!((newest[0].what.as_str(), newest[1].what.len()), ("Backup 7", TEXT_MAX));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_a_folder_nothing_is_kept_and_nothing_fails() {
        let log = Activity::new(None, Timestamp::default());
        log.done(&entry(1));
        assert!(log.newest(5).unwrap().is_empty());
    }
}
