//! `cargo xtask dist` and the proof that what it makes can be installed.
//!
//! Owned here: which files a package has and where they lie. Both packages, an archive for any Linux and a `.deb`, hold the same tree.
//! Refused here: how the program is compiled, beyond the profile. Called by [`crate::run`] and by the test command, which packs the
//! program of the development profile with the same steps.

mod crates;
mod deb;
mod fresh_root;
mod glibc;
mod notices;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step::{self, run};
use crate::{bench, guests, report};

/// The version of all crates, which is that of the package.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds for release and packs into `target/dist`.
pub(crate) fn release() -> Result<()> {
    guests::build_embedded(&step::workspace())?;
    run("build", step::cargo(&["build", "--release", "--locked", "--package", "credenza"]))?;
    let made = pack("release", "dist")?;
    made.iter().for_each(|file| report(&file.display().to_string()));
    Ok(())
}

/// Packs what the development profile has built, installs it into a fresh system, and uses it there.
pub(crate) fn prove() -> Result<()> {
    guests::build(&step::workspace())?;
    bench::build()?;
    let made = pack("debug", "dist-debug")?;
    fresh_root::prove(&made)
}

/// Makes the archive, the `.deb`, the SBOM and the list of their digests; returns their paths.
fn pack(profile: &str, folder: &str) -> Result<Vec<PathBuf>> {
    let target = step::workspace().join("target");
    let out = target.join(folder);
    empty(&out)?;
    let name = format!("credenza-{VERSION}-{}-linux-gnu", std::env::consts::ARCH);
    let tree = out.join(&name);
    let packages = crates::linked()?;
    let sbom = out.join(format!("{name}.cdx.json"));
    fs::write(&sbom, sbom::cyclonedx(VERSION, &packages)?)?;

    let binary = tree.join("bin/credenza");
    install_binary(&target.join(profile).join("credenza"), &binary)?;
    let glibc = glibc::oldest(&binary)?;
    install_words(&binary, &tree.join("share"))?;
    install_documents(&tree.join("share/doc/credenza"), &glibc, &packages)?;
    fs::copy(&sbom, tree.join("share/doc/credenza/sbom.cdx.json"))?;

    let archive = archive(&out, &name)?;
    let deb = deb::build(&out, &tree, VERSION, &glibc)?;
    fs::remove_dir_all(&tree)?;
    let sums = digests(&out, &[&archive, &deb, &sbom])?;
    report(&format!("needs glibc {glibc} or later"));
    Ok(vec![archive, deb, sbom, sums])
}

fn install_binary(built: &Path, to: &Path) -> Result<()> {
    make_folder_of(to)?;
    run("strip the program", step::command("strip", &["-o", &text(to)?, &text(built)?]))
}

/// What the program itself prints: manual pages and completions.
fn install_words(binary: &Path, share: &Path) -> Result<()> {
    let mut man = Command::new(binary);
    man.arg("man").arg(share.join("man/man1"));
    run("write the manual pages", man)?;
    let places = [
        ("bash", "bash-completion/completions/credenza"),
        ("zsh", "zsh/vendor-completions/_credenza"),
        ("fish", "fish/vendor_completions.d/credenza.fish"),
    ];
    for (shell, place) in places {
        let written = Command::new(binary).args(["completions", shell]).output().context("cannot run the program")?;
        ensure!(written.status.success(), "no completions for {shell}: {}", String::from_utf8_lossy(&written.stderr));
        write(&share.join(place), &written.stdout)?;
    }
    Ok(())
}

fn install_documents(to: &Path, glibc: &str, packages: &[crates::Package]) -> Result<()> {
    let root = step::workspace();
    for document in ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        let content = fs::read(root.join(document)).with_context(|| format!("cannot read {document}"))?;
        write(&to.join(document), &content)?;
    }
    write(&to.join("THIRD-PARTY.md"), notices::page(packages)?.as_bytes())?;
    let install = format!(
        "Needs Linux with glibc {glibc} or later. Copy `bin` and `share` into /usr/local, or `bin/credenza` to any place in PATH.\n"
    );
    write(&to.join("INSTALL"), install.as_bytes())
}

/// A `.tar.gz` whose bytes depend on its files alone.
fn archive(out: &Path, name: &str) -> Result<PathBuf> {
    let path = out.join(format!("{name}.tar.gz"));
    let mut tar = step::command("tar", &["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", moment()?)).arg("--use-compress-program=gzip --no-name -9");
    tar.arg("--file").arg(&path).arg("--directory").arg(out).arg(name);
    run("pack the archive", tar)?;
    Ok(path)
}

/// The time of the commit, in seconds since 1970, which every file of a package gets. A folder without git is packed as of 1970.
fn moment() -> Result<String> {
    let log = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(step::workspace()).output();
    let committed = log.ok().filter(|output| output.status.success());
    let seconds = committed.map(|output| String::from_utf8(output.stdout)).transpose()?.unwrap_or_default();
    Ok(Some(seconds.trim().to_owned()).filter(|text| !text.is_empty()).unwrap_or_else(|| "0".to_owned()))
}

/// `SHA256SUMS`, as `sha256sum --check` reads it.
fn digests(out: &Path, files: &[&PathBuf]) -> Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let printed = Command::new("sha256sum").args(names).current_dir(out).output().context("cannot run sha256sum")?;
    ensure!(printed.status.success(), "sha256sum failed: {}", String::from_utf8_lossy(&printed.stderr));
    let path = out.join("SHA256SUMS");
    fs::write(&path, &printed.stdout)?;
    Ok(path)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    make_folder_of(path)?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn make_folder_of(path: &Path) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    Ok(())
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// A path for a command line.
fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}
