//! A connector in Python: an environment of its own below `target/`, with the packages of its list, of which componentize-py makes CPython and the
//! connector one component. Its manifest is not in it yet.

use std::path::Path;
use std::process::Command;

use crate::packaged::{COMPONENT, Language, PackagedError};
use crate::scaffold::ROLES;

pub(crate) const PYTHON: Language = Language {
    name: "Python",
    interpreter: "python3",
    oldest: (3, 9),
    needs: "Python 3.9 or later, with venv",
    how_to_get_it: "install Python 3.9 or later: https://www.python.org, or on Debian `apt-get install python3-venv`",
    list: "requirements.txt",
    installed: "target/python/requirements.txt",
    installer: "pip",
    how_to_change_the_list: "see what pip says above; each package is listed with its version and digest, as `pip-compile --generate-hashes` writes it",
    builder: "componentize-py",
};

/// The environment, below the folder.
const ENVIRONMENT: &str = "target/python";
/// The module of the folder whose classes the component exports.
const MODULE: &str = "connector";

/// Builds the connector in a folder; answers the component without its manifest, which names the roles.
///
/// # Errors
/// [`PackagedError`] says what is missing.
pub(crate) fn build(folder: &Path, manifest: &str) -> Result<Vec<u8>, PackagedError> {
    // Absolute, because these programs run in the folder.
    let absolute = std::path::absolute(folder);
    let environment =
        absolute.map_err(|source| PackagedError::File { path: folder.to_owned(), source })?.join(ENVIRONMENT);
    let program = |name: &str| Command::new(environment.join("bin").join(name));
    let mut prepare = Command::new(PYTHON.interpreter);
    prepare.args(["-m", "venv", "--clear", ENVIRONMENT]);
    let mut install = program(PYTHON.installer);
    install.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--requirement",
        PYTHON.list,
    ]);
    let mut build = program(PYTHON.builder);
    // Where the modules of its packages are looked for; without it, among all that are installed on this machine.
    build.env("VIRTUAL_ENV", &environment).args(["--quiet", "--wit-path", "wit"]);
    for role in roles(manifest) {
        build.arg("--world").arg(format!("{role}-connector"));
    }
    build.args(["componentize", MODULE, "--output", COMPONENT]);
    PYTHON.build(folder, &mut [prepare, install], &mut build)
}

/// The roles that a manifest names. One that cannot be read names the first: that it is none, the host says when it looks at the component.
fn roles(manifest: &str) -> Vec<&'static str> {
    let read = toml::from_str::<toml::Table>(manifest).unwrap_or_default();
    let named: Vec<&str> = read
        .get("roles")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
        .collect();
    let known = ROLES.into_iter().filter(|role| named.contains(role)).collect::<Vec<_>>();
    if known.is_empty() { ROLES.into_iter().take(1).collect() } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_exports_the_roles_that_its_manifest_names() {
        assert_eq!(roles("roles = [\"store\", \"source\", \"sauce\"]"), ["source", "store"]);
        for unreadable in ["", "roles = 1", "roles = [", "roles = []"] {
            assert_eq!(roles(unreadable), ["source"], "{unreadable}");
        }
    }
}
