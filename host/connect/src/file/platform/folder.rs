//! The names in one folder, in the byte order of keys.
//!
//! A folder's name ends in `/`, which is what makes walking in this order the byte order of whole keys. Memory: the
//! names of one folder at a time, or as many as are asked for. Called by the walk of the source, and by the store to list and to clear away.

use std::collections::BinaryHeap;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, RawDir, SeekFrom, StatxFlags, seek, statx};
use rustix::io::Errno;

/// The kernel fills at most this much per call: some 1,500 names of 20 bytes.
const LISTING_BYTES: usize = 64 * 1024;

/// One name, with `/` at its end when it is a folder.
pub(in crate::file) type Name = Box<[u8]>;

/// All names in an open folder but `.` and `..`, sorted.
///
/// # Errors
/// The error of the listing; a part of the names is never returned.
pub(in crate::file) fn sorted_names(folder: BorrowedFd<'_>) -> Result<Vec<Name>, Errno> {
    let mut names = Vec::new();
    each_name(folder, |name, _| names.push(name))?;
    names.sort_unstable();
    Ok(names)
}

/// The first names of an open folder among those that are wanted, sorted, at most `max`: the folder is read from its beginning, and each name asked
/// about once.
///
/// # Errors
/// The error of the listing.
pub(in crate::file) fn first_names(
    folder: BorrowedFd<'_>,
    max: usize,
    mut is_wanted: impl FnMut(&[u8], FileType) -> bool,
) -> Result<Vec<Name>, Errno> {
    seek(folder, SeekFrom::Start(0))?;
    let mut first = BinaryHeap::new();
    each_name(folder, |name, kind| {
        if is_wanted(&name, kind) {
            first.push(name);
            if first.len() > max {
                first.pop();
            }
        }
    })?;
    Ok(first.into_sorted_vec())
}

/// Names in an open folder as the system lists them, folders without a `/`, at most `max`; what cannot be listed is left out.
pub(in crate::file) fn some_names(folder: BorrowedFd<'_>, max: usize, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![MaybeUninit::uninit(); LISTING_BYTES];
    let mut listing = RawDir::new(folder, &mut buffer);
    for _ in 0..max {
        let Some(Ok(found)) = listing.next() else { return };
        let name = found.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            take(name);
        }
    }
}

fn each_name(folder: BorrowedFd<'_>, mut take: impl FnMut(Name, FileType)) -> Result<(), Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); LISTING_BYTES];
    let mut listing = RawDir::new(folder, &mut buffer);
    while let Some(found) = listing.next() {
        let found = found?;
        let name = found.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        match kind_of(folder, name, found.file_type())? {
            FileType::Directory => take([name, b"/"].concat().into_boxed_slice(), FileType::Directory),
            kind => take(name.into(), kind),
        }
    }
    Ok(())
}

/// File systems may leave the type out of a listing (readdir(3), `DT_UNKNOWN`). `Unknown` is what has gone meanwhile.
fn kind_of(folder: BorrowedFd<'_>, name: &[u8], reported: FileType) -> Result<FileType, Errno> {
    if reported != FileType::Unknown {
        return Ok(reported);
    }
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE) {
        Ok(status) => Ok(FileType::from_raw_mode(u32::from(status.stx_mode))),
        Err(Errno::NOENT) => Ok(FileType::Unknown),
        Err(error) => Err(error),
    }
}
