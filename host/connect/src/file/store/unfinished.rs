//! Writing an object whole: to [`UNFINISHED`], synced, then named. A folder on which another file system is mounted has one of its own, for nothing can be
//! named on another than it was written to.
//!
//! Owned here: files without a name yet, clearing away those of dead writers, and the reserve: [`RESERVE_FILES`] that are given back when
//! the disk is full and something must be written before anything can be removed. Called by the store.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

use super::super::platform::posix::{AtFlags, Errno, FileType, Mode, OFlags, openat, renameat, unlinkat};
use super::super::platform::{At, FOLDER, Medium, Status, some_names, status_of};
use super::root::Root;
use crate::Payload;

/// Where objects are written before they have their name; `~` cannot occur in a [`StoreKey`](credenza_model::StoreKey).
pub(super) const UNFINISHED: &str = "~unfinished";
/// Unfinished files of this age belong to no running writer: one that old may not commit any more.
pub(super) const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How the names of what holds the reserve begin.
pub(super) const RESERVE: &str = "~reserve";
/// Enough for some records of what is to be removed, each a block, and the folders that they are in; so much of a disk's inodes, too.
pub(super) const RESERVE_FILES: usize = 8;
pub(super) const RESERVE_BYTES: usize = 8 * 1024;
/// Names that a run looks at to clear away; the rest is left to the next.
const SWEPT_MAX: usize = 10_000;

/// Folders of the root that are looked into for the same; a repository has some ten.
const FOLDERS_SWEPT_MAX: usize = 100;

/// A written and synced file that has no name yet; it goes with this value.
pub(super) struct Unfinished {
    folder: OwnedFd,
    name: String,
    file: File,
    is_named: bool,
}

impl Unfinished {
    /// Writes and syncs, on the file system of a folder: the root's, or one of its own.
    pub(super) fn write(root: &Root, on: &OwnedFd, data: &Payload) -> Result<Self, Errno> {
        let folder = match openat(on, UNFINISHED, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => root.make_folder(on, UNFINISHED)?,
            opened => opened?,
        };
        let name = random_name().map_err(|cause| errno(&cause))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, &name, flags, root.rights.file())?;
        root.rights.give(&file, root.rights.file());
        let unfinished = Self { folder, name, file: File::from(file), is_named: false };
        let mut file = &unfinished.file;
        let written = data.pieces().iter().try_for_each(|piece| file.write_all(piece));
        written.and_then(|()| file.sync_all()).map_err(|cause| errno(&cause))?;
        Ok(unfinished)
    }

    /// Gives it its name, durably, and returns what the file system says of it.
    pub(super) fn publish(
        mut self,
        folder: &OwnedFd,
        name: &str,
        if_absent: bool,
        medium: &Medium,
    ) -> Result<Status, Errno> {
        if if_absent {
            let from = At { folder: self.folder.as_fd(), name: self.name.as_bytes() };
            medium.name_new(from, At { folder: folder.as_fd(), name: name.as_bytes() })?;
        } else {
            renameat(&self.folder, &self.name, folder, name)?;
        }
        self.is_named = true;
        medium.sync_folder(folder.as_fd())?;
        status_of(self.file.as_fd(), b"")
    }

    /// Reads back what was written.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        let mut bytes = Vec::new();
        file.seek(io::SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Removes what dead writers left, in the root and in those of its folders on which another file system may be mounted: regular files, nothing through
/// a link.
pub(super) fn sweep(root: &Root) {
    sweep_folder(&root.folder);
    some_names(root.folder.as_fd(), FOLDERS_SWEPT_MAX, |name| {
        if let Ok(folder) = openat(&root.folder, name, FOLDER, Mode::empty()) {
            sweep_folder(&folder);
        }
    });
}

fn sweep_folder(within: &OwnedFd) {
    let Ok(folder) = openat(within, UNFINISHED, FOLDER, Mode::empty()) else { return };
    some_names(folder.as_fd(), SWEPT_MAX, |name| {
        if status_of(folder.as_fd(), name).is_ok_and(|status| is_left(&status)) {
            tracing::debug!(file = %name.escape_ascii(), "removing an unfinished file");
            let _ = unlinkat(&folder, name, AtFlags::empty());
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "files bear the time of this machine")]
fn is_left(status: &Status) -> bool {
    let modified = u64::try_from(status.modified.seconds).unwrap_or(0);
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(modified));
    status.kind == FileType::RegularFile && age.is_ok_and(|age| age > UNFINISHED_AGE_MAX)
}

/// Sets the reserve aside as far as it is not there. Where there is no room for it, there is none.
pub(super) fn keep_reserve(root: &Root) {
    for name in reserve().filter(|name| status_of(root.folder.as_fd(), name.as_bytes()).is_err()) {
        // Random, so that no file system makes it smaller than it is.
        let mut bytes = vec![0; RESERVE_BYTES];
        if getrandom::fill(&mut bytes).is_ok()
            && let Ok(mut unfinished) = Unfinished::write(root, &root.folder, &Payload::from(bytes))
        {
            let named = renameat(&unfinished.folder, &unfinished.name, &root.folder, &name);
            unfinished.is_named = named.is_ok();
        }
    }
}

/// Gives the reserve back to the disk; whether there was any.
pub(super) fn release_reserve(root: &Root) -> bool {
    reserve().filter(|name| unlinkat(&root.folder, name, AtFlags::empty()).is_ok()).count() > 0
}

fn reserve() -> impl Iterator<Item = String> {
    (0..RESERVE_FILES).map(|number| format!("{RESERVE}-{number}"))
}

/// A name nobody else has: 128 random bits in hexadecimal.
pub(in crate::file) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn errno(cause: &io::Error) -> Errno {
    Errno::from_io_error(cause).unwrap_or(Errno::IO)
}
