//! What of a listing the user does not want.
//!
//! Owned here: that a folder is judged once for all that lies in it. Refused here: what the patterns mean (`connect`). Called by the join.

use credenza_connect::Patterns;
use credenza_model::Key;

/// Judges the keys of a listing; quickly when those of one folder come together.
pub(crate) struct Sieve {
    excludes: Patterns,
    /// The folder of the key before, and whether all in it is left out.
    folder: Vec<u8>,
    is_left_out: bool,
}

impl Sieve {
    pub(crate) fn new(excludes: Patterns) -> Self {
        Self { excludes, folder: Vec::new(), is_left_out: false }
    }

    /// Whether the key, or a folder that it lies in, is left out.
    pub(crate) fn holds_back(&mut self, key: &Key) -> bool {
        let key = key.as_bytes();
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
        let mut sieve = Sieve::new(excludes.clone());
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
}
