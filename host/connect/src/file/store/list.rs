//! Listing a repository's folder a page at a time.
//!
//! What is no object is passed over: names that are no keys, links, pipes, devices, sockets. Bound: the names of one page for each folder on the
//! way, [`NAMES_MAX`] at most, however many a folder has; folders nest no deeper than a key has segments.

use credenza_model::StoreKey;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, openat};
use rustix::io::Errno;

use super::super::attributes::{status_of, type_of};
use super::super::beneath::open_beneath;
use super::super::folder::first_names;
use super::root::FOLDER;
use super::stored_object;
use crate::StoredObject;

/// Most names held of one folder.
const NAMES_MAX: usize = 4096;

/// What a page is to hold.
pub(super) struct Wanted {
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) max: usize,
}

impl Wanted {
    /// The objects, in byte order.
    ///
    /// # Errors
    /// `LOOP` when the prefix leads through a link: what is behind it must not pass for nothing.
    pub(super) fn list(&self, root: &OwnedFd) -> Result<Vec<StoredObject>, Errno> {
        let folder_key = self.prefix.rfind('/').and_then(|end| self.prefix.get(..=end)).unwrap_or_default();
        let mut found = Vec::new();
        match open_beneath(root.as_fd(), folder_key.as_bytes(), FOLDER) {
            Ok(folder) => self.list_folder(&folder, folder_key, &mut found)?,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(cause) => return Err(cause),
        }
        Ok(found)
    }

    fn list_folder(&self, folder: &OwnedFd, key: &str, found: &mut Vec<StoredObject>) -> Result<(), Errno> {
        let mut last: Option<Box<[u8]>> = None;
        loop {
            let most = self.max.saturating_sub(found.len()).min(NAMES_MAX);
            let is_next = |name: &[u8]| last.as_deref().is_none_or(|last| name > last) && self.may_hold(key, name);
            let names = first_names(folder.as_fd(), most, is_next)?;
            for name in &names {
                self.visit(folder, key, name, found)?;
            }
            if names.len() < most || found.len() >= self.max {
                return Ok(());
            }
            last = names.into_iter().next_back();
        }
    }

    fn visit(&self, folder: &OwnedFd, key: &str, name: &[u8], found: &mut Vec<StoredObject>) -> Result<(), Errno> {
        let Some(key) = joined(key, name) else { return Ok(()) };
        if found.len() >= self.max {
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
            (Ok(status), Ok(key)) if type_of(&status) == FileType::RegularFile => {
                found.push(stored_object(key, &status));
                Ok(())
            }
            (Err(Errno::NOENT) | Ok(_), _) => Ok(()),
            (Err(cause), _) => Err(cause),
        }
    }

    /// Whether a name in the folder with that key is, or holds, something that is asked for.
    fn may_hold(&self, folder_key: &str, name: &[u8]) -> bool {
        let Some(key) = joined(folder_key, name) else { return false };
        let is_key = StoreKey::new(key.trim_end_matches('/')).is_ok();
        let is_after = |after: &str| key.as_str() > after || key.ends_with('/') && after.starts_with(&key);
        let is_under = key.starts_with(&self.prefix) || key.ends_with('/') && self.prefix.starts_with(&key);
        is_key && is_under && self.after.as_deref().is_none_or(is_after)
    }
}

fn joined(folder_key: &str, name: &[u8]) -> Option<String> {
    std::str::from_utf8(name).ok().map(|name| format!("{folder_key}{name}"))
}
