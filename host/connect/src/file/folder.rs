//! The names in one folder, in the byte order of keys.
//!
//! A folder's name ends in `/`, which is what makes walking in this order the byte order of whole keys. Memory: the
//! names of one folder at a time. Called by the walk of the source and by the listing of the store.

use std::mem::MaybeUninit;

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, RawDir, StatxFlags, statx};
use rustix::io::Errno;

/// The kernel fills at most this much per call: some 1,500 names of 20 bytes.
const LISTING_BYTES: usize = 64 * 1024;

/// One name, with `/` at its end when it is a folder.
pub(super) type Name = Box<[u8]>;

/// All names in an open folder but `.` and `..`, sorted.
///
/// # Errors
/// The error of the listing; a part of the names is never returned.
pub(super) fn sorted_names(folder: BorrowedFd<'_>) -> Result<Vec<Name>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); LISTING_BYTES];
    let mut names = Vec::new();
    let mut listing = RawDir::new(folder, &mut buffer);
    while let Some(found) = listing.next() {
        let found = found?;
        let name = found.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if is_folder(folder, name, found.file_type())? {
            names.push([name, b"/"].concat().into_boxed_slice());
        } else {
            names.push(name.into());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// File systems may leave the type out of a listing (readdir(3), `DT_UNKNOWN`).
fn is_folder(folder: BorrowedFd<'_>, name: &[u8], told: FileType) -> Result<bool, Errno> {
    if told != FileType::Unknown {
        return Ok(told == FileType::Directory);
    }
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE) {
        Ok(status) => Ok(FileType::from_raw_mode(u32::from(status.stx_mode)) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
