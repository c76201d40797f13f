//! Finds a compiler for `wasm32-unknown-unknown`. Detected, never pinned: an installed target first, else a distribution's
//! compiler with its own sources of the standard library, else one line that says what to type.

use std::path::Path;
use std::process::Command;

/// The target of every connector: no WASI, so that a component imports the interfaces of the host and nothing else.
pub const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "wasm-ld-22";

/// A way to compile for [`TARGET`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The compiler at hand has the target.
    Installed,
    /// Debian's compiler, which builds the standard library from its sources.
    Debian,
}

/// There is no compiler for connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no compiler here builds WebAssembly")]
pub struct NoToolchain;

impl NoToolchain {
    /// Debian's packages with a compiler, the sources of its standard library, and a linker.
    pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld-22"];

    /// What to type.
    #[must_use]
    pub fn remedy(self) -> String {
        format!("type `rustup target add {TARGET}`, or on Debian `apt-get install {}`", Self::DEBIAN_PACKAGES.join(" "))
    }
}

impl Toolchain {
    /// The first way that this machine offers.
    ///
    /// # Errors
    /// [`NoToolchain`] where it offers none; it says what to install.
    pub fn find() -> Result<Self, NoToolchain> {
        if target_is_installed() {
            Ok(Self::Installed)
        } else if debian_is_ready() {
            Ok(Self::Debian)
        } else {
            Err(NoToolchain)
        }
    }

    /// `cargo build --release` for [`TARGET`].
    #[must_use]
    pub fn cargo_build(self) -> Command {
        let mut command = Command::new(cargo());
        command.args(["build", "--release", "--target", TARGET]);
        if self == Self::Debian {
            command
                .env("RUSTC", DEBIAN_RUSTC)
                // The sources of the standard library are an unstable feature of a stable compiler.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
                .arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

/// The cargo that runs this program, else the one at hand.
#[must_use]
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
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

/// What a program prints, without the line's end; nothing when it is missing or fails.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
