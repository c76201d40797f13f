//! Locks between processes, which end with the process that holds them, however it ends.
//!
//! Called by `state`, `log` and `pause`. The file stays; who holds it wrote its process into it, for messages alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::JobsError;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

impl Held {
    /// Takes a lock without waiting.
    ///
    /// # Errors
    /// [`JobsError::Busy`] where another holds it.
    pub(super) fn take(path: &Path, what: &str) -> Result<Self, JobsError> {
        let mut file = open(path).map_err(failed(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JobsError::Busy { what: what.to_owned(), process: process(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(path)(source)),
        }
        // For messages: where the disk is full, there is no number in them.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }

    /// Takes a lock that is held for a moment at a time, and waits for it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub(super) fn wait(path: &Path) -> Result<Self, JobsError> {
        let file = open(path).map_err(failed(path))?;
        file.lock().map_err(failed(path))?;
        Ok(Self { _file: file })
    }

    /// Whether somebody holds it.
    pub(super) fn is_taken(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The process that holds it.
    pub(super) fn holder(path: &Path) -> Option<u32> {
        Self::is_taken(path).then(|| process(&mut File::open(path).ok()?)).flatten()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> JobsError {
    move |source| JobsError::State { path: path.to_owned(), doing: "locked", source }
}

fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_names_its_process_and_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        assert!(!Held::is_taken(&path));
        let held = Held::take(&path, "the daemon").unwrap();
        let again = Held::take(&path, "the daemon").unwrap_err();
        let said = format!("the daemon is at work already (process {})", std::process::id());
        assert_eq!((again.to_string(), Held::holder(&path)), (said, Some(std::process::id())));
        drop(held);
        assert!(!Held::is_taken(&path) && Held::take(&path, "the daemon").is_ok());
    }
}
