//! What the system knows of a name.

use std::os::fd::BorrowedFd;

use credenza_model::Timestamp;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};
use rustix::io::Errno;

/// What a file system knows of a file of any type.
#[derive(Debug, Clone, Copy)]
pub(in crate::file) struct Status {
    /// What it is.
    pub(in crate::file) kind: FileType,
    /// Permission bits with set-uid, set-gid and sticky.
    pub(in crate::file) mode: u32,
    /// Bytes, as they are stated.
    pub(in crate::file) size: u64,
    /// Bytes that are allocated, in units of 512.
    pub(in crate::file) blocks: u64,
    /// The file system that it is on.
    pub(in crate::file) device: (u32, u32),
    /// Its number there; with the device it tells one file from all others.
    pub(in crate::file) inode: u64,
    /// How many names it has; 0 for a file that was removed while it was open, and on file systems that do not count.
    pub(in crate::file) links: u32,
    /// Who owns it.
    pub(in crate::file) uid: u32,
    /// The group that it belongs to.
    pub(in crate::file) gid: u32,
    /// When its content was written last, or said to be.
    pub(in crate::file) modified: Timestamp,
    /// When anything of it was changed last, which no program can set back.
    pub(in crate::file) changed: Timestamp,
    /// The device that it stands for, major and minor.
    pub(in crate::file) stands_for: (u32, u32),
}

impl Status {
    fn of(found: &Statx) -> Self {
        let raw_mode = u32::from(found.stx_mode);
        Self {
            kind: FileType::from_raw_mode(raw_mode),
            mode: raw_mode & 0o7777,
            size: found.stx_size,
            blocks: found.stx_blocks,
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            links: found.stx_nlink,
            uid: found.stx_uid,
            gid: found.stx_gid,
            modified: timestamp(&found.stx_mtime),
            changed: timestamp(&found.stx_ctime),
            stands_for: (found.stx_rdev_major, found.stx_rdev_minor),
        }
    }

    /// What tells the file from all others on this machine, as long as it is there.
    pub(in crate::file) const fn identity(&self) -> (u32, u32, u64) {
        (self.device.0, self.device.1, self.inode)
    }
}

/// The status of a name in an open folder, never through a link; the empty name is the folder itself.
pub(in crate::file) fn status_of(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Status, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    statx(folder, name, flags, StatxFlags::BASIC_STATS).map(|found| Status::of(&found))
}

/// The same as the machine knows it already: a file server that does not answer is not asked (statx(2)).
pub(in crate::file) fn known_status_of(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Status, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    statx(folder, name, flags, StatxFlags::BASIC_STATS).map(|found| Status::of(&found))
}

fn timestamp(time: &StatxTimestamp) -> Timestamp {
    Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec.min(999_999_999) }
}
