//! Which snapshot a name means, among those that are asked for.
//!
//! Owned here: what `latest` means where snapshots are of several sources, where the newest cannot be read, and where nobody can tell which one
//! it is; and that filters by tags go by the tags that snapshots have now. Refused here: names and ids (`credenza_engine::Snapshots`), and
//! what a person is reported (the program).

use credenza_engine::tags::TagEdits;
use credenza_engine::{Error as EngineError, Repository, SnapshotFilter, SnapshotHandle, SnapshotName, Snapshots};

use crate::error::{Error, Result};

/// A name that means no snapshot for sure.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// There are snapshots, and a filter lets none of them through.
    #[error("none of the {held} snapshots is of that host, source, tag and path")]
    NoneFits {
        /// How many there are.
        held: usize,
    },
    /// `latest` could be of several sources, and what is to be done is not easily taken back.
    #[error("`{name}` could be a snapshot of {} sources", newest.len())]
    ManySources {
        /// The name.
        name: String,
        /// The newest snapshot of each, newest first.
        newest: Vec<SnapshotHandle>,
    },
}

/// Snapshots of which one is to be chosen.
#[derive(Debug)]
pub struct Choice {
    /// Those that are asked for.
    pub snapshots: Snapshots,
    /// Whether some were left out, so that somebody has said which are meant.
    is_filtered: bool,
    or_older: bool,
}

/// A snapshot, and why another may have been meant.
#[derive(Debug)]
pub struct Chosen {
    /// The snapshot.
    pub snapshot: SnapshotHandle,
    /// What a person should know.
    pub doubts: Vec<Doubt>,
}

/// Why another snapshot may have been meant.
#[derive(Debug)]
pub enum Doubt {
    /// There are other sources, of which these are the newest snapshots, newest first.
    OtherSources(Vec<SnapshotHandle>),
    /// It is the newest of the others only, as was asked for.
    Older(EngineError),
    /// It is dated after now.
    Ahead,
}

impl Choice {
    /// Those of the repository that a filter lets through. With `or_older`, `latest` is the newest of the others where the newest cannot be read, or
    /// hangs on a date after now.
    ///
    /// # Errors
    /// [`ChoiceError::NoneFits`]; and when the repository cannot be read.
    pub async fn among(repository: &Repository, filter: &SnapshotFilter, or_older: bool) -> Result<Self> {
        Self::of(repository, repository.snapshots().await?, filter, or_older).await
    }

    /// The same of all snapshots, or an error: for whoever removes some ([`Repository::all_snapshots`]).
    ///
    /// # Errors
    /// As for [`among`](Self::among), and where a snapshot is missing.
    pub async fn among_all(repository: &Repository, filter: &SnapshotFilter) -> Result<Self> {
        Self::of(repository, repository.all_snapshots().await?, filter, false).await
    }

    async fn of(repository: &Repository, all: Snapshots, filter: &SnapshotFilter, or_older: bool) -> Result<Self> {
        let held = all.whole.len();
        let tagged = if filter.tags.is_empty() { all } else { TagEdits::load(repository).await?.apply(all) };
        let snapshots = tagged.filtered(filter);
        if snapshots.whole.is_empty() && held > 0 {
            return Err(ChoiceError::NoneFits { held }.into());
        }
        Ok(Self { snapshots, is_filtered: !filter.is_empty(), or_older })
    }

    /// The one of that name.
    ///
    /// # Errors
    /// As for [`Snapshots::find`].
    pub fn choose(&self, name: &SnapshotName) -> Result<Chosen> {
        let mut chosen = self.named(name)?;
        let newest = self.snapshots.newest_by_source();
        if name.is_latest() && !self.is_filtered && newest.len() > 1 {
            let is_other = |other: &&SnapshotHandle| !is_of_one(other, &chosen.snapshot);
            let others = newest.into_iter().filter(is_other).cloned().collect();
            chosen.doubts.push(Doubt::OtherSources(others));
        }
        Ok(chosen)
    }

    /// The same, for what is not easily taken back: `latest` must say of which source, where there are several.
    ///
    /// # Errors
    /// [`ChoiceError::ManySources`]; and as for [`Snapshots::find`].
    pub fn choose_surely(&self, name: &SnapshotName) -> Result<Chosen> {
        let newest = self.snapshots.newest_by_source();
        if name.is_latest() && !self.is_filtered && newest.len() > 1 {
            let newest = newest.into_iter().cloned().collect();
            return Err(ChoiceError::ManySources { name: name.0.clone(), newest }.into());
        }
        self.named(name)
    }

    fn named(&self, name: &SnapshotName) -> Result<Chosen> {
        let snapshots = &self.snapshots;
        match snapshots.find(name) {
            Err(doubt @ (EngineError::NewestUnreadable { .. } | EngineError::NewestAhead { .. })) if self.or_older => {
                Ok(Chosen { snapshot: snapshots.find_or_older(name)?, doubts: vec![Doubt::Older(doubt)] })
            }
            found => {
                let snapshot = found.map_err(Error::from)?;
                let is_ahead = name.is_latest() && snapshots.is_ahead(&snapshot);
                Ok(Chosen { snapshot, doubts: is_ahead.then_some(Doubt::Ahead).into_iter().collect() })
            }
        }
    }
}

fn is_of_one(a: &SnapshotHandle, b: &SnapshotHandle) -> bool {
    a.snapshot.source.identity == b.snapshot.source.identity
}
