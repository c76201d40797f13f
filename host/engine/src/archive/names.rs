//! The paths of members: keys that are relative paths as they are, all others in the escaped form of `connect::file::escape`.
//!
//! No path is absolute or has a segment `.` or `..`, and none leads through a member that is no folder, such as a link. Each reads back as one key.
//!
//! Bound: one key, and the lengths of those of its beginnings that are keys too.

use credenza_connect::file::escape::{escaped_names_of, escaped_text_names_of, names_of, text_names_of};
use credenza_model::Key;

pub(super) struct Names {
    /// Whether names must be UTF-8.
    is_text: bool,
    /// The last key that is no folder's.
    last: Vec<u8>,
    /// Lengths of the beginnings of it that are keys and no folders', in order.
    files: Vec<usize>,
}

impl Names {
    pub(super) fn new(is_text: bool) -> Self {
        Self { is_text, last: Vec::new(), files: Vec::new() }
    }

    /// The path of the next key, and whether it is another than the key. Keys come in order, so that what stands in the way of a folder was there before.
    pub(super) fn path_of(&mut self, key: &Key, is_folder: bool) -> (Vec<u8>, bool) {
        let key = key.as_bytes();
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        self.files.retain(|length| *length <= shared);
        let bare = if is_folder { key.strip_suffix(b"/").unwrap_or(key) } else { key };
        let mut path = Vec::with_capacity(key.len() + 1);
        let mut end = 0;
        for segment in bare.split(|byte| *byte == b'/') {
            end += segment.len();
            let leads_on = end < bare.len() || is_folder;
            let names = match leads_on && self.files.contains(&end) {
                true => self.escaped(&[segment, b"/"].concat()),
                false => self.plain(segment),
            };
            for name in names {
                path.extend(name);
                path.push(b'/');
            }
            end += 1;
        }
        if !is_folder {
            path.pop();
            self.last = key.to_vec();
            self.files.push(key.len());
        }
        let bare_path = path.strip_suffix(b"/").unwrap_or(&path);
        let is_renamed = bare_path != bare;
        (path, is_renamed)
    }

    fn plain(&self, segment: &[u8]) -> Vec<Vec<u8>> {
        if self.is_text { text_names_of(segment) } else { names_of(segment) }
    }

    fn escaped(&self, segment: &[u8]) -> Vec<Vec<u8>> {
        if self.is_text { escaped_text_names_of(segment) } else { escaped_names_of(segment) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use credenza_connect::file::escape::key_of_path;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_that_are_no_paths_become_such_as_lead_nowhere_else() {
        let mut names = Names::new(false);
        let keys = ["/etc/passwd", "../up", "a", "a-b", "a/b", "a/b/c", "c//d", "plain/file"];
        let paths: Vec<String> =
            keys.iter().map(|key| String::from_utf8(names.path_of(&Key::from(*key), false).0).unwrap()).collect();
        assert_eq!(
            paths,
            ["%~/etc/passwd", "%~%2E%2E/up", "a", "a-b", "%~a%2F/b", "%~a%2F/%~b%2F/c", "c/%~/d", "plain/file"]
        );
    }

    proptest! {
        #[test]
        fn every_key_has_a_safe_path_of_its_own_that_reads_back(
            keys in prop::collection::btree_set(prop::collection::vec(prop_oneof![Just(b'a'), Just(b'/'), Just(b'.'), Just(b'%'), Just(b'~'), Just(0xff)], 1..8), 1..40),
            is_text: bool,
        ) {
            let mut names = Names::new(is_text);
            let mut files = BTreeSet::new();
            for key in keys {
                let (path, is_renamed) = names.path_of(&Key::new(key.clone()), false);
                prop_assert_eq!(is_renamed, path != key);
                prop_assert!(!is_text || std::str::from_utf8(&path).is_ok());
                for name in path.split(|byte| *byte == b'/') {
                    prop_assert!(!matches!(name, b"" | b"." | b".."));
                }
                let read_back = key_of_path(&path);
                prop_assert_eq!(read_back.as_deref(), Some(&key[..]));
                for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                    prop_assert!(!files.contains(&path[..end]), "{} leads through a file", Key::new(path.clone()));
                }
                prop_assert!(files.insert(path));
            }
        }
    }
}
