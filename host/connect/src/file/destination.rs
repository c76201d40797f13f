//! A local folder to restore to.
//!
//! Nothing is written outside the folder and no link is followed: each folder on the way is opened from the one above
//! it. Names that a file system cannot hold are changed as [`escape`](super::escape) says, and `set_metadata` reports
//! each as `name (restored as …)`. Folders are made 0700 and files 0600 until `set_metadata` gives them their mode.
//!
//! Memory: [`OPEN_FOLDERS_MAX`] open folders, and one key per group of hard links, at most [`LINK_GROUPS_MAX`]; the
//! names of further groups are restored as files of their own, and reported.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use credenza_model::{AttributeValue, Entry, EntryKind, Key};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::fs::{
    fsetxattr, linkat, mkdirat, mknodat, openat, readlinkat, renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::accounts::Accounts;
use super::attributes::{describe, extended, path_through, status_of, type_of};
use super::cause::{from_errno, from_io};
use super::escape::{escaped_names_of, names_of};
use super::foreign::{IMPLIED_AS, KEY};
use super::metadata;
use super::store::random_name;
use super::writer::FileWriter;
use crate::{Check, Destination, DestinationInfo, Error, ErrorClass, Result, Writer};

/// Folders kept open, so that neighbours cost no way from the root.
const OPEN_FOLDERS_MAX: usize = 128;
/// Groups of hard links that are restored as links.
const LINK_GROUPS_MAX: usize = 1 << 18;

/// A local folder to restore to.
#[derive(Debug, Clone)]
pub struct FileDestination {
    tree: Arc<Tree>,
}

/// The folder being restored to, with what is known of it.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    accounts: Accounts,
    root: OnceLock<Arc<Folder>>,
    folders: Mutex<HashMap<Vec<u8>, Arc<Folder>>>,
    /// Per group of hard links the key that carries the content.
    links: Mutex<HashMap<String, Key>>,
    /// Tells the unfinished files of this run from those of any other.
    run: String,
    unfinished: AtomicU64,
}

/// An open folder and where it is below the root, with `/` at its end.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) descriptor: OwnedFd,
    path: Vec<u8>,
}

/// Where a key's file is or will be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) folder: Arc<Folder>,
    pub(super) name: Vec<u8>,
    existing: Option<FileType>,
}

impl FileDestination {
    /// A destination at `path`, which is made when the first entry is.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for an empty path, or without a current folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let given = path.as_ref();
        let path = std::path::absolute(given).map_err(|e| {
            Error::new(
                ErrorClass::Configuration,
                "file.path",
                format!("`{}` names no folder to restore to: {e}", given.display()),
            )
        })?;
        let tree = Tree {
            path,
            accounts: Accounts::read(),
            root: OnceLock::new(),
            folders: Mutex::default(),
            links: Mutex::default(),
            run: random_name().map_err(|e| from_io("cannot restore to", given.display(), &e))?,
            unfinished: AtomicU64::new(0),
        };
        Ok(Self { tree: Arc::new(tree) })
    }
}

#[async_trait]
impl Destination for FileDestination {
    async fn info(&self) -> Result<DestinationInfo> {
        Ok(DestinationInfo {
            identity: format!("file://{}", self.tree.path.display()),
            namespace: "tree".to_owned(),
            traits: ["atomic-finish", "symlinks", "attributes:posix", "local"].map(str::to_owned).to_vec(),
        })
    }

    async fn check(&self) -> Vec<Check> {
        let outcome = self.tree.try_writing().map(|()| self.tree.path.display().to_string());
        vec![Check { name: "write in the folder".to_owned(), outcome }]
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.tree.stat(key).map_err(|e| from_errno("cannot look at", key, e))
    }

    /// Creates without leaving the calling thread: a few calls of microseconds, for which a hand-over would cost more.
    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        self.tree.make_root()?;
        if entry.kind == EntryKind::Directory {
            let made = self.tree.folder(&folder_key(&entry.key), true);
            return made.map(|_| None).map_err(|e| from_errno("cannot make the folder", &entry.key, e));
        }
        let place = self.tree.place(&entry.key, true).map_err(|e| from_errno("cannot create", &entry.key, e))?;
        let Some(place) = place else { return Err(from_errno("cannot create", &entry.key, Errno::NOENT)) };
        if place.existing.is_some() && !overwrite {
            return Err(exists(&entry.key));
        }
        match entry.kind {
            EntryKind::File if self.tree.is_further_link(entry) => Ok(None),
            EntryKind::File => Ok(Some(Box::new(FileWriter::begin(&self.tree, entry, place, overwrite)?))),
            _ => self.tree.make_special(entry, &place, overwrite).map(|()| None),
        }
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        let (tree, entries) = (Arc::clone(&self.tree), entries.to_vec());
        let set = move || entries.iter().map(|entry| tree.set_metadata(entry)).collect();
        tokio::task::spawn_blocking(set).await.map_err(|e| {
            Error::new(ErrorClass::Internal, "file.thread", format!("the thread that set metadata ended early: {e}"))
        })
    }
}

fn exists(key: &Key) -> Error {
    Error::new(ErrorClass::Precondition, "file.exists", format!("`{key}` exists already at the destination"))
}

/// The key of a folder with its `/`, which a careless source may have left out.
fn folder_key(key: &Key) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    if !bytes.is_empty() && !bytes.ends_with(b"/") {
        bytes.push(b'/');
    }
    bytes
}

impl Tree {
    fn make_root(&self) -> Result<()> {
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
        let root = Arc::new(Folder { descriptor, path: Vec::new() });
        Ok(Arc::clone(self.root.get_or_init(|| root)))
    }

    /// The folder of a key that ends in `/` or is empty; `None` when there is none and none is to be made.
    fn folder(&self, key: &[u8], make: bool) -> Result<Option<Arc<Folder>>, Errno> {
        let (mut known, mut folder) = self.nearest(key)?;
        while let Some(rest) = key.get(known..).filter(|rest| !rest.is_empty()) {
            let segment = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
            let Some(next) = step(&folder, segment, make)? else { return Ok(None) };
            known = known.saturating_add(segment.len()).saturating_add(1);
            folder = Arc::new(next);
            self.remember(key.get(..known).unwrap_or(key), &folder);
        }
        Ok(Some(folder))
    }

    /// The innermost open folder on the way to a key, and how many bytes of the key it covers.
    fn nearest(&self, key: &[u8]) -> Result<(usize, Arc<Folder>), Errno> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = (1..=key.len()).rev().filter(|end| key.get(..*end).is_some_and(|part| part.ends_with(b"/")));
        for end in ends {
            if let Some(folder) = key.get(..end).and_then(|part| folders.get(part)) {
                return Ok((end, Arc::clone(folder)));
            }
        }
        Ok((0, self.root()?))
    }

    fn remember(&self, key: &[u8], folder: &Arc<Folder>) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= OPEN_FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(key.to_vec(), Arc::clone(folder));
    }

    /// Where the file of a key is, or would be; `None` when a folder is missing and none is to be made.
    fn place(&self, key: &Key, make: bool) -> Result<Option<Place>, Errno> {
        let bytes = key.as_bytes();
        let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at.saturating_add(1));
        let (parent, segment) = bytes.split_at_checked(start).unwrap_or((b"", bytes));
        let Some(parent) = self.folder(parent, make)? else { return Ok(None) };
        for names in [names_of(segment), escaped_names_of(segment)] {
            let Some(place) = place_in(&parent, names, make)? else { return Ok(None) };
            if place.existing != Some(FileType::Directory) {
                return Ok(Some(place));
            }
        }
        Err(Errno::ISDIR)
    }

    fn stat(&self, key: &Key) -> Result<Option<Entry>, Errno> {
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
    fn is_further_link(&self, entry: &Entry) -> bool {
        let Some(AttributeValue::Text(group)) = entry.attribute("posix.hardlink") else { return false };
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        match links.get(group) {
            Some(first) => *first != entry.key,
            None if links.len() < LINK_GROUPS_MAX => links.insert(group.clone(), entry.key.clone()).is_some(),
            None => false,
        }
    }

    /// A new name for a file that is being written; no key ever becomes such a name, because it ends in `~` and is no folder.
    pub(super) fn unfinished_name(&self) -> Vec<u8> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        format!("%~part-{}-{number:x}~", self.run).into_bytes()
    }

    /// Takes back the promise that this entry carries the content of its hard links.
    pub(super) fn forget_link(&self, entry: &Entry) {
        if let Some(AttributeValue::Text(group)) = entry.attribute("posix.hardlink") {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            if links.get(group) == Some(&entry.key) {
                links.remove(group);
            }
        }
    }

    fn first_link(&self, entry: &Entry) -> Option<Key> {
        let Some(AttributeValue::Text(group)) = entry.attribute("posix.hardlink") else { return None };
        self.links.lock().unwrap_or_else(PoisonError::into_inner).get(group).cloned()
    }

    /// Gives an unfinished file of `folder` its name; a folder that has taken the name meanwhile makes it an escaped one.
    pub(super) fn publish(&self, key: &Key, unfinished: (&Folder, &[u8]), place: Place, overwrite: bool) -> Result<()> {
        let (from, from_name) = (&unfinished.0.descriptor, unfinished.1);
        let failed = |e| from_errno("cannot create", key, e);
        let to = |place: &Place| rename(from.as_fd(), from_name, place, overwrite);
        match to(&place) {
            Err(Errno::EXIST | Errno::ISDIR | Errno::NOTEMPTY) => {
                let place = self.place(key, true).map_err(failed)?.ok_or_else(|| failed(Errno::NOENT))?;
                if place.existing.is_some() && !overwrite {
                    return Err(exists(key));
                }
                to(&place).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    /// Makes a link, a pipe, a socket or a device; a device that may not be made is left out, and `set_metadata` says so.
    fn make_special(&self, entry: &Entry, place: &Place, overwrite: bool) -> Result<()> {
        let failed = |e| from_errno("cannot create", &entry.key, e);
        let unfinished = self.unfinished_name();
        let folder = place.folder.descriptor.as_fd();
        match make(entry, folder, &unfinished) {
            Err(Errno::PERM) if entry.kind == EntryKind::Other => return Ok(()),
            other => other.map_err(failed)?,
        }
        let published = self.publish(&entry.key, (&place.folder, &unfinished), place.clone(), overwrite);
        if published.is_err() {
            let _ = unlinkat(folder, &unfinished, AtFlags::empty());
        }
        published
    }

    fn set_metadata(&self, entry: &Entry) -> Result<Vec<String>> {
        let failed = |e| from_errno("cannot set the metadata of", &entry.key, e);
        if let Some(first) = self.first_link(entry).filter(|first| *first != entry.key) {
            return self.link(&first, &entry.key).map_err(|e| from_errno("cannot link", &entry.key, e));
        }
        let (folder, name, path) = match entry.kind {
            EntryKind::Directory => match self.folder(&folder_key(&entry.key), false).map_err(failed)? {
                Some(folder) => (Arc::clone(&folder), b".".to_vec(), folder.path.clone()),
                None => return Err(failed(Errno::NOENT)),
            },
            kind => match self.place(&entry.key, false).map_err(failed)? {
                Some(place) if place.existing.is_none() && kind == EntryKind::Other => {
                    return Ok(vec!["posix.kind".to_owned()]);
                }
                Some(place) => (Arc::clone(&place.folder), place.name.clone(), place.path()),
                None => return Err(failed(Errno::NOENT)),
            },
        };
        let renamed = renaming(entry, &path);
        let key = renamed.is_some().then(|| (KEY.to_owned(), AttributeValue::Blob(entry.key.as_bytes().to_vec())));
        let mut missed = metadata::apply(folder.descriptor.as_fd(), &name, entry, key).map_err(failed)?;
        missed.extend(renamed);
        Ok(missed)
    }

    /// Makes `key` a further name of the file of `first`; what is in the way was allowed to be overwritten by `create`.
    fn link(&self, first: &Key, key: &Key) -> Result<Vec<String>, Errno> {
        let (from, to) = (self.place(first, false)?.ok_or(Errno::NOENT)?, self.place(key, true)?.ok_or(Errno::NOENT)?);
        let unfinished = self.unfinished_name();
        let folder = &to.folder.descriptor;
        linkat(&from.folder.descriptor, &from.name, folder, &unfinished, AtFlags::empty())?;
        let renamed = renameat(folder, &unfinished, folder, &to.name);
        // A rename onto another name of the same file does nothing, and leaves both (rename(2)).
        let _ = unlinkat(folder, &unfinished, AtFlags::empty());
        renamed?;
        Ok(renamed_to(key.as_bytes(), &to.path()).into_iter().collect())
    }

    fn try_writing(&self) -> Result<()> {
        self.make_root()?;
        let failed = |e| from_errno("cannot write in", self.path.display(), e);
        let root = self.root().map_err(failed)?;
        let name = self.unfinished_name();
        mkdirat(&root.descriptor, &name, Mode::RWXU).map_err(failed)?;
        unlinkat(&root.descriptor, &name, AtFlags::REMOVEDIR).map_err(failed)
    }
}

impl Place {
    fn path(&self) -> Vec<u8> {
        [&self.folder.path, &self.name[..]].concat()
    }
}

/// The report of a name that had to be changed.
fn renaming(entry: &Entry, path: &[u8]) -> Option<String> {
    match entry.kind {
        EntryKind::Directory => renamed_to(&folder_key(&entry.key), path),
        _ => renamed_to(entry.key.as_bytes(), path),
    }
}

fn renamed_to(key: &[u8], path: &[u8]) -> Option<String> {
    (key != path).then(|| format!("name (restored as `{}`)", Key::new(path)))
}

/// The folder that one segment of a key names in `folder`; where a file has that name, its escaped form.
fn step(folder: &Folder, segment: &[u8], make: bool) -> Result<Option<Folder>, Errno> {
    match descend(folder, &names_of(segment), make) {
        Err(Errno::NOTDIR | Errno::LOOP) => descend(folder, &escaped_names_of(&[segment, b"/"].concat()), make),
        other => other,
    }
}

fn descend(folder: &Folder, names: &[Vec<u8>], make: bool) -> Result<Option<Folder>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut path = folder.path.clone();
    let mut at: Option<OwnedFd> = None;
    for name in names {
        let parent = at.as_ref().unwrap_or(&folder.descriptor);
        let opened = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(Errno::NOENT) => {
                let is_made = match mkdirat(parent, name, Mode::RWXU) {
                    Err(Errno::EXIST) => false,
                    made => made.map(|()| true)?,
                };
                openat(parent, name, flags, Mode::empty()).inspect(|folder| {
                    // A file system without extended attributes forgets it, and the folder counts as one of its own.
                    let (name, value) = IMPLIED_AS;
                    let _ = is_made.then(|| fsetxattr(folder, name, value, XattrFlags::empty()));
                })
            }
            other => other,
        };
        path.extend_from_slice(name);
        path.push(b'/');
        at = Some(opened?);
    }
    Ok(at.map(|descriptor| Folder { descriptor, path }))
}

fn place_in(parent: &Arc<Folder>, mut names: Vec<Vec<u8>>, make: bool) -> Result<Option<Place>, Errno> {
    let name = names.pop().ok_or(Errno::NOENT)?;
    let folder = if names.is_empty() {
        Arc::clone(parent)
    } else {
        match descend(parent, &names, make)? {
            Some(folder) => Arc::new(folder),
            None => return Ok(None),
        }
    };
    let existing = match status_of(folder.descriptor.as_fd(), &name) {
        Ok(status) => Some(type_of(&status)),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error),
    };
    Ok(Some(Place { folder, name, existing }))
}

fn rename(from: BorrowedFd<'_>, name: &[u8], place: &Place, overwrite: bool) -> Result<(), Errno> {
    let to = &place.folder.descriptor;
    if overwrite {
        return renameat(from, name, to, &place.name);
    }
    match renameat_with(from, name, to, &place.name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(from, name, to, &place.name, AtFlags::empty())?;
            unlinkat(from, name, AtFlags::empty())
        }
        other => other,
    }
}

fn make(entry: &Entry, folder: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    if entry.kind == EntryKind::Symlink {
        return symlinkat(entry.link_target.as_deref().ok_or(Errno::INVAL)?, folder, name);
    }
    let Some(AttributeValue::Text(kind)) = entry.attribute("posix.kind") else { return Err(Errno::PERM) };
    let (file_type, is_device) = match kind.as_str() {
        "fifo" => (FileType::Fifo, false),
        "socket" => (FileType::Socket, false),
        "char" => (FileType::CharacterDevice, true),
        "block" => (FileType::BlockDevice, true),
        _ => return Err(Errno::PERM),
    };
    let device = match entry.attribute("posix.rdev") {
        _ if !is_device => 0,
        Some(AttributeValue::Text(text)) => device_number(text).ok_or(Errno::INVAL)?,
        _ => return Err(Errno::PERM),
    };
    mknodat(folder, name, file_type, Mode::RUSR | Mode::WUSR, device)
}

fn device_number(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}
