//! The folder being restored to: folders kept open, hard links, and giving files their names.
//!
//! Bound: [`OPEN_FOLDERS_MAX`] open folders, [`LINK_GROUPS_MAX`] keys of hard links, [`DESCRIBED_MAX`] descriptions of files, [`FILE_SYSTEMS_MAX`] file
//! systems. Called by the destination and its writers.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use credenza_model::{Attribute, AttributeValue, Entry, EntryKind, Key, Timestamp};

use super::super::accounts::Accounts;
use super::super::attributes::{describe, extended};
use super::super::cause::{from_errno, from_io};
use super::super::escape::{escaped_names_of, names_of, unfinished_name};
use super::super::foreign::KEY;
use super::super::metadata;
use super::super::platform::posix::{
    AtFlags, CWD, Errno, FileType, Mode, OFlags, mkdirat, openat, readlinkat, renameat, unlinkat,
};
use super::super::platform::{
    At, Medium, Status, is_plain_segment, open_beneath, open_regular, path_through, status_of, sync_everything,
};
use super::super::store::random_name;
use super::loosen::Loosened;
use super::place::{Folder, Place, folder_key, place_in, renamed_to, renaming, step, unseen_place_in};
use super::special;
use crate::{Error, ErrorClass, Result};

/// What names the file that several entries are names of.
const HARD_LINK: &str = "posix.hardlink";
/// Folders kept open, so that neighbours cost no way from the root.
const OPEN_FOLDERS_MAX: usize = 128;
/// Groups of hard links that are restored as links.
const LINK_GROUPS_MAX: usize = 1 << 18;
/// Files that got their metadata before their names, until whoever writes them asks for it: two windows of a restore.
const DESCRIBED_MAX: usize = 1 << 13;
/// File systems that are synced by themselves; where one restore writes to more, all are.
const FILE_SYSTEMS_MAX: usize = 64;

/// The folder being restored to, with what is known of it.
#[derive(Debug)]
pub(in crate::file) struct Tree {
    path: PathBuf,
    accounts: Accounts,
    root: OnceLock<Arc<Folder>>,
    folders: Mutex<HashMap<Vec<u8>, Arc<Folder>>>,
    /// Per group of hard links the key that carries the content.
    links: Mutex<HashMap<String, Key>>,
    /// Tells the unfinished files of this run from those of any other.
    run: String,
    unfinished: AtomicU64,
    medium: Medium,
    /// A descriptor of each file system that was written to, opened before.
    file_systems: Mutex<HashMap<(u32, u32), OwnedFd>>,
    loosened: Loosened,
    /// Files that have the metadata of their entries, and what of it could not be set.
    described: Mutex<HashMap<Key, Described>>,
}

#[derive(Debug)]
struct Described {
    modified: Option<Timestamp>,
    attributes: Vec<Attribute>,
    missed: Vec<String>,
}

pub(super) fn exists(key: &Key) -> Error {
    Error::new(ErrorClass::Precondition, "file.exists", format!("`{key}` exists already at the destination"))
}

impl Tree {
    pub(super) fn new(path: PathBuf, medium: Medium) -> Result<Self> {
        let run = random_name().map_err(|e| from_io("cannot restore to", path.display(), &e))?;
        Ok(Self {
            path,
            accounts: Accounts::read(),
            root: OnceLock::new(),
            folders: Mutex::default(),
            links: Mutex::default(),
            run,
            unfinished: AtomicU64::new(0),
            medium,
            file_systems: Mutex::default(),
            loosened: Loosened::default(),
            described: Mutex::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn make_root(&self) -> Result<()> {
        if self.root.get().is_some() {
            return Ok(());
        }
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.path);
        made.map_err(|e| from_io("cannot make the folder", self.path.display(), &e))
    }

    fn root(&self) -> Result<Arc<Folder>, Errno> {
        if let Some(root) = self.root.get() {
            return Ok(Arc::clone(root));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = openat(CWD, &self.path, flags, Mode::empty())?;
        let root = Arc::new(Folder::new(descriptor, Vec::new())?);
        Ok(Arc::clone(self.root.get_or_init(|| root)))
    }

    /// The folder of a key that ends in `/` or is empty; `None` when there is none and none is to be made.
    ///
    /// One that is to be made is to be written in: it and those on the way let their owner.
    pub(super) fn folder(&self, key: &[u8], make: bool) -> Result<Option<Arc<Folder>>, Errno> {
        let (mut known, mut folder) = self.nearest(key)?;
        if make {
            self.open_to_write(&folder)?;
        }
        while let Some(rest) = key.get(known..).filter(|rest| !rest.is_empty()) {
            let segment = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
            let Some(next) = step(&folder, segment, make)? else { return Ok(None) };
            known = known.saturating_add(segment.len()).saturating_add(1);
            folder = Arc::new(next);
            if make {
                self.open_to_write(&folder)?;
            }
            self.remember(key.get(..known).unwrap_or(key), &folder);
        }
        Ok(Some(folder))
    }

    /// Makes the folder of a key. One that is new is not opened: whoever writes in it does that, and many are made before.
    pub(super) fn make_folder(&self, key: &Key) -> Result<(), Errno> {
        let (above, segment) = parted(key.as_bytes().strip_suffix(b"/").unwrap_or(key.as_bytes()));
        if !key.as_bytes().is_empty()
            && let Some(parent) = self.folder(above, true)?
            && let [name] = names_of(segment).as_slice()
            && mkdirat(&parent.descriptor, name, Mode::RWXU).is_ok()
        {
            return Ok(());
        }
        self.folder(&folder_key(key), true).map(drop)
    }

    fn open_to_write(&self, folder: &Folder) -> Result<(), Errno> {
        self.loosened.loosen(folder)?;
        let mut known = lock_unpoisoned(&self.file_systems);
        if known.len() <= FILE_SYSTEMS_MAX && !known.contains_key(&folder.device) {
            let copy = folder.descriptor.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
            known.insert(folder.device, copy);
        }
        Ok(())
    }

    /// Makes durable what was written.
    pub(super) fn sync(&self) -> Result<()> {
        let known = lock_unpoisoned(&self.file_systems);
        if known.len() > FILE_SYSTEMS_MAX {
            sync_everything();
        }
        let synced = known.values().try_for_each(|any| self.medium.sync_file_system(any.as_fd()));
        synced.map_err(|e| from_errno("what was restored did not reach the disk of", self.path.display(), e))
    }

    /// The innermost open folder on the way to a key, and how many bytes of the key it covers.
    fn nearest(&self, key: &[u8]) -> Result<(usize, Arc<Folder>), Errno> {
        let folders = lock_unpoisoned(&self.folders);
        let ends = (1..=key.len()).rev().filter(|end| key.get(..*end).is_some_and(|part| part.ends_with(b"/")));
        for end in ends {
            if let Some(folder) = key.get(..end).and_then(|part| folders.get(part)) {
                return Ok((end, Arc::clone(folder)));
            }
        }
        Ok((0, self.root()?))
    }

    fn remember(&self, key: &[u8], folder: &Arc<Folder>) {
        let mut folders = lock_unpoisoned(&self.folders);
        if folders.len() >= OPEN_FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(key.to_vec(), Arc::clone(folder));
    }

    /// Where the file of a key is, or would be; `None` when a folder is missing and none is to be made.
    pub(super) fn place(&self, key: &Key, make: bool) -> Result<Option<Place>, Errno> {
        let (parent, segment) = parted(key.as_bytes());
        let Some(parent) = self.folder(parent, make)? else { return Ok(None) };
        for names in [names_of(segment), escaped_names_of(segment)] {
            let Some(place) = place_in(&parent, names, make)? else { return Ok(None) };
            if place.existing != Some(FileType::Directory) {
                return Ok(Some(place));
            }
        }
        Err(Errno::ISDIR)
    }

    /// Where the file of a key is or would be, unless a folder has the name: who asks finds that out, and asks for its [`place`](Self::place) then.
    pub(super) fn unseen_place(&self, key: &Key, make: bool) -> Result<Option<Place>, Errno> {
        let (parent, segment) = parted(key.as_bytes());
        match self.folder(parent, make)? {
            Some(parent) => unseen_place_in(&parent, names_of(segment), make),
            None => Ok(None),
        }
    }

    pub(super) fn stat(&self, key: &Key) -> Result<Option<Entry>, Errno> {
        let found = if key.as_bytes().is_empty() || key.as_bytes().ends_with(b"/") {
            self.folder(key.as_bytes(), false).map(|found| found.map(|folder| (folder, b".".to_vec())))
        } else {
            self.place(key, false).map(|found| found.map(|place| (place.folder, place.name)))
        };
        let (folder, name) = match found {
            Ok(Some(found)) => found,
            Ok(None) | Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let status = match status_of(folder.descriptor.as_fd(), &name) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let mut entry = describe(key.clone(), &status, &self.accounts);
        if entry.kind == EntryKind::Symlink {
            entry.link_target = Some(readlinkat(&folder.descriptor, &name, Vec::new())?.into_bytes());
        }
        entry.attributes.extend(extended(&path_through(&folder.descriptor, &name)).unwrap_or_default());
        Ok(Some(entry))
    }

    /// Whether another key already carries the content of this hard-linked file; if none does, this one will.
    pub(super) fn is_further_link(&self, entry: &Entry) -> bool {
        let Some(AttributeValue::Text(group)) = entry.attribute(HARD_LINK) else { return false };
        let mut links = lock_unpoisoned(&self.links);
        match links.get(group) {
            Some(first) => *first != entry.key,
            None if links.len() < LINK_GROUPS_MAX => links.insert(group.clone(), entry.key.clone()).is_some(),
            None => false,
        }
    }

    /// Opens the file of a key for reading, with its status; nothing but a regular file.
    pub(super) fn open(&self, key: &Key) -> Result<(OwnedFd, Status), Errno> {
        let place = self.place(key, false)?.ok_or(Errno::NOENT)?;
        open_regular(place.folder.descriptor.as_fd(), &place.name)
    }

    /// Removes what has this path, an empty folder or anything else, never through a link; from a folder of ours in which we may not write, too.
    pub(super) fn remove(&self, path: &Key, is_folder: bool) -> Result<(), Errno> {
        let path = path.as_bytes().strip_suffix(b"/").unwrap_or(path.as_bytes());
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at.saturating_add(1)..).unwrap_or_default()),
            None => (&b""[..], path),
        };
        if !is_plain_segment(name) {
            return Err(Errno::NOENT);
        }
        let folder = open_beneath(self.root()?.descriptor.as_fd(), parent, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match unlinkat(&folder, name, flags) {
            Err(Errno::ACCESS) => {
                let end: &[u8] = if parent.is_empty() { b"" } else { b"/" };
                let folder = Folder::new(folder, [parent, end].concat())?;
                self.loosened.loosen(&folder)?;
                unlinkat(&folder.descriptor, name, flags)?;
            }
            other => other?,
        }
        if is_folder {
            lock_unpoisoned(&self.folders).clear();
        }
        Ok(())
    }

    /// Takes what is there for the file that carries the content of its hard links; `false` where another file does.
    pub(super) fn keep(&self, entry: &Entry) -> Result<bool, Errno> {
        if !self.is_further_link(entry) {
            return Ok(true);
        }
        let Some(first) = self.first_link(entry) else { return Ok(true) };
        let inode = |key: &Key| {
            let place = self.place(key, false)?.ok_or(Errno::NOENT)?;
            Ok(status_of(place.folder.descriptor.as_fd(), &place.name)?.identity())
        };
        match inode(&first) {
            // It is being written.
            Err(Errno::NOENT) => Ok(false),
            first => Ok(first? == inode(&entry.key)?),
        }
    }

    /// A new name for a file that is being written; no key ever becomes such a name, because it ends in `~` and is no folder.
    pub(in crate::file) fn unfinished_name(&self) -> Vec<u8> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        unfinished_name(&self.run, number)
    }

    /// Takes back the promise that this entry carries the content of its hard links.
    pub(in crate::file) fn forget_link(&self, entry: &Entry) {
        if let Some(AttributeValue::Text(group)) = entry.attribute(HARD_LINK) {
            let mut links = lock_unpoisoned(&self.links);
            if links.get(group) == Some(&entry.key) {
                links.remove(group);
            }
        }
    }

    fn first_link(&self, entry: &Entry) -> Option<Key> {
        let Some(AttributeValue::Text(group)) = entry.attribute(HARD_LINK) else { return None };
        lock_unpoisoned(&self.links).get(group).cloned()
    }

    /// Gives a file that has no name yet its metadata, so that it need not be opened again for that; what could not be set. `None` leaves it for later: of
    /// what gets another name than its own, and where too many are noted already.
    pub(super) fn describe(&self, file: &impl AsFd, entry: &Entry, place: &Place) -> Option<Vec<String>> {
        let has_room = lock_unpoisoned(&self.described).len() < DESCRIBED_MAX;
        if !has_room || renaming(entry, &place.path()).is_some() {
            return None;
        }
        let status = status_of(file.as_fd(), b"").ok()?;
        Some(metadata::apply_to(file, &status, entry, None))
    }

    /// Notes a file that is described as its entry says, whose attributes it takes.
    pub(super) fn note_described(&self, entry: &mut Entry, missed: Vec<String>) {
        let attributes = std::mem::take(&mut entry.attributes);
        let described = Described { modified: entry.modified, attributes, missed };
        lock_unpoisoned(&self.described).insert(entry.key.clone(), described);
    }

    /// Takes back what is noted of an entry: it is written anew.
    pub(super) fn forget_described(&self, entry: &Entry) {
        lock_unpoisoned(&self.described).remove(&entry.key);
    }

    /// What could not be set of a file that is described as the entry says; `None` when it is not.
    pub(super) fn take_described(&self, entry: &Entry) -> Option<Vec<String>> {
        let described = lock_unpoisoned(&self.described).remove(&entry.key)?;
        let is_so = entry.kind == EntryKind::File
            && described.modified == entry.modified
            && described.attributes == entry.attributes;
        is_so.then_some(described.missed)
    }

    /// Gives an unfinished file of `folder` its name; a folder that has taken the name meanwhile makes it an escaped one. Whether it has the place that
    /// it was to have.
    pub(in crate::file) fn publish(
        &self,
        key: &Key,
        unfinished: (&Folder, &[u8]),
        place: Place,
        overwrite: bool,
    ) -> Result<bool> {
        let from = At { folder: unfinished.0.descriptor.as_fd(), name: unfinished.1 };
        let failed = |e| from_errno("cannot create", key, e);
        let to = |place: &Place| match overwrite {
            true => renameat(from.folder, from.name, &place.folder.descriptor, &place.name),
            false => self.medium.name_new(from, place.at()),
        };
        match to(&place) {
            Err(Errno::EXIST | Errno::ISDIR | Errno::NOTEMPTY) => {
                let place = self.place(key, true).map_err(failed)?.ok_or_else(|| failed(Errno::NOENT))?;
                if place.existing.is_some() && !overwrite {
                    return Err(exists(key));
                }
                to(&place).map(|()| false).map_err(failed)
            }
            other => other.map(|()| true).map_err(failed),
        }
    }

    /// Makes a link, a pipe, a socket or a device; a device that may not be made is left out, and `set_metadata` says so.
    pub(super) fn make_special(&self, entry: &Entry, place: &Place, overwrite: bool) -> Result<()> {
        let failed = |e| from_errno("cannot create", &entry.key, e);
        let unfinished = self.unfinished_name();
        let folder = place.folder.descriptor.as_fd();
        match special::make(entry, folder, &unfinished) {
            Err(Errno::PERM) if entry.kind == EntryKind::Other => return Ok(()),
            other => other.map_err(failed)?,
        }
        let published = self.publish(&entry.key, (&place.folder, &unfinished), place.clone(), overwrite);
        if published.is_err() {
            let _ = unlinkat(folder, &unfinished, AtFlags::empty());
        }
        published.map(drop)
    }

    /// Sets the metadata of what is not [described](Self::take_described) yet.
    pub(super) fn set_metadata(&self, entry: &Entry) -> Result<Vec<String>> {
        let failed = |e| from_errno("cannot set the metadata of", &entry.key, e);
        if let Some(first) = self.first_link(entry).filter(|first| *first != entry.key) {
            return self.link(&first, entry).map_err(|e| from_errno("cannot link", &entry.key, e));
        }
        if entry.kind == EntryKind::Directory {
            let folder = self.folder(&folder_key(&entry.key), false).map_err(failed)?;
            let folder = folder.ok_or_else(|| failed(Errno::NOENT))?;
            let status = status_of(folder.descriptor.as_fd(), b"").map_err(failed)?;
            let (more, renamed) = renamed_as(entry, &folder.path);
            let mut missed = metadata::apply_to(&folder.descriptor, &status, entry, more);
            missed.extend(renamed);
            self.forget(&folder_key(&entry.key), &folder, entry);
            return Ok(missed);
        }
        let at = |place: Place| apply(&place.folder, &place.name, entry, &place.path());
        let unseen = self.unseen_place(&entry.key, false).and_then(|place| at(place.ok_or(Errno::NOENT)?));
        if let Ok(missed) = unseen {
            return Ok(missed);
        }
        match self.place(&entry.key, false).map_err(failed)? {
            Some(place) if place.existing.is_none() && entry.kind == EntryKind::Other => {
                Ok(vec!["posix.kind".to_owned()])
            }
            Some(place) => at(place).map_err(failed),
            None => Err(failed(Errno::NOENT)),
        }
    }

    /// A folder has its own mode now, whatever it was opened with.
    fn forget(&self, key: &[u8], folder: &Folder, entry: &Entry) {
        lock_unpoisoned(&self.folders).remove(key);
        self.loosened.settle(folder, entry.attribute("posix.mode").is_some());
    }

    /// Makes the key of an entry a further name of the file of `first`, or a copy of it where the file system knows no hard links; what is in the way was
    /// allowed to be overwritten by `create`.
    fn link(&self, first: &Key, entry: &Entry) -> Result<Vec<String>, Errno> {
        let key = &entry.key;
        let (from, to) = (self.place(first, false)?.ok_or(Errno::NOENT)?, self.place(key, true)?.ok_or(Errno::NOENT)?);
        let unfinished = self.unfinished_name();
        let folder = &to.folder.descriptor;
        let is_linked = self.medium.link(from.at(), At { folder: folder.as_fd(), name: &unfinished })?;
        let written = if is_linked { Ok(()) } else { copy(&from, folder, &unfinished) };
        let renamed = written.and_then(|()| renameat(folder, &unfinished, folder, &to.name));
        // A rename onto another name of the same file does nothing, and leaves both (rename(2)).
        let _ = unlinkat(folder, &unfinished, AtFlags::empty());
        renamed?;
        if is_linked {
            return Ok(renamed_to(key.as_bytes(), &to.path()).into_iter().collect());
        }
        let mut missed = apply(&to.folder, &to.name, entry, &to.path())?;
        missed.push(HARD_LINK.to_owned());
        Ok(missed)
    }

    pub(super) fn try_writing(&self) -> Result<()> {
        self.make_root()?;
        let failed = |e| from_errno("cannot write in", self.path.display(), e);
        let root = self.root().map_err(failed)?;
        let name = self.unfinished_name();
        mkdirat(&root.descriptor, &name, Mode::RWXU).map_err(failed)?;
        unlinkat(&root.descriptor, &name, AtFlags::REMOVEDIR).map_err(failed)
    }
}

impl Drop for Tree {
    /// Folders that this restore only wrote in get back the mode that they had.
    fn drop(&mut self) {
        if let Some(root) = self.root.get() {
            self.loosened.settle_all(root);
        }
    }
}

/// Sets the metadata of what has a name in a folder and is at this path.
fn apply(folder: &Folder, name: &[u8], entry: &Entry, path: &[u8]) -> Result<Vec<String>, Errno> {
    let (more, renamed) = renamed_as(entry, path);
    let mut missed = metadata::apply(folder.descriptor.as_fd(), name, entry, more)?;
    missed.extend(renamed);
    Ok(missed)
}

/// Copies the content of a file to a new one in a folder.
fn copy(from: &Place, folder: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let (source, _) = open_regular(from.folder.descriptor.as_fd(), &from.name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    let copied = std::io::copy(&mut File::from(source), &mut File::from(target));
    copied.map(drop).map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))
}

/// What is kept of the key, and reported, where the name had to be changed.
fn renamed_as(entry: &Entry, path: &[u8]) -> (Option<Attribute>, Option<String>) {
    let renamed = renaming(entry, path);
    let key = renamed.is_some().then(|| (KEY.to_owned(), AttributeValue::Blob(entry.key.as_bytes().to_vec())));
    (key, renamed)
}

/// The key of the folder that a key is in, and the rest of it; of a folder without its `/`.
fn parted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at.saturating_add(1));
    bytes.split_at_checked(start).unwrap_or((b"", bytes))
}

fn lock_unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
