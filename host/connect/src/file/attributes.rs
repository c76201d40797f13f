//! What a file system knows of a file, as an [`Entry`] tells it.
//!
//! | attribute | value | when |
//! |---|---|---|
//! | `posix.mode` | permission bits with set-uid, set-gid and sticky | always |
//! | `posix.uid`, `posix.gid` | numbers | always |
//! | `posix.user`, `posix.group` | names | when this machine has a name for the number |
//! | `posix.hardlink` | device and inode, equal for names of one file | more than one name, no folder |
//! | `posix.kind` | `fifo`, `socket`, `char`, `block` | kind `Other` |
//! | `posix.rdev` | `major:minor` | devices |
//! | `posix.sparse` | 1 | fewer bytes are allocated than the size says |
//! | `xattr.NAME` | the bytes | each extended attribute, POSIX ACLs among them |
//!
//! Called by the walk, by reads and by the destination's `stat`.

use credenza_model::{Attribute, AttributeValue, Entry, EntryKind, Key, Timestamp};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, lgetxattr, llistxattr, statx};
use rustix::io::Errno;

use super::accounts::Accounts;
use super::foreign;

/// Smallest file that is called sparse; smaller ones may live in their inode, where no block is counted.
const SPARSE_BYTES_MIN: u64 = 4096;
/// A list of names or a value is first read into this much, which nearly always is enough.
const XATTR_BYTES_USUAL: usize = 1024;
/// Where the kernel shows a process its open files (proc(5)).
pub(super) const DESCRIPTORS: &str = "/proc/self/fd";
/// Longest list of names and longest value that Linux hands out (xattr(7)).
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// The status of a name in an open folder, never through a link; the empty name is the folder itself.
pub(super) fn status_of(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    statx(folder, name, flags, StatxFlags::BASIC_STATS)
}

/// The same as the machine knows it already: a file server that does not answer is not asked (statx(2)).
pub(super) fn known_status_of(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    statx(folder, name, flags, StatxFlags::BASIC_STATS)
}

/// The type in a status.
pub(super) fn type_of(status: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(status.stx_mode))
}

/// Equal fingerprints promise equal content: any write moves `ctime`, which no program can set back.
pub(super) fn fingerprint(status: &Statx) -> String {
    let (mtime, ctime) = (&status.stx_mtime, &status.stx_ctime);
    format!(
        "{:x}.{:x}-{:x}.{:x}-{:x}-{:x}",
        mtime.tv_sec, mtime.tv_nsec, ctime.tv_sec, ctime.tv_nsec, status.stx_size, status.stx_ino
    )
}

/// A time of the kernel.
pub(super) fn timestamp(time: &StatxTimestamp) -> Timestamp {
    Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec.min(999_999_999) }
}

/// Whether parts of the file have no bytes on disk.
pub(super) fn is_sparse(status: &Statx) -> bool {
    status.stx_size >= SPARSE_BYTES_MIN && status.stx_blocks.saturating_mul(512) < status.stx_size
}

/// The entry that a status describes, still without extended attributes and link target.
pub(super) fn describe(key: Key, status: &Statx, accounts: &Accounts) -> Entry {
    let kind = match type_of(status) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    };
    let mut entry = Entry::new(key, kind);
    entry.modified = Some(timestamp(&status.stx_mtime));
    if kind == EntryKind::File {
        entry.size = Some(status.stx_size);
        entry.fingerprint = Some(fingerprint(status));
    }
    entry.attributes = posix_attributes(kind, status, accounts);
    entry
}

fn posix_attributes(kind: EntryKind, status: &Statx, accounts: &Accounts) -> Vec<Attribute> {
    let integer = |value| AttributeValue::Integer(i64::from(value));
    let text = |value: &str| AttributeValue::Text(value.to_owned());
    let (uid, gid) = (status.stx_uid, status.stx_gid);
    let linked = kind != EntryKind::Directory && status.stx_nlink > 1;
    let hardlink = || format!("{:x}.{:x}:{:x}", status.stx_dev_major, status.stx_dev_minor, status.stx_ino);
    let file_type = type_of(status);
    let device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
    let rdev = || format!("{}:{}", status.stx_rdev_major, status.stx_rdev_minor);
    let sparse = kind == EntryKind::File && is_sparse(status);
    [
        ("posix.gid", Some(integer(gid))),
        ("posix.group", accounts.group(gid).map(text)),
        ("posix.hardlink", linked.then(|| AttributeValue::Text(hardlink()))),
        ("posix.kind", special_kind(file_type).map(text)),
        ("posix.mode", Some(integer(u32::from(status.stx_mode) & 0o7777))),
        ("posix.rdev", device.then(|| AttributeValue::Text(rdev()))),
        ("posix.sparse", sparse.then(|| integer(1))),
        ("posix.uid", Some(integer(uid))),
        ("posix.user", accounts.user(uid).map(text)),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
    .collect()
}

fn special_kind(file_type: FileType) -> Option<&'static str> {
    match file_type {
        FileType::Fifo => Some("fifo"),
        FileType::Socket => Some("socket"),
        FileType::CharacterDevice => Some("char"),
        FileType::BlockDevice => Some("block"),
        _ => None,
    }
}

/// A path to a name in an open folder for calls that know no folder descriptor; `.` is the folder itself.
///
/// The kernel resolves it from the open folder, so a path that is being moved or replaced cannot lead elsewhere (proc(5)).
pub(super) fn path_through(folder: &impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("{DESCRIPTORS}/{}/", folder.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// The extended attributes of what a path names, a link not followed, as sorted attributes.
///
/// # Errors
/// The list's error, `OPNOTSUPP` when the file system has none. A value that vanished or is withheld is left out.
pub(super) fn extended(path: &[u8]) -> Result<Vec<Attribute>, Errno> {
    let list = grown(|buffer| llistxattr(path, buffer))?;
    let mut found: Vec<Attribute> = Vec::new();
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let (Ok(value), Ok(text)) = (grown(|buffer| lgetxattr(path, name, buffer)), std::str::from_utf8(name)) else {
            tracing::warn!(file = %path.escape_ascii(), attribute = %name.escape_ascii(), "an extended attribute cannot be read");
            continue;
        };
        let own = |value| (format!("xattr.{text}"), AttributeValue::Blob(value));
        found.push(foreign::kept_in(text, &value).unwrap_or_else(|| own(value)));
    }
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn grown(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut usual = [0; XATTR_BYTES_USUAL];
    match read(&mut usual) {
        Ok(length) => Ok(usual.iter().copied().take(length).collect()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; XATTR_BYTES_MAX];
            let length = read(&mut large)?;
            large.truncate(length);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}
