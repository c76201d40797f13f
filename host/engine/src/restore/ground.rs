//! Ground: folders that the run has made or could not make, which say of all below them that nothing is there, or that nothing can be.
//!
//! Owned here: remembering them as long as something below may come. Called by `writer`.
//!
//! Bound: the folders of one batch of records, and those above its last.

use std::collections::HashSet;

use credenza_model::Key;

/// What is known of folders at the destination.
#[derive(Default)]
pub(super) struct Ground {
    fresh: HashSet<Key>,
    blocked: HashSet<Key>,
}

impl Ground {
    /// The run has made this folder.
    pub(super) fn made(&mut self, folder: &Key) {
        self.fresh.insert(folder.clone());
    }

    /// This folder is not one at the destination.
    pub(super) fn block(&mut self, folder: &Key) {
        self.blocked.insert(folder.clone());
    }

    /// Whether the run has made it.
    pub(super) fn has_made(&self, folder: &Key) -> bool {
        self.fresh.contains(folder)
    }

    /// Whether the folder that a key lies in was made by the run.
    pub(super) fn is_fresh_for(&self, key: &Key) -> bool {
        folders_above(key).last().is_some_and(|folder| self.fresh.contains(&folder))
    }

    /// Whether something above a key is no folder.
    pub(super) fn blocks(&self, key: &Key) -> bool {
        !self.blocked.is_empty() && folders_above(key).any(|folder| self.blocked.contains(&folder))
    }

    /// Nothing more comes but what is behind `last`.
    pub(super) fn forget_before(&mut self, last: &Key) {
        let may_hold = |folder: &Key| last.as_bytes().starts_with(folder.as_bytes());
        self.fresh.retain(may_hold);
        self.blocked.retain(may_hold);
    }
}

/// The keys of the folders above, the root first.
pub(super) fn folders_above(key: &Key) -> impl Iterator<Item = Key> {
    let inner = super::work::bare(key);
    let ends = inner.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    let ends = (!key.as_bytes().is_empty()).then_some(0).into_iter().chain(ends);
    ends.filter_map(move |end| inner.get(..end)).map(Key::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_below_the_root_and_each_folder_on_the_way() {
        let keys = |key: &str| folders_above(&Key::from(key)).map(|folder| folder.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(""), [""; 0]);
        assert_eq!(keys("a"), [""]);
        assert_eq!(keys("a/"), [""]);
        assert_eq!(keys("a/b/c"), ["", "a/", "a/b/"]);
        assert_eq!(keys("a/b/c/"), ["", "a/", "a/b/"]);
    }
}
