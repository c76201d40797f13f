//! What a run tells while it runs. Listeners print, draw or record; the engine does none of it.

use credenza_model::{Key, SnapshotId};
use serde::Serialize;

use crate::{Conflict, Damage, Standing};

/// The part of a run that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

impl Phase {
    /// The words for a person.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Reading => "reading",
            Self::Committing => "committing",
            Self::Copying => "copying",
            Self::Restoring => "restoring",
            Self::Archiving => "writing the archive",
            Self::Collecting => "reclaiming space",
            Self::Repairing => "repairing",
            Self::CheckingStructure => "checking structure",
            Self::CheckingData => "checking data",
            Self::Auditing => "auditing",
        }
    }
}

/// Something that happened. As data it has a `type` and the fields of its kind; a key as [`Key`] says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A part of the run has begun.
    Phase {
        /// Which.
        phase: Phase,
    },
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
        #[serde(flatten)]
        key: Key,
        /// Why.
        reason: String,
    },
    /// How an entry stands to what is at the destination, where a restore is only tried.
    Compared {
        /// How.
        standing: Standing,
        /// Which.
        #[serde(flatten)]
        key: Key,
        /// Bytes of its content.
        bytes: u64,
    },
    /// Something at the destination was left as it is; the run goes on.
    Left {
        /// Why.
        conflict: Conflict,
        /// Which.
        #[serde(flatten)]
        key: Key,
    },
    /// An entry was given up, and what was sent of it stays at the destination until its service removes it.
    PartsLeft {
        /// Which.
        #[serde(flatten)]
        key: Key,
    },
    /// Damage was found; the run goes on where it can.
    Damage(Damage),
    /// A snapshot was committed.
    Committed {
        /// Which.
        snapshot: SnapshotId,
    },
    /// A run ends early, and what it has uploaded is in the repository for the next, which uploads the rest only.
    Kept {
        /// Bytes that the next run need not upload again.
        bytes: u64,
    },
}

/// Receives the events of a run, from any thread; must not block for long.
pub trait Listener: Send + Sync {
    /// One event.
    fn on(&self, event: Event);

    /// Whether anybody is shown how far a run is: what a run would find out for that alone, it does not otherwise.
    fn shows_progress(&self) -> bool {
        true
    }
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Listener for NoEvents {
    fn on(&self, _: Event) {}

    fn shows_progress(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use credenza_model::ChunkId;

    use super::*;
    use crate::DamageKind;

    #[test]
    fn an_event_is_one_object_with_its_type_first() {
        let failed = |key: &[u8]| Event::EntryFailed { key: Key::new(key), reason: "r".to_owned() };
        let damage = |chunk| {
            Event::Damage(Damage {
                object: "o".to_owned(),
                kind: DamageKind::MissingLink,
                chunk,
                detail: "d".to_owned(),
            })
        };
        let chunk = ChunkId::new([1; 32]);
        let reported = [
            (Event::Phase { phase: Phase::CheckingData }, r#"{"type":"phase","phase":"checking-data"}"#.to_owned()),
            (Event::Expected { entries: 1, bytes: 2 }, r#"{"type":"expected","entries":1,"bytes":2}"#.to_owned()),
            (Event::Progress { entries: 1, bytes: 2 }, r#"{"type":"progress","entries":1,"bytes":2}"#.to_owned()),
            (failed(b"a\"b"), r#"{"type":"entry_failed","key":"a\"b","reason":"r"}"#.to_owned()),
            (failed(b"\xff"), r#"{"type":"entry_failed","key_base64":"/w==","reason":"r"}"#.to_owned()),
            (Event::PartsLeft { key: Key::from("a") }, r#"{"type":"parts_left","key":"a"}"#.to_owned()),
            (damage(None), r#"{"type":"damage","object":"o","kind":"missing-link","detail":"d"}"#.to_owned()),
            (
                damage(Some(chunk)),
                format!(r#"{{"type":"damage","object":"o","kind":"missing-link","chunk":"{chunk}","detail":"d"}}"#),
            ),
            (Event::Kept { bytes: 7 }, r#"{"type":"kept","bytes":7}"#.to_owned()),
        ];
        for (event, line) in reported {
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
        }
    }
}
