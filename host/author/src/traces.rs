//! What the files of a connector look like from outside: enough to see that one of them was changed.
//!
//! Owned here: which files count: those that an author writes, and not what a build leaves. Refused here: waiting, and what to do then. Looked at are at
//! most [`FILES_MAX`] files, by their times and lengths: on a disk of this machine that takes a millisecond, and no more is needed of an editor's work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A connector with its SDK has some fifty.
const FILES_MAX: usize = 10_000;
/// What builds write.
const BUILT: [&str; 5] = ["target", "node_modules", "__pycache__", "Cargo.lock", "package-lock.json"];

/// The files of a folder at some time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Traces(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Traces {
    /// Those of now. What cannot be looked at is not there.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut traces = Self::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(below) = folders.pop() {
            let items = std::fs::read_dir(folder.join(&below)).into_iter().flatten().flatten();
            for item in items.filter(|item| is_written(&item.file_name().to_string_lossy())) {
                let path = below.join(item.file_name());
                match item.metadata() {
                    Ok(found) if found.is_dir() => folders.push(path),
                    // A pipe has other times with each line that goes through it.
                    Ok(found) if (found.is_file() || found.is_symlink()) && traces.0.len() < FILES_MAX => {
                        traces.0.insert(path, (found.modified().ok(), found.len()));
                    }
                    _ => {}
                }
            }
        }
        traces
    }

    /// A file that is another than then, is new or gone, with its path below the folder.
    #[must_use]
    pub fn changed_since<'a>(&'a self, then: &'a Self) -> Option<&'a Path> {
        let other = |(path, now): (&PathBuf, _)| then.0.get(path) != Some(now);
        let new = self.0.iter().find(|entry| other(*entry)).map(|(path, _)| path);
        new.or_else(|| then.0.keys().find(|path| !self.0.contains_key(*path))).map(PathBuf::as_path)
    }
}

/// Whether an author writes files of that name. Editors leave hidden ones, and some with a `~` at the end.
fn is_written(name: &str) -> bool {
    !BUILT.contains(&name) && !name.starts_with('.') && !name.ends_with('~') && !name.ends_with(".wasm")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_its_author_changed_is_found_and_what_a_build_leaves_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "a");
        write("connector.toml", "b");
        let before = Traces::of(folder.path());
        for built in [
            "target/x",
            "Cargo.lock",
            "node_modules/a/b.js",
            "__pycache__/source.cpython-314.pyc",
            "mine.wasm",
            ".git/index",
            "src/lib.rs~",
            "src/.lib.rs.swp",
        ] {
            write(built, "c");
        }
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        assert_eq!(Traces::of(folder.path()), before);
        write("src/lib.rs", "ab");
        let after = Traces::of(folder.path());
        assert_eq!(after.changed_since(&before), Some(Path::new("src/lib.rs")));
        write("src/new.rs", "");
        let newer = Traces::of(folder.path());
        assert_eq!(newer.changed_since(&after), Some(Path::new("src/new.rs")));
        fs::remove_file(folder.path().join("connector.toml")).unwrap();
        assert_eq!(Traces::of(folder.path()).changed_since(&newer), Some(Path::new("connector.toml")));
        assert_eq!(newer.changed_since(&newer), None);
    }
}
