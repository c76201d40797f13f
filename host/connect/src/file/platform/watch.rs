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

use crate::Patterns;

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

/// A folder that is watched with all that lies below it, but for what is left out.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The folder.
    pub root: PathBuf,
    /// What of it is no change.
    pub leaving_out: Patterns,
}

impl Watched {
    /// Whether something below it is left out.
    fn leaves_out(&self, path: &Path, is_folder: bool) -> bool {
        let Ok(below) = path.strip_prefix(&self.root) else { return false };
        let mut key = below.as_os_str().as_bytes().to_vec();
        if key.is_empty() {
            return false;
        }
        if is_folder {
            key.push(b'/');
        }
        self.leaving_out.cover(&key)
    }

    /// The folders right below one that are not left out; none of one that cannot be listed.
    fn folders_in(&self, folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| entry.path()).filter(|path| !self.leaves_out(path, true)).collect()
    }

    /// How many folders are to be watched for it; of more than can be, some more than that.
    #[must_use]
    pub fn count(&self) -> usize {
        let (mut waiting, mut count) = (vec![self.root.clone()], 0);
        while let Some(folder) = waiting.pop().filter(|_| count <= FOLDERS_MAX) {
            count += 1;
            waiting.extend(self.folders_in(&folder));
        }
        count
    }
}

/// How many folders all programs of a user may watch together; nothing where the system does not say.
#[must_use]
pub fn watches_max() -> Option<usize> {
    fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()
}

/// Folders that are watched, with all that lies below them.
#[derive(Debug)]
pub struct Watch {
    events: OwnedFd,
    roots: Vec<Watched>,
    /// By the number of the watch: which root it belongs to, and its path.
    folders: HashMap<i32, (usize, PathBuf)>,
}

impl Watch {
    /// Folders that one watches at most.
    pub const FOLDERS_MAX: usize = FOLDERS_MAX;

    /// Watches folders from now on.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn below(roots: Vec<Watched>) -> Result<Self, WatchError> {
        let first = roots.first().map(|first| first.root.clone()).unwrap_or_default();
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|errno| match errno {
            Errno::MFILE => WatchError::Limit { sysctl: "fs.inotify.max_user_instances" },
            errno => WatchError::Refused { folder: first.clone(), source: errno.into() },
        })?;
        let begin: Vec<(usize, PathBuf)> = roots.iter().map(|watched| watched.root.clone()).enumerate().collect();
        let mut watch = Self { events, roots, folders: HashMap::new() };
        for (root, folder) in begin {
            watch.add(root, folder)?;
        }
        if watch.folders.is_empty() {
            return Err(WatchError::Refused { folder: first, source: io::ErrorKind::NotFound.into() });
        }
        Ok(watch)
    }

    /// Watches a folder and those below it.
    fn add(&mut self, root: usize, folder: PathBuf) -> Result<(), WatchError> {
        let changes = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        let mut waiting = vec![folder];
        while let Some(folder) = waiting.pop() {
            if self.folders.len() >= FOLDERS_MAX {
                return Err(WatchError::TooMany { folders_max: FOLDERS_MAX });
            }
            match inotify::add_watch(&self.events, &folder, changes) {
                Ok(number) => drop(self.folders.insert(number, (root, folder.clone()))),
                Err(Errno::NOSPC) => return Err(WatchError::Limit { sysctl: "fs.inotify.max_user_watches" }),
                // Gone by now, no folder any more, or for others: whoever backs up reports it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => continue,
                Err(errno) => return Err(WatchError::Refused { folder, source: errno.into() }),
            }
            // After it is watched, so that nothing comes in between.
            waiting.extend(self.roots.get(root).map(|root| root.folders_in(&folder)).unwrap_or_default());
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
            let (flags, number) = (event.events(), event.wd());
            let is_folder = flags.contains(ReadFlags::ISDIR);
            let about = event
                .file_name()
                .zip(self.folders.get(&number))
                .map(|(name, (root, folder))| (*root, folder.join(std::ffi::OsStr::from_bytes(name.to_bytes()))));
            let leaves_out = |(root, path): &(usize, PathBuf)| {
                self.roots.get(*root).is_some_and(|root| root.leaves_out(path, is_folder))
            };
            if about.as_ref().is_some_and(leaves_out) {
                continue;
            }
            has_changed = true;
            if flags.contains(ReadFlags::IGNORED) {
                gone.push(number);
            }
            if is_folder && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                came.extend(about);
            }
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                // Folders may have come of which nobody heard.
                came.extend(self.folders.values().cloned());
            }
        }
        for number in gone {
            self.folders.remove(&number);
        }
        came.into_iter().try_for_each(|(root, folder)| self.add(root, folder))?;
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
        watched_but_for(&[])
    }

    fn watched_but_for(leaving_out: &[&str]) -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let leaving_out = Patterns::new(leaving_out).unwrap();
        let watch = Watch::below(vec![Watched { root: folder.path().to_owned(), leaving_out }]).unwrap();
        (folder, watch)
    }

    #[test]
    fn what_is_left_out_is_no_change_and_its_folders_take_no_watch() {
        let (folder, mut watch) = watched_but_for(&["*.tmp", "target/"]);
        assert_eq!(watch.folders.len(), 3);
        fs::write(folder.path().join("a/b/draft.tmp"), "dear").unwrap();
        fs::create_dir_all(folder.path().join("a/target/debug")).unwrap();
        fs::write(folder.path().join("a/target/debug/program"), "dear").unwrap();
        assert!(!watch.take().unwrap());
        assert_eq!(watch.folders.len(), 3);
        fs::rename(folder.path().join("a/b/draft.tmp"), folder.path().join("a/b/letter")).unwrap();
        assert!(watch.take().unwrap(), "it came to what is kept");
        assert_eq!(watch.roots[0].count(), 3);
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
        assert!(!watch.folders.values().any(|(_, known)| known.ends_with("a/b")), "what is gone is forgotten");
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
        let root = folder.path().join("none");
        let refused = Watch::below(vec![Watched { root, leaving_out: Patterns::default() }]);
        assert!(matches!(refused, Err(WatchError::Refused { .. })), "{refused:?}");
    }
}
