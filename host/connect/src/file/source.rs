//! A local folder, or a single file, to back up.
//!
//! Keys are paths relative to the folder; a single file's key is its name. Links are never followed, except on the user's own path to
//! the root (`root`).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, EntryKind, Key, Timestamp};
use tokio::task::JoinHandle;

use super::attributes::{extended_of, fingerprint, is_sparse};
use super::cause::from_errno;
use super::platform::posix::{Errno, FileType, OFlags, pread};
use super::platform::{NO_TRACE, Status, host_name, open_beneath, status_of};
use super::reader::FileReader;
use super::root::{Root, one_spelling};
use super::walk::Walk;
use crate::{
    Batch, Body, ByteRange, Check, Error, ErrorClass, Found, Opened, Result, ScanOptions, Scanner, Source,
    SourceDocument, SourceInfo, ability,
};

/// Files of up to so many bytes are read when they are opened, on the calling thread: that takes no longer than opening them.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;
/// What a listing tells of a file, its extended attributes left out.
const OWN: &str = "posix.";

/// A local folder or file to back up.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    host: String,
    root: OnceLock<Arc<Root>>,
    /// What the last read of a file missed, until it is asked for (`describe`). Bound: the files with such attributes that were read and
    /// not asked for.
    missed: Mutex<BTreeMap<Key, String>>,
}

impl FileSource {
    /// A source at `path`, made absolute now and opened when it is first used.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for an empty path, or without a current folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let given = path.as_ref();
        let path = std::path::absolute(given).map_err(|e| {
            Error::new(
                ErrorClass::Configuration,
                "file.path",
                format!("`{}` names no folder to back up: {e}", given.display()),
            )
        })?;
        Ok(Self { path, host: host_name(), root: OnceLock::new(), missed: Mutex::default() })
    }

    /// The same source as one of a machine of this name.
    #[must_use]
    pub fn of_host(self, host: String) -> Self {
        Self { host, ..self }
    }

    /// The machine and the one spelling of the path, so that the same folder is the same source however it is called.
    fn identity(&self) -> String {
        let path = one_spelling(&self.path).into_os_string();
        format!("file://{}{}", self.host, Key::new(path.as_bytes()))
    }

    fn root(&self) -> Result<Arc<Root>> {
        if let Some(root) = self.root.get() {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(Root::open(&self.path)?);
        Ok(Arc::clone(self.root.get_or_init(|| root)))
    }

    fn missed(&self) -> MutexGuard<'_, BTreeMap<Key, String>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a read missed of a file; nothing, where it told all.
    fn note_missed(&self, key: &Key, reason: Option<String>) {
        let mut missed = self.missed();
        match reason {
            Some(reason) => drop(missed.insert(key.clone(), reason)),
            None => drop(missed.remove(key)),
        }
    }

    fn open(&self, key: &Key) -> Result<OwnedFd> {
        let root = self.root()?;
        let path = match &root.only {
            Some(only) if only.key != key.as_bytes() => return Err(from_errno("cannot read", key, Errno::NOENT)),
            Some(only) => only.name.as_slice(),
            None => key.as_bytes(),
        };
        let open = |flags| open_beneath(root.folder.as_fd(), path, flags);
        // NONBLOCK so that a pipe that took the file's place cannot stall the run; no trace is the owner's privilege.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let opened = match open(flags | NO_TRACE) {
            Err(Errno::PERM) => open(flags),
            other => other,
        };
        opened.map_err(|e| from_errno("cannot read", key, e))
    }

    /// A small file that is after its last byte what was listed, so that it was that all the time. Nothing where it is not, or cannot be read: what
    /// it is now is for another read to tell.
    fn read_as_listed(&self, entry: &Entry, wanted: Option<&str>) -> Option<Opened> {
        let size = usize::try_from(entry.size?).ok().filter(|size| *size <= AT_ONCE_BYTES_MAX)?;
        let wanted = wanted.filter(|_| entry.attribute("posix.sparse").is_none())?;
        let file = self.open(&entry.key).ok()?;
        let (described, missed) = described(entry, &file);
        let bytes = read_exactly(&file, size)?;
        let status = status_of(file.as_fd(), b"").ok()?;
        if status.kind != FileType::RegularFile || fingerprint(&status) != wanted {
            return None;
        }
        self.note_missed(&entry.key, missed);
        Some(Opened { entry: described, body: Body::from_reader(None, std::io::Cursor::new(bytes)) })
    }

    fn open_regular(&self, key: &Key) -> Result<(OwnedFd, Status)> {
        let file = self.open(key)?;
        let status = status_of(file.as_fd(), b"").map_err(|e| from_errno("cannot read", key, e))?;
        if status.kind != FileType::RegularFile {
            return Err(Error::new(
                ErrorClass::Precondition,
                "file.replaced",
                format!("`{key}` is no longer a regular file"),
            ));
        }
        Ok((file, status))
    }
}

#[async_trait]
impl Source for FileSource {
    async fn info(&self) -> Result<SourceInfo> {
        self.root()?;
        Ok(SourceInfo {
            identity: self.identity(),
            namespace: ability::TREE.to_owned(),
            traits: [
                ability::ORDERED_SCAN,
                ability::START_AFTER,
                ability::COMPLETE_SCAN,
                ability::LEAN_SCAN,
                ability::FINGERPRINTS,
                ability::RANGED_READ,
                ability::LOCAL,
            ]
            .map(str::to_owned)
            .to_vec(),
        })
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    async fn check(&self) -> Vec<Check> {
        let reached = self.root().map(|_| self.path.display().to_string());
        let listed = match self.scan(&ScanOptions::default()).await {
            Ok(mut scanner) => {
                scanner.next(100).await.map(|batch| format!("{} of its first entries", batch.found.len()))
            }
            Err(error) => Err(error),
        };
        vec![
            Check { name: "reach the folder".to_owned(), outcome: reached },
            Check { name: "list it".to_owned(), outcome: listed },
        ]
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let walk = Walk::new(self.root()?, options.clone());
        Ok(Box::new(FileScanner {
            path: self.path.clone(),
            walk: Some(walk),
            ahead: None,
            found: Vec::new(),
            ended: false,
        }))
    }

    /// Opens without leaving the calling thread: opening takes microseconds, handing over would cost as much again.
    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        if entry.kind != EntryKind::File {
            return Err(Error::new(
                ErrorClass::Unsupported,
                "file.no-content",
                format!("`{}` is a {} and has no content to read", entry.key, entry.kind.name()),
            ));
        }
        if range.is_none()
            && let Some(opened) = self.read_as_listed(entry, if_match)
        {
            return Ok(opened);
        }
        let (file, status) = self.open_regular(&entry.key)?;
        let seen = fingerprint(&status);
        if if_match.is_some_and(|wanted| wanted != seen) {
            return Err(Error::new(
                ErrorClass::Precondition,
                "file.changed-since",
                format!("`{}` was changed since it was listed", entry.key),
            ));
        }
        let (start, end) = bounds(range, status.size, &entry.key)?;
        let (entry, missed) = described(entry, &file);
        self.note_missed(&entry.key, missed);
        let mut reader = FileReader::new(file, start, end).expecting(seen.clone());
        if range.is_none() {
            reader = reader.beyond_end();
        }
        if is_sparse(&status) {
            reader = reader.with_holes();
        }
        let entry =
            Entry { size: Some(status.size), modified: Some(status.modified), fingerprint: Some(seen), ..entry };
        // Some file systems state another size than there is to read, or none.
        let length = range.map(|_| end.saturating_sub(start));
        Ok(Opened { entry, body: Body::from_reader(length, reader) })
    }

    /// Adds nothing to what a read told, and fails for what it missed, so that the next run asks again: that the right to read an attribute was
    /// given since moves no fingerprint.
    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let mut missed = self.missed();
        // Whatever the cause: of another class it would be asked for once more, where only another read tells more.
        let denied = |reason: String| Err(Error::new(ErrorClass::Denied, "file.attributes", reason));
        Ok(entries.iter().map(|entry| missed.remove(&entry.key).map_or_else(|| Ok(Vec::new()), denied)).collect())
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(Vec::new())
    }
}

/// All bytes of a file, if there are just so many.
fn read_exactly(file: &OwnedFd, size: usize) -> Option<Vec<u8>> {
    // One byte more than there should be, and the end shows without a further call.
    let mut bytes = vec![0; size + 1];
    let mut length = 0;
    loop {
        let rest = bytes.get_mut(length..).filter(|rest| !rest.is_empty())?;
        let count = match pread(file, &mut *rest, length as u64) {
            Err(Errno::INTR) => continue,
            read => read.ok()?,
        };
        length += count;
        if count == 0 || length == size {
            break;
        }
    }
    bytes.truncate(length);
    (length == size).then_some(bytes)
}

/// A listed entry with the extended attributes that its open file has now; and why, if these are not all.
fn described(listed: &Entry, file: &OwnedFd) -> (Entry, Option<String>) {
    let mut entry = listed.clone();
    let missed = match extended_of(file, &listed.key) {
        Ok(more) => {
            entry.attributes.retain(|(name, _)| name.starts_with(OWN));
            entry.attributes.extend(more.read);
            entry.attributes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            more.missed
        }
        Err(Errno::OPNOTSUPP) => None,
        Err(error) => {
            tracing::warn!(key = %listed.key, %error, "extended attributes cannot be read");
            Some(format!("its extended attributes cannot be read: {}", std::io::Error::from(error)))
        }
    };
    (entry, missed)
}

/// First byte and end of a range within `size` bytes.
///
/// # Errors
/// [`ErrorClass::Corrupt`] when it begins past the end: whoever asked believed in more bytes than there are.
pub(super) fn bounds(range: Option<ByteRange>, size: u64, object: impl std::fmt::Display) -> Result<(u64, u64)> {
    let Some(range) = range else { return Ok((0, size)) };
    if range.offset > 0 && range.offset >= size {
        return Err(Error::new(
            ErrorClass::Corrupt,
            "file.range",
            format!("`{object}` has {size} bytes, so nothing can be read from byte {}", range.offset),
        ));
    }
    let end = range.length.map_or(size, |length| range.offset.saturating_add(length).min(size));
    Ok((range.offset, end))
}

/// A walk and the batch that it brought.
type Walked = (Walk, Result<Vec<Found>, Errno>);

/// Findings of a walk that runs one batch ahead on the blocking pool: one hand-over per batch, two batches in memory.
struct FileScanner {
    path: PathBuf,
    walk: Option<Walk>,
    ahead: Option<JoinHandle<Walked>>,
    /// What the last batch held beyond what was asked for, last first.
    found: Vec<Found>,
    ended: bool,
}

impl FileScanner {
    /// The batch that is on its way, in order; begins the one after it.
    async fn batch(&mut self, max: usize) -> Result<Vec<Found>> {
        let lost = |cause: &dyn std::fmt::Display| {
            let message = format!("the thread that walked `{}` ended early: {cause}", self.path.display());
            Error::new(ErrorClass::Internal, "file.walk", message)
        };
        self.ahead = self.ahead.take().or_else(|| self.walk.take().map(|walk| walk_ahead(walk, max)));
        // Awaited in place, so that a caller that gives up waiting and comes again finds it.
        let Some(ahead) = self.ahead.as_mut() else { return Err(lost(&"it has failed before")) };
        let joined = ahead.await;
        self.ahead = None;
        let (walk, found) = joined.map_err(|e| lost(&e))?;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.walk = Some(walk);
                return Err(from_errno("cannot list", self.path.display(), error));
            }
        };
        self.ended = found.is_empty();
        if !self.ended {
            self.ahead = Some(walk_ahead(walk, max));
        }
        Ok(found)
    }
}

fn walk_ahead(mut walk: Walk, max: usize) -> JoinHandle<Walked> {
    tokio::task::spawn_blocking(move || {
        let found = walk.batch(max);
        (walk, found)
    })
}

#[async_trait]
impl Scanner for FileScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let max = max.max(1);
        if self.found.is_empty() && !self.ended {
            self.found = self.batch(max).await?;
            self.found.reverse();
        }
        let rest = self.found.len().saturating_sub(max);
        let mut found = self.found.split_off(rest);
        found.reverse();
        Ok(Batch { found, more: !self.ended })
    }
}
