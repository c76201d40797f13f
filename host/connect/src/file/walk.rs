//! A walk over a folder in the byte order of keys, without a global sort.
//!
//! Memory: the names of one folder per level of the current path. Descriptors: at most [`OPEN_FOLDERS_MAX`], whatever
//! the depth. Everything here may block; [`FileSource`](super::FileSource) runs it on the blocking pool.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use credenza_model::limits::KEY_BYTES_MAX;
use credenza_model::{Entry, EntryKind, Key, SkippedEntry};

use super::accounts::Accounts;
use super::attributes::{describe, extended, extended_of};
use super::marker;
use super::platform::posix::{Errno, FileType, Mode, OFlags, openat, readlinkat};
use super::platform::{
    FOLDER, Name, Status, is_plain_segment, known_status_of, open_beneath, path_through, sorted_names, status_of,
};
use super::racy::Racy;
use super::root::Root;
use crate::{Found, ScanOptions};

/// Folders held open along the current path; those further up are closed and opened again on the way back.
const OPEN_FOLDERS_MAX: usize = 128;

/// A folder on the current path.
struct Level {
    folder: Option<OwnedFd>,
    identity: (u32, u32, u64),
    names: std::vec::IntoIter<Name>,
    key_bytes: usize,
}

/// A walk in progress.
pub(super) struct Walk {
    root: Arc<Root>,
    options: ScanOptions,
    accounts: Accounts,
    levels: Vec<Level>,
    key: Vec<u8>,
    begun: bool,
    racy: Option<Racy>,
    /// The last file system that said it has no extended attributes.
    plain_device: Option<(u32, u32)>,
}

impl Walk {
    pub(super) fn new(root: Arc<Root>, options: ScanOptions) -> Self {
        let (accounts, racy) =
            (Accounts::read(), options.racy_since.map(|began| Racy::since(began, options.whole_seconds_are_racy)));
        Self { root, options, accounts, levels: Vec::new(), key: Vec::new(), begun: false, racy, plain_device: None }
    }

    /// Up to `max` findings; none is the end.
    ///
    /// # Errors
    /// When the root itself cannot be listed.
    pub(super) fn batch(&mut self, max: usize) -> Result<Vec<Found>, Errno> {
        let mut found = Vec::new();
        if !self.begun {
            found.extend(self.begin()?);
            self.begun = true;
        }
        while found.len() < max && !self.levels.is_empty() {
            found.extend(self.step());
        }
        Ok(found)
    }

    fn begin(&mut self) -> Result<Option<Found>, Errno> {
        let root = Arc::clone(&self.root);
        if let Some(only) = &root.only {
            let status = status_of(root.folder.as_fd(), b"")?;
            let folder = Some(root.folder.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?);
            self.levels.push(Level {
                folder,
                identity: status.identity(),
                names: Vec::new().into_iter(),
                key_bytes: 0,
            });
            self.key.clone_from(&only.key);
            return Ok(if self.is_left_out() { None } else { self.visit_file(&only.name) });
        }
        let folder = open_beneath(root.folder.as_fd(), b"", OFlags::RDONLY | OFlags::DIRECTORY)?;
        let status = self.enter(folder)?;
        Ok(self.is_wanted().then(|| self.found(&status, b".")))
    }

    /// The next name of the innermost folder.
    fn step(&mut self) -> Option<Found> {
        let level = self.levels.last_mut()?;
        self.key.truncate(level.key_bytes);
        let Some(name) = level.names.next() else {
            self.levels.pop();
            return None;
        };
        self.key.extend_from_slice(&name);
        if self.key.len() > KEY_BYTES_MAX {
            return self.is_wanted().then(|| self.skipped(format!("its path is longer than {KEY_BYTES_MAX} bytes")));
        }
        // Before anything is asked of it: what is excluded may be out of reach, or hang whoever looks.
        if self.is_left_out() {
            return None;
        }
        match name.strip_suffix(b"/") {
            Some(folder) => self.visit_folder(folder),
            None => self.visit_file(&name),
        }
    }

    fn visit_file(&mut self, name: &[u8]) -> Option<Found> {
        if !self.is_wanted() {
            return None;
        }
        let status = match self.folder().and_then(|folder| status_of(folder, name)) {
            Ok(status) => status,
            Err(Errno::NOENT) => return None,
            Err(error) => return self.lost(error),
        };
        if status.kind == FileType::Directory {
            return Some(self.skipped("it was replaced by a folder while it was being described".to_owned()));
        }
        Some(self.found(&status, name))
    }

    fn visit_folder(&mut self, name: &[u8]) -> Option<Found> {
        if self.options.one_level && self.key.len() > self.options.prefix.len() {
            return self
                .is_wanted()
                .then(|| Found::Entry(Entry::new(Key::new(self.key.clone()), EntryKind::Directory)));
        }
        if !self.is_way() {
            return None;
        }
        if self.options.one_file_system
            && let Some(found) = self.mounted(name)
        {
            return self.is_wanted().then_some(found);
        }
        // A folder that only the prefix names may well be missing, or be a file; then nothing has the prefix.
        let guessed = self.key.len() <= self.options.prefix.len();
        let opened = self.folder().and_then(|folder| openat(folder, name, FOLDER, Mode::empty()));
        match opened.and_then(|folder| self.enter(folder)) {
            Ok(status) => self.is_wanted().then(|| self.found(&status, b".")),
            Err(Errno::NOENT) => None,
            Err(Errno::NOTDIR | Errno::LOOP) if guessed => None,
            Err(error) => Some(self.skipped(reason(error))),
        }
    }

    /// The current folder as an entry when another file system is mounted there. It is not opened: what is mounted may hang.
    fn mounted(&mut self, name: &[u8]) -> Option<Found> {
        let (major, minor, _) = self.levels.first()?.identity;
        let status = self.folder().and_then(|folder| known_status_of(folder, name)).ok()?;
        let is_other = status.device != (major, minor);
        is_other.then(|| Found::Entry(describe(Key::new(self.key.clone()), &status, &self.accounts)))
    }

    /// Makes `folder`, whose key is the current one, the innermost level.
    fn enter(&mut self, folder: OwnedFd) -> Result<Status, Errno> {
        let status = status_of(folder.as_fd(), b"")?;
        let marked = marker::names(folder.as_fd(), &self.options.markers);
        let names = match next_of_prefix(&self.options.prefix, &self.key) {
            _ if !marked.is_empty() => marked,
            Some(name) if is_plain_segment(name.strip_suffix(b"/").unwrap_or(name)) => vec![Name::from(name)],
            Some(_) => Vec::new(),
            None => sorted_names(folder.as_fd())?,
        };
        let level = Level {
            folder: Some(folder),
            identity: status.identity(),
            names: names.into_iter(),
            key_bytes: self.key.len(),
        };
        self.levels.push(level);
        if let Some(far) = self.levels.len().checked_sub(OPEN_FOLDERS_MAX + 1).and_then(|at| self.levels.get_mut(at)) {
            far.folder = None;
        }
        Ok(status)
    }

    /// The innermost folder, opened again if it had been closed.
    fn folder(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        let root = &self.root;
        let level = self.levels.last_mut().ok_or(Errno::NOENT)?;
        if level.folder.is_none() {
            let path = self.key.get(..level.key_bytes).unwrap_or_default();
            let folder = open_beneath(root.folder.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            if status_of(folder.as_fd(), b"")?.identity() != level.identity {
                return Err(Errno::STALE);
            }
            level.folder = Some(folder);
        }
        level.folder.as_ref().map(AsFd::as_fd).ok_or(Errno::NOENT)
    }

    /// Reports a name that cannot be described.
    fn lost(&self, error: Errno) -> Option<Found> {
        Some(self.skipped(reason(error)))
    }

    fn skipped(&self, reason: String) -> Found {
        Found::Skipped(SkippedEntry { key: Key::new(self.key.clone()), reason })
    }

    /// The current key as an entry; `name` finds it in the innermost folder.
    fn found(&mut self, status: &Status, name: &[u8]) -> Found {
        let mut entry = describe(Key::new(self.key.clone()), status, &self.accounts);
        if self.racy.as_ref().is_some_and(|racy| racy.holds(status.changed)) {
            entry.fingerprint = None;
        }
        if entry.kind == EntryKind::Symlink {
            match self.folder().and_then(|folder| readlinkat(folder, name, Vec::new())) {
                Ok(target) => entry.link_target = Some(target.into_bytes()),
                Err(error) => return self.skipped(reason(error)),
            }
        }
        let is_left_to_read = self.options.lean && entry.fingerprint.is_some();
        if !is_left_to_read && self.plain_device != Some(status.device) {
            let read = |folder: BorrowedFd<'_>| match name {
                b"." => extended_of(&folder, &entry.key).map(|all| all.read),
                _ => extended(&path_through(&folder, name)),
            };
            match self.folder().and_then(read) {
                Ok(more) => {
                    entry.attributes.extend(more);
                    entry.attributes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                }
                Err(Errno::OPNOTSUPP) => self.plain_device = Some(status.device),
                Err(Errno::NOENT) => {}
                Err(error) => {
                    tracing::warn!(key = %entry.key, %error, "extended attributes cannot be read");
                }
            }
        }
        Found::Entry(entry)
    }

    /// Whether the user does not want what has the current key.
    fn is_left_out(&self) -> bool {
        !self.options.only.selects(&self.key) || self.options.excludes.name(&self.key)
    }

    /// Whether the current key itself is asked for.
    fn is_wanted(&self) -> bool {
        let after = self.options.start_after.as_ref().is_none_or(|after| self.key > *after);
        after && self.key.starts_with(&self.options.prefix)
    }

    /// Whether the current folder or anything below it may be asked for.
    fn is_way(&self) -> bool {
        let after = |after: &Vec<u8>| self.key > *after || after.starts_with(&self.key);
        let under = self.key.starts_with(&self.options.prefix) || self.options.prefix.starts_with(&self.key);
        under && self.options.start_after.as_ref().is_none_or(after)
    }
}

/// The one folder below `key` that the prefix lets through, if it goes on through a whole segment.
fn next_of_prefix<'a>(prefix: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = prefix.strip_prefix(key)?;
    let end = rest.iter().position(|byte| *byte == b'/')?;
    rest.get(..=end)
}

fn reason(error: Errno) -> String {
    match error {
        Errno::NOTDIR | Errno::LOOP => "it was replaced by something else while it was being read".to_owned(),
        Errno::STALE => "the folder was moved or replaced while it was being read".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}
