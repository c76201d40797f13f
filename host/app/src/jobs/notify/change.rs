//! What changed: what is found in, notices out. Pure: it knows no clock, no file and no network.
//!
//! Owned here: which states there are, and that each is said when it begins and when it ends, once. Refused here: how a state is found out.
//!
//! A subject of which nothing is known counts as well: to be well is said of nothing that was not bad before. Bound: a few words for each subject that is
//! not well.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use credenza_model::Timestamp;
use serde::{Deserialize, Serialize};

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// A promise is kept, and will not be for long.
    PromiseAtRisk,
    /// A promise is broken.
    PromiseBroken,
    /// A job makes no backups.
    Failed,
    /// A job makes backups, and does not do all that it should.
    Incomplete,
    /// What is stored is damaged.
    Damage,
    /// A snapshot looks as if somebody had destroyed its source.
    Suspect,
    /// A copy is longer behind than it may be.
    CopyBehind,
    /// The origin of copies gets no new snapshots.
    SourceSilent,
    /// All is well again.
    Recovered,
    /// What happened over a while.
    Digest,
    /// Somebody asked for it.
    Test,
}

impl Word {
    /// Those that a section may name, each with its name.
    pub const NAMED: [(&'static str, Self); 9] = [
        ("promise-at-risk", Self::PromiseAtRisk),
        ("promise-broken", Self::PromiseBroken),
        ("failed", Self::Failed),
        ("incomplete", Self::Incomplete),
        ("damage", Self::Damage),
        ("suspect", Self::Suspect),
        ("copy-behind", Self::CopyBehind),
        ("source-silent", Self::SourceSilent),
        ("recovered", Self::Recovered),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Test => "test",
            word => Self::NAMED.iter().find(|(_, named)| *named == word).map_or("", |(name, _)| name),
        }
    }
}

/// What a state is the state of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum Subject {
    /// The runs of a job.
    Job {
        /// The job.
        job: String,
    },
    /// What a job promises of a source.
    Promise {
        /// The job.
        job: String,
        /// The source, as its snapshots have it.
        source: String,
    },
    /// What a `[promise.NAME]` promises of a source.
    Needs {
        /// Its name.
        promise: String,
        /// The source, as its snapshots have it.
        source: String,
    },
    /// What is stored in a repository.
    Repository {
        /// As a job names it.
        repository: String,
    },
    /// What a job found its source to be.
    Guard {
        /// The job.
        job: String,
        /// The source, as its snapshots have it.
        source: String,
    },
    /// A copy that a policy of replication keeps.
    Copy {
        /// The policy: `replicate.NAME`.
        policy: String,
        /// The target, as it is written.
        target: String,
    },
    /// What a policy of replication copies.
    Origin {
        /// The policy: `replicate.NAME`.
        policy: String,
    },
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job { job } => write!(f, "the job `{job}`"),
            Self::Promise { job, source } => write!(f, "the promise of `{job}` for {source}"),
            Self::Needs { promise, source } => write!(f, "the promise `{promise}` for {source}"),
            Self::Repository { repository } => write!(f, "the repository {repository}"),
            Self::Guard { job, source } => write!(f, "{source}, which `{job}` backs up"),
            Self::Copy { policy, target } => write!(f, "the copy of `{policy}` in {target}"),
            Self::Origin { policy } => write!(f, "the origin of `{policy}`"),
        }
    }
}

/// Something that is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The same each time that it is sent.
    pub id: String,
    /// When it was found.
    pub at: Timestamp,
    /// What it says.
    pub word: Word,
    /// Of what; none of a digest and a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// A sentence or more for a person, with what to do.
    pub text: String,
}

/// What was found of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Of what.
    pub subject: Subject,
    /// What is bad; nothing where it is well.
    pub word: Option<Word>,
    /// Why, for a person.
    pub text: String,
}

/// A state that is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// Which.
    pub word: Word,
    /// Since when.
    pub since: Timestamp,
}

/// What is bad, by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States(pub BTreeMap<Subject, Bad>);

impl States {
    /// Takes what was found: the notice that is to be sent, where that is a change.
    pub fn observe(&mut self, found: Found, now: Timestamp) -> Option<Notice> {
        let Found { subject, word, text } = found;
        let before = self.0.get(&subject).copied();
        let (said, text) = match (before, word) {
            (None, None) => return None,
            (Some(bad), Some(word)) if bad.word == word => return None,
            (_, Some(word)) => (word, text),
            (Some(bad), None) => (Word::Recovered, format!("{text} It was {} since {}.", bad.word.name(), bad.since)),
        };
        match word {
            Some(word) => drop(self.0.insert(subject.clone(), Bad { word, since: now })),
            None => drop(self.0.remove(&subject)),
        }
        let seed = format!("{subject:?} {said:?} {now:?}");
        let id = blake3::hash(seed.as_bytes()).to_hex().chars().take(ID_DIGITS).collect();
        Some(Notice { id, at: now, word: said, subject: Some(subject), text })
    }
}

/// Digits of a notice's id.
const ID_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn said(states: &mut States, at: i64, job: &str, word: Option<Word>) -> Option<Word> {
        let found = Found { subject: Subject::Job { job: job.to_owned() }, word, text: "Why.".to_owned() };
        states.observe(found, time(at)).map(|notice| notice.word)
    }

    #[test]
    fn a_state_is_said_when_it_begins_and_when_it_ends_and_at_no_other_time() {
        let mut states = States::default();
        let found = [None, Some(Word::Failed), Some(Word::Failed), Some(Word::Damage), None, None, Some(Word::Failed)];
        let heard: Vec<Option<Word>> = found
            .into_iter()
            .enumerate()
            .map(|(at, word)| said(&mut states, i64::try_from(at).unwrap(), "a", word))
            .collect();
        let failed = Some(Word::Failed);
        assert_eq!(heard, [None, failed, None, Some(Word::Damage), Some(Word::Recovered), None, failed]);
        assert_eq!(said(&mut states, 9, "b", Some(Word::Failed)), failed, "another subject is another state");
    }

    #[test]
    fn what_is_well_again_says_since_when_it_was_not() {
        let mut states = States::default();
        said(&mut states, 0, "a", Some(Word::Failed));
        let found = Found { subject: Subject::Job { job: "a".to_owned() }, word: None, text: "It runs.".to_owned() };
        let notice = states.observe(found, time(60)).unwrap();
        assert_eq!(notice.text, format!("It runs. It was failed since {}.", time(0)));
    }

    proptest::proptest! {
        /// Whatever is found in whatever order: of one subject no two notices in a row are the same, and what is well is never said first.
        #[test]
        fn no_state_is_said_twice_in_a_row(found in proptest::collection::vec((0..3_u8, 0..4_usize), 0..60)) {
            let words = [None, Some(Word::Failed), Some(Word::Damage), Some(Word::Incomplete)];
            let mut states = States::default();
            let mut last: BTreeMap<u8, Word> = BTreeMap::new();
            for (at, (job, word)) in found.into_iter().enumerate() {
                let Some(heard) = said(&mut states, i64::try_from(at).unwrap(), &job.to_string(), words[word]) else { continue };
                let before = last.insert(job, heard);
                proptest::prop_assert_ne!(before, Some(heard));
                proptest::prop_assert!(before.is_some() || heard != Word::Recovered);
            }
        }
    }
}
