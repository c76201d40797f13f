//! What the connector for folders asks of the operating system, for Linux. A port begins here, and only here: no other file of this crate
//! names `rustix`, `/proc` or what Linux alone has (a test of `xtask` holds it).
//!
//! A port supplies, with the promises that stand at each of them:
//!
//! | what | on Linux |
//! |---|---|
//! | [`Status`], [`status_of`], [`known_status_of`]: what is known of a name, never through a link | `statx` |
//! | [`open_beneath`], [`open_regular`]: a path opened without following a link or leaving its folder; [`PLACE`], [`NO_TRACE`] | `openat2`, `O_PATH`, `O_NOATIME` |
//! | [`descriptor_path`], [`path_through`]: paths that reach the very file or folder that is open, whatever has its name by now | `/proc/self/fd` |
//! | [`sorted_names`], [`first_names`], [`some_names`]: the names in a folder, with their types | `getdents64` |
//! | [`Medium`]: a name given unless it is taken, and what was done made durable; [`sync_everything`] | `renameat2`, `syncfs` |
//! | [`extended_names`], [`extended_value`], [`has_extended`], [`set_extended`], [`remove_extended`], the same of what is open, [`mark`], [`has_default_access_list`] | `xattr(7)`, `acl(5)` |
//! | [`make_special`]: pipes, sockets and devices | `mknodat` |
//! | [`extent_at`], [`forget`]: where a file has holes, and reading it from its medium | `SEEK_HOLE`, `posix_fadvise` |
//! | [`Watch`]: what changes below folders | `inotify(7)` |
//! | [`host_name`] | `/proc/sys/kernel` |
//!
//! Everything else is POSIX's, which `rustix` serves on every system ([`posix`]); a file descriptor is one of the standard library.
//! Refused here: what an entry is (`attributes`), what an error means to the engine (`cause`).

mod beneath;
mod content;
mod extended;
mod folder;
mod machine;
mod medium;
pub(super) mod posix;
mod special;
mod status;
mod watch;

pub(super) use beneath::{
    FOLDER, NO_TRACE, PLACE, descriptor_path, is_plain_segment, missing, open_beneath, open_regular, path_through,
};
pub(super) use content::{Extent, extent_at, forget};
pub(super) use extended::{
    extended_names, extended_names_of, extended_value, extended_value_of, has_default_access_list, has_extended,
    has_extended_of, mark, remove_extended, remove_extended_of, set_extended,
};
pub(super) use folder::{Name, first_names, some_names, sorted_names};
pub use machine::host_name;
#[cfg(test)]
pub(super) use medium::testing;
pub(super) use medium::{At, Medium, sync_everything};
pub(super) use special::make_special;
pub(super) use status::{Status, known_status_of, status_of};
pub use watch::{Watch, WatchError, Watched, watches_max};
