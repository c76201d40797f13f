//! Links, pipes, sockets and devices.

use credenza_model::{AttributeValue, Entry, EntryKind};
use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, Mode, mknodat, symlinkat};
use rustix::io::Errno;

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
        _ if !is_device => 0,
        Some(AttributeValue::Text(text)) => device_number(text).ok_or(Errno::INVAL)?,
        _ => return Err(Errno::PERM),
    };
    mknodat(folder, name, file_type, Mode::RUSR | Mode::WUSR, device)
}

fn device_number(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}
