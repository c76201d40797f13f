//! Whether this machine lets a test mount something.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Whether there is `/dev/fuse` and the right to mount; where not, it is said that nothing was run.
#[must_use]
pub fn can_mount() -> bool {
    let may = || Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|ended| ended.status.success());
    let can = Path::new("/dev/fuse").exists() && rustix::process::geteuid().is_root() && may();
    if !can {
        // Where not even this can be said there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "not run: mounting takes /dev/fuse and the rights of root");
    }
    can
}
