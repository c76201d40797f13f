//! The proof that a package can be used where nothing else is: the `.deb` is installed into a system that `debootstrap` has just made, and
//! the archive is unpacked there. Both programs back up a folder and restore it, without Rust, without network, without a home.
//!
//! The system is kept as `target/tools/debian-CODENAME.tar`, so that it is fetched once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{empty, text};
use crate::report;
use crate::step::{self, run, succeeds};

/// What is done in the fresh system; it stops at the first command that fails.
const SCRIPT: &str = include_str!("fresh_root.sh");

/// Installs what was packed and uses it. Only root on Debian can make a fresh system: elsewhere this says so and proves nothing.
pub(super) fn prove(made: &[PathBuf]) -> Result<()> {
    if !step::is_root_on_debian() {
        report("packages were made and not tried: only root on Debian can make a fresh system to install them into");
        return Ok(());
    }
    let root = step::workspace().join("target/fresh-root");
    empty(&root)?;
    let system = system()?;
    run("unpack the system", step::command("tar", &["-xf", &text(&system)?, "-C", &text(&root)?]))?;
    let inside = root.join("packages");
    fs::create_dir(&inside)?;
    for file in made {
        fs::copy(file, inside.join(file.file_name().context("a package has a name")?))?;
    }
    let script = root.join("packages/prove.sh");
    fs::write(&script, SCRIPT)?;
    // What is mounted in there goes with the process.
    let mut chroot = step::command("unshare", &["--mount", "--", "chroot", &text(&root)?]);
    chroot.args(["/bin/sh", "-eux", "/packages/prove.sh"]);
    // Nothing of this system: what a program finds there is what the fresh one has.
    chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    run("install and use the packages in a fresh system", chroot)?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))
}

/// A minimal Debian of the release of this machine, as a tar file.
fn system() -> Result<PathBuf> {
    let tools = step::workspace().join("target/tools");
    let codename = codename(&fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?)?;
    let tar = tools.join(format!("debian-{codename}.tar"));
    if tar.is_file() {
        return Ok(tar);
    }
    if !succeeds(step::command("debootstrap", &["--version"])) {
        run("update the package lists", step::command("apt-get", &["update"]))?;
        run("install debootstrap", step::command("apt-get", &["install", "--yes", "debootstrap"]))?;
    }
    let root = tools.join("debootstrap");
    empty(&root)?;
    run("make a minimal Debian", step::command("debootstrap", &["--variant=minbase", &codename, &text(&root)?]))?;
    let unfinished = tar.with_extension("unfinished");
    pack(&root, &unfinished)?;
    fs::rename(&unfinished, &tar)?;
    fs::remove_dir_all(&root)?;
    Ok(tar)
}

/// Without device files, which not every container may make, and without the lists and packages that apt has fetched.
fn pack(root: &Path, to: &Path) -> Result<()> {
    let leave_out = ["--exclude=./dev/*", "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"];
    let mut tar = step::command("tar", &["--one-file-system", "-cf", &text(to)?]);
    tar.args(leave_out).args(["-C", &text(root)?, "."]);
    run("keep the minimal Debian", tar)
}

fn codename(os_release: &str) -> Result<String> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.map(|name| name.trim_matches('"').to_owned()).context("/etc/os-release names no VERSION_CODENAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_its_description() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n").unwrap(), "bookworm");
        assert!(codename("ID=debian\n").is_err());
    }
}
