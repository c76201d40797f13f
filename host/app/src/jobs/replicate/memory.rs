//! What a policy has seen of its origin at the end of its last run, by target: by it one knows what has vanished since, and what is yet to be proven.
//!
//! Where a run found that a target lacks nothing and that all it has is proven, it is also remembered how both looked ([`Settled`]): as long as they look the same there is
//! nothing to do, but for once a day, and when a trial is due.
//!
//! It is a file on this machine that may be deleted: then nothing has vanished, and all is proven again. Bound: an id for each snapshot of the origin and
//! target.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use credenza_format::Digest;
use credenza_model::{SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::error::JobsError;
use super::super::outcome::{Replicated, Step};
use super::super::sections::replicate::Proving;

/// After so many seconds all is looked at again, however still both sides are.
const SETTLED_SECONDS: i64 = 24 * 3600;

/// What was seen, by target.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    #[serde(skip)]
    path: PathBuf,
    targets: BTreeMap<String, Seen>,
}

/// What was seen when a target was carried to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The snapshots of the origin that are meant.
    pub(super) origin: BTreeSet<SnapshotId>,
    /// The newest that the target had when all that it had was proven.
    pub(super) proven: Option<SnapshotId>,
    /// The origin was rolled back or cut, and nobody has said that this is meant.
    #[serde(default)]
    pub(super) has_retreated: bool,
    /// How both sides looked when there was nothing left to do.
    #[serde(default)]
    pub(super) settled: Option<Settled>,
}

/// How both sides of a copy looked when there was nothing left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settled {
    origin: Digest,
    pub(super) target: Digest,
    /// By which rules nothing was left to do.
    rules: Digest,
    from: Timestamp,
    until: Timestamp,
    newest_there: Option<Timestamp>,
    newest_here: Option<Timestamp>,
}

impl Settled {
    /// Remembers how both looked, and what the run has put on record; nothing of a copy that is behind, and where a trial is due at once. `now` is when it was looked.
    pub(super) fn of(
        (origin, target): (Digest, Digest),
        rules: Digest,
        step: &Step,
        now: Timestamp,
        (proving, drilled): (Proving, Option<Timestamp>),
    ) -> Option<Self> {
        let Step::Replicated(Replicated { newest_there, newest_here, behind_since: None, .. }) = *step else {
            return None;
        };
        let next = now.seconds.saturating_add(SETTLED_SECONDS);
        let until = match proving {
            Proving::Drill(every) => {
                let due = drilled?.seconds.saturating_add(i64::try_from(every.as_secs()).unwrap_or(i64::MAX));
                next.min(due)
            }
            Proving::List | Proving::Audit => next,
        };
        let until = Timestamp { seconds: until, ..now };
        Some(Self { origin, target, rules, from: now, until, newest_there, newest_here })
    }

    /// Whether it may hold still: the origin is as it was, the rules are, and it is not time for another look. A clock that was set back is not believed.
    pub(super) fn holds(&self, origin: &Digest, rules: &Digest, now: Timestamp) -> bool {
        self.origin == *origin && self.rules == *rules && (self.from..self.until).contains(&now)
    }

    /// What is on record of a run that found it so.
    pub(super) fn step(&self, target: &str) -> Step {
        Step::Replicated(Replicated {
            target: target.to_owned(),
            copied: 0,
            bytes: 0,
            lacking: 0,
            lag_bytes: 0,
            seconds: 0,
            newest_there: self.newest_there,
            newest_here: self.newest_here,
            behind_since: None,
        })
    }
}

impl Memory {
    /// What the file holds; one that cannot be understood holds nothing.
    pub(super) fn read(path: PathBuf) -> Self {
        let read = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        Self { path, ..read.unwrap_or_default() }
    }

    pub(super) fn of(&self, target: &str) -> Seen {
        self.targets.get(target).cloned().unwrap_or_default()
    }

    /// Remembers what was seen of a target, on the disk.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn keep(&mut self, target: &str, seen: Seen) -> Result<(), JobsError> {
        self.targets.insert(target.to_owned(), seen);
        let path = &self.path;
        self.write().map_err(|source| JobsError::State { path: path.clone(), doing: "written", source })
    }

    fn write(&self) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().sync_data()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
