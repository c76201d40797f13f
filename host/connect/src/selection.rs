//! A list of paths that alone are wanted of a source.
//!
//! Owned here: what a list lets through, and which of its paths nothing was found for. Refused here: where the list comes from (`app`). Called by the
//! walk of a folder, which does not enter what is not wanted, and by the engine.
//!
//! Memory: the paths, as long as the list is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use credenza_model::Key;

/// Paths of a source with all that lies under them, and the folders above; everything where there is no list. Cheap to clone; clones note together
/// what was found.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    paths: Option<Arc<[Listed]>>,
}

#[derive(Debug)]
struct Listed {
    path: Key,
    is_found: AtomicBool,
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.paths.is_some() == other.paths.is_some() && self.paths().eq(other.paths())
    }
}

impl Eq for Selection {}

impl Selection {
    /// Only these; a slash at the end of one means nothing, and the empty path means everything.
    pub fn of<P: AsRef<[u8]>>(paths: impl IntoIterator<Item = P>) -> Self {
        let path = |path: P| Key::new(path.as_ref().strip_suffix(b"/").unwrap_or(path.as_ref()));
        let mut paths: Vec<Key> = paths.into_iter().map(path).collect();
        paths.sort_unstable();
        paths.dedup();
        let listed = |path| Listed { path, is_found: AtomicBool::new(false) };
        Self { paths: Some(paths.into_iter().map(listed).collect()) }
    }

    /// The same paths, none of which was found yet.
    #[must_use]
    pub fn fresh(&self) -> Self {
        if self.paths.is_some() { Self::of(self.paths().map(Key::as_bytes)) } else { Self::default() }
    }

    /// Whether an entry is wanted: it is listed, lies under what is, or is a folder above. A key that ends in `/` is a folder's.
    #[must_use]
    pub fn selects(&self, key: &[u8]) -> bool {
        let Some(listed) = self.paths.as_deref() else { return true };
        let path = key.strip_suffix(b"/").unwrap_or(key);
        let folders = memchr::memchr_iter(b'/', path).filter_map(|end| path.get(..end));
        let found = folders.chain([&[][..], path]).filter(|path| is_listed(listed, path)).count();
        found > 0 || is_above(listed, key)
    }

    /// The paths that nothing was found for.
    pub fn missing(&self) -> impl Iterator<Item = &Key> {
        let listed = self.paths.iter().flat_map(|listed| listed.iter());
        listed.filter(|listed| !listed.is_found.load(Relaxed)).map(|listed| &listed.path)
    }

    fn paths(&self) -> impl Iterator<Item = &Key> {
        self.paths.iter().flat_map(|listed| listed.iter()).map(|listed| &listed.path)
    }
}

/// Whether exactly this is listed; that it was found is noted.
fn is_listed(listed: &[Listed], path: &[u8]) -> bool {
    let place = listed.binary_search_by(|listed| listed.path.as_bytes().cmp(path));
    let found = place.ok().and_then(|place| listed.get(place));
    found.inspect(|listed| listed.is_found.store(true, Relaxed)).is_some()
}

/// Whether this is a folder and something in it is listed.
fn is_above(listed: &[Listed], folder: &[u8]) -> bool {
    let first = listed.partition_point(|listed| listed.path.as_bytes() < folder);
    let is_folder = folder.is_empty() || folder.ends_with(b"/");
    is_folder && listed.get(first).is_some_and(|listed| listed.path.as_bytes().starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(selection: &Selection) -> Vec<String> {
        selection.missing().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_listed_comes_with_all_under_it_and_the_folders_above() {
        let only = Selection::of(["a/b", "a/b.txt", "deep/er/est/", "//odd"]);
        for (key, expected) in [
            ("", true),
            ("a/", true),
            ("a/b", true),
            ("a/b/", true),
            ("a/b/c/d", true),
            ("a/b.txt", true),
            ("a/bc", false),
            ("a", false),
            ("b/", false),
            ("deep/", true),
            ("deep/er/", true),
            ("deep/er/x", false),
            ("deep/er/est", true),
            ("//odd", true),
        ] {
            assert_eq!(only.selects(key.as_bytes()), expected, "{key}");
        }
        assert!(Selection::default().selects(b"anything"));
        assert!(Selection::of([""]).selects(b"anything/at/all"));
        assert!(!Selection::of([""; 0]).selects(b"anything"));
    }

    #[test]
    fn what_was_listed_and_not_found_is_told() {
        let only = Selection::of(["a", "a/b", "gone", "z/"]);
        assert!(only.clone().selects(b"a/b/c") && only.selects(b"") && !only.selects(b"other"));
        assert_eq!(missing(&only), ["gone", "z"], "what lies in a listed folder finds all that list it");
        assert_eq!(missing(&only.fresh()), ["a", "a/b", "gone", "z"]);
        assert_eq!((missing(&Selection::default()), Selection::default().fresh()), (Vec::new(), Selection::default()));
    }

    #[test]
    fn any_list_selects_what_a_look_at_each_of_its_paths_does() {
        let names = ["a", "a/b", "a-b", "b", "a/b/c", "b/a"];
        for bits in 0_u32..64 {
            let listed: Vec<&str> =
                names.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, n)| *n).collect();
            let only = Selection::of(&listed);
            for key in ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a-b", "b/", "b/a", "b/ab", "c"] {
                let path = key.strip_suffix('/').unwrap_or(key);
                let expected = listed.iter().any(|listed| {
                    let under = path == *listed || path.starts_with(&format!("{listed}/"));
                    under || (key.is_empty() || key.ends_with('/')) && listed.starts_with(key)
                });
                assert_eq!(only.selects(key.as_bytes()), expected, "{listed:?} {key}");
            }
        }
    }
}
