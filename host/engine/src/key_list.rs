//! Keys on disk: those of a plan, in their order, in a file that is gone with its handle; each with how many of its versions are passed over, or with the
//! fingerprint of what was found there.
//!
//! Called by `mirror` and by `restore`, which restores what is in a list and no more. Bound: one buffer a cursor.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_model::Key;

use crate::{Error, Result};

/// Bytes that a cursor reads at once; no key is nearly as long.
const BUFFER_BYTES: usize = 256 * 1024;
/// The numbers before each key: its length, how many of its versions are passed over, and the length of the fingerprint behind it.
const NUMBER_BYTES: usize = 4;

/// Keys that are being written.
pub(crate) struct KeyWriter {
    file: Option<BufWriter<File>>,
    keys: u64,
    bytes: u64,
}

impl KeyWriter {
    pub(crate) const fn new() -> Self {
        Self { file: None, keys: 0, bytes: 0 }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.keys
    }

    /// A key of which so many versions are passed over, from the oldest on.
    pub(crate) fn add_after(&mut self, key: &Key, passed: usize) -> Result<()> {
        self.put(key.as_bytes(), passed, None).map_err(failed)
    }

    /// A key, with the fingerprint of what is there.
    pub(crate) fn add_found(&mut self, key: &Key, fingerprint: Option<&str>) -> Result<()> {
        self.put(key.as_bytes(), 0, fingerprint).map_err(failed)
    }

    fn put(&mut self, key: &[u8], passed: usize, fingerprint: Option<&str>) -> io::Result<()> {
        let fingerprint = fingerprint.unwrap_or_default().as_bytes();
        if self.file.is_none() {
            self.file = Some(BufWriter::new(tempfile::tempfile()?));
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        for number in [key.len(), passed, fingerprint.len()] {
            let number = u32::try_from(number).map_err(io::Error::other)?;
            file.write_all(&number.to_le_bytes())?;
        }
        file.write_all(key)?;
        file.write_all(fingerprint)?;
        self.keys += 1;
        self.bytes += (3 * NUMBER_BYTES + key.len() + fingerprint.len()) as u64;
        Ok(())
    }

    /// What was added so far.
    pub(crate) fn list(&mut self) -> Result<KeyList> {
        let file = self.file.as_mut().map(|file| {
            file.flush()?;
            file.get_ref().try_clone()
        });
        Ok(KeyList { file: file.transpose().map_err(failed)?.map(Arc::new), bytes: self.bytes })
    }
}

/// Keys of a snapshot in their order, as a mirror lists them for a restore; clones share them.
#[derive(Debug, Clone)]
pub struct KeyList {
    file: Option<Arc<File>>,
    bytes: u64,
}

impl KeyList {
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// One way through them.
    pub(crate) fn cursor(&self) -> KeyCursor {
        KeyCursor { list: self.clone(), offset: 0, buffer: Vec::new(), at: 0, next: None }
    }
}

/// A way through a list.
pub(crate) struct KeyCursor {
    list: KeyList,
    /// Of the file, behind the buffer.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
    next: Option<Noted>,
}

/// What a list says of a key.
struct Noted {
    key: Key,
    passed: usize,
    fingerprint: Option<String>,
}

impl KeyCursor {
    /// The next key, with the fingerprint of what was found there, if it has one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(Key, Option<String>)>> {
        Ok(self.noted()?.map(|noted| (noted.key, noted.fingerprint)))
    }

    /// How many versions of a key are passed over, if it is in the list; asked for keys in their order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn passed(&mut self, key: &Key) -> Result<Option<usize>> {
        while let Some(noted) = self.noted()? {
            if noted.key >= *key {
                let passed = (noted.key == *key).then_some(noted.passed);
                self.next = Some(noted);
                return Ok(passed);
            }
        }
        Ok(None)
    }

    fn noted(&mut self) -> Result<Option<Noted>> {
        match self.next.take() {
            Some(noted) => Ok(Some(noted)),
            None => self.read().map_err(failed),
        }
    }

    fn read(&mut self) -> io::Result<Option<Noted>> {
        let Some(length) = self.number()? else { return Ok(None) };
        let Some(passed) = self.number()? else { return Ok(None) };
        let Some(mark) = self.number()? else { return Ok(None) };
        let Some(key) = self.take(length)?.map(Key::new) else { return Ok(None) };
        let fingerprint = self.take(mark)?.filter(|mark| !mark.is_empty());
        let fingerprint = fingerprint.map(String::from_utf8).transpose().map_err(io::Error::other)?;
        Ok(Some(Noted { key, passed, fingerprint }))
    }

    fn number(&mut self) -> io::Result<Option<usize>> {
        let Some(bytes) = self.take(NUMBER_BYTES)? else { return Ok(None) };
        let bytes = <[u8; NUMBER_BYTES]>::try_from(bytes.as_slice()).map_err(io::Error::other)?;
        usize::try_from(u32::from_le_bytes(bytes)).map(Some).map_err(io::Error::other)
    }

    fn take(&mut self, length: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.list.file.clone() else { return Ok(None) };
        while self.buffer.len().saturating_sub(self.at) < length && self.offset < self.list.bytes {
            self.buffer.drain(..self.at);
            self.at = 0;
            let left = usize::try_from(self.list.bytes - self.offset).unwrap_or(usize::MAX);
            let mut more = vec![0; left.min(BUFFER_BYTES)];
            file.read_exact_at(&mut more, self.offset)?;
            self.offset += more.len() as u64;
            self.buffer.append(&mut more);
        }
        let taken = self.buffer.get(self.at..self.at.saturating_add(length)).map(<[u8]>::to_vec);
        self.at += taken.as_ref().map_or(0, Vec::len);
        Ok(taken)
    }
}

fn failed(error: io::Error) -> Error {
    let folder = std::env::temp_dir();
    let message = format!(
        "what is to be done is kept in a temporary file in {}, and that failed: {error}; make room there, or set TMPDIR",
        folder.display()
    );
    Error::connector("planning the mirror")(ConnectError::new(ErrorClass::Exhausted, "mirror.keys", message))
}
