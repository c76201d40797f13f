//! The files of a new connector, as they lie in `plugins/template`, `-javascript`, `-python`, `plugins/sdk` and `wit`: some 900 KB of text, of
//! which the bindings are most.

/// A file by its path and text.
pub(crate) type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../", $folder, "/", $path)))),+]
    };
}

/// The connector to start from.
pub(crate) const TEMPLATE: &[File] = files!("plugins/template":
    "Cargo.toml", "README.md", "connector.toml", "kit.toml", "src/dav.rs", "src/destination.rs", "src/lib.rs", "src/source.rs",
    "src/store.rs", "src/walk.rs",
);

/// The one in JavaScript; what builds it for the tests of this tree stays here.
pub(crate) const JAVASCRIPT: &[File] = files!("plugins/template-javascript":
    "README.md", "build.mjs", "connector.toml", "kit.toml", "package-lock.json", "package.json", "sdk/credenza.js", "source.js",
);

/// The one in Python.
pub(crate) const PYTHON: &[File] = files!("plugins/template-python":
    "README.md", "connector.py", "connector.toml", "credenza_sdk/__init__.py", "kit.toml", "requirements.txt", "source.py",
);

/// The contract, which the build of a connector in JavaScript or Python reads.
pub(crate) const WIT: &[File] = files!("wit": "connector.wit", "deps/host/host.wit");

/// The SDK, which is not in a registry yet and goes along.
pub(crate) const SDK: &[File] = files!("plugins/sdk":
    "Cargo.toml", "README.md", "src/bindings.rs", "src/body.rs", "src/check.rs", "src/connector.rs", "src/destination.rs",
    "src/entry.rs", "src/error.rs", "src/etag.rs", "src/facts.rs", "src/http.rs", "src/lib.rs", "src/log.rs", "src/panic.rs", "src/percent.rs", "src/prefix.rs",
    "src/range.rs", "src/settings.rs", "src/source.rs", "src/status.rs", "src/store.rs", "src/task.rs", "src/time.rs", "src/tree.rs", "src/wire.rs",
    "src/wire/tape.rs", "src/worlds.rs", "src/xml.rs",
);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn walk(root: &Path, below: &str, found: &mut Vec<String>) {
        for item in std::fs::read_dir(root.join(below)).unwrap() {
            let item = item.unwrap();
            let path = format!("{below}{}", item.file_name().into_string().unwrap());
            match item.file_type().unwrap().is_dir() {
                true => walk(root, &format!("{path}/"), found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn every_file_goes_along() {
        for (folder, files) in [
            ("plugins/template", TEMPLATE),
            ("plugins/template-javascript", JAVASCRIPT),
            ("plugins/template-python", PYTHON),
            ("plugins/sdk", SDK),
            ("wit", WIT),
        ] {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
            let mut there = Vec::new();
            walk(&root, "", &mut there);
            there.retain(|path| !["build.sh", "fetch.sh", "CONTRACT.md"].contains(&path.as_str()));
            there.sort();
            let listed: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
            assert_eq!(listed, there, "{folder}");
        }
    }
}
