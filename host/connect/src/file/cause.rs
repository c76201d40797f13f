//! What an error of the operating system means to the engine.
//!
//! Owned here: the one table from `errno` to class and reason. Called by everything in `file`.

use std::fmt::Display;

use super::platform::posix::Errno;
use crate::{Error, ErrorClass};

/// The error of a system call: `act` says what was tried ("cannot read"), `object` to what.
pub(super) fn from_errno(act: &str, object: impl Display, errno: Errno) -> Error {
    let (class, reason) = classify(errno);
    let cause = std::io::Error::from(errno);
    Error::new(class, reason, format!("{act} `{object}`: {cause}"))
}

/// The error of the standard library, which mostly carries an `errno`.
pub(super) fn from_io(act: &str, object: impl Display, error: &std::io::Error) -> Error {
    match Errno::from_io_error(error) {
        Some(errno) => from_errno(act, object, errno),
        None => Error::new(ErrorClass::Unsupported, "file.os", format!("{act} `{object}`: {error}")),
    }
}

/// The error of a read, of the same class wherever the bytes are read in the end. One of our own stays as it is.
pub(super) fn of_read(cause: std::io::Error) -> std::io::Error {
    let Some(errno) = Errno::from_io_error(&cause) else { return cause };
    let (class, reason) = classify(errno);
    std::io::Error::other(Error::new(class, reason, format!("reading failed: {cause}")))
}

fn classify(errno: Errno) -> (ErrorClass, &'static str) {
    match errno {
        Errno::NOENT | Errno::NOTDIR => (ErrorClass::NotFound, "file.not-found"),
        Errno::EXIST => (ErrorClass::Precondition, "file.exists"),
        Errno::ACCESS | Errno::PERM => (ErrorClass::Denied, "file.denied"),
        Errno::ROFS => (ErrorClass::Denied, "file.read-only"),
        Errno::NOSPC | Errno::DQUOT => (ErrorClass::Exhausted, "file.full"),
        Errno::IO => (ErrorClass::Corrupt, "file.medium"),
        Errno::MFILE | Errno::NFILE => (ErrorClass::Transient, "file.too-many-open"),
        Errno::AGAIN | Errno::INTR | Errno::STALE | Errno::TIMEDOUT | Errno::BUSY | Errno::NOMEM => {
            (ErrorClass::Transient, "file.busy")
        }
        Errno::LOOP => (ErrorClass::Unsupported, "file.symlink"),
        Errno::NAMETOOLONG => (ErrorClass::Unsupported, "file.name-too-long"),
        Errno::FBIG => (ErrorClass::Unsupported, "file.too-large"),
        _ => (ErrorClass::Unsupported, "file.os"),
    }
}
