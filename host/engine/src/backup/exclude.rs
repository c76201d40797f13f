//! What of a listing the user does not want.
//!
//! Owned here: that a folder is judged once for all that lies in it, files that are too large, and what was listed to be backed up and is not there.
//! Refused here: what patterns and lists mean (`connect`). Called by the join.

use credenza_connect::{Patterns, ScanOptions, Selection};
use credenza_model::{Entry, Key, SkippedEntry};

use super::is_too_large;

const NOT_FOUND: &str = "it was to be backed up, and the source has nothing of that name";

/// Judges the keys of a listing; quickly when those of one folder come together.
pub(crate) struct Sieve {
    excludes: Patterns,
    only: Selection,
    size_max: Option<u64>,
    /// Files held back because of their size.
    too_large: u64,
    /// The folder of the key before, and whether all in it is left out.
    folder: Vec<u8>,
    is_left_out: bool,
}

impl Sieve {
    /// For the listing of these options, of which a source heeds what it can.
    pub(crate) fn new(options: &ScanOptions, size_max: Option<u64>) -> Self {
        let (excludes, only) = (options.excludes.clone(), options.only.clone());
        Self { excludes, only, size_max, too_large: 0, folder: Vec::new(), is_left_out: false }
    }

    /// Whether an entry is left out.
    pub(crate) fn holds_back_entry(&mut self, entry: &Entry) -> bool {
        if self.holds_back(&entry.key) {
            return true;
        }
        let is_too_large = is_too_large(entry, self.size_max);
        self.too_large += u64::from(is_too_large);
        is_too_large
    }

    /// How many files were left out because of their size.
    pub(crate) const fn too_large(&self) -> u64 {
        self.too_large
    }

    /// What was to be backed up, is not left out, and was not among all that was judged.
    pub(crate) fn missing(&self) -> Vec<SkippedEntry> {
        let is_left_out = |key: &Key| {
            let path = key.as_bytes();
            self.excludes.cover(path) || self.excludes.cover(&[path, b"/"].concat())
        };
        let missing = self.only.missing().filter(|key| !is_left_out(key));
        missing.map(|key| SkippedEntry { key: key.clone(), reason: NOT_FOUND.to_owned() }).collect()
    }

    /// Whether the key, or a folder that it lies in, is left out.
    pub(crate) fn holds_back(&mut self, key: &Key) -> bool {
        let key = key.as_bytes();
        if !self.only.selects(key) {
            return true;
        }
        let path = key.strip_suffix(b"/").unwrap_or(key);
        let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let folder = path.get(..end).unwrap_or_default();
        if folder != self.folder {
            self.is_left_out = self.excludes.cover(folder);
            self.folder = folder.to_vec();
        }
        self.is_left_out || self.excludes.name(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_judged_as_one_by_one() {
        let excludes = Patterns::new(["cache/", "!cache/keep", "*.tmp", "/a/b"]).unwrap();
        let mut sieve = Sieve::new(&ScanOptions { excludes: excludes.clone(), ..ScanOptions::default() }, None);
        for key in [
            "",
            "a/",
            "a/b",
            "a/b/c",
            "a/cache/",
            "a/cache/keep",
            "a/cache/x/y",
            "a/d",
            "a/d.tmp",
            "b/cache",
            "c.tmp/d",
        ] {
            assert_eq!(sieve.holds_back(&key.into()), excludes.cover(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn what_is_listed_and_left_out_is_not_missing() {
        let excludes = Patterns::new(["cache/", "*.tmp"]).unwrap();
        let only = Selection::of(["cache/x", "cache", "a.tmp", "gone", "there"]);
        let mut sieve = Sieve::new(&ScanOptions { excludes, only, ..ScanOptions::default() }, None);
        assert!(!sieve.holds_back(&"there".into()) && sieve.holds_back(&"other".into()));
        let missing: Vec<String> = sieve.missing().into_iter().map(|skipped| skipped.key.to_string()).collect();
        assert_eq!(missing, ["gone"]);
    }
}
