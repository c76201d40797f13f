//! The guard of a job: whether what a run found looks as if somebody had destroyed or encrypted its source, and what follows.
//!
//! Owned here: the limits of a job and the judgement by them ([`judge`], pure), the flag on a suspect snapshot, and clearing it ([`acknowledge`]). Refused
//! here: counting (`credenza_engine::turnover`), notes (`credenza_engine::flags`), what retention makes of them (`prune`). Called by `run`, by the command
//! line and by the page.
//!
//! A suspect snapshot is kept like any other. It says nothing of the snapshots before it: those are what is restored. The judgement goes by the snapshot
//! before, so that only the first of an attack is suspect; retention of the source stands still until somebody has looked.
//!
//! Floors keep small sources from being suspect by a few files: [`FILES_MIN`], [`BYTES_MIN`], [`TURNED_MIN`] and [`TURNED_BYTES_MIN`].

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use credenza_engine::flags::{Flags, put_flag};
use credenza_engine::turnover::{self, Turnover};
use credenza_engine::{Repository, RunContext, SnapshotHandle, Snapshots};
use credenza_format::Verdict;
use credenza_model::{SnapshotId, Timestamp};

use super::keys::{GUARD_CHANGED, GUARD_INCOMPRESSIBLE, GUARD_SHRINK};
use super::reader::Part;
use crate::error::Error;

/// A source with fewer files is not judged by how many are gone or changed.
const FILES_MIN: u64 = 20;
/// A source with fewer bytes is not judged by how many are gone.
const BYTES_MIN: u64 = 1024 * 1024;
/// Fewer files that turned incompressible are no sign …
const TURNED_MIN: u64 = 10;
/// … unless they have so many bytes.
const TURNED_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// From which shares on a snapshot is suspect, and how many snapshots one run may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Of the files or the bytes that were there, in percent: gone.
    pub shrink: u32,
    /// Of the files that were there, in percent: gone or with another content.
    pub changed: u32,
    /// Of the files with another content, in percent: hardly compressible now, and well before.
    pub incompressible: u32,
    /// Snapshots that a run may remove.
    pub delete_max: Option<u32>,
}

impl Guard {
    /// Reads the table of a job.
    pub(super) fn read(part: &Part<'_>) -> Option<Self> {
        let part = part.part("guard")?;
        let share = |key: &str, usual| part.parsed(key, parse_percent).unwrap_or(usual);
        Some(Self {
            shrink: share("shrink", GUARD_SHRINK),
            changed: share("changed", GUARD_CHANGED),
            incompressible: share("incompressible", GUARD_INCOMPRESSIBLE),
            delete_max: part.count("delete_max", 0..=u32::MAX),
        })
    }
}

/// `40%`.
fn parse_percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    let percent = number.filter(|percent| (1..=100).contains(percent));
    percent.ok_or_else(|| "it is no share: write one from 1% to 100%, such as 40%".to_owned())
}

/// Why a snapshot is suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// So many of so many files are gone.
    Gone(u64, u64),
    /// There were so many bytes, and now there are so many.
    Shrunk(u64, u64),
    /// So many of so many files are gone or have another content.
    Changed(u64, u64),
    /// So many of so many files with another content are hardly compressible, and were well before.
    Turned(u64, u64),
}

impl Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(gone, all) => write!(f, "{gone} of {all} files are gone"),
            Self::Shrunk(before, after) => write!(f, "{after} bytes are left of {before}"),
            Self::Changed(changed, all) => write!(f, "{changed} of {all} files are gone or have another content"),
            Self::Turned(turned, all) => {
                write!(f, "{turned} of {all} changed files no longer compress, as if they were encrypted")
            }
        }
    }
}

/// What of a turnover is more than a guard lets pass.
#[must_use]
pub fn judge(guard: &Guard, turnover: &Turnover) -> Vec<Suspicion> {
    let Turnover { files_before, bytes_before, bytes_after, gone, modified, compared, turned, turned_bytes } =
        *turnover;
    let (has_files, has_bytes) = (files_before >= FILES_MIN, bytes_before >= BYTES_MIN);
    let (lost, changed) = (bytes_before.saturating_sub(bytes_after), gone.saturating_add(modified));
    let has_turned = turned >= TURNED_MIN || turned_bytes >= TURNED_BYTES_MIN;
    [
        (has_files && reaches(gone, files_before, guard.shrink), Suspicion::Gone(gone, files_before)),
        (has_bytes && reaches(lost, bytes_before, guard.shrink), Suspicion::Shrunk(bytes_before, bytes_after)),
        (has_files && reaches(changed, files_before, guard.changed), Suspicion::Changed(changed, files_before)),
        (has_turned && reaches(turned, compared, guard.incompressible), Suspicion::Turned(turned, compared)),
    ]
    .into_iter()
    .filter_map(|(is_so, suspicion)| is_so.then_some(suspicion))
    .collect()
}

fn reaches(part: u64, whole: u64, percent: u32) -> bool {
    part > 0 && u128::from(part) * 100 >= u128::from(whole) * u128::from(percent)
}

/// Judges a snapshot by the one that it was compared with when it was made, and flags it where it is suspect: then why, for a person.
///
/// # Errors
/// When the repository cannot be read or written, and with the keys of a writer, who cannot read what was there before.
pub(super) async fn examine(
    repository: &Repository,
    snapshot: SnapshotId,
    guard: &Guard,
    run: &RunContext,
) -> Result<Option<String>, Error> {
    let snapshots = repository.snapshots().await?;
    let Some(after) = handle(&snapshots, snapshot) else { return Ok(None) };
    // Without one before there is nothing to be lost.
    let Some(before) = after.snapshot.parent.and_then(|parent| handle(&snapshots, parent)) else { return Ok(None) };
    let suspicions = judge(guard, &turnover::measure(repository, before, after, run).await?);
    if suspicions.is_empty() {
        return Ok(None);
    }
    let reason = suspicions.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let flags = Flags::load(repository).await?;
    if flags.of(after).is_some() && flags.suspicion(after).is_none() {
        // Somebody has looked at it.
        return Ok(None);
    }
    put_flag(repository, after, Verdict::Suspect, &reason).await?;
    Ok(Some(reason))
}

/// The snapshots of a source that came after the last one that was judged, the oldest first. Where none was, the next is judged by what is there.
pub(super) fn unjudged(snapshots: &Snapshots, source: &str, judged: &BTreeSet<SnapshotId>) -> Vec<SnapshotId> {
    let of_source = snapshots.whole.iter().filter(|handle| handle.snapshot.source.location == source);
    let ids: Vec<SnapshotId> = of_source.map(|handle| handle.snapshot.id).collect();
    let last = ids.iter().rposition(|id| judged.contains(id));
    last.map_or_else(Vec::new, |last| ids.into_iter().skip(last.saturating_add(1)).collect())
}

fn handle(snapshots: &Snapshots, id: SnapshotId) -> Option<&SnapshotHandle> {
    snapshots.whole.iter().find(|handle| handle.snapshot.id == id)
}

/// Which suspect snapshots somebody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// The one whose id begins so.
    At(String),
    /// All that were made until then, by the time of the store.
    Until(Timestamp),
}

/// Suspect snapshots that cannot be cleared as was asked.
#[derive(Debug, thiserror::Error)]
pub enum AcknowledgeError {
    /// No snapshot has an id that begins so.
    #[error("there is no snapshot `{}`", digits.escape_debug())]
    NoSnapshot {
        /// What was asked for.
        digits: String,
    },
    /// It means several.
    #[error("`{digits}` are the first digits of several suspect snapshots")]
    Several {
        /// What was asked for.
        digits: String,
    },
    /// It is as it should be.
    #[error("snapshot {snapshot} is not suspect")]
    NotSuspect {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Nothing is.
    #[error("no snapshot is suspect that was made until {until}")]
    NoneUntil {
        /// The time that was asked for.
        until: Timestamp,
    },
}

/// A snapshot that is, or was, suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Which.
    pub snapshot: SnapshotId,
    /// The location of its source.
    pub source: String,
    /// When it was made, by the time of the store.
    pub time: Option<Timestamp>,
    /// Why it is suspect.
    pub reason: String,
}

/// The suspect snapshots of a repository, oldest first.
///
/// # Errors
/// When the repository cannot be read, and with the keys of a writer.
pub async fn suspects(repository: &Repository) -> Result<Vec<Suspect>, Error> {
    suspects_of(repository, &repository.snapshots().await?).await
}

/// The same, of snapshots that were listed already.
///
/// # Errors
/// As [`suspects`].
pub async fn suspects_of(repository: &Repository, snapshots: &Snapshots) -> Result<Vec<Suspect>, Error> {
    Ok(told_by(&Flags::load(repository).await?, snapshots))
}

/// The suspect snapshots of a repository, and an error where a note cannot be read that may name more: whoever says that none is left must not miss one.
///
/// # Errors
/// As [`suspects`].
pub(super) async fn all_suspects(repository: &Repository) -> Result<Vec<Suspect>, Error> {
    let flags = Flags::load(repository).await?;
    flags.require_whole()?;
    Ok(told_by(&flags, &repository.snapshots().await?))
}

fn told_by(flags: &Flags, snapshots: &Snapshots) -> Vec<Suspect> {
    let suspect = |(handle, flag): (&SnapshotHandle, &credenza_engine::flags::Flag)| Suspect {
        snapshot: handle.snapshot.id,
        source: handle.snapshot.source.location.clone(),
        time: handle.time(),
        reason: flag.reason.clone(),
    };
    flags.suspects(snapshots).map(suspect).collect()
}

/// Clears suspect snapshots that somebody has looked at: retention of their sources goes on where no other is suspect. Which ones they were.
///
/// # Errors
/// [`AcknowledgeError`]; and when the repository cannot be read or written.
pub async fn acknowledge(repository: &Repository, looked: &Looked, by: &str) -> Result<Vec<Suspect>, Error> {
    let all = suspects(repository).await?;
    let snapshots = repository.snapshots().await?;
    let meant: Vec<Suspect> = match looked {
        Looked::At(digits) => vec![the_one(all, &snapshots, digits)?],
        Looked::Until(until) => {
            let meant: Vec<_> =
                all.into_iter().filter(|suspect| suspect.time.is_none_or(|time| time <= *until)).collect();
            if meant.is_empty() {
                return Err(AcknowledgeError::NoneUntil { until: *until }.into());
            }
            meant
        }
    };
    for suspect in &meant {
        if let Some(handle) = handle(&snapshots, suspect.snapshot) {
            put_flag(repository, handle, Verdict::Cleared, &format!("{by} has looked at it; {}", suspect.reason))
                .await?;
        }
    }
    Ok(meant)
}

fn the_one(all: Vec<Suspect>, snapshots: &Snapshots, digits: &str) -> Result<Suspect, AcknowledgeError> {
    let begins = |id: &SnapshotId| id.to_string().starts_with(digits);
    let mut meant = all.into_iter().filter(|suspect| begins(&suspect.snapshot));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(AcknowledgeError::Several { digits: digits.to_owned() }),
        (None, _) => {
            let other = snapshots.whole.iter().map(|handle| handle.snapshot.id).find(|id| begins(id));
            Err(other.map_or_else(
                || AcknowledgeError::NoSnapshot { digits: digits.to_owned() },
                |snapshot| AcknowledgeError::NotSuspect { snapshot },
            ))
        }
    }
}

#[cfg(test)]
mod tests;
