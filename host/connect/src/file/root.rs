//! Where a source of files begins: what the user's own path leads to, and the path by which its history goes.
//!
//! Owned here: the one place where links are followed, because a person has named them. Called by the source.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::NO_ROOT;
use super::cause::from_io;
use super::platform::posix::{CWD, Mode, OFlags, openat};
use super::platform::{PLACE, missing};
use crate::{Error, ErrorClass, Result};

/// Where a source begins.
#[derive(Debug)]
pub(super) struct Root {
    /// The folder that keys are relative to.
    pub(super) folder: OwnedFd,
    /// Set when the source is one file in that folder.
    pub(super) only: Option<Only>,
}

/// The one file of a source.
#[derive(Debug)]
pub(super) struct Only {
    /// Its key: the name that the user gave.
    pub(super) key: Vec<u8>,
    /// Its name in the folder, another one where the user's is a link.
    pub(super) name: Vec<u8>,
}

impl Root {
    /// Opens what a path leads to, through links.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] when nothing is there, or the cause.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if let Some(missing) = missing() {
            tracing::warn!("{missing} is missing, so extended attributes are not backed up");
        }
        let failed = |e: std::io::Error| unopened(path, &e);
        let folder = |path: &Path, flags| {
            let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, path, flags, Mode::empty()).map_err(|e| failed(e.into()))
        };
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            return Ok(Self { folder: folder(path, OFlags::RDONLY)?, only: None });
        }
        let real = std::fs::canonicalize(path).map_err(failed)?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(failed(std::io::ErrorKind::InvalidInput.into()));
        };
        let key = path.file_name().unwrap_or(name).as_bytes().to_vec();
        // A single file's folder need not be readable, only passable.
        Ok(Self { folder: folder(parent, PLACE)?, only: Some(Only { key, name: name.as_bytes().to_vec() }) })
    }
}

fn unopened(path: &Path, cause: &std::io::Error) -> Error {
    let mut error = from_io("cannot open the source", path.display(), cause);
    if error.class == ErrorClass::NotFound {
        error.class = ErrorClass::Configuration;
        NO_ROOT.clone_into(&mut error.reason);
        if let Ok(target) = std::fs::read_link(path) {
            error.message = format!("`{}` is a link to `{}`, and nothing is there", path.display(), target.display());
        }
    }
    error
}

/// The one spelling of an absolute path: without `.`, `..`, doubled and trailing slashes, and with no link above the last name. The last
/// may be one: who names a link that points elsewhere each day means one source. What cannot be found keeps its spelling.
pub(super) fn one_spelling(path: &Path) -> PathBuf {
    let plain: PathBuf = path.components().collect();
    let real = match (plain.parent(), plain.file_name()) {
        (Some(parent), Some(name)) => std::fs::canonicalize(parent).map(|parent| parent.join(name)),
        _ => std::fs::canonicalize(&plain),
    };
    real.unwrap_or(plain)
}
