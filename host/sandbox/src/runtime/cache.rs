//! The folder of compiled components: ours alone, because what is in it is run.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// Size at which wasmtime removes what was used least; a connector takes about 1 MB.
const CACHE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A folder that cannot hold compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("the folder for compiled connectors {} cannot be used: {cause}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Others could put code there that we would run.
    #[error("the folder for compiled connectors {} {}; remove it or choose another", path.display(), why)]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// wasmtime refuses it.
    #[error("the folder for compiled connectors {} cannot be used: {cause}", path.display())]
    Wasmtime {
        /// The folder.
        path: PathBuf,
        /// What it says.
        cause: String,
    },
}

/// Makes the folder when it is missing, refuses it when it is not ours alone, and opens the cache in it.
pub(crate) fn open(dir: &Path) -> Result<Cache, CacheError> {
    let failed = |cause: io::Error| CacheError::Io { path: dir.to_owned(), cause };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let found = dir.symlink_metadata().map_err(failed)?;
    if let Some(why) = objection(&found) {
        return Err(CacheError::Unsafe { path: dir.to_owned(), why });
    }
    let dir = dir.canonicalize().map_err(failed)?;
    let mut config = CacheConfig::new();
    config.with_directory(dir.clone()).with_files_total_size_soft_limit(CACHE_BYTES_MAX);
    Cache::new(config).map_err(|e| CacheError::Wasmtime { path: dir, cause: format!("{e:#}") })
}

fn objection(found: &Metadata) -> Option<&'static str> {
    if !found.is_dir() {
        Some("is not a folder")
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        Some("belongs to another user")
    } else if found.mode() & 0o022 != 0 {
        Some("can be written to by other users")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_folder_is_ours_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("compiled");
        open(&dir).unwrap();
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_can_write_to_or_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let open_to_all = root.path().join("open");
        std::fs::create_dir(&open_to_all).unwrap();
        set_permissions(&open_to_all, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(open(&open_to_all), Err(CacheError::Unsafe { .. })));
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        assert!(open(&link).is_err());
    }
}
