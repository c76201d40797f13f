//! `cargo xtask guests`: builds everything that runs inside the sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, ensure};

use crate::{report, toolchain};
use credenza_author::{Language, TARGET, encode, scaffold};

/// A crate that becomes a component.
struct Guest {
    /// Its package in the plugins' workspace.
    package: &'static str,
    /// Its folder, which holds `connector.toml`.
    folder: &'static str,
    /// The file it becomes, below the main `target` folder.
    component: &'static str,
}

/// The connectors that are part of the program.
const EMBEDDED: [Guest; 4] = [
    Guest { package: "credenza-connector-azure", folder: "plugins/azure", component: "connectors/azure.wasm" },
    Guest { package: "credenza-connector-gcs", folder: "plugins/gcs", component: "connectors/gcs.wasm" },
    Guest { package: "credenza-connector-s3", folder: "plugins/s3", component: "connectors/s3.wasm" },
    Guest { package: "credenza-connector-webdav", folder: "plugins/webdav", component: "connectors/webdav.wasm" },
];

/// What the tests load beside it.
const FOR_TESTS: [Guest; 2] = [
    Guest { package: "credenza-connector-template", folder: "plugins/template", component: "guests/template.wasm" },
    Guest { package: "credenza-guest-hostile", folder: "tests/guests", component: "guests/hostile.wasm" },
];

/// Builds the connectors that are part of the program, and no others.
pub(crate) fn build_embedded(root: &Path) -> Result<()> {
    build_some(root, &EMBEDDED)
}

/// Builds all of them, and the probe.
pub(crate) fn build(root: &Path) -> Result<()> {
    build_embedded(root)?;
    build_some(root, &FOR_TESTS)?;
    probe(root)
}

/// Builds the connector in Python as its author would, from a folder of its own, unless it is newer than all that it is made of.
pub(crate) fn build_python(root: &Path) -> Result<()> {
    let component = root.join("target/guests/template-python.wasm");
    let templates = fs::read_dir(root.join("plugins/template-python"))?.collect::<std::io::Result<Vec<_>>>()?;
    let sdk = root.join("plugins/template-python/credenza_sdk/__init__.py");
    let inputs: Vec<PathBuf> = templates.into_iter().map(|item| item.path()).chain([sdk]).collect();
    if is_newer(&component, &inputs.iter().map(PathBuf::as_path).collect::<Vec<_>>())? {
        return Ok(());
    }
    let folder = root.join("target/python");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    scaffold(&folder, "bench", &["source"], Language::Python, None)?;
    let built = credenza_author::build(&folder).map_err(|error| anyhow!("{error}; {}", error.remedy()))?;
    write_whole(&component, &built)
}

/// Compiles what changed, and encodes each component that is older than its module or its manifest.
fn build_some(root: &Path, guests: &[Guest]) -> Result<()> {
    compile(root, guests)?;
    guests.iter().try_for_each(|guest| assemble(root, guest).with_context(|| format!("building {}", guest.package)))
}

fn compile(root: &Path, guests: &[Guest]) -> Result<()> {
    let mut command = toolchain::cargo_build()?;
    command.current_dir(root.join("plugins")).arg("--target-dir").arg(root.join("plugins/target"));
    for guest in guests {
        command.args(["--package", guest.package]);
    }
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "the guests do not compile");
    Ok(())
}

/// The guest of the sandbox's own tests, which proves the bindings without the SDK.
fn probe(root: &Path) -> Result<()> {
    let script = root.join("host/sandbox/tests/probe/build.sh");
    let status = Command::new(&script).status().with_context(|| format!("starting {}", script.display()))?;
    ensure!(status.success(), "the probe does not compile");
    Ok(())
}

fn assemble(root: &Path, guest: &Guest) -> Result<()> {
    let module = module_path(root, guest);
    let manifest = root.join(guest.folder).join("connector.toml");
    let component = root.join("target").join(guest.component);
    let digest = component.with_extension("wasm.b3");
    if is_newer(&component, &[&module, &manifest])? && is_newer(&digest, &[&component])? {
        return Ok(());
    }
    let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let bytes = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
    let encoded = encode(&bytes, &text)?;
    write_whole(&component, &encoded)?;
    // What is embedded into the program is held against it.
    write_whole(&digest, blake3::hash(&encoded).to_hex().as_bytes())?;
    report(&format!("{} ({} bytes)", component.display(), encoded.len()));
    Ok(())
}

fn module_path(root: &Path, guest: &Guest) -> PathBuf {
    let name = guest.package.replace('-', "_");
    root.join("plugins/target").join(TARGET).join("release").join(name).with_extension("wasm")
}

fn is_newer(file: &Path, inputs: &[&Path]) -> Result<bool> {
    let Ok(written) = modified(file) else { return Ok(false) };
    for input in inputs {
        if modified(input)? >= written {
            return Ok(false);
        }
    }
    Ok(true)
}

fn modified(file: &Path) -> Result<SystemTime> {
    fs::metadata(file).and_then(|m| m.modified()).with_context(|| format!("looking at {}", file.display()))
}

/// Writes beside and renames, so that nobody ever reads half a component.
fn write_whole(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().context("a component lies in a folder")?;
    fs::create_dir_all(folder)?;
    let unfinished = file.with_added_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, file).with_context(|| format!("writing {}", file.display()))
}
