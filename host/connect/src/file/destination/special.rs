//! Links, pipes, sockets and devices.

use std::os::fd::BorrowedFd;

use credenza_model::{AttributeValue, Entry, EntryKind};

use super::super::platform::make_special;
use super::super::platform::posix::{Errno, FileType, symlinkat};

/// Makes one under a name that is free.
///
/// # Errors
/// `PERM` also when the entry does not say what it is.
pub(super) fn make(entry: &Entry, folder: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
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
        _ if !is_device => None,
        Some(AttributeValue::Text(text)) => Some(device_number(text).ok_or(Errno::INVAL)?),
        _ => return Err(Errno::PERM),
    };
    make_special(folder, name, file_type, device)
}

fn device_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
