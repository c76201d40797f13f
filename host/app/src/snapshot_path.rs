//! `SNAPSHOT[:PATH]`: how a person names a snapshot, or something in it.
//!
//! Owned here: the words, and which key of a snapshot a path means as people type it. Refused here: which snapshot a name means, and looking into it
//! (`credenza-engine`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use credenza_engine::view::View;
use credenza_engine::{Error as EngineError, SnapshotHandle, SnapshotName};
use credenza_model::{EntryKind, Key, Record};

use crate::error::{Error, Result};

/// Names of a folder that are looked at for one that was meant.
const NEAR_NAMES_MAX: usize = 1000;
/// How alike a name must be to be suggested, of 1.
const ALIKE_MIN: f64 = 0.8;

/// A snapshot and, behind the first colon, a path in it, exact bytes.
///
/// ```
/// use credenza_app::SnapshotPath;
///
/// let path = SnapshotPath::parse("latest~1:letters/a.txt".as_ref())?;
/// assert_eq!(path.snapshot.0, "latest~1");
/// assert_eq!(path.key.unwrap().as_bytes(), b"letters/a.txt");
/// assert!(SnapshotPath::parse("letters/a.txt".as_ref()).is_err());
/// # Ok::<(), credenza_app::InvalidSnapshotName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPath {
    /// The snapshot.
    pub snapshot: SnapshotName,
    /// What in it, as it was typed; without one, all of it.
    pub key: Option<Key>,
}

/// A text that cannot begin an id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no snapshot: give `latest`, or the first digits (0-9, a-f) of an id")]
pub struct InvalidSnapshotName {
    text: String,
}

/// Something in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its key; that of a folder ends with a slash, that of the whole snapshot is empty.
    pub key: Key,
    /// Its entry, of several versions the latest; none for the whole snapshot, and for a folder that is only what keys have in common.
    pub record: Option<Box<Record>>,
}

impl Located {
    /// Whether other entries lie in it.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.record.as_ref().is_none_or(|record| record.entry.kind == EntryKind::Directory)
    }
}

impl SnapshotPath {
    /// Understands one word.
    ///
    /// # Errors
    /// When what is before the first colon can name no snapshot.
    pub fn parse(word: &OsStr) -> Result<Self, InvalidSnapshotName> {
        let mut parts = word.as_bytes().splitn(2, |byte| *byte == b':');
        let name = SnapshotName(String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned());
        if !name.is_valid() {
            return Err(InvalidSnapshotName { text: name.0.escape_debug().to_string() });
        }
        Ok(Self { snapshot: name, key: parts.next().map(Key::new) })
    }

    /// Whether it names a snapshot alone, and so all that is in it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.key.as_ref().is_none_or(|key| key.as_bytes().is_empty())
    }

    /// What the path means in a snapshot: the whole of it without a path. It costs some nodes of the tree.
    ///
    /// # Errors
    /// [`Error::NotInSnapshot`], with the nearest name; damage when the way to it is lost.
    pub async fn locate(&self, view: &View, snapshot: &SnapshotHandle) -> Result<Located> {
        let typed = self.key.as_ref().map_or(&[][..], Key::as_bytes);
        let spellings = spellings(typed, &snapshot.snapshot.source.location);
        for spelling in &spellings {
            if let Some(located) = look(view, snapshot, spelling).await? {
                return Ok(located);
            }
        }
        Err(Error::NotInSnapshot {
            snapshot: snapshot.snapshot.id,
            path: Key::new(typed),
            near: near(view, snapshot, spellings.last().map_or(typed, Vec::as_slice)).await?,
        })
    }
}

/// The keys that a path may mean, the likeliest first: as it is typed, without `./` and slashes at its ends, and, where it leads into the source, what it
/// is below it.
#[must_use]
pub(crate) fn spellings(typed: &[u8], source: &str) -> Vec<Vec<u8>> {
    let mut relative = typed;
    while let Some(rest) = relative.strip_prefix(b"./").or_else(|| relative.strip_prefix(b"/")) {
        relative = rest;
    }
    let trimmed = if relative == b"." { b"" } else { without_slashes(relative) };
    let below = below_source(typed, source).map(without_slashes);
    let mut spellings = vec![typed.to_vec()];
    for spelling in [Some(trimmed), below].into_iter().flatten() {
        if !spellings.iter().any(|known| known == spelling) {
            spellings.push(spelling.to_vec());
        }
    }
    spellings
}

/// An absolute path, or a location, without the source that it lies in.
fn below_source<'a>(typed: &'a [u8], source: &str) -> Option<&'a [u8]> {
    // A source is recorded as it is shown: one with bytes that are escaped there is not compared.
    let source = source.trim_end_matches('/');
    let rest = typed.strip_prefix(source.as_bytes()).filter(|_| !source.contains('\\'))?;
    (rest.is_empty() || rest.starts_with(b"/")).then(|| rest.strip_prefix(b"/").unwrap_or(rest))
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let mut path = path;
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// What is exactly there, or in there.
async fn look(view: &View, snapshot: &SnapshotHandle, path: &[u8]) -> Result<Option<Located>> {
    if path.is_empty() {
        return Ok(Some(Located { key: Key::default(), record: None }));
    }
    let folder = if path.ends_with(b"/") { path.to_vec() } else { [path, b"/"].concat() };
    for key in [Key::new(path), Key::new(folder.clone())] {
        match view.entry(snapshot, &key).await {
            Ok(record) => return Ok(Some(Located { key, record: Some(Box::new(record)) })),
            Err(EngineError::NoEntry { .. }) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    let is_there = !view.folder(snapshot, &folder, None, 1).await?.items.is_empty();
    Ok(is_there.then(|| Located { key: Key::new(folder), record: None }))
}

/// The name that is most like the one that is not there, in the folder that it would be in.
async fn near(view: &View, snapshot: &SnapshotHandle, path: &[u8]) -> Result<Option<Key>> {
    let mut wrong = without_slashes(path);
    loop {
        let parent = wrong.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, _) = wrong.split_at(parent);
        let items = view.folder(snapshot, folder, None, NEAR_NAMES_MAX).await?.items;
        if items.is_empty() && parent > 0 {
            wrong = without_slashes(folder);
            continue;
        }
        let text = String::from_utf8_lossy(wrong).to_lowercase();
        let scored = items.iter().map(|item| {
            let name = String::from_utf8_lossy(without_slashes(item.key().as_bytes())).to_lowercase();
            let own = |text: &str| text.get(folder.len()..).unwrap_or_default().to_owned();
            (strsim::jaro_winkler(&own(&text), &own(&name)), item.key())
        });
        let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
        return Ok(best.filter(|(score, _)| *score >= ALIKE_MIN).map(|(_, key)| key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_what_people_type() {
        let spelled = |typed: &str| -> Vec<String> {
            let all = spellings(typed.as_bytes(), "/home/me");
            all.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
        };
        assert_eq!(spelled("letters"), ["letters"]);
        assert_eq!(spelled("letters/"), ["letters/", "letters"]);
        assert_eq!(spelled("./letters"), ["./letters", "letters"]);
        assert_eq!(spelled("/letters"), ["/letters", "letters"]);
        assert_eq!(spelled("/home/me/letters/a"), ["/home/me/letters/a", "home/me/letters/a", "letters/a"]);
        assert_eq!(spelled("/home/meadow"), ["/home/meadow", "home/meadow"]);
        assert_eq!(spelled("/home/me"), ["/home/me", "home/me", ""]);
        assert_eq!(spelled("/"), ["/", ""]);
        assert_eq!(spelled("."), [".", ""]);
        let of_bucket = spellings(b"s3://h/bucket/2026/a", "s3://h/bucket");
        assert_eq!(of_bucket.last().unwrap(), b"2026/a");
    }

    #[test]
    fn a_key_is_everything_behind_the_first_colon() {
        let parsed = |word: &[u8]| {
            let path = SnapshotPath::parse(OsStr::from_bytes(word)).unwrap();
            (path.snapshot.0, path.key)
        };
        assert_eq!(parsed(b"latest"), ("latest".to_owned(), None));
        assert_eq!(parsed(b"latest~2:a"), ("latest~2".to_owned(), Some(Key::new(b"a"))));
        assert_eq!(parsed(b"0af3"), ("0af3".to_owned(), None));
        assert_eq!(parsed(b"latest:"), ("latest".to_owned(), Some(Key::new(b""))));
        assert_eq!(parsed(b"00:a:b\xff"), ("00".to_owned(), Some(Key::new(b"a:b\xff"))));
    }

    #[test]
    fn a_snapshot_without_a_path_is_all_of_it() {
        let is_whole = |word: &str| SnapshotPath::parse(OsStr::new(word)).unwrap().is_whole();
        assert!(is_whole("latest") && is_whole("0af3:"));
        assert!(!is_whole("latest:a") && !is_whole("latest:/"));
    }

    #[test]
    fn what_begins_no_id_is_refused() {
        for word in ["", ":key", "LATEST", "latest~", "latest~x", "xyz", "a b"] {
            assert!(SnapshotPath::parse(OsStr::new(word)).is_err(), "{word}");
        }
    }
}
