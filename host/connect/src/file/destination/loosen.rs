//! Folders that are written in although their own mode keeps their owner out, as a restore before may have left them.
//!
//! Owned here: giving the owner all rights for the time being, and the mode that each had before. A folder that is restored itself gets its
//! mode from the snapshot at the end; any other gets its own back. Bound: [`FOLDERS_MAX`] paths; more folders stay closed, and what should
//! have gone into them is reported. Called by `tree`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::platform::posix::{Errno, Mode, OFlags, chmod, fchmod};
use super::super::platform::{PLACE, descriptor_path, open_beneath};
use super::place::Folder;

/// Folders that are open at a time.
const FOLDERS_MAX: usize = 1 << 16;

/// Modes by the path of the folder, those that they had.
#[derive(Debug, Default)]
pub(super) struct Loosened {
    modes: Mutex<BTreeMap<Vec<u8>, Mode>>,
}

impl Loosened {
    /// Lets the owner write in a folder, if its mode does not.
    pub(super) fn loosen(&self, folder: &Folder) -> Result<(), Errno> {
        let Some(mode) = folder.forbids else { return Ok(()) };
        let mut modes = self.modes();
        if !modes.contains_key(&folder.path) {
            if modes.len() >= FOLDERS_MAX {
                return Err(Errno::ACCESS);
            }
            fchmod(&folder.descriptor, mode | Mode::RWXU)?;
            modes.insert(folder.path.clone(), mode);
        }
        Ok(())
    }

    /// Nothing more is written in a folder; it gets its mode back unless it has another by now.
    pub(super) fn settle(&self, folder: &Folder, has_mode: bool) {
        if let Some(mode) = self.modes().remove(&folder.path)
            && !has_mode
        {
            let _ = fchmod(&folder.descriptor, mode);
        }
    }

    /// Gives all folders that are left their modes back, the innermost first: those above may close the way.
    pub(super) fn settle_all(&self, root: &Folder) {
        for (path, mode) in std::mem::take(&mut *self.modes()).into_iter().rev() {
            let folder = open_beneath(root.descriptor.as_fd(), &path, PLACE | OFlags::DIRECTORY);
            let _ = folder.and_then(|folder| chmod(descriptor_path(&folder), mode));
        }
    }

    fn modes(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Mode>> {
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
