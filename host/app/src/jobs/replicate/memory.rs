//! What a policy has seen of its origin at the end of its last run, by target: by it one knows what has vanished since, and what is yet to be proven.
//!
//! It is a file on this machine that may be deleted: then nothing has vanished, and all is proven again. Bound: an id for each snapshot of the origin and
//! target.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use credenza_model::SnapshotId;
use serde::{Deserialize, Serialize};

use super::super::error::JobsError;

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
