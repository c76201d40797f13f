//! The lines of a file from its end, for whoever wants the last few of many.
//!
//! Bound: [`PIECE_BYTES`], and twice the longest line.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use memchr::memrchr;

/// Bytes that are read at once.
pub(super) const PIECE_BYTES: u64 = 64 * 1024;

/// A file on its way to its begin. What is added meanwhile is not seen.
pub(super) struct Backwards {
    file: Option<File>,
    /// The device and the number of the file there.
    id: Option<(u64, u64)>,
    /// Bytes before what was read.
    before: u64,
    /// What was read.
    held: Vec<u8>,
    /// Bytes of it that are not handed out; lines are handed out from the end.
    left: usize,
}

impl Backwards {
    /// Opens a file. One that is not there has no lines.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let found = file.as_ref().map(File::metadata).transpose()?;
        let (before, id) = (found.as_ref().map_or(0, Metadata::len), found.map(|found| (found.dev(), found.ino())));
        Ok(Self { file, id, before, held: Vec::new(), left: 0 })
    }

    /// Whether both are one file, by two names or since it was renamed.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.id.is_some() && self.id == other.id
    }

    /// The line before the last one that was handed out, without its end; a file that ends a line has an empty one behind it.
    pub(super) fn line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let left = self.held.get(..self.left).unwrap_or_default();
            if let Some(end) = memrchr(b'\n', left) {
                let line = end + 1..self.left;
                self.left = end;
                return Ok(self.held.get(line));
            }
            let Some(file) = self.file.as_ref().filter(|_| self.before > 0) else {
                return Ok(self.file.take().and_then(|_| self.held.get(..self.left)));
            };
            // As much again as is left, so that a long line is not gone over again and again.
            let bytes = PIECE_BYTES.max(u64::try_from(left.len()).unwrap_or(u64::MAX)).min(self.before);
            let mut piece = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
            self.before -= bytes;
            file.read_exact_at(&mut piece, self.before)?;
            piece.extend_from_slice(left);
            self.left = piece.len();
            self.held = piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_from_the_end_whole_across_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(Backwards::open(&path).unwrap().line().unwrap(), None, "a file that is not there");
        let piece = usize::try_from(PIECE_BYTES).unwrap();
        let lines =
            ["first".to_owned(), "x".repeat(3 * piece + 1), String::new(), "y".repeat(piece), "last".to_owned()];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut file = Backwards::open(&path).unwrap();
        let mut seen: Vec<String> = Vec::new();
        while let Some(line) = file.line().unwrap() {
            seen.insert(0, String::from_utf8(line.to_vec()).unwrap());
        }
        assert!(seen == lines, "{:?}", seen.iter().map(String::len).collect::<Vec<_>>());
        assert_eq!(file.line().unwrap(), None, "it has ended");
    }

    #[test]
    fn the_last_lines_of_a_large_file_cost_one_piece() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "a line like many others\n".repeat(100_000)).unwrap();
        let all = std::fs::metadata(&path).unwrap().len();
        let mut file = Backwards::open(&path).unwrap();
        for _ in 0..1000 {
            file.line().unwrap().unwrap();
        }
        assert_eq!(all - file.before, PIECE_BYTES);
    }
}
