//! The patterns of what to leave out: from words, and from files as editors on every platform write them.
//!
//! A pattern that begins with the absolute path of the source goes on from there; any other that begins with `/` begins at the source.
//!
//! Owned here: the form of a file of patterns, as git has it: one a line, `#` for a comment, spaces at the end dropped unless a `\` stands
//! before them; besides, a byte order mark, line ends of Windows and a last line without an end. Refused here: what a pattern means
//! ([`Patterns`]). Called by programs before a backup or a restore.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use credenza_connect::{InvalidPattern, Patterns};

use crate::location::Location;

/// Patterns are read whole; thousands of lines fit.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";
/// In both orders; those of UTF-32 begin with one of them, or with a NUL.
const UTF_16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Patterns that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternsError {
    /// A pattern that was given.
    #[error(transparent)]
    Word(#[from] InvalidPattern),
    /// A pattern in a file.
    #[error("{}, line {line}: {cause}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        cause: InvalidPattern,
    },
    /// The file cannot be read.
    #[error("the patterns in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any list of patterns.
    #[error("{} has more than {bytes_max} bytes of patterns", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// The file is no text that can be read.
    #[error("the patterns in {} are not UTF-8 but UTF-16, or no text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// Patterns that can be used, as they were given; which entries they mean depends on where the source is.
#[derive(Debug, Clone, Default)]
pub struct PatternList(Vec<Vec<u8>>);

impl PatternList {
    /// The patterns that are given as words, and behind them those of the files.
    ///
    /// # Errors
    /// When a file cannot be read, or a pattern is none.
    pub fn gather(words: &[OsString], files: &[PathBuf]) -> Result<Self, PatternsError> {
        let mut all: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        all.iter().try_for_each(|word| Patterns::check(word))?;
        for path in files {
            let text = read(path)?;
            for (line, pattern) in lines(&text) {
                Patterns::check(pattern).map_err(|cause| PatternsError::Line { path: path.clone(), line, cause })?;
                all.push(pattern.to_vec());
            }
        }
        Ok(Self(all))
    }

    /// What they mean in a source.
    ///
    /// # Errors
    /// When all together take too much memory.
    pub fn of(&self, source: &Location) -> Result<Patterns, PatternsError> {
        Ok(Patterns::below(&source.roots(), &self.0)?)
    }

    /// What they mean in a snapshot of the source that was recorded as this text.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub fn of_recorded(&self, source: &str) -> Result<Patterns, PatternsError> {
        // One with bytes that are escaped there is not compared.
        let root = source.trim_end_matches('/').as_bytes().to_vec();
        let roots = (!source.contains('\\')).then_some(root);
        Ok(Patterns::below(roots.as_slice(), &self.0)?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PatternsError> {
    let failed = |source| PatternsError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(PatternsError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    if UTF_16_MARKS.iter().any(|mark| text.starts_with(mark)) || text.contains(&0) {
        return Err(PatternsError::NotText { path: path.to_owned() });
    }
    Ok(text)
}

/// The patterns of a file, each with the number of its line. Lines end with LF or CR LF, and with CR where there is no LF at all.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = text.strip_prefix(UTF_8_MARK).unwrap_or(text);
    let end = if text.contains(&b'\n') { b'\n' } else { b'\r' };
    let lines =
        text.split(move |byte| *byte == end).map(|line| without_spaces(line.strip_suffix(b"\r").unwrap_or(line)));
    (1..).zip(lines).filter(|(_, line)| !line.trim_ascii().is_empty() && !line.starts_with(b"#"))
}

/// A line up to the spaces at its end; one behind a `\` is part of the pattern.
fn without_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut escaped = false;
    for (position, byte) in line.iter().enumerate() {
        if escaped || *byte != b' ' {
            end = position + 1;
        }
        escaped = !escaped && *byte == b'\\';
    }
    line.get(..end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(text: &[u8]) -> Result<Vec<String>, PatternsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let patterns = PatternList::gather(&["first".into()], &[file.path().to_owned()])?;
        let patterns = patterns.of(&Location::Folder("/".into()))?;
        Ok(patterns.texts().skip(1).map(ToString::to_string).collect())
    }

    #[test]
    fn a_file_of_patterns_may_come_from_any_editor() {
        let cases: [(&[u8], &[&str]); 9] = [
            (b"a\nb", &["a", "b"]),
            (b"\xef\xbb\xbfa\r\nb\r\n", &["a", "b"]),
            (b"# no\n\n \t \r\na  \r\n", &["a"]),
            (b"a\\ \nb\\  \nc\\\\ \n", &[r"a\\ ", r"b\\ ", r"c\\\\"]),
            (b"\\#a\n\\!b\n", &[r"\\#a", r"\\!b"]),
            (b"caf\xe9\n", &[r"caf\xe9"]),
            (b"Icon\r\r\n", &[r"Icon\x0d"]),
            (b"a\rb \r# no\r", &["a", "b"]),
            (b"", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(gathered(text).unwrap(), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn an_absolute_path_below_the_source_means_that_entry_in_it() {
        let list = PatternList::gather(&["/home/me/src/target".into()], &[]).unwrap();
        let of = |path: &str| list.of(&Location::Folder(path.into())).unwrap();
        assert!(of("/home/me/./src/").name(b"target/") && !of("/home/me/doc").name(b"target/"));
        assert!(of("/").name(b"home/me/src/target/"));
        assert!(list.of_recorded("/home/me/src").unwrap().name(b"target"));
        assert!(!list.of_recorded("s3://h/b").unwrap().name(b"target"));
    }

    #[test]
    fn what_is_no_file_of_patterns_is_refused_with_the_line() {
        for text in [&b"\xff\xfea\0\n\0"[..], b"\xfe\xff\0a", b"a\0\n\0"] {
            assert!(matches!(gathered(text).unwrap_err(), PatternsError::NotText { .. }));
        }
        let refused = gathered(b"# fine\na\n[\n").unwrap_err().to_string();
        assert!(refused.contains("line 3: the pattern `[`"), "{refused}");
    }
}
