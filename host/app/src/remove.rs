//! Removal of snapshots, with a verdict.
//!
//! Owned here: when a removal counts as done. Refused here: how it is done (`credenza_engine::remove`), which snapshots go (`prune`, a
//! person).

use credenza_engine::SnapshotHandle;
use credenza_engine::remove::{self, RemoveReport};
use credenza_format::SigningKey;
use credenza_model::SnapshotId;

use crate::error::Result;
use crate::place::PlaceLabel;
use crate::repository::OpenRepository;

/// A removal that did less than it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemovalError {
    /// Snapshots are gone and nothing says so, so that an audit will miss them; others that were to go may be there.
    #[error("{removed} of {asked} snapshots are removed, and no record of it could be written")]
    Unrecorded {
        /// The repository.
        place: PlaceLabel,
        /// How many are gone.
        removed: usize,
        /// How many were to go.
        asked: usize,
        /// Why.
        reason: String,
    },
    /// The store refuses to delete some.
    #[error("the store refused to delete {count} snapshots, {first} the first")]
    Refused {
        /// How many.
        count: usize,
        /// One of them.
        first: SnapshotId,
        /// Why it is.
        reason: String,
    },
}

/// What became of a removal.
#[derive(Debug)]
pub struct Removal {
    /// Snapshots that are gone.
    pub removed: Vec<SnapshotId>,
    /// Whether that is all that should be.
    pub verdict: Result<(), RemovalError>,
}

/// Removes snapshots; the record of it is signed if there is a key.
///
/// # Errors
/// When the store cannot be reached, and with the keys of a writer. What was removed in part is an answer, whose verdict is an error.
pub async fn remove_all(
    open: &OpenRepository,
    snapshots: &[SnapshotHandle],
    signing_key: Option<&SigningKey>,
) -> Result<Removal> {
    let RemoveReport { removed, refused, unrecorded } = remove::run(&open.repository, snapshots, signing_key).await?;
    let verdict = match (refused.first(), unrecorded) {
        (None, None) => Ok(()),
        (None, Some(reason)) => {
            let (place, asked) = (open.place.label(), snapshots.len());
            Err(RemovalError::Unrecorded { place, removed: removed.len(), asked, reason })
        }
        (Some((first, reason)), _) => {
            Err(RemovalError::Refused { count: refused.len(), first: *first, reason: reason.clone() })
        }
    };
    Ok(Removal { removed, verdict })
}
