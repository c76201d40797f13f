//! Extended attributes and access lists (xattr(7), acl(5)).

use std::os::fd::AsFd;

use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, llistxattr, removexattr, setxattr,
};
use rustix::io::Errno;

/// A list of names or a value is first read into this much, which nearly always is enough.
const BYTES_USUAL: usize = 1024;
/// Longest list of names and longest value that Linux hands out (xattr(7)).
const BYTES_MAX: usize = 64 * 1024;
/// The access list that what is made in a folder takes over.
const DEFAULT_ACCESS_LIST: &str = "system.posix_acl_default";

/// The names of the attributes of what a path names, a link not followed, each ending in a NUL.
///
/// # Errors
/// `OPNOTSUPP` when the file system has none.
pub(in crate::file) fn extended_names(path: &[u8]) -> Result<Vec<u8>, Errno> {
    grown(|buffer| llistxattr(path, buffer))
}

/// The value of one of them.
///
/// # Errors
/// When it vanished or is withheld.
pub(in crate::file) fn extended_value(path: &[u8], name: &[u8]) -> Result<Vec<u8>, Errno> {
    grown(|buffer| lgetxattr(path, name, buffer))
}

/// The names of the attributes of an open file, each ending in a NUL.
///
/// # Errors
/// As for [`extended_names`].
pub(in crate::file) fn extended_names_of(file: &impl AsFd) -> Result<Vec<u8>, Errno> {
    grown(|buffer| flistxattr(file, buffer))
}

/// The value of one of them.
///
/// # Errors
/// As for [`extended_value`].
pub(in crate::file) fn extended_value_of(file: &impl AsFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    grown(|buffer| fgetxattr(file, name, buffer))
}

/// Whether the file that a path leads to has an attribute of that name.
pub(in crate::file) fn has_extended(path: &[u8], name: &str) -> bool {
    getxattr(path, name, &mut [0; 0]).is_ok()
}

/// Sets an attribute of the file that a path leads to.
///
/// # Errors
/// When the file system has none, takes none of that name or size, or the right is lacking.
pub(in crate::file) fn set_extended(path: &[u8], name: &str, value: &[u8]) -> Result<(), Errno> {
    setxattr(path, name, value, XattrFlags::empty())
}

/// Takes an attribute away.
///
/// # Errors
/// When it is not there or the right is lacking.
pub(in crate::file) fn remove_extended(path: &[u8], name: &str) -> Result<(), Errno> {
    removexattr(path, name)
}

/// Whether an open file or folder has an attribute of that name.
pub(in crate::file) fn has_extended_of(file: &impl AsFd, name: &str) -> bool {
    fgetxattr(file, name, &mut [0; 0]).is_ok()
}

/// Takes an attribute of an open file or folder away.
///
/// # Errors
/// As for [`remove_extended`].
pub(in crate::file) fn remove_extended_of(file: &impl AsFd, name: &str) -> Result<(), Errno> {
    fremovexattr(file, name)
}

/// Sets an attribute of an open file or folder.
///
/// # Errors
/// As for [`set_extended`].
pub(in crate::file) fn mark(file: &impl AsFd, name: &str, value: &[u8]) -> Result<(), Errno> {
    fsetxattr(file, name, value, XattrFlags::empty())
}

/// Whether an open folder hands an access list on to what is made in it.
pub(in crate::file) fn has_default_access_list(folder: &impl AsFd) -> bool {
    fgetxattr(folder, DEFAULT_ACCESS_LIST, &mut [0; 0]).is_ok_and(|bytes| bytes > 0)
}

fn grown(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut usual = [0; BYTES_USUAL];
    match read(&mut usual) {
        Ok(length) => Ok(usual.iter().copied().take(length).collect()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; BYTES_MAX];
            let length = read(&mut large)?;
            large.truncate(length);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}
