//! What lies below a folder that a measurement made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The bytes of all files below a folder.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64> {
    files_below(folder)?.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
}

/// All files below a folder, in the order of names, so that they come alike each time.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut items = fs::read_dir(folder)?.map(|item| Ok(item?.path())).collect::<Result<Vec<_>>>()?;
    items.sort();
    let mut files = Vec::new();
    for path in items {
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            files.extend(files_below(&path)?);
        } else if metadata.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}
