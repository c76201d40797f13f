//! Where the file of a key is, or will be: folders opened one from the other, and names escaped where they must be.
//!
//! Refused here: what is kept open and written in (`tree`). Called by `tree`.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use credenza_model::{Entry, EntryKind, Key};

use super::super::escape::{escaped_names_of, names_of};
use super::super::foreign::IMPLIED_AS;
use super::super::platform::posix::{CWD, Errno, FileType, Mode, OFlags, chmod, geteuid, mkdirat, openat};
use super::super::platform::{At, FOLDER, PLACE, Status, descriptor_path, mark, open_beneath, status_of};

/// An open folder and where it is below the root, with `/` at its end.
#[derive(Debug)]
pub(in crate::file) struct Folder {
    pub(in crate::file) descriptor: OwnedFd,
    pub(super) path: Vec<u8>,
    /// The file system that it is on.
    pub(super) device: (u32, u32),
    /// The permissions that keep its owner, who is at work here, from writing in it.
    pub(super) forbids: Option<Mode>,
}

impl Folder {
    pub(super) fn new(descriptor: OwnedFd, path: Vec<u8>) -> Result<Self, Errno> {
        let status = status_of(descriptor.as_fd(), b"")?;
        let forbids = forbids(&status);
        Ok(Self { descriptor, path, device: status.device, forbids })
    }
}

/// The mode of a folder of ours in which we may not write; a superuser may everywhere.
fn forbids(status: &Status) -> Option<Mode> {
    let user = geteuid();
    let mode = Mode::from_raw_mode(status.mode);
    (!user.is_root() && status.uid == user.as_raw() && !mode.contains(Mode::RWXU)).then_some(mode)
}

/// Where a key's file is or will be.
#[derive(Debug, Clone)]
pub(in crate::file) struct Place {
    pub(in crate::file) folder: Arc<Folder>,
    pub(super) name: Vec<u8>,
    pub(super) existing: Option<FileType>,
}

impl Place {
    pub(super) fn at(&self) -> At<'_> {
        At { folder: self.folder.descriptor.as_fd(), name: &self.name }
    }

    pub(super) fn path(&self) -> Vec<u8> {
        [&self.folder.path, &self.name[..]].concat()
    }
}

/// The report of a name that had to be changed.
pub(super) fn renaming(entry: &Entry, path: &[u8]) -> Option<String> {
    match entry.kind {
        EntryKind::Directory => renamed_to(&folder_key(&entry.key), path),
        _ => renamed_to(entry.key.as_bytes(), path),
    }
}

pub(super) fn renamed_to(key: &[u8], path: &[u8]) -> Option<String> {
    (key != path).then(|| format!("name (restored as `{}`)", Key::new(path)))
}

/// The folder that one segment of a key names in `folder`; where a file has that name, its escaped form.
pub(super) fn step(folder: &Folder, segment: &[u8], make: bool) -> Result<Option<Folder>, Errno> {
    match descend(folder, &names_of(segment), make) {
        Err(Errno::NOTDIR | Errno::LOOP) => descend(folder, &escaped_names_of(&[segment, b"/"].concat()), make),
        other => other,
    }
}

fn descend(folder: &Folder, names: &[Vec<u8>], make: bool) -> Result<Option<Folder>, Errno> {
    let mut path = folder.path.clone();
    let mut at: Option<OwnedFd> = None;
    for name in names {
        let parent = at.as_ref().unwrap_or(&folder.descriptor);
        let opened = match open_folder(parent, name, make) {
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(Errno::NOENT) => {
                let is_made = match mkdirat(parent, name, Mode::RWXU) {
                    Err(Errno::EXIST) => false,
                    made => made.map(|()| true)?,
                };
                openat(parent, name, FOLDER, Mode::empty()).inspect(|folder| {
                    // A file system without extended attributes forgets it, and the folder counts as one of its own.
                    let (name, value) = IMPLIED_AS;
                    let _ = is_made.then(|| mark(folder, name, value));
                })
            }
            other => other,
        };
        path.extend_from_slice(name);
        path.push(b'/');
        at = Some(opened?);
    }
    at.map(|descriptor| Folder::new(descriptor, path)).transpose()
}

/// Opens a folder; one of ours that we may not even list is opened to us first, if it is to be written in.
fn open_folder(parent: &OwnedFd, name: &[u8], make: bool) -> Result<OwnedFd, Errno> {
    match openat(parent, name, FOLDER, Mode::empty()) {
        Err(Errno::ACCESS) if make => {
            let place = open_beneath(parent.as_fd(), name, PLACE | OFlags::DIRECTORY)?;
            let mode = forbids(&status_of(place.as_fd(), b"")?).ok_or(Errno::ACCESS)?;
            openat_as(&place, mode)
        }
        opened => opened,
    }
}

/// Opens a folder with rights that it has only for this moment.
fn openat_as(place: &OwnedFd, mode: Mode) -> Result<OwnedFd, Errno> {
    let path = descriptor_path(place);
    chmod(&path, mode | Mode::RWXU)?;
    let opened = openat(CWD, &path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty());
    chmod(&path, mode)?;
    opened
}

/// A place with what is there now.
pub(super) fn place_in(parent: &Arc<Folder>, names: Vec<Vec<u8>>, make: bool) -> Result<Option<Place>, Errno> {
    let Some(place) = unseen_place_in(parent, names, make)? else { return Ok(None) };
    let existing = match status_of(place.folder.descriptor.as_fd(), &place.name) {
        Ok(status) => Some(status.kind),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error),
    };
    Ok(Some(Place { existing, ..place }))
}

/// A place at which nobody has looked.
pub(super) fn unseen_place_in(
    parent: &Arc<Folder>,
    mut names: Vec<Vec<u8>>,
    make: bool,
) -> Result<Option<Place>, Errno> {
    let name = names.pop().ok_or(Errno::NOENT)?;
    let folder = if names.is_empty() {
        Arc::clone(parent)
    } else {
        match descend(parent, &names, make)? {
            Some(folder) => Arc::new(folder),
            None => return Ok(None),
        }
    };
    Ok(Some(Place { folder, name, existing: None }))
}

/// The key of a folder with its `/`, which a careless source may have left out.
pub(super) fn folder_key(key: &Key) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    if !bytes.is_empty() && !bytes.ends_with(b"/") {
        bytes.push(b'/');
    }
    bytes
}
