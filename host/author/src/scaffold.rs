//! A new connector: the template of a language under another name, with the roles that it is to have, and the SDK beside it.

use std::io;
use std::path::{Path, PathBuf};

use crate::sources::{File, JAVASCRIPT, PYTHON, SDK, TEMPLATE, WIT};

/// What a connector can be.
pub const ROLES: [&str; 3] = ["source", "store", "destination"];

/// What a connector can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A crate that is compiled.
    Rust,
    /// A module that QuickJS runs, which becomes part of the component.
    Javascript,
    /// Modules that CPython runs, which becomes part of the component.
    Python,
}

impl Language {
    /// What the template in this language shows; a connector can have no more before its author writes it.
    #[must_use]
    pub const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &ROLES,
            Self::Javascript | Self::Python => &["source"],
        }
    }
}

/// What the template is called, in its files.
const NAME: &str = "template";
/// The same of those in other languages.
const NAME_JAVASCRIPT: &str = "template-javascript";
const NAME_PYTHON: &str = "template-python";
/// Longest name of a connector.
const NAME_BYTES_MAX: usize = 64;
/// A crate of its own, whatever lies above it, with the profile of a small module whose backtraces name functions.
const OWN_WORKSPACE: &str = r#"
[workspace]

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = "none"
overflow-checks = true
"#;

/// A connector that cannot be started, and why.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is none.
    #[error("`{}` cannot be the name of a connector", name.escape_debug())]
    Name {
        /// What was given.
        name: String,
    },
    /// A role is none, or there is none.
    #[error("`{}` is no role of a connector", role.escape_debug())]
    Role {
        /// What was given.
        role: String,
    },
    /// The template has no such role.
    #[error("there is no {role} to start from in this language")]
    NoTemplate {
        /// What was asked for.
        role: String,
    },
    /// The SDK of the language goes along and cannot lie elsewhere.
    #[error("the SDK of this language is one file, which goes along")]
    OwnSdk,
    /// Something is there already.
    #[error("{} is there already", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ScaffoldError {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Name { .. } => {
                "a name has 1 to 64 of a-z, 0-9 and `-`, begins with a letter, and is not `template` or `credenza`"
            }
            Self::Role { .. } => "roles are source, store and destination, with commas between them",
            Self::NoTemplate { .. } => "take --language rust, or start with --roles source",
            Self::OwnSdk => "leave --sdk out",
            Self::Exists { .. } => "choose another name, or another folder with --folder",
            Self::File { .. } => "see whose the folder is and whether there is room",
        }
    }
}

/// Writes a connector into a folder that is not there yet. In Rust it depends on the SDK in the folder `sdk`, else on a copy of it in `sdk/`.
///
/// # Errors
/// [`ScaffoldError`] says what is wrong; a folder that could not be filled is left as it is.
pub fn scaffold(
    folder: &Path,
    name: &str,
    roles: &[&str],
    language: Language,
    sdk: Option<&Path>,
) -> Result<(), ScaffoldError> {
    if !is_name(name) {
        return Err(ScaffoldError::Name { name: name.to_owned() });
    }
    let unknown = roles.iter().find(|role| !ROLES.contains(role)).map(|role| (*role).to_owned());
    if unknown.is_some() || roles.is_empty() {
        return Err(ScaffoldError::Role { role: unknown.unwrap_or_default() });
    }
    if let Some(role) = roles.iter().find(|role| !language.roles().contains(role)) {
        return Err(ScaffoldError::NoTemplate { role: (*role).to_owned() });
    }
    if language != Language::Rust && sdk.is_some() {
        return Err(ScaffoldError::OwnSdk);
    }
    if folder.exists() {
        return Err(ScaffoldError::Exists { folder: folder.to_owned() });
    }
    match language {
        Language::Rust => write_rust(folder, name, roles, sdk),
        Language::Javascript => write_packaged(folder, name, NAME_JAVASCRIPT, JAVASCRIPT),
        Language::Python => write_packaged(folder, name, NAME_PYTHON, PYTHON),
    }
}

fn write_rust(folder: &Path, name: &str, roles: &[&str], sdk: Option<&Path>) -> Result<(), ScaffoldError> {
    let unwanted: Vec<&str> = ROLES.into_iter().filter(|role| !roles.contains(role)).collect();
    let is_wanted = |path: &str| !unwanted.iter().any(|role| path == format!("src/{role}.rs"));
    for (path, text) in TEMPLATE.iter().filter(|(path, _)| is_wanted(path)) {
        let mut text = with_roles(path, text, roles, &unwanted);
        if *path == "Cargo.toml" {
            let sdk = sdk.map_or("sdk".to_owned(), |sdk| sdk.display().to_string());
            text = text.replace("path = \"../sdk\"", &format!("path = {sdk:?}")) + OWN_WORKSPACE;
        }
        write(&folder.join(path), &renamed(&text, name))?;
    }
    copy(if sdk.is_none() { SDK } else { &[] }, &folder.join("sdk"))?;
    write(&folder.join(".gitignore"), "/target\n/*.wasm\n")
}

/// The template has a scheme that says what it reads; a connector of its own has its own name there.
fn write_packaged(folder: &Path, name: &str, template: &str, files: &[File]) -> Result<(), ScaffoldError> {
    for (path, text) in files {
        let text = text.replace("\"index\"", &format!("\"{name}\"")).replace("index://", &format!("{name}://"));
        write(&folder.join(path), &text.replace(template, name))?;
    }
    copy(WIT, &folder.join("wit"))?;
    write(&folder.join(".gitignore"), "/node_modules\n__pycache__/\n/target\n/*.wasm\n")
}

fn copy(files: &[File], folder: &Path) -> Result<(), ScaffoldError> {
    files.iter().try_for_each(|(path, text)| write(&folder.join(path), text))
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(plain)
        && !name.ends_with('-')
        && ![NAME, NAME_JAVASCRIPT, NAME_PYTHON, "credenza"].contains(&name)
}

/// Without the lines that are about roles that are not wanted.
fn with_roles(path: &str, text: &str, roles: &[&str], unwanted: &[&str]) -> String {
    let begins = |line: &str, role: &str| match path {
        "src/lib.rs" => line == format!("pub mod {role};"),
        "connector.toml" => {
            line.starts_with(&format!("{role} = [")) || role == "store" && line.starts_with("prune = [")
        }
        _ => false,
    };
    let kept = text.lines().filter(|line| !unwanted.iter().any(|role| begins(line, role)));
    let list = |quote: &str| roles.iter().map(|role| format!("{quote}{role}{quote}")).collect::<Vec<_>>().join(", ");
    let line = |line: &str| match path {
        "src/lib.rs" if line.starts_with("credenza_sdk::export!") => {
            format!("credenza_sdk::export!(Files: {});\n", list(""))
        }
        "connector.toml" if line.starts_with("roles = ") => format!("roles = [{}]\n", list("\"")),
        _ => format!("{line}\n"),
    };
    kept.map(line).collect()
}

/// Under its own name; what users set as variables is in capitals.
fn renamed(text: &str, name: &str) -> String {
    text.replace(NAME, name).replace(&NAME.to_uppercase(), &name.to_uppercase().replace('-', "_"))
}

fn write(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    let written = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)
    };
    written().map_err(|source| ScaffoldError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(name: &str, roles: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new");
        scaffold(&folder, name, roles, Language::Rust, None).unwrap();
        (parent, folder)
    }

    #[test]
    fn a_connector_has_its_own_name_and_the_roles_that_were_asked_for() {
        let (_parent, folder) = started("my-files", &["source"]);
        let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
        let manifest = read("connector.toml");
        assert!(manifest.contains("name = \"my-files\"") && manifest.contains("MY_FILES_USER"), "{manifest}");
        assert!(manifest.contains("roles = [\"source\"]"), "{manifest}");
        for gone in ["store = ", "prune = ", "destination = ", "template"] {
            assert!(!manifest.contains(gone), "{gone}: {manifest}");
        }
        let lib = read("src/lib.rs");
        assert!(lib.contains("export!(Files: source);") && !lib.contains("pub mod store;"), "{lib}");
        assert!(!folder.join("src/store.rs").exists() && folder.join("src/source.rs").exists());
        assert!(read("Cargo.toml").contains("credenza-sdk = { path = \"sdk\" }"));
        assert!(folder.join("sdk/src/bindings.rs").exists());
    }

    #[test]
    fn a_connector_in_javascript_has_its_own_name_and_all_that_its_build_reads() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new");
        scaffold(&folder, "my-shop", &["source"], Language::Javascript, None).unwrap();
        let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
        let manifest = read("connector.toml");
        assert!(manifest.contains("name = \"my-shop\"") && manifest.contains("schemes = [\"my-shop\"]"), "{manifest}");
        assert!(read("source.js").contains("`my-shop://"));
        for path in ["connector.toml", "package.json", "package-lock.json", "source.js", "README.md"] {
            assert!(!read(path).contains("template") && !read(path).contains("index://"), "{path}");
        }
        assert!(folder.join("wit/deps/host/host.wit").exists() && folder.join("sdk/credenza.js").exists());
    }

    #[test]
    fn a_connector_in_python_has_its_own_name_and_all_that_its_build_reads() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new");
        scaffold(&folder, "my-shop", &["source"], Language::Python, None).unwrap();
        let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
        let manifest = read("connector.toml");
        assert!(manifest.contains("name = \"my-shop\"") && manifest.contains("schemes = [\"my-shop\"]"), "{manifest}");
        assert!(read("source.py").contains("f\"my-shop://"));
        for (path, _) in PYTHON {
            assert!(!read(path).contains("template") && !read(path).contains("index://"), "{path}");
        }
        assert!(folder.join("wit/deps/host/host.wit").exists());
    }

    #[test]
    fn nothing_is_written_over_what_is_there_or_under_a_name_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let there = scaffold(folder.path(), "mine", &["source"], Language::Rust, None).unwrap_err();
        assert!(matches!(there, ScaffoldError::Exists { .. }));
        let inside = folder.path().join("new");
        for name in ["", "-a", "a-", "A", "a/b", "template", "credenza", "\u{fc}", &"a".repeat(65)] {
            let refused = scaffold(&inside, name, &["source"], Language::Rust, None);
            assert!(matches!(refused, Err(ScaffoldError::Name { .. })), "{name}");
        }
        for roles in [&[][..], &["sauce"]] {
            let refused = scaffold(&inside, "mine", roles, Language::Rust, None);
            assert!(matches!(refused, Err(ScaffoldError::Role { .. })), "{roles:?}");
        }
        let refused = scaffold(&inside, "mine", &["store"], Language::Javascript, None);
        assert!(matches!(refused, Err(ScaffoldError::NoTemplate { role }) if role == "store"));
        let refused = scaffold(&inside, "mine", &["source"], Language::Javascript, Some(folder.path()));
        assert!(matches!(refused, Err(ScaffoldError::OwnSdk)));
        assert!(!inside.exists());
    }

    #[test]
    fn an_sdk_of_ones_own_is_named_and_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        scaffold(&folder.path().join("new"), "mine", &ROLES, Language::Rust, Some(Path::new("/elsewhere/sdk")))
            .unwrap();
        let text = std::fs::read_to_string(folder.path().join("new/Cargo.toml")).unwrap();
        assert!(text.contains("path = \"/elsewhere/sdk\""), "{text}");
        assert!(!folder.path().join("new/sdk").exists());
    }
}
