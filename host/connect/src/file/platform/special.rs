//! Files that are no files: pipes, sockets and devices.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Mode, makedev, mknodat};
use rustix::io::Errno;

/// Makes one under a name that is free, for its owner alone; `device` is the major and minor number of one.
///
/// # Errors
/// `PERM` for a device that only a superuser may make.
pub(in crate::file) fn make_special(
    folder: BorrowedFd<'_>,
    name: &[u8],
    kind: FileType,
    device: Option<(u32, u32)>,
) -> Result<(), Errno> {
    let device = device.map_or(0, |(major, minor)| makedev(major, minor));
    mknodat(folder, name, kind, Mode::RUSR | Mode::WUSR, device)
}
