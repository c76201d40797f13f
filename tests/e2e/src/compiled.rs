//! What components compile to, once for the whole suite: hundreds of users would otherwise wait for the same code of the same connectors.
//!
//! Owned here: the copies between a user's cache and the folder of the suite. Which code is right for which component only the sandbox decides:
//! it is found by the hash of both and of the compiler's settings. Called by [`Credenza`](crate::Credenza) before its first run and after each.

use anyhow::{Context, Result};
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::workspace;

/// The folder of the suite, which the tests of the sandbox use as well.
fn shared() -> PathBuf {
    workspace().join("target/tmp/compiled")
}

/// Puts what the suite has compiled into the folder `compiled` of a user.
///
/// # Errors
/// When that cannot be made.
pub(crate) fn lend(compiled: &Path) -> Result<()> {
    copy(&shared(), compiled)
}

/// Keeps for the suite what a user has compiled.
///
/// # Errors
/// When it cannot be kept.
pub(crate) fn keep(compiled: &Path) -> Result<()> {
    copy(compiled, &shared())
}

/// Copies what is missing there. A file appears whole or not at all, because others look for it at the same moment.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let Ok(versions) = fs::read_dir(from.join("modules")) else { return Ok(()) };
    for version in versions {
        let version = version?;
        let folder = to.join("modules").join(version.file_name());
        let Ok(files) = fs::read_dir(version.path()) else { continue };
        for file in files {
            let file = file?;
            let target = folder.join(file.file_name());
            // What has an extension is a count of uses, or half written.
            if Path::new(&file.file_name()).extension().is_some() || target.exists() {
                continue;
            }
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            place(&file.path(), &target).with_context(|| format!("cannot place {}", target.display()))?;
        }
    }
    Ok(())
}

/// By a link where both are on one file system: nobody writes into such a file, a new one takes its name.
fn place(file: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(file, target) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let partial = tempfile::NamedTempFile::with_prefix_in("copy.", target.parent().unwrap_or(target))?;
            fs::copy(file, partial.path())?;
            partial.persist(target).map(drop).map_err(|refused| refused.error)
        }
        // Placed by another, or removed by the owner, in the meantime.
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Ok(()),
        done => done,
    }
}
