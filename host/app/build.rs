//! Embeds the connectors of [`CONNECTORS`] when the program is built, from `target/connectors` of the workspace or the folder that `CREDENZA_EMBED`
//! names. Each must be what `cargo xtask guests` wrote there: its BLAKE3 lies beside it. Nothing else that lies there is embedded.
//!
//! Without them a release build fails and says what to type, so that nobody installs a program that reaches no bucket; a development build
//! warns, so that sources can be looked at before anything is built. With `CREDENZA_EMBED=none` none is embedded. Nothing is built or fetched here.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The connectors that the program brings along.
const CONNECTORS: [&str; 4] = ["azure", "gcs", "s3", "webdav"];

/// What `CREDENZA_EMBED` holds where a program without connectors is wanted.
const NONE: &str = "none";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=CREDENZA_EMBED");
    let folder = embed_folder();
    let wanted: &[&str] = if folder == Path::new(NONE) { &[] } else { &CONNECTORS };
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let mut list = String::from(
        "/// Name and bytes of each embedded component.
static EMBEDDED: &[(&str, &[u8])] = &[
",
    );
    for name in wanted {
        let path = folder.join(name).with_extension("wasm");
        // A file that is not there yet is looked for at each build.
        println!("cargo::rerun-if-changed={}", path.display());
        if let Some(path) = verified(&path)? {
            list.push_str(&format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string()));
        } else {
            let kind = if is_release { "error" } else { "warning" };
            missing(name, &path).iter().for_each(|line| println!("cargo::{kind}={line}"));
        }
    }
    list.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"), list)
}

/// What a person is reported who builds without a connector, line by line.
fn missing(name: &str, path: &Path) -> [String; 3] {
    [
        format!("the connector `{name}` is missing, which becomes part of the program: there is no {}", path.display()),
        "build it first, in the folder of the sources: cargo xtask guests".to_owned(),
        format!("or build a program that reaches no `{name}://`: set CREDENZA_EMBED={NONE}"),
    ]
}

fn embed_folder() -> PathBuf {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    env::var_os("CREDENZA_EMBED").map_or_else(|| manifest.join("../../target/connectors"), PathBuf::from)
}

/// The component, when it is there and has the digest that was written with it.
fn verified(path: &Path) -> io::Result<Option<PathBuf>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let expected = fs::read_to_string(path.with_extension("wasm.b3")).unwrap_or_default();
    if blake3::hash(&bytes).to_hex().as_str() != expected.trim() {
        return Err(io::Error::other(format!("{} is not what was built: run `cargo xtask guests`", path.display())));
    }
    path.canonicalize().map(Some)
}
