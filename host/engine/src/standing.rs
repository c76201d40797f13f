//! Standing: how an entry of a snapshot stands to what is at a destination, in words that events and reports share.
//!
//! Owned here: the words. Refused here: finding out (`restore`). Called by `restore` and by whoever prints.

use credenza_model::Key;

/// Keys that are named of a kind of conflict.
const EXAMPLES_MAX: usize = 3;

/// What becomes of an entry at the destination, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing is there.
    New,
    /// What is there has other content, or is something else, and is replaced.
    Changed,
    /// The content is there; times, mode, owner or attributes are set.
    Attributes,
    /// It is there as it was.
    Identical,
    /// It is there, and not in the snapshot.
    Extra,
}

/// Why what is at the destination was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// A file has other content, a link another target, a device another number.
    Content,
    /// A file is where the snapshot has a folder, a link where it has a file, and so on.
    Kind,
    /// It lies below something that is no folder, or could not be made one.
    Below,
    /// Its content was written to while it was compared.
    Changing,
    /// Its content cannot be compared, as that of most objects of a bucket.
    Uncompared,
    /// It is not older than what the snapshot has, and only older ones were to be replaced.
    NotOlder,
    /// Nothing that exists was to be touched.
    Kept,
}

impl Conflict {
    /// Whether whoever restores has asked for what happened, so that nothing is missing.
    #[must_use]
    pub const fn is_wished(self) -> bool {
        matches!(self, Self::NotOlder | Self::Kept)
    }
}

/// Entries that were left for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// How many.
    pub entries: u64,
    /// The first of them in key order, up to three.
    pub examples: Vec<Key>,
}

/// As data, how many.
impl serde::Serialize for Left {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.entries)
    }
}

impl Left {
    /// Adds what was left elsewhere for the same reason.
    pub(crate) fn add_all(&mut self, other: &Self) {
        let entries = self.entries.saturating_add(other.entries);
        other.examples.iter().for_each(|key| self.add(key));
        self.entries = entries;
    }

    pub(crate) fn add(&mut self, key: &Key) {
        self.entries += 1;
        let place = self.examples.partition_point(|known| known < key);
        if place < EXAMPLES_MAX {
            self.examples.insert(place, key.clone());
            self.examples.truncate(EXAMPLES_MAX);
        }
    }
}
