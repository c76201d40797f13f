//! A compiler for WebAssembly, installed where the tasks may do that: as root of a Debian, which is what containers of CI are.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use credenza_author::{NoToolchain, Toolchain};

/// `cargo build --release --locked` for the target of connectors.
pub(crate) fn cargo_build() -> Result<Command> {
    let toolchain = match Toolchain::find() {
        Err(NoToolchain) if is_debian_root() => {
            install_debian_packages()?;
            Toolchain::find()
        }
        found => found,
    };
    match toolchain {
        Ok(toolchain) => {
            let mut command = toolchain.cargo_build();
            command.arg("--locked");
            Ok(command)
        }
        Err(missing) => bail!("{missing}; {}", missing.remedy()),
    }
}

fn is_debian_root() -> bool {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|reported| reported.stdout.trim_ascii() == b"0");
    Path::new("/etc/debian_version").exists() && is_root
}

fn install_debian_packages() -> Result<()> {
    let packages = NoToolchain::DEBIAN_PACKAGES;
    let update = Command::new("apt-get").args(["update", "-qq"]).status().context("starting apt-get")?;
    ensure!(update.success(), "apt-get update failed; install {} by hand", packages.join(" "));
    let install = Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("starting apt-get")?;
    ensure!(install.success(), "apt-get could not install {}", packages.join(" "));
    Ok(())
}
