//! What a file system knows of a file, as an [`Entry`] tells it.
//!
//! | attribute | value | when |
//! |---|---|---|
//! | `posix.mode` | permission bits with set-uid, set-gid and sticky | always |
//! | `posix.uid`, `posix.gid` | numbers | always |
//! | `posix.user`, `posix.group` | names | when this machine has a name for the number |
//! | `posix.hardlink` | device and inode, equal for names of one file | more than one name, no folder |
//! | `posix.links` | how many names it has, on this file system | more than one name, no folder |
//! | `posix.kind` | `fifo`, `socket`, `char`, `block` | kind `Other` |
//! | `posix.rdev` | `major:minor` | devices |
//! | `posix.sparse` | bytes that are allocated, a multiple of 512; 1 where an older version did not tell | fewer than the size says |
//! | `xattr.NAME` | the bytes | each extended attribute, POSIX ACLs among them |
//!
//! Called by the walk, which leaves out extended attributes where a read is to tell them, by reads and by the destination's `stat`.

use std::os::fd::AsFd;

use credenza_model::{Attribute, AttributeValue, Entry, EntryKind, Key};

use super::accounts::Accounts;
use super::foreign;
use super::platform::posix::{Errno, FileType};
use super::platform::{Status, extended_names, extended_names_of, extended_value, extended_value_of};

/// Smallest file that is called sparse; smaller ones may live in their inode, where no block is counted.
const SPARSE_BYTES_MIN: u64 = 4096;

/// Mode, and numbers and names of owner and group.
const USUAL_ATTRIBUTES: usize = 5;

/// Equal fingerprints promise equal content: any write moves `ctime`, which no program can set back.
pub(super) fn fingerprint(status: &Status) -> String {
    let Status { modified, changed, size, inode, .. } = status;
    format!(
        "{:x}.{:x}-{:x}.{:x}-{size:x}-{inode:x}",
        modified.seconds, modified.nanoseconds, changed.seconds, changed.nanoseconds
    )
}

/// Whether parts of the file have no bytes on disk.
pub(super) fn is_sparse(status: &Status) -> bool {
    status.size >= SPARSE_BYTES_MIN && allocated(status) < status.size
}

/// Bytes on disk.
const fn allocated(status: &Status) -> u64 {
    status.blocks.saturating_mul(512)
}

/// The entry that a status describes, still without extended attributes and link target.
pub(super) fn describe(key: Key, status: &Status, accounts: &Accounts) -> Entry {
    let kind = kind_of(status);
    let mut entry = Entry::new(key, kind);
    entry.modified = Some(status.modified);
    if kind == EntryKind::File {
        entry.size = Some(status.size);
        entry.fingerprint = Some(fingerprint(status));
    }
    entry.attributes = posix_attributes(kind, status, accounts);
    entry
}

/// The kind of an entry that a status describes.
pub(super) fn kind_of(status: &Status) -> EntryKind {
    match status.kind {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

fn posix_attributes(kind: EntryKind, status: &Status, accounts: &Accounts) -> Vec<Attribute> {
    let integer = |value| AttributeValue::Integer(i64::from(value));
    let text = |value: &str| AttributeValue::Text(value.to_owned());
    let (uid, gid) = (status.uid, status.gid);
    let linked = kind != EntryKind::Directory && status.links > 1;
    let (major, minor, inode) = status.identity();
    let hardlink = || format!("{major:x}.{minor:x}:{inode:x}");
    let device = matches!(status.kind, FileType::CharacterDevice | FileType::BlockDevice);
    let rdev = || format!("{}:{}", status.stands_for.0, status.stands_for.1);
    let sparse = kind == EntryKind::File && is_sparse(status);
    let allocated = || i64::try_from(allocated(status)).unwrap_or(i64::MAX);
    // One allocation: threads that allocate and others that free wait for each other.
    let mut attributes = Vec::with_capacity(USUAL_ATTRIBUTES);
    let told = [
        ("posix.gid", Some(integer(gid))),
        ("posix.group", accounts.group(gid).map(text)),
        ("posix.hardlink", linked.then(|| AttributeValue::Text(hardlink()))),
        ("posix.kind", special_kind(status.kind).map(text)),
        ("posix.links", linked.then(|| integer(status.links))),
        ("posix.mode", Some(integer(status.mode))),
        ("posix.rdev", device.then(|| AttributeValue::Text(rdev()))),
        ("posix.sparse", sparse.then(|| AttributeValue::Integer(allocated()))),
        ("posix.uid", Some(integer(uid))),
        ("posix.user", accounts.user(uid).map(text)),
    ];
    attributes.extend(told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    attributes
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

/// The extended attributes of what a path names, a link not followed, as sorted attributes.
///
/// # Errors
/// The list's error, `OPNOTSUPP` when the file system has none. A value that vanished or is withheld is left out.
pub(super) fn extended(path: &[u8]) -> Result<Vec<Attribute>, Errno> {
    Ok(gathered(&extended_names(path)?, path, |name| extended_value(path, name)).read)
}

/// The extended attributes of a file, as far as they could be read.
pub(super) struct Extended {
    /// Sorted.
    pub(super) read: Vec<Attribute>,
    /// Why these are not all, by the first that could not be read.
    pub(super) missed: Option<String>,
}

/// Those of an open file that goes by this key.
///
/// # Errors
/// As [`extended`].
pub(super) fn extended_of(file: &impl AsFd, key: &Key) -> Result<Extended, Errno> {
    Ok(gathered(&extended_names_of(file)?, key.as_bytes(), |name| extended_value_of(file, name)))
}

fn gathered(list: &[u8], file: &[u8], value_of: impl Fn(&[u8]) -> Result<Vec<u8>, Errno>) -> Extended {
    let mut read: Vec<Attribute> = Vec::new();
    let mut missed = None;
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match named_value(name, &value_of) {
            Ok((text, value)) => {
                let own = |value| (format!("xattr.{text}"), AttributeValue::Blob(value));
                read.push(foreign::kept_in(text, &value).unwrap_or_else(|| own(value)));
            }
            Err(reason) => {
                let attribute = name.escape_ascii().to_string();
                tracing::warn!(file = %file.escape_ascii(), %attribute, %reason, "an extended attribute cannot be read");
                missed =
                    missed.or_else(|| Some(format!("its extended attribute `{attribute}` cannot be read: {reason}")));
            }
        }
    }
    read.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Extended { read, missed }
}

/// An attribute's name as text, and its value; or why it has none that can be kept.
fn named_value(name: &[u8], value_of: impl Fn(&[u8]) -> Result<Vec<u8>, Errno>) -> Result<(&str, Vec<u8>), String> {
    let text = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8".to_owned())?;
    let value = value_of(name).map_err(|errno| std::io::Error::from(errno).to_string())?;
    Ok((text, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_cannot_be_read_is_named_and_the_others_are_told() {
        let value_of = |name: &[u8]| match name {
            b"security.held" => Err(Errno::PERM),
            _ => Ok(b"1".to_vec()),
        };
        let all = gathered(b"user.b\0user.a\0", b"file", value_of);
        assert_eq!((all.read.len(), all.missed), (2, None));
        for (list, named) in
            [(&b"user.b\0security.held\0"[..], "`security.held`"), (&b"user.b\0user.\xff\0"[..], "UTF-8")]
        {
            let some = gathered(list, b"file", value_of);
            assert_eq!(some.read, [("xattr.user.b".to_owned(), AttributeValue::Blob(b"1".to_vec()))]);
            assert!(some.missed.is_some_and(|reason| reason.contains(named)), "{named}");
        }
    }
}
