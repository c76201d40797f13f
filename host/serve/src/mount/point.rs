//! Whether something can be mounted on a folder, and making room where a mount of a program that is gone is left.
//!
//! Called by `Mount::start`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{UnmountFlags, unmount};

use crate::{Error, Result};

/// What the kernel calls the device that is mounted, and the kind of file system behind `fuse`.
pub(super) const NAME: &str = "credenza";
const DEVICE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
const MOUNTS: &str = "/proc/self/mountinfo";

/// The folder as the kernel names it, once nothing stands against mounting there.
pub(super) fn prepare(path: &Path, repository: Option<&Path>) -> Result<PathBuf> {
    let no_folder = |source| Error::NoFolder { path: path.to_owned(), source };
    if !Path::new(DEVICE).exists() {
        return Err(Error::NoDevice);
    }
    let absolute = std::path::absolute(path).map_err(no_folder)?;
    // A mount whose program is gone answers nothing, not even what it is.
    let status = fs::metadata(path);
    if mounted_on(&absolute).is_some_and(|mount| mount.is_ours())
        && matches!(&status, Err(error) if is_left_behind(error))
    {
        detach(&absolute).map_err(|source| Error::Refused { path: absolute.clone(), source })?;
    } else if !status.map_err(no_folder)?.is_dir() {
        return Err(no_folder(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let real = fs::canonicalize(path).map_err(no_folder)?;
    if let Some(mount) = mounted_on(&real) {
        return Err(Error::Occupied { path: real, what: mount.kind });
    }
    if let Some(repository) = repository {
        let repository = fs::canonicalize(repository).unwrap_or_else(|_| repository.to_owned());
        if real.starts_with(&repository) || repository.starts_with(&real) {
            return Err(Error::OverRepository { path: real, repository });
        }
    }
    if !rustix::process::geteuid().is_root() && !helper_is_there() {
        return Err(Error::NoHelper);
    }
    Ok(real)
}

/// Takes a mount from the tree of files, also where programs have files of it open.
pub(super) fn detach(path: &Path) -> io::Result<()> {
    match unmount(path, UnmountFlags::DETACH) {
        // Users unmount by the program by which they mount.
        Err(rustix::io::Errno::PERM) => {
            let mut helper = Command::new(HELPER);
            let ended = helper.args(["-u", "-q", "-z", "--"]).arg(path).stdin(Stdio::null()).status()?;
            if ended.success() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
        }
        // Nothing is mounted there any more.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

fn is_left_behind(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotConnected
}

fn helper_is_there() -> bool {
    let mut helper = Command::new(HELPER);
    helper.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    helper.status().is_ok()
}

/// What is mounted on a folder.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    kind: String,
    device: String,
}

impl Mounted {
    fn is_ours(&self) -> bool {
        self.kind.starts_with("fuse") && self.device == NAME
    }
}

/// What is mounted on exactly that folder, of several the last.
fn mounted_on(path: &Path) -> Option<Mounted> {
    let mounts = fs::read_to_string(MOUNTS).ok()?;
    last_mount(&mounts, path)
}

/// See proc(5) on `mountinfo`: the fifth field is the mount point; behind a field of its own that is a dash stand kind and device.
fn last_mount(mounts: &str, path: &Path) -> Option<Mounted> {
    let path = escaped(path);
    let mut lines = mounts.lines().rev().filter_map(|line| line.split_once(" - "));
    let (_, behind) = lines.find(|(before, _)| before.split(' ').nth(4) == Some(&path))?;
    let mut fields = behind.split(' ').map(str::to_owned);
    Some(Mounted { kind: fields.next()?, device: fields.next()? })
}

/// A path as the kernel writes it there: what separates fields and lines is octal.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for character in path.to_string_lossy().chars() {
        match character {
            ' ' | '\t' | '\n' | '\\' => text.push_str(&format!("\\{:03o}", u32::from(character))),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw\n\
        37 36 0:50 / /mnt/my\\040files ro,nosuid - fuse.credenza credenza ro,user_id=0\n\
        38 36 0:51 / /mnt/my\\040files rw - tmpfs tmpfs rw\n\
        39 36 0:52 / /mnt/a ro - fuse credenza ro,user_id=0\n\
        40 36 0:53 / /mnt/b rw - fuse.sshfs host: rw\n";

    #[test]
    fn the_last_mount_on_exactly_a_folder_counts() {
        let kind = |path: &str| last_mount(LINES, Path::new(path)).map(|mount| mount.kind);
        assert_eq!(kind("/mnt").as_deref(), Some("ext3"));
        assert_eq!(kind("/mnt/my files").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/mnt/my"), None);
        let ours = ["/mnt/a", "/mnt/b"].map(|path| last_mount(LINES, Path::new(path)).unwrap().is_ours());
        assert_eq!(ours, [true, false]);
    }

    #[test]
    fn a_file_and_a_missing_folder_are_refused_before_the_kernel_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file, folder.path().join("missing")] {
            let refused = prepare(&path, None);
            assert!(matches!(refused, Err(Error::NoFolder { .. } | Error::NoDevice)), "{refused:?}");
        }
    }

    #[test]
    fn a_folder_in_or_around_the_repository_is_refused() {
        if !Path::new(DEVICE).exists() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        fs::create_dir_all(repository.join("data")).unwrap();
        for path in [&repository, &repository.join("data"), &folder.path().to_owned()] {
            let refused = prepare(path, Some(&repository));
            assert!(matches!(refused, Err(Error::OverRepository { .. })), "{refused:?}");
        }
    }
}
