//! The file of the configuration on disk: private to its owner, replaced whole, changed by one process at a time.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, TomlError};
use zeroize::Zeroizing;

use super::ConfigurationError;

pub(super) const NAME: &str = "config.toml";
/// Thousands of places; far below what would hurt.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The text of the file; empty when there is none.
fn read(path: &Path) -> Result<Zeroizing<String>, ConfigurationError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Zeroizing::default()),
        Err(error) => return Err(failed(path, "opened")(error)),
    };
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let bytes = file.metadata().map_or(0, |found| found.len()).min(FILE_BYTES_MAX).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(bytes).unwrap_or(0)));
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed(path, "read"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigurationError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(text)
}

/// The text of the file as TOML; empty when there is none.
pub(crate) fn read_document(path: &Path) -> Result<DocumentMut, ConfigurationError> {
    let text = read(path)?;
    text.parse().map_err(|error: TomlError| ConfigurationError::Syntax {
        path: path.to_owned(),
        line: line_of(&text, error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    })
}

/// From 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Replaces the file: what a crash leaves behind is the old text or the new one.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), ConfigurationError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let replace = || -> io::Result<()> {
        // Temporary files are created 0600.
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|error| error.error)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        File::open(folder)?.sync_all()
    };
    replace().map_err(failed(path, "written"))
}

/// Creates the folder if need be and holds it against other processes until the answer is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File, ConfigurationError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder, "created"))?;
    let held = File::open(folder).map_err(failed(folder, "opened"))?;
    held.lock().map_err(failed(folder, "locked"))?;
    Ok(held)
}

pub(super) fn is_readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

/// The file or its folder, where others than this user and the system's own can change it, and with it what is in the file. In a folder
/// like `/tmp` nobody can exchange the file of another.
pub(crate) fn writable_by_others(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    [(path, false), (folder, true)]
        .into_iter()
        .find(|(path, is_folder)| is_open(path, *is_folder))
        .map(|(path, _)| path.to_owned())
}

fn is_open(path: &Path, is_folder: bool) -> bool {
    let Ok(found) = fs::metadata(path) else { return false };
    let is_foreign = ![0, rustix::process::geteuid().as_raw()].contains(&found.uid());
    let is_sticky = is_folder && found.mode() & 0o1000 != 0;
    is_foreign || found.mode() & 0o022 != 0 && !is_sticky
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> ConfigurationError {
    let path = path.to_owned();
    move |source| ConfigurationError::File { path, doing, source }
}
