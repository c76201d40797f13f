//! `SNAPSHOT[:KEY]`: how a person names a snapshot, or something in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use credenza_engine::SnapshotName;
use credenza_model::Key;

/// A snapshot and, behind the first colon, a key in it, exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPath {
    /// The snapshot.
    pub snapshot: SnapshotName,
    /// What in it; without one, all of it.
    pub key: Option<Key>,
}

/// A text that cannot begin an id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no snapshot: give `latest`, or the first digits (0-9, a-f) of an id")]
pub struct InvalidSnapshotName {
    text: String,
}

impl SnapshotPath {
    /// Understands one word.
    ///
    /// # Errors
    /// When what is before the first colon can begin no id.
    pub fn parse(word: &OsStr) -> Result<Self, InvalidSnapshotName> {
        let mut parts = word.as_bytes().splitn(2, |byte| *byte == b':');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if name != "latest" && !digits(&name) {
            return Err(InvalidSnapshotName { text: name.escape_debug().to_string() });
        }
        Ok(Self { snapshot: SnapshotName(name.into_owned()), key: parts.next().map(Key::new) })
    }

    /// The key as a prefix: empty for the whole snapshot.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], Key::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_everything_behind_the_first_colon() {
        let parsed = |word: &[u8]| {
            let path = SnapshotPath::parse(OsStr::from_bytes(word)).unwrap();
            (path.snapshot.0, path.key)
        };
        assert_eq!(parsed(b"latest"), ("latest".to_owned(), None));
        assert_eq!(parsed(b"0af3"), ("0af3".to_owned(), None));
        assert_eq!(parsed(b"latest:"), ("latest".to_owned(), Some(Key::new(b""))));
        assert_eq!(parsed(b"00:a:b\xff"), ("00".to_owned(), Some(Key::new(b"a:b\xff"))));
    }

    #[test]
    fn what_begins_no_id_is_refused() {
        for word in ["", ":key", "LATEST", "xyz", "a b"] {
            assert!(SnapshotPath::parse(OsStr::new(word)).is_err(), "{word}");
        }
    }
}
