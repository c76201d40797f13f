//! The folder of a repository: making it, opening it once, and whom what is made in it belongs to.
//!
//! Owned here: durable folders, and permissions. A repository is its owner's alone (folders 0700, files 0600) unless its folder says that a
//! group shares it: writable for the group, and handing the group on by its set-gid bit or a default ACL. Then what anybody makes in it
//! gets the folder's rights of the group, whatever that user's umask. Called by the store.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::super::platform::posix::{CWD, Errno, Mode, OFlags, fchmod, mkdirat, openat};
use super::super::platform::{FOLDER, Medium, has_default_access_list, status_of};

const SET_GID: u32 = 0o2000;
const GROUP_WRITE: u32 = 0o020;
const GROUP_FILE: u32 = 0o060;
const GROUP_FOLDER: u32 = 0o070;
/// Folders whose names are known to be durable; a repository has some 600.
const FOLDERS_KNOWN_MAX: usize = 4096;

/// The open folder of a repository.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) folder: OwnedFd,
    pub(super) rights: Rights,
    /// Some file systems count no names of a folder, ever.
    counts_names: bool,
    /// Keys of folders, each with its `/`, whose names are durable.
    durable: Mutex<HashSet<String>>,
    /// Keys of folders of the root, each with its `/`, on which another file system is mounted: as many as names were put on.
    apart: Mutex<HashSet<String>>,
}

/// The permissions of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    file: u32,
    folder: u32,
    /// Whether they are given in spite of the user's umask.
    pub(super) is_shared: bool,
}

impl Rights {
    const PRIVATE: Self = Self { file: 0o600, folder: 0o700, is_shared: false };

    /// What the mode of the repository's folder says.
    fn of(mode: u32, has_default_acl: bool) -> Self {
        if mode & GROUP_WRITE == 0 || (mode & SET_GID == 0 && !has_default_acl) {
            return Self::PRIVATE;
        }
        let file = Self::PRIVATE.file | mode & GROUP_FILE;
        Self { file, folder: Self::PRIVATE.folder | mode & (GROUP_FOLDER | SET_GID), is_shared: true }
    }

    pub(super) const fn file(self) -> Mode {
        Mode::from_bits_retain(self.file)
    }

    const fn folder(self) -> Mode {
        Mode::from_bits_retain(self.folder)
    }

    /// Gives a new file or folder its permissions. A file system without them refuses, and has given its own.
    pub(super) fn give(self, made: &impl AsFd, mode: Mode) {
        if self.is_shared {
            let _ = fchmod(made, mode);
        }
    }
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let folder = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let status = status_of(folder.as_fd(), b"")?;
        let rights = Rights::of(status.mode, has_default_access_list(&folder));
        Ok(Self { rights, folder, counts_names: status.links > 0, durable: Mutex::default(), apart: Mutex::default() })
    }

    /// Whether the folder was removed since it was opened.
    pub(super) fn is_gone(&self) -> bool {
        self.counts_names && status_of(self.folder.as_fd(), b"").is_ok_and(|status| status.links == 0)
    }

    /// The folder that is named by a key with `/` at its end, made where it is missing. The way to it is durable: what is put in it cannot
    /// lose its folder. One that was there may have been made a moment ago by somebody else, so it is synced once by this process too.
    pub(super) fn folder(&self, key: &str, medium: &Medium) -> Result<OwnedFd, Errno> {
        let mut folder = openat(&self.folder, ".", FOLDER, Mode::empty())?;
        let mut known = 0;
        for segment in key.split_inclusive('/') {
            known += segment.len();
            let way = key.get(..known).unwrap_or(key);
            folder = self.step(&folder, segment.trim_end_matches('/'), way, medium)?;
        }
        Ok(folder)
    }

    fn step(&self, parent: &OwnedFd, name: &str, way: &str, medium: &Medium) -> Result<OwnedFd, Errno> {
        let (folder, is_made) = match openat(parent, name, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => (self.make_folder(parent, name)?, true),
            opened => (opened?, false),
        };
        if is_made || !self.durable().contains(way) {
            medium.sync_folder(parent.as_fd())?;
            let mut durable = self.durable();
            if durable.len() >= FOLDERS_KNOWN_MAX {
                durable.clear();
            }
            durable.insert(way.to_owned());
        }
        Ok(folder)
    }

    /// A new folder, or the one that somebody made meanwhile.
    pub(super) fn make_folder(&self, parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        let made = mkdirat(parent, name, self.rights.folder());
        if !matches!(made, Err(Errno::EXIST)) {
            made?;
        }
        let folder = openat(parent, name, FOLDER, Mode::empty())?;
        if made.is_ok() {
            self.rights.give(&folder, self.rights.folder());
        }
        Ok(folder)
    }

    /// Whether a folder was found to be on another file system.
    pub(super) fn is_apart(&self, folder: &str) -> bool {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
    }

    /// Notes that a folder is on another file system.
    pub(super) fn set_apart(&self, folder: &str) {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the folder of a repository and those above it that are missing, each durable before the next.
pub(super) fn make(path: &Path, medium: &Medium) -> Result<(), Errno> {
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.is_dir()).collect();
    for folder in missing.iter().rev() {
        let made = std::fs::DirBuilder::new().mode(Rights::PRIVATE.folder).create(folder);
        match made.map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO)) {
            Err(Errno::EXIST) if folder.is_dir() => {}
            made => made?,
        }
        sync_parent(folder, medium)?;
    }
    // One that was there already may be as new. Who may not list the folder above it cannot sync that either.
    if missing.is_empty() {
        match sync_parent(path, medium) {
            Err(Errno::ACCESS | Errno::PERM) => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn sync_parent(path: &Path, medium: &Medium) -> Result<(), Errno> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let parent = File::open(parent).map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))?;
    medium.sync_folder(parent.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_hands_its_group_on_is_shared() {
        for (mode, has_default_acl) in [(0o700, false), (0o755, false), (0o775, false), (0o2755, false), (0o2750, true)]
        {
            assert_eq!(Rights::of(mode, has_default_acl), Rights::PRIVATE, "{mode:o}");
        }
        let rights = |file, folder| Rights { file, folder, is_shared: true };
        assert_eq!(Rights::of(0o2770, false), rights(0o660, 0o2770));
        assert_eq!(Rights::of(0o2775, false), rights(0o660, 0o2770), "others get nothing");
        assert_eq!(Rights::of(0o770, true), rights(0o660, 0o770));
    }
}
