//! Opening a path below a folder without ever following a symbolic link or leaving the folder.
//!
//! Called by the source for reading and by the walk to come back to a folder it had closed.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Longest path that one system call takes, its final NUL included (path_resolution(7)).
const PATH_BYTES_MAX: usize = 4096;

/// Set once the kernel, or a filter before it, has refused `openat2`.
static OPENAT2_REFUSED: AtomicBool = AtomicBool::new(false);

/// Opens `path`, segments with `/` between them and perhaps one at the end, below `base`; the empty path is `base` itself.
///
/// # Errors
/// `NOENT` for a path with an empty, `.` or `..` segment or a NUL; `LOOP` or `NOTDIR` where a segment is a link.
pub(super) fn open_beneath(base: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
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
            // Some container filters answer PERM for calls they do not know; the slow way tells which it was.
            Err(Errno::PERM) if !flags.contains(OFlags::NOATIME) => {}
            other => return other,
        }
    }
    open_by_segments(base, path, flags)
}

/// Whether these bytes name exactly one thing within a folder.
pub(super) fn is_plain_segment(segment: &[u8]) -> bool {
    !matches!(segment, b"" | b"." | b"..") && !segment.contains(&0) && !segment.contains(&b'/')
}

fn open_by_segments(base: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder: Option<OwnedFd> = None;
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let at = folder.as_ref().map_or(base, AsFd::as_fd);
        let wanted = if segments.peek().is_some() { step } else { flags };
        folder = Some(openat(at, segment, wanted, Mode::empty())?);
    }
    folder.ok_or(Errno::NOENT)
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
            for path in [&b"link/file"[..], b"out", b"real/missing"] {
                assert!(opener(base.as_fd(), path, OFlags::RDONLY).is_err(), "{}", path.escape_ascii());
            }
        }
        for path in [&b"../secret"[..], b"real/../../secret", b"real//file", b"/etc/passwd", b"a\0b"] {
            assert_eq!(open_beneath(base.as_fd(), path, OFlags::RDONLY).unwrap_err(), Errno::NOENT);
        }
    }
}
