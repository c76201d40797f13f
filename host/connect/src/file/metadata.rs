//! Giving a restored file its owner, extended attributes, mode and time, in the order in which none undoes another.
//!
//! Everything goes through one descriptor of the very file: the one that it was written by, or that of a folder; else one that is opened without
//! following links and without opening what is behind a device. Called by the destination; an attribute that cannot be set is returned, never fatal.

use std::os::fd::{AsFd, BorrowedFd};

use credenza_model::{Attribute, AttributeValue, Entry, EntryKind};

use super::attributes::kind_of;
use super::foreign::{self, IMPLIED, IMPLIED_AS};
use super::platform::posix::{
    AtFlags, CWD, Errno, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat, chownat, fchmod, fchown,
    fstat, futimens, openat, statat, utimensat,
};
use super::platform::{
    PLACE, Status, descriptor_path, has_extended, has_extended_of, mark, remove_extended, remove_extended_of,
    set_extended, status_of,
};

/// Attributes that other steps of a restore have used, or that only inform.
const USED_ELSEWHERE: [&str; 7] =
    ["posix.group", "posix.hardlink", "posix.kind", "posix.links", "posix.rdev", "posix.sparse", "posix.user"];
/// Access lists, which a new file takes over from the folder it is made in.
const INHERITED: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];
/// Of those, what anything but a folder may have.
const INHERITED_BY_FILES: &[&str] = &["system.posix_acl_access"];
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
    let file = openat(folder, name, PLACE | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let status = status_of(file.as_fd(), b"")?;
    if kind_of(&status) != entry.kind {
        return Err(Errno::STALE);
    }
    let way = Way::Named(descriptor_path(&file).into_bytes());
    Ok(Target { way, is_link: entry.kind == EntryKind::Symlink }.apply(&status, entry, more))
}

/// The same for an open file or folder of which the status is known to be that of what the entry says.
pub(super) fn apply_to(file: &impl AsFd, status: &Status, entry: &Entry, more: Option<Attribute>) -> Vec<String> {
    Target { way: Way::Open(file.as_fd()), is_link: false }.apply(status, entry, more)
}

/// The way to what is described.
enum Way<'a> {
    /// It is open.
    Open(BorrowedFd<'a>),
    /// Only its place is known, and this is the path of the descriptor: calls on it reach the file itself, also where that is a link (proc(5)).
    Named(Vec<u8>),
}

struct Target<'a> {
    way: Way<'a>,
    is_link: bool,
}

impl Target<'_> {
    fn apply(&self, status: &Status, entry: &Entry, more: Option<Attribute>) -> Vec<String> {
        let mut missed = Vec::new();
        let owned = self.set_owner(entry, status, &mut missed);
        self.drop_inherited(entry, &mut missed);
        self.set_extended(entry.attributes.iter().chain(&more), &mut missed);
        if entry.kind == EntryKind::Directory && entry.attribute(IMPLIED).is_none() {
            self.is_meant();
        }
        self.set_mode(entry, owned, &mut missed);
        self.set_time(entry, &mut missed);
        missed
    }

    fn set_owner(&self, entry: &Entry, status: &Status, missed: &mut Vec<String>) -> Owned {
        let uid = number(entry, "posix.uid").filter(|uid| *uid != status.uid);
        let gid = number(entry, "posix.gid").filter(|gid| *gid != status.gid);
        let chown = |uid: Option<u32>, gid: Option<u32>| {
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            match &self.way {
                Way::Open(file) => fchown(file, uid, gid),
                Way::Named(path) => chownat(CWD, path, uid, gid, AtFlags::empty()),
            }
        };
        if (uid, gid) == (None, None) || chown(uid, gid).is_ok() {
            return Owned { by_user: true, by_group: true };
        }
        let by_group = gid.is_none() || (uid.is_some() && chown(None, gid).is_ok());
        if uid.is_some() {
            missed.push("posix.uid".to_owned());
        }
        if !by_group {
            missed.push("posix.gid".to_owned());
        }
        Owned { by_user: uid.is_none(), by_group }
    }

    /// Takes away access lists that the entry does not have, if it says who may do what: they would let in whom the snapshot kept out.
    fn drop_inherited(&self, entry: &Entry, missed: &mut Vec<String>) {
        if self.is_link || number(entry, "posix.mode").is_none() {
            return;
        }
        let inherited = if entry.kind == EntryKind::Directory { &INHERITED } else { INHERITED_BY_FILES };
        for name in inherited {
            let kept = format!("xattr.{name}");
            let is_there = || match &self.way {
                Way::Open(file) => has_extended_of(file, name),
                Way::Named(path) => has_extended(path, name),
            };
            if entry.attribute(&kept).is_none() && is_there() && self.remove_extended(name).is_err() {
                missed.push(kept);
            }
        }
    }

    /// Forgets that a folder was made because a key needed it: there is an entry of it.
    fn is_meant(&self) {
        let _ = self.remove_extended(IMPLIED_AS.0);
    }

    fn remove_extended(&self, name: &str) -> Result<(), Errno> {
        match &self.way {
            Way::Open(file) => remove_extended_of(file, name),
            Way::Named(path) => remove_extended(path, name),
        }
    }

    fn set_extended<'a>(&self, attributes: impl Iterator<Item = &'a Attribute>, missed: &mut Vec<String>) {
        for (name, value) in attributes {
            let keep = |name: &str, value: &[u8]| match &self.way {
                Way::Open(file) => mark(file, name, value).is_ok(),
                Way::Named(path) => set_extended(path, name, value).is_ok(),
            };
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

    fn set_mode(&self, entry: &Entry, owned: Owned, missed: &mut Vec<String>) {
        let Some(wanted) = number(entry, "posix.mode").filter(|_| !self.is_link) else { return };
        let mode = owned.granted(wanted & 0o7777);
        let raw = Mode::from_raw_mode(mode);
        let set = match &self.way {
            Way::Open(file) => fchmod(file, raw),
            Way::Named(path) => chmodat(CWD, path, raw, AtFlags::empty()),
        };
        if set.is_err() || mode != wanted & 0o7777 || !self.has_mode(mode) {
            missed.push("posix.mode".to_owned());
        }
    }

    /// The kernel passes over the set-gid bit of whoever is not in the group, and says nothing (chmod(2)).
    fn has_mode(&self, mode: u32) -> bool {
        let found = || match &self.way {
            Way::Open(file) => fstat(file),
            Way::Named(path) => statat(CWD, path, AtFlags::empty()),
        };
        mode & SET_GID == 0 || found().is_ok_and(|found| found.st_mode & SET_GID != 0)
    }

    fn set_time(&self, entry: &Entry, missed: &mut Vec<String>) {
        let Some(time) = entry.modified else { return };
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds.min(999_999_999)) },
        };
        let set = match &self.way {
            Way::Open(file) => futimens(file, &times),
            Way::Named(path) => utimensat(CWD, path, &times, AtFlags::empty()),
        };
        if set.is_err() {
            missed.push("modified".to_owned());
        }
    }
}

/// Whether a file belongs to those whom its mode was meant for.
#[derive(Debug, Clone, Copy)]
struct Owned {
    by_user: bool,
    by_group: bool,
}

impl Owned {
    /// The mode without what would be given to somebody else than was meant: another group gets no more than everybody has.
    const fn granted(self, mode: u32) -> u32 {
        let mode = if self.by_user { mode } else { mode & !SET_UID };
        if self.by_group { mode } else { mode & !SET_GID & (!0o070 | (mode & 0o007) << 3) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_the_one_meant_gets_no_more_than_everybody() {
        let strange = Owned { by_user: true, by_group: false };
        for (mode, granted) in [(0o644, 0o644), (0o640, 0o600), (0o2775, 0o755), (0o660, 0o600), (0o751, 0o711)] {
            assert_eq!(strange.granted(mode), granted, "{mode:o}");
        }
        assert_eq!(Owned { by_user: false, by_group: true }.granted(0o6750), 0o2750);
    }
}
