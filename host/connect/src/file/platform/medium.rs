//! What file systems do in different ways: giving a file a name that must be free, and making what was done durable.
//!
//! Owned here: the best means that there is, and which was refused, so that it can be reported. Called by the store and the destination.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, RenameFlags, fsync, linkat, renameat, renameat_with, syncfs, unlinkat};
use rustix::io::Errno;

use super::status::status_of;

/// A name in an open folder.
#[derive(Debug, Clone, Copy)]
pub(in crate::file) struct At<'a> {
    pub(in crate::file) folder: BorrowedFd<'a>,
    pub(in crate::file) name: &'a [u8],
}

/// System calls that a file system may lack.
pub(in crate::file) trait Calls: fmt::Debug + Send + Sync {
    /// Renames unless the new name is taken (renameat2(2), `RENAME_NOREPLACE`); network file systems lack it.
    fn rename_new(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
        renameat_with(from.folder, from.name, to.folder, to.name, RenameFlags::NOREPLACE)
    }

    /// Makes a hard link; FAT and many mounted drives lack it.
    fn link(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
        linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty())
    }

    /// Makes the names in a folder durable; CIFS and many FUSE file systems lack it.
    fn sync_folder(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        fsync(folder)
    }

    /// Makes all of a file system durable.
    fn sync_file_system(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        syncfs(folder)
    }
}

/// The system's own calls.
#[derive(Debug)]
struct Linux;

impl Calls for Linux {}

/// The file system below a store or a destination, and what it was found to lack.
#[derive(Debug)]
pub(in crate::file) struct Medium {
    calls: Box<dyn Calls>,
    replaces: AtomicBool,
    forgets: AtomicBool,
}

impl Medium {
    pub(in crate::file) fn new() -> Self {
        Self::of(Box::new(Linux))
    }

    pub(in crate::file) fn of(calls: Box<dyn Calls>) -> Self {
        Self { calls, replaces: AtomicBool::new(false), forgets: AtomicBool::new(false) }
    }

    /// Gives a file a name, unless that is taken: by a rename that refuses, else by a hard link, else after a look.
    ///
    /// # Errors
    /// `EXIST` when the name is taken.
    pub(in crate::file) fn name_new(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
        match self.calls.rename_new(from, to) {
            Err(cause) if is_lacking(cause) => {}
            named => return named,
        }
        match self.calls.link(from, to) {
            Ok(()) => return unlinkat(from.folder, from.name, AtFlags::empty()),
            // A network file system that lost the answer is asked again by the kernel, and finds the link it made.
            Err(Errno::EXIST) if is_same_file(from, to) => {
                return unlinkat(from.folder, from.name, AtFlags::empty());
            }
            Err(cause) if is_lacking(cause) => {}
            Err(cause) => return Err(cause),
        }
        match status_of(to.folder, to.name) {
            Err(Errno::NOENT) => renameat(from.folder, from.name, to.folder, to.name)?,
            Ok(_) => return Err(Errno::EXIST),
            Err(cause) => return Err(cause),
        }
        self.replaces.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives a file a further name; `false` where the file system knows no such thing, or the two are on different ones.
    ///
    /// # Errors
    /// `EXIST` when the name is taken.
    pub(in crate::file) fn link(&self, from: At<'_>, to: At<'_>) -> Result<bool, Errno> {
        match self.calls.link(from, to) {
            Err(cause) if is_lacking(cause) || cause == Errno::XDEV => Ok(false),
            linked => linked.map(|()| true),
        }
    }

    /// Makes the names in a folder durable: by syncing it, else by syncing its file system, else not at all.
    ///
    /// # Errors
    /// When the medium fails. That a file system cannot sync is no error: it is [told](Self::lacks).
    pub(in crate::file) fn sync_folder(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        let cause = match self.calls.sync_folder(folder) {
            Err(cause) if is_lacking(cause) => cause,
            synced => return synced,
        };
        self.forgets.store(true, Ordering::Relaxed);
        match self.calls.sync_file_system(folder) {
            Err(refused) if is_lacking(refused) && cause != Errno::IO && refused != Errno::IO => Ok(()),
            // A folder that fails to sync on a medium that fails otherwise too is not one of a kind that cannot.
            Err(_) if cause == Errno::IO => Err(cause),
            synced => synced,
        }
    }

    /// Makes all of a folder's file system durable; all of them, where one cannot be by itself.
    ///
    /// # Errors
    /// When bytes were lost on the way to the medium.
    pub(in crate::file) fn sync_file_system(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.calls.sync_file_system(folder) {
            Err(cause) if is_lacking(cause) && cause != Errno::IO => {
                sync_everything();
                Ok(())
            }
            synced => synced,
        }
    }

    /// Whether a name was given after a look, so that two at the same moment may both have got it.
    pub(in crate::file) fn replaces(&self) -> bool {
        self.replaces.load(Ordering::Relaxed)
    }

    /// Whether folders could not be synced.
    pub(in crate::file) fn forgets(&self) -> bool {
        self.forgets.load(Ordering::Relaxed)
    }
}

/// Makes all file systems durable.
pub(in crate::file) fn sync_everything() {
    rustix::fs::sync();
}

/// Answers of file systems, and of filters before them, to what they cannot do; some say `EIO` to all of it.
fn is_lacking(cause: Errno) -> bool {
    matches!(cause, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK | Errno::IO)
}

fn is_same_file(one: At<'_>, other: At<'_>) -> bool {
    let identity = |at: At<'_>| Some(status_of(at.folder, at.name).ok()?.identity());
    identity(one).is_some_and(|found| Some(found) == identity(other))
}

#[cfg(test)]
pub(in crate::file) mod testing {
    //! A medium that lacks calls, and counts.

    use std::sync::{Arc, Mutex};

    use super::*;

    /// What the calls that are named here answer.
    #[derive(Debug, Default, Clone)]
    pub(in crate::file) struct Lacking {
        pub(in crate::file) rename_new: Option<Errno>,
        pub(in crate::file) link: Option<Errno>,
        pub(in crate::file) sync_folder: Option<Errno>,
        pub(in crate::file) sync_file_system: Option<Errno>,
        /// Inodes of folders that were synced, and 0 for each file system.
        pub(in crate::file) synced: Arc<Mutex<Vec<u64>>>,
    }

    impl Lacking {
        fn note(&self, inode: u64) {
            self.synced.lock().unwrap().push(inode);
        }
    }

    impl Calls for Lacking {
        fn rename_new(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
            self.rename_new.map_or_else(|| Linux.rename_new(from, to), Err)
        }

        fn link(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
            self.link.map_or_else(|| Linux.link(from, to), Err)
        }

        fn sync_folder(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
            self.note(status_of(folder, b"")?.inode);
            self.sync_folder.map_or_else(|| Linux.sync_folder(folder), Err)
        }

        fn sync_file_system(&self, _: BorrowedFd<'_>) -> Result<(), Errno> {
            self.note(0);
            self.sync_file_system.map_or(Ok(()), Err)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::testing::Lacking;
    use super::*;

    fn medium(lacking: &Lacking) -> Medium {
        Medium::of(Box::new(lacking.clone()))
    }

    #[test]
    fn a_name_is_given_once_by_whatever_means_there_is() {
        let refusals = [Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP, Errno::IO, Errno::INVAL];
        let both = refusals.map(|cause| (Some(Errno::INVAL), Some(cause)));
        for (rename_new, link) in [(None, None), (Some(Errno::INVAL), None)].into_iter().chain(both) {
            let folder = tempfile::tempdir().unwrap();
            let open = fs::File::open(folder.path()).unwrap();
            let at = |name| At { folder: open.as_fd(), name };
            fs::write(folder.path().join("one"), "1").unwrap();
            fs::write(folder.path().join("two"), "2").unwrap();
            let medium = medium(&Lacking { rename_new, link, ..Lacking::default() });
            medium.name_new(at(b"one"), at(b"name")).unwrap();
            assert_eq!(medium.name_new(at(b"two"), at(b"name")), Err(Errno::EXIST), "{rename_new:?} {link:?}");
            assert_eq!(fs::read_to_string(folder.path().join("name")).unwrap(), "1");
            assert!(!folder.path().join("one").exists());
            assert_eq!(medium.replaces(), link.is_some());
        }
    }

    #[test]
    fn a_link_whose_answer_was_lost_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let open = fs::File::open(folder.path()).unwrap();
        fs::write(folder.path().join("one"), "1").unwrap();
        fs::hard_link(folder.path().join("one"), folder.path().join("name")).unwrap();
        let medium =
            medium(&Lacking { rename_new: Some(Errno::INVAL), link: Some(Errno::EXIST), ..Lacking::default() });
        let at = |name| At { folder: open.as_fd(), name };
        assert_eq!(medium.name_new(at(b"one"), at(b"name")), Ok(()));
        assert!(!folder.path().join("one").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_told_and_a_medium_that_fails_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let open = fs::File::open(folder.path()).unwrap();
        let synced = |sync_folder, sync_file_system| {
            let medium = medium(&Lacking { sync_folder, sync_file_system, ..Lacking::default() });
            (medium.sync_folder(open.as_fd()), medium.forgets())
        };
        assert_eq!(synced(None, None), (Ok(()), false));
        for cause in [Errno::INVAL, Errno::OPNOTSUPP, Errno::IO] {
            assert_eq!(synced(Some(cause), None), (Ok(()), true), "{cause}");
        }
        assert_eq!(synced(Some(Errno::INVAL), Some(Errno::NOSYS)), (Ok(()), true));
        for (folder, file_system) in [(Errno::IO, Errno::NOSYS), (Errno::IO, Errno::IO), (Errno::INVAL, Errno::IO)] {
            assert_eq!(synced(Some(folder), Some(file_system)).0, Err(Errno::IO));
        }
        assert_eq!(synced(Some(Errno::NOSPC), None).0, Err(Errno::NOSPC));
        let whole = |cause| {
            let medium = medium(&Lacking { sync_file_system: Some(cause), ..Lacking::default() });
            medium.sync_file_system(open.as_fd())
        };
        assert_eq!((whole(Errno::NOSYS), whole(Errno::IO)), (Ok(()), Err(Errno::IO)));
    }
}
