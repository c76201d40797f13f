//! Groups: the parts of backups that many processes share, as they wait to be merged.
//!
//! Owned here: which parts belong together, and which are missing. Refused here: making and joining them (`shards`). Called by `shards`, and by `gc`, which
//! spares what they need.
//!
//! Bound: the snapshots that are parts.

use std::collections::BTreeMap;

use credenza_format::{Hex, Part};
use credenza_model::Timestamp;

use crate::repository::{SnapshotHandle, Snapshots};

/// Most processes that share one backup: each costs a snapshot until they are merged.
pub const SHARDS_MAX: u32 = 10_000;

/// The parts of one backup that are there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    /// Which.
    pub group: Hex<[u8; 16]>,
    /// The source, as the user wrote its location.
    pub source: String,
    /// How many parts there are to be.
    pub of: u32,
    /// Numbers of those that are not there, from 0.
    pub missing: Vec<u32>,
    /// When the first of those that are there was begun.
    pub since: Timestamp,
    /// Of the source, so that no other has it.
    #[serde(skip)]
    pub(crate) identity: String,
    /// The newest of each number.
    #[serde(skip)]
    pub(crate) parts: Vec<(Part, SnapshotHandle)>,
    /// All of them.
    #[serde(skip)]
    pub(crate) all: Vec<SnapshotHandle>,
}

/// What parts are of: a group, a source, and how many shares it has.
type Whole<'a> = ([u8; 16], &'a str, u32);
/// Parts, and the snapshots that have them.
type Parts<'a> = Vec<(&'a Part, &'a SnapshotHandle)>;

/// The groups that wait to be merged, by their ids.
#[must_use]
pub fn groups(snapshots: &Snapshots) -> Vec<Group> {
    let mut found: BTreeMap<Whole<'_>, Parts<'_>> = BTreeMap::new();
    for handle in &snapshots.parts {
        if let Some(part) = &handle.snapshot.part {
            let of = (part.group.0, handle.snapshot.source.identity.as_str(), part.of);
            found.entry(of).or_default().push((part, handle));
        }
    }
    let group = |((group, identity, of), all): (Whole<'_>, Parts<'_>)| {
        // Oldest first: the newest of a number stays.
        let newest: BTreeMap<u32, _> = all.iter().map(|(part, handle)| (part.number, (*part, *handle))).collect();
        Group {
            group: Hex(group),
            source: all.first().map(|(_, handle)| handle.snapshot.source.location.clone()).unwrap_or_default(),
            of,
            missing: (0..of.min(SHARDS_MAX)).filter(|number| !newest.contains_key(number)).collect(),
            since: all.iter().map(|(_, handle)| handle.snapshot.started).min().unwrap_or_default(),
            identity: identity.to_owned(),
            parts: newest.into_values().map(|(part, handle)| (part.clone(), handle.clone())).collect(),
            all: all.into_iter().map(|(_, handle)| handle.clone()).collect(),
        }
    };
    found.into_iter().map(group).collect()
}
