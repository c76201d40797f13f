//! Making entries.

use crate::{Entry, EntryKind};

impl Entry {
    /// An entry with a key and a kind and nothing else known.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self {
            key: key.into(),
            kind,
            size: None,
            modified: None,
            fingerprint: None,
            locator: None,
            version: None,
            link_target: None,
            checksums: Vec::new(),
            attributes: Vec::new(),
        }
    }
}
