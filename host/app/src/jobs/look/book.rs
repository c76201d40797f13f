//! What is known of states and promises, and the notices that wait to be sent: one small file beside the log, which is replaced as a whole.
//!
//! Owned here: the file, and the order and the bound of what waits. Refused here: the truth. It may be deleted: then promises are measured again, and states
//! that are bad are said once more. One that cannot be read is taken for deleted, since a notice too many is better than none.
//!
//! A state and the notice of its change are written at once, so that neither is there without the other. A notice is taken out when it was taken: whoever is
//! killed in between sends it once more, with the same id. Bound: [`WAITING_MAX`] notices for each who hears, and a line for each source of a promise.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use credenza_model::{SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::error::JobsError;
use super::super::needs::{Copy, Needs, Wants};
use super::super::notify::change::{Bad, States};
use super::super::notify::{Notice, Subject};

/// What a repository held counts for so long after it answered last: it is asked once a day, and one that does not answer then has another day.
pub(super) const HELD: Duration = Duration::from_hours(48);
/// Notices that wait for one who hears; of more, the oldest go, and that is put on record.
pub(super) const WAITING_MAX: usize = 100;

/// What is known of a promise for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The newest good snapshot when it was last measured.
    pub snapshot: Option<SnapshotId>,
    /// When that was made, told of its age by the clock of this machine; where there is none, since when it is waited for.
    pub time: Timestamp,
    /// Since when it cannot be measured, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<(Timestamp, String)>,
}

/// When the repositories were asked last for promises with numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The time.
    pub at: Timestamp,
    /// Those that could not be asked then.
    pub unknown: Vec<String>,
    /// What they were asked for.
    pub(super) wants: Wants,
}

impl Asked {
    /// Whether what a promise needs was asked for.
    #[must_use]
    pub const fn is_about(&self, needs: &Needs) -> bool {
        self.wants.suffice(needs)
    }
}

/// What is held of a source by what was found last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// As old as they are by now.
    pub copies: Vec<Copy>,
    /// When the first of that was found.
    pub at: Timestamp,
}

/// A notice on its way to one who hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) section: String,
    pub(super) to: String,
    pub(super) notice: Notice,
    pub(super) tries: u32,
    pub(super) not_before: Timestamp,
}

/// All that is known.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// What is not well.
    pub states: States,
    /// By job, then by source.
    pub known: BTreeMap<String, BTreeMap<String, Known>>,
    /// By job: when its promise is to be measured again.
    pub(super) measure_at: BTreeMap<String, Timestamp>,
    /// By job: when the last run began that was looked at.
    pub(super) runs: BTreeMap<String, Timestamp>,
    /// What the repositories were found to hold, by source; of promises with numbers.
    pub copies: BTreeMap<String, Vec<Copy>>,
    /// By repository: when that was.
    pub(super) copies_at: BTreeMap<String, Timestamp>,
    /// When the repositories were asked last for promises with numbers; nothing where they never were.
    pub asked: Option<Asked>,
    /// When promises with numbers are to be measured again.
    pub(super) needs_at: Option<Timestamp>,
    /// By section: the time of the last summary.
    pub(super) digests: BTreeMap<String, Timestamp>,
    /// In the order in which it was found.
    pub(super) waiting: Vec<Waiting>,
}

/// As it is written: tables of JSON have texts for keys.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    states: Vec<(Subject, Bad)>,
    known: BTreeMap<String, BTreeMap<String, Known>>,
    measure_at: BTreeMap<String, Timestamp>,
    runs: BTreeMap<String, Timestamp>,
    copies: BTreeMap<String, Vec<Copy>>,
    copies_at: BTreeMap<String, Timestamp>,
    asked: Option<Asked>,
    needs_at: Option<Timestamp>,
    digests: BTreeMap<String, Timestamp>,
    waiting: Vec<Waiting>,
}

impl Book {
    /// Reads what is known.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let written = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Written>(&text).ok());
        let Written { states, known, measure_at, runs, copies, copies_at, asked, needs_at, digests, waiting } =
            written.unwrap_or_default();
        let states = States(states.into_iter().collect());
        Self { states, known, measure_at, runs, copies, copies_at, asked, needs_at, digests, waiting }
    }

    /// What is held of a source by what was found last; nothing where nothing was asked for yet. As in a look, what a repository held that could not be asked
    /// then counts for another day.
    #[must_use]
    pub fn held(&self, source: &str, now: Timestamp) -> Option<Held> {
        let asked = self.asked.as_ref()?;
        let mut held = Held { copies: Vec::new(), at: asked.at };
        for copy in self.copies.get(source).into_iter().flatten() {
            let Some(at) = self.copies_at.get(&copy.repository).copied() else { continue };
            if passed(at, asked.at) <= HELD.as_secs() {
                held.copies.push(copy.older_by(passed(at, now)));
                held.at = held.at.min(at);
            }
        }
        Some(held)
    }

    /// How many notices wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), JobsError> {
        let states = self.states.0.iter().map(|(subject, bad)| (subject.clone(), *bad)).collect();
        let Self { known, measure_at, runs, copies, copies_at, asked, needs_at, digests, waiting, .. } = self;
        let written = Written {
            states,
            known: known.clone(),
            measure_at: measure_at.clone(),
            runs: runs.clone(),
            copies: copies.clone(),
            copies_at: copies_at.clone(),
            asked: asked.clone(),
            needs_at: *needs_at,
            digests: digests.clone(),
            waiting: waiting.clone(),
        };
        let replace = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
            file.write_all(&serde_json::to_vec(&written)?)?;
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        replace().map_err(|source| JobsError::State { path: PathBuf::from(path), doing: "written", source })
    }

    /// Has a notice wait for one who hears; those that must go for it, the oldest.
    pub(super) fn post(&mut self, section: &str, to: &str, notice: &Notice) -> Vec<Waiting> {
        let (section, to, not_before) = (section.to_owned(), to.to_owned(), notice.at);
        let is_theirs = |waiting: &Waiting| waiting.section == section && waiting.to == to;
        let over = self.waiting.iter().filter(|waiting| is_theirs(waiting)).count().saturating_add(1);
        let mut going = over.saturating_sub(WAITING_MAX);
        let gone = self.waiting.extract_if(.., |waiting| {
            let goes = going > 0 && is_theirs(waiting);
            going = going.saturating_sub(usize::from(goes));
            goes
        });
        let gone = gone.collect();
        self.waiting.push(Waiting { section, to, notice: notice.clone(), tries: 0, not_before });
        gone
    }
}

/// Seconds from one time to another; none where that comes before.
fn passed(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.seconds.saturating_sub(from.seconds)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::super::notify::Word;
    use super::*;

    fn notice(number: i64) -> Notice {
        let at = Timestamp { seconds: number, nanoseconds: 0 };
        Notice { id: number.to_string(), at, word: Word::Test, subject: None, text: String::new() }
    }

    #[test]
    fn what_is_written_is_read_back_and_what_cannot_be_read_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices.json");
        let mut book = Book::default();
        let subject = Subject::Promise { job: "a".to_owned(), source: "/s".to_owned() };
        book.states.0.insert(subject, Bad { word: Word::PromiseBroken, since: notice(7).at });
        book.post("ops", "x", &notice(1));
        book.write(&path).unwrap();
        let read = Book::read(&path);
        assert_eq!((read.states, read.waiting), (book.states, book.waiting));
        std::fs::write(&path, "{").unwrap();
        assert!(Book::read(&path).waiting.is_empty() && Book::read(Path::new("/nowhere")).waiting.is_empty());
    }

    #[test]
    fn what_was_held_where_nobody_could_ask_counts_for_another_day_and_grows_older() {
        let at = |seconds| Timestamp { seconds, nanoseconds: 0 };
        let copy = |repository: &str| Copy {
            repository: repository.to_owned(),
            provider: String::new(),
            region: String::new(),
            is_immutable: false,
            age: 10,
            verified: None,
            restored: Some(20),
        };
        let mut book = Book::default();
        book.copies.insert("/s".to_owned(), ["@asked", "@shut", "@lost"].map(copy).to_vec());
        assert_eq!(book.held("/s", at(0)), None);
        let wants = serde_json::from_str("{\"verified\":false,\"restored\":false}").unwrap();
        book.asked = Some(Asked { at: at(200_000), unknown: vec!["@shut".to_owned(), "@lost".to_owned()], wants });
        let found = [("@asked", 200_000), ("@shut", 50_000), ("@lost", 10_000)];
        book.copies_at = found.map(|(repository, seconds)| (repository.to_owned(), at(seconds))).into();
        let held = book.held("/s", at(200_001)).unwrap();
        assert_eq!(held.copies, [copy("@asked").older_by(1), copy("@shut").older_by(150_001)]);
        assert_eq!((held.at, book.held("/t", at(0)).unwrap().copies), (at(50_000), Vec::new()));
    }

    #[test]
    fn no_more_waits_for_one_who_hears_than_is_said_and_the_oldest_go() {
        let mut book = Book::default();
        book.post("ops", "other", &notice(-1));
        let most = i64::try_from(WAITING_MAX).unwrap();
        let gone: Vec<Waiting> = (0..most + 2).flat_map(|number| book.post("ops", "x", &notice(number))).collect();
        assert_eq!(gone.iter().map(|gone| gone.notice.at.seconds).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(book.waiting.len(), WAITING_MAX + 1);
        assert_eq!(book.waiting.last().unwrap().notice.at.seconds, most + 1);
    }
}
