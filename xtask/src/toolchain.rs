//! Finds a compiler for `wasm32-unknown-unknown`. Detected, never pinned: an installed target first, else a distribution's
//! compiler with its own sources of the standard library, else one line that says what to type.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The target of every guest: no WASI, so that a component imports the interfaces of the host and nothing else.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld-22"];
const DEBIAN_LINKER: &str = "wasm-ld-22";

/// A way to compile for [`TARGET`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// The compiler of this build has the target.
    Installed,
    /// Debian's compiler, which builds the standard library from its sources.
    Debian,
}

/// `cargo build --release --locked` for [`TARGET`], by the first way that this machine offers.
pub(crate) fn cargo_build() -> Result<Command> {
    let toolchain = find()?;
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--locked", "--target", TARGET]);
    if toolchain == Toolchain::Debian {
        command
            .env("RUSTC", DEBIAN_RUSTC)
            // The sources of the standard library are an unstable feature of a stable compiler.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
            .arg("-Zbuild-std=std,panic_abort");
    }
    Ok(command)
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn find() -> Result<Toolchain> {
    if target_is_installed() {
        return Ok(Toolchain::Installed);
    }
    if !debian_is_ready() && is_debian_root() {
        install_debian_packages()?;
    }
    if debian_is_ready() {
        return Ok(Toolchain::Debian);
    }
    bail!(
        "no compiler here builds WebAssembly; type `rustup target add {TARGET}`, or on Debian `apt-get install {}`",
        DEBIAN_PACKAGES.join(" ")
    )
}

fn target_is_installed() -> bool {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let found = printed(&rustc, &["--print", "target-libdir", "--target", TARGET]);
    found.is_some_and(|folder| Path::new(&folder).is_dir())
}

fn debian_is_ready() -> bool {
    let sources = |root: String| Path::new(&root).join("lib/rustlib/src/rust/library/std").is_dir();
    printed(DEBIAN_RUSTC, &["--print", "sysroot"]).is_some_and(sources)
        && printed(DEBIAN_LINKER, &["--version"]).is_some()
}

fn is_debian_root() -> bool {
    Path::new("/etc/debian_version").exists() && printed("id", &["-u"]).as_deref() == Some("0")
}

fn install_debian_packages() -> Result<()> {
    let update = Command::new("apt-get").args(["update", "-qq"]).status().context("starting apt-get")?;
    ensure!(update.success(), "apt-get update failed; install {} by hand", DEBIAN_PACKAGES.join(" "));
    let install = Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(DEBIAN_PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("starting apt-get")?;
    ensure!(install.success(), "apt-get could not install {}", DEBIAN_PACKAGES.join(" "));
    Ok(())
}

/// What a program prints, without the line's end; nothing when it is missing or fails.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
