//! Opening a path below a folder without ever following a symbolic link or leaving the folder.
//!
//! Owned here: the ways of opening, and paths that lead to what is open. Called by the source for reading, by the walk to come back to a folder
//! it had closed, and by the store for everything.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::status::{Status, status_of};

/// Opens a folder for listing and syncing, never through a link.
pub(in crate::file) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Names what has a path without opening it: no pipe waits, no device acts, and no right to read is needed.
pub(in crate::file) const PLACE: OFlags = OFlags::PATH;
/// Leaves the time of the last access as it is, which is the privilege of a file's owner: `PERM` to others.
pub(in crate::file) const NO_TRACE: OFlags = OFlags::NOATIME;
/// Where the kernel shows a process its open files (proc(5)).
const DESCRIPTORS: &str = "/proc/self/fd";

/// Longest path that one system call takes, its final NUL included (path_resolution(7)).
const PATH_BYTES_MAX: usize = 4096;

/// Set once the kernel, or a filter before it, has refused `openat2`.
static OPENAT2_REFUSED: AtomicBool = AtomicBool::new(false);

/// Opens `path`, segments with `/` between them and perhaps one at the end, below `base`; the empty path is `base` itself.
///
/// # Errors
/// `NOENT` for a path with an empty, `.` or `..` segment or a NUL; `LOOP` or `NOTDIR` where a segment is a link.
pub(in crate::file) fn open_beneath(base: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // A descriptor that only names a place takes no flags of reading.
    let flags = if flags.contains(OFlags::PATH) { flags } else { flags | OFlags::NOCTTY };
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path.is_empty() {
        return openat(base, ".", flags, Mode::empty());
    }
    if !path.split(|byte| *byte == b'/').all(is_plain_segment) {
        return Err(Errno::NOENT);
    }
    if path.len() < PATH_BYTES_MAX && !OPENAT2_REFUSED.load(Ordering::Relaxed) {
        match openat2(base, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOSYS) => OPENAT2_REFUSED.store(true, Ordering::Relaxed),
            // So the kernel calls a link where a folder is wanted, too; the slow way tells which it was.
            Err(Errno::NOTDIR) => {}
            // Some container filters answer PERM for calls they do not know; the slow way tells which it was.
            Err(Errno::PERM) if !flags.contains(OFlags::NOATIME) => {}
            other => return other,
        }
    }
    open_by_segments(base, path, flags)
}

/// Opens the regular file at `path` for reading, with its status. Nothing else is ever opened: opening a pipe may wait, opening a device may act.
///
/// # Errors
/// `NOENT` where something else has the name, `LOOP` where a link is on the way or at its end.
pub(in crate::file) fn open_regular(base: BorrowedFd<'_>, path: &[u8]) -> Result<(OwnedFd, Status), Errno> {
    let place = open_beneath(base, path, OFlags::PATH)?;
    require_regular(&place)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = match openat(CWD, descriptor_path(&place), flags | OFlags::CLOEXEC, Mode::empty()) {
        // Without /proc the name is opened again; what came between is refused below, and NONBLOCK keeps a pipe from waiting.
        Err(Errno::NOENT) => open_beneath(base, path, flags)?,
        opened => opened?,
    };
    let status = require_regular(&file)?;
    Ok((file, status))
}

fn require_regular(file: &OwnedFd) -> Result<Status, Errno> {
    let status = status_of(file.as_fd(), b"")?;
    match status.kind {
        FileType::RegularFile => Ok(status),
        FileType::Symlink => Err(Errno::LOOP),
        _ => Err(Errno::NOENT),
    }
}

/// The descriptor's own path: calls on it reach the very file, whatever has its name by now (proc(5)).
pub(in crate::file) fn descriptor_path(file: &impl AsFd) -> String {
    format!("{DESCRIPTORS}/{}", file.as_fd().as_raw_fd())
}

/// A path to a name in an open folder for calls that know no folder descriptor; `.` is the folder itself.
///
/// The kernel resolves it from the open folder, so a path that is being moved or replaced cannot lead elsewhere (proc(5)).
pub(in crate::file) fn path_through(folder: &impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("{DESCRIPTORS}/{}/", folder.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// What the system should have for paths to what is open, and has not: then there is no way to extended attributes.
pub(in crate::file) fn missing() -> Option<&'static str> {
    (!Path::new(DESCRIPTORS).exists()).then_some(DESCRIPTORS)
}

/// Whether these bytes name exactly one thing within a folder.
pub(in crate::file) fn is_plain_segment(segment: &[u8]) -> bool {
    !matches!(segment, b"" | b"." | b"..") && !segment.contains(&0) && !segment.contains(&b'/')
}

fn open_by_segments(base: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder: Option<OwnedFd> = None;
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let at = folder.as_ref().map_or(base, AsFd::as_fd);
        let wanted = if segments.peek().is_some() { step } else { flags };
        folder = Some(openat(at, segment, wanted, Mode::empty()).map_err(|cause| reported(cause, at, segment))?);
    }
    folder.ok_or(Errno::NOENT)
}

/// A link where a folder was wanted is reported as one, as `openat2` does.
fn reported(cause: Errno, folder: BorrowedFd<'_>, name: &[u8]) -> Errno {
    let is_link = || status_of(folder, name).is_ok_and(|status| status.kind == FileType::Symlink);
    if cause == Errno::NOTDIR && is_link() { Errno::LOOP } else { cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_links_nor_dots_lead_out_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("inside");
        std::fs::create_dir_all(inside.join("real")).unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::fs::write(inside.join("real/file"), "f").unwrap();
        std::os::unix::fs::symlink("real", inside.join("link")).unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("out")).unwrap();
        let base = std::fs::File::open(&inside).unwrap();
        for opener in [open_beneath, |base: BorrowedFd<'_>, path: &[u8], flags| {
            open_by_segments(base, path, flags | OFlags::NOFOLLOW)
        }] {
            assert!(opener(base.as_fd(), b"real/file", OFlags::RDONLY).is_ok());
            let folder = |path| opener(base.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY).unwrap_err();
            assert_eq!((folder(b"link"), folder(b"real/file")), (Errno::LOOP, Errno::NOTDIR));
            for (path, cause) in
                [(&b"link/file"[..], Errno::LOOP), (b"out", Errno::LOOP), (b"real/missing", Errno::NOENT)]
            {
                let refused = opener(base.as_fd(), path, OFlags::RDONLY).unwrap_err();
                assert_eq!(refused, cause, "{}", path.escape_ascii());
            }
        }
        for path in [&b"../secret"[..], b"real/../../secret", b"real//file", b"/etc/passwd", b"a\0b"] {
            assert_eq!(open_beneath(base.as_fd(), path, OFlags::RDONLY).unwrap_err(), Errno::NOENT);
        }
    }
}
