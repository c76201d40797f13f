//! The lines of a file from its end, for whoever wants the last few of many.
//!
//! Bound: [`PIECE_BYTES`], and twice the longest line.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are read at once.
pub(super) const PIECE_BYTES: u64 = 64 * 1024;

/// A file on its way to its begin. What is added meanwhile is not seen.
pub(super) struct Backwards {
    file: Option<File>,
    /// Bytes before what was read.
    before: u64,
    /// What was read and is not handed out.
    held: Vec<u8>,
}

impl Backwards {
    /// Opens a file. One that is not there has no lines.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Ok(Self { before: file.metadata()?.len(), file: Some(file), held: Vec::new() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { file: None, before: 0, held: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }

    /// The line before the last one that was handed out, without its end; a file that ends a line has an empty one behind it.
    pub(super) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') {
                let line = self.held.split_off(end + 1);
                self.held.truncate(end);
                return Ok(Some(line));
            }
            let Some(file) = self.file.as_ref().filter(|_| self.before > 0) else {
                return Ok(self.file.take().map(|_| std::mem::take(&mut self.held)));
            };
            // As much again as is held, so that a long line is not gone over again and again.
            let held = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
            let bytes = PIECE_BYTES.max(held).min(self.before);
            let mut piece = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
            self.before -= bytes;
            file.read_exact_at(&mut piece, self.before)?;
            piece.append(&mut self.held);
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
            seen.insert(0, String::from_utf8(line).unwrap());
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
