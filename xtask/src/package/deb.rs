//! The `.deb`: the tree of the archive below `/usr`, as Debian's policy wants it, packed by `dpkg-deb`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{empty, moment, text, write};
use crate::step::{self, run};

/// Packs the tree into `out` and returns the package's path.
pub(super) fn build(out: &Path, tree: &Path, version: &str, glibc: &str) -> Result<PathBuf> {
    let architecture = architecture()?;
    let root = out.join("deb");
    empty(&root)?;
    run("lay out the package", step::command("cp", &["--archive", &text(tree)?, &text(&root.join("usr"))?]))?;
    compress_pages(&root.join("usr/share/man/man1"))?;
    let documents = root.join("usr/share/doc/credenza");
    // Debian's name for the licences of all that a package holds.
    fs::rename(documents.join("THIRD-PARTY.md"), documents.join("copyright"))?;
    fs::remove_file(documents.join("INSTALL"))?;
    let control = control(version, architecture, glibc, installed_kib(&root)?);
    write(&root.join("DEBIAN/control"), control.as_bytes())?;

    let path = out.join(format!("credenza_{version}_{architecture}.deb"));
    let mut pack =
        step::command("dpkg-deb", &["--root-owner-group", "-Zgzip", "--build", &text(&root)?, &text(&path)?]);
    pack.env("SOURCE_DATE_EPOCH", moment()?);
    run("pack the .deb (dpkg-deb is in Debian's package dpkg)", pack)?;
    fs::remove_dir_all(&root)?;
    Ok(path)
}

/// What `dpkg` calls the machine that this was compiled for.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no Debian architecture is known for {other}"),
    }
}

fn control(version: &str, architecture: &str, glibc: &str, installed_kib: u64) -> String {
    format!(
        "Package: credenza\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: The credenza contributors <credenza@localhost>\n\
         Installed-Size: {installed_kib}\n\
         Depends: libc6 (>= {glibc}), libgcc-s1\n\
         Recommends: ca-certificates\n\
         Section: admin\n\
         Priority: optional\n\
         Description: backup engine with sandboxed connectors\n \
         Backs up folders and S3 buckets into encrypted, deduplicated repositories in\n \
         folders and buckets. Whatever talks to a provider runs as a WebAssembly\n \
         component without access to files, secrets or other servers.\n"
    )
}

fn compress_pages(folder: &Path) -> Result<()> {
    let pages = fs::read_dir(folder)?.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    let mut gzip = step::command("gzip", &["--no-name", "-9"]);
    gzip.args(pages);
    run("compress the manual pages", gzip)
}

/// The sizes of all files together, in KiB, each rounded up.
fn installed_kib(folder: &Path) -> Result<u64> {
    let mut kib = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        kib += if metadata.is_dir() { installed_kib(&entry.path())? } else { metadata.len().div_ceil(1024) };
    }
    Ok(kib)
}
