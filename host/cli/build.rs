//! Embeds every component found in `target/connectors` of the workspace, or in the folder that `CREDENZA_EMBED` names, when the program is built.
//! Without any the program builds all the same and says at run time where it looks for connectors.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=CREDENZA_EMBED");
    let folder = embed_folder();
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut list = String::from(
        "/// Name and bytes of each embedded component.\npub(crate) static EMBEDDED: &[(&str, &[u8])] = &[\n",
    );
    for path in components(&folder)? {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        list.push_str(&format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string()));
    }
    list.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"), list)
}

fn embed_folder() -> PathBuf {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    env::var_os("CREDENZA_EMBED").map_or_else(|| manifest.join("../../target/connectors"), PathBuf::from)
}

fn components(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = listing.map(|item| item?.path().canonicalize()).collect::<io::Result<Vec<_>>>()?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    found.sort();
    Ok(found)
}
