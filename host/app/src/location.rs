//! Locations: a folder, `scheme://…`, or `@name`.
//!
//! Owned here: telling the three apart, and the one way to write a folder down. Refused here: the parts of a remote location, which the
//! connector's manifest explains (`connectors`), what a name stands for (`place`), and what else than a folder a word may mean (`mistaken`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use credenza_model::Key;

use crate::home::{self, HomeError};

/// The scheme of folders, and the name of the connector that is built in for them.
pub(crate) const FILE: &str = "file";

/// A location as written.
///
/// ```
/// use credenza_app::{Location, LocationError};
///
/// assert_eq!(Location::parse("@home".as_ref())?, Location::Named("home".to_owned()));
/// assert_eq!(Location::parse("/srv/backups".as_ref())?, Location::Folder("/srv/backups".into()));
/// let refused = Location::parse("s3://me:secret@example.com/bucket".as_ref());
/// assert!(matches!(refused, Err(LocationError::Credentials { .. })));
/// # Ok::<(), LocationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local folder (or, for a source, a file).
    Folder(PathBuf),
    /// A place that a component reaches.
    Remote {
        /// The part before `://`.
        scheme: String,
        /// The whole location, scheme included.
        text: String,
    },
    /// A name in the configuration, without the `@`.
    Named(String),
}

/// A text that is no location.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing was written.
    #[error("an empty text is no location")]
    Empty,
    /// It is not UTF-8.
    #[error("`{0}` is no location: a remote location must be UTF-8")]
    NotText(String),
    /// A `file:` location of another machine.
    #[error("`{0}` is no location on this machine: write file:///path")]
    ForeignFile(String),
    /// A name or password before the server. It is not repeated.
    #[error(
        "the location of `{scheme}://` holds credentials; keep them out of locations, which are shown and recorded, and use settings instead"
    )]
    Credentials {
        /// The part before `://`.
        scheme: String,
    },
    /// A `~` that stands for nothing.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl Location {
    /// Understands one word. A word without `scheme://` and `@` is a path, which may begin with `~`.
    ///
    /// # Errors
    /// [`LocationError`] says what it lacks.
    pub fn parse(word: &OsStr) -> Result<Self, LocationError> {
        let bytes = word.as_bytes();
        if bytes.is_empty() {
            return Err(LocationError::Empty);
        }
        if let Some(name) = bytes.strip_prefix(b"@") {
            return Ok(Self::Named(String::from_utf8_lossy(name).into_owned()));
        }
        match scheme_of(bytes) {
            None => Ok(Self::Folder(home::expand(word.as_ref())?)),
            Some(FILE) => file_location(bytes),
            Some(scheme) => remote_location(scheme, bytes),
        }
    }

    /// The text to show and to record; a path is made absolute, without dots and slashes that mean nothing.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Folder(path) => Key::new(whole(path).into_os_string().into_vec()).to_string(),
            Self::Remote { text, .. } => text.clone(),
            Self::Named(name) => format!("@{name}"),
        }
    }
}

impl Location {
    /// The texts by which a place is known: as it is written and, of a folder, without links and steps back, so that no other spelling of it is another place.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let real = match self {
            Self::Folder(path) => std::fs::canonicalize(whole(path)).ok().map(|real| Self::Folder(real).text()),
            _ => None,
        };
        let written = self.text();
        let real = real.filter(|real| *real != written);
        [Some(written), real].into_iter().flatten().collect()
    }

    /// The absolute paths of a folder, as it is written and without links, each without a slash at its end; none of any other place.
    #[must_use]
    pub fn roots(&self) -> Vec<Vec<u8>> {
        let Self::Folder(path) = self else { return Vec::new() };
        let written = whole(path);
        let real = std::fs::canonicalize(&written).ok().filter(|real| *real != written);
        let bytes = |path: PathBuf| path.into_os_string().into_vec();
        let roots = [Some(written), real].into_iter().flatten().map(bytes);
        roots.map(|root| root.strip_suffix(b"/").map_or_else(|| root.clone(), <[u8]>::to_vec)).collect()
    }
}

/// An absolute path, without dots and slashes that mean nothing.
fn whole(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.components().collect()
}

/// The scheme, as RFC 3986 §3.1 spells one, lower-case.
fn scheme_of(bytes: &[u8]) -> Option<&str> {
    let end = bytes.windows(3).position(|window| window == b"://")?;
    std::str::from_utf8(bytes.get(..end)?).ok().filter(|scheme| is_scheme(scheme))
}

/// Whether a text can be the scheme of a location.
pub(crate) fn is_scheme(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(allowed)
}

fn remote_location(scheme: &str, bytes: &[u8]) -> Result<Location, LocationError> {
    let text = std::str::from_utf8(bytes).map_err(|_| LocationError::NotText(Key::new(bytes).to_string()))?;
    let authority = text.split("://").nth(1).and_then(|rest| rest.split('/').next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(LocationError::Credentials { scheme: scheme.to_owned() });
    }
    Ok(Location::Remote { scheme: scheme.to_owned(), text: text.to_owned() })
}

/// RFC 8089: `file:///path`, with an empty host and percent-encoded bytes.
fn file_location(bytes: &[u8]) -> Result<Location, LocationError> {
    let rest = bytes.strip_prefix(b"file://").unwrap_or_default();
    if !rest.starts_with(b"/") {
        return Err(LocationError::ForeignFile(Key::new(bytes).to_string()));
    }
    Ok(Location::Folder(OsString::from_vec(percent_decode(rest)).into()))
}

fn percent_decode(mut bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        let escaped = (*first == b'%').then(|| hex_byte(rest)).flatten();
        decoded.push(escaped.unwrap_or(*first));
        bytes = if escaped.is_some() { rest.get(2..).unwrap_or_default() } else { rest };
    }
    decoded
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits.get(..2)?).ok()?;
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, LocationError> {
        Location::parse(OsStr::new(text))
    }

    #[test]
    fn paths_names_and_remote_locations_are_told_apart() {
        let folder = |path: &str| Location::Folder(path.into());
        let remote = |scheme: &str, text: &str| Location::Remote { scheme: scheme.into(), text: text.into() };
        let cases = [
            ("/var/backups", folder("/var/backups")),
            ("a:b", folder("a:b")),
            ("./s3://x", folder("./s3://x")),
            ("S3://x", folder("S3://x")),
            ("file:///a%20b%zz%", folder("/a b%zz%")),
            ("@s3", Location::Named("s3".into())),
            ("s3://h:9000/b/p@q", remote("s3", "s3://h:9000/b/p@q")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_folder_is_recorded_in_one_spelling() {
        for spelling in ["/a/b", "/a/b/", "/a/./b/.", "//a//b"] {
            assert_eq!(parse(spelling).unwrap().text(), "/a/b", "{spelling}");
        }
    }

    #[test]
    fn a_folder_is_known_by_its_path_as_it_is_written_and_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir(real.join("real")).unwrap();
        std::os::unix::fs::symlink("real", real.join("link")).unwrap();
        let roots = |path: PathBuf| -> Vec<PathBuf> {
            Location::Folder(path).roots().into_iter().map(|root| OsString::from_vec(root).into()).collect()
        };
        assert_eq!(roots(real.join("real/.//")), [real.join("real")]);
        assert_eq!(roots(real.join("link")), [real.join("link"), real.join("real")]);
        assert_eq!(roots("/".into()), [PathBuf::new()]);
        let texts = |path: &str| Location::Folder(real.join(path)).spellings();
        let text = |path: &str| real.join(path).to_string_lossy().into_owned();
        assert_eq!(texts("real"), [text("real")]);
        assert_eq!(texts("link"), [text("link"), text("real")]);
        assert_eq!(texts("real/../real"), [text("real/../real"), text("real")]);
        assert_eq!(texts("gone"), [text("gone")]);
        assert_eq!(parse("s3://h/b").unwrap().roots(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_path_may_hold_any_bytes() {
        let word = OsStr::from_bytes(b"/a\xff");
        assert_eq!(Location::parse(word), Ok(Location::Folder(word.into())));
    }

    #[test]
    fn credentials_in_a_location_are_refused_without_being_repeated() {
        let error = parse("s3://AKIA:hunter2@host/bucket").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_location_of_another_machine_is_refused() {
        assert!(matches!(parse("file://host/x"), Err(LocationError::ForeignFile(_))));
    }
}
