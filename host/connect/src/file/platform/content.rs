//! How the bytes of a file lie on its medium.

use std::os::fd::OwnedFd;

use rustix::fs::{Advice, SeekFrom, fadvise, fdatasync, seek};
use rustix::io::Errno;

/// A part of a file that is data, or a hole, from a position on.
#[derive(Debug, Clone, Copy)]
pub(in crate::file) struct Extent {
    pub(in crate::file) is_hole: bool,
    /// The first byte behind it.
    pub(in crate::file) end: u64,
}

/// The extent at a position of a file that ends at `end`; `None` where the file system cannot tell. The file's own position is moved.
pub(in crate::file) fn extent_at(file: &OwnedFd, position: u64, end: u64) -> Option<Extent> {
    match seek(file, SeekFrom::Data(position)) {
        Ok(data) if data > position => Some(Extent { is_hole: true, end: data }),
        Ok(data) => seek(file, SeekFrom::Hole(data)).ok().map(|end| Extent { is_hole: false, end }),
        Err(Errno::NXIO) => Some(Extent { is_hole: true, end }),
        Err(_) => None,
    }
}

/// Has memory hold no more of a file than the system wants to: what is read of it comes from the medium, where it has one.
///
/// # Errors
/// When what was written did not reach the medium.
pub(in crate::file) fn forget(file: &OwnedFd) -> Result<(), Errno> {
    fdatasync(file)?;
    // A file system that has no medium, such as tmpfs, has nowhere else to read from.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
    Ok(())
}
