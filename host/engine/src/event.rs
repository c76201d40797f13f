//! What a run tells while it runs. Listeners print, draw or record; the engine does none of it.

use credenza_model::{Key, SnapshotId};

use crate::Damage;

/// The part of a run that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading config, keys and index.
    Opening,
    /// Scanning and reading the source.
    Reading,
    /// Writing the last packs, the index and the snapshot.
    Committing,
    /// Carrying snapshots from one repository to another.
    Copying,
    /// Writing to the destination.
    Restoring,
    /// Writing an archive.
    Archiving,
    /// Reclaiming space.
    Collecting,
    /// Mending what is damaged.
    Repairing,
    /// Verifying structure.
    CheckingStructure,
    /// Verifying every byte.
    CheckingData,
    /// Verifying what needs no key.
    Auditing,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A part of the run has begun.
    Phase(Phase),
    /// How much work is known: of the parent snapshot, of the tree to restore, of the packs to read.
    Expected {
        /// Entries, or objects.
        entries: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Work done since the last event of this kind.
    Progress {
        /// Entries, or objects.
        entries: u64,
        /// Bytes.
        bytes: u64,
    },
    /// An entry could not be read or written; the run goes on.
    EntryFailed {
        /// Which.
        key: Key,
        /// Why.
        reason: String,
    },
    /// Damage was found; the run goes on where it can.
    Damage(Damage),
    /// A snapshot was committed.
    Committed(SnapshotId),
}

/// Receives the events of a run, from any thread; must not block for long.
pub trait Listener: Send + Sync {
    /// One event.
    fn on(&self, event: Event);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Listener for NoEvents {
    fn on(&self, _: Event) {}
}
