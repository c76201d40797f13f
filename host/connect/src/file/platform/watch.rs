//! Changes at and below folders, as the system tells them.
//!
//! Each folder is watched by itself, and one that comes is watched from then on: what was made in it before counts as a change too. What cannot be listed, and
//! what lies behind a link, is not watched. Bound: [`FOLDERS_MAX`], some 300 bytes each here and 1 KiB in the kernel, which has a lower limit of its own.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Folders that are watched at most.
const FOLDERS_MAX: usize = 1 << 18;
/// Bytes of events that are taken at once.
const EVENTS_BYTES: usize = 16 * 1024;

/// Why changes cannot be seen.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A limit of the system.
    #[error("this machine watches no more than {sysctl} says")]
    Limit {
        /// The name of the limit.
        sysctl: &'static str,
    },
    /// More folders than are watched.
    #[error("there are more than {folders_max} folders")]
    TooMany {
        /// The most.
        folders_max: usize,
    },
    /// The system refuses it.
    #[error("{} cannot be watched", folder.display())]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Folders that are watched, with all that lies below them.
#[derive(Debug)]
pub struct Watch {
    events: OwnedFd,
    /// By the number of the watch.
    folders: HashMap<i32, PathBuf>,
}

impl Watch {
    /// Watches folders from now on.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn below(roots: &[PathBuf]) -> Result<Self, WatchError> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|errno| match errno {
            Errno::MFILE => WatchError::Limit { sysctl: "fs.inotify.max_user_instances" },
            errno => WatchError::Refused { folder: roots.first().cloned().unwrap_or_default(), source: errno.into() },
        })?;
        let mut watch = Self { events, folders: HashMap::new() };
        for root in roots {
            watch.add(root)?;
        }
        if watch.folders.is_empty() {
            let source = io::ErrorKind::NotFound.into();
            return Err(WatchError::Refused { folder: roots.first().cloned().unwrap_or_default(), source });
        }
        Ok(watch)
    }

    /// Watches a folder and those below it.
    fn add(&mut self, folder: &Path) -> Result<(), WatchError> {
        let changes = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            if self.folders.len() >= FOLDERS_MAX {
                return Err(WatchError::TooMany { folders_max: FOLDERS_MAX });
            }
            match inotify::add_watch(&self.events, &folder, changes) {
                Ok(number) => drop(self.folders.insert(number, folder.clone())),
                Err(Errno::NOSPC) => return Err(WatchError::Limit { sysctl: "fs.inotify.max_user_watches" }),
                // Gone by now, no folder any more, or for others: whoever backs up reports it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => continue,
                Err(errno) => return Err(WatchError::Refused { folder, source: errno.into() }),
            }
            // After it is watched, so that nothing comes in between.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            waiting.extend(below.map(|entry| entry.path()));
        }
        Ok(())
    }

    /// Takes what has happened since; whether there was anything. It does not wait: the descriptor is readable when there is something.
    ///
    /// # Errors
    /// When a folder that came cannot be watched.
    pub fn take(&mut self) -> Result<bool, WatchError> {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let (mut came, mut gone, mut has_changed) = (Vec::new(), Vec::new(), false);
        let mut events = inotify::Reader::new(&self.events, &mut buffer);
        while let Ok(event) = events.next() {
            has_changed = true;
            let (flags, number) = (event.events(), event.wd());
            if flags.contains(ReadFlags::IGNORED) {
                gone.push(number);
            }
            let is_new = flags.contains(ReadFlags::ISDIR) && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            if let (true, Some(name), Some(folder)) = (is_new, event.file_name(), self.folders.get(&number)) {
                came.push(folder.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                // Folders may have come of which nobody heard.
                came.extend(self.folders.values().cloned());
            }
        }
        for number in gone {
            self.folders.remove(&number);
        }
        came.iter().try_for_each(|folder| self.add(folder))?;
        Ok(has_changed)
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let watch = Watch::below(&[folder.path().to_owned()]).unwrap();
        (folder, watch)
    }

    #[test]
    fn what_changes_at_any_depth_is_seen_also_in_folders_that_come() {
        let (folder, mut watch) = watched();
        assert!(!watch.take().unwrap());
        fs::write(folder.path().join("a/b/letter"), "dear").unwrap();
        assert!(watch.take().unwrap() && !watch.take().unwrap());
        fs::create_dir_all(folder.path().join("new/below")).unwrap();
        assert!(watch.take().unwrap());
        fs::write(folder.path().join("new/below/letter"), "dear").unwrap();
        assert!(watch.take().unwrap());
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert!(watch.take().unwrap());
        assert!(!watch.folders.values().any(|known| known.ends_with("a/b")), "what is gone is forgotten");
    }

    #[test]
    fn reading_is_no_change_and_links_are_not_followed() {
        let (folder, mut watch) = watched();
        let other = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a/letter"), "dear").unwrap();
        std::os::unix::fs::symlink(other.path(), folder.path().join("a/link")).unwrap();
        assert!(watch.take().unwrap());
        fs::read(folder.path().join("a/letter")).unwrap();
        fs::write(other.path().join("letter"), "dear").unwrap();
        assert!(!watch.take().unwrap());
    }

    #[test]
    fn what_is_not_there_cannot_be_watched() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Watch::below(&[folder.path().join("none")]);
        assert!(matches!(refused, Err(WatchError::Refused { .. })), "{refused:?}");
    }
}
