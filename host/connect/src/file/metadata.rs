//! Giving a restored file its owner, extended attributes, mode and time, in the order in which none undoes another.
//!
//! Everything goes through one descriptor of the very file, opened without following links and without opening what is
//! behind a device. Called by the destination; an attribute that cannot be set is returned, never fatal.

use credenza_model::{Attribute, AttributeValue, Entry, EntryKind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Statx, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::fs::{chmodat, chownat, openat, removexattr, setxattr, utimensat};
use rustix::io::Errno;

use super::accounts::Accounts;
use super::attributes::{describe, path_through, status_of};
use super::foreign::{self, IMPLIED, IMPLIED_AS};

/// Attributes that other steps of a restore have used, or that only inform.
const USED_ELSEWHERE: [&str; 6] =
    ["posix.group", "posix.hardlink", "posix.kind", "posix.rdev", "posix.sparse", "posix.user"];
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;

/// Sets what `entry` says on `name` in `folder`, and one attribute more where there is one; returns the names of the attributes that could not
/// be set.
///
/// # Errors
/// When the file is missing or is not what the entry says.
pub(super) fn apply(
    folder: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    more: Option<Attribute>,
) -> Result<Vec<String>, Errno> {
    let file = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let status = status_of(file.as_fd(), b"")?;
    if describe(entry.key.clone(), &status, &Accounts::default()).kind != entry.kind {
        return Err(Errno::STALE);
    }
    let target = Target { path: descriptor_path(&file), is_link: entry.kind == EntryKind::Symlink };
    let mut missed = Vec::new();
    let lost = target.set_owner(entry, &status, &mut missed);
    target.set_extended(entry.attributes.iter().chain(&more), &mut missed);
    if entry.kind == EntryKind::Directory && entry.attribute(IMPLIED).is_none() {
        target.is_meant();
    }
    target.set_mode(entry, lost, &mut missed);
    target.set_time(entry, &mut missed);
    Ok(missed)
}

fn descriptor_path(file: &OwnedFd) -> Vec<u8> {
    let mut path = path_through(file, b"");
    path.pop();
    path
}

struct Target {
    /// The descriptor's own path: calls on it reach the file itself, also where that is a link (proc(5)).
    path: Vec<u8>,
    is_link: bool,
}

impl Target {
    /// Returns the mode bits that must not be set, because the file belongs to somebody else than they were meant for.
    fn set_owner(&self, entry: &Entry, status: &Statx, missed: &mut Vec<String>) -> u32 {
        let uid = number(entry, "posix.uid").filter(|uid| *uid != status.stx_uid);
        let gid = number(entry, "posix.gid").filter(|gid| *gid != status.stx_gid);
        let chown = |uid: Option<u32>, gid: Option<u32>| {
            chownat(CWD, &self.path, uid.map(Uid::from_raw), gid.map(Gid::from_raw), AtFlags::empty())
        };
        if (uid, gid) == (None, None) || chown(uid, gid).is_ok() {
            return 0;
        }
        let mut lost = 0;
        if uid.is_some() {
            missed.push("posix.uid".to_owned());
            lost |= SET_UID;
        }
        if gid.is_some() && (uid.is_none() || chown(None, gid).is_err()) {
            missed.push("posix.gid".to_owned());
            lost |= SET_GID;
        }
        lost
    }

    /// Forgets that a folder was made because a key needed it: there is an entry of it.
    fn is_meant(&self) {
        let _ = removexattr(&self.path, IMPLIED_AS.0);
    }

    fn set_extended<'a>(&self, attributes: impl Iterator<Item = &'a Attribute>, missed: &mut Vec<String>) {
        for (name, value) in attributes {
            let keep = |name: &str, value: &[u8]| setxattr(&self.path, name, value, XattrFlags::empty()).is_ok();
            let set = match (name.strip_prefix("xattr."), value) {
                (Some(name), AttributeValue::Blob(value)) => keep(name, value),
                (Some(_), _) => false,
                (None, value) => match foreign::kept_as(name, value) {
                    Some((name, value)) => keep(&name, &value),
                    None => is_known(name),
                },
            };
            if !set {
                missed.push(name.clone());
            }
        }
    }

    fn set_mode(&self, entry: &Entry, lost: u32, missed: &mut Vec<String>) {
        let Some(mode) = number(entry, "posix.mode").filter(|_| !self.is_link) else { return };
        let set = chmodat(CWD, &self.path, Mode::from_raw_mode(mode & 0o7777 & !lost), AtFlags::empty());
        if set.is_err() || mode & lost != 0 {
            missed.push("posix.mode".to_owned());
        }
    }

    fn set_time(&self, entry: &Entry, missed: &mut Vec<String>) {
        let Some(time) = entry.modified else { return };
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds.min(999_999_999)) },
        };
        if utimensat(CWD, &self.path, &times, AtFlags::empty()).is_err() {
            missed.push("modified".to_owned());
        }
    }
}

fn is_known(name: &str) -> bool {
    USED_ELSEWHERE.contains(&name) || matches!(name, "posix.uid" | "posix.gid" | "posix.mode")
}

/// A number of an attribute that the kernel can take; its largest means "leave it" (chown(2)).
fn number(entry: &Entry, name: &str) -> Option<u32> {
    match entry.attribute(name) {
        Some(AttributeValue::Integer(value)) => u32::try_from(*value).ok().filter(|value| *value != u32::MAX),
        _ => None,
    }
}
