//! What a run did, and how it ended: the words of the record, of hooks and of what is printed.

use std::collections::BTreeMap;

use credenza_engine::mirror::Held;
use credenza_model::{SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cost::Bill;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// All is done.
    Done,
    /// There are snapshots, and something could not be read, removed or reclaimed.
    Incomplete,
    /// There are snapshots, and the repository is damaged.
    Damaged,
    /// Its budget is spent: what it has done is kept, and the next run goes on.
    Spent,
    /// A source could not be backed up.
    Failed,
    /// A hook before the backup failed, so that it was not made.
    Refused,
    /// The repository could not be opened or written.
    Unreachable,
    /// Another run was at work there.
    Busy,
    /// It was asked to end.
    Interrupted,
    /// Its process ended in the midst of it.
    Lost,
}

impl Ending {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Damaged => "damaged",
            Self::Spent => "spent",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// Whether there is a backup.
    #[must_use]
    pub const fn has_backup(self) -> bool {
        matches!(self, Self::Done | Self::Incomplete | Self::Damaged)
    }

    /// Whether the due time is done with, so that whoever starts next does not find it due.
    #[must_use]
    pub const fn is_for_good(self) -> bool {
        !matches!(self, Self::Unreachable | Self::Busy | Self::Interrupted | Self::Lost)
    }
}

/// Something that a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "lowercase")]
pub enum Step {
    /// A source was backed up.
    BackedUp {
        /// Its location.
        source: String,
        /// The snapshot; none where nothing had changed and none was to be made then.
        snapshot: Option<SnapshotId>,
        /// Entries in it.
        entries: u64,
        /// Entries that could not be read.
        errors: u64,
        /// Bytes that were read.
        bytes_read: u64,
        /// Bytes that were added to the repository.
        bytes_added: u64,
    },
    /// Snapshots were removed.
    Pruned {
        /// How many stay.
        kept: usize,
        /// How many went.
        removed: usize,
    },
    /// Space was reclaimed.
    Maintained {
        /// Bytes.
        bytes_freed: u64,
    },
    /// A repository was verified, and packs of it were read again.
    Verified {
        /// Packs that are there.
        packs: u64,
        /// Packs that were read.
        packs_read: u64,
        /// Bytes of them.
        bytes_read: u64,
        /// What is damaged.
        damages: u64,
        /// Packs that were due and were not read, since the budget was spent.
        packs_due: u64,
        /// When the pack was read that waits the longest; nothing where none ever was.
        oldest: Option<Timestamp>,
        /// Seconds in which all is read once at this budget.
        all_in: u64,
    },
    /// A sample was restored for trial and compared.
    Drilled {
        /// The snapshot; none where there is none to restore.
        snapshot: Option<SnapshotId>,
        /// Entries that were restored.
        entries: u64,
        /// Bytes of them.
        bytes: u64,
        /// Entries that did not come back as they were.
        errors: u64,
    },
    /// A hook ran.
    Hooked {
        /// The program.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// A source had been backed up by a run for the same due time that did not come to its end.
    Found {
        /// Its location.
        source: String,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Entries that could not be read.
        #[serde(default)]
        errors: u64,
    },
    /// What the run has spent, at its end.
    Spent {
        /// Over the repository and all sources.
        bill: Bill,
    },
    /// A snapshot is suspect: it is kept and flagged, and nothing of its source is removed until it is acknowledged.
    Suspect {
        /// The location of the source.
        source: String,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        reason: String,
    },
    /// More snapshots were to be removed than a run of this job may: none was.
    Held {
        /// How many.
        removals: usize,
        /// How many a run may remove.
        delete_max: u32,
    },
    /// Snapshots were carried to a target.
    Replicated(Replicated),
    /// What a target has was proven, or not.
    Proven {
        /// The target, as it is written.
        target: String,
        /// When the newest snapshot was made that is proven; nothing where none is.
        until: Option<Timestamp>,
        /// Packs that were read for it.
        packs_read: u64,
        /// What is damaged.
        damages: u64,
    },
    /// More snapshots are gone at the origin than may vanish: nothing is removed at the target until it is said that this is meant.
    Vanished {
        /// The target, as it is written.
        target: String,
        /// How many are gone since the last run.
        gone: u64,
        /// How many may be.
        vanish_max: u32,
    },
    /// A target was made to be a cut, or was left as it is.
    Mirrored(Mirrored),
    /// Something failed.
    Failed {
        /// What was being done.
        doing: String,
        /// Why it failed.
        reason: String,
    },
}

/// What a run has carried to a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicated {
    /// The target, as it is written.
    pub target: String,
    /// Snapshots that have arrived.
    pub copied: u64,
    /// Bytes of their chunks that went over, as they are stored: what the lag was before.
    pub bytes: u64,
    /// Snapshots that it is to have and lacks still, because something that they need is damaged.
    pub lacking: u64,
    /// Bytes that carrying these adds.
    #[serde(default)]
    pub lag_bytes: u64,
    /// Seconds that it took.
    pub seconds: u64,
    /// When the newest snapshot was made that is meant, at the origin.
    pub newest_there: Option<Timestamp>,
    /// And of those that the target has.
    pub newest_here: Option<Timestamp>,
    /// Since when the copy is behind; nothing where it has the newest.
    pub behind_since: Option<Timestamp>,
}

/// What a run did at a target of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirrored {
    /// The target, as it is written.
    pub target: String,
    /// The cut.
    pub cut: SnapshotId,
    /// When that was made.
    pub cut_made: Timestamp,
    /// Why nothing was done.
    pub held: Option<Held>,
    /// Objects that were not there.
    pub new: u64,
    /// Objects that were as an older cut has them.
    pub changed: u64,
    /// Objects that were as the cut has them.
    pub same: u64,
    /// Objects that were removed.
    pub removed: u64,
    /// Objects that the source no longer has and that are there still.
    pub kept: u64,
    /// Of `new`, those that somebody had removed.
    pub missing: u64,
    /// Objects of the cut that somebody else had put there or changed.
    pub foreign: u64,
    /// Objects that are nobody's.
    pub extra: u64,
    /// Objects of the cut that the target has not.
    pub lacking: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Attributes that the target could not hold, with the objects that lost each.
    pub lost: BTreeMap<String, u64>,
}
