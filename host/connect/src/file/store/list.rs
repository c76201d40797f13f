//! Listing a repository's folder a page at a time.
//!
//! What can be no object is passed over and reported: names that are no keys. A link, pipe, device or socket with the name of a key is listed, for it
//! stands where the object was; reading it says what it is. A folder is neither, whatever its name: one that holds nothing is nothing, because deleting
//! leaves such folders. All strays of a folder belong to the page that comes to it first, so that
//! each is reported once; of a folder that is no key itself, only that.
//!
//! Bound: the names of one page for each folder on the way, [`NAMES_MAX`] at most, however many a folder has, and those of some strays; folders nest no
//! deeper than a key has segments.

use std::os::fd::{AsFd, OwnedFd};

use credenza_model::StoreKey;

use super::super::platform::posix::{Errno, FileType, Mode, openat};
use super::super::platform::{FOLDER, first_names, open_beneath, status_of};
use super::stored_object;
use super::unfinished::{RESERVE, UNFINISHED};
use crate::{Page, StoredObject, Strays};

/// Most names held of one folder.
const NAMES_MAX: usize = 4096;

/// What a page is to hold.
pub(super) struct Wanted {
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) max: usize,
}

/// What was found so far.
struct Found {
    /// At most one more than the page holds, which says that there is more.
    objects: Vec<StoredObject>,
    strays: Strays,
    /// Those that were come to when the page was full: the next page tells them if there is one.
    later: Strays,
}

impl Wanted {
    /// The objects, in byte order. The cursor of the next page is the last key of this one.
    ///
    /// # Errors
    /// `LOOP` when the prefix leads through a link: what is behind it must not pass for nothing.
    pub(super) fn list(&self, root: &OwnedFd) -> Result<Page, Errno> {
        let folder_key = self.prefix.rfind('/').and_then(|end| self.prefix.get(..=end)).unwrap_or_default();
        let mut found = Found { objects: Vec::new(), strays: Strays::default(), later: Strays::default() };
        match open_beneath(root.as_fd(), folder_key.as_bytes(), FOLDER) {
            Ok(folder) => self.list_folder(&folder, folder_key, &mut found)?,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(cause) => return Err(cause),
        }
        let Found { mut objects, mut strays, later } = found;
        let more = objects.len() > self.max;
        objects.truncate(self.max);
        let next = objects.last().filter(|_| more).map(|last| last.key.to_string());
        if !more {
            strays.extend(later);
        }
        Ok(Page { objects, next, strays })
    }

    fn list_folder(&self, folder: &OwnedFd, key: &str, found: &mut Found) -> Result<(), Errno> {
        // Behind a key of this folder, an earlier page has been here.
        let mut is_first = self.after.as_deref().is_none_or(|after| after < key);
        let mut last: Option<Box<[u8]>> = None;
        loop {
            let most = self.left(found).min(NAMES_MAX);
            let strays = if found.objects.len() < self.max { &mut found.strays } else { &mut found.later };
            let is_next = |name: &[u8], kind: FileType| {
                if is_stray(key, name) {
                    let whole = [key.as_bytes(), name].concat();
                    if is_first && !is_own(&whole, kind) && whole.starts_with(self.prefix.as_bytes()) {
                        strays.add(&whole);
                    }
                    return false;
                }
                last.as_deref().is_none_or(|last| name > last) && self.may_hold(key, name)
            };
            let names = first_names(folder.as_fd(), most, is_next)?;
            for name in &names {
                self.visit(folder, key, name, found)?;
            }
            if names.len() < most || self.left(found) == 0 {
                return Ok(());
            }
            last = names.into_iter().next_back();
            is_first = false;
        }
    }

    /// Objects that are still looked for.
    fn left(&self, found: &Found) -> usize {
        self.max.saturating_add(1).saturating_sub(found.objects.len())
    }

    fn visit(&self, folder: &OwnedFd, key: &str, name: &[u8], found: &mut Found) -> Result<(), Errno> {
        let Some(key) = joined(key, name) else { return Ok(()) };
        if self.left(found) == 0 {
            return Ok(());
        }
        if let Some(name) = name.strip_suffix(b"/") {
            return match openat(folder, name, FOLDER, Mode::empty()) {
                Ok(below) => self.list_folder(&below, &key, found),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(cause) => Err(cause),
            };
        }
        match (status_of(folder.as_fd(), name), StoreKey::new(key)) {
            (Ok(status), Ok(key)) if status.kind != FileType::Directory => {
                found.objects.push(stored_object(key, &status));
                Ok(())
            }
            (Err(Errno::NOENT) | Ok(_), _) => Ok(()),
            (Err(cause), _) => Err(cause),
        }
    }

    /// Whether a name in the folder with that key is, or holds, something that is asked for.
    fn may_hold(&self, folder_key: &str, name: &[u8]) -> bool {
        let Some(key) = joined(folder_key, name) else { return false };
        let is_after = |after: &str| key.as_str() > after || key.ends_with('/') && after.starts_with(&key);
        let is_under = key.starts_with(&self.prefix) || key.ends_with('/') && self.prefix.starts_with(&key);
        is_under && self.after.as_deref().is_none_or(is_after)
    }
}

/// Whether a name can be neither an object's nor that of a folder of objects.
fn is_stray(folder_key: &str, name: &[u8]) -> bool {
    joined(folder_key, name.strip_suffix(b"/").unwrap_or(name)).is_none_or(|key| StoreKey::new(key).is_err())
}

/// What the store itself keeps beside the objects.
fn is_own(name: &[u8], kind: FileType) -> bool {
    match kind {
        // The root's, and that of a folder on which another file system is mounted.
        FileType::Directory => {
            let segments = name.strip_suffix(b"/").unwrap_or(name).split(|byte| *byte == b'/').collect::<Vec<_>>();
            segments.len() <= 2 && segments.last() == Some(&UNFINISHED.as_bytes())
        }
        kind => kind == FileType::RegularFile && name.starts_with(RESERVE.as_bytes()),
    }
}

fn joined(folder_key: &str, name: &[u8]) -> Option<String> {
    std::str::from_utf8(name).ok().map(|name| format!("{folder_key}{name}"))
}
