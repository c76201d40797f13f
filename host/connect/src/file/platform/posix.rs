//! What POSIX has, by `rustix`, which serves every system that has it: nothing that a port must supply.

pub(in crate::file) use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmod, chmodat, chownat, fchmod,
    fchown, fstat, futimens, mkdirat, openat, readlinkat, renameat, statat, symlinkat, unlinkat, utimensat,
};
pub(in crate::file) use rustix::io::{Errno, pread};
pub(in crate::file) use rustix::process::geteuid;
