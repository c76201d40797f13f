//! Reading a local file: all of its bytes whatever size is stated of it, holes without I/O, and no torn copy passed off as a whole one.
//!
//! A file is torn when it is another after its last byte than before its first: a writer may have put pages of two generations into what was
//! read. The reader yields what it read and fails then, so that whoever cannot get a whole copy has that one.
//!
//! Called by the source and the store, which hand it to the engine as the reader of a [`Body`](crate::Body).

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use super::attributes::fingerprint;
use super::cause::of_read;
use super::platform::posix::{Errno, pread};
use super::platform::{Extent, extent_at, status_of};
use crate::Error;

/// A range of an open file.
pub(super) struct FileReader {
    file: OwnedFd,
    position: u64,
    end: u64,
    /// Whether there may be bytes behind `end`: it is the size that the file system states.
    beyond_end: bool,
    /// Until where the file is known to be data, or a hole; `None` when holes are not looked for.
    extent: Option<Extent>,
    /// What the fingerprint has to be after the last byte.
    expected: Option<String>,
    /// A read that came up short ended where the file is said to end: nothing is behind that.
    is_short: bool,
    /// All was read and found unchanged.
    has_ended: bool,
}

impl FileReader {
    /// Reads from `position` to `end`.
    pub(super) fn new(file: OwnedFd, position: u64, end: u64) -> Self {
        Self { file, position, end, beyond_end: false, extent: None, expected: None, is_short: false, has_ended: false }
    }

    /// Looks for holes and yields their zeros without reading.
    pub(super) fn with_holes(mut self) -> Self {
        self.extent = Some(Extent { is_hole: false, end: self.position });
        self
    }

    /// Fails as torn after the last byte when the file no longer has this fingerprint.
    pub(super) fn expecting(mut self, fingerprint: String) -> Self {
        self.expected = Some(fingerprint);
        self
    }

    /// Reads on behind the end for as long as there are bytes: some file systems state too small a size, or 0.
    pub(super) fn beyond_end(mut self) -> Self {
        self.beyond_end = true;
        self
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if self.position >= self.end {
            return pread(&self.file, buffer, self.position);
        }
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let Some(extent) = self.extent() else {
            // One byte more than there should be, and the end shows without a further call.
            let wanted = if self.beyond_end { buffer.len() } else { left.min(buffer.len()) };
            let count = pread(&self.file, buffer.get_mut(..wanted).unwrap_or_default(), self.position)?;
            self.is_short = count == left && count < wanted;
            return Ok(count);
        };
        let left = usize::try_from(extent.end.saturating_sub(self.position)).unwrap_or(usize::MAX).min(left);
        let wanted = buffer.len().min(left);
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        if extent.is_hole {
            part.fill(0);
            return Ok(part.len());
        }
        pread(&self.file, part, self.position)
    }

    /// The extent at the position; a file system that cannot tell is taken for data throughout.
    fn extent(&mut self) -> Option<Extent> {
        let known = self.extent?;
        if self.position < known.end {
            return Some(known);
        }
        self.extent = extent_at(&self.file, self.position, self.end);
        self.extent
    }

    fn verify_unchanged(&self) -> io::Result<()> {
        let Some(expected) = &self.expected else { return Ok(()) };
        let now = status_of(self.file.as_fd(), b"")?;
        if fingerprint(&now) == *expected { Ok(()) } else { Err(io::Error::other(Error::torn())) }
    }
}

impl Read for FileReader {
    /// What the disk has lost is told from what is worth another try.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_verified(buffer).map_err(of_read)
    }
}

impl FileReader {
    fn read_verified(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.has_ended {
            return Ok(0);
        }
        let is_verified = self.position >= self.end;
        if is_verified {
            // Before what is behind the end is looked for: a file that is being written to would have no end.
            self.verify_unchanged()?;
            if !self.beyond_end || self.is_short {
                self.has_ended = true;
                return Ok(0);
            }
        }
        let count = loop {
            match self.read_some(buffer) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        self.position = self.position.saturating_add(count as u64);
        if count == 0 {
            if !is_verified {
                self.verify_unchanged()?;
            }
            self.has_ended = true;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn a_file_is_read_to_its_end_whatever_size_is_stated_of_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        for stated in [0, 100, 5000, 9000] {
            let copy = OwnedFd::from(file.try_clone().unwrap());
            let mut read = Vec::new();
            FileReader::new(copy, 0, stated).beyond_end().read_to_end(&mut read).unwrap();
            assert_eq!(read, [7; 5000], "{stated}");
        }
    }

    #[test]
    fn what_the_disk_has_lost_is_corrupt_and_no_reason_to_try_again() {
        // Nothing is mapped at the beginning of any process: the kernel answers with EIO.
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut reader = FileReader::new(OwnedFd::from(memory), 0, 4096);
        let error = Error::from_io(reader.read(&mut [0; 100]).unwrap_err());
        assert_eq!((error.class, error.reason.as_str()), (crate::ErrorClass::Corrupt, "file.medium"), "{error}");
    }

    #[test]
    fn a_torn_file_is_yielded_whole_before_it_is_called_torn() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let copy = OwnedFd::from(file.try_clone().unwrap());
        let mut reader = FileReader::new(copy, 0, 5000).expecting("another".to_owned()).beyond_end();
        let mut read = Vec::new();
        let error = Error::from_io(reader.read_to_end(&mut read).unwrap_err());
        assert!(error.is_torn());
        assert_eq!(read, [7; 5000]);
    }

    #[test]
    fn holes_read_as_zeros_and_ranges_end_where_they_should() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        file.seek(io::SeekFrom::Start(1 << 20)).unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let mut expected = vec![0; 3 << 20];
        expected[1 << 20..(1 << 20) + 5000].fill(7);
        for (from, to) in [(0, 3 << 20), (10, 3 << 20), ((1 << 20) + 1, (1 << 20) + 4999), (2 << 20, (2 << 20) + 3)] {
            let copy = OwnedFd::from(file.try_clone().unwrap());
            let mut read = Vec::new();
            FileReader::new(copy, from as u64, to as u64).with_holes().read_to_end(&mut read).unwrap();
            assert!(read == expected[from..to], "{from}..{to}");
        }
    }
}
