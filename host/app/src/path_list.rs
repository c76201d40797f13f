//! A list of the paths that alone are to be backed up, from a file or standard input.
//!
//! Owned here: its form, and what a path means in a source. A path is what stands on a line, or between NUL bytes where the text holds any, byte by
//! byte: nothing is a comment, a pattern or a space to drop. It is absolute or goes on from the source. Refused here: what a list lets through
//! ([`Selection`]). Called by programs before a backup.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use credenza_connect::Selection;

use crate::location::Location;

/// The text is read whole; some million paths fit.
const LIST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The name that means standard input.
const STANDARD_INPUT: &str = "-";

/// A list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathListError {
    /// It cannot be read.
    #[error("the list of paths in {} cannot be read", origin(path))]
    Read {
        /// The file, or `-`.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than any list that a source is compared with.
    #[error("the list of paths in {} has more than {bytes_max} bytes", origin(path))]
    TooLarge {
        /// The file, or `-`.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// It holds no path.
    #[error("the list of paths in {} is empty, so that there is nothing to back up", origin(path))]
    Empty {
        /// The file, or `-`.
        path: PathBuf,
    },
}

fn origin(path: &Path) -> String {
    if path.as_os_str() == STANDARD_INPUT { "standard input".to_owned() } else { path.display().to_string() }
}

/// Paths as they were given.
#[derive(Debug, Clone)]
pub struct PathList(Vec<Vec<u8>>);

impl PathList {
    /// The list in a file; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or holds nothing.
    pub fn read(path: &Path) -> Result<Self, PathListError> {
        let failed = |source| PathListError::Read { path: path.to_owned(), source };
        let reader: Box<dyn Read> = match path.as_os_str() == STANDARD_INPUT {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(path).map_err(failed)?),
        };
        let mut text = Vec::new();
        reader.take(LIST_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > LIST_BYTES_MAX {
            return Err(PathListError::TooLarge { path: path.to_owned(), bytes_max: LIST_BYTES_MAX });
        }
        let list = Self::parse(&text);
        if list.0.is_empty() { Err(PathListError::Empty { path: path.to_owned() }) } else { Ok(list) }
    }

    fn parse(text: &[u8]) -> Self {
        let end = if text.contains(&0) { 0 } else { b'\n' };
        let paths = text.split(|byte| *byte == end).filter(|path| !path.is_empty());
        Self(paths.map(<[u8]>::to_vec).collect())
    }

    /// What is meant of a source. A path that leads elsewhere stays as it is, and nothing in the source has its name.
    #[must_use]
    pub fn of(&self, source: &Location) -> Selection {
        match source {
            Location::Folder(_) => {
                let roots = source.roots();
                Selection::of(self.0.iter().map(|path| below(path, &roots)))
            }
            // Keys are no paths: each byte of them counts.
            Location::Remote { .. } | Location::Named(_) => {
                let root = [source.text().trim_end_matches('/').as_bytes(), b"/"].concat();
                Selection::of(self.0.iter().map(|path| path.strip_prefix(root.as_slice()).unwrap_or(path)))
            }
        }
    }
}

/// The path as a key in a source with these absolute paths.
fn below(path: &[u8], roots: &[Vec<u8>]) -> Vec<u8> {
    let is_below = |rest: &&[u8]| rest.is_empty() || rest.starts_with(b"/");
    let rest = roots.iter().find_map(|root| path.strip_prefix(root.as_slice()).filter(is_below));
    match rest {
        Some(rest) if path.starts_with(b"/") => plain(rest),
        _ if path.starts_with(b"/") => path.to_vec(),
        _ => plain(path),
    }
}

/// Without slashes and dots that mean nothing.
fn plain(path: &[u8]) -> Vec<u8> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    names.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(text: &[u8], source: &Location) -> Vec<String> {
        PathList::parse(text).of(source).missing().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_is_lines_or_what_stands_between_nul_bytes() {
        let folder = Location::Folder("/home/me".into());
        assert_eq!(meant(b"b\n\n a \n#c\n", &folder), [" a ", "#c", "b"]);
        assert_eq!(meant(b"a\nb\0c\0", &folder), ["a\\x0ab", "c"]);
        assert_eq!(PathList::parse(b"\n\n").0, Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_path_is_absolute_or_goes_on_from_the_source() {
        let folder = Location::Folder("/home/me".into());
        let bucket = Location::Remote { scheme: "s3".into(), text: "s3://h/b".into() };
        assert_eq!(meant(b"./a//b/\n/home/me/c\n/home/meadow\n../x", &folder), ["../x", "/home/meadow", "a/b", "c"]);
        assert_eq!(meant(b"/home/me", &folder), [""]);
        assert_eq!(meant(b"/etc/x", &Location::Folder("/".into())), ["etc/x"]);
        assert_eq!(meant(b"./a//b/\ns3://h/b/c", &bucket), ["./a//b", "c"]);
    }

    #[test]
    fn a_list_that_cannot_be_used_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(PathList::read(file.path()), Err(PathListError::Empty { path }) if path == file.path()));
        let missing = PathList::read(Path::new("/nowhere/list")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/list"), "{missing}");
    }
}
